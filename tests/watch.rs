//! Others follow a drill by a link, each in a role: what they see, what they may do, their ABORT, and what a link is
//! worth that is wrong. With the real programs, over TLS on loopback.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firedrill_demo::{AGENT_NAME, Build, EXPERIMENT_NAME};
use firedrill_testing::{Console, PATIENCE, Process, Rig, Times, Trial, programs, test, wait_for};
use nix::sys::signal::Signal;

/// A drill with its recovery.
const ENDS_WITHIN: Duration = Duration::from_mins(2);
/// An aborted drill has little left to do.
const ABORTED_WITHIN: Duration = Duration::from_secs(30);
/// Until a client is served normally again, on a machine that does other things besides.
const NORMAL_WITHIN: Duration = Duration::from_secs(3);

pub fn tests() -> Vec<Trial> {
    vec![
        test("every_role_sees_its_own_to_the_verdict", &[], every_role),
        test("an_abort_by_a_watcher_ends_the_drill", &[], an_abort),
        test("a_storm_does_not_delay_the_hosts_abort", &[], a_storm),
        test("a_wrong_link_and_a_host_that_is_gone", &[], wrong_and_gone),
    ]
}

/// A drill that is shared.
struct Shared {
    rig: Rig,
    host: Console,
    links: BTreeMap<String, String>,
    said: Vec<String>,
}

impl Shared {
    fn start(build: Build, times: Times, more: &str) -> anyhow::Result<Self> {
        let rig = Rig::start(programs!(), build, times)?;
        let text = rig.plan_text()?;
        std::fs::write(&rig.plan, format!("{text}\n{more}\n"))?;
        let mut words = rig.run_words()?;
        words.extend(["--share".to_owned(), "127.0.0.1:0".to_owned()]);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let mut host = rig.firedrill.start(&words)?;
        let (mut links, mut said) = (BTreeMap::new(), Vec::new());
        while links.len() < 5 {
            let line = host.process.line(PATIENCE)?;
            if let Some((role, link)) = line.split_once("firedrill watch '") {
                links.insert(role.trim().to_owned(), link.trim_end_matches('\'').to_owned());
            }
            said.push(line);
        }
        Ok(Self {
            rig,
            host,
            links,
            said,
        })
    }

    fn link(&self, role: &str) -> anyhow::Result<&str> {
        Ok(self
            .links
            .get(role)
            .with_context(|| format!("no link for {role}"))?)
    }

    /// Somebody who follows in this role.
    fn watch(&self, role: &str) -> anyhow::Result<Process> {
        self.watch_by(role, self.link(role)?)
    }

    fn watch_by(&self, name: &str, link: &str) -> anyhow::Result<Process> {
        let command = self
            .rig
            .firedrill
            .command(&["watch", link, "--headless", "--name", name]);
        Process::start_listening(&format!("watch-{name}"), command, self.rig.firedrill.home())
    }

    fn wait_for_the_fault(&mut self) -> anyhow::Result<()> {
        wait_for(Duration::from_mins(1), "the fault is felt by a client", || {
            Ok(self.rig.pay()?.1 > Duration::from_millis(250))
        })?;
        Ok(())
    }
}

/// Reads on until a line has these words.
fn until(process: &mut Process, words: &str, limit: Duration) -> anyhow::Result<Vec<String>> {
    let began = Instant::now();
    let mut said = Vec::new();
    loop {
        let left = limit.saturating_sub(began.elapsed());
        let line = process
            .line(left)
            .with_context(|| format!("{words:?} was not said: {said:#?}"))?;
        let done = line.contains(words);
        said.push(line);
        if done {
            return Ok(said);
        }
    }
}

fn every_role() -> anyhow::Result<()> {
    let times = Times {
        baseline_s: 8,
        ..Times::default()
    };
    let shared = Shared::start(Build::Fragile, times, "[guardrails]\napproval = true")?;
    let listens = shared
        .said
        .iter()
        .find(|it| it.contains("listening on 127.0.0.1:"));
    ensure!(listens.is_some(), "{:#?}", shared.said);
    let mut approver = shared.watch("approver")?;
    until(&mut approver, "in the role: approver", PATIENCE)?;
    approver.say("approve")?;
    let mut others: Vec<Process> = ["observer", "responder", "stakeholder", "abort-only"]
        .iter()
        .map(|role| shared.watch(role))
        .collect::<anyhow::Result<_>>()?;
    for watcher in &mut others {
        until(watcher, "in the role", PATIENCE)?;
    }
    others[0].say("note the third order hangs")?;
    // What its role does not allow is refused, and does nothing.
    others[2].say("note I must not")?;
    until(&mut others[2], "does not allow", PATIENCE)?;
    let end = |watcher: &mut Process| -> anyhow::Result<String> {
        let mut said = until(watcher, "ended:", ENDS_WITHIN)?;
        watcher.wait(PATIENCE)?;
        said.push(watcher.rest());
        Ok(said.join("\n"))
    };
    let observer = end(&mut others[0])?;
    for seen in [
        "http.latency",
        "bad sample",
        "verdict: broken",
        "the third order hangs",
        "approves the start",
    ] {
        ensure!(
            observer.contains(seen),
            "an observer did not see {seen}:\n{observer}"
        );
    }
    let responder = end(&mut others[1])?;
    ensure!(
        responder.contains("exercise") && responder.contains(" OUT"),
        "{responder}"
    );
    for spoiler in [
        "http.latency",
        AGENT_NAME,
        EXPERIMENT_NAME,
        "verdict",
        "fault of ours",
        "the third order",
    ] {
        ensure!(
            !responder.contains(spoiler),
            "a responder saw {spoiler}:\n{responder}"
        );
    }
    let stakeholder = end(&mut others[2])?;
    ensure!(stakeholder.contains("verdict: broken"), "{stakeholder}");
    let abort_only = end(&mut others[3])?;
    ensure!(abort_only.contains("1 fault of ours on"), "{abort_only}");
    ensure!(!abort_only.contains("verdict"), "{abort_only}");
    let approver = end(&mut approver)?;
    ensure!(approver.contains("verdict: broken"), "{approver}");

    let host = shared.host.finish(ENDS_WITHIN)?.expect_code(1)?;
    ensure!(
        host.out.contains("observer (observer) from 127.0.0.1"),
        "{}",
        host.said()
    );
    let journal = std::fs::read_to_string(shared.rig.firedrill.journal()?)?;
    ensure!(
        journal.matches("the third order hangs").count() == 1,
        "the note is in the journal once"
    );
    ensure!(
        !journal.contains("I must not"),
        "a stakeholder's note is in the journal"
    );
    // Links are in the terminal and nowhere else.
    let report = shared.rig.report();
    for link in shared.links.values() {
        let token = link.split_once('#').context("a link has a token")?.1;
        ensure!(!journal.contains(token), "a token is in the journal");
        for file in std::fs::read_dir(&report)? {
            let bytes = std::fs::read(file?.path())?;
            let text = String::from_utf8_lossy(&bytes);
            ensure!(!text.contains(token), "a token is in the report");
        }
    }
    Ok(())
}

/// A lease and an end far beyond what is waited for: it is the abort that ends the fault.
fn long() -> Times {
    Times {
        fault_s: 60,
        lease_s: 30,
        ..Times::default()
    }
}

fn an_abort() -> anyhow::Result<()> {
    let mut shared = Shared::start(Build::Hardened, long(), "")?;
    let mut watcher = shared.watch("abort-only")?;
    let mut observer = shared.watch("observer")?;
    shared.wait_for_the_fault()?;
    watcher.say("abort")?;
    shared.rig.wait_until_normal(NORMAL_WITHIN)?;
    let said = until(&mut watcher, "ended:", ABORTED_WITHIN)?.join("\n");
    for stage in [
        "ABORT is delivered",
        "proved clean",
        "ABORT is finished",
        "nothing of ours on",
    ] {
        ensure!(said.contains(stage), "no {stage}:\n{said}");
    }
    let seen = until(&mut observer, "ended:", ABORTED_WITHIN)?.join("\n");
    ensure!(seen.contains("verdict: aborted"), "{seen}");
    shared.host.finish(ABORTED_WITHIN)?.expect_code(3)?;
    shared.rig.wait_until_closed()?;
    let latch = shared.rig.agent.latch()?.context("a person's abort latches")?;
    ensure!(
        latch.to_string().contains("abort-only (abort-only, by link)"),
        "{latch}"
    );
    let journal = std::fs::read_to_string(shared.rig.firedrill.journal()?)?;
    ensure!(
        journal.contains("abort-only (abort-only, by link)"),
        "the journal does not say who"
    );
    Ok(())
}

fn a_storm() -> anyhow::Result<()> {
    let mut shared = Shared::start(Build::Hardened, long(), "")?;
    let mut watcher = shared.watch("observer")?;
    until(&mut watcher, "in the role", PATIENCE)?;
    shared.wait_for_the_fault()?;
    let link = shared.link("observer")?;
    let at = link
        .strip_prefix("https://")
        .and_then(|it| it.split_once('/'))
        .context("a link names host and port")?
        .0
        .to_owned();
    let mut storm = Vec::new();
    for _ in 0..600 {
        storm.push(TcpStream::connect(&at)?);
    }
    shared.host.process.signal(Signal::SIGINT)?;
    shared.rig.wait_until_normal(NORMAL_WITHIN)?;
    let seen = until(&mut watcher, "ended:", ABORTED_WITHIN)?.join("\n");
    ensure!(seen.contains("verdict: aborted"), "{seen}");
    shared.host.finish(ABORTED_WITHIN)?.expect_code(3)?;
    Ok(())
}

fn wrong_and_gone() -> anyhow::Result<()> {
    let mut shared = Shared::start(Build::Hardened, long(), "")?;
    let link = shared.link("observer")?.to_owned();
    // Another token, another certificate: refused, said, exit code 2.
    let last = link.chars().next_back().context("a link has a token")?;
    let other = if last == 'A' { 'B' } else { 'A' };
    let wrong_token = format!("{}{other}", &link[..link.len() - 1]);
    let pin = link.rfind('/').context("a link has a fingerprint")? + 1;
    let digit = if link[pin..].starts_with('0') { "1" } else { "0" };
    let wrong_pin = format!("{}{digit}{}", &link[..pin], &link[pin + 1..]);
    for (name, link, why) in [
        ("token", &wrong_token, "no longer, worth anything"),
        ("pin", &wrong_pin, "ask for a new link"),
    ] {
        let mut watcher = shared.watch_by(name, link)?;
        until(&mut watcher, why, PATIENCE)?;
        ensure!(watcher.wait(PATIENCE)?.code() == Some(2));
    }
    let cut = shared
        .rig
        .firedrill
        .run(&["watch", &link[..link.len() - 3], "--headless"], PATIENCE)?
        .expect_code(2)?;
    ensure!(cut.err.contains("copy it again"), "{}", cut.said());
    ensure!(
        !cut.err.contains(&link[pin + 70..link.len() - 3]),
        "the error quotes the token"
    );

    let mut watcher = shared.watch("observer")?;
    until(&mut watcher, "in the role", PATIENCE)?;
    shared.wait_for_the_fault()?;
    shared.host.process.kill()?;
    until(&mut watcher, "CONNECTION LOST", PATIENCE)?;
    watcher.say("abort")?;
    let said = until(&mut watcher, "ABORT IS NOT DELIVERED", PATIENCE)?;
    let last = said.last().context("a line")?;
    ensure!(
        last.contains("firedrill abort") && last.contains("firedrill-agent abort"),
        "{last}"
    );
    // What it says can be done, done.
    shared
        .rig
        .firedrill
        .run(&["abort"], ABORTED_WITHIN)?
        .expect_code(0)?;
    shared.rig.wait_until_closed()
}
