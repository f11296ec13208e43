//! What the abort line knows, for whoever looks: the conductor, and the window's scene without it.

use std::sync::Arc;
use std::time::Instant;

use firedrill_drill::{AbortFold, AbortStatus};
use firedrill_scene::{AbortRow, AbortScene, AbortStage, AbortTimes};
use firedrill_wire::{LatchView, Stamp};
use parking_lot::Mutex;
use tokio::sync::watch;

/// A press of ABORT, or an automatic stop.
#[derive(Clone, Debug)]
pub struct Press {
    /// Grows with every press.
    pub number: u64,
    /// Whether agents latch.
    pub latch: bool,
    /// When, by the wall clock, milliseconds since 1970.
    pub wall_ms: i64,
    /// Why.
    pub reason: String,
    /// Who or what.
    pub who: String,
    /// By a signal such as Ctrl-C, not by a person's click.
    pub by_signal: bool,
}

/// One agent on the abort line.
#[derive(Clone, Debug)]
pub struct AgentLine {
    /// Index in the plan.
    pub agent: usize,
    /// Its name there.
    pub name: String,
    /// Heartbeats so far.
    pub beats: u64,
    /// The last one's round trip in microseconds; `None`: not answered.
    pub rtt_us: Option<u64>,
    /// Who answered last.
    pub stamp: Option<Stamp>,
    /// The latch as the last heartbeat said.
    pub latch: Option<LatchView>,
    /// An abort on it, with what the agent saw.
    pub abort: Option<AbortStatus>,
    /// What the agent saw, for people.
    pub words: String,
    /// An answer has ended with everything proved clean.
    pub clean: bool,
    /// Never reachable, and no drill of ours is on it: not tried any more.
    pub given_up: bool,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// The abort in force.
    pub press: Option<Press>,
    /// When it was pressed.
    pub pressed: Option<Instant>,
    /// A row an agent that the line is held to, in the plan's order. Shared, so that a copy of the board takes no
    /// time that the abort line would have to wait for.
    pub agents: Vec<Arc<AgentLine>>,
}

impl Board {
    /// Whether an abort runs that has not been proved clean on every agent.
    pub fn is_aborting(&self) -> bool {
        self.press.is_some() && self.agents.iter().any(|line| !line.clean && !line.given_up)
    }

    /// The panel as a window shows it.
    pub fn scene(&self, armed: bool) -> AbortScene {
        let Some(press) = &self.press else {
            return AbortScene {
                armed,
                ..AbortScene::default()
            };
        };
        let so_far = self
            .pressed
            .map_or(0, |pressed| pressed.elapsed().as_micros() as u64);
        let rows: Vec<AbortRow> = self.agents.iter().map(|line| row(line, so_far)).collect();
        let proved = rows.iter().filter(|row| row.stage == AbortStage::Proved).count();
        if !press.latch && proved == rows.len() {
            // An automatic stop that is done stands in the log and the verdict: nobody has to close a panel.
            return AbortScene {
                armed,
                ..AbortScene::default()
            };
        }
        AbortScene {
            armed,
            pressed_ms: Some(press.wall_ms),
            proved,
            finished: !self.is_aborting(),
            rows,
            reason: press.reason.clone(),
            who: press.who.clone(),
            latches: press.latch,
        }
    }
}

/// Without any answer for this long an abort is shown as unconfirmed.
const UNCONFIRMED_AFTER_US: u64 = 1_000_000;

fn row(line: &AgentLine, so_far: u64) -> AbortRow {
    // Pressed a moment ago: the line has not taken it up yet.
    let requested = AbortStatus::default();
    let status = line.abort.as_ref().unwrap_or(&requested);
    let problem = || {
        status
            .problem
            .clone()
            .unwrap_or_else(|| "no answer yet; still sending".to_owned())
    };
    let (stage, took_us, words) = if line.clean {
        let at = status.proved_us.unwrap_or(so_far);
        let words = status.problem.clone().unwrap_or_else(|| line.words.clone());
        (AbortStage::Proved, at, words)
    } else if status.ended || (status.received_us.is_none() && so_far > UNCONFIRMED_AFTER_US) {
        (AbortStage::Unconfirmed, so_far, problem())
    } else if let Some(at) = status.reverted_us {
        (AbortStage::Reverted, at, line.words.clone())
    } else if let Some(at) = status.received_us {
        (
            AbortStage::Received,
            at,
            "nothing new starts; reverting".to_owned(),
        )
    } else {
        (AbortStage::Requested, so_far, problem())
    };
    AbortRow {
        agent: line.name.clone(),
        stage,
        took_us,
        reached: AbortTimes {
            // It is sent in the moment of the press.
            requested_us: line.abort.as_ref().map(|_| 0),
            received_us: status.received_us,
            reverted_us: status.reverted_us,
            proved_us: status.proved_us,
        },
        words,
        latch: status.latch,
    }
}

/// The board, shared. Locked for no longer than a copy takes. Nothing here waits for a window.
pub(crate) struct Shared {
    board: Mutex<Board>,
    version: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            board: Mutex::new(Board::default()),
            version: watch::Sender::new(0),
        }
    }

    pub(crate) fn read(&self) -> Board {
        self.board.lock().clone()
    }

    /// Grows with every change; to wait on.
    pub(crate) fn version(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Board)) {
        change(&mut self.board.lock());
        self.version.send_modify(|version| *version += 1);
    }

    pub(crate) fn change_line(&self, agent: usize, change: impl FnOnce(&mut AgentLine)) {
        self.change(|board| {
            if let Ok(row) = board.agents.binary_search_by_key(&agent, |line| line.agent) {
                change(Arc::make_mut(&mut board.agents[row]));
            }
        });
    }

    /// Copies how far an abort is.
    pub(crate) fn fold(&self, agent: usize, fold: &AbortFold) {
        self.change_line(agent, |line| {
            line.abort = Some(fold.status().clone());
            fold.words().clone_into(&mut line.words);
            line.clean = fold.clean();
        });
    }
}
