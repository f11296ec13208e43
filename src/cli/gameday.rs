//! `firedrill gameday …` and `firedrill check PLAN --live`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use firedrill_conductor::{
    Headless, JUDGED_AGAIN, Preflight, ReadDay, append, local_zone, make_gameday, missing_ends, open_drills,
    plan_text_in, preflight, random_id, read_gameday, wall_ms,
};
use firedrill_fleet::Credentials;
use firedrill_gameday::{
    Audience, Checked, Event, FILE, Fit, GameDay, Names, New, PLANS, PREFLIGHTS, REPORTS, Record, State,
    clock, csv, day_and_clock, findings_markdown, from_plans, ics, invitation, length, report, schedule,
    today, tomorrow,
};
use firedrill_plan::{Plan, Severity};

use super::{USAGE, abort::who, run::console};
use crate::settings;

/// Not everything of a preflight is good.
const INCONCLUSIVE: u8 = 4;

#[derive(Subcommand)]
pub enum GameDayCommand {
    /// Make a folder from plans: agenda, preparation, people
    New(NewArguments),
    /// Read everything and tell times and mistakes
    Check {
        /// The game day's folder
        dir: PathBuf,
        /// Preflight every drill of the agenda too: asks agents and sources, injects nothing but `noop`
        #[arg(long)]
        live: bool,
    },
    /// Write the invitation: Markdown and a calendar file, and one with everything for the crew
    Invite {
        /// The game day's folder
        dir: PathBuf,
    },
    /// Print the findings as Markdown, overdue ones first
    Findings {
        /// The game day's folder
        dir: PathBuf,
        /// As CSV
        #[arg(long)]
        csv: bool,
    },
    /// Write the report: people by role, by name only where they agreed
    Report {
        /// The game day's folder
        dir: PathBuf,
    },
}

#[derive(Args)]
pub struct NewArguments {
    /// The folder; made if it is missing
    dir: PathBuf,
    /// A plan's TOML file, which is copied; may be repeated
    #[arg(long, required = true, value_name = "FILE")]
    plan: Vec<PathBuf>,
    /// What it is called; everybody reads it, so it gives nothing away
    #[arg(long, default_value = "Game day")]
    title: String,
    /// When it begins: "2026-12-03 10:00 Europe/Berlin"; otherwise tomorrow at ten
    #[arg(long)]
    start: Option<String>,
    /// An earlier game day's folder: its open findings are carried over
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

/// `firedrill gameday …`.
pub fn gameday(command: GameDayCommand) -> anyhow::Result<ExitCode> {
    match command {
        GameDayCommand::New(arguments) => new(arguments),
        GameDayCommand::Check { dir, live } => check(&dir, live),
        GameDayCommand::Invite { dir } => invite(&dir),
        GameDayCommand::Findings { dir, csv } => findings(&dir, csv),
        GameDayCommand::Report { dir } => write_report(&dir),
    }
}

fn new(arguments: NewArguments) -> anyhow::Result<ExitCode> {
    let carried = match arguments.from.as_deref().map(open_findings).transpose()? {
        Some(Err(code)) => return Ok(code),
        Some(Ok(carried)) => carried,
        None => Vec::new(),
    };
    let mut texts: Vec<(String, String)> = Vec::new();
    let mut plans: Vec<(String, Plan)> = Vec::new();
    for path in &arguments.plan {
        let (text, plan) = match super::plan::read(path)? {
            Ok(read) => read,
            Err(code) => return Ok(code),
        };
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} has no name that is text", path.display()))?;
        let inside = format!("{PLANS}/{name}");
        anyhow::ensure!(
            texts.iter().all(|(known, _)| *known != inside),
            "two plans are called {name}; rename one"
        );
        texts.push((inside.clone(), text));
        plans.push((inside, plan));
    }
    let start = arguments
        .start
        .unwrap_or_else(|| tomorrow(wall_ms(), &local_zone()));
    let id = random_id();
    let who = who();
    let text = from_plans(New {
        title: &arguments.title,
        id: &id,
        start: &start,
        who: &who,
        plans: &plans,
    });
    // What is written is what can be read: a start that is none is said before anything is made.
    let known = |path: &str| {
        let plan = plans.iter().find(|(known, _)| known == path);
        plan.map(|(_, plan)| Arc::new(plan.clone()))
            .ok_or_else(String::new)
    };
    let checked = firedrill_gameday::check(&text, &known);
    if checked.day.is_none() {
        say(&checked, Path::new(FILE), &text);
        return Ok(ExitCode::from(USAGE));
    }
    make_gameday(&arguments.dir, &text, &texts)?;
    append(&arguments.dir, &carried)?;
    println!(
        "{}: a game day of {}",
        arguments.dir.display(),
        drills(plans.iter())
    );
    if !carried.is_empty() {
        println!("carried over: {}", count(carried.len(), "open finding"));
    }
    println!(
        "next: edit {FILE}, then: firedrill gameday check {}",
        arguments.dir.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn drills<'p>(plans: impl Iterator<Item = &'p (String, Plan)>) -> String {
    count(plans.map(|(_, plan)| plan.experiments.len()).sum(), "drill")
}

fn count(number: usize, word: &str) -> String {
    if number == 1 {
        format!("1 {word}")
    } else {
        format!("{number} {word}s")
    }
}

/// The open findings of an earlier game day, as a new one begins with them.
fn open_findings(dir: &Path) -> anyhow::Result<Result<Vec<Record>, ExitCode>> {
    let folder = match read(dir)? {
        Ok(folder) => folder,
        Err(code) => return Ok(Err(code)),
    };
    let open = folder.state.findings.into_iter().filter(|it| it.closed.is_none());
    let records = open.map(|noted| {
        let mut finding = noted.finding;
        finding.from.get_or_insert_with(|| folder.day.title.clone());
        Record {
            at_ms: noted.at_ms,
            by: noted.by,
            event: Event::Finding {
                id: noted.id,
                finding,
            },
        }
    });
    Ok(Ok(records.collect()))
}

/// A folder that can be used.
struct Folder {
    read: ReadDay,
    day: GameDay,
    state: State,
}

/// Reads a folder and says what is wrong with it; `Err` has been printed already and carries the exit code. Drills
/// whose console died have the ends that their journals tell.
fn read(dir: &Path) -> anyhow::Result<Result<Folder, ExitCode>> {
    let read = read_gameday(dir)?;
    say(&read.checked, &dir.join(FILE), &read.text);
    for problem in &read.lines.problems {
        eprintln!(
            "firedrill: {}: {problem}",
            dir.join(firedrill_gameday::EVENTS).display()
        );
    }
    let (Some(day), Some(mut state)) = (read.checked.day.clone(), read.state()) else {
        let errors = read
            .checked
            .diagnostics
            .iter()
            .filter(|it| it.severity == Severity::Error);
        eprintln!(
            "firedrill: {} in {}",
            count(errors.count(), "mistake"),
            dir.join(FILE).display()
        );
        return Ok(Err(ExitCode::from(USAGE)));
    };
    let open = open_drills(&settings::folders()?.data.join(settings::DRILLS));
    let runs = |run: &str| open.iter().any(|it| it.runs && it.card.drill.as_str() == run);
    for end in missing_ends(dir, &state, &runs) {
        state.apply(&end);
    }
    Ok(Ok(Folder { read, day, state }))
}

fn say(checked: &Checked, file: &Path, text: &str) {
    for diagnostic in &checked.diagnostics {
        eprintln!("{}", diagnostic.render(&file.display().to_string(), text));
    }
}

fn check(dir: &Path, live: bool) -> anyhow::Result<ExitCode> {
    let folder = match read(dir)? {
        Ok(folder) => folder,
        Err(code) => return Ok(code),
    };
    agenda(&folder);
    if !live {
        return Ok(ExitCode::SUCCESS);
    }
    let mut passed = true;
    let journals = dir.join(PREFLIGHTS);
    let mut seen: Vec<(&str, &str)> = Vec::new();
    let rows = folder.day.drills.iter().filter(|row| !row.skip);
    for row in rows {
        let drill = (row.plan.as_str(), row.experiment.as_str());
        if seen.contains(&drill) {
            continue;
        }
        seen.push(drill);
        let text = plan_text_in(dir, &row.plan).map_err(|why| anyhow::anyhow!("{}: {why}", row.plan))?;
        let plan = folder.read.checked.plans.get(&row.plan).cloned();
        let plan = plan.with_context(|| format!("{} was not read", row.plan))?;
        passed &= live_one(plan, text, &row.experiment, &journals)?;
    }
    Ok(verdict(passed))
}

/// `firedrill check PLAN --live`.
pub fn check_plan(plan: Plan, text: &str) -> anyhow::Result<ExitCode> {
    let journals = settings::folders()?.data.join(PREFLIGHTS);
    let plan = Arc::new(plan);
    let mut passed = true;
    for experiment in &plan.experiments {
        passed &= live_one(Arc::clone(&plan), text.to_owned(), &experiment.name, &journals)?;
    }
    Ok(verdict(passed))
}

fn verdict(passed: bool) -> ExitCode {
    if passed {
        println!("\nEvery preflight passed; nothing was injected but noop.");
        ExitCode::SUCCESS
    } else {
        println!("\nNot every preflight passed; nothing was injected but noop.");
        ExitCode::from(INCONCLUSIVE)
    }
}

/// The preflight of one experiment, told row by row. Whether it passed.
fn live_one(plan: Arc<Plan>, text: String, experiment: &str, journals: &Path) -> anyhow::Result<bool> {
    let index = plan.experiments.iter().position(|it| it.name == experiment);
    let folders = settings::folders()?;
    let job = Headless {
        experiment: index.with_context(|| format!("no experiment \"{experiment}\""))?,
        plan,
        text,
        credentials: Credentials::load(&folders.config.join(settings::CREDENTIALS))?,
        journals: journals.to_owned(),
        drills: folders.data.join(settings::DRILLS),
        first: Vec::new(),
        console: console(),
        who: who(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        program: std::env::current_exe().context("where this program is cannot be found out")?,
        share: None,
    };
    Ok(told_preflight(&job, experiment))
}

/// Runs a preflight and tells it row by row. Whether it passed.
pub fn told_preflight(job: &Headless, experiment: &str) -> bool {
    println!("\nPreflight of \"{experiment}\"");
    let Preflight {
        checks,
        guardrails,
        journal,
        passed,
    } = match preflight(job, |_| {}) {
        Ok(found) => found,
        Err(error) => {
            println!("  ■ {error}");
            return false;
        }
    };
    for row in checks {
        let mark = if row.ok == Some(true) { "●" } else { "■" };
        println!("  {mark} {:<28} {}", row.what, row.words);
    }
    for row in guardrails {
        let (mark, again) = match row.ok {
            Some(true) => ("●", ""),
            _ if JUDGED_AGAIN.contains(&row.rule) => ("◇", "; judged again at the drill"),
            _ => ("■", ""),
        };
        println!(
            "  {mark} {:<28} {}{again}",
            format!("Guardrail {}", row.rule),
            row.words
        );
    }
    println!("  its record: {}", journal.display());
    passed
}

/// The agenda with the time each drill really needs.
fn agenda(folder: &Folder) {
    let Folder { read, day, state } = folder;
    let zone = day.start.time_zone();
    let start = day_and_clock(day.start.wall_ms, &zone);
    println!(
        "{}: {start} {}, at the most {}",
        day.title,
        day.start.zone,
        length(day.for_ms)
    );
    let schedule = schedule(day, state, wall_ms());
    for slot in &schedule.slots {
        let needs = day.row(&slot.id).and_then(|(at, _)| read.checked.needs.get(at));
        let (from, until) = (clock(slot.from_ms, &zone), clock(slot.until_ms, &zone));
        let standing = match &slot.standing {
            firedrill_gameday::Standing::Planned => String::new(),
            firedrill_gameday::Standing::Running => " · running".to_owned(),
            firedrill_gameday::Standing::Over(outcome) => format!(" · {}", outcome.word()),
            firedrill_gameday::Standing::Skipped(_) => " · skipped".to_owned(),
        };
        println!("\n  {from}–{until}  {}{standing}", slot.id);
        if let Some(needs) = needs {
            let fit = match needs.fit(slot.box_ms) {
                Fit::Fits => "fits",
                Fit::IfSteady => "fits where the system is steady at once",
                Fit::TooShort => "TOO SHORT",
            };
            println!(
                "    box {}, needs {} to {}: {fit}",
                length(slot.box_ms),
                length(needs.planned_ms()),
                length(needs.most_ms())
            );
            println!("    {}", needs.words());
        }
    }
    let left = day.ends_ms().saturating_sub(schedule.ends_ms);
    if schedule.over_ms > 0 {
        println!(
            "\nThe agenda ends {} after the game day.",
            length(schedule.over_ms)
        );
    } else {
        println!("\n{} are left at the end.", length(left.unsigned_abs()));
    }
    for words in state.in_the_way() {
        println!("before the start: {words}");
    }
}

fn invite(dir: &Path) -> anyhow::Result<ExitCode> {
    let folder = match read(dir)? {
        Ok(folder) => folder,
        Err(code) => return Ok(code),
    };
    for (name, text) in [
        ("invitation.md", invitation(&folder.day, Audience::Everybody)),
        ("invitation.ics", ics(&folder.day, wall_ms())),
        ("crew.md", invitation(&folder.day, Audience::Crew)),
    ] {
        let path = write(dir, name, &text)?;
        let whom = if name == "crew.md" {
            "; NOT for responders"
        } else {
            ""
        };
        println!("{}{whom}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn findings(dir: &Path, as_csv: bool) -> anyhow::Result<ExitCode> {
    let folder = match read(dir)? {
        Ok(folder) => folder,
        Err(code) => return Ok(code),
    };
    let Folder { day, state, .. } = folder;
    let zone = day.start.time_zone();
    let today = today(wall_ms(), &zone);
    let text = if as_csv {
        csv(&state.findings, &day.title, today)
    } else {
        findings_markdown(&state.findings, &day.title, today, &zone, &Names::of(&day))
    };
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

fn write_report(dir: &Path) -> anyhow::Result<ExitCode> {
    let folder = match read(dir)? {
        Ok(folder) => folder,
        Err(code) => return Ok(code),
    };
    let Folder { read, day, state } = folder;
    let text = report(&day, &read.checked.needs, &state, wall_ms());
    let path = write(dir, "gameday.md", &text)?;
    println!("{}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// A file of the folder of reports.
fn write(dir: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let folder = dir.join(REPORTS);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
