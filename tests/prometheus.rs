//! The drill against Debian's `prometheus` ends with the verdict of the drill that scrapes the services itself.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use firedrill_demo::Build;
use firedrill_testing::{PATIENCE, Peer, Process, Rig, Times, Trial, get, programs, test, wait_until};
use serde_json::Value;

const A_DRILL: Duration = Duration::from_mins(3);

const PROMETHEUS: &[Peer] = &[Peer::Prometheus];

pub fn tests() -> Vec<Trial> {
    vec![
        test("fragile_breaks_on_both_sources", PROMETHEUS, || {
            both(Build::Fragile, 1)
        }),
        test("hardened_holds_on_both_sources", PROMETHEUS, || {
            both(Build::Hardened, 0)
        }),
    ]
}

/// Which source a drill's numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Scrape,
    Prometheus,
}

fn both(build: Build, code: i32) -> anyhow::Result<()> {
    let drill = |source: Source| {
        std::thread::Builder::new()
            .name(format!("{source:?}"))
            .spawn(move || drill(build, source, code))
    };
    let (scrape, prometheus) = (drill(Source::Scrape)?, drill(Source::Prometheus)?);
    let joined = |thread: std::thread::JoinHandle<anyhow::Result<Value>>, what: &'static str| {
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("it panicked"))?
            .context(what)
    };
    let (scrape, prometheus) = (
        joined(scrape, "on scrapes")?,
        joined(prometheus, "on Prometheus")?,
    );
    ensure!(
        scrape["outcome"] == prometheus["outcome"],
        "{} / {}",
        scrape["reasons"],
        prometheus["reasons"]
    );
    let rule = |report: &Value| report["reasons"][0]["rule"].clone();
    ensure!(
        rule(&scrape) == rule(&prometheus),
        "{} / {}",
        scrape["reasons"],
        prometheus["reasons"]
    );
    // The same numbers of the steady state, too: buckets and windows are alike, samples are not.
    for (mine, theirs) in numbers(&scrape)?.into_iter().zip(numbers(&prometheus)?) {
        ensure!(mine.0 == theirs.0, "{mine:?} / {theirs:?}");
        let apart = (mine.1 - theirs.1).abs();
        ensure!(
            apart <= 0.02 + 0.5 * mine.1.abs(),
            "{}: {} on scrapes, {} on Prometheus",
            mine.0,
            mine.1,
            theirs.1
        );
    }
    Ok(())
}

/// Name and median before the fault of each SLI.
fn numbers(report: &Value) -> anyhow::Result<Vec<(String, f64)>> {
    let slis = report["slis"].as_array().context("no SLIs")?;
    slis.iter()
        .map(|sli| {
            let median = sli["before"]["median"].as_f64();
            let name = sli["name"].as_str().context("no name")?.to_owned();
            Ok((name, median.with_context(|| format!("no median: {sli}"))?))
        })
        .collect()
}

fn drill(build: Build, source: Source, code: i32) -> anyhow::Result<Value> {
    let rig = Rig::start(programs!(), build, Times::default())?;
    let _server = match source {
        Source::Scrape => None,
        Source::Prometheus => {
            let server = Server::start(&rig)?;
            let text = rig.plan_text()?;
            let scrape = text
                .lines()
                .find(|line| line.starts_with("scrape = "))
                .context("no scrape")?;
            rig.edit_plan(scrape, &format!("prometheus = \"http://{}\"", server.address))?;
            rig.edit_plan("every = \"500ms\"", "every = \"1s\"")?;
            Some(server)
        }
    };
    rig.run(A_DRILL)?.expect_code(code)?;
    rig.wait_until_normal(Duration::from_secs(5))?;
    rig.wait_until_closed()?;
    rig.report_json()
}

/// A Prometheus that scrapes a rig's services once a second.
struct Server {
    address: SocketAddr,
    _process: Process,
}

impl Server {
    fn start(rig: &Rig) -> anyhow::Result<Self> {
        let folder = rig.firedrill.home();
        let mut config =
            String::from("global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n");
        for (name, address) in rig.system.addresses().all() {
            // The services say their own job.
            write!(
                config,
                "  - job_name: {name}\n    honor_labels: true\n    static_configs:\n      - targets: ['{address}']\n"
            )?;
        }
        let file = rig.firedrill.file("prometheus.yml", &config)?;
        // Prometheus does not say which port it was given: one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("prometheus-data").display()
            ))
            .arg(format!("--web.listen-address={address}"));
        let process = Process::start("prometheus", command, folder)?;
        wait_until(PATIENCE, "Prometheus has its first samples", || {
            let query = "/api/v1/query?query=sum(up)";
            let answer = get(address, query, Duration::from_secs(2))?
                .expect_status(200)?
                .json()?;
            Ok((answer["data"]["result"][0]["value"][1] == "4").then_some(()))
        })
        .with_context(|| process.stderr())?;
        Ok(Self {
            address,
            _process: process,
        })
    }
}
