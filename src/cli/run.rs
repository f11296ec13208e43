//! `run` and `demo`: drills without a window, with progress in the terminal.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use firedrill_conductor::{
    AbortLine, DemoJob, DemoNews, DemoRan, DemoRunError, Headless, MAY_BE_ON, Sharing, abort_open, ask,
    demo_headless, exit_code, forget, open_drills, run_headless, time_of_day, watch_open,
};
use firedrill_drill::{Command, SliState, show_value};
use firedrill_fleet::Credentials;
use firedrill_plan::{Plan, Rule};
use firedrill_scene::{DrillScene, EXERCISE, Review, Scene, ShareScene, SliScene, Viewer, WatcherScene};
use indicatif::{ProgressBar, ProgressStyle};

use super::{USAGE, abort::who};
use crate::{settings, window};

/// Nothing can be said: exit code 4.
pub const INCONCLUSIVE: u8 = 4;
/// An open drill that was found has this long to be proved clean, or for its leases to end (60 s at most).
const FOUND_LIMIT: Duration = Duration::from_secs(70);

#[derive(Args)]
pub struct RunArguments {
    /// The plan's TOML file
    plan: PathBuf,
    /// Which experiment; may be left out when the plan has one
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// Where to write the journal and the reports
    #[arg(long, value_name = "DIR")]
    report: PathBuf,
    /// The second person who approves the start, where the plan asks for one
    #[arg(long, value_name = "NAME")]
    approved_by: Option<String>,
    /// Go on without a guardrail, for a reason that is journaled; may be repeated
    #[arg(long = "override", value_name = "RULE=REASON", value_parser = overriding)]
    overrides: Vec<(Rule, String)>,
    /// Let others follow it with `firedrill watch`: listen here, and print a link for each role. 127.0.0.1:0 is this
    /// computer alone, 0.0.0.0:7443 all its addresses
    #[arg(long, value_name = "ADDRESS:PORT")]
    share: Option<SocketAddr>,
    /// What to do with a drill of this account whose console is gone and that may still be on
    #[arg(long, value_enum, default_value_t = Found::Abort)]
    found: Found,
}

/// What is done with an open drill that is found.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Found {
    /// Abort it, without a latch
    Abort,
    /// Watch it until its leases end
    Watch,
}

/// `staffed=everybody is in the room`.
fn overriding(text: &str) -> Result<(Rule, String), String> {
    let (rule, reason) = text
        .split_once('=')
        .ok_or_else(|| format!("expected RULE=REASON, such as {}=\"why\"", Rule::Staffed))?;
    let rule: Rule = rule.trim().parse()?;
    if !rule.can_be_overridden() {
        return Err(format!(
            "{rule} cannot be overridden: a second person's word is replaced by nothing else (--approved-by NAME)"
        ));
    }
    if reason.trim().is_empty() {
        return Err(format!("{rule} is overridden for a reason only"));
    }
    Ok((rule, reason.trim().to_owned()))
}

/// `firedrill run PLAN [--experiment NAME] --report DIR`.
pub fn run(arguments: RunArguments) -> anyhow::Result<ExitCode> {
    let (text, plan) = match super::plan::read(&arguments.plan)? {
        Ok(read) => read,
        Err(code) => return Ok(code),
    };
    let names: Vec<_> = plan
        .experiments
        .iter()
        .map(|experiment| experiment.name.as_str())
        .collect();
    let experiment = match &arguments.experiment {
        None if names.len() == 1 => Some(0),
        None => None,
        Some(name) => names.iter().position(|known| known == name),
    };
    let Some(experiment) = experiment else {
        eprintln!("firedrill: choose one with --experiment: {}", names.join(", "));
        return Ok(ExitCode::from(USAGE));
    };
    let folders = settings::folders()?;
    make_folder(&arguments.report)?;
    let drills = folders.data.join(settings::DRILLS);
    if !end_what_is_open(&drills, arguments.found, &plan)? {
        return Ok(ExitCode::from(MAY_BE_ON));
    }
    let overrides = arguments
        .overrides
        .into_iter()
        .map(|(rule, reason)| Command::Override {
            rule,
            reason,
            by: who(),
        });
    let approval = arguments.approved_by.map(|by| Command::Approve { by });
    let headless = Headless {
        plan: Arc::new(plan),
        text,
        experiment,
        credentials: Credentials::load(&folders.config.join(settings::CREDENTIALS))?,
        journals: arguments.report.clone(),
        drills,
        first: overrides.chain(approval).collect(),
        console: console(),
        who: who(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        program: std::env::current_exe().context("where this program is cannot be found out")?,
        share: None,
    };
    Ok(ExitCode::from(told_to(
        &headless,
        &arguments.report,
        arguments.share,
    )))
}

/// Runs a drill, tells it, and writes its report; gives the exit code.
pub fn told(job: &Headless, report: &Path) -> u8 {
    told_to(job, report, None)
}

/// The same with others who may follow it.
fn told_to(job: &Headless, report: &Path, share: Option<SocketAddr>) -> u8 {
    let mut progress = Progress::new();
    let sharing = share.map(|address| sharing(address, progress.bar.clone()));
    let job = Headless {
        share: sharing,
        ..job.clone()
    };
    let result = run_headless(&job, |scene| progress.show(scene));
    progress.end();
    match result {
        Ok(review) => finish(&review, report),
        Err(error) => not_run(&error),
    }
}

/// Links, who follows, and whether this computer can be reached go to the terminal, and nowhere else.
fn sharing(address: SocketAddr, bar: ProgressBar) -> Sharing {
    let before = Mutex::new(ShareScene::default());
    let told = move |scene: &ShareScene| {
        let before = std::mem::replace(
            &mut *before.lock().unwrap_or_else(PoisonError::into_inner),
            scene.clone(),
        );
        for line in share_news(&before, scene) {
            say_by(&bar, &line);
        }
    };
    Sharing {
        address,
        told: Arc::new(told),
    }
}

/// What has changed, a line each.
fn share_news(before: &ShareScene, now: &ShareScene) -> Vec<String> {
    let mut lines = Vec::new();
    if before.listens.is_none()
        && let Some(listens) = now.listens
    {
        lines.push(format!(
            "others may follow: listening on {listens} (TLS); a link each, as good as a key:"
        ));
        for it in &now.links {
            if let Some(link) = &it.link {
                lines.push(format!("  {:<12} firedrill watch '{link}'", it.role.word()));
            }
        }
    }
    for reach in now
        .reach
        .iter()
        .filter(|it| it.answered.is_some() && !before.reach.contains(it))
    {
        lines.push(format!("  {}", reach.words(time_of_day)));
    }
    let follows = |it: &WatcherScene| format!("{} ({}) from {}", it.name, it.role.word(), it.from);
    for it in now.watchers.iter().filter(|it| !before.watchers.contains(it)) {
        lines.push(format!("{} follows", follows(it)));
    }
    for it in before.watchers.iter().filter(|it| !now.watchers.contains(it)) {
        lines.push(format!("{} has left", follows(it)));
    }
    lines
}

/// A drill whose console is gone is ended before another begins. Whether nothing of any may be on that hits agents of
/// this plan.
fn end_what_is_open(drills: &Path, found: Found, plan: &Plan) -> anyhow::Result<bool> {
    let open = open_drills(drills).into_iter().filter(|it| !it.runs);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    for open in open {
        let held = runtime.block_on(ask(&open.card));
        if held.iter().all(|it| !it.may_be_on) {
            forget(&open);
            continue;
        }
        println!(
            "found open: \"{}\" ({}), whose console is gone without an end",
            open.card.experiment, open.card.drill
        );
        for it in &held {
            println!("  {:<22} {}", it.agent, it.words);
        }
        let over = match found {
            Found::Abort => {
                println!("  aborting it (--found watch would wait until its leases end)");
                let line = Arc::new(AbortLine::start().context("cannot start the abort line")?);
                let reason = format!("{} began another drill and found this one open", who());
                runtime.block_on(abort_open(&line, &open, &reason, FOUND_LIMIT))
            }
            Found::Watch => {
                println!("  watching it until its leases end");
                runtime.block_on(watch_open(&open, FOUND_LIMIT, |_| {}))
            }
        };
        if !over {
            eprintln!(
                "firedrill: something of \"{}\" may still be on; on its hosts run: firedrill-agent abort",
                open.card.experiment
            );
            let ours = |name: &str| plan.agents.iter().any(|it| it.name == name);
            if held.iter().any(|it| it.may_be_on && ours(&it.agent)) {
                return Ok(false);
            }
            continue;
        }
        println!("  nothing of it is on any more");
    }
    Ok(true)
}

/// `firedrill demo`: the window's tour, or both builds in the terminal.
pub fn demo(headless: bool, report: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    if !headless {
        if window::has_display() {
            return window::run(Some(window::Start::Demo));
        }
        println!("There is no display: the demo goes on in this terminal.");
    }
    let folders = settings::folders()?;
    let report = report.unwrap_or_else(|| folders.data.join("demo"));
    make_folder(&report)?;
    let job = DemoJob {
        program: std::env::current_exe().context("where this program is cannot be found out")?,
        journals: report.clone(),
        drills: folders.data.join(settings::DRILLS),
        console: console(),
        who: who(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut progress = Progress::new();
    let result = demo_headless(&job, |news| match news {
        DemoNews::Started(build, words) => {
            progress.say(&format!(
                "\n{build:?} build. On this computer until the demo ends:"
            ));
            for sentence in words {
                progress.say(&format!("  {sentence}"));
            }
        }
        DemoNews::Drill(scene) => progress.show(scene),
        DemoNews::Finished(review) => progress.say(&verdict(review)),
    });
    progress.end();
    match result {
        Ok(ran) => compared(&ran, &report),
        Err(DemoRunError::Aborted(review)) => Ok(ExitCode::from(finish(&review, &report))),
        Err(error) => Ok(ExitCode::from(not_run(&error))),
    }
}

fn compared(ran: &DemoRan, report: &Path) -> anyhow::Result<ExitCode> {
    println!("\n{:<40} {:<24} hardened", "", "fragile");
    for row in &ran.comparison {
        println!("{:<40} {:<24} {}", row.measure, row.before, row.after);
    }
    for (name, review) in [("fragile", &ran.fragile), ("hardened", &ran.hardened)] {
        println!(
            "report: {}",
            firedrill_report::write(review, &report.join(name))?
                .html
                .display()
        );
    }
    Ok(ExitCode::from(ran.exit_code))
}

/// The verdict, the report, the exit code.
fn finish(review: &Review, folder: &Path) -> u8 {
    println!("{}", verdict(review));
    let code = exit_code(&review.verdict);
    if let (true, Some(journal)) = (review.scene.seal.is_sealed(), &review.journal) {
        println!(
            "it is sealed; reveal it: firedrill reveal {} --report {}",
            journal.display(),
            folder.display()
        );
        return code;
    }
    match firedrill_report::write(review, folder) {
        Ok(written) => println!("report: {}", written.html.display()),
        // The verdict counts more than its report: say it, keep the code.
        Err(error) => eprintln!("firedrill: {error}"),
    }
    if let Some(journal) = &review.journal {
        println!("journal: {}", journal.display());
    }
    code
}

/// The verdict in the terminal: of a sealed drill, that it is over.
pub fn verdict(review: &Review) -> String {
    let redaction = review.scene.seal.redaction();
    let mut lines = vec![format!(
        "{}: {}",
        review.scene.experiment,
        review.verdict.outcome.word()
    )];
    lines.extend(
        review
            .verdict
            .reasons
            .iter()
            .map(|reason| format!("  {}: {}", reason.rule, reason.words)),
    );
    lines.extend(
        review
            .verdict
            .unconfirmed
            .iter()
            .map(|id| format!("  MAY STILL BE ON: {id}; on its host run: firedrill-agent abort")),
    );
    // What may still be on is said whatever is sealed: somebody has to take it back by hand.
    let (told, by_hand) = lines.split_at(lines.len() - review.verdict.unconfirmed.len());
    let told = redaction.pass(told.join("\n")).into_inner();
    let mut all = vec![told];
    all.extend_from_slice(by_hand);
    all.join("\n")
}

/// Nothing was measured, so nothing is said of the hypothesis.
fn not_run(error: &dyn std::error::Error) -> u8 {
    eprintln!("firedrill: {error}");
    INCONCLUSIVE
}

pub fn make_folder(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))
}

/// This console as agents name it to others.
pub fn console() -> String {
    let host = std::env::var("HOSTNAME").or_else(|_| std::fs::read_to_string("/etc/hostname"));
    format!(
        "firedrill on {}",
        host.as_deref().map_or("this computer", str::trim)
    )
}

fn say_by(bar: &ProgressBar, text: &str) {
    // Without a terminal the bar is hidden and would swallow the line.
    if bar.is_hidden() {
        println!("{text}");
    } else {
        bar.println(text);
    }
}

/// A line that moves, and lines that stay; without a terminal only the latter.
struct Progress {
    bar: ProgressBar,
    logged: usize,
    drill: String,
}

impl Progress {
    fn new() -> Self {
        let bar = ProgressBar::new(1_000);
        if let Ok(style) = ProgressStyle::with_template("{prefix:<10} {bar:24} {wide_msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            logged: 0,
            drill: String::new(),
        }
    }

    fn say(&self, text: &str) {
        say_by(&self.bar, text);
    }

    fn show(&mut self, scene: &DrillScene) {
        if self.drill != scene.id {
            self.drill.clone_from(&scene.id);
            self.logged = 0;
        }
        // Whoever reads this terminal or its log may be who is rehearsed.
        let told = Scene {
            drill: Some(Arc::new(scene.clone())),
            ..Scene::default()
        }
        .told(Viewer::Responder, false);
        let Some(told) = &told.scene.drill else { return };
        self.lines(told);
    }

    fn lines(&mut self, scene: &DrillScene) {
        for line in scene.log.iter().skip(self.logged) {
            self.say(&format!(
                "{:>7.1} s  {:<14} {}",
                line.at.mono_us as f64 / 1e6,
                line.title,
                line.words
            ));
        }
        self.logged = scene.log.len();
        let (share, words) = scene.progress.clone().unwrap_or((1.0, String::new()));
        let sealed = scene.seal.is_sealed();
        self.bar
            .set_prefix(if sealed { EXERCISE } else { scene.phase.word() });
        self.bar.set_position((share.clamp(0.0, 1.0) * 1_000.0) as u64);
        let slis: Vec<_> = scene.slis.iter().map(sli).collect();
        self.bar.set_message(format!("{words} · {}", slis.join(" · ")));
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn sli(sli: &SliScene) -> String {
    let state = match sli.state {
        SliState::Steady => "steady",
        SliState::Tolerated => "tolerated",
        SliState::Out => "OUT",
        SliState::NoData => "no data",
    };
    let value = sli
        .value
        .map_or_else(|| "–".to_owned(), |value| show_value(&sli.unit, value));
    format!("{} {value} {state}", sli.name)
}
