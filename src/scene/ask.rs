//! What a person may ask for by the window. Each is an event for the conductor, never done by a view.

use std::path::PathBuf;

use firedrill_plan::Rule;

use crate::{GameDayAsk, Remembered, ReplayAsk, ShareAsk, Wish};

/// A wish of the person at the console.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Start the demo: order system, agent, drill (`fragile`).
    StartDemo,
    /// Run the same drill on the hardened build.
    RunFix,
    /// Run an experiment of a template that ships on the demo's order system.
    TryTemplate {
        /// The template's name.
        template: String,
        /// The experiment's name.
        experiment: String,
    },
    /// Choose a plan with the system's dialog, then open it.
    OpenPlanDialog,
    /// Open this plan.
    OpenPlan(PathBuf),
    /// A new plan from this text, without a file.
    NewPlan(String),
    /// Save this text: over the plan's file, or where a dialog says.
    SavePlan {
        /// The whole text.
        text: String,
        /// Ask for a file first.
        choose: bool,
        /// Write although the file on disk is newer.
        over_newer: bool,
    },
    /// Begin a drill of this experiment of the open plan, from this text: preflight, baseline, then arming.
    Begin {
        /// The plan's text as in the editor.
        text: String,
        /// Its name.
        experiment: String,
    },
    /// Confirm the start.
    Arm,
    /// Confirm the start at a moment that is drawn within a range.
    ArmBetween {
        /// Milliseconds from now, not before.
        earliest_ms: u64,
        /// Not after.
        latest_ms: u64,
        /// Do not tell whoever confirms it either.
        blind: bool,
    },
    /// What this drill does, or did, may be told from now on.
    Reveal(String),
    /// Go on without a guardrail of the drill that runs, for a reason.
    Override {
        /// Which.
        rule: Rule,
        /// Why; must not be empty.
        reason: String,
    },
    /// A second person approves the start of the drill that runs.
    Approve {
        /// Their name: another than the operator's.
        by: String,
    },
    /// Send an emergency action of the drill that runs, by hand.
    RunAction(usize),
    /// Abort an open drill of this account: a crashed console's, or another's.
    AbortOpen(String),
    /// Watch an open drill until nothing of it is on.
    WatchOpen(String),
    /// Leave the arming dialog without starting: ends the drill, nothing was injected.
    Back,
    /// End early and politely.
    Finish,
    /// Take everything back and stop the clock of the steps; nothing latches.
    Hold,
    /// Go on after a hold: a new baseline, then what was interrupted.
    Resume,
    /// Change how strong an injection is: less acts at once, more only with every guardrail.
    Strength {
        /// The injection's id.
        injection: String,
        /// All its parameters, as they shall be.
        parameters: serde_json::Value,
    },
    /// Begin the experiment of the last drill again, as it was.
    Retry,
    /// Stop everything now. Views call `AbortHandle::press` besides, which needs no queue.
    Abort,
    /// Close the abort panel; only hides it.
    DismissAbort,
    /// A note on the timeline.
    Note(String),
    /// Release the latch of an agent.
    Release {
        /// The agent's name in the plan.
        agent: String,
        /// The latch's number.
        latch: u64,
        /// Why it is safe again.
        reason: String,
    },
    /// Ask the plan's source what it remembers of an indicator's last hour.
    Past(Box<Remembered>),
    /// Ask every agent of the plan who it is.
    RefreshFleet,
    /// Exercise the abort path on every agent of the plan.
    TestAbort,
    /// Put an agent's bearer token into the credentials file.
    SetToken {
        /// The agent's URL.
        url: String,
        /// The token.
        token: String,
    },
    /// Trust an agent: the line that `firedrill-agent enroll` printed on its host. Its tokens and its certificate go
    /// into the credentials file.
    Enroll(String),
    /// Open a finished drill's journal.
    OpenJournalDialog,
    /// Write the report of this drill to a folder chosen by dialog.
    ExportReport(String),
    /// Something of a replay.
    Replay(ReplayAsk),
    /// Show this file or folder with the system's program.
    Show(PathBuf),
    /// A message was read.
    Dismiss(u64),
    /// Something of the game day.
    GameDay(GameDayAsk),
    /// Something of sharing the drill with others.
    Share(ShareAsk),
    /// Of a watcher, to the host that is followed.
    Watcher(Wish),
}
