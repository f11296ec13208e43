//! DNS and TLS of one cgroup, seen by a victim in it: led to a responder in the agent, by programs in the kernel.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::kernel::{Row, World, come_and_go, die_with_the_agent};
use crate::rig::{Drill, Rig, until};
use crate::servers;
use crate::victim::Networker;

/// They need a kernel that takes programs, the right to load them, and to listen on port 53.
pub const WITH_BPF: &[(&str, fn())] = &[
    ("kernel_answers_names_and_stops", kernel_answers_names_and_stops),
    (
        "kernel_stops_answering_names_when_the_agent_dies",
        kernel_stops_answering_names_when_the_agent_dies,
    ),
    (
        "kernel_leaves_other_names_to_their_resolver",
        kernel_leaves_other_names_to_their_resolver,
    ),
    (
        "kernel_answers_names_in_a_network_of_its_own",
        kernel_answers_names_in_a_network_of_its_own,
    ),
    ("kernel_fails_tls_by_port_alone", kernel_fails_tls_by_port_alone),
    (
        "kernel_faults_are_seen_and_gone_at_once",
        kernel_faults_are_seen_and_gone_at_once,
    ),
];

/// A resolver of this process on both families, and a server for TLS.
struct Servers {
    resolvers: [SocketAddr; 2],
    tls: [SocketAddr; 2],
}

fn running() -> &'static Servers {
    static RUNNING: OnceLock<Servers> = OnceLock::new();
    RUNNING.get_or_init(|| {
        // Every process may have an address of the loopback to itself; of IPv6 there is but one.
        let [.., high, low] = std::process::id().to_be_bytes();
        let resolvers: [IpAddr; 2] = [[127, 77, high, low].into(), "::1".parse().unwrap()];
        for address in resolvers {
            servers::resolve(address).unwrap();
        }
        Servers {
            resolvers: resolvers.map(|address| SocketAddr::new(address, 53)),
            tls: servers::greet(),
        }
    })
}

/// Asks every way there is.
fn ask(victim: &mut Networker, name: &str, ms: u64) -> Vec<String> {
    let mut seen = Vec::new();
    for resolver in running().resolvers {
        for how in ["connected", "unconnected", "tcp"] {
            seen.push(victim.ask(&format!("resolve {how} {resolver} {name} {ms}")));
        }
    }
    // A socket of IPv6 that asks a resolver of IPv4.
    let IpAddr::V4(four) = running().resolvers[0].ip() else {
        panic!("the first is IPv4");
    };
    let mapped = SocketAddr::new(four.to_ipv6_mapped().into(), 53);
    for how in ["connected", "unconnected", "tcp"] {
        seen.push(victim.ask(&format!("resolve {how} {mapped} {name} {ms}")));
    }
    seen
}

fn shake_hands(victim: &mut Networker, ms: u64) -> Vec<String> {
    let tls = running().tls;
    tls.map(|to| victim.ask(&format!("tls {to} {ms}"))).to_vec()
}

const NAME: Row = Row {
    fault: "dns.fail",
    parameters: |_| json!({ "names": "db.example.com", "how": "nxdomain" }),
    sees: |victim, _| ask(victim, "db.Example.com", 10_000),
    healthy: "10.1.1.1",
    hit: "nxdomain",
    counter: "queries_answered",
};

const HANDSHAKE: Row = Row {
    fault: "tls.fail",
    parameters: |_| json!({ "how": "alert", "port": running().tls[0].port() }),
    sees: |victim, _| shake_hands(victim, 10_000),
    healthy: "S",
    hit: "alert 40",
    counter: "handshakes_failed",
};

const ROWS: &[Row] = &[
    NAME,
    Row {
        parameters: |_| json!({ "names": "*", "how": "servfail" }),
        hit: "servfail",
        ..NAME
    },
    Row {
        parameters: |_| json!({ "names": "*.example.com", "how": "timeout" }),
        sees: |victim, _| ask(victim, "db.example.com", 400),
        hit: "timeout",
        counter: "queries_unanswered",
        ..NAME
    },
    Row {
        fault: "dns.hijack",
        parameters: |_| json!({ "names": "*.example.com", "answer": "2001:db8::9, 10.9.9.9" }),
        hit: "10.9.9.9",
        ..NAME
    },
    Row {
        fault: "dns.hijack",
        parameters: |_| json!({ "names": "*.example.com", "answer": "2001:db8::9" }),
        hit: "no address",
        ..NAME
    },
    HANDSHAKE,
    Row {
        parameters: |_| json!({ "how": "reset", "port": running().tls[0].port() }),
        hit: "reset",
        ..HANDSHAKE
    },
    Row {
        parameters: |_| json!({ "how": "hang", "port": running().tls[0].port() }),
        sees: |victim, _| shake_hands(victim, 400),
        hit: "timeout",
        counter: "client_hellos_dropped",
        ..HANDSHAKE
    },
];

fn kernel_answers_names_and_stops() {
    come_and_go(&World::new(), ROWS);
}

fn kernel_stops_answering_names_when_the_agent_dies() {
    die_with_the_agent(&World::new(), ROWS);
}

fn kernel_leaves_other_names_to_their_resolver() {
    let rig = Rig::new();
    let mut victim = Networker::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let parameters = json!({ "names": "db.example.com", "answer": "10.9.9.9" });
    drill.start("i1", "dns.hijack", parameters, victim.scope());
    let seen = ask(&mut victim, "other.example.com", 10_000);
    assert!(seen.iter().all(|it| it == "10.1.1.1"), "{seen:?}");
    let view = until("they are counted", || {
        let view = drill.view("i1");
        (view["evidence"]["counts"]["queries_forwarded"] == 9.0).then_some(view)
    });
    assert_eq!(view["evidence"]["counts"]["queries_answered"], 0.0, "{view}");
    // Half of the questions for the name itself.
    let change = json!({
        "fence": drill.fence, "revision": 1, "not_after": u64::MAX,
        "parameters": { "names": "db.example.com", "answer": "10.9.9.9", "share": "50%" },
    });
    drill
        .client
        .call("PATCH", "/v1/injections/i1", &change)
        .expect(200);
    let resolver = running().resolvers[0];
    let wrong = (0..100)
        .filter(|_| victim.ask(&format!("resolve connected {resolver} db.example.com 10000")) == "10.9.9.9")
        .count();
    assert!((15..85).contains(&wrong), "{wrong} of 100");
    for (names, answer) in [("", "10.9.9.9"), ("*", "nowhere"), ("a..b", "10.9.9.9")] {
        let parameters = json!({ "names": names, "answer": answer });
        let body = drill.body("dns.hijack", parameters, victim.scope());
        drill
            .client
            .call("PUT", "/v1/injections/wrong", &body)
            .expect(400);
    }
}

/// As a container has it, with a resolver on its own loopback.
fn kernel_answers_names_in_a_network_of_its_own() {
    let rig = Rig::new();
    let mut victim = Networker::new();
    assert_eq!(victim.ask("alone"), "ok");
    let mut drill = Drill::open(rig.client(), "d1");
    let parameters = json!({ "names": "db.example.com", "answer": "10.9.9.9" });
    drill.start("i1", "dns.hijack", parameters, victim.scope());
    let mut ask = |name: &str| victim.ask(&format!("resolve connected 127.0.0.1:53 {name} 10000"));
    assert_eq!(ask("db.example.com"), "10.9.9.9");
    assert_eq!(ask("other.example.com"), "10.1.1.1");
    drill.client.delete("/v1/injections/i1").expect(200);
    assert_eq!(ask("db.example.com"), "10.1.1.1");
}

fn kernel_fails_tls_by_port_alone() {
    let rig = Rig::new();
    let mut victim = Networker::new();
    let mut drill = Drill::open(rig.client(), "d1");
    for (number, how) in ["alert", "reset", "hang"].into_iter().enumerate() {
        let port = running().tls[0].port();
        let refused: Value = drill.body("tls.fail", json!({ "how": how, "port": 0 }), victim.scope());
        drill
            .client
            .call("PUT", "/v1/injections/wrong", &refused)
            .expect(400);
        let parameters = json!({ "how": how, "port": port, "peer": "::1" });
        drill.start(&format!("i{number}"), "tls.fail", parameters, victim.scope());
        let seen = shake_hands(&mut victim, 400);
        assert!(seen[0] == "S" && seen[1] != "S", "{how}: {seen:?}");
        // Where it hangs only the handshake does: the connection itself is made, and others' words pass.
        if how == "hang" {
            assert_eq!(victim.connect(running().tls[1]), "ok");
        }
        drill
            .client
            .delete(&format!("/v1/injections/i{number}"))
            .expect(200);
    }
}

/// A hundred times each: from the request to the victim's first sight of it. The goal is 20 ms for 95 of 100; what is
/// held here is a bound that a busy machine keeps, and the figures are printed.
fn kernel_faults_are_seen_and_gone_at_once() {
    let [four, _] = running().tls;
    let [resolver, _] = running().resolvers;
    let port = four.port();
    let cases = [
        (
            "network.refuse",
            json!({ "port": port }),
            format!("connect {four} 10000"),
            "ok",
            "refused",
        ),
        ("network.partition", json!({}), "ping".to_owned(), "ok", "timeout"),
        (
            "dns.fail",
            json!({ "names": "*" }),
            format!("resolve connected {resolver} a.b 300"),
            "10.1.1.1",
            "nxdomain",
        ),
        (
            "tls.fail",
            json!({ "how": "reset", "port": port }),
            format!("tls {four} 300"),
            "S",
            "reset",
        ),
    ];
    for (fault, parameters, line, healthy, hit) in cases {
        let rig = Rig::new();
        let mut victim = Networker::new();
        let mut drill = Drill::open(rig.client(), "d1");
        let victim_scope = victim.scope();
        let (mut came, mut went) = (Vec::new(), Vec::new());
        for number in 0..100 {
            let id = format!("i{number}");
            came.push(victim.watch(hit, &line, || {
                drill.start(&id, fault, parameters.clone(), victim_scope.clone());
            }));
            went.push(victim.watch(healthy, &line, || {
                drill.client.delete(&format!("/v1/injections/{id}")).expect(200);
            }));
        }
        for (what, mut ms) in [("seen", came), ("gone", went)] {
            ms.sort_by(f64::total_cmp);
            eprintln!(
                "{fault} {what}: p50 {:.1} ms, p95 {:.1} ms, most {:.1} ms",
                ms[50], ms[95], ms[99]
            );
            assert!(ms[50] < 200.0, "{fault} {what}: {ms:?}");
        }
    }
}
