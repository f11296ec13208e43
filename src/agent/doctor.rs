//! `firedrill-agent doctor`: what an operator wants to know of this host, also with the agent dead.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use firedrill_catalogue::ScopeKey;
use firedrill_ward::Durable;

use crate::capable::Facts;
use crate::config::SelfCommand;
use crate::faults;
use crate::keeper::Turn;
use crate::state::{StateFolder, read_small};
use crate::undo::Exactly;
use crate::undo::records::Records;

/// Something may still be on.
const NOT_CLEAN: u8 = 5;

/// Looks, prints a table, and fails with [`NOT_CLEAN`] when something may be on.
pub fn run(state: &Path, program: &SelfCommand) -> anyhow::Result<ExitCode> {
    let mut table = Table::default();
    let agent = StateFolder::holder(state).filter(Exactly::runs);
    table.line("state folder", &folder_words(state));
    table.line("agent", &running(agent, "start it with `firedrill-agent serve`"));
    let keeper = Turn::holder(state).filter(Exactly::runs);
    let without = match agent {
        Some(_) => {
            "the agent refuses starts and starts another one within a second; if not, restart the agent"
        }
        None => "it ends with its agent",
    };
    table.line("keeper", &running(keeper, without));
    table.line("proxy", &proxy_words(state));
    let durable = read_small(&state.join("durable.json")).ok();
    let durable = durable.and_then(|text| serde_json::from_str::<Durable>(&text).ok());
    table.line("latch", &latch_words(durable.as_ref()));
    let left = records(&mut table, state, agent.is_some())?;
    table.line(
        "both killed",
        "an agent and its keeper that are killed at once leave the rest to the kernel, the next start, or `firedrill-agent abort`",
    );
    may(&mut table, agent);
    faults_table(&mut table, program);
    table.print();
    Ok(if left == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_CLEAN)
    })
}

fn folder_words(state: &Path) -> String {
    match std::fs::metadata(state) {
        Ok(_) if state.join("id").exists() => state.display().to_string(),
        Ok(_) => format!(
            "{}: no agent has lived here; is it the one given to `serve`?",
            state.display()
        ),
        Err(error) => format!(
            "{}: {error}; give the one that `serve` was given, with --state",
            state.display()
        ),
    }
}

fn running(process: Option<Exactly>, remedy: &str) -> String {
    match process {
        Some(it) => format!("runs, process {}", it.pid),
        None => format!("not running; {remedy}"),
    }
}

fn proxy_words(state: &Path) -> String {
    let lock: PathBuf = state.join("proxy.lock");
    let Ok(file) = std::fs::File::open(&lock) else {
        return "none: this agent never had routes".to_owned();
    };
    match nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockSharedNonblock) {
        Ok(_) => "not running: its routes are closed until the agent starts".to_owned(),
        Err(_) => "runs; without an agent it passes traffic unchanged".to_owned(),
    }
}

fn latch_words(durable: Option<&Durable>) -> String {
    match durable.map(|durable| &durable.latch) {
        None => "unknown: there is no readable state; an agent that starts on it latches if it has lived"
            .to_owned(),
        Some(None) => "not latched".to_owned(),
        Some(Some(latch)) => format!(
            "latched by {} ({}); release number {} from a console",
            latch.who, latch.reason, latch.number
        ),
    }
}

/// How many may be on.
fn records(table: &mut Table, state: &Path, agent_lives: bool) -> anyhow::Result<usize> {
    let records = Records::look(state)?;
    table.line("boot", &records.here.boot_id);
    let found = records.find()?;
    let open: Vec<_> = found.records.iter().filter(|it| it.undone.is_none()).collect();
    let undone = found.records.len() - open.len();
    table.line(
        "undo records",
        &format!(
            "{} on, {undone} undone and not yet read back by an agent, {} unreadable",
            open.len(),
            found.unreadable.len()
        ),
    );
    let remedy = if agent_lives {
        "the agent takes it back by its end, or `firedrill-agent abort` now"
    } else {
        "`firedrill-agent abort` takes it back, or the next start of the agent"
    };
    for record in &open {
        let boot = if record.boot_id == records.here.boot_id {
            ""
        } else {
            ", of another boot"
        };
        table.line(
            "  on",
            &format!(
                "{} {} of epoch {}{boot}; {remedy}",
                record.fault, record.key.id, record.key.epoch
            ),
        );
    }
    for (path, why) in &found.unreadable {
        table.line(
            "  unreadable",
            &format!("{}: {why}; audit.log tells what was on", path.display()),
        );
    }
    Ok(open.len() + found.unreadable.len())
}

/// What the agent may do; where none runs, what one would that is started as this is.
fn may(table: &mut Table, agent: Option<Exactly>) {
    let (whose, pid) = match agent {
        Some(agent) => (
            format!("of the agent, process {}", agent.pid),
            agent.pid.to_string(),
        ),
        None => (
            "of an agent started by this user, as this command is".to_owned(),
            "self".to_owned(),
        ),
    };
    table.line("privileges", &whose);
    for (what, words) in Facts::of(&pid).lines() {
        table.line(&format!("  {what}"), &words);
    }
}

fn faults_table(table: &mut Table, program: &SelfCommand) {
    for fault in faults::all(program, None) {
        let spec = fault.spec();
        let on_routes = "possible on each route of the agent (`serve --route`); needs no privilege";
        let words = if spec.scope.contains(&ScopeKey::Route) {
            on_routes.to_owned()
        } else if spec.scope.contains(&ScopeKey::Traffic) {
            match crate::kernel::available() {
                Ok(()) => format!("{on_routes}; without a route possible on the connections of a cgroup"),
                Err(no) => format!(
                    "{on_routes}; without a route not possible: {}; {}",
                    no.why, no.remedy
                ),
            }
        } else {
            match fault.available() {
                Ok(()) => "possible here".to_owned(),
                Err(no) => format!("not possible: {}; {}", no.why, no.remedy),
            }
        };
        table.line(spec.name, &words);
    }
}

/// Two columns.
#[derive(Default)]
struct Table {
    lines: Vec<(String, String)>,
}

impl Table {
    fn line(&mut self, name: &str, words: &str) {
        self.lines.push((name.to_owned(), words.to_owned()));
    }

    fn print(&self) {
        let width = self.lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, words) in &self.lines {
            println!("{name:width$}  {words}");
        }
    }
}
