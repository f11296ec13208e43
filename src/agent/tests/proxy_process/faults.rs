//! The faults on routes through the trait that the agent's host calls.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use firedrill_agent::config::SelfCommand;
use firedrill_agent::faults::{self, Fault, Held, Order, Pen};
use firedrill_agent::undo::records::Records;
use firedrill_agent::undo::{RECORD_VERSION, Record, Undo};
use firedrill_ward::Key;
use firedrill_wire::{Epoch, Evidence, InjectionId, Instance, ProblemKind, Scope, Tick};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::rig::{Rig, get, send};

pub const TESTS: &[(&str, fn())] = &[
    (
        "latency_is_applied_changed_reverted_and_proved",
        latency_is_applied_changed_reverted_and_proved,
    ),
    (
        "status_is_applied_reverted_and_proved",
        status_is_applied_reverted_and_proved,
    ),
    (
        "every_fault_on_requests_is_met_by_its_probe_and_then_not",
        every_fault_on_requests_is_met_by_its_probe_and_then_not,
    ),
    (
        "parameters_that_no_rule_can_do_are_refused",
        parameters_that_no_rule_can_do_are_refused,
    ),
    (
        "stream_faults_are_proved_by_time",
        stream_faults_are_proved_by_time,
    ),
    (
        "a_refused_route_is_open_after_the_revert",
        a_refused_route_is_open_after_the_revert,
    ),
    ("a_cut_is_counted", a_cut_is_counted),
    (
        "a_revert_outlasts_the_proxys_death",
        a_revert_outlasts_the_proxys_death,
    ),
    (
        "a_revert_without_a_start_leaves_a_tombstone",
        a_revert_without_a_start_leaves_a_tombstone,
    ),
    ("wrong_routes_are_refused", wrong_routes_are_refused),
    (
        "without_routes_they_are_not_available",
        without_routes_they_are_not_available,
    ),
];

fn fault(rig: &Rig, name: &str) -> Arc<dyn Fault> {
    named(
        faults::all(&SelfCommand::current(&[]).unwrap(), Some(&rig.client())),
        name,
    )
}

fn named(all: Vec<Arc<dyn Fault>>, name: &str) -> Arc<dyn Fault> {
    all.into_iter().find(|fault| fault.spec().name == name).unwrap()
}

fn key(id: &str) -> Key {
    Key {
        epoch: Epoch(3),
        id: InjectionId(id.to_owned()),
    }
}

fn scope(route: &str) -> Scope {
    Scope {
        route: Some(route.to_owned()),
        ..Scope::default()
    }
}

fn records() -> (tempfile::TempDir, Arc<Records>) {
    let folder = tempfile::tempdir().unwrap();
    let records = Arc::new(Records::open(folder.path()).unwrap());
    (folder, records)
}

fn pen<'a>(records: &'a Arc<Records>, id: &str) -> Pen<'a> {
    let head = Record {
        version: RECORD_VERSION,
        key: key(id),
        fault: "http.latency".into(),
        instance: Instance("life-1".to_owned()),
        boot_id: records.here.boot_id.clone(),
        ends_at: Tick(0),
        undo: Undo::Nothing {},
        undone: None,
    };
    Pen::new(records, head)
}

/// Checks, prepares and applies, as the host does.
fn apply(fault: &dyn Fault, id: &str, route: &str, parameters: Value) -> (Box<dyn Held>, Evidence) {
    let parameters = firedrill_catalogue::check(fault.spec(), &parameters).unwrap();
    let scope = scope(route);
    let prepared = fault.prepare(&parameters, &scope).unwrap();
    assert_eq!(prepared.claims, [format!("route:{route}:{}", fault.spec().name)]);
    let (_folder, records) = records();
    let order = Order {
        pen: &pen(&records, id),
        key: &key(id),
        parameters: &parameters,
        scope: &scope,
        prepared: &prepared,
        ends_in: Duration::from_mins(1),
        ramp: Duration::ZERO,
    };
    fault.apply(&order).map_err(|failure| failure.problem).unwrap()
}

fn revert_and_prove(held: &mut dyn Held) {
    for _ in 0..2 {
        let read = held.revert();
        assert!(read.clean, "{read:?}");
    }
    let (proved, evidence) = held.prove();
    assert!(proved, "{evidence:?}");
}

fn latency_is_applied_changed_reverted_and_proved() {
    let rig = Rig::new();
    let fault = fault(&rig, "http.latency");
    fault.available().unwrap();
    let (mut held, evidence) = apply(
        &*fault,
        "an id / with spaces",
        "web",
        json!({"delay": "150ms", "path": "/pay"}),
    );
    assert!(evidence.words.contains("150 ms"), "{evidence:?}");
    assert!(get(rig.address(0), "/pay/1").unwrap().1 >= Duration::from_millis(150));
    let (proved, evidence) = held.prove();
    assert!(!proved, "{evidence:?}");
    let stronger =
        firedrill_catalogue::check(fault.spec(), &json!({"delay": "250ms", "path": "/pay"})).unwrap();
    held.adjust(&stronger).unwrap();
    assert!(get(rig.address(0), "/pay/1").unwrap().1 >= Duration::from_millis(250));
    let counts = held.observe().unwrap().counts;
    assert_eq!(counts["delayed"], 2.0);
    assert!(counts["added_ms_mean"] >= 200.0, "{counts:?}");
    revert_and_prove(&mut *held);
    assert!(
        held.adjust(&stronger).is_err(),
        "what is gone is not changed back on"
    );
    assert!(held.revert().clean);
}

fn status_is_applied_reverted_and_proved() {
    let rig = Rig::new();
    let (mut held, _) = apply(&*fault(&rig, "http.status"), "i", "web", json!({"code": 503}));
    assert_eq!(get(rig.address(0), "/").unwrap().0, 503);
    assert!(!held.prove().0);
    revert_and_prove(&mut *held);
    assert_eq!(get(rig.address(0), "/").unwrap().0, 200);
}

fn every_fault_on_requests_is_met_by_its_probe_and_then_not() {
    let rig = Rig::new();
    let only = json!({"path": "/pay", "method": "PUT", "header": "x-tenant: blue", "share": "1%"});
    for (name, mut parameters) in [
        ("http.latency", json!({"delay": "1ms"})),
        ("http.status", json!({"code": 503})),
        ("http.reset", json!({})),
        ("http.headers", json!({"set": "x-a: 1\nx-b: 2", "remove": "etag"})),
        ("http.body", json!({"how": "corrupt"})),
        ("http.truncate", json!({})),
        ("http.slow_body", json!({"rate": "1KB/s"})),
        ("http.lose", json!({})),
        (
            "grpc.status",
            json!({"service": "shop.Orders", "details": "CAgSBA=="}),
        ),
        (
            "grpc.status",
            json!({"method": "Place", "code": "ABORTED", "when": "after"}),
        ),
    ] {
        let given = parameters.as_object_mut().unwrap();
        if name.starts_with("http.") {
            given.extend(only.as_object().unwrap().clone());
        }
        let fault = fault(&rig, name);
        let (mut held, evidence) = apply(&*fault, &format!("{name} {parameters}"), "web", parameters);
        assert!(!evidence.words.is_empty());
        let (proved, evidence) = held.prove();
        assert!(
            !proved && evidence.words.contains("met the rule"),
            "{name}: {evidence:?}"
        );
        assert!(
            !held.observe().unwrap().counts.contains_key("seen"),
            "a probe is not traffic"
        );
        revert_and_prove(&mut *held);
    }
}

fn parameters_that_no_rule_can_do_are_refused() {
    let rig = Rig::new();
    for (name, parameters) in [
        ("http.reset", json!({"header": "not a header"})),
        ("http.headers", json!({})),
        ("http.headers", json!({"remove": "content-length"})),
        ("http.body", json!({"how": "replace", "find": ""})),
        ("grpc.status", json!({"details": "not base64"})),
    ] {
        let fault = fault(&rig, name);
        let parameters = firedrill_catalogue::check(fault.spec(), &parameters).unwrap();
        let problem = fault.prepare(&parameters, &scope("web")).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Parameters, "{name}: {problem}");
    }
}

fn stream_faults_are_proved_by_time() {
    let rig = Rig::new();
    let latency = fault(&rig, "tcp.latency");
    let bandwidth = fault(&rig, "tcp.bandwidth");
    for (fault, route, parameters) in [
        (&latency, "raw", json!({"delay": "200ms"})),
        (&latency, "web", json!({"delay": "200ms"})),
        (&bandwidth, "raw", json!({"rate": "100KB/s"})),
    ] {
        let (mut held, _) = apply(&**fault, &format!("{route} {parameters}"), route, parameters);
        let (proved, evidence) = held.prove();
        assert!(!proved, "{evidence:?}");
        revert_and_prove(&mut *held);
    }
}

fn a_refused_route_is_open_after_the_revert() {
    let rig = Rig::new();
    let (mut held, _) = apply(&*fault(&rig, "tcp.refuse"), "i", "raw", json!({}));
    assert_eq!(
        TcpStream::connect(rig.address(1)).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    assert!(!held.prove().0);
    revert_and_prove(&mut *held);
    TcpStream::connect(rig.address(1)).unwrap();
}

fn a_cut_is_counted() {
    let rig = Rig::new();
    let _open = TcpStream::connect(rig.address(1)).unwrap();
    crate::rig::wait_until("it is open", || {
        rig.client().ask().unwrap().routes[1].connections == 1
    });
    let (mut held, evidence) = apply(&*fault(&rig, "tcp.cut"), "i", "raw", json!({}));
    assert_eq!(evidence.counts["connections_cut"], 1.0);
    assert!(held.revert().clean);
}

fn a_revert_outlasts_the_proxys_death() {
    let rig = Rig::new();
    let (mut held, _) = apply(&*fault(&rig, "http.latency"), "i", "web", json!({"delay": "30s"}));
    send(rig.pid(), Signal::SIGKILL);
    crate::rig::wait_until("it is read back", || held.revert().clean);
    assert!(held.prove().0);
}

fn a_revert_without_a_start_leaves_a_tombstone() {
    let rig = Rig::new();
    let fault = fault(&rig, "http.latency");
    assert!(fault.adopt(&key("i"), &scope("web"), None).revert().clean);
    let (_folder, records) = records();
    let parameters = firedrill_catalogue::check(fault.spec(), &json!({"delay": "1s"})).unwrap();
    let prepared = fault.prepare(&parameters, &scope("web")).unwrap();
    let order = Order {
        pen: &pen(&records, "i"),
        key: &key("i"),
        parameters: &parameters,
        scope: &scope("web"),
        prepared: &prepared,
        ends_in: Duration::from_mins(1),
        ramp: Duration::ZERO,
    };
    let failure = fault.apply(&order).map(drop).unwrap_err();
    assert_eq!(
        (failure.problem.kind, failure.half_applied),
        (ProblemKind::Fenced, false)
    );
}

fn wrong_routes_are_refused() {
    let rig = Rig::new();
    let fault = fault(&rig, "http.latency");
    let refused = |parameters: Value, route: &str| {
        let parameters = firedrill_catalogue::check(fault.spec(), &parameters).unwrap();
        fault.prepare(&parameters, &scope(route)).unwrap_err()
    };
    for route in ["nowhere", "raw"] {
        let problem = refused(json!({"delay": "1s"}), route);
        assert_eq!(
            (problem.kind, problem.remedy.as_str()),
            (ProblemKind::Parameters, "one of: web")
        );
    }
    assert_eq!(
        refused(json!({"delay": "1s", "path": "pay"}), "web").kind,
        ProblemKind::Parameters
    );
}

fn without_routes_they_are_not_available() {
    let all = faults::all(&SelfCommand::current(&[]).unwrap(), None);
    assert!(
        named(all, "tcp.refuse")
            .available()
            .unwrap_err()
            .why
            .contains("no routes")
    );
}
