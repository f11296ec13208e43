//! `prove`: the promises, tried on this very machine. Simulated schedules, processes killed at random moments, aborts
//! of real agents; then one table. All of it on loopback, in folders that are gone afterwards.

mod aborts;
mod host;
mod kills;
mod table;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use firedrill_simulator::{Options, Random, Schedule, Tally, shortest, simulate};

use table::Row;

/// A promise was broken.
const BROKEN: u8 = 1;
/// Rows that are tried one after another, each for its share of the time.
const SHARES: u32 = 7;

/// What `prove` is asked for.
#[derive(Args)]
pub struct ProveArguments {
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
    let share = Duration::from_mins(u64::from(arguments.minutes)) / SHARES;
    let budget = || Budget {
        until: Instant::now() + share,
        rounds: arguments.rounds,
    };
    let mut chance = Random::new(seed);
    let mut rows = vec![schedules(seed, share)];
    for victim in kills::Victim::ALL {
        println!("{} …", victim.words());
        rows.push(kills::campaign(victim, budget(), &mut chance)?);
    }
    println!("abort of {} agents …", arguments.agents);
    rows.push(aborts::campaign(arguments.agents as usize, budget())?);
    print!("{}", table::show(&rows));
    let broken: usize = rows.iter().map(|row| row.violations.len()).sum();
    Ok(if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(BROKEN)
    })
}

/// Simulated schedules from `seed` on, until the time is over.
fn schedules(seed: u64, share: Duration) -> Row {
    let until = Instant::now() + share;
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
