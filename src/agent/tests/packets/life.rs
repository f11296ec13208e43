//! How they end, whoever ends them.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use firedrill_agent::packets::netlink::{Attributes, Message, Socket};
use firedrill_agent::packets::nft::{Asker, Family};
use firedrill_agent::packets::queue::Queue;
use firedrill_wire::Scope;
use nix::errno::Errno;
use serde_json::{Value, json};

use crate::holder::hold;
use crate::rig::{PATIENCE, Peer, apart, connect, inject, inject_at};

pub const TESTS: &[(&str, fn())] = &[
    ("all_end_with_a_killed_holder", all_end_with_a_killed_holder),
    (
        "nobody_else_can_delete_the_table",
        nobody_else_can_delete_the_table,
    ),
    (
        "another_namespace_is_hit_by_a_process_in_it",
        another_namespace_is_hit_by_a_process_in_it,
    ),
    (
        "every_queue_has_a_number_of_its_own",
        every_queue_has_a_number_of_its_own,
    ),
    ("they_come_and_go_quickly", they_come_and_go_quickly),
];

const MS: Duration = Duration::from_millis(1);

/// Whether a new connection comes about: with each of the faults here none does, and without them it does even on a
/// busy machine, within [`PATIENCE`], see [`connect`].
fn is_hit(server: SocketAddr) -> bool {
    TcpStream::connect_timeout(&server, 300 * MS).is_err()
}

fn tables() -> Vec<String> {
    Asker::new().unwrap().tables().unwrap()
}

fn all_end_with_a_killed_holder() {
    let peer = Peer::new();
    let server = peer.echo();
    for (name, parameters) in [
        ("packet.latency", json!({"delay": "60s"})),
        ("packet.loss", json!({"share": "100%"})),
        ("packet.drop", json!({})),
        ("packet.reset", json!({})),
    ] {
        connect(server);
        let mut holder = hold(name, &parameters);
        assert!(is_hit(server), "{name}");
        assert_eq!(tables(), ["firedrill_7_inj-1"]);
        holder.kill().unwrap();
        holder.wait().unwrap();
        connect(server);
        assert_eq!(tables(), [""; 0]);
    }
    // Its tables are of another family each.
    let mut holder = hold("packet.duplicate", &json!({"share": "50%"}));
    assert_eq!(tables(), ["firedrill_7_inj-1"; 2]);
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(tables(), [""; 0]);
}

fn nobody_else_can_delete_the_table() {
    let mut injection = inject("packet.drop", &json!({"port": 9}));
    let delete = Message {
        what: "deletion".to_owned(),
        subsystem: 10,
        kind: 2,
        flags: 0,
        family: 1,
        resource: 0,
        attributes: Attributes::new().text(1, "firedrill_7_inj-1"),
    };
    let mut stranger = Socket::open().unwrap();
    let refused = stranger.transact(std::slice::from_ref(&delete)).unwrap_err();
    assert_eq!(refused.errno, Errno::EPERM);
    assert!(
        Asker::new()
            .unwrap()
            .knows("firedrill_7_inj-1", &[Family::Both])
            .unwrap()
    );
    injection.revert();
    let gone = stranger.transact(&[delete]).unwrap_err();
    assert_eq!(gone.errno, Errno::ENOENT);
}

fn another_namespace_is_hit_by_a_process_in_it() {
    let peer = Peer::new();
    let server = peer.echo();
    let mut victim = Command::new("sleep").arg("600").spawn().unwrap();
    let scope = Scope {
        pid: Some(victim.id().cast_signed()),
        ..Scope::default()
    };
    let (tell, hear) = sync_channel(0);
    std::thread::scope(|threads| {
        let agent = std::thread::Builder::new().name("agent".to_owned());
        let agent = agent.spawn_scoped(threads, || {
            apart(move || {
                let mut injection = inject_at("packet.drop", &json!({}), &scope);
                hear.recv().unwrap();
                hear.recv().unwrap();
                assert!(injection.count("packets_dropped") >= 1.0);
                injection.revert();
            });
        });
        tell.send(()).unwrap();
        assert!(is_hit(server));
        tell.send(()).unwrap();
        agent.unwrap().join().unwrap();
    });
    connect(server);
    victim.kill().unwrap();
    victim.wait().unwrap();
}

fn every_queue_has_a_number_of_its_own() {
    let held: Vec<_> = (0..3).map(|_| Queue::hold().unwrap().number).collect();
    assert_eq!(
        held, [held[0]; 3],
        "a number is free again when its queue is gone"
    );
    let together: Vec<_> = (0..3).map(|_| Queue::hold().unwrap()).collect();
    let mut numbers: Vec<_> = together.iter().map(|queue| queue.number).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), 3, "{numbers:?}");
}

/// The figures are printed with `--nocapture`; the bounds are for machines that do other things too.
fn they_come_and_go_quickly() {
    let peer = Peer::new();
    let server = peer.echo();
    let cases: [(&str, Value); 3] = [
        ("packet.reset", json!({"port": server.port()})),
        ("packet.drop", json!({"port": server.port()})),
        ("packet.latency", json!({"delay": "200ms", "port": server.port()})),
    ];
    for (name, parameters) in cases {
        let (mut on, mut off) = (Vec::new(), Vec::new());
        for _ in 0..100 {
            let mut injection = inject(name, &parameters);
            // The first connection that is begun after it is hit.
            on.push(injection.took);
            let hit = TcpStream::connect_timeout(&server, 20 * MS).is_err();
            assert!(hit, "{name}");
            let began = Instant::now();
            assert!(injection.held.revert().clean);
            connect(server);
            off.push(began.elapsed());
            injection.revert();
        }
        let p95 = |times: &mut Vec<Duration>| {
            times.sort();
            times[94]
        };
        let (on, off) = (p95(&mut on), p95(&mut off));
        println!("{name}: p95 of 100, order to effect {on:?}, revert to a healthy connection {off:?}");
        assert!(on < PATIENCE / 10 && off < PATIENCE / 10, "{name}");
    }
}
