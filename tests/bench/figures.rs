//! The figures that Firedrill is held to, with the machine's own floor measured in the same run.
//!
//! `cargo bench --bench figures` measures all; words after `--` choose groups (`abort fleet latency faults proxy
//! wrk agent stop stuck killed frame window`), `--quick` takes a tenth of the samples. Prints a row a figure, with reached or not, and
//! writes them to `target/bench/figures.json`. Nothing fails by a figure: machines differ.

mod abort;
mod agent;
mod fault_cases;
mod faults;
mod fleet;
mod frame;
mod hosts;
mod killed;
mod latency;
mod measure;
mod prometheus;
mod proxy;
mod servers;
mod stop;
mod stuck;
mod tap;
mod victims;
mod window;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use measure::Row;
use serde_json::json;

/// A group of figures: its word, and what measures it with a share of the usual number of samples.
type Group = (&'static str, fn(&Effort) -> anyhow::Result<Vec<Row>>);

const GROUPS: &[Group] = &[
    ("abort", abort::measure),
    ("fleet", fleet::measure),
    ("latency", latency::measure),
    ("faults", faults::measure),
    ("proxy", proxy::measure),
    ("wrk", wrk::measure),
    ("agent", agent::measure),
    ("stop", stop::measure),
    ("stuck", stuck::measure),
    ("killed", killed::measure),
    ("frame", frame::measure),
    ("window", window::measure),
];

/// How much is measured.
pub struct Effort {
    quick: bool,
}

impl Effort {
    /// So many samples, or a tenth.
    pub fn samples(&self, usual: usize) -> usize {
        if self.quick { (usual / 10).max(3) } else { usual }
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let result = match words.split_first() {
        // A server of the benchmark, in a process of its own.
        Some((word, rest)) if word == "serve" => servers::serve(rest),
        Some((word, rest)) if word == "victim" => victims::run(rest),
        Some((word, rest)) if word == "agents" => hosts::serve(rest),
        // A keeper or a proxy of those agents.
        Some((word, rest)) if ["keeper", "proxy"].contains(&word.as_str()) && rest.len() > 1 => {
            return firedrill_agent::cli::main();
        }
        _ => figures(&words),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("figures: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn figures(words: &[String]) -> anyhow::Result<()> {
    let effort = Effort {
        quick: words.iter().any(|word| word == "--quick"),
    };
    let chosen: Vec<_> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let mut groups = Vec::new();
    for &(name, measure) in GROUPS {
        if !chosen.is_empty() && !chosen.iter().any(|word| *word == name) {
            continue;
        }
        println!("\n{name}");
        match measure(&effort) {
            Ok(rows) => {
                for row in &rows {
                    println!("{row}");
                }
                groups.push(json!({ "group": name, "rows": rows.iter().map(Row::json).collect::<Vec<_>>() }));
            }
            Err(error) => {
                println!("  not measured: {error:#}");
                groups.push(json!({ "group": name, "not_measured": format!("{error:#}") }));
            }
        }
    }
    let written = json!({ "quick": effort.quick, "machine": machine(), "groups": groups });
    let path = folder()?.join("figures.json");
    std::fs::write(&path, serde_json::to_string_pretty(&written)?)?;
    println!("\n{}", path.display());
    Ok(())
}

/// What the figures were measured on.
fn machine() -> serde_json::Value {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!({
        "cores": cores, "cpu": model.map(|(_, name)| name.trim()), "load_before": load.split(' ').next(),
    })
}

/// `target/bench`, wherever the target folder is.
fn folder() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists())
        .context("not run from a target folder")?;
    let folder = target.join("bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
