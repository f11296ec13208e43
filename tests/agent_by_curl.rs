//! An agent can be driven by curl alone, as the protocol says: for an emergency without a console.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firedrill_testing::{Agent, Folder, Peer, Upstream, programs, run, test, wait_for};
use serde_json::{Value, json};

const CURL: &[Peer] = &[Peer::Curl];

fn main() -> ExitCode {
    run(
        4,
        vec![
            test("a_whole_life", CURL, a_whole_life),
            test("abort_latches_until_release", CURL, abort_latches_until_release),
            test("an_abort_needs_no_body", CURL, an_abort_needs_no_body),
            test("no_entry_without_the_token", CURL, no_entry_without_the_token),
            test("every_mistake_at_once", CURL, every_mistake_at_once),
            test("the_dead_stay_dead", CURL, the_dead_stay_dead),
            test("too_large_is_refused", CURL, too_large_is_refused),
            test("a_lapsed_lease_reverts", CURL, a_lapsed_lease_reverts),
            test("events_and_metrics", CURL, events_and_metrics),
        ],
    )
}

/// An agent with an HTTP route to a server that answers at once, and curl.
struct Bench {
    agent: Agent,
    route: String,
    _upstream: Upstream,
}

/// What curl brought back.
struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("not JSON: {}", self.body))
    }

    fn expect(self, status: u16) -> anyhow::Result<Value> {
        ensure!(
            self.status == status,
            "{} instead of {status}: {}",
            self.status,
            self.body
        );
        self.json()
    }

    /// A refusal with this status that says what to do about it.
    fn expect_problem(self, status: u16, kind: &str) -> anyhow::Result<Value> {
        let problem = self.expect(status)?;
        ensure!(problem["type"] == kind, "not {kind}: {problem}");
        for part in ["title", "detail", "remedy"] {
            ensure!(
                problem[part].as_str().is_some_and(|text| !text.is_empty()),
                "no {part}: {problem}"
            );
        }
        Ok(problem)
    }
}

fn curl(words: &[&str]) -> anyhow::Result<Answer> {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--write-out",
            "\n%{http_code}",
        ])
        .args(words)
        .output()?;
    ensure!(
        output.status.success(),
        "curl {words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let (body, status) = text.rsplit_once('\n').context("no status")?;
    Ok(Answer {
        status: status.parse()?,
        body: body.to_owned(),
    })
}

impl Bench {
    fn start() -> anyhow::Result<Self> {
        let upstream = Upstream::start()?;
        let agent = Agent::build(programs!())
            .label("service=payments")
            .http_route("payment-http", upstream.address())?
            .start()?;
        let route = format!("http://{}/api/payment", agent.route("payment-http")?);
        Ok(Self {
            agent,
            route,
            _upstream: upstream,
        })
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let url = format!("http://{}{path}", self.agent.listen);
        let entry = format!("Authorization: Bearer {}", self.agent.token);
        let text = body.to_string();
        let mut words = vec!["-X", method, "-H", &entry];
        if !body.is_null() {
            words.extend(["-H", "Content-Type: application/json", "--data-binary", &text]);
        }
        words.push(&url);
        curl(&words)
    }

    /// How long a client waits for an answer through the route.
    fn felt(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let answer = curl(&[&self.route])?;
        ensure!(
            answer.status == 200 && answer.body == "ok",
            "{} {}",
            answer.status,
            answer.body
        );
        Ok(began.elapsed())
    }

    fn opening(drill: &str, lease_ms: u64) -> Value {
        json!({
            "drill": drill, "nonce": "n-1", "experiment": "by hand", "console": "curl", "who": "somebody",
            "lease_ms": lease_ms,
        })
    }

    /// Opens a drill; the fence of its calls and its epoch.
    fn open(&self, drill: &str, lease_ms: u64) -> anyhow::Result<(Value, u64)> {
        let opened = self
            .call("POST", "/v1/drills", &Self::opening(drill, lease_ms))?
            .expect(200)?;
        let fence = json!({
            "drill": drill, "epoch": opened["epoch"], "instance": opened["instance"], "holder": opened["holder"],
        });
        Ok((fence, opened["epoch"].as_u64().context("no epoch")?))
    }

    fn tick(&self) -> anyhow::Result<u64> {
        let info = self.call("GET", "/v1/agent", &Value::Null)?.expect(200)?;
        info["tick"].as_u64().context("no tick")
    }

    fn latency(&self, fence: &Value, delay: &str) -> anyhow::Result<Value> {
        Ok(json!({
            "fence": fence, "fault": "http.latency", "parameters": { "delay": delay },
            "scope": { "route": "payment-http" }, "ends_in_ms": 60_000, "not_after": self.tick()? + 10_000_000,
        }))
    }

    fn start_latency(&self, fence: &Value, id: &str, delay: &str) -> anyhow::Result<()> {
        let body = self.latency(fence, delay)?;
        self.call("PUT", &format!("/v1/injections/{id}"), &body)?
            .expect(200)?;
        self.agent.wait_for_state(id, "active").map(drop)
    }

    fn normal_again(&self) -> anyhow::Result<Duration> {
        wait_for(Duration::from_secs(5), "the route is normal again", || {
            Ok(self.felt()? < Duration::from_millis(200))
        })
    }
}

/// Who speaks is in the body of every answer.
fn expect_stamp(answer: &Value) -> anyhow::Result<()> {
    for part in ["agent", "instance", "tick"] {
        ensure!(!answer[part].is_null(), "no {part}: {answer}");
    }
    Ok(())
}

fn a_whole_life() -> anyhow::Result<()> {
    let it = Bench::start()?;
    let info = it.call("GET", "/v1/agent", &Value::Null)?.expect(200)?;
    expect_stamp(&info)?;
    ensure!(
        info["protocol"] == 1 && info["latch"].is_null() && info["open"].is_null(),
        "{info}"
    );
    ensure!(info["labels"]["service"] == "payments", "{info}");
    let faults = info["faults"].as_array().context("no faults")?;
    let latency = faults
        .iter()
        .find(|fault| fault["name"] == "http.latency")
        .context("no http.latency")?;
    ensure!(
        latency["available"] == true && latency["schema"]["properties"]["delay"].is_object(),
        "{latency}"
    );

    let hits = it
        .call("POST", "/v1/preview", &json!({
            "fault": "http.latency", "parameters": { "delay": "400ms" }, "scope": { "route": "payment-http" },
        }))?
        .expect(200)?;
    ensure!(hits["hits"].to_string().contains("payment-http"), "{hits}");

    let (fence, epoch) = it.open("d-1", 20_000)?;
    let again = it
        .call("POST", "/v1/drills", &Bench::opening("d-1", 20_000))?
        .expect(200)?;
    ensure!(
        again["epoch"] == epoch && again["holder"] == fence["holder"],
        "a repeat with its nonce: {again}"
    );

    it.normal_again()?;
    it.start_latency(&fence, "i-1", "400ms")?;
    let felt = it.felt()?;
    ensure!(
        felt >= Duration::from_millis(400),
        "the fault is not felt: {felt:?}"
    );

    let body = json!({
        "fence": fence, "revision": 1, "not_after": it.tick()? + 10_000_000, "parameters": { "delay": "800ms" },
    });
    let changed = it.call("PATCH", "/v1/injections/i-1", &body)?.expect(200)?;
    ensure!(changed["revision"] == 1, "{changed}");
    let felt = it.felt()?;
    ensure!(
        felt >= Duration::from_millis(800),
        "the change is not felt: {felt:?}"
    );

    let renewal = json!({ "fence": fence, "seen": it.tick()? });
    it.call("POST", &format!("/v1/drills/{epoch}/lease"), &renewal)?
        .expect(200)?;

    let reverted = it
        .call("DELETE", "/v1/injections/i-1", &Value::Null)?
        .expect(200)?;
    ensure!(
        reverted["state"] == "reverted",
        "answered before the read-back: {reverted}"
    );
    ensure!(
        reverted["evidence"]["words"]
            .as_str()
            .is_some_and(|words| !words.is_empty()),
        "{reverted}"
    );
    let felt = it.felt()?;
    ensure!(felt < Duration::from_millis(300), "reverted, but felt: {felt:?}");

    let closed = it
        .call(
            "DELETE",
            &format!("/v1/drills/{epoch}"),
            &json!({ "journal": "abc", "unknown": 1 }),
        )?
        .expect(200)?;
    ensure!(closed["injections"][0]["state"] == "reverted", "{closed}");
    let info = it.call("GET", "/v1/agent", &Value::Null)?.expect(200)?;
    ensure!(info["open"].is_null() && info["latch"].is_null(), "{info}");
    // Written by a thread of its own.
    wait_for(Duration::from_secs(5), "the audit log tells it", || {
        let audit = std::fs::read_to_string(it.agent.state.join("audit.log"))?;
        Ok(audit.contains("i-1") && audit.contains("abc"))
    })?;
    Ok(())
}

fn abort_latches_until_release() -> anyhow::Result<()> {
    let it = Bench::start()?;
    let (fence, _) = it.open("d-1", 20_000)?;
    it.start_latency(&fence, "i-1", "3s")?;

    // The second listener, with nothing but the abort-only token.
    let token = std::fs::read_to_string(it.agent.state.join("abort-token"))?;
    let entry = format!("Authorization: Bearer {}", token.trim());
    let url = format!("http://{}/v1/abort", it.agent.abort_listen);
    let body = json!({ "abort": "a-1", "reason": "it hurts", "who": "somebody" }).to_string();
    let answer = curl(&["-X", "POST", "-H", &entry, "--data-binary", &body, &url])?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
    let felt = it.felt()?;
    ensure!(felt < Duration::from_millis(500), "aborted, but felt: {felt:?}");

    let lines = answer
        .body
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Value>, _>>()?;
    // A read-back may be told before the latch is on disk: the revert waits for nothing.
    let line = |kind: &str| -> anyhow::Result<&Value> {
        lines
            .iter()
            .find(|line| line["line"] == kind)
            .with_context(|| format!("no {kind}: {}", answer.body))
    };
    ensure!(lines.len() == 4 && lines[3]["line"] == "end", "{}", answer.body);
    let received = line("received")?;
    ensure!(
        received["durable"] == true && received["latch"]["reason"] == "it hurts",
        "{received}"
    );
    ensure!(line("reverted")?["state"] == "reverted", "{}", answer.body);
    ensure!(
        line("proved")?["clean"] == true && lines[3]["clean"] == true,
        "{}",
        answer.body
    );

    it.call("POST", "/v1/drills", &Bench::opening("d-2", 20_000))?
        .expect_problem(423, "latched")?;
    let number = received["latch"]["number"].as_u64().context("no number")?;
    let release = |number: u64| json!({ "latch": number, "reason": "mended", "who": "somebody" });
    it.call("POST", "/v1/release", &release(number + 1))?
        .expect_problem(409, "held")?;
    it.call("POST", "/v1/release", &release(number))?.expect(200)?;
    // Released, but the aborted drill is dead for good.
    it.call("POST", "/v1/drills", &Bench::opening("d-1", 20_000))?
        .expect_problem(412, "fenced")?;
    it.open("d-2", 20_000)?;
    Ok(())
}

fn an_abort_needs_no_body() -> anyhow::Result<()> {
    let it = Bench::start()?;
    let entry = format!("Authorization: Bearer {}", it.agent.token);
    for (number, body) in [(1, ""), (2, "{\"abort\": half")] {
        let (fence, _) = it.open(&format!("d-{number}"), 20_000)?;
        it.start_latency(&fence, &format!("i-{number}"), "3s")?;
        let url = format!("http://{}/v1/abort", it.agent.listen);
        let answer = curl(&["-X", "POST", "-H", &entry, "--data-binary", body, &url])?;
        ensure!(
            answer.status == 200 && answer.body.contains("\"end\""),
            "{} {}",
            answer.status,
            answer.body
        );
        ensure!(it.felt()? < Duration::from_millis(500), "aborted, but felt");
        it.agent.release()?;
    }
    Ok(())
}

fn no_entry_without_the_token() -> anyhow::Result<()> {
    let it = Bench::start()?;
    let (first, second) = (it.agent.listen, it.agent.abort_listen);
    let entry = format!("Authorization: Bearer {}", it.agent.token);
    for port in [first, second] {
        let url = format!("http://{port}/v1/agent");
        curl(&[&url])?.expect_problem(401, "unauthorized")?;
        curl(&["-H", "Authorization: Bearer 0123456789abcdef", &url])?.expect_problem(401, "unauthorized")?;
        // A page of the web that has made a name of its own point here.
        curl(&["-H", &entry, "-H", "Host: rebound.example", &url])?.expect_problem(403, "policy")?;
        curl(&["-H", &entry, &url])?.expect(200)?;
        let health = curl(&[&format!("http://{port}/healthz")])?;
        ensure!(health.status == 200, "{}", health.status);
    }
    let url = format!("http://{first}/v1/drills");
    let opening = Bench::opening("d-1", 20_000).to_string();
    let plain = [
        "-X",
        "POST",
        "-H",
        &entry,
        "-H",
        "Content-Type: text/plain",
        "--data-binary",
        &opening,
        &url,
    ];
    curl(&plain)?.expect_problem(400, "parameters")?;
    let info = it.call("GET", "/v1/agent", &Value::Null)?.expect(200)?;
    ensure!(info["open"].is_null(), "{info}");
    Ok(())
}

fn every_mistake_at_once() -> anyhow::Result<()> {
    let it = Bench::start()?;
    let (fence, epoch) = it.open("d-1", 20_000)?;
    let mut body = it.latency(&fence, "400ms")?;
    body["parameters"] = json!({ "delay": "ten", "share": "120%", "colour": "red" });
    let problem = it
        .call("PUT", "/v1/injections/i-1", &body)?
        .expect_problem(400, "parameters")?;
    let detail = problem["detail"].as_str().unwrap_or_default();
    for wrong in ["delay", "share", "colour"] {
        ensure!(detail.contains(wrong), "{wrong} is not in {detail}");
    }
    let mut body = it.latency(&fence, "400ms")?;
    body["surprise"] = json!(1);
    it.call("PUT", "/v1/injections/i-1", &body)?
        .expect_problem(400, "parameters")?;
    let mut body = it.latency(&fence, "400ms")?;
    body["ends_in_ms"] = json!(24 * 3_600_000_u64);
    it.call("PUT", "/v1/injections/i-9", &body)?
        .expect_problem(403, "policy")?;
    let mut body = it.latency(&fence, "400ms")?;
    body["scope"] = json!({ "route": "nowhere" });
    let problem = it.call("PUT", "/v1/injections/i-8", &body)?;
    ensure!(
        [400, 422].contains(&problem.status),
        "{} {}",
        problem.status,
        problem.body
    );

    it.call("GET", "/v1/injections/i-1", &Value::Null)?
        .expect_problem(404, "unknown")?;
    it.call("GET", "/v1/nothing", &Value::Null)?
        .expect_problem(404, "unknown")?;
    // A second start of one id with another body, and a second claim of one route.
    it.start_latency(&fence, "i-2", "400ms")?;
    it.call("PUT", "/v1/injections/i-2", &it.latency(&fence, "500ms")?)?
        .expect_problem(409, "held")?;
    it.call("DELETE", &format!("/v1/drills/{epoch}"), &Value::Null)?
        .expect(200)?;
    it.normal_again()?;
    Ok(())
}

fn the_dead_stay_dead() -> anyhow::Result<()> {
    let it = Bench::start()?;
    let (fence, epoch) = it.open("d-1", 20_000)?;
    let body = it.latency(&fence, "400ms")?;
    for (part, wrong) in [
        ("epoch", json!(epoch + 1)),
        ("holder", json!("somebody else")),
        ("instance", json!("another life")),
        ("drill", json!("d-9")),
    ] {
        let mut body = body.clone();
        body["fence"][part] = wrong;
        it.call("PUT", "/v1/injections/i-1", &body)?
            .expect_problem(412, "fenced")
            .with_context(|| format!("another {part}"))?;
    }
    let mut late = body.clone();
    late["not_after"] = json!(1);
    it.call("PUT", "/v1/injections/i-1", &late)?
        .expect_problem(412, "fenced")?;
    // A revert that overtakes its start leaves a tombstone.
    it.call("DELETE", "/v1/injections/i-2", &Value::Null)?
        .expect_problem(404, "unknown")?;
    it.call("PUT", "/v1/injections/i-2", &body)?
        .expect_problem(412, "fenced")?;
    // Somebody else meanwhile.
    let mut other = Bench::opening("d-2", 20_000);
    other["nonce"] = json!("n-2");
    let held = it
        .call("POST", "/v1/drills", &other)?
        .expect_problem(409, "held")?;
    let secret = fence["holder"].as_str().context("no holder")?;
    ensure!(
        held.to_string().contains("somebody") && !held.to_string().contains(secret),
        "{held}"
    );

    it.call("DELETE", &format!("/v1/drills/{epoch}"), &Value::Null)?
        .expect(200)?;
    it.call("PUT", "/v1/injections/i-3", &body)?
        .expect_problem(412, "fenced")?;
    ensure!(it.felt()? < Duration::from_millis(300), "something was started");
    Ok(())
}

fn too_large_is_refused() -> anyhow::Result<()> {
    let it = Bench::start()?;
    let folder = Folder::new()?;
    let file = folder.path().join("large.json");
    let mut opening = Bench::opening("d-1", 20_000);
    opening["who"] = json!("x".repeat(70_000));
    std::fs::write(&file, opening.to_string())?;
    let entry = format!("Authorization: Bearer {}", it.agent.token);
    let data = format!("@{}", file.display());
    let drills = format!("http://{}/v1/drills", it.agent.listen);
    let mut words = vec![
        "-X",
        "POST",
        "-H",
        &entry,
        "-H",
        "Content-Type: application/json",
        "-H",
        "Expect:",
    ];
    words.extend(["--data-binary", &data]);
    curl(&[&words[..], &[drills.as_str()]].concat())?.expect_problem(413, "too-large")?;
    // Only an abort is never too large.
    let (fence, _) = it.open("d-2", 20_000)?;
    it.start_latency(&fence, "i-1", "3s")?;
    let abort = format!("http://{}/v1/abort", it.agent.listen);
    let answer = curl(&[&words[..], &[abort.as_str()]].concat())?;
    ensure!(
        answer.status == 200 && answer.body.contains("\"end\""),
        "{} {}",
        answer.status,
        answer.body
    );
    ensure!(it.felt()? < Duration::from_millis(500), "aborted, but felt");
    Ok(())
}

fn a_lapsed_lease_reverts() -> anyhow::Result<()> {
    let it = Bench::start()?;
    let (fence, epoch) = it.open("d-1", 2_000)?;
    it.start_latency(&fence, "i-1", "600ms")?;
    let opened = Instant::now();
    let view = it.agent.wait_for_state("i-1", "reverted")?;
    let lapsed = opened.elapsed();
    ensure!(
        view["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("lease")),
        "{view}"
    );
    ensure!(lapsed < Duration::from_secs(4), "only after {lapsed:?}");
    it.normal_again()?;
    let renewal = json!({ "fence": fence, "seen": it.tick()? });
    it.call("POST", &format!("/v1/drills/{epoch}/lease"), &renewal)?
        .expect_problem(412, "fenced")?;
    Ok(())
}

fn events_and_metrics() -> anyhow::Result<()> {
    let it = Bench::start()?;
    let (fence, epoch) = it.open("d-1", 20_000)?;
    it.start_latency(&fence, "i-1", "100ms")?;
    let metrics = it.call("GET", "/metrics", &Value::Null)?;
    let active = metrics
        .body
        .lines()
        .find(|line| line.starts_with("chaos_injection_active{"));
    ensure!(
        active.is_some_and(|line| line.ends_with(" 1")),
        "{}",
        metrics.body
    );
    it.call("DELETE", &format!("/v1/drills/{epoch}"), &Value::Null)?
        .expect(200)?;
    let metrics = it.call("GET", "/metrics", &Value::Null)?;
    ensure!(
        metrics.body.contains("chaos_injection_duration_seconds"),
        "{}",
        metrics.body
    );

    let entry = format!("Authorization: Bearer {}", it.agent.token);
    let info = it.call("GET", "/v1/agent", &Value::Null)?.expect(200)?;
    let resume = format!(
        "Last-Event-ID: {}:0",
        info["instance"].as_str().context("no instance")?
    );
    let url = format!("http://{}/v1/events", it.agent.listen);
    let output = Command::new("curl")
        .args([
            "--silent",
            "--no-buffer",
            "--max-time",
            "2",
            "-H",
            &entry,
            "-H",
            &resume,
            &url,
        ])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    for kind in ["event: opened", "event: injection", "event: ended"] {
        ensure!(
            text.contains(kind),
            "no {kind} among the events that are kept: {text}"
        );
    }
    Ok(())
}
