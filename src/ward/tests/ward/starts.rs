//! Starting: what is on disk first, what is refused, what a repeat hears.

use crate::bench::{Bench, Disk, key, limits};
use firedrill_ward::Event;
use firedrill_wire::{InjectionState as S, Problem, ProblemKind as P, Undo};

#[test]
fn a_start_is_on_disk_before_it_is_applied_and_is_answered_when_it_is_on() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.disk = Disk::Hangs;
    let ask = b.start(&fence, "i1");
    assert_eq!(b.applies("i1"), 0);
    let save = b.last_save();
    b.step(Event::Saved { save, durable: true });
    assert_eq!((b.applies("i1"), b.answer(ask)), (1, None));
    b.applied(fence.epoch, "i1");
    let view = b.view(ask);
    assert_eq!((view.state, view.active_since), (S::Active, Some(b.now)));
    assert_eq!(view.ends_in_ms, 60_000);
}

#[test]
fn a_start_that_the_disk_refuses_is_refused() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.disk = Disk::Full;
    let ask = b.start(&fence, "i1");
    assert_eq!((b.kind(ask), b.applies("i1")), (P::Unavailable, 0));
    assert_eq!(b.state("i1"), S::Refused);
}

#[test]
fn the_same_start_again_gets_the_same_answer_and_another_body_none() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let request = b.start_request(&fence);
    let first = b.start_with("i1", request.clone(), "cpu", Undo::ProcessHeld);
    let during = b.start_with("i1", request.clone(), "cpu", Undo::ProcessHeld);
    b.applied(fence.epoch, "i1");
    b.now = b.now.plus_ms(5_000);
    let after = b.start_with("i1", request.clone(), "cpu", Undo::ProcessHeld);
    for ask in [first, during, after] {
        assert_eq!(b.view(ask).state, S::Active);
    }
    assert_eq!(b.applies("i1"), 1);
    let other = firedrill_wire::StartRequest {
        ends_in_ms: 1,
        ..request
    };
    let ask = b.start_with("i1", other, "cpu", Undo::ProcessHeld);
    assert_eq!(b.kind(ask), P::Held);
}

#[test]
fn a_repeat_of_a_start_that_began_is_never_a_refusal() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let request = b.start_request(&fence);
    b.start_with("i1", request.clone(), "cpu", Undo::ProcessHeld);
    b.applied(fence.epoch, "i1");
    b.abort(None, None, true);
    let late = b.start_with("i1", request.clone(), "cpu", Undo::ProcessHeld);
    assert_eq!(
        b.view(late).state,
        S::Reverting,
        "a console would take 412 or 423 for: it never began"
    );
    b.read_back(fence.epoch, "i1", true);
    let later = b.start_with("i1", request.clone(), "cpu", Undo::ProcessHeld);
    assert_eq!((b.view(later).state, b.applies("i1")), (S::Reverted, 1));
    // Nothing is pending of it any more.
    b.proved(fence.epoch, "i1", true);
    b.pass_ms(1_000);
    let last = b.start_with("i1", request, "cpu", Undo::ProcessHeld);
    let revert = b.revert("i1");
    for ask in [last, revert] {
        assert_eq!((b.view(ask).state, b.applies("i1")), (S::Reverted, 1));
    }
}

#[test]
fn a_claim_has_one_owner_and_a_refused_start_stays_refused() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let request = b.start_request(&fence);
    b.start_with("i1", request.clone(), "route:pay", Undo::ProcessHeld);
    b.applied(fence.epoch, "i1");
    let second = b.start_with("i2", request.clone(), "route:pay", Undo::ProcessHeld);
    assert_eq!(b.kind(second), P::Held);
    assert!(b.refusal(second).detail.contains("route:pay is held by i1"));

    b.revert("i1");
    let reverting = b.start_with("i3", request.clone(), "route:pay", Undo::ProcessHeld);
    assert_eq!(b.kind(reverting), P::Held);
    b.read_back(fence.epoch, "i1", false);
    let unconfirmed = b.start_with("i4", request.clone(), "route:pay", Undo::ProcessHeld);
    assert_eq!(b.kind(unconfirmed), P::Held);
    b.pass_ms(1_000);
    b.read_back(fence.epoch, "i1", true);

    // The way is free: a new id starts, but the network's late repeat of a refused start does not.
    let repeat = b.start_with("i2", request, "route:pay", Undo::ProcessHeld);
    assert_eq!((b.kind(repeat), b.applies("i2")), (P::Held, 0));
    let request = b.start_request(&fence);
    b.start_with("i5", request, "route:pay", Undo::ProcessHeld);
    assert_eq!(b.applies("i5"), 1);
}

#[test]
fn a_start_beyond_the_agents_limits_is_refused_and_never_clamped() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let good = b.start_request(&fence);
    let cases = [
        (
            firedrill_wire::StartRequest {
                ends_in_ms: 3_600_001,
                ..good.clone()
            },
            P::Policy,
        ),
        (
            firedrill_wire::StartRequest {
                ends_in_ms: 0,
                ..good.clone()
            },
            P::Parameters,
        ),
        (
            firedrill_wire::StartRequest {
                ramp_ms: 60_001,
                ..good.clone()
            },
            P::Parameters,
        ),
        (
            firedrill_wire::StartRequest {
                parameters: "x".repeat(5_000).into(),
                ..good
            },
            P::Parameters,
        ),
    ];
    for (n, (request, kind)) in cases.into_iter().enumerate() {
        let id = format!("i{n}");
        let ask = b.start_with(&id, request, "cpu", Undo::ProcessHeld);
        assert_eq!((b.kind(ask), b.applies(&id)), (kind, 0));
    }
}

#[test]
fn a_start_that_could_not_be_applied_has_failed_only_after_a_read_back() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let problem = || Problem::new(P::NotPossible, "no such process", "pid 4211", "choose another");
    let clean = b.start(&fence, "i1");
    b.step(Event::ApplyFailed {
        key: key(fence.epoch, "i1"),
        problem: problem(),
        half_applied: false,
    });
    assert_eq!((b.kind(clean), b.state("i1")), (P::NotPossible, S::Failed));

    let half = b.start(&fence, "i2");
    b.step(Event::ApplyFailed {
        key: key(fence.epoch, "i2"),
        problem: problem(),
        half_applied: true,
    });
    assert_eq!((b.answer(half), b.state("i2")), (None, S::Reverting));
    b.read_back(fence.epoch, "i2", true);
    assert_eq!((b.kind(half), b.state("i2")), (P::NotPossible, S::Failed));

    let stuck = b.start(&fence, "i3");
    b.step(Event::ApplyFailed {
        key: key(fence.epoch, "i3"),
        problem: problem(),
        half_applied: true,
    });
    b.read_back(fence.epoch, "i3", false);
    assert_eq!(
        (b.view(stuck).state, b.state("i3")),
        (S::Unconfirmed, S::Unconfirmed),
        "a refusal would say off"
    );
    b.pass_ms(1_000);
    b.read_back(fence.epoch, "i3", true);
    assert_eq!(b.state("i3"), S::Reverted, "only reverted may follow unconfirmed");
}

#[test]
fn a_start_that_hangs_is_not_called_reverted_before_it_has_returned() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let ask = b.start(&fence, "i1");
    b.pass_ms(limits().operation_ms);
    assert_eq!((b.view(ask).state, b.reverts("i1")), (S::Reverting, vec![1]));
    b.read_back(fence.epoch, "i1", true);
    assert_eq!(b.state("i1"), S::Unconfirmed, "the start may still take effect");
    b.applied(fence.epoch, "i1");
    assert_eq!(b.reverts("i1"), [1, 2]);
    b.read_back_of(fence.epoch, "i1", 1, true);
    assert_eq!(b.state("i1"), S::Unconfirmed, "an old read-back says nothing");
    b.read_back_of(fence.epoch, "i1", 2, true);
    assert_eq!(b.state("i1"), S::Reverted);
}
