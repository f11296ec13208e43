//! The host's policy: every rule, and a file that cannot be read.

use super::*;
use serde_json::json;

fn ask(
    policy: &Policy,
    who: &str,
    fault: &str,
    parameters: Value,
    route: Option<&str>,
    ms: u64,
) -> Result<(), String> {
    let spec = firedrill_catalogue::find(fault).unwrap();
    let parameters = firedrill_catalogue::check(spec, &parameters).unwrap();
    let prepared = Prepared::default();
    let asked = Asked {
        who,
        spec,
        parameters: &parameters,
        route,
        prepared: Some(&prepared),
        ends_in_ms: Some(ms),
    };
    policy.check(asked).map_err(|problem| {
        assert_eq!(problem.kind, ProblemKind::Policy);
        problem.to_string()
    })
}

const FILE: &str = r#"
faults = ["http.*", "tcp.bandwidth", "cpu.burn", "memory.fill", "process.kill"]
routes = ["pay*ments", "db"]
longest = "10m"

[strongest."http.*"]
share = "50%"
[strongest."http.latency"]
delay = "500ms"
path = "/api/"
[strongest."tcp.bandwidth"]
rate = "64KB/s"
[strongest."cpu.burn"]
cores = 2
[strongest."memory.fill"]
size = "1GiB"
keep_free = "512MiB"
[strongest."process.kill"]
signal = "TERM"
"#;

#[test]
fn every_rule_refuses_what_goes_too_far_and_lets_pass_what_does_not() {
    let policy = Policy::parse(FILE).unwrap();
    let latency =
        |delay: &str, share: &str, path: &str| json!({"delay": delay, "share": share, "path": path});
    let good = latency("500ms", "50%", "/api/pay");
    assert_eq!(
        ask(&policy, "x", "http.latency", good.clone(), Some("db"), 600_000),
        Ok(())
    );
    assert_eq!(ask(&policy, "x", "noop", json!({}), None, 6_000_000), Ok(()));
    for (words, fault, parameters, route, ms) in [
        ("longest", "http.latency", good.clone(), "db", 600_001),
        ("routes", "http.latency", good.clone(), "stock", 1_000),
        ("faults", "tcp.refuse", json!({}), "db", 1_000),
        (
            "at most 500 ms",
            "http.latency",
            latency("501ms", "1%", "/api/"),
            "db",
            1_000,
        ),
        (
            "at most 50.0 %",
            "http.latency",
            latency("1ms", "51%", "/api/"),
            "db",
            1_000,
        ),
        (
            "begin with",
            "http.latency",
            latency("1ms", "1%", "/ap"),
            "db",
            1_000,
        ),
        (
            "begin with",
            "http.latency",
            json!({"delay": "1ms", "share": "1%"}),
            "db",
            1_000,
        ),
        ("share", "http.status", json!({"code": 503}), "db", 1_000),
        (
            "at least 64000",
            "tcp.bandwidth",
            json!({"rate": "63KB/s"}),
            "db",
            1_000,
        ),
        (
            "at most 1073741824",
            "memory.fill",
            json!({"size": "2GiB", "keep_free": "1GiB"}),
            "",
            1_000,
        ),
        (
            "at least 536870912",
            "memory.fill",
            json!({"size": "1GiB"}),
            "",
            1_000,
        ),
        (
            "same unit",
            "memory.fill",
            json!({"size": "5%", "keep_free": "1GiB"}),
            "",
            1_000,
        ),
        ("only TERM", "process.kill", json!({}), "", 1_000),
        ("at most 2", "cpu.burn", json!({"cores": 3}), "", 1_000),
    ] {
        let route = Some(route).filter(|it| !it.is_empty());
        let refusal = ask(&policy, "x", fault, parameters, route, ms).unwrap_err();
        assert!(refusal.contains(words), "{words}: {refusal}");
    }
    let jitter = json!({"delay": "300ms", "jitter": "300ms", "share": "1%", "path": "/api/"});
    assert!(
        ask(&policy, "x", "http.latency", jitter, Some("db"), 1)
            .unwrap_err()
            .contains("600 ms with its jitter")
    );
    assert_eq!(
        ask(
            &policy,
            "x",
            "tcp.bandwidth",
            json!({"rate": "64KB/s"}),
            Some("pay-ments"),
            1
        ),
        Ok(())
    );
    assert!(policy.never("tcp.refuse").is_some() && policy.never("noop").is_none());
}

#[test]
fn who_may_do_what() {
    let policy =
        Policy::parse("[who.ada]\nfaults = [\"http.latency\"]\nlongest = \"1m\"\n[who.bob]\n").unwrap();
    let latency = json!({"delay": "1ms"});
    assert_eq!(
        ask(&policy, "ada", "http.latency", latency.clone(), None, 60_000),
        Ok(())
    );
    assert_eq!(
        ask(&policy, "bob", "tcp.refuse", json!({}), None, 600_000),
        Ok(())
    );
    assert!(
        ask(&policy, "ada", "tcp.refuse", json!({}), None, 1)
            .unwrap_err()
            .contains("who.ada.faults")
    );
    assert!(
        ask(&policy, "ada", "http.latency", latency.clone(), None, 60_001)
            .unwrap_err()
            .contains("who.ada.longest")
    );
    let refusal = ask(&policy, "eve", "http.latency", latency, None, 1).unwrap_err();
    assert!(
        refusal.contains("ada, bob") && refusal.contains("[who.eve]"),
        "{refusal}"
    );
}

#[test]
fn a_broken_file_allows_nothing_and_says_so() {
    for (text, words) in [
        ("fault = []", "fault"),
        ("faults = [\"http.latncy\"]", "http.latncy"),
        ("longest = \"10\"", "longest"),
        ("[strongest.\"http.latency\"]\nshare = \"200%\"", "share"),
        ("[strongest.\"http.latency\"]\nspeed = 1", "speed"),
        ("[who.ada]\nlongst = \"1m\"", "longst"),
        ("faults = [", "faults"),
    ] {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("policy.toml");
        std::fs::write(&path, text).unwrap();
        let policy = Policy::of(Some(&path), true);
        let refusal = ask(&policy, "x", "noop", json!({}), None, 1).unwrap_err();
        assert!(
            refusal.contains(words) && refusal.contains("policy.toml"),
            "{refusal}"
        );
        assert!(policy.view().unwrap().broken.is_some() && policy.never("noop").is_some());
    }
    let missing = Policy::of(Some(Path::new("/nowhere/policy.toml")), false);
    assert!(ask(&missing, "x", "noop", json!({}), None, 1).is_err());
    assert_eq!(
        ask(&Policy::default(), "x", "tcp.refuse", json!({}), None, 1),
        Ok(())
    );
    assert!(Policy::default().view().is_none());
}

#[test]
fn every_process_that_is_hit_must_be_allowed() {
    let policy = Policy::parse("processes = [\"nginx\", \"/usr/bin/*\"]\n").unwrap();
    let process = |name: &str| Process {
        // No such process: its path is not known.
        pid: i32::MAX,
        start_time: 1,
        name: name.to_owned(),
    };
    let spec = firedrill_catalogue::find("network.refuse").unwrap();
    let parameters = firedrill_catalogue::check(spec, &Value::Null).unwrap();
    let check = |process: Option<Process>, members: Vec<Process>| {
        let prepared = Prepared {
            process,
            members,
            ..Prepared::default()
        };
        let asked = Asked {
            who: "x",
            spec,
            parameters: &parameters,
            route: None,
            prepared: Some(&prepared),
            ends_in_ms: Some(1),
        };
        policy.check(asked).map_err(|problem| problem.detail)
    };
    assert_eq!(check(None, Vec::new()), Ok(()));
    assert_eq!(check(Some(process("nginx")), vec![process("nginx")]), Ok(()));
    for refused in [
        check(Some(process("sshd")), Vec::new()),
        check(None, vec![process("nginx"), process("sshd")]),
    ] {
        assert!(refused.unwrap_err().contains("sshd"));
    }
}

#[test]
fn patterns() {
    for (pattern, text) in [
        ("*", ""),
        ("a*", "a"),
        ("a*c", "abc"),
        ("*b*", "abc"),
        ("a*b*c", "aXbYc"),
        ("abc", "abc"),
    ] {
        assert!(matches(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [
        ("a", "ab"),
        ("a*", "b"),
        ("a*a", "a"),
        ("*b", "abc"),
        ("a*b*c", "acb"),
        ("", "a"),
    ] {
        assert!(!matches(pattern, text), "{pattern} {text}");
    }
}

#[test]
fn without_a_file_other_hosts_get_only_what_is_taken_back() {
    let ask_at = |off_loopback: bool, fault: &str, ms: u64| {
        let policy = Policy::of(None, off_loopback);
        ask(&policy, "x", fault, json!({}), Some("r"), ms)
    };
    for spec in FAULTS {
        let taken_back = spec.undo == firedrill_wire::Undo::ProcessHeld
            || ["tcp.cut", "network.reset"].contains(&spec.name);
        let refused = Policy::of(None, true).never(spec.name);
        assert_eq!(refused.is_none(), taken_back, "{}: {refused:?}", spec.name);
    }
    let words = ask_at(true, "tcp.refuse", 600_001).unwrap_err();
    assert!(
        words.contains("longest") && words.contains("--policy FILE"),
        "{words}"
    );
    assert_eq!(ask_at(false, "process.kill", 3_600_000), Ok(()));
    for policy in [Policy::of(None, true), Policy::of(None, false)] {
        assert!(policy.command("restart", "operator").is_err());
    }
}

#[test]
fn a_file_that_anybody_may_change_allows_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("policy.toml");
    std::fs::write(&path, "longest = \"1m\"\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let policy = Policy::of(Some(&path), false);
    let words = ask(&policy, "x", "tcp.refuse", json!({}), None, 1).unwrap_err();
    assert!(words.contains("anybody may change it"), "{words}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let policy = Policy::of(Some(&path), false);
    assert_eq!(ask(&policy, "x", "tcp.refuse", json!({}), None, 1), Ok(()));
}
