//! Bad input gets a clear message that names the remedy, and no injection is left behind.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use firedrill_demo::Build;
use firedrill_testing::{
    Agent, Finished, Firedrill, Folder, PATIENCE, Peer, Rig, Times, Trial, Upstream, programs, test,
};

/// A drill that is refused or starved ends by itself: five baselines at the most.
const ENDS_WITHIN: Duration = Duration::from_secs(90);

pub fn tests() -> Vec<Trial> {
    vec![
        test("plans_with_mistakes", &[], plans_with_mistakes),
        test("plans_that_are_none", &[], plans_that_are_none),
        test("agents_that_are_none", &[], agents_that_are_none),
        test("a_port_in_use", &[], a_port_in_use),
        test("a_prometheus_that_is_a_page", &[], a_prometheus_that_is_a_page),
        test(
            "a_prometheus_that_knows_nothing",
            &[],
            a_prometheus_that_knows_nothing,
        ),
        test("a_prometheus_that_is_silent", &[], a_prometheus_that_is_silent),
        test("no_room_for_a_journal", &[], no_room_for_a_journal),
        test("a_disk_that_fills_up", &[Peer::Root], a_disk_that_fills_up),
    ]
}

/// Says where, and which is the nearest right name; all mistakes at once.
fn plans_with_mistakes() -> anyhow::Result<()> {
    let rig = Rig::start(programs!(), Build::Hardened, Times::default())?;
    rig.edit_plan("inject = \"http.latency\"", "inject = \"http.latncy\"")?;
    rig.edit_plan("hypothesis =", "hypotesis =")?;
    rig.edit_plan(
        "stop     = { min = 0.90, after = 2 }",
        "stop     = { min = 0.90, after = -2 }",
    )?;
    let text = rig.plan_text()?;
    let place = |wrong: &str| -> anyhow::Result<String> {
        let line = text
            .lines()
            .position(|line| line.contains(wrong))
            .context("not in the text")?;
        let column = text
            .lines()
            .nth(line)
            .and_then(|line| line.find(wrong))
            .context("not in its line")?;
        Ok(format!("plan.toml:{}:{}", line + 1, column + 1))
    };
    let places = [place("\"http.latncy\"")?, place("hypotesis")?, place("-2")?];
    for command in ["check", "run"] {
        let mut words = vec![command, rig.plan_arg()?];
        let report = rig.report();
        if command == "run" {
            words.extend(["--report", report.to_str().context("the path is UTF-8")?]);
        }
        let finished = rig.firedrill.run(&words, PATIENCE)?.expect_code(2)?;
        for place in &places {
            ensure!(
                finished.err.contains(place.as_str()),
                "{place} is not in: {}",
                finished.err
            );
        }
        for right in ["did you mean \"http.latency\"?", "did you mean \"hypothesis\"?"] {
            ensure!(
                finished.err.contains(right),
                "{right} is not in: {}",
                finished.err
            );
        }
    }
    ensure!(rig.agent.injections()?.is_empty(), "something was injected");
    Ok(())
}

/// Missing, empty, half-written, not text, endless, deep, and no plan at all.
fn plans_that_are_none() -> anyhow::Result<()> {
    let firedrill = Firedrill::new(programs!())?;
    let half = "title = \"Orders\"\n[[sli]]\nname = \"Order suc";
    let deep = format!("title = {}", "[".repeat(20_000));
    let dotted = format!("{} = 1", vec!["a"; 20_000].join("."));
    let long = format!("# {}\n", "x".repeat(3 << 20));
    for (name, bytes) in [
        ("empty.toml", b"".as_slice()),
        ("half.toml", half.as_bytes()),
        ("binary.toml", b"\x00\xff\xfe\x80 = \"\xc3\x28\"".as_slice()),
        ("deep.toml", deep.as_bytes()),
        ("dotted.toml", dotted.as_bytes()),
        ("long.toml", long.as_bytes()),
        ("json.toml", b"{\"title\": \"x\"}".as_slice()),
    ] {
        let path = firedrill.home().join(name);
        std::fs::write(&path, bytes)?;
        expect_refused(&firedrill, &path)?;
    }
    expect_refused(&firedrill, &firedrill.home().join("missing.toml"))?;
    expect_refused(&firedrill, firedrill.home())?;
    // Something that never ends must not be waited for.
    expect_refused(&firedrill, Path::new("/dev/zero"))?;
    let half = firedrill.home().join("half.toml");
    let said = expect_refused(&firedrill, &half)?;
    ensure!(
        said.err.contains("half.toml:3:"),
        "where it breaks off: {}",
        said.err
    );
    Ok(())
}

fn expect_refused(firedrill: &Firedrill, plan: &Path) -> anyhow::Result<Finished> {
    let path = plan.to_str().context("the path is UTF-8")?;
    let finished = firedrill.run(&["check", path], PATIENCE)?.expect_code(2)?;
    let name = plan.file_name().and_then(|name| name.to_str()).unwrap_or(path);
    ensure!(
        finished.err.contains(name),
        "the file is not named: {}",
        finished.err
    );
    ensure!(!finished.err.contains("panicked"), "{}", finished.err);
    ensure!(
        finished.err.len() < 100_000,
        "{} bytes of message",
        finished.err.len()
    );
    Ok(finished)
}

/// A server of web pages, one that never answers, nobody, and an agent that does not know us.
fn agents_that_are_none() -> anyhow::Result<()> {
    let rig = Rig::start(programs!(), Build::Hardened, Times::default())?;
    let page = Upstream::answering("text/html", "<html>It works!</html>")?;
    let json = Upstream::answering("application/json", "{\"protocol\": 1}")?;
    let other = Upstream::answering(
        "application/json",
        "{\"agent\":\"a\",\"instance\":\"i\",\"tick\":1,\"protocol\":9,\"version\":\"9\",\"host\":\"h\",\"labels\":{},\"latch\":null,\"open\":null,\"routes\":[],\"faults\":[]}",
    )?;
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.local_addr()?
    };
    let stranger = Agent::build(programs!()).start()?;
    let mut consoles = Vec::new();
    for (what, url) in [
        ("a page", format!("http://{}", page.address())),
        ("json", format!("http://{}", json.address())),
        ("another version", format!("http://{}", other.address())),
        ("silence", format!("http://{}", silent.local_addr()?)),
        ("nobody", format!("http://{nobody}")),
        ("an agent whose token is not known", stranger.url()),
    ] {
        let text = rig.plan_text()?.replace(&rig.agent.url(), &url);
        let plan = rig.firedrill.file(&format!("{what}.toml"), &text)?;
        let report = rig.firedrill.home().join(what);
        let mut command = rig.firedrill.command(&["run"]);
        command.arg(plan).arg("--report").arg(report);
        consoles.push((what, rig.firedrill.start_command(what, command)?));
    }
    for (what, console) in consoles {
        let finished = console.finish(ENDS_WITHIN)?.expect_code(4).context(what)?;
        let said = finished.said();
        ensure!(
            said.contains("payments-1"),
            "{what}: the agent is not named: {said}"
        );
        ensure!(said.contains("inconclusive"), "{what}: {said}");
    }
    ensure!(
        stranger.injections()?.is_empty() && rig.agent.injections()?.is_empty(),
        "something was injected"
    );
    Ok(())
}

fn a_port_in_use() -> anyhow::Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let folder = Folder::new()?;
    let output = Command::new(programs!().agent)
        .args(["serve", "--listen", &address, "--state"])
        .arg(folder.path().join("state"))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2), "{:?}: {said}", output.status);
    ensure!(
        said.contains(&address) && said.contains("--listen"),
        "no word of the port, or of what to do: {said}"
    );
    Ok(())
}

/// A page of the web where a Prometheus should be.
fn a_prometheus_that_is_a_page() -> anyhow::Result<()> {
    let page = Upstream::answering("text/html", "<html>It works!</html>")?;
    metrics_from(page.address())
}

/// A Prometheus that scrapes something else.
fn a_prometheus_that_knows_nothing() -> anyhow::Result<()> {
    let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    let empty = Upstream::answering("application/json", empty)?;
    metrics_from(empty.address())
}

/// A Prometheus that takes the question and never answers.
fn a_prometheus_that_is_silent() -> anyhow::Result<()> {
    let silent = TcpListener::bind("127.0.0.1:0")?;
    metrics_from(silent.local_addr()?)
}

/// Whatever stands at the address of the metrics, nothing is injected without data, and the address is named.
fn metrics_from(address: SocketAddr) -> anyhow::Result<()> {
    let times = Times {
        baseline_s: 2,
        ..Times::default()
    };
    let rig = Rig::start(programs!(), Build::Hardened, times)?;
    let text = rig.plan_text()?;
    let scrape = text
        .lines()
        .find(|line| line.starts_with("scrape = "))
        .context("no scrape")?;
    rig.edit_plan(scrape, &format!("prometheus = \"http://{address}\""))?;
    let finished = rig.run(ENDS_WITHIN)?.expect_code(4)?;
    ensure!(finished.said().contains("inconclusive"), "{}", finished.said());
    let hit = rig.agent.injections()?.iter().any(|it| it["fault"] != "noop");
    ensure!(!hit, "something was injected");
    rig.wait_until_closed()
}

/// The folder for the journal is a file.
fn no_room_for_a_journal() -> anyhow::Result<()> {
    let rig = Rig::start(programs!(), Build::Hardened, Times::default())?;
    std::fs::write(rig.report(), "in the way")?;
    let finished = rig.run(PATIENCE)?;
    ensure!(
        finished.code == Some(2) || finished.code == Some(4),
        "{:?}: {}",
        finished.code,
        finished.said()
    );
    let path = rig.report();
    ensure!(
        finished.err.contains(&path.display().to_string()),
        "the folder is not named: {}",
        finished.err
    );
    ensure!(rig.agent.injections()?.is_empty(), "something was injected");
    Ok(())
}

/// A file system of its own in memory; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, size: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&at)?;
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "firedrill-test"])
            .arg(&at)
            .status()?;
        ensure!(status.success(), "mount: {status}");
        Ok(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

/// The disk under the journal fills up while a fault is on: that is a reason to stop.
fn a_disk_that_fills_up() -> anyhow::Result<()> {
    let times = Times {
        fault_s: 60,
        lease_s: 30,
        ..Times::default()
    };
    let rig = Rig::start(programs!(), Build::Hardened, times)?;
    let disk = SmallDisk::mount(rig.report(), "1m")?;
    let console = rig.run_until_fault()?;
    fill(&disk.0.join("filler"))?;
    rig.wait_until_normal(Duration::from_secs(15))?;
    let finished = console.finish(ENDS_WITHIN)?.expect_code(4)?;
    ensure!(
        finished.said().contains("journal"),
        "no word of the journal: {}",
        finished.said()
    );
    rig.wait_until_closed()?;
    rig.wait_until_orders_work()?;
    Ok(())
}

/// Takes what is left of a disk.
fn fill(path: &Path) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path)?;
    for size in [64 * 1024, 512, 1] {
        let piece = vec![0_u8; size];
        while file.write_all(&piece).is_ok() {}
    }
    Ok(())
}
