//! No fault outlives its console, its agent, its keeper or its proxy: each is killed with SIGKILL during a fault, or
//! stopped, and what was hit is as it was again, measured from its own side.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firedrill_demo::Build;
use firedrill_testing::{
    Agent, Connection, Folder, PATIENCE, Peer, Process, Rig, Times, Upstream, get, millis, programs, run, test,
    wait_until,
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
            test("keeper_killed", &[Peer::Root], keeper_killed),
            test("agent_stopped", &[Peer::Root], agent_stopped),
            test("agent_and_keeper_killed", &[Peer::Root], agent_and_keeper_killed),
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

/// A process that says something a hundred times a second: who reads it sees when it stands still.
struct Ticker {
    process: Process,
    _folder: tempfile::TempDir,
}

impl Ticker {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do echo tick; sleep 0.01; done"]);
        Ok(Self {
            process: Process::start("ticker", command, folder.path())?,
            _folder: folder,
        })
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it says anything within this time, what it said before left aside.
    fn ticks(&mut self, within: Duration) -> bool {
        while self.process.line(Duration::ZERO).is_ok() {}
        self.process.line(within).is_ok()
    }
}

/// An agent with three faults on, each held in another way: by a rule of the proxy, by a child, by ptrace.
fn all_on(lease_ms: u64) -> anyhow::Result<(Agent, Upstream, Ticker)> {
    let (agent, upstream) = {
        let upstream = Upstream::start()?;
        let agent = Agent::build(programs!())
            .http_route("web", upstream.address())?
            .start()?;
        (agent, upstream)
    };
    let mut ticker = Ticker::start()?;
    ensure!(ticker.ticks(PATIENCE), "the victim runs");
    let drill = agent.open("d-1", lease_ms)?;
    let pid = json!({ "pid": ticker.pid() });
    agent.inject(
        &drill,
        "latency",
        "http.latency",
        json!({ "delay": "30s" }),
        json!({ "route": "web" }),
    )?;
    agent.inject(&drill, "burn", "cpu.burn", json!({ "load": "20%" }), json!({}))?;
    agent.inject(&drill, "pause", "process.pause", json!({}), pid)?;
    Ok((agent, upstream, ticker))
}

/// The agent's child that burns.
fn burner(agent: &Agent) -> Option<u32> {
    let parent = agent.process.pid().to_string();
    // It is told whose child it is.
    firedrill_testing::processes(|line| {
        line.contains("\0burn\0") && line.contains(&format!("--parent\0{parent}\0"))
    })
    .first()
    .copied()
}

/// Waits until nothing of the three is left, each looked at from its own side; since when.
fn all_normal(agent: &Agent, ticker: &mut Ticker, since: Instant) -> anyhow::Result<Duration> {
    let route = agent.route("web")?;
    wait_until(PATIENCE, "the route answers at once", || {
        Ok((get(route, "/", Duration::from_secs(1))?.status == 200).then_some(()))
    })?;
    wait_until(PATIENCE, "the paused process goes on", || {
        Ok(ticker.ticks(Duration::from_millis(200)).then_some(()))
    })?;
    wait_until(PATIENCE, "nothing burns", || {
        Ok(burner(agent).is_none().then_some(()))
    })?;
    Ok(since.elapsed())
}

fn keeper_killed() -> anyhow::Result<()> {
    let (agent, _upstream, mut ticker) = all_on(60_000)?;
    let keeper = agent.keeper_pid().context("no keeper")?;
    let began = Instant::now();
    kill(Pid::from_raw(keeper.cast_signed()), Signal::SIGKILL)?;
    // What only the agent itself could end is taken back; the others have clocks of their own.
    wait_until(PATIENCE, "the paused process goes on", || {
        Ok(ticker.ticks(Duration::from_millis(200)).then_some(()))
    })?;
    let took = began.elapsed();
    ensure!(took <= Duration::from_secs(1) + BUSY, "only after {took:?}");
    let view = agent.wait_for_state("pause", "reverted")?;
    ensure!(view["reason"] == "keeper", "{view}");
    agent.wait_for_state("burn", "active")?;
    let (next, took) = wait_until(PATIENCE, "a new keeper", || {
        Ok(agent.keeper_pid().filter(|pid| *pid != keeper))
    })?;
    eprintln!(
        "keeper killed: what needs one is off; process {next} follows {keeper} after {:.0} ms",
        millis(took)
    );
    Ok(())
}

fn agent_stopped() -> anyhow::Result<()> {
    let (mut agent, _upstream, mut ticker) = all_on(3_000)?;
    ensure!(burner(&agent).is_some(), "nothing burns");
    ensure!(
        !ticker.ticks(Duration::from_millis(200)),
        "the victim stands still"
    );
    let began = Instant::now();
    agent.process.signal(Signal::SIGSTOP)?;
    let took = all_normal(&agent, &mut ticker, began)?;
    eprintln!(
        "agent stopped with a lease of 3 s: all is as it was after {:.0} ms",
        millis(took)
    );
    ensure!(took <= Duration::from_secs(4) + BUSY, "only after {took:?}");
    // It was not let run on with what it remembers.
    agent.process.wait(PATIENCE)?;
    let audit = std::fs::read_to_string(agent.state.join("audit.log"))?;
    ensure!(audit.contains("keeper: the agent hangs"), "{audit}");
    for id in ["latency", "burn", "pause"] {
        ensure!(
            audit.contains(&format!("keeper: {id} is undone")),
            "{id}: {audit}"
        );
    }
    Ok(())
}

fn agent_and_keeper_killed() -> anyhow::Result<()> {
    let (mut agent, _upstream, mut ticker) = all_on(60_000)?;
    let keeper = agent.keeper_pid().context("no keeper")?;
    let began = Instant::now();
    kill(Pid::from_raw(keeper.cast_signed()), Signal::SIGSTOP)?;
    kill(Pid::from_raw(keeper.cast_signed()), Signal::SIGKILL)?;
    agent.process.kill()?;
    // Today's faults all end with the process that holds them: the kernel and the proxy have seen to it.
    let took = all_normal(&agent, &mut ticker, began)?;
    eprintln!(
        "agent and keeper killed together: all is as it was after {:.0} ms",
        millis(took)
    );
    // But nobody has looked: the records say so, and so does the doctor.
    ensure!(agent.records() == 3, "{} records", agent.records());
    let (code, said) = agent.on_host("doctor")?;
    ensure!(code == Some(5) && said.contains("pause"), "{code:?}: {said}");
    let agent = agent.again()?;
    for id in ["latency", "burn", "pause"] {
        let view = agent.wait_for_state(id, "reverted")?;
        ensure!(view["reason"] == "restart", "{view}");
        ensure!(view["started_by"] != view["instance"], "{view}");
    }
    wait_until(PATIENCE, "no record is left", || {
        Ok((agent.records() == 0).then_some(()))
    })?;
    let (code, said) = agent.on_host("doctor")?;
    ensure!(code == Some(0), "{code:?}: {said}");
    // It is a whole agent again.
    let drill = agent.open("d-2", 10_000)?;
    agent.inject(&drill, "again", "noop", json!({}), json!({}))
}
