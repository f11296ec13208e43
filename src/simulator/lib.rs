//! Console, agents, network, disks, clocks and people in one deterministic world.
//!
//! Runs `drill`, `ward` and the journal's codec exactly as shipped; everything around them is simulated and
//! hostile: messages are dropped, delayed, doubled and reordered, disks fill and hang, clocks jump, hosts
//! freeze, faults refuse to go, consoles and agents die between any two effects. After every event the
//! rules of the design that concern them are checked against what is really on ([`Rule`]). Every schedule
//! comes from its seed alone, so a seed that fails is a test to keep, and prints its trace.
//!
//! A checker that cannot fail is a defect: [`Sabotage`] breaks one promise at a time, and the tests show
//! that each broken promise is seen.
//!
//! Uses `drill`, `ward`, `journal`, `plan` and `wire`.

mod agent;
mod calls;
mod console;
mod line;
mod messages;
mod paper;
mod people;
mod plans;
mod random;
mod report;
mod rules;
mod world;

pub use report::{Counts, Options, Report, Rule, Sabotage, Violation};

/// Runs the schedule of `seed` to its end.
///
/// # Errors
/// The first rule that was broken, with the trace of everything that led there.
pub fn simulate(seed: u64, options: Options) -> Result<Report, Violation> {
    world::World::new(seed, options, false).run().or_else(|_| {
        // The same again, this time written down: a trace costs more than the schedule.
        world::World::new(seed, options, true).run()
    })
}
