//! `prove`: the promises, tried on this very machine. Simulated schedules, processes killed at random moments, aborts
//! of real agents; then one table. All of it on loopback, in folders that are gone afterwards.

mod aborts;
mod host;
mod kills;
mod table;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use firedrill_simulator::{Options, Random, Schedule, Tally, shortest, simulate};

use kills::Victim;
use table::Row;

/// A promise was broken.
const BROKEN: u8 = 1;

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Campaign {
    /// Simulated schedules
    Schedules,
    /// The agent is killed
    Agent,
    /// Its keeper is killed
    Keeper,
    /// Its proxy is killed
    Proxy,
    /// The console is killed
    Console,
    /// Console and agent are killed at once
    Both,
    /// ABORT is pressed
    Aborts,
}

/// What `prove` is asked for.
#[derive(Args)]
pub struct ProveArguments {
    /// What to try; all of it when nothing is named
    #[arg(value_enum)]
    campaigns: Vec<Campaign>,
    /// How long to try, in minutes; every row gets its share
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_440))]
    minutes: u32,
    /// At most so many rounds of each kind of kill and abort
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Where chance begins; printed, so that the moments can be tried again
    #[arg(long)]
    seed: Option<u64>,
    /// Agents that an abort has to reach
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    agents: u32,
}

/// How long and how often something is tried.
#[derive(Clone, Copy)]
struct Budget {
    until: Instant,
    rounds: u32,
}

impl Budget {
    fn is_over(&self, tried: u32) -> bool {
        // Once in any case: a row that was not tried says nothing.
        tried > 0 && (tried >= self.rounds || Instant::now() >= self.until)
    }
}

/// `firedrill prove`.
pub fn prove(arguments: &ProveArguments) -> anyhow::Result<ExitCode> {
    let seed = arguments.seed.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |since| since.as_millis() as u64)
    });
    println!(
        "Trying for about {} min, seed {seed}. Everything is on 127.0.0.1 and ends with this.",
        arguments.minutes
    );
    let named = &arguments.campaigns;
    let chosen = |it: &&Campaign| named.is_empty() || named.contains(it);
    let campaigns: Vec<_> = Campaign::value_variants().iter().filter(chosen).collect();
    let share = Duration::from_mins(u64::from(arguments.minutes)) / campaigns.len() as u32;
    let mut chance = Random::new(seed);
    let mut rows = Vec::new();
    for &campaign in campaigns {
        let budget = Budget {
            until: Instant::now() + share,
            rounds: arguments.rounds,
        };
        let mut kills = |victim: Victim| {
            println!("{} …", victim.words());
            kills::campaign(victim, budget, &mut chance)
        };
        rows.push(match campaign {
            Campaign::Schedules => schedules(seed, budget.until),
            Campaign::Agent => kills(Victim::Agent)?,
            Campaign::Keeper => kills(Victim::Keeper)?,
            Campaign::Proxy => kills(Victim::Proxy)?,
            Campaign::Console => kills(Victim::Console)?,
            Campaign::Both => kills(Victim::Both)?,
            Campaign::Aborts => {
                println!("abort of {} agents …", arguments.agents);
                aborts::campaign(arguments.agents as usize, budget)?
            }
        });
    }
    print!("{}", table::show(&rows));
    let broken: usize = rows.iter().map(|row| row.violations.len()).sum();
    Ok(if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(BROKEN)
    })
}

/// Simulated schedules from `seed` on, until the time is over.
fn schedules(seed: u64, until: Instant) -> Row {
    println!("simulated schedules …");
    let mut tally = Tally::default();
    let mut violations = Vec::new();
    for number in 0.. {
        if Instant::now() >= until && number > 0 {
            break;
        }
        match simulate(&Schedule::new(seed.wrapping_add(number)), Options::default()) {
            Ok(report) => tally.add(&report),
            Err(violation) => {
                violations.push(shortest(violation, Options::default()).to_string());
                break;
            }
        }
    }
    Row {
        what: format!("simulated schedules, median {} events", tally.median_events()),
        tried: tally.schedules() + violations.len() as u64,
        took_ms: Vec::new(),
        limit_ms: None,
        violations,
    }
}
