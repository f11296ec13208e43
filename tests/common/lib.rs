//! What the end-to-end tests and the benchmarks share: real processes that end with the test, a plain HTTP
//! client, an upstream, a rig of order system and agent, and tests that say why they are ignored.
//!
//! Contract: everything listens on 127.0.0.1, on ports that the system chooses; every process and folder is
//! gone when its handle is dropped, also by a panic, and with it what its programs started and left behind; only
//! processes started here, or by what was started here, are ever signalled.

mod accessible;
mod agent;
mod cgroup;
mod display;
mod firedrill;
mod folder;
mod http;
mod peer;
mod process;
mod rig;
mod upstream;

use std::time::{Duration, Instant};

pub use accessible::Accessibility;
pub use agent::{Agent, AgentBuilder, Drill};
pub use cgroup::Cgroup;
pub use display::Display;
pub use firedrill::{Console, Finished, Firedrill};
pub use folder::{Folder, working_in};
pub use http::{Connection, Response, get, request};
pub use libtest_mimic::Trial;
pub use peer::{Peer, Possible, run, test, test_if_possible};
pub use process::Process;
pub use rig::{Rig, Times, millis};
pub use upstream::Upstream;

/// Long enough for a machine that compiles at the same time, short enough to notice what never comes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The programs under test, built by Cargo for whoever asks with `programs!()`.
#[derive(Clone, Copy, Debug)]
pub struct Programs {
    /// `firedrill`.
    pub firedrill: &'static str,
    /// `firedrill-agent`.
    pub agent: &'static str,
}

/// The programs that Cargo built for this test or benchmark.
#[macro_export]
macro_rules! programs {
    () => {
        $crate::Programs {
            // Absent when only the agent is built.
            firedrill: match option_env!("CARGO_BIN_EXE_firedrill") {
                Some(path) => path,
                None => "",
            },
            agent: env!("CARGO_BIN_EXE_firedrill-agent"),
        }
    };
}

/// Asks `cond` until it gives something, at most `limit` long; returns it with the time it took. A condition that
/// fails is asked again, and its last failure is told.
pub fn wait_until<T>(
    limit: Duration,
    what: &str,
    mut cond: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<(T, Duration)> {
    let began = Instant::now();
    loop {
        let last = match cond() {
            Ok(Some(found)) => return Ok((found, began.elapsed())),
            Ok(None) => String::new(),
            Err(error) => format!(": {error:#}"),
        };
        anyhow::ensure!(began.elapsed() < limit, "not within {limit:?}: {what}{last}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// [`wait_until`] for a plain yes or no.
pub fn wait_for(
    limit: Duration,
    what: &str,
    mut cond: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<Duration> {
    wait_until(limit, what, || Ok(cond()?.then_some(()))).map(|((), took)| took)
}
