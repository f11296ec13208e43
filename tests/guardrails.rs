//! Guardrails refuse by their name and say what would satisfy them, an override and a second person are journaled,
//! a harm budget ends a real drill, and a stop tells who is to know and sends its emergency action after the reverts.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use firedrill_demo::Build;
use firedrill_testing::{Folder, Rig, Times, Trial, Upstream, programs, test, wait_until};
use nix::sys::signal::Signal;

const ENDS_WITHIN: Duration = Duration::from_mins(2);
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

pub fn tests() -> Vec<Trial> {
    vec![
        test(
            "every_rule_refuses_by_its_name",
            &[],
            every_rule_refuses_by_its_name,
        ),
        test("overridden_and_approved", &[], overridden_and_approved),
        test("a_harm_budget_ends_a_drill", &[], a_harm_budget_ends_a_drill),
        test("told_and_acted_on", &[], told_and_acted_on),
        test(
            "an_agent_runs_what_its_host_allows",
            &[],
            an_agent_runs_what_its_host_allows,
        ),
    ]
}

pub fn rig(build: Build, fault_s: u32, more: &str) -> anyhow::Result<Rig> {
    let times = Times {
        fault_s,
        ..Times::default()
    };
    let rig = Rig::start(programs!(), build, times)?;
    let text = rig.plan_text()?;
    ensure!(
        !text.contains("[guardrails]"),
        "the demo's plan has guardrails of its own"
    );
    std::fs::write(&rig.plan, format!("{text}\n{more}\n"))?;
    Ok(rig)
}

/// Three days from now: never today, however long the test takes.
fn another_day() -> anyhow::Result<&'static str> {
    let days = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 86_400;
    // 1970 began with a Thursday.
    Ok(DAYS[(days as usize + 3 + 3) % 7])
}

/// An address at which nobody listens.
fn nobody() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn every_rule_refuses_by_its_name() -> anyhow::Result<()> {
    let rules = format!(
        "[guardrails]\nmax_duration = \"1s\"\nforbid = [\"http.*\"]\nstaffed = \"{} 10:00-16:00 UTC\"\n\
         peak = \"00:00-24:00\"\napproval = true\nalertmanager = \"http://{}\"\n",
        another_day()?,
        nobody()?
    );
    let rig = rig(Build::Hardened, 20, &rules)?;
    let refused = rig.run(ENDS_WITHIN)?.expect_code(4)?;
    for expected in [
        "guardrail duration: the longest injection is 20 s, at most 1 s",
        "guardrail forbid: http.latency is forbidden",
        "guardrail staffed: nobody is there now",
        "guardrail peak: it is a peak hour",
        "guardrail approval: the plan asks for a second person",
        "guardrail alerts: whether alerts are open is not known",
        "--override staffed=REASON",
        "--approved-by NAME",
    ] {
        ensure!(refused.out.contains(expected), "{expected}\n{}", refused.said());
    }
    rig.expect_nothing_on()?;

    // An Alertmanager that answers, with an alert.
    let open = Upstream::answering("application/json", r#"[{"labels":{"alertname":"DiskFull"}}]"#)?;
    let text = rig.plan_text()?;
    let (before, _) = text.split_once("[guardrails]").context("guardrails")?;
    let plan = format!(
        "{before}[guardrails]\nalertmanager = \"http://{}\"\n",
        open.address()
    );
    std::fs::write(&rig.plan, plan)?;
    let refused = rig.run(ENDS_WITHIN)?.expect_code(4)?;
    ensure!(
        refused.out.contains("guardrail alerts: 1 alert open: DiskFull"),
        "{}",
        refused.said()
    );
    Ok(())
}

fn overridden_and_approved() -> anyhow::Result<()> {
    let rules = "[guardrails]\npeak = \"00:00-24:00 UTC\"\napproval = true\n";
    let rig = rig(Build::Hardened, 3, rules)?;
    let words = rig.run_words()?;
    let with = |more: &[&str]| -> anyhow::Result<_> {
        let words = words.iter().map(String::as_str).chain(more.iter().copied());
        rig.firedrill.run(&words.collect::<Vec<_>>(), ENDS_WITHIN)
    };
    // A second person has another name than who drives, a reason is not empty, a rule has its name.
    let same = with(&["--override", "peak=a test", "--approved-by", "tests"])?.expect_code(4)?;
    ensure!(
        same.out.contains("an approval is by a second person"),
        "{}",
        same.said()
    );
    let near = with(&["--override", "peek=a test"])?.expect_code(2)?;
    ensure!(near.err.contains("did you mean \"peak\"?"), "{}", near.said());
    with(&["--override", "peak= "])?.expect_code(2)?;
    with(&["--override", "approval=no time"])?.expect_code(2)?;

    let held = with(&["--override", "peak=nobody sleeps here", "--approved-by", "Grace"])?.expect_code(0)?;
    ensure!(held.out.contains("Grace approves the start"), "{}", held.said());
    let report = std::fs::read_to_string(rig.report().join("report.md"))?;
    ensure!(
        report.contains("overridden by tests: nobody sleeps here"),
        "{report}"
    );
    ensure!(report.contains("approved by Grace"), "{report}");
    Ok(())
}

fn a_harm_budget_ends_a_drill() -> anyhow::Result<()> {
    let rig = rig(
        Build::Fragile,
        40,
        "[guardrails]\nharm_budget = { per_drill = \"1s\", per_day = \"1500ms\" }\n",
    )?;
    // The stop conditions leave it to the budget.
    rig.edit_plan("after = 2 }", "after = 100 }")?;
    let ended = rig.run(ENDS_WITHIN)?.expect_code(3)?;
    ensure!(
        ended
            .out
            .contains("guardrail harm-budget: nothing left of 1 s of bad time for this drill"),
        "{}",
        ended.said()
    );
    rig.wait_until_closed()?;
    ensure!(rig.agent.latch()?.is_none(), "a guardrail does not latch");
    let report = rig.report_json()?;
    let abort = &report["safety"]["aborts"][0];
    for key in ["received_us", "reverted_us", "proved_us"] {
        ensure!(abort[key].is_u64(), "{key} in {abort}");
    }
    ensure!(
        abort["test_us"]["Ok"].is_u64(),
        "the abort test's time in {abort}"
    );

    // What it spent counts for the day.
    rig.wait_until_orders_work()?;
    rig.edit_plan("per_day = \"1500ms\"", "per_day = \"1s\"")?;
    let refused = rig.run(ENDS_WITHIN)?.expect_code(4)?;
    ensure!(
        refused
            .out
            .contains("guardrail harm-budget: nothing left of 1 s of bad time for 24 hours"),
        "{}",
        refused.said()
    );
    Ok(())
}

/// Keeps what it is sent: path and body.
pub struct Recorder {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<(String, String)>>>,
}

impl Recorder {
    pub fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&heard);
        std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if let Ok(request) = receive(stream) {
                        keep.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                    }
                }
            })?;
        Ok(Self { address, heard })
    }

    pub fn heard(&self) -> Vec<(String, String)> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn receive(stream: TcpStream) -> anyhow::Result<(String, String)> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split_whitespace().nth(1).context("no path")?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    reader
        .get_mut()
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
    Ok((path, String::from_utf8(body)?))
}

fn told_and_acted_on() -> anyhow::Result<()> {
    let recorder = Recorder::start()?;
    let to = recorder.address;
    let rules = format!(
        "[[experiment.on_stop]]\nhttp = {{ url = \"http://{to}/scale\", body = \"{{}}\" }}\n\
         [[experiment.on_stop]]\nwhen = [\"abort\"]\nhttp = {{ url = \"http://{to}/page\" }}\n\
         [[alert]]\nkind = \"webhook\"\nurl = \"http://{to}/hook\"\n\
         [[alert]]\nkind = \"alertmanager\"\nurl = \"http://{to}\"\n\
         [[alert]]\nkind = \"webhook\"\nurl = \"http://{}/\"\n",
        nobody()?
    );
    let rig = rig(Build::Fragile, 40, &rules)?;
    let broken = rig.run(ENDS_WITHIN)?.expect_code(1)?;
    let heard = recorder.heard();
    let body = |path: &str| {
        heard
            .iter()
            .find(|(known, _)| known == path)
            .map(|(_, body)| body.clone())
    };
    let hook: serde_json::Value = serde_json::from_str(&body("/hook").context("no webhook")?)?;
    ensure!(
        hook["event"] == "stopped" && hook["rule"] == "stop condition",
        "{hook}"
    );
    let posted: serde_json::Value = serde_json::from_str(&body("/api/v2/alerts").context("no alert")?)?;
    ensure!(posted[0]["labels"]["alertname"] == "FiredrillStopped", "{posted}");
    ensure!(body("/scale").as_deref() == Some("{}"), "the action: {heard:?}");
    ensure!(body("/page").is_none(), "an abort's action after a breach");

    let report = rig.report_json()?;
    let safety = &report["safety"];
    ensure!(safety["actions"][0]["sent"][0] == "by the stop: done", "{safety}");
    ensure!(
        safety["alerts"][2]["answer"]["Err"].is_string(),
        "who cannot be told is said: {safety}"
    );
    // After the reverts: in the journal the action stands behind the abort.
    let place = |what: &str| {
        broken
            .out
            .find(what)
            .with_context(|| format!("no {what} in {}", broken.said()))
    };
    ensure!(
        place("bad samples in a row")? < place("/scale: done")?,
        "{}",
        broken.said()
    );
    Ok(())
}

fn an_agent_runs_what_its_host_allows() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let (policy, ran) = (folder.path().join("policy.toml"), folder.path().join("ran"));
    let allow = |name: &str| {
        let text = format!(
            "[command.{name}]\nprogram = \"/bin/sh\"\narguments = [\"-c\", \"echo ran >> {}; exit 4\"]\n",
            ran.display()
        );
        std::fs::write(&policy, text)
    };
    allow("another")?;
    let words = ["--policy", policy.to_str().context("the path is UTF-8")?];
    let times = Times {
        fault_s: 40,
        ..Times::default()
    };
    let mut rig = Rig::start_with(programs!(), Build::Fragile, times, |agent| agent.words(&words))?;
    rig.firedrill.know(&[&rig.agent])?;
    let text = rig.plan_text()?;
    let action = format!(
        "[[experiment.on_stop]]\ncommand = {{ agent = \"{}\", name = \"restart\" }}\n",
        firedrill_demo::AGENT_NAME
    );
    std::fs::write(&rig.plan, format!("{text}\n{action}"))?;
    let refused = rig.run(ENDS_WITHIN)?.expect_code(4)?;
    ensure!(
        refused
            .out
            .contains("its host does not allow it (it allows another)"),
        "{}",
        refused.said()
    );
    ensure!(!ran.exists(), "refused, and yet it ran");

    allow("restart")?;
    rig.agent.process.signal(Signal::SIGHUP)?;
    wait_until(ENDS_WITHIN, "the policy is read again", || {
        Ok((rig.agent.info()?["commands"][0] == "restart").then_some(()))
    })?;
    let broken = rig.run(ENDS_WITHIN)?.expect_code(1)?;
    ensure!(std::fs::read_to_string(&ran)? == "ran\n", "it ran once");
    let report = rig.report_json()?;
    let sent = report["safety"]["actions"][0]["sent"][0]
        .as_str()
        .unwrap_or_default();
    ensure!(sent.starts_with("by the stop: exit code 4 after "), "{report}");
    let place = |what: &str| {
        let found = broken.out.find(what);
        found.with_context(|| format!("no {what} in {}", broken.said()))
    };
    ensure!(
        place("bad samples in a row")? < place(": exit code 4 after ")?,
        "{}",
        broken.said()
    );
    Ok(())
}
