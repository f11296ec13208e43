//! Faults on a process: it is the victim.

use std::process::Command;
use std::time::Duration;

use firedrill_testing::{Agent, Folder, Peer, Process, programs};
use serde_json::{Value, json};

use crate::{Row, Scene, Seen};

const ROW: Row = Row {
    fault: "",
    form: "",
    needs: &[Peer::Root],
    counter: None,
    is_one_shot: false,
    set: || anyhow::bail!("a row of its own"),
};

pub const ROWS: &[Row] = &[
    Row {
        fault: "process.pause",
        counter: Some("threads_held"),
        set: || on_ticker(json!({})),
        ..ROW
    },
    Row {
        fault: "process.kill",
        counter: Some("ended"),
        is_one_shot: true,
        set: || on_ticker(json!({})),
        ..ROW
    },
];

/// Something that says a word a hundred times a second: silence for a while is what a client would notice.
fn on_ticker(parameters: Value) -> anyhow::Result<Scene> {
    let folder = Folder::new()?;
    let mut command = Command::new("sh");
    command.args(["-c", "while :; do echo tick; sleep 0.01; done"]);
    let mut victim = Process::start("ticker", command, folder.path())?;
    let agent = Agent::build(programs!()).start()?;
    Ok(Scene {
        agent,
        parameters,
        scope: json!({ "pid": victim.pid() }),
        look: Box::new(move || {
            let _folder = &folder;
            while victim.line(Duration::ZERO).is_ok() {}
            let ticks = victim.line(Duration::from_millis(400)).is_ok();
            Ok(if ticks { Seen::Healthy } else { Seen::Hit })
        }),
    })
}
