//! The hazards of the protocol that only a real agent has, each by its name.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::rig::{Drill, Process, Rig};

pub const TESTS: &[(&str, fn())] = &[
    (
        "a_stranger_at_the_address_obeys_no_fence",
        a_stranger_at_the_address_obeys_no_fence,
    ),
    (
        "a_repeated_epoch_after_lost_state_is_another_life",
        a_repeated_epoch_after_lost_state_is_another_life,
    ),
];

/// Starts, renews and changes under a fence that is not of this agent's life.
fn refuses(drill: &mut Drill, foreign: &Value) {
    let epoch = &foreign["epoch"];
    let renewal = json!({ "fence": foreign, "seen": 0 });
    let path = format!("/v1/drills/{epoch}/lease");
    drill.client.call("POST", &path, &renewal).expect(412);
    let mut body = drill.body("noop", Value::Null, json!({}));
    body["fence"] = foreign.clone();
    drill
        .client
        .call("PUT", "/v1/injections/foreign", &body)
        .expect(412);
    assert_eq!(drill.client.get("/v1/injections/foreign").status, 404);
}

fn a_stranger_at_the_address_obeys_no_fence() {
    // Two hosts of one image: the same token, the same drill, the same epoch; what was meant for one reaches the other.
    let (meant, stranger) = (Rig::new(), Rig::new());
    let ours = Drill::open(meant.client(), "d1");
    let mut theirs = Drill::open(stranger.client(), "d1");
    assert_eq!(ours.fence["epoch"], theirs.fence["epoch"]);
    let (epoch, drill) = (&ours.fence["epoch"], &ours.fence["drill"]);
    // Even with the holder's secret known: the life is another.
    let mut guessed = theirs.fence.clone();
    guessed["instance"] = ours.fence["instance"].clone();
    assert_eq!((&guessed["epoch"], &guessed["drill"]), (epoch, drill));
    for fence in [ours.fence.clone(), guessed] {
        refuses(&mut theirs, &fence);
    }
    // And every answer says who speaks.
    let info = |rig: &Rig| rig.client().get("/v1/agent").expect(200);
    assert_ne!(info(&meant)["agent"], info(&stranger)["agent"]);
}

fn a_repeated_epoch_after_lost_state_is_another_life() {
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    let mut first = Process::start(&state);
    let old = Drill::open(first.client(), "d1").fence;
    first.signal(Signal::SIGKILL);
    first.child.wait().unwrap();
    std::fs::remove_file(state.join("durable.json")).unwrap();
    let second = Process::start(&state);
    let info = second.client().get("/v1/agent").expect(200);
    let latch =
        json!({ "latch": info["latch"]["number"], "reason": "the disk was replaced", "who": "tester" });
    second.client().call("POST", "/v1/release", &latch).expect(200);
    let mut new = Drill::open(second.client(), "d1");
    assert_eq!(
        (&new.fence["epoch"], &new.fence["drill"]),
        (&old["epoch"], &old["drill"])
    );
    refuses(&mut new, &old);
    new.start("i1", "noop", Value::Null, json!({}));
}
