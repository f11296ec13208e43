//! Every fault is real, and is gone afterwards: a row a fault.
//!
//! The victim is healthy; the fault is injected, and its effect is measured at the victim; it is taken back (or the
//! agent is killed with SIGKILL), and the victim is healthy again. Each that has a strength also grows to it by a ramp
//! and is changed ten times a second while it is on. What the agent says it saw is looked at too. A
//! fault that this kernel cannot do is reported as not possible here, with the agent's own reason.

mod calls;
mod limits;
mod network;
mod packets;
mod processes;
mod requests;
mod resources;
mod routes;
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use firedrill_catalogue::{Lever, find};
use firedrill_testing::{
    Agent, Drill, PATIENCE, Peer, Possible, millis, programs, run, test_if_possible, wait_until,
};
use serde_json::{Value, json};

/// What the victim is like at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Healthy,
    Hit,
}

/// A victim, and what is done to it.
struct Scene {
    agent: Agent,
    parameters: Value,
    scope: Value,
    /// Looks at the victim from its own side. An error is neither healthy nor hit, and is told when waiting ends.
    look: Box<dyn FnMut() -> anyhow::Result<Seen>>,
}

/// A fault in one of its forms.
#[derive(Clone, Copy)]
struct Row {
    fault: &'static str,
    /// Which form, or empty.
    form: &'static str,
    /// What must be there for the test itself.
    needs: &'static [Peer],
    /// A counter of the evidence that is above nothing once the victim was hit. `None`: the agent sees nothing of
    /// it, as the kernel answers the victim.
    counter: Option<&'static str>,
    /// Where the victim stays hit: it ends by itself.
    is_one_shot: bool,
    set: fn() -> anyhow::Result<Scene>,
}

/// Rows at a time: each only waits for its own agent and its own victim.
const SIDE_BY_SIDE: usize = 8;

/// How a fault ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Reverted,
    AgentKilled,
    /// Reverted, after it grew to its strength and was changed ten times a second.
    Changed,
}

fn rows() -> Vec<Row> {
    [
        routes::ROWS,
        requests::ROWS,
        calls::ROWS,
        network::ROWS,
        targets::ROWS,
        packets::ROWS,
        limits::ROWS,
        resources::ROWS,
        processes::ROWS,
    ]
    .concat()
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == calls::CALLER) {
        return match calls::caller(&arguments[1..]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let mut tests = vec![test_if_possible(
        "every_fault_has_a_row",
        &[],
        every_fault_has_a_row,
    )];
    tests.push(test_if_possible(
        "the_agent_stays_within_reach",
        &[Peer::Root],
        packets::the_agent_stays_within_reach,
    ));
    let mut changed = BTreeSet::new();
    for row in rows() {
        let name = [row.fault, row.form].join(" ").trim_end().to_owned();
        // Each fault once: how its strength changes is not a matter of its forms.
        let has_strength = find(row.fault).is_some_and(|spec| spec.strength.is_some());
        if has_strength && changed.insert(row.fault) {
            let test = move || drilled(row, End::Changed);
            let name = format!("{name}: grown and changed");
            tests.push(test_if_possible(&name, row.needs, test));
        }
        for (end, words) in [(End::Reverted, "reverted"), (End::AgentKilled, "agent killed")] {
            if row.is_one_shot && end == End::AgentKilled {
                continue;
            }
            let name = if row.is_one_shot {
                format!("{name}: done")
            } else {
                format!("{name}: {words}")
            };
            tests.push(test_if_possible(&name, row.needs, move || drilled(row, end)));
        }
    }
    run(SIDE_BY_SIDE, tests)
}

fn every_fault_has_a_row() -> anyhow::Result<Possible> {
    let agent = Agent::build(programs!()).start()?;
    let info = agent.info()?;
    let faults = info["faults"].as_array().context("no faults")?;
    let names = faults.iter().filter_map(|fault| fault["name"].as_str());
    let missing: Vec<_> = names
        .filter(|name| *name != "noop" && rows().iter().all(|row| row.fault != *name))
        .collect();
    ensure!(missing.is_empty(), "no row for {missing:?}");
    Ok(Possible::Yes)
}

fn drilled(row: Row, end: End) -> anyhow::Result<Possible> {
    let mut scene = (row.set)()?;
    if let Some(why) = why_not(&scene.agent, row.fault)? {
        return Ok(Possible::No(why));
    }
    scene.wait_until(Seen::Healthy)?;
    let drill = scene.agent.open("d-1", 60_000)?;
    let mut body =
        scene
            .agent
            .start_body(&drill, row.fault, scene.parameters.clone(), scene.scope.clone())?;
    if end == End::Changed {
        body["ramp_ms"] = json!(RAMP.as_millis());
    }
    let asked = Instant::now();
    let answer = scene.agent.call("PUT", "/v1/injections/i-1", &body)?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
    scene.wait_until(Seen::Hit)?;
    eprintln!(
        "{} {}: its effect is seen after {:.1} ms",
        row.fault,
        row.form,
        millis(asked.elapsed())
    );
    scene
        .agent
        .wait_for_state("i-1", if row.is_one_shot { "done" } else { "active" })?;
    if end == End::Changed {
        // What is changed is at its full strength.
        std::thread::sleep(RAMP.saturating_sub(asked.elapsed()));
        scene.change(row.fault, &drill)?;
        scene.wait_until(Seen::Hit)?;
    }
    if let Some(counter) = row.counter {
        scene.wait_for_evidence(counter)?;
    }
    let ended = Instant::now();
    match end {
        _ if row.is_one_shot => return Ok(Possible::Yes),
        End::Reverted | End::Changed => {
            scene.agent.call("DELETE", "/v1/injections/i-1", &Value::Null)?;
        }
        End::AgentKilled => scene.agent.process.kill()?,
    }
    scene.wait_until(Seen::Healthy)?;
    eprintln!(
        "{} {}: {end:?}, healthy after {:.1} ms",
        row.fault,
        row.form,
        millis(ended.elapsed())
    );
    if end != End::AgentKilled {
        let view = scene.agent.wait_for_state("i-1", "reverted")?;
        let words = view["evidence"]["words"].as_str().unwrap_or_default();
        ensure!(!words.is_empty(), "reverted without a word: {view}");
    }
    Ok(Possible::Yes)
}

/// The child that holds a fault, by its undo record: none before and after it.
fn holding_child(state: &Path) -> Option<i32> {
    let records = fs::read_dir(state.join("undo")).ok()?.flatten();
    let mut children = records.filter_map(|file| {
        let text = fs::read_to_string(file.path()).ok()?;
        let record: Value = serde_json::from_str(text.lines().next()?).ok()?;
        i32::try_from(record["undo"]["child"]["pid"].as_i64()?).ok()
    });
    children.next()
}

/// Why this host cannot do it, if it cannot.
fn why_not(agent: &Agent, fault: &str) -> anyhow::Result<Option<String>> {
    let info = agent.info()?;
    let found = info["faults"]
        .as_array()
        .and_then(|faults| faults.iter().find(|it| it["name"] == fault))
        .with_context(|| format!("the agent knows no {fault}"))?;
    if found["available"] == json!(true) {
        return Ok(None);
    }
    let text = |key: &str| found[key].as_str().filter(|it| !it.is_empty()).map(str::to_owned);
    match (text("why_not"), text("remedy")) {
        (Some(why), Some(_)) => Ok(Some(why)),
        _ => bail!("{fault} is not possible here, without a reason or a remedy: {found}"),
    }
}

const A_TENTH: Duration = Duration::from_millis(100);

/// How long a fault grows that is changed then.
const RAMP: Duration = Duration::from_millis(400);

/// The strengths that it is given then, a tenth of a second apart.
const STRENGTHS: [f64; 10] = [0.9, 0.8, 0.6, 0.4, 0.3, 0.2, 0.5, 0.7, 0.9, 1.0];

impl Scene {
    /// Changes the strength ten times a second; it stays on.
    fn change(&self, fault: &str, drill: &Drill) -> anyhow::Result<()> {
        let lever = Lever::of(fault, &self.parameters).with_context(|| format!("{fault} has no strength"))?;
        let (began, mut slowest) = (Instant::now(), Duration::ZERO);
        for (number, strength) in (1_u32..).zip(STRENGTHS) {
            std::thread::sleep((number * A_TENTH).saturating_sub(began.elapsed()));
            let change = json!({
                "fence": drill.fence, "revision": number, "not_after": self.agent.tick()? + 10_000_000,
                "parameters": lever.parameters(strength),
            });
            let asked = Instant::now();
            let answer = self.agent.call("PATCH", "/v1/injections/i-1", &change)?;
            slowest = slowest.max(asked.elapsed());
            ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
            ensure!(answer.json()?["state"] == "active", "{}", answer.body);
        }
        eprintln!(
            "{fault}: changed ten times, the slowest took {:.1} ms",
            millis(slowest)
        );
        Ok(())
    }

    /// Waits until the victim is so several times in a row.
    fn wait_until(&mut self, wanted: Seen) -> anyhow::Result<()> {
        let mut row = 0;
        let look = &mut self.look;
        wait_until(PATIENCE, &format!("the victim is {wanted:?}"), || {
            let seen = look();
            row = if matches!(seen, Ok(seen) if seen == wanted) {
                row + 1
            } else {
                0
            };
            ensure!(seen? == wanted, "it is not");
            Ok((row >= 3).then_some(()))
        })
        .map(drop)
    }

    /// "Injected, but nothing was hit" must not look like this.
    fn wait_for_evidence(&mut self, counter: &str) -> anyhow::Result<()> {
        let Self { agent, look, .. } = self;
        wait_until(PATIENCE, &format!("{counter} is told of"), || {
            // Some count only while somebody knocks.
            look().ok();
            let view = agent.call("GET", "/v1/injections/i-1", &Value::Null)?.json()?;
            let count = view["evidence"]["counts"][counter].as_f64();
            ensure!(count.is_some_and(|count| count > 0.0), "it is {view}");
            Ok(Some(()))
        })
        .map(drop)
    }
}
