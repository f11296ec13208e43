//! An automatic stop stands at a real Alertmanager, and what fires there keeps the next drill from starting: alerts
//! of others, not our own.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use firedrill_demo::Build;
use firedrill_testing::{
    PATIENCE, Peer, Process, Rig, Times, Trial, get, programs, request, test, wait_until,
};
use serde_json::{Value, json};

const ENDS_WITHIN: Duration = Duration::from_mins(2);

const CALL: Duration = Duration::from_secs(5);

const ALERTMANAGER: &[Peer] = &[Peer::Alertmanager];

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

pub fn tests() -> Vec<Trial> {
    vec![test("told_and_asked", ALERTMANAGER, told_and_asked)]
}

fn told_and_asked() -> anyhow::Result<()> {
    let times = Times {
        fault_s: 20,
        ..Times::default()
    };
    let rig = Rig::start(programs!(), Build::Fragile, times)?;
    let server = Server::start(&rig)?;
    let text = rig.plan_text()?;
    let address = server.address;
    let more = format!(
        "[guardrails]\nalertmanager = \"http://{address}\"\n\n[[alert]]\nkind = \"alertmanager\"\nurl = \"http://{address}\"\n"
    );
    std::fs::write(&rig.plan, format!("{text}\n{more}"))?;

    // Nothing fires: the drill starts, breaks, and says so there.
    let broken = rig.run(ENDS_WITHIN)?.expect_code(1)?;
    let open = server.open()?;
    ensure!(open.len() == 1, "not one alert: {open:?}\n{}", broken.said());
    let ours = &open[0];
    ensure!(ours["labels"]["alertname"] == "FiredrillStopped", "{ours}");
    ensure!(ours["labels"]["rule"] == "stop condition", "{ours}");
    ensure!(ours["status"]["state"] == "active", "{ours}");
    let report = rig.report_json()?;
    let words = report["reasons"][0]["words"].as_str().context("no reason")?;
    ensure!(
        ours["annotations"]["description"] == words,
        "{ours}, the report: {words}"
    );

    // Another alert fires beside ours: the next drill is held back, by that one only.
    server.fire("DiskFull")?;
    let refused = rig.run(ENDS_WITHIN)?.expect_code(4)?;
    ensure!(
        refused
            .out
            .contains("guardrail alerts: 1 alert open: DiskFull (db)"),
        "{}",
        refused.said()
    );
    rig.expect_nothing_on()?;
    Ok(())
}

/// An Alertmanager of its own, without peers.
struct Server {
    address: SocketAddr,
    process: Process,
}

impl Server {
    fn start(rig: &Rig) -> anyhow::Result<Self> {
        let folder = rig.firedrill.home();
        let config = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n";
        let file = rig.firedrill.file("alertmanager.yml", config)?;
        // It does not say which port it was given: one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.path={}",
                folder.join("alertmanager-data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=");
        let process = Process::start("alertmanager", command, folder)?;
        let server = Self { address, process };
        wait_until(PATIENCE, "the Alertmanager answers", || server.open().map(Some))
            .with_context(|| server.process.stderr())?;
        Ok(server)
    }

    /// Every alert that it has.
    fn open(&self) -> anyhow::Result<Vec<Value>> {
        let answer = get(self.address, "/api/v2/alerts", CALL)?.expect_status(200)?;
        Ok(serde_json::from_str(&answer.body)?)
    }

    fn fire(&self, name: &str) -> anyhow::Result<()> {
        let alert = json!([{ "labels": { "alertname": name, "service": "db" } }]);
        request(
            self.address,
            "POST",
            "/api/v2/alerts",
            JSON,
            &alert.to_string(),
            CALL,
        )?
        .expect_status(200)
        .map(drop)
    }
}
