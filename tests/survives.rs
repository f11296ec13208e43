//! No fault outlives its console, its agent, its keeper or its proxy: each is killed with SIGKILL during a fault, or
//! stopped, and what was hit is as it was again, measured from its own side.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firedrill_demo::Build;
use firedrill_testing::{
    Agent, Connection, Folder, PATIENCE, Peer, Process, Rig, Times, Trial, Upstream, get, millis, programs,
    test, wait_until,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

/// What a machine that does other things at the same time may add to a figure. The figures themselves are in the
/// benchmark.
const BUSY: Duration = Duration::from_secs(2);

pub fn tests() -> Vec<Trial> {
    vec![
        test("console_killed", &[], console_killed),
        test("agent_killed", &[], agent_killed),
        test("agent_killed_under_a_drill", &[], agent_killed_under_a_drill),
        test("proxy_killed", &[], proxy_killed),
        test("keeper_killed", &[Peer::Root], keeper_killed),
        test("agent_stopped", &[Peer::Root], agent_stopped),
        test("agent_and_keeper_killed", &[Peer::Root], agent_and_keeper_killed),
        test(
            "keeper_killed_while_the_agent_is_stopped",
            &[Peer::Root],
            keeper_killed_while_the_agent_is_stopped,
        ),
        test(
            "agent_stopped_and_keeper_killed_aborted_on_the_host",
            &[Peer::Root],
            aborted_on_the_host,
        ),
    ]
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
    _folder: Folder,
}

impl Ticker {
    fn start() -> anyhow::Result<Self> {
        let folder = Folder::new()?;
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do echo tick; sleep 0.01; done"]);
        Ok(Self {
            process: Process::start("ticker", command, folder.path())?,
            _folder: folder,
        })
    }

    /// Whether it says anything within this time, what it said before left aside.
    fn ticks(&mut self, within: Duration) -> bool {
        while self.process.line(Duration::ZERO).is_ok() {}
        self.process.line(within).is_ok()
    }
}

/// An agent with three faults on, each held in another way: by a rule of the proxy, by a child, by ptrace.
struct AllOn {
    agent: Agent,
    ticker: Ticker,
    burner: Pid,
    _upstream: Upstream,
}

impl AllOn {
    fn start(lease_ms: u64) -> anyhow::Result<Self> {
        let upstream = Upstream::start()?;
        let agent = Agent::build(programs!())
            .http_route("web", upstream.address())?
            .start()?;
        let mut ticker = Ticker::start()?;
        ensure!(ticker.ticks(PATIENCE), "the victim runs");
        let drill = agent.open("d-1", lease_ms)?;
        let route = json!({ "route": "web" });
        agent.inject(
            &drill,
            "latency",
            "http.latency",
            json!({ "delay": "30s" }),
            route,
        )?;
        agent.inject(&drill, "burn", "cpu.burn", json!({ "load": "20%" }), json!({}))?;
        let records = agent.records()?;
        let child = records.iter().find_map(|it| it["undo"]["child"]["pid"].as_i64());
        let burner = Pid::from_raw(i32::try_from(child.context("no record of a child")?)?);
        let pid = json!({ "pid": ticker.process.pid() });
        agent.inject(&drill, "pause", "process.pause", json!({}), pid)?;
        ensure!(runs(burner), "nothing burns");
        ensure!(
            !ticker.ticks(Duration::from_millis(200)),
            "the victim does not stand still"
        );
        Ok(Self {
            agent,
            ticker,
            burner,
            _upstream: upstream,
        })
    }

    /// Waits until nothing of the three is left, each looked at from its own side.
    fn wait_until_normal(&mut self) -> anyhow::Result<()> {
        let route = self.agent.route("web")?;
        wait_until(PATIENCE, "the route answers at once", || {
            Ok((get(route, "/", Duration::from_secs(1))?.status == 200).then_some(()))
        })?;
        self.wait_until_it_ticks()?;
        wait_until(PATIENCE, "nothing burns", || {
            Ok((!runs(self.burner)).then_some(()))
        })?;
        Ok(())
    }

    fn wait_until_it_ticks(&mut self) -> anyhow::Result<()> {
        let ticker = &mut self.ticker;
        wait_until(PATIENCE, "the paused process goes on", || {
            Ok(ticker.ticks(Duration::from_millis(200)).then_some(()))
        })
        .map(drop)
    }

    fn keeper(&self) -> anyhow::Result<Pid> {
        let pid = self.agent.keeper_pid().context("no keeper")?;
        Ok(Pid::from_raw(pid.cast_signed()))
    }
}

/// Whether a process of that number runs; one that waits for its parent does not.
fn runs(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn keeper_killed() -> anyhow::Result<()> {
    let mut on = AllOn::start(60_000)?;
    let keeper = on.keeper()?;
    let began = Instant::now();
    kill(keeper, Signal::SIGKILL)?;
    // What only the agent itself could end is taken back; the others have clocks of their own.
    on.wait_until_it_ticks()?;
    let took = began.elapsed();
    ensure!(took <= Duration::from_secs(1) + BUSY, "only after {took:?}");
    let view = on.agent.wait_for_state("pause", "reverted")?;
    ensure!(view["reason"] == "keeper", "{view}");
    on.agent.wait_for_state("burn", "active")?;
    wait_until(PATIENCE, "a new keeper", || {
        Ok(on.keeper().ok().filter(|next| *next != keeper))
    })?;
    eprintln!(
        "keeper killed: what needs one is off after {:.0} ms, a new one is there after {:.0} ms",
        millis(took),
        millis(began.elapsed())
    );
    Ok(())
}

fn agent_stopped() -> anyhow::Result<()> {
    let mut on = AllOn::start(3_000)?;
    let began = Instant::now();
    on.agent.process.signal(Signal::SIGSTOP)?;
    on.wait_until_normal()?;
    let took = began.elapsed();
    eprintln!(
        "agent stopped with a lease of 3 s: all is as it was after {:.0} ms",
        millis(took)
    );
    ensure!(took <= Duration::from_secs(4) + BUSY, "only after {took:?}");
    // It was not let run on with what it remembers.
    on.agent.process.wait(PATIENCE)?;
    let said = [
        "the agent hangs",
        "latency is undone",
        "burn is undone",
        "pause is undone",
    ];
    wait_until(PATIENCE, "the keeper has told what it did", || {
        let audit = std::fs::read_to_string(on.agent.state.join("audit.log"))?;
        let missing = said
            .iter()
            .find(|words| !audit.contains(&format!("keeper: {words}")));
        ensure!(missing.is_none(), "{missing:?} in {audit}");
        Ok(Some(()))
    })?;
    Ok(())
}

/// An agent that stands still, and nobody who would see it: its child keeper is dead. What ends by itself does.
fn stopped_without_a_keeper(lease_ms: u64) -> anyhow::Result<AllOn> {
    let mut on = AllOn::start(lease_ms)?;
    let keeper = on.keeper()?;
    on.agent.process.signal(Signal::SIGSTOP)?;
    kill(keeper, Signal::SIGKILL)?;
    Ok(on)
}

fn keeper_killed_while_the_agent_is_stopped() -> anyhow::Result<()> {
    const LEASE: Duration = Duration::from_secs(3);
    let mut on = stopped_without_a_keeper(3_000)?;
    let stopped = Instant::now();
    // Its lease lapses meanwhile, and nothing renews it.
    std::thread::sleep(LEASE + Duration::from_millis(200));
    let began = Instant::now();
    on.agent.process.signal(Signal::SIGCONT)?;
    on.wait_until_normal()?;
    let took = began.elapsed();
    eprintln!(
        "keeper killed, agent stopped for {:.0} ms: all is as it was {:.0} ms after it goes on",
        millis(began - stopped),
        millis(took)
    );
    ensure!(took <= Duration::from_secs(1) + BUSY, "only after {took:?}");
    for id in ["latency", "burn", "pause"] {
        on.agent.wait_for_state(id, "reverted")?;
    }
    wait_until(PATIENCE, "a new keeper, and no record", || {
        Ok((on.keeper().is_ok() && on.agent.records()?.is_empty()).then_some(()))
    })?;
    Ok(())
}

fn aborted_on_the_host() -> anyhow::Result<()> {
    let mut on = stopped_without_a_keeper(60_000)?;
    let (code, said) = on.agent.on_host("doctor")?;
    ensure!(code == Some(5) && said.contains("pause"), "{code:?}: {said}");
    let (code, said) = on.agent.on_host("abort")?;
    ensure!(code == Some(0) && said.contains("hangs"), "{code:?}: {said}");
    on.wait_until_normal()?;
    on.agent.process.wait(PATIENCE)?;
    let (code, said) = on.agent.on_host("doctor")?;
    ensure!(code == Some(0), "{code:?}: {said}");
    Ok(())
}

fn agent_and_keeper_killed() -> anyhow::Result<()> {
    let mut on = AllOn::start(60_000)?;
    let keeper = on.keeper()?;
    let began = Instant::now();
    // Stopped first, so that it has no time for its work between the two deaths.
    kill(keeper, Signal::SIGSTOP)?;
    on.agent.process.kill()?;
    kill(keeper, Signal::SIGKILL)?;
    // Today's faults all end with the process that holds them: the kernel and the proxy have seen to it.
    on.wait_until_normal()?;
    eprintln!(
        "agent and keeper killed together: all is as it was after {:.0} ms",
        millis(began.elapsed())
    );
    // But nobody has looked: the records say so, and so does the doctor.
    ensure!(on.agent.records()?.len() == 3, "{:?}", on.agent.records()?);
    let (code, said) = on.agent.on_host("doctor")?;
    ensure!(code == Some(5) && said.contains("pause"), "{code:?}: {said}");
    let agent = on.agent.again()?;
    for id in ["latency", "burn", "pause"] {
        let view = agent.wait_for_state(id, "reverted")?;
        ensure!(view["reason"] == "restart", "{view}");
        ensure!(view["started_by"] != view["instance"], "{view}");
    }
    wait_until(PATIENCE, "no record is left", || {
        Ok(agent.records()?.is_empty().then_some(()))
    })?;
    let (code, said) = agent.on_host("doctor")?;
    ensure!(code == Some(0), "{code:?}: {said}");
    // It is a whole agent again.
    let drill = agent.open("d-2", 10_000)?;
    agent.inject(&drill, "again", "noop", json!({}), json!({}))
}
