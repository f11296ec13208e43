//! `check` and `schema`.

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context as _;
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
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        eprintln!("firedrill: {errors} mistake{} in {}", if errors == 1 { "" } else { "s" }, path.display());
        ExitCode::from(USAGE)
    }))
}

fn text(path: &Path) -> anyhow::Result<String> {
    let size = fs::metadata(path).with_context(|| format!("cannot read the plan {}", path.display()))?.len();
    anyhow::ensure!(
        size <= MAX_BYTES as u64,
        "{} is {size} bytes long; a plan has at most {MAX_BYTES}",
        path.display()
    );
    fs::read_to_string(path).with_context(|| format!("cannot read the plan {}; it must be UTF-8 text", path.display()))
}

/// `firedrill check PLAN [--explain]`.
pub fn check(path: &Path, explain: bool) -> anyhow::Result<ExitCode> {
    let (_, plan) = match read(path)? {
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
    }
    Ok(ExitCode::SUCCESS)
}

/// `firedrill schema`.
pub fn schema() -> anyhow::Result<ExitCode> {
    println!("{}", serde_json::to_string_pretty(&firedrill_plan::schema())?);
    Ok(ExitCode::SUCCESS)
}
