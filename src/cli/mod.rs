//! The terminal: one file a family of commands.
//!
//! Exit codes: 0 held, 1 broken, 2 plan or usage, 3 aborted, 4 inconclusive, 5 something may still be on.

mod abort;
mod enroll;
mod gameday;
mod journal;
mod library;
mod plan;
#[cfg(all(target_os = "linux", feature = "agent"))]
mod prove;
mod run;
mod watch;

pub use abort::who;
pub use run::console;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// The exit code of a wrong plan or wrong usage.
pub const USAGE: u8 = 2;

#[derive(Parser)]
#[command(name = "firedrill", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Live through a real drill in a minute: an order system, an agent and a fault, all on this computer
    Demo {
        /// Without a window: both builds of the order system, then the comparison
        #[arg(long)]
        headless: bool,
        /// Where to write the reports
        #[arg(long, value_name = "DIR")]
        report: Option<PathBuf>,
    },
    /// Open the window with this plan
    Open {
        /// The plan's TOML file
        plan: PathBuf,
    },
    /// Run a plan's experiment without a window; Ctrl-C is an abort
    Run(run::RunArguments),
    /// Follow a drill of another console, by the link that it shows; in its window, or with --headless line by line
    Watch(watch::WatchArguments),
    /// Read a plan and say everything that is wrong with it
    Check {
        /// The plan's TOML file
        plan: PathBuf,
        /// Show the queries that the SLIs become
        #[arg(long)]
        explain: bool,
        /// Preflight every experiment too: asks agents and sources, injects nothing but `noop`
        #[arg(long)]
        live: bool,
    },
    /// Plans to start from: what there is, a plan of your own from one, a try on the demo
    Library {
        #[command(subcommand)]
        command: library::LibraryCommand,
    },
    /// A game day as a folder: agenda, preparation, people, and what happened
    Gameday {
        #[command(subcommand)]
        command: gameday::GameDayCommand,
    },
    /// Print the JSON Schema of a plan, or of a game day
    Schema {
        /// Of which file
        #[arg(value_enum, default_value_t = plan::Format::Plan)]
        of: plan::Format,
    },
    /// Stop everything of the drill that is armed, from any terminal: reads the abort card
    Abort(abort::AbortArguments),
    /// Release the latch of the agents on the abort card, with a reason
    Release(abort::ReleaseArguments),
    /// Is this us? What is on, on the agents of the abort card
    Status(abort::StatusArguments),
    /// Trust an agent: take in the line that `firedrill-agent enroll` printed on its host
    Enroll(enroll::EnrollArguments),
    /// Step a journal through the engine again and print what happened
    Replay {
        /// The drill's journal
        journal: PathBuf,
    },
    /// Check a journal's chain
    Verify {
        /// The drill's journal
        journal: PathBuf,
        /// An agent's audit log, copied from its host: the journal's hash must be in it; may be repeated
        #[arg(long, value_name = "FILE")]
        audit: Vec<PathBuf>,
    },
    /// Write the report of a journal
    Report {
        /// The drill's journal
        journal: PathBuf,
        /// Where to
        #[arg(long, value_name = "DIR")]
        report: PathBuf,
    },
    /// Reveal a rehearsal that is over: what it was may be told, and its report written
    Reveal {
        /// The drill's journal
        journal: PathBuf,
        /// Where to write the report
        #[arg(long, value_name = "DIR")]
        report: Option<PathBuf>,
    },
    /// Draw a view of a journal into a PNG file: no display, no driver
    Render(journal::RenderArguments),
    /// Try the promises on this computer: simulated schedules, processes killed, aborts of real agents; one table
    #[cfg(all(target_os = "linux", feature = "agent"))]
    Prove(prove::ProveArguments),
    /// The agent: the same program as `firedrill-agent`
    #[cfg(all(target_os = "linux", feature = "agent"))]
    Agent {
        #[command(subcommand)]
        command: firedrill_agent::cli::AgentCommand,
    },
}

/// Reads the arguments and does what they say.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        None => crate::window::run(None),
        Some(Command::Open { plan }) => crate::window::run(Some(crate::window::Start::Plan(plan))),
        Some(Command::Demo { headless, report }) => run::demo(headless, report),
        Some(Command::Run(arguments)) => run::run(arguments),
        Some(Command::Watch(arguments)) => watch::watch(arguments),
        Some(Command::Check { plan, explain, live }) => plan::check(&plan, explain, live),
        Some(Command::Library { command }) => library::run(command),
        Some(Command::Gameday { command }) => gameday::gameday(command),
        Some(Command::Schema { of }) => plan::schema(of),
        Some(Command::Abort(arguments)) => abort::abort(arguments),
        Some(Command::Release(arguments)) => abort::release(arguments),
        Some(Command::Status(arguments)) => abort::status(arguments),
        Some(Command::Enroll(arguments)) => enroll::enroll(arguments),
        Some(Command::Replay { journal }) => journal::replay(&journal),
        Some(Command::Verify { journal, audit }) => journal::verify(&journal, &audit),
        Some(Command::Report { journal, report }) => journal::report(&journal, &report),
        Some(Command::Reveal { journal, report }) => journal::reveal(&journal, report.as_deref()),
        Some(Command::Render(arguments)) => journal::render(arguments),
        #[cfg(all(target_os = "linux", feature = "agent"))]
        Some(Command::Prove(arguments)) => prove::prove(&arguments),
        #[cfg(all(target_os = "linux", feature = "agent"))]
        Some(Command::Agent { command }) => firedrill_agent::cli::run(command),
    };
    result.unwrap_or_else(|error| {
        eprintln!("firedrill: {error:#}");
        ExitCode::from(USAGE)
    })
}
