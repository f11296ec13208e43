//! Aborting: what it hits, what it tells, and that it is served beyond every bound.

use crate::bench::{Bench, Disk, key, limits};
use firedrill_ward::{Effect, Event};
use firedrill_wire::{AbortLine, Evidence, InjectionState as S, ProblemKind as P, Undo};

fn left(line: &AbortLine) -> Option<u32> {
    match line {
        AbortLine::Reverted { left, .. } | AbortLine::Proved { left, .. } => *left,
        AbortLine::Received { .. } | AbortLine::End { .. } => None,
    }
}

#[test]
fn an_abort_tells_of_receipt_read_back_and_proof() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    b.active(&fence, "i2");
    let ask = b.abort(Some("a1"), None, true);
    assert_eq!(b.reverts("i1").len() + b.reverts("i2").len(), 2);
    let AbortLine::Received {
        durable,
        latch,
        injections,
        ..
    } = &b.lines(ask)[0]
    else {
        panic!("no receipt")
    };
    assert_eq!((*durable, injections.len()), (true, 2));
    let latch = latch.as_ref().unwrap();
    assert_eq!(
        (latch.number, latch.reason.as_str(), latch.who.as_str()),
        (1, "smoke", "ann")
    );
    b.read_back(fence.epoch, "i1", true);
    b.proved(fence.epoch, "i1", true);
    b.read_back(fence.epoch, "i2", true);
    assert_eq!(b.end(ask), None);
    b.proved(fence.epoch, "i2", true);
    assert_eq!(b.end(ask), Some(true));
    let left: Vec<_> = b.lines(ask).iter().map(left).collect();
    assert_eq!(
        left,
        [None, Some(1), Some(1), Some(0), Some(0), None],
        "still to come"
    );
    let proved = b.ward.injection(&"i1".into(), b.now).unwrap();
    assert_eq!(
        (proved.state, proved.reason.as_deref()),
        (S::Reverted, Some("abort"))
    );
    assert!(proved.proved.is_some());
}

#[test]
fn an_abort_that_cannot_confirm_ends_unclean_and_says_what_to_do() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    let ask = b.abort(None, None, true);
    b.read_back(fence.epoch, "i1", false);
    assert_eq!(b.end(ask), Some(false));
    let told = b.lines(ask).into_iter().find_map(|line| match line {
        AbortLine::Reverted { state, by_hand, .. } => Some((state, by_hand)),
        _ => None,
    });
    assert_eq!(told, Some((S::Unconfirmed, Some("restart the proxy".to_owned()))));

    // A second press tries again at once.
    let again = b.abort(None, None, true);
    assert_eq!(b.reverts("i1"), [1, 2]);
    b.read_back(fence.epoch, "i1", true);
    b.proved(fence.epoch, "i1", true);
    assert_eq!((b.end(again), b.state("i1")), (Some(true), S::Reverted));
}

#[test]
fn a_slow_disk_holds_no_revert_and_a_refusing_one_is_told() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    b.disk = Disk::Hangs;
    let ask = b.abort(Some("a1"), None, true);
    b.read_back(fence.epoch, "i1", true);
    assert!(
        matches!(b.lines(ask)[..], [AbortLine::Reverted { left: Some(0), .. }]),
        "{:?}",
        b.lines(ask)
    );
    b.proved(fence.epoch, "i1", true);
    assert_eq!(
        b.end(ask),
        None,
        "no end before the latch is on disk, or known not to be"
    );
    b.pass_ms(limits().operation_ms);
    assert_eq!((b.durable(ask), b.end(ask)), (Some(false), Some(true)));
    assert!(b.ward.latch().is_some());

    b.disk = Disk::Full;
    let ask = b.abort(Some("a2"), None, true);
    assert_eq!((b.durable(ask), b.end(ask)), (Some(false), Some(true)));
    assert!(b.ward.disk_refuses());
    assert!(b.on_disk.latch.is_none());
    b.disk = Disk::Fast;
    b.pass_ms(1_000);
    assert_eq!(
        b.on_disk.latch.as_ref().map(|latch| latch.number),
        Some(2),
        "it is tried again"
    );
    assert!(!b.ward.disk_refuses());
}

#[test]
fn a_receipt_never_tells_of_a_latch_that_is_not_on_disk_yet() {
    let mut b = Bench::new();
    b.disk = Disk::Hangs;
    let first = b.abort(Some("a1"), None, false);
    let save = b.last_save();
    b.abort(Some("a2"), None, true);
    b.step(Event::Saved { save, durable: true });
    let AbortLine::Received { durable, latch, .. } = &b.lines(first)[0] else {
        panic!("no receipt")
    };
    assert_eq!((*durable, latch.is_none()), (true, true));
}

#[test]
fn nothing_starts_under_the_latch() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    b.abort(None, None, true);
    let start = b.start(&fence, "i2");
    let patch = b.patch(&fence, "i1", 1);
    let open = b.open_as("d2", "n2");
    for ask in [start, patch, open] {
        assert_eq!(b.kind(ask), P::Latched);
        assert!(b.refusal(ask).detail.contains("ann: smoke"));
    }
    assert_eq!(b.applies("i2"), 0);
}

#[test]
fn a_change_in_flight_when_the_abort_comes_is_reverted_as_soon_as_it_returns() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    let patch = b.patch(&fence, "i1", 1);
    b.abort(Some("a1"), None, true);
    assert_eq!((b.kind(patch), b.reverts("i1").len()), (P::Fenced, 0));
    b.step(Event::Adjusted {
        key: key(fence.epoch, "i1"),
        result: Ok(Evidence::default()),
    });
    assert_eq!(b.reverts("i1").len(), 1);

    // One that hangs holds up the revert only so long, and forbids to call it reverted.
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    b.patch(&fence, "i1", 1);
    b.abort(None, None, true);
    b.pass_ms(limits().operation_ms);
    assert_eq!(b.reverts("i1").len(), 1);
    b.read_back(fence.epoch, "i1", true);
    assert_eq!(b.state("i1"), S::Unconfirmed);
}

#[test]
fn a_one_shot_in_flight_when_the_abort_comes_is_done_and_said() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let request = b.start_request(&fence);
    let start = b.start_with("cut", request, "route:pay", Undo::None);
    let ask = b.abort(None, None, true);
    assert_eq!((b.answer(start), b.end(ask)), (None, None));
    b.applied(fence.epoch, "cut");
    assert_eq!(
        (b.view(start).state, b.state("cut"), b.end(ask)),
        (S::Done, S::Done, Some(true))
    );
}

#[test]
fn a_drill_aborted_before_its_opening_never_opens() {
    let mut b = Bench::new();
    let ask = b.abort(Some("a1"), Some("d1"), false);
    assert_eq!(b.end(ask), Some(true));
    let open = b.open_as("d1", "n1");
    assert_eq!(b.kind(open), P::Fenced);
    b.restart();
    let open = b.open_as("d1", "n1");
    assert_eq!(b.kind(open), P::Fenced, "not in the next life either");
    b.open("d2");
}

#[test]
fn an_unlatched_abort_of_one_drill_leaves_others_alone_and_a_latching_one_does_not() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    let other = b.abort(Some("a1"), Some("d2"), false);
    assert_eq!((b.state("i1"), b.end(other)), (S::Active, Some(true)));
    let own = b.abort(Some("a2"), Some("d1"), false);
    assert_eq!((b.state("i1"), b.end(own)), (S::Reverting, None));
    assert!(b.ward.latch().is_none());
    b.read_back(fence.epoch, "i1", true);

    let fence = b.open("d3");
    b.active(&fence, "i3");
    b.abort(Some("a3"), Some("d2"), true);
    assert_eq!(b.state("i3"), S::Reverting, "latched means nothing is on");
}

#[test]
fn a_repeated_abort_does_not_latch_again_and_kills_nothing_newer() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    let first = b.abort(Some("a1"), None, true);
    let repeat = b.abort(Some("a1"), None, true);
    assert_eq!(b.ward.latch().map(|latch| latch.number), Some(1));
    b.read_back(fence.epoch, "i1", true);
    b.proved(fence.epoch, "i1", true);
    assert_eq!((b.end(first), b.end(repeat)), (Some(true), Some(true)));

    b.release(1);
    let fence = b.open("d2");
    b.active(&fence, "i2");
    let late = b.abort(Some("a1"), None, true);
    assert_eq!(b.end(late), Some(true));
    assert_eq!((b.ward.latch(), b.state("i2")), (None, S::Active));

    // A press of its own does both, and so does one without an id.
    b.abort(Some("a2"), None, true);
    assert_eq!(
        (b.ward.latch().map(|latch| latch.number), b.state("i2")),
        (Some(2), S::Reverting)
    );
    b.abort(None, None, true);
    assert_eq!(b.ward.latch().map(|latch| latch.number), Some(3));
}

#[test]
fn an_abort_of_a_drill_tells_again_of_all_that_was_ever_on() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    b.abort(Some("a1"), Some("d1"), false);
    b.read_back(fence.epoch, "i1", true);
    b.proved(fence.epoch, "i1", true);
    let again = b.abort(Some("a1"), Some("d1"), false);
    let lines = b.lines(again);
    let [reverted, proved, received, _] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert!(matches!(
        reverted,
        AbortLine::Reverted {
            state: S::Reverted,
            ..
        }
    ));
    assert!(matches!(proved, AbortLine::Proved { clean: true, .. }));
    assert!(
        matches!(received, AbortLine::Received { .. }),
        "the disk holds no line"
    );
    assert_eq!(b.end(again), Some(true));
}

#[test]
fn a_proof_says_nothing_once_something_new_has_the_resource() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let request = b.start_request(&fence);
    b.start_with("i1", request.clone(), "cpu", Undo::ProcessHeld);
    b.applied(fence.epoch, "i1");
    b.revert("i1");
    b.read_back(fence.epoch, "i1", true);
    b.start_with("i2", request, "cpu", Undo::ProcessHeld);
    b.applied(fence.epoch, "i2");
    b.proved(fence.epoch, "i1", false);
    let abort = b.abort(None, Some("d1"), true);
    b.read_back(fence.epoch, "i2", true);
    b.proved(fence.epoch, "i2", true);
    assert_eq!(b.end(abort), Some(true));
}

#[test]
fn an_abort_that_names_a_drill_of_long_ago_tells_what_became_of_it() {
    let mut b = Bench::new();
    for drill in ["d1", "d2"] {
        let fence = b.open(drill);
        b.active(&fence, drill);
        b.close(fence.epoch);
        b.read_back(fence.epoch, drill, true);
        b.proved(fence.epoch, drill, true);
    }
    b.pass_ms(60_000);
    let abort = b.abort(Some("a1"), Some("d1"), false);
    let lines = b.lines(abort);
    let names: Vec<_> = lines
        .iter()
        .filter_map(|line| match line {
            AbortLine::Reverted { injection, .. } | AbortLine::Proved { injection, .. } => {
                Some(injection.as_str())
            }
            AbortLine::Received { .. } | AbortLine::End { .. } => None,
        })
        .collect();
    assert_eq!(
        names,
        ["d1", "d1"],
        "reverted and proved, and nothing of the other"
    );
    assert_eq!(b.end(abort), Some(true));
}

#[test]
fn a_repeated_abort_may_latch_when_the_first_did_not() {
    let mut b = Bench::new();
    b.abort(Some("a1"), None, false);
    assert!(b.ward.latch().is_none());
    b.abort(Some("a1"), None, true);
    assert!(b.ward.latch().is_some());
}

#[test]
fn aborts_are_served_beyond_every_bound() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    let asks: Vec<_> = (0..=limits().asks)
        .map(|_| b.abort(Some("a1"), None, true))
        .collect();
    let hung_up = |effect: &Effect| matches!(effect, Effect::HangUp { ask } if *ask == asks[0]);
    assert_eq!(b.count(hung_up), 1);
    b.read_back(fence.epoch, "i1", true);
    b.proved(fence.epoch, "i1", true);
    assert_eq!(b.end(asks[0]), None, "without an end it is unconfirmed");
    assert!(asks[1..].iter().all(|ask| b.end(*ask) == Some(true)));
    for n in 0..3 * limits().aborts {
        b.abort(Some(&format!("b{n}")), Some(&format!("d{n}")), false);
    }
    assert_eq!(
        (b.on_disk.aborts.len(), b.on_disk.dead_drills.len()),
        (limits().aborts, limits().dead_drills)
    );
}
