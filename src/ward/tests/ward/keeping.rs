//! The keeper: nothing starts without one, and by when it must have heard of this process.

use crate::bench::{Bench, Disk};
use firedrill_ward::Event;
use firedrill_wire::{InjectionState as S, ProblemKind as P, Undo};

fn unkept(b: &mut Bench) {
    b.step(Event::Unkept {
        why: "it was killed".to_owned(),
    });
}

#[test]
fn without_a_keeper_nothing_starts() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    unkept(&mut b);
    let ask = b.start(&fence, "i1");
    assert_eq!((b.kind(ask), b.applies("i1")), (P::Unavailable, 0));
    assert!(
        b.refusal(ask).detail.contains("it was killed"),
        "{}",
        b.refusal(ask)
    );
    b.step(Event::Kept);
    b.start(&fence, "i2");
    assert_eq!(b.applies("i2"), 1);
}

#[test]
fn a_start_on_its_way_to_the_disk_does_not_begin_when_the_keeper_goes() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.disk = Disk::Hangs;
    let ask = b.start(&fence, "i1");
    let save = b.last_save();
    unkept(&mut b);
    b.step(Event::Saved { save, durable: true });
    assert_eq!(
        (b.kind(ask), b.applies("i1"), b.state("i1")),
        (P::Unavailable, 0, S::Refused)
    );
}

#[test]
fn what_needs_a_keeper_ends_with_it_and_the_rest_stays() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    let request = b.start_request(&fence);
    b.start_with("i2", request.clone(), "pid:4211", Undo::ProcessHeld);
    b.applied(fence.epoch, "i2");
    b.start_with("i3", request, "pid:4212", Undo::ProcessHeld);
    unkept(&mut b);
    assert_eq!((b.state("i1"), b.state("i2")), (S::Active, S::Reverting));
    // One whose start is under way is reverted as soon as that returns.
    assert_eq!((b.state("i3"), b.reverts("i3").len()), (S::Reverting, 0));
    b.applied(fence.epoch, "i3");
    assert_eq!(b.reverts("i3").len(), 1);
    b.read_back(fence.epoch, "i2", true);
    assert_eq!(
        b.ward.injection(&"i2".into(), b.now).unwrap().reason.as_deref(),
        Some("keeper")
    );
}

#[test]
fn it_is_heard_of_by_the_next_end_while_something_is_on() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    assert_eq!(
        b.ward.heard_by(),
        None,
        "an open drill with nothing on may be silent"
    );
    b.active(&fence, "i1");
    let lease = b.now.plus_ms(10_000);
    assert_eq!(b.ward.heard_by(), Some(lease));
    // A renewal is a word.
    b.now = b.now.plus_ms(4_000);
    let seen = b.now;
    b.renew(&fence, seen);
    assert_eq!(b.ward.heard_by(), Some(seen.plus_ms(10_000)));
    // What is being reverted is looked at again soon, and what is off needs nobody.
    b.revert("i1");
    assert!(b.ward.heard_by().is_some_and(|at| at <= b.now.plus_ms(5_000)));
    b.read_back(fence.epoch, "i1", true);
    assert_eq!(b.ward.heard_by(), None);
}
