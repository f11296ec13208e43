//! A console drives an agent over TLS once it was given its join string, and believes nobody else; tokens do what
//! their role says, the host's policy beats the console, and no secret is in anything that a drill writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use firedrill_demo::Build;
use firedrill_testing::{Agent, Connection, PATIENCE, Peer, Rig, Times, Trial, programs, test};
use serde_json::{Value, json};

const ENDS_WITHIN: Duration = Duration::from_mins(2);

pub fn tests() -> Vec<Trial> {
    vec![
        test(
            "a_drill_over_tls_from_the_join_string_to_the_verdict",
            &[],
            over_tls,
        ),
        test(
            "a_certificate_that_was_not_enrolled_is_not_believed",
            &[],
            wrong_pin,
        ),
        test("tokens_do_what_their_role_says", &[], roles),
        test("the_hosts_policy_beats_the_console", &[], policy),
        test(
            "the_agent_gives_up_what_it_does_not_need",
            &[Peer::Root],
            privileges,
        ),
        test("installed_checked_and_gone", &[], installed),
    ]
}

fn times() -> Times {
    Times {
        fault_s: 5,
        ..Times::default()
    }
}

/// An order system behind an agent that speaks TLS, and an account that does not know it yet.
fn rig() -> anyhow::Result<Rig> {
    Rig::start_with(
        programs!(),
        Build::Hardened,
        times(),
        firedrill_testing::AgentBuilder::tls,
    )
}

/// What `firedrill-agent enroll` prints on the host.
fn join_string(agent: &Agent, extra: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(programs!().agent)
        .arg("enroll")
        .arg("--state")
        .arg(&agent.state)
        .args(extra)
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn over_tls() -> anyhow::Result<()> {
    let rig = rig()?;
    // Unknown: nothing is sent, and it is said what to do.
    let refused = rig.run(ENDS_WITHIN)?;
    ensure!(
        refused.code != Some(0) && refused.said().contains("firedrill-agent enroll"),
        "{}",
        refused.said()
    );
    let line = join_string(&rig.agent, &[])?;
    let enrolled = rig
        .firedrill
        .run(&["enroll", &line, "--name", "payments-1"], PATIENCE)?
        .expect_code(0)?;
    ensure!(
        enrolled.out.contains("it answers") && enrolled.out.contains(&rig.agent.url()),
        "{}",
        enrolled.said()
    );
    let credentials = rig.firedrill.home().join("config/firedrill/credentials.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&credentials)?.permissions());
    ensure!(mode & 0o777 == 0o600, "{mode:o}");
    let finished = rig.run(ENDS_WITHIN)?.expect_code(0)?;
    ensure!(rig.report_json()?["outcome"] == "held", "{}", finished.said());
    rig.expect_nothing_on()?;

    // The card is for aborts: it may hold the abort token, and nothing else may hold any.
    let abort_token = fs::read_to_string(rig.agent.state.join("abort-token"))?;
    let observer_token = fs::read_to_string(rig.agent.state.join("observer-token"))?;
    let secrets = [
        rig.agent.token.as_str(),
        abort_token.trim(),
        observer_token.trim(),
    ];
    let card = rig.firedrill.abort_card();
    for path in files(rig.firedrill.home())? {
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        for (number, secret) in secrets.iter().enumerate() {
            let kept_here = path == credentials || (path == card && number == 1);
            ensure!(
                kept_here || !text.contains(secret),
                "{} holds a secret",
                path.display()
            );
        }
        ensure!(!text.contains(&line), "{} holds the join string", path.display());
    }
    // What the agent writes, but for the token files themselves, holds none either.
    for path in files(&rig.agent.state)? {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with("token") {
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        ensure!(
            secrets.iter().all(|secret| !text.contains(secret)),
            "{} holds a secret",
            path.display()
        );
    }
    for said in [&refused, &finished, &enrolled] {
        ensure!(
            secrets.iter().all(|secret| !said.said().contains(secret)),
            "a secret was printed"
        );
    }
    // The card aborts from any terminal, over TLS too.
    let aborted = rig.firedrill.run(&["abort"], PATIENCE)?.expect_code(0)?;
    ensure!(aborted.out.contains("proved clean"), "{}", aborted.said());
    rig.firedrill.run(&["status"], PATIENCE)?.expect_code(0)?;
    ensure!(rig.agent.latch()?.is_some(), "not latched");
    Ok(())
}

/// Every plain file below a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

fn wrong_pin() -> anyhow::Result<()> {
    let rig = rig()?;
    // A stranger who took over the address: another certificate than the one enrolled.
    let stranger = Agent::build(programs!()).tls().start()?;
    rig.firedrill.know(&[&rig.agent])?;
    let credentials = rig.firedrill.home().join("config/firedrill/credentials.json");
    let of = |agent: &Agent| agent.fingerprint.map(|it| it.to_string()).context("no TLS");
    let text = fs::read_to_string(&credentials)?.replace(&of(&rig.agent)?, &of(&stranger)?);
    fs::write(&credentials, text)?;
    let refused = rig.run(ENDS_WITHIN)?;
    ensure!(refused.code == Some(4), "{:?} {}", refused.code, refused.said());
    for words in [
        of(&rig.agent)?,
        of(&stranger)?,
        "firedrill-agent enroll".to_owned(),
    ] {
        ensure!(
            refused.said().contains(&words),
            "not said: {words}\n{}",
            refused.said()
        );
    }
    ensure!(
        rig.agent.injections()?.is_empty(),
        "something was started all the same"
    );
    Ok(())
}

fn roles() -> anyhow::Result<()> {
    let agent = Agent::build(programs!()).tls().start()?;
    let drill = agent.open("d1", 30_000)?;
    agent.inject(&drill, "i1", "noop", json!({}), json!({}))?;
    let as_of = |file: &str, method: &str, path: &str, body: &Value| -> anyhow::Result<(u16, String)> {
        let token = fs::read_to_string(agent.state.join(file))?;
        let entry = format!("Bearer {}", token.trim());
        let headers = [
            ("Authorization", entry.as_str()),
            ("Content-Type", "application/json"),
        ];
        let mut connection = Connection::open_to(agent.listen, agent.fingerprint, PATIENCE)?;
        let answer = connection.call(method, path, &headers, &body.to_string())?;
        Ok((answer.status, answer.body))
    };
    let start = agent.start_body(&drill, "noop", json!({}), json!({}))?;
    let cases = [
        ("observer-token", "GET", "/v1/injections", 200),
        ("observer-token", "PUT", "/v1/injections/i2", 403),
        ("observer-token", "POST", "/v1/abort", 403),
        ("abort-token", "GET", "/v1/agent", 200),
        ("abort-token", "GET", "/v1/injections", 403),
        ("abort-token", "PUT", "/v1/injections/i2", 403),
        ("abort-token", "DELETE", "/v1/injections/i1", 403),
    ];
    for (file, method, path, status) in cases {
        let (found, body) = as_of(file, method, path, &start)?;
        ensure!(found == status, "{file} {method} {path}: {found} {body}");
    }
    agent.wait_for_state("i1", "active")?;
    let (status, body) = as_of("abort-token", "POST", "/v1/abort", &json!({}))?;
    ensure!(
        status == 200 && body.contains("\"clean\":true"),
        "{status} {body}"
    );
    agent.wait_for_state("i1", "reverted")?;
    Ok(())
}

fn policy() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("policy.toml");
    fs::write(&file, "[strongest.\"http.latency\"]\ndelay = \"50ms\"\n")?;
    let path = file.to_str().context("the path is UTF-8")?;
    let rig = Rig::start_with(programs!(), Build::Hardened, times(), |agent| {
        agent.words(&["--policy", path])
    })?;
    rig.firedrill.know(&[&rig.agent])?;
    ensure!(
        rig.agent.info()?["policy"]["rules"].to_string().contains("50ms"),
        "not shown"
    );
    let refused = rig.run(ENDS_WITHIN)?;
    ensure!(refused.code == Some(4), "{:?} {}", refused.code, refused.said());
    for words in ["http.latency", "at most 50 ms", path] {
        ensure!(
            refused.said().contains(words),
            "not said: {words}\n{}",
            refused.said()
        );
    }
    rig.wait_until_closed()
}

/// A line of `/proc/PID/status`, as a number.
fn capabilities(pid: u32, key: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let value = line.with_context(|| format!("no {key}"))?.trim();
    Ok(u64::from_str_radix(value, 16)?)
}

fn privileges() -> anyhow::Result<()> {
    const DAC_OVERRIDE: u64 = 1 << 1;
    const KILL: u64 = 1 << 5;
    const NET_ADMIN: u64 = 1 << 12;
    const SYS_PTRACE: u64 = 1 << 19;
    const SYS_ADMIN: u64 = 1 << 21;
    const SYS_RESOURCE: u64 = 1 << 24;
    const BPF: u64 = 1 << 39;
    let rig = Rig::start(programs!(), Build::Hardened, times())?;
    let proxy = rig.agent.proxy_pid().context("no proxy")?;
    // On loopback every fault is allowed: what they all need together, as far as this machine's root has it.
    let all = DAC_OVERRIDE | KILL | NET_ADMIN | SYS_PTRACE | SYS_ADMIN | SYS_RESOURCE | BPF;
    let kept = all & capabilities(std::process::id(), "CapBnd:")?;
    for (pid, wanted) in [(rig.agent.process.pid(), kept), (proxy, 0)] {
        // The proxy can no longer shrink its bounding set; with `no_new_privs` a program that it starts gets none of
        // it.
        for (key, wanted) in [
            ("CapEff:", wanted),
            ("CapPrm:", wanted),
            ("CapInh:", 0),
            ("CapAmb:", 0),
            ("CapBnd:", kept),
        ] {
            let found = capabilities(pid, key)?;
            ensure!(found == wanted, "{pid} {key} {found:x} instead of {wanted:x}");
        }
        ensure!(capabilities(pid, "NoNewPrivs:")? == 1, "{pid} can get more");
    }
    let info = rig.agent.info()?;
    ensure!(info["notes"].to_string().contains("CAP_SYS_PTRACE"), "{info}");

    // What no allowed fault needs is not kept.
    for (faults, kept) in [("process.*", KILL | SYS_PTRACE), ("http.*", 0)] {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("policy.toml");
        fs::write(&file, format!("faults = [\"{faults}\"]\n"))?;
        let words = ["--policy", file.to_str().context("the path is UTF-8")?];
        let agent = Agent::build(programs!()).words(&words).start()?;
        for key in ["CapEff:", "CapPrm:", "CapBnd:"] {
            let found = capabilities(agent.process.pid(), key)?;
            ensure!(found == kept, "{faults}: {key} {found:x} instead of {kept:x}");
        }
    }
    Ok(())
}

fn installed() -> anyhow::Result<()> {
    let root = tempfile::tempdir()?;
    let call = |word: &str| -> anyhow::Result<(bool, String)> {
        let output = Command::new(programs!().agent)
            .args([word, "--root"])
            .arg(root.path())
            .output()?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok((output.status.success(), said))
    };
    let (done, said) = call("install")?;
    ensure!(done, "{said}");
    let units = ["firedrill-agent-keeper", "firedrill-agent"]
        .map(|name| root.path().join(format!("etc/systemd/system/{name}.service")));
    if let Ok(output) = Command::new("systemd-analyze")
        .arg("verify")
        .args(&units)
        .output()
    {
        let found = String::from_utf8_lossy(&output.stderr).into_owned();
        let ours: Vec<_> = found
            .lines()
            .filter(|line| line.contains("firedrill-agent"))
            .collect();
        ensure!(ours.is_empty(), "systemd-analyze verify: {found}");
    } else {
        eprintln!("systemd-analyze is not here: the units are checked by the agent's own tests alone");
    }
    // Both start by the words of their units, with the paths of this root.
    let start = |unit: &Path, more: &[&str]| -> anyhow::Result<_> {
        let text = fs::read_to_string(unit)?;
        let line = text.lines().find_map(|line| line.strip_prefix("ExecStart="));
        let mut words = line.context("no ExecStart")?.split(' ');
        let mut command = Command::new(words.next().context("no program")?);
        command.args(words.map(|word| {
            let inside = ["/etc/", "/var/"].iter().any(|it| word.starts_with(it));
            let root = if inside { root.path().to_str() } else { None };
            format!("{}{word}", root.unwrap_or_default())
        }));
        command.args(more);
        firedrill_testing::Process::start("installed", command, root.path())
    };
    let state = root.path().join("var/lib/firedrill-agent");
    let mut keeper = start(&units[0], &[])?;
    let mut agent = start(&units[1], &["--listen", "127.0.0.1:0", "--tls"])?;
    let ready = agent.line(PATIENCE)?;
    ensure!(ready.contains("sha256:"), "{ready}");
    let lock = fs::read_to_string(state.join("keeper.lock"))?;
    let holder = serde_json::from_str::<Value>(&lock)?;
    ensure!(
        holder["pid"] == keeper.pid(),
        "the service keeps the agent: {lock}"
    );
    for process in [&mut agent, &mut keeper] {
        let (done, said) = call("uninstall")?;
        ensure!(!done && said.contains("systemctl disable"), "{said}");
        ensure!(state.join("token").exists(), "refused, and yet removed");
        process.signal(nix::sys::signal::Signal::SIGTERM)?;
        process.wait(PATIENCE)?;
    }
    let (done, said) = call("uninstall")?;
    ensure!(done && said.contains("gone") && !said.contains("LEFT"), "{said}");
    for gone in [
        &units[0],
        &units[1],
        &state,
        &root.path().join("etc/firedrill-agent"),
    ] {
        ensure!(!gone.exists(), "{} is left", gone.display());
    }
    Ok(())
}
