//! No fault outlives its console, its agent or its proxy: each is killed with SIGKILL during a fault, and the
//! client behind the proxy is served normally again, measured from the client's side.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firedrill_demo::Build;
use firedrill_testing::{
    Agent, Connection, PATIENCE, Rig, Times, get, millis, programs, run, test, wait_until,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What a machine that does other things at the same time may add to a figure. The figures themselves are in the
/// benchmark.
const BUSY: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    run(
        4,
        vec![
            test("console_killed", &[], console_killed),
            test("agent_killed", &[], agent_killed),
            test("agent_killed_under_a_drill", &[], agent_killed_under_a_drill),
            test("proxy_killed", &[], proxy_killed),
        ],
    )
}

fn console_killed() -> anyhow::Result<()> {
    let times = Times {
        lease_s: 3,
        fault_s: 60,
        ..Times::default()
    };
    let rig = Rig::start(programs!(), Build::Hardened, times)?;
    let mut console = rig.run_until_fault()?;
    console.process.kill()?;
    let took = rig.wait_until_normal(PATIENCE)?;
    eprintln!(
        "console killed: the client is served normally after {:.0} ms",
        millis(took)
    );
    ensure!(
        took <= Duration::from_millis(3_500) + BUSY,
        "only after {took:?} with a lease of 3 s"
    );
    rig.wait_until_closed()?;
    let injections = rig.agent.injections()?;
    let ours = injections
        .iter()
        .find(|it| it["fault"] == "http.latency")
        .context("no injection")?;
    ensure!(
        ours["state"] == "reverted" && ours["reason"].to_string().contains("lease"),
        "{ours}"
    );
    ensure!(!ours["proved"].is_null(), "not proved: {ours}");
    ensure!(rig.agent.latch()?.is_none(), "a lapsed lease does not latch");

    // What is left of the journal is read: cut, said, and never sealed.
    let journal = rig.firedrill.journal()?;
    let path = journal.to_str().context("the path is UTF-8")?;
    let verified = rig.firedrill.run(&["verify", path], PATIENCE)?;
    ensure!(
        verified.code == Some(1),
        "a journal without its closing record: {}",
        verified.said()
    );
    rig.wait_until_orders_work()?;
    Ok(())
}

/// A request that is being held by the fault.
fn held(agent: &Agent) -> anyhow::Result<Connection> {
    let mut connection = Connection::open(agent.route("web")?, PATIENCE)?;
    connection.send("GET", "/", &[], "")?;
    // Long enough that it has reached the proxy and would have been answered without the fault.
    std::thread::sleep(Duration::from_millis(500));
    Ok(connection)
}

fn agent_killed() -> anyhow::Result<()> {
    let (mut agent, _upstream) = Agent::holding(programs!())?;
    let route = agent.route("web")?;
    let mut waiting = held(&agent)?;
    let began = Instant::now();
    agent.process.kill()?;
    let answer = waiting.answer()?;
    let woken = began.elapsed();
    ensure!(answer.status == 200 && answer.body == "ok", "{answer:?}");
    ensure!(
        woken <= Duration::from_secs(1) + BUSY,
        "held for {woken:?} after the agent's death"
    );
    let began = Instant::now();
    ensure!(get(route, "/", PATIENCE)?.status == 200, "a new request");
    let new = began.elapsed();
    ensure!(new <= Duration::from_secs(1) + BUSY, "a new request took {new:?}");
    eprintln!(
        "agent killed: the held request is answered after {:.1} ms, a new one takes {:.1} ms",
        millis(woken),
        millis(new)
    );
    Ok(())
}

fn agent_killed_under_a_drill() -> anyhow::Result<()> {
    let times = Times {
        fault_s: 60,
        ..Times::default()
    };
    let mut rig = Rig::start(programs!(), Build::Hardened, times)?;
    let console = rig.run_until_fault()?;
    rig.agent.process.kill()?;
    let took = rig.wait_until_normal(PATIENCE)?;
    ensure!(took <= Duration::from_secs(1) + BUSY, "only after {took:?}");
    rig.wait_until_orders_work()?;
    // Nobody has read back that it is gone: the console must not say that it is.
    let finished = console.finish(Duration::from_secs(90))?.expect_code(5)?;
    ensure!(finished.said().contains("may still be on"), "{}", finished.said());
    ensure!(
        finished.said().contains("firedrill-agent abort"),
        "what to do by hand: {}",
        finished.said()
    );
    Ok(())
}

fn proxy_killed() -> anyhow::Result<()> {
    let (agent, _upstream) = Agent::holding(programs!())?;
    let route = agent.route("web")?;
    let _waiting = held(&agent)?;
    let proxy = agent.proxy_pid().context("no proxy")?;
    let began = Instant::now();
    kill(Pid::from_raw(proxy.cast_signed()), Signal::SIGKILL)?;
    let ((), took) = wait_until(PATIENCE, "the route answers again", || {
        let answer = get(route, "/", Duration::from_secs(2))?;
        Ok((answer.status == 200).then_some(()))
    })?;
    eprintln!("proxy killed: the route answers after {:.1} ms", millis(took));
    ensure!(
        began.elapsed() <= Duration::from_secs(1) + BUSY,
        "only after {:?}",
        began.elapsed()
    );
    ensure!(agent.proxy_pid().is_some_and(|now| now != proxy), "no new proxy");
    // What was on in the dead proxy is off: taken back, and read back.
    let view = agent.wait_for_state("i-1", "reverted")?;
    ensure!(
        view["evidence"]["words"]
            .as_str()
            .is_some_and(|words| !words.is_empty()),
        "{view}"
    );
    Ok(())
}
