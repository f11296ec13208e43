//! Consoles, agents, network, disks, clocks and people in one deterministic world.
//!
//! Runs `drill`, `ward` and the journal's codec exactly as shipped; everything around them is simulated and
//! hostile: messages are dropped, delayed, doubled, reordered, replayed and forged, disks fill, hang and tear, clocks
//! jump and drift, hosts freeze, faults refuse to go or outlive their agent, consoles and agents die between any two
//! effects, agents hang, their keepers too, and at least two consoles want the same three agents, while others change
//! what they have started. Of the keeper the judgement of when an agent hangs is the one that ships, and what its
//! undo records do is simulated. After every event the rules of the design that concern them are checked
//! against what is really on ([`Rule`]). Every schedule comes from its seed alone; one that fails is made short
//! ([`shortest`]), prints its trace, and is a line to keep (`tests/kept.txt`).
//!
//! A checker that cannot fail is a defect: [`Sabotage`] breaks one promise of the world around the parts that ship,
//! and `mutations/` breaks `ward` and `drill` themselves; each must be seen.
//!
//! Uses `drill`, `ward`, `journal`, `catalogue`, `plan` and `wire`.

mod agent;
mod books;
mod calls;
mod clients;
mod console;
mod counts;
mod host;
mod keeper;
mod levers;
mod line;
mod lives;
mod messages;
mod paper;
mod people;
mod plans;
mod random;
mod report;
mod rules;
mod schedule;
mod serving;
mod sight;
mod world;

pub use counts::{Counts, Tally};
pub use random::Random;
pub use report::{Options, Report, Rule, Sabotage, Violation};
pub use schedule::{Schedule, shortest};

/// Runs one schedule to its end.
///
/// # Errors
/// The first rule that was broken, with the trace of everything that led there.
pub fn simulate(schedule: &Schedule, options: Options) -> Result<Report, Violation> {
    // Only a failure is run again and written down: a trace costs more than the schedule.
    run_once(schedule, options, false).or_else(|_| run_once(schedule, options, true))
}

fn run_once(schedule: &Schedule, options: Options, traced: bool) -> Result<Report, Violation> {
    world::World::new(schedule.clone(), options, traced).run()
}
