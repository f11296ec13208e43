//! `check` and `schema`.

use std::{fs::File, io::Read as _, path::Path, process::ExitCode};

use anyhow::Context as _;
use clap::ValueEnum;
use firedrill_plan::{Checked, MAX_BYTES, Plan, Severity};

use super::USAGE;

/// Reads a plan's file; `Err` has been printed already and carries the exit code.
pub fn read(path: &Path) -> anyhow::Result<Result<(String, Plan), ExitCode>> {
    let text = text(path)?;
    let Checked { plan, diagnostics } = firedrill_plan::check(&text);
    for diagnostic in &diagnostics {
        eprintln!("{}", diagnostic.render(&path.display().to_string(), &text));
    }
    Ok(plan.map(|plan| (text, plan)).ok_or_else(|| {
        let errors = diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .count();
        eprintln!(
            "firedrill: {errors} mistake{} in {}",
            if errors == 1 { "" } else { "s" },
            path.display()
        );
        ExitCode::from(USAGE)
    }))
}

fn text(path: &Path) -> anyhow::Result<String> {
    let words = || format!("cannot read the plan {}", path.display());
    let mut text = String::new();
    // What claims to be short, or is no file at all, may never end.
    let read = File::open(path)
        .with_context(words)?
        .take(MAX_BYTES as u64 + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("{}; it must be UTF-8 text", words()))?;
    anyhow::ensure!(
        read <= MAX_BYTES,
        "{} is longer than {MAX_BYTES} bytes; a plan is not",
        path.display()
    );
    Ok(text)
}

/// `firedrill check PLAN [--explain] [--live]`.
pub fn check(path: &Path, explain: bool, live: bool) -> anyhow::Result<ExitCode> {
    let (text, plan) = match read(path)? {
        Ok(read) => read,
        Err(code) => return Ok(code),
    };
    println!(
        "{}: good; {} SLIs, {} agents, {} experiments",
        path.display(),
        plan.slis.len(),
        plan.agents.len(),
        plan.experiments.len()
    );
    if explain {
        for sli in &plan.slis {
            println!("\n{}\n{}", sli.name, firedrill_signals::explain(sli));
        }
        explain_safety(&plan);
    }
    if live {
        return super::gameday::check_plan(plan, &text);
    }
    Ok(ExitCode::SUCCESS)
}

/// The guardrails with their defaults, who is told, and what is sent on a stop.
fn explain_safety(plan: &Plan) {
    println!("\nGuardrails");
    for (name, words) in plan.guardrails.explain(&plan.slis) {
        println!("  {name:<14} {words}");
    }
    if !plan.alerts.is_empty() {
        println!("\nTold of every automatic stop");
    }
    for alert in &plan.alerts {
        println!("  {:?} {}", alert.kind, alert.url);
    }
    for experiment in plan.experiments.iter().filter(|it| !it.on_stop.is_empty()) {
        println!(
            "\nEmergency actions of \"{}\", after the reverts",
            experiment.name
        );
        for action in &experiment.on_stop {
            println!("  {:<30} {}", action.when(), action.call);
        }
    }
}

/// A file that people write.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A plan
    Plan,
    /// A game day: `gameday.toml`
    Gameday,
}

/// `firedrill schema [plan|gameday]`.
pub fn schema(of: Format) -> anyhow::Result<ExitCode> {
    let schema = match of {
        Format::Plan => firedrill_plan::schema(),
        Format::Gameday => firedrill_gameday::schema(),
    };
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(ExitCode::SUCCESS)
}
