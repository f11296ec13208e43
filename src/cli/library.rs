//! `library`: plans to start from.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::Subcommand;
use firedrill_conductor::{Demo, Headless};
use firedrill_library::{Filled, Template, Values, find, library};
use firedrill_plan::{Action, Experiment};

use super::{USAGE, abort::who, gameday, run};
use crate::settings;

#[derive(Subcommand)]
pub enum LibraryCommand {
    /// What there is
    List,
    /// What a template is for, what it asks, what it tries
    Show {
        /// The template's name
        name: String,
    },
    /// A plan from a template and your answers
    New {
        /// The template's name
        name: String,
        /// An answer; may be repeated. What is not answered stays as it ships
        #[arg(long = "set", value_name = "PARAMETER=VALUE", value_parser = answer)]
        answers: Vec<(String, String)>,
        /// The file to write, which must not be there yet; without it, the terminal
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Run a template on the demo's order system: every experiment that the demo can run, or one
    Try {
        /// The template's name
        name: String,
        /// Which experiment
        #[arg(long, value_name = "NAME")]
        experiment: Option<String>,
        /// Only the preflights: nothing is injected but `noop`
        #[arg(long)]
        preflight: bool,
        /// Where to write the plan as it was run, journals and reports
        #[arg(long, value_name = "DIR")]
        report: Option<PathBuf>,
    },
}

/// `orders-rate=12`.
fn answer(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("expected PARAMETER=VALUE; firedrill library show NAME lists the parameters")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

pub fn run(command: LibraryCommand) -> anyhow::Result<ExitCode> {
    match command {
        LibraryCommand::List => {
            list();
            Ok(ExitCode::SUCCESS)
        }
        LibraryCommand::Show { name } => {
            show(named(&name)?);
            Ok(ExitCode::SUCCESS)
        }
        LibraryCommand::New { name, answers, out } => new(named(&name)?, answers, out.as_deref()),
        LibraryCommand::Try {
            name,
            experiment,
            preflight,
            report,
        } => attempt(named(&name)?, experiment, preflight, report),
    }
}

fn named(name: &str) -> anyhow::Result<&'static Template> {
    find(name).with_context(|| {
        let names: Vec<_> = library().iter().map(|template| template.name).collect();
        format!("the library has no \"{name}\"; it has {}", names.join(", "))
    })
}

fn list() {
    for template in library() {
        let tried = template.plan.experiments.len();
        println!(
            "{:<20} {}: {tried} experiments",
            template.name, template.plan.title
        );
        println!("{:<20} {}", "", template.words);
    }
}

fn show(template: &Template) {
    println!(
        "{} ({})\n{}",
        template.plan.title, template.domain, template.words
    );
    println!("\nIt needs");
    for words in &template.needs {
        println!("  {words}");
    }
    println!("\nIt asks, with what the plan says as it ships");
    for parameter in &template.parameters {
        println!("  {:<22} {}", parameter.name, parameter.ask);
        if !parameter.hint.is_empty() {
            println!("  {:<22}   {}", "", parameter.hint);
        }
        println!("  {:<22}   {}", "", parameter.default);
    }
    println!("\nIt tries");
    for experiment in &template.plan.experiments {
        println!("  {} ({})", experiment.name, faults(experiment).join(", "));
        println!("    {}", experiment.hypothesis);
    }
    println!("\nGuardrails");
    for (name, words) in template.plan.guardrails.explain(&template.plan.slis) {
        println!("  {name:<14} {words}");
    }
    println!("\nOn the demo ({} build)", template.demo.build);
    for words in &template.demo.words {
        println!("  {words}");
    }
    for left in &template.demo.without {
        let (what, name) = left.what();
        println!("  without the {what} \"{name}\": {}", left.why);
    }
}

/// The faults of an experiment, each once.
fn faults(experiment: &Experiment) -> Vec<&str> {
    let faults = experiment.steps.iter().filter_map(|step| match &step.action {
        Action::Inject(inject) => Some(inject.fault.as_str()),
        Action::Wait(_) => None,
    });
    faults.collect::<BTreeSet<_>>().into_iter().collect()
}

fn new(template: &Template, answers: Vec<(String, String)>, out: Option<&Path>) -> anyhow::Result<ExitCode> {
    let filled = template.fill(&answers.into_iter().collect::<Values>());
    if !filled.wrong.is_empty() {
        complain(template, &filled);
        return Ok(ExitCode::from(USAGE));
    }
    for doubt in &filled.doubts {
        eprintln!("{}", doubt.render(template.name, &filled.text));
    }
    match out {
        None => print!("{}", filled.text),
        Some(path) => {
            let file = std::fs::File::create_new(path)
                .with_context(|| format!("cannot make {}, which must not be there yet", path.display()))?;
            std::io::Write::write_all(&mut &file, filled.text.as_bytes())
                .and_then(|()| file.sync_all())
                .with_context(|| format!("cannot write {}", path.display()))?;
            println!("{}", path.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn complain(template: &Template, filled: &Filled) {
    for wrong in &filled.wrong {
        match &wrong.parameter {
            Some(parameter) => eprintln!("firedrill: {parameter}: {}", wrong.words),
            None => eprintln!("firedrill: {}", wrong.words),
        }
    }
    let mistakes = filled.wrong.len();
    eprintln!(
        "firedrill: {mistakes} mistake{}; firedrill library show {} lists what is asked",
        if mistakes == 1 { "" } else { "s" },
        template.name
    );
}

/// Each experiment has an order system of its own: what one leaves behind is not the next one's.
fn attempt(
    template: &'static Template,
    experiment: Option<String>,
    preflight: bool,
    report: Option<PathBuf>,
) -> anyhow::Result<ExitCode> {
    let folders = settings::folders()?;
    let report = report.unwrap_or_else(|| folders.data.join("library").join(template.name));
    run::make_folder(&report)?;
    let mut chosen = Vec::new();
    for known in template.plan.experiments.iter().map(|it| it.name.as_str()) {
        match (template.demo.runs(known), &experiment) {
            (Ok(()), None) => chosen.push(known.to_owned()),
            (Err(why), None) => println!("not on the demo: \"{known}\": {why}"),
            (_, Some(_)) => {}
        }
    }
    chosen.extend(experiment);
    let mut worst = 0;
    let mut system: Option<Demo> = None;
    for name in chosen {
        let mut demo = match system.take() {
            Some(demo) => demo,
            None => start(template, &name)?,
        };
        let index = demo.plan.experiments.iter().position(|it| it.name == name);
        demo.experiment = index.with_context(|| format!("{} has no experiment \"{name}\"", template.name))?;
        let job = Headless {
            plan: Arc::clone(&demo.plan),
            text: demo.text.clone(),
            experiment: demo.experiment,
            credentials: demo.credentials.clone(),
            journals: report.clone(),
            drills: folders.data.join(settings::DRILLS),
            first: Vec::new(),
            console: run::console(),
            who: who(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program: std::env::current_exe().context("where this program is cannot be found out")?,
            share: None,
        };
        let passed = || gameday::told_preflight(&job, &name);
        let code = if preflight {
            if passed() { 0 } else { run::INCONCLUSIVE }
        } else {
            run::told(&job, &report.join((demo.experiment + 1).to_string()))
        };
        worst = worst.max(code);
        // A preflight changes nothing: the next one may have the same system.
        system = preflight.then_some(demo);
    }
    Ok(ExitCode::from(worst))
}

fn start(template: &'static Template, experiment: &str) -> anyhow::Result<Demo> {
    let program = std::env::current_exe().context("where this program is cannot be found out")?;
    let demo = Demo::start_template(template, Some(experiment), &program)?;
    println!("\n{}", demo.words.join("\n"));
    Ok(demo)
}
