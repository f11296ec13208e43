//! Faults by eBPF on the network of one cgroup, seen by a victim in it and by this process outside.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::rig::{Drill, Process, Rig, until};
use crate::victim::Networker;

/// They need a kernel that takes programs, and the right to load them.
pub const WITH_BPF: &[(&str, fn())] = &[
    (
        "each_fault_of_the_kernel_comes_and_goes",
        each_fault_of_the_kernel_comes_and_goes,
    ),
    (
        "each_fault_of_the_kernel_dies_with_its_agent",
        each_fault_of_the_kernel_dies_with_its_agent,
    ),
    (
        "a_fault_of_the_kernel_ends_when_its_agent_hangs",
        a_fault_of_the_kernel_ends_when_its_agent_hangs,
    ),
    (
        "kernel_connects_are_refused_by_port_and_peer",
        kernel_connects_are_refused_by_port_and_peer,
    ),
    (
        "kernel_share_of_refused_connects_can_change",
        kernel_share_of_refused_connects_can_change,
    ),
    ("kernel_resets_open_connections", kernel_resets_open_connections),
    (
        "kernel_loses_packets_as_often_as_asked",
        kernel_loses_packets_as_often_as_asked,
    ),
    (
        "kernel_spares_the_agent_and_its_parents",
        kernel_spares_the_agent_and_its_parents,
    ),
];

/// What answers on the network: listeners on both families.
pub struct World {
    four: TcpListener,
    six: TcpListener,
}

impl World {
    pub fn new() -> Self {
        Self {
            four: TcpListener::bind("127.0.0.1:0").unwrap(),
            six: TcpListener::bind("[::1]:0").unwrap(),
        }
    }

    fn four(&self) -> SocketAddr {
        self.four.local_addr().unwrap()
    }

    fn six(&self) -> SocketAddr {
        self.six.local_addr().unwrap()
    }

    /// Whether somebody outside of the cgroup connects.
    fn connects_outside(&self) -> bool {
        TcpStream::connect(self.four()).is_ok() && TcpStream::connect(self.six()).is_ok()
    }
}

/// One fault: what to start, and what the victim sees of it.
pub struct Row {
    pub fault: &'static str,
    pub parameters: fn(&World) -> Value,
    /// What the victim sees on both families.
    pub sees: fn(&mut Networker, &World) -> Vec<String>,
    pub healthy: &'static str,
    pub hit: &'static str,
    /// What counts the hits.
    pub counter: &'static str,
}

const ROWS: &[Row] = &[
    Row {
        fault: "network.refuse",
        parameters: |_| json!({}),
        sees: |victim, world| vec![victim.connect(world.four()), victim.connect(world.six())],
        healthy: "ok",
        hit: "refused",
        counter: "connects_refused",
    },
    Row {
        fault: "network.partition",
        parameters: |_| json!({ "peer": "127.0.0.0/8, ::1" }),
        sees: |victim, world| {
            vec![
                victim.connect_briefly(world.four()),
                victim.connect_briefly(world.six()),
            ]
        },
        healthy: "ok",
        hit: "timeout",
        counter: "packets_dropped",
    },
    Row {
        fault: "network.loss",
        parameters: |_| json!({ "share": "100%", "direction": "in" }),
        sees: |victim, world| {
            vec![
                victim.connect_briefly(world.four()),
                victim.connect_briefly(world.six()),
            ]
        },
        healthy: "ok",
        hit: "timeout",
        counter: "packets_dropped",
    },
];

fn each_fault_of_the_kernel_comes_and_goes() {
    come_and_go(&World::new(), ROWS);
}

/// Each from healthy to healthy, with a revert.
pub fn come_and_go(world: &World, rows: &[Row]) {
    for row in rows {
        let rig = Rig::new();
        let mut victim = Networker::new();
        let mut drill = Drill::open(rig.client(), row.fault);
        let scope = victim.scope();
        let mut see = |what: &str| {
            let seen = (row.sees)(&mut victim, world);
            let parameters = (row.parameters)(world);
            assert!(
                seen.iter().all(|it| it == what),
                "{} {parameters}: {seen:?}, not {what}",
                row.fault
            );
        };
        see(row.healthy);
        drill.start("i1", row.fault, (row.parameters)(world), scope);
        see(row.hit);
        assert!(world.connects_outside(), "{}", row.fault);
        until("the evidence counts it", || {
            let view = drill.view("i1");
            (view["evidence"]["counts"][row.counter].as_f64()? >= 2.0).then_some(())
        });
        let gone = drill.client.delete("/v1/injections/i1").expect(200);
        assert_eq!(gone["state"], "reverted", "{gone}");
        assert!(
            gone["evidence"]["counts"][row.counter].as_f64() >= Some(2.0),
            "{gone}"
        );
        see(row.healthy);
        let view = until("proved", || {
            Some(drill.view("i1")).filter(|view| !view["proved"].is_null())
        });
        let proof = view["proved"]["evidence"]["words"].to_string();
        assert!(
            proof.contains(" programs run for") && proof.contains("stand still"),
            "{proof}"
        );
    }
}

fn each_fault_of_the_kernel_dies_with_its_agent() {
    die_with_the_agent(&World::new(), ROWS);
}

/// Each from healthy to healthy, with the end of the agent.
pub fn die_with_the_agent(world: &World, rows: &[Row]) {
    for row in rows {
        let temp = tempfile::tempdir().unwrap();
        let mut victim = Networker::new();
        let mut process = Process::start(&temp.path().join("state"));
        let mut drill = Drill::open(process.client(), "d1");
        drill.start("i1", row.fault, (row.parameters)(world), victim.scope());
        let seen = (row.sees)(&mut victim, world);
        assert!(seen.iter().all(|it| it == row.hit), "{}: {seen:?}", row.fault);
        process.signal(Signal::SIGKILL);
        process.child.wait().unwrap();
        let seen = (row.sees)(&mut victim, world);
        assert!(seen.iter().all(|it| it == row.healthy), "{}: {seen:?}", row.fault);
    }
}

fn a_fault_of_the_kernel_ends_when_its_agent_hangs() {
    let world = World::new();
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    let mut victim = Networker::new();
    let process = Process::start(&state);
    let mut drill = Drill::open_for(process.client(), "d1", 2_000);
    drill.start("i1", "network.refuse", json!({}), victim.scope());
    process.signal(Signal::SIGSTOP);
    assert_eq!(
        victim.connect(world.four()),
        "refused",
        "a stopped agent holds on"
    );
    until("the keeper ends it", || {
        (victim.connect(world.four()) == "ok").then_some(())
    });
    until("the keeper has looked", || {
        let log = std::fs::read_to_string(state.join("audit.log")).unwrap_or_default();
        log.contains("i1 is undone: 0 of 2 programs hang on")
            .then_some(())
    });
}

fn kernel_connects_are_refused_by_port_and_peer() {
    let rig = Rig::new();
    let world = World::new();
    let other = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut victim = Networker::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let port = world.four().port();
    let in_six: SocketAddr = format!("[::ffff:127.0.0.1]:{port}").parse().unwrap();
    let cases = [
        (json!({ "port": port }), ["refused", "refused", "ok"]),
        (json!({ "port": other }), ["ok", "ok", "ok"]),
        (json!({ "port": world.six().port() }), ["ok", "ok", "refused"]),
        (json!({ "peer": "127.0.0.1" }), ["refused", "refused", "ok"]),
        (
            json!({ "peer": "10.0.0.0/8, 127.0.0.0/30" }),
            ["refused", "refused", "ok"],
        ),
        (json!({ "peer": "127.0.0.2/31" }), ["ok", "ok", "ok"]),
        (json!({ "peer": "::/127" }), ["ok", "ok", "refused"]),
        (json!({ "peer": "0.0.0.0/0" }), ["refused", "refused", "ok"]),
        (json!({ "peer": "::/0" }), ["ok", "refused", "refused"]),
        (
            json!({ "peer": "127.0.0.1", "port": world.six().port() }),
            ["ok", "ok", "ok"],
        ),
    ];
    for (number, (parameters, expected)) in cases.into_iter().enumerate() {
        let id = format!("i{number}");
        drill.start(&id, "network.refuse", parameters.clone(), victim.scope());
        let seen = [world.four(), in_six, world.six()].map(|to| victim.connect(to));
        assert_eq!(seen, expected, "{parameters}");
        drill.client.delete(&format!("/v1/injections/{id}")).expect(200);
    }
    for wrong in ["127.0.0.1/8", "nobody", ""] {
        let body = drill.body("network.refuse", json!({ "peer": wrong }), victim.scope());
        let refused = drill
            .client
            .call("PUT", "/v1/injections/wrong", &body)
            .expect(400);
        assert!(
            refused["detail"].to_string().contains("parameters.peer"),
            "{refused}"
        );
    }
}

fn kernel_share_of_refused_connects_can_change() {
    let rig = Rig::new();
    let world = World::new();
    let mut victim = Networker::new();
    let mut drill = Drill::open(rig.client(), "d1");
    drill.start("i1", "network.refuse", json!({ "share": "100%" }), victim.scope());
    let mut refused = || {
        (0..200)
            .filter(|_| victim.connect(world.four()) == "refused")
            .count()
    };
    assert_eq!(refused(), 200);
    let mut change = |revision: u32, parameters: Value| {
        let change = json!({
            "fence": drill.fence, "revision": revision, "not_after": u64::MAX, "parameters": parameters,
        });
        drill.client.call("PATCH", "/v1/injections/i1", &change)
    };
    change(1, json!({ "share": "50%" })).expect(200);
    let half = refused();
    // Seven standard deviations around the mean.
    assert!((50..150).contains(&half), "{half} of 200");
    // What the program has as constants does not change under way: the injection ends instead.
    change(2, json!({ "share": "50%", "port": 1 }));
    until("it is taken back", || {
        Some(drill.view("i1")).filter(|view| view["state"] == "reverted")
    });
    assert_eq!(victim.connect(world.four()), "ok");
}

fn kernel_resets_open_connections() {
    let rig = Rig::new();
    let world = World::new();
    let mut victim = Networker::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let mut accepted = Vec::new();
    let mut hold = |victim: &mut Networker, listener: &TcpListener| {
        let to = listener.local_addr().unwrap();
        assert_eq!(victim.ask(&format!("hold {to}")), "ok");
        accepted.push(listener.accept().unwrap());
    };
    hold(&mut victim, &world.six);
    let outside = TcpStream::connect(world.six()).unwrap();
    outside.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    // Those with other ports are kept.
    let parameters = json!({ "port": world.four().port() });
    let done = drill_reset(&mut drill, "i1", parameters, &victim);
    assert_eq!(done["evidence"]["counts"]["connections_reset"], 0.0, "{done}");
    assert_eq!(victim.ask("held 50"), "timeout");
    let parameters = json!({ "port": world.six().port(), "peer": "::1" });
    let done = drill_reset(&mut drill, "i2", parameters, &victim);
    assert_eq!(done["evidence"]["counts"]["connections_reset"], 1.0, "{done}");
    assert_eq!(victim.ask("held 5000"), "aborted");
    let kept = std::io::Read::read(&mut &outside, &mut [0]).unwrap_err();
    assert_eq!(
        kept.kind(),
        std::io::ErrorKind::WouldBlock,
        "outside of the cgroup nothing is reset"
    );
    assert_eq!(victim.connect(world.six()), "ok");

    // A refusal may reset those that are open.
    let mut victim = Networker::new();
    hold(&mut victim, &world.four);
    let parameters = json!({ "port": world.four().port(), "established": "reset" });
    let view = drill.start("i3", "network.refuse", parameters, victim.scope());
    assert_eq!(view["evidence"]["counts"]["connections_reset"], 1.0, "{view}");
    assert_eq!(victim.ask("held 5000"), "aborted");
    assert_eq!(victim.connect(world.four()), "refused");
}

fn drill_reset(drill: &mut Drill, id: &str, parameters: Value, victim: &Networker) -> Value {
    let body = drill.body("network.reset", parameters, victim.scope());
    let done = drill
        .client
        .call("PUT", &format!("/v1/injections/{id}"), &body)
        .expect(200);
    assert_eq!(done["state"], "done", "{done}");
    done
}

fn kernel_loses_packets_as_often_as_asked() {
    let rig = Rig::new();
    let mut victim = Networker::new();
    let mut drill = Drill::open(rig.client(), "d1");
    for (number, local) in ["127.0.0.1:0", "[::1]:0"].into_iter().enumerate() {
        let sink = UdpSocket::bind(local).unwrap();
        sink.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let port = sink.local_addr().unwrap().port();
        let (out, into) = (format!("out{number}"), format!("in{number}"));

        // What leaves: the sender is told nothing of it.
        let parameters = json!({ "share": "30%", "direction": "out", "port": port });
        drill.start(&out, "network.loss", parameters, victim.scope());
        // In parts that fit into the buffer of the socket.
        let mut came = 0;
        for _ in 0..10 {
            let failed = victim.ask(&format!("send {} 100", sink.local_addr().unwrap()));
            assert_eq!(failed, "0");
            came += std::iter::from_fn(|| sink.recv(&mut [0; 64]).ok()).count();
        }
        // Seven standard deviations around 700.
        assert!((600..800).contains(&came), "{came} of 1000 left {local}");
        let gone = drill.client.delete(&format!("/v1/injections/{out}")).expect(200);
        assert_eq!(gone["evidence"]["counts"]["packets_seen"], 1000.0, "{gone}");
        assert_eq!(
            gone["evidence"]["counts"]["packets_dropped"],
            1000.0 - came as f64,
            "{gone}"
        );

        // What arrives, by the victim's own port.
        let theirs: SocketAddr = victim.ask(&format!("listen {local}")).parse().unwrap();
        let parameters = json!({ "share": "50%", "direction": "in", "port": theirs.port() });
        drill.start(&into, "network.loss", parameters, victim.scope());
        let mut came = 0;
        for _ in 0..10 {
            for _ in 0..100 {
                sink.send_to(b"datagram", theirs).unwrap();
            }
            came += victim.ask("came 300").parse::<i32>().unwrap();
        }
        assert!((380..620).contains(&came), "{came} of 1000 arrived {local}");
        drill.client.delete(&format!("/v1/injections/{into}")).expect(200);
    }
}

fn kernel_spares_the_agent_and_its_parents() {
    let rig = Rig::new();
    let victim = Networker::new();
    let mut drill = Drill::open(rig.client(), "d1");
    for (number, scope) in [json!({ "pid": std::process::id() }), json!({ "pid": 1 })]
        .into_iter()
        .enumerate()
    {
        let body = drill.body("network.refuse", json!({}), scope);
        let path = format!("/v1/injections/no{number}");
        drill.client.call("PUT", &path, &body).expect(403);
    }
    // One cgroup's connects have one owner; by a process the same cgroup is meant.
    drill.start("i1", "network.refuse", json!({}), victim.scope());
    let body = drill.body("network.refuse", json!({}), json!({ "pid": victim.pid() }));
    drill.client.call("PUT", "/v1/injections/i2", &body).expect(409);
}
