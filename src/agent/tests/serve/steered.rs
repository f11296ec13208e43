//! Faults of the proxy on connections of one cgroup that no route carries, seen by a victim in it.

use std::net::SocketAddr;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::kernel::{Row, World, come_and_go, die_with_the_agent};
use crate::rig::{Drill, Rig, until};
use crate::servers;
use crate::victim::Networker;

/// They need a kernel that takes programs, and the right to load them.
pub const WITH_BPF: &[(&str, fn())] = &[
    ("steered_faults_come_and_go", steered_faults_come_and_go),
    (
        "steered_faults_die_with_their_agent",
        steered_faults_die_with_their_agent,
    ),
    (
        "steered_connections_outlive_the_fault_and_open_ones_are_not_hit",
        steered_connections_outlive_the_fault_and_open_ones_are_not_hit,
    ),
    (
        "steered_strength_changes_under_way",
        steered_strength_changes_under_way,
    ),
    (
        "several_steered_faults_are_on_the_same_connections",
        several_steered_faults_are_on_the_same_connections,
    ),
    (
        "steering_is_refused_where_it_means_nothing",
        steering_is_refused_where_it_means_nothing,
    ),
    (
        "steering_works_in_a_network_of_its_own",
        steering_works_in_a_network_of_its_own,
    ),
];

/// A server on both families, on the same port.
fn web() -> [SocketAddr; 2] {
    static RUNNING: OnceLock<[SocketAddr; 2]> = OnceLock::new();
    *RUNNING.get_or_init(servers::web)
}

/// Asks both, and the first one from a socket of IPv6.
fn get(victim: &mut Networker, ms: u64) -> Vec<String> {
    let [four, six] = web();
    let mapped = SocketAddr::from(([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1], four.port()));
    [four, six, mapped]
        .map(|to| victim.ask(&format!("get {to} {ms}")))
        .to_vec()
}

const STATUS: Row = Row {
    fault: "http.status",
    parameters: |_| json!({ "code": 503, "port": web()[0].port() }),
    sees: |victim, _| get(victim, 10_000),
    healthy: "200",
    hit: "503",
    counter: "answered",
};

const ROWS: &[Row] = &[
    STATUS,
    Row {
        fault: "http.latency",
        parameters: |_| json!({ "delay": "30s", "port": web()[0].port(), "peer": "127.0.0.0/8, ::1" }),
        sees: |victim, _| get(victim, 400),
        hit: "timeout",
        counter: "connects_led",
        ..STATUS
    },
    Row {
        fault: "http.reset",
        parameters: |_| json!({ "port": web()[0].port() }),
        hit: "reset",
        counter: "reset",
        ..STATUS
    },
    Row {
        fault: "tcp.latency",
        parameters: |_| json!({ "delay": "30s", "port": web()[0].port() }),
        sees: |victim, _| get(victim, 400),
        hit: "timeout",
        counter: "delayed",
        ..STATUS
    },
    Row {
        fault: "tcp.bandwidth",
        parameters: |_| json!({ "rate": "100B/s", "port": web()[0].port() }),
        // The request alone takes longer.
        sees: |victim, _| get(victim, 250),
        hit: "timeout",
        counter: "bytes",
        ..STATUS
    },
];

fn steered_faults_come_and_go() {
    come_and_go(&World::new(), ROWS);
}

fn steered_faults_die_with_their_agent() {
    die_with_the_agent(&World::new(), ROWS);
}

fn steered_connections_outlive_the_fault_and_open_ones_are_not_hit() {
    let rig = Rig::new();
    let mut victim = Networker::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let to = web()[0];
    assert_eq!(victim.ask(&format!("hold {to}")), "ok");
    assert_eq!(victim.ask("get-held 0 10000"), "200");
    let parameters = json!({ "code": 503, "port": to.port() });
    drill.start("i1", "http.status", parameters, victim.scope());
    assert_eq!(victim.ask("get-held 0 10000"), "200", "it was open before");
    assert_eq!(victim.ask(&format!("hold {to}")), "ok");
    assert_eq!(victim.ask("get-held 1 10000"), "503");
    let gone = drill.client.delete("/v1/injections/i1").expect(200);
    assert_eq!(gone["state"], "reverted", "{gone}");
    assert_eq!(gone["evidence"]["counts"]["connections_open"], 1.0, "{gone}");
    assert!(
        gone["evidence"]["words"]
            .to_string()
            .contains("1 connections go on"),
        "{gone}"
    );
    // Longer than the agent still takes connections that were led just before.
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(victim.ask("get-held 1 10000"), "200", "it goes on");
    assert_eq!(victim.ask("get-held 0 10000"), "200");

    let parameters = json!({ "code": 503, "port": to.port(), "established": "reset" });
    let view = drill.start("i2", "http.status", parameters, victim.scope());
    // Of the one that was led the victim's end is its own.
    assert_eq!(view["evidence"]["counts"]["connections_reset"], 1.0, "{view}");
    assert_eq!(victim.ask("get-held 0 10000"), "aborted");
    assert_eq!(victim.ask(&format!("get {to} 10000")), "503");
}

fn steered_strength_changes_under_way() {
    let rig = Rig::new();
    let mut victim = Networker::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let parameters = |delay: &str, port: u16| json!({ "delay": delay, "port": port });
    let port = web()[0].port();
    drill.start("i1", "http.latency", parameters("30s", port), victim.scope());
    assert!(get(&mut victim, 300).iter().all(|it| it == "timeout"));
    let mut change = |revision: u32, parameters: Value| {
        let change = json!({
            "fence": drill.fence, "revision": revision, "not_after": u64::MAX, "parameters": parameters,
        });
        drill.client.call("PATCH", "/v1/injections/i1", &change)
    };
    change(1, parameters("1ms", port)).expect(200);
    assert!(get(&mut victim, 10_000).iter().all(|it| it == "200"));
    // Which connections are led does not change under way: the injection ends instead.
    change(2, parameters("1ms", 1));
    until("it is taken back", || {
        Some(drill.view("i1")).filter(|view| view["state"] == "reverted")
    });
    assert!(get(&mut victim, 10_000).iter().all(|it| it == "200"));
}

fn steering_is_refused_where_it_means_nothing() {
    let rig = Rig::new();
    let victim = Networker::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let mut number = 0;
    let mut start = |fault: &str, parameters: Value, scope: Value, status: u16| {
        number += 1;
        let body = drill.body(fault, parameters, scope);
        let path = format!("/v1/injections/i{number}");
        drill.client.call("PUT", &path, &body).expect(status)
    };
    let refused = start("http.status", json!({ "code": 503 }), victim.scope(), 400);
    assert!(
        refused["detail"].to_string().contains("parameters.port"),
        "{refused}"
    );
    let both = json!({ "route": "web", "pid": victim.pid() });
    let refused = start("http.status", json!({ "code": 503, "port": 80 }), both, 400);
    assert!(
        refused.to_string().contains("only one of route, pid"),
        "{refused}"
    );
    for (key, value) in [
        ("port", json!(80)),
        ("peer", json!("10.0.0.7")),
        ("established", json!("reset")),
    ] {
        let refused = start(
            "http.status",
            json!({ "code": 503, key: value }),
            json!({ "route": "web" }),
            400,
        );
        assert!(
            refused["detail"]
                .to_string()
                .contains(&format!("parameters.{key}")),
            "{refused}"
        );
    }
    let refused = start("tcp.refuse", json!({}), victim.scope(), 400);
    assert!(refused.to_string().contains("takes no such key"), "{refused}");
    // As on a route: each kind once.
    for (port, status) in [(80, 200), (80, 409), (81, 200)] {
        let parameters = json!({ "code": 503, "port": port });
        start("http.status", parameters, victim.scope(), status);
    }
}

fn several_steered_faults_are_on_the_same_connections() {
    let rig = Rig::new();
    let mut victim = Networker::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let port = web()[0].port();
    let is = |victim: &mut Networker, ms: u64, seen: [&str; 3]| assert_eq!(get(victim, ms), seen);
    let late = json!({ "delay": "30s", "port": port });
    drill.start("late", "http.latency", late, victim.scope());
    is(&mut victim, 400, ["timeout"; 3]);
    // On what the first leads, and only on what this one is for.
    let failing = json!({ "code": 503, "port": port, "peer": "127.0.0.0/8" });
    drill.start("failing", "http.status", failing, victim.scope());
    let change = json!({
        "fence": drill.fence, "revision": 1, "not_after": u64::MAX,
        "parameters": { "delay": "1ms", "port": port },
    });
    drill
        .client
        .call("PATCH", "/v1/injections/late", &change)
        .expect(200);
    is(&mut victim, 10_000, ["503", "200", "503"]);
    let answered = until("the second tells what it did", || {
        drill.view("failing")["evidence"]["counts"]["answered"].as_f64()
    });
    assert!(answered >= 2.0, "{answered}");
    // The next one's program leads.
    drill.client.delete("/v1/injections/late").expect(200);
    is(&mut victim, 10_000, ["503", "200", "503"]);
    // One that needs no HTTP is on HTTP too.
    let slow = json!({ "delay": "30s", "port": port });
    drill.start("slow", "tcp.latency", slow, victim.scope());
    is(&mut victim, 400, ["timeout"; 3]);
    drill.client.delete("/v1/injections/failing").expect(200);
    is(&mut victim, 400, ["timeout"; 3]);
    drill.client.delete("/v1/injections/slow").expect(200);
    is(&mut victim, 10_000, ["200"; 3]);
}

fn steering_works_in_a_network_of_its_own() {
    let rig = Rig::new();
    let mut victim = Networker::new();
    let mut drill = Drill::open(rig.client(), "d1");
    assert_eq!(victim.ask("alone"), "ok");
    let to: SocketAddr = victim.ask("web").parse().unwrap();
    assert_eq!(victim.ask(&format!("get {to} 10000")), "200");
    let parameters = json!({ "code": 503, "port": to.port() });
    drill.start("i1", "http.status", parameters, victim.scope());
    assert_eq!(victim.ask(&format!("get {to} 10000")), "503");
    drill.client.delete("/v1/injections/i1").expect(200);
    assert_eq!(victim.ask(&format!("get {to} 10000")), "200");
}
