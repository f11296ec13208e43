//! Owns a drill: carries out its effects, turns replies into events, publishes scenes.
//!
//! Contract: one tokio runtime for what people ask for; each drill has a thread and a runtime of its own, and so
//! has the abort line, with connections of its own: it needs nothing of the rest. Events are journaled, then stepped; effects run in their order; a durable record is on
//! disk before the effect after it is begun. The press of ABORT closes the drill's gate first, then goes to the
//! agents, then to the journal. A window reads scenes without a lock and sends asks by a bounded queue.
//!
//! Uses every room below it; knows no window.

mod abort;
mod calls;
mod clock;
mod conduct;
mod demo;
pub mod engine;
mod gameday;
mod headless;
mod ledger;
mod log;
mod notices;
mod outcome;
mod preflight;
mod recovery;
mod reveal;
mod sharing;
mod signals;
mod tour;

pub use abort::{
    AbortCard, AbortHandle, AbortLine, AbortTarget, AgentLine, Board, CardAgent, CardError, Press, random_id,
};
pub use clock::{Clock, local_zone, time_of_day, wall_ms};
pub use conduct::{BeginError, Finished, Job, conduct};
pub use demo::{Demo, DemoError};
pub use gameday::{
    GameDayError, ReadDay, append, found, make_gameday, missing_ends, plan_text_in, read_gameday, review_in,
};
pub use headless::{Headless, HeadlessError, run_headless};
pub use ledger::{OpenDrill, card_path, cards, note_aborted, open_drills};
pub use log::{JournalFile, Log};
pub use outcome::{MAY_BE_ON, demo_exit_code, exit_code};
pub use preflight::{JUDGED_AGAIN, Preflight, preflight};
pub use recovery::{Holds, abort_open, abort_targets, ask, forget, ours, watch_open};
pub use reveal::{note_reveal, reveal_path, with_reveal};
pub use sharing::Sharing;
pub use tour::{DemoJob, DemoNews, DemoRan, DemoRunError, demo_headless};
