//! The hazards that the protocol answers, each by its name.

use crate::bench::{Bench, Disk, key, limits};
use firedrill_ward::{Durable, Effect, Event};
use firedrill_wire::{
    Epoch, Evidence, HolderSecret, InjectionState as S, Instance, ProblemKind as P, Tick, Undo,
};

#[test]
fn a_revert_that_overtakes_its_start_leaves_a_tombstone() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let revert = b.revert("i1");
    assert_eq!(b.kind(revert), P::Unknown);
    let start = b.start(&fence, "i1");
    assert_eq!((b.kind(start), b.applies("i1")), (P::Fenced, 0));

    // Its bound is safe: with no room for another one, nothing unknown starts.
    b.active(&fence, "i2");
    for n in 0..limits().tombstones {
        b.revert(&format!("unknown-{n}"));
    }
    let start = b.start(&fence, "i3");
    assert_eq!((b.kind(start), b.applies("i3")), (P::TooMany, 0));

    // A new epoch has none of them, and without an epoch an unknown id is only unknown.
    b.close(fence.epoch);
    let revert = b.revert("i9");
    assert_eq!(b.kind(revert), P::Unknown);
    let fence = b.open("d2");
    b.active(&fence, "i9");
}

#[test]
fn a_revert_leaves_a_tombstone_even_when_a_former_drill_used_the_name() {
    let mut b = Bench::new();
    let old = b.open("d1");
    b.active(&old, "i1");
    b.revert("i1");
    b.read_back(old.epoch, "i1", true);
    b.close(old.epoch);
    let fence = b.open("d2");
    let revert = b.revert("i1");
    assert_eq!(
        (b.view(revert).epoch, b.view(revert).drill.as_str()),
        (old.epoch, "d1")
    );
    let start = b.start(&fence, "i1");
    assert_eq!(b.kind(start), P::Fenced);
}

#[test]
fn a_start_in_flight_when_the_abort_comes_is_in_its_set_and_reverted_as_soon_as_it_returns() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let start = b.start(&fence, "i1");
    let ask = b.abort(Some("a1"), None, true);
    assert_eq!(
        b.view(start).state,
        S::Reverting,
        "a refusal would be taken for: it never began"
    );
    assert!(
        b.reverts("i1").is_empty(),
        "a revert must not overtake the start it takes back"
    );
    assert_eq!(b.end(ask), None);
    b.applied(fence.epoch, "i1");
    assert_eq!(b.reverts("i1").len(), 1);
    b.read_back(fence.epoch, "i1", true);
    b.proved(fence.epoch, "i1", true);
    assert_eq!((b.end(ask), b.state("i1")), (Some(true), S::Reverted));
}

#[test]
fn a_held_up_start_does_not_begin_late() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let request = b.start_request(&fence);
    b.now = request.not_after.plus_ms(1);
    let ask = b.start_with("i1", request, "cpu", Undo::ProcessHeld);
    assert_eq!((b.kind(ask), b.applies("i1")), (P::Fenced, 0));

    // Held up by the disk, it is no better.
    b.disk = Disk::Hangs;
    let ask = b.start(&fence, "i2");
    let save = b.last_save();
    b.pass_ms(1_001);
    assert_eq!(b.kind(ask), P::Fenced);
    b.step(Event::Saved { save, durable: true });
    assert_eq!((b.applies("i2"), b.state("i2")), (0, S::Refused));

    // In its last moment it is in time.
    b.disk = Disk::Fast;
    let request = b.start_request(&fence);
    b.now = request.not_after;
    b.start_with("i3", request, "cpu", Undo::ProcessHeld);
    assert_eq!(b.applies("i3"), 1);
}

#[test]
fn a_late_or_doubled_renewal_adds_nothing() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let opened = b.now;
    b.now = b.now.plus_ms(4_000);
    let seen = b.now;
    let ask = b.renew(&fence, seen);
    assert_eq!(b.deadline(ask), seen.plus_ms(10_000));
    b.now = b.now.plus_ms(4_000);
    for old in [seen, opened, Tick(0)] {
        let ask = b.renew(&fence, old);
        assert_eq!(b.deadline(ask), seen.plus_ms(10_000));
    }
    let future = b.renew(&fence, b.now.plus_ms(1));
    assert_eq!(b.kind(future), P::Fenced);
}

#[test]
fn a_replayed_release_lifts_nothing_new() {
    let mut b = Bench::new();
    let early = b.release(1);
    assert_eq!(b.kind(early), P::Held);
    b.abort(None, None, true);
    for wrong in [0, 2] {
        let ask = b.release(wrong);
        assert_eq!(b.kind(ask), P::Held);
    }
    let ask = b.release(1);
    assert!(matches!(b.answer(ask), Some(firedrill_ward::Reply::Released(_))));
    assert!(b.ward.latch().is_none());
    let repeat = b.release(1);
    assert!(
        matches!(b.answer(repeat), Some(firedrill_ward::Reply::Released(_))),
        "its answer was lost"
    );
    b.abort(None, None, true);
    let replayed = b.release(1);
    assert_eq!(
        (b.kind(replayed), b.ward.latch().map(|latch| latch.number)),
        (P::Held, Some(2))
    );
}

#[test]
fn a_stranger_at_the_address_is_refused_by_every_part_of_its_fence() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let mut wrong = vec![fence.clone(); 4];
    wrong[0].drill = "d2".into();
    wrong[1].epoch = Epoch(2);
    wrong[2].instance = Instance("life-0".to_owned());
    wrong[3].holder = HolderSecret("guessed".to_owned());
    for stranger in wrong {
        let start = b.start(&stranger, "i1");
        let renew = b.renew(&stranger, b.now);
        let patch = b.patch(&stranger, "i1", 1);
        for ask in [start, renew, patch] {
            assert_eq!(b.kind(ask), P::Fenced);
        }
    }
    assert_eq!(b.applies("i1"), 0);
    assert!(b.ward.injections(b.now).is_empty(), "a stranger leaves no trace");
}

#[test]
fn an_abort_during_starting_begins_nothing() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.disk = Disk::Hangs;
    let start = b.start(&fence, "i1");
    let save = b.last_save();
    let ask = b.abort(Some("a1"), None, false);
    assert_eq!((b.kind(start), b.state("i1")), (P::Fenced, S::Refused));
    b.step(Event::Saved { save, durable: true });
    assert_eq!(b.applies("i1"), 0);
    let save = b.last_save();
    b.step(Event::Saved { save, durable: true });
    assert_eq!((b.end(ask), b.reverts("i1").len()), (Some(true), 0));
}

#[test]
fn an_opening_on_its_way_to_the_disk_dies_with_an_abort() {
    let mut b = Bench::new();
    b.disk = Disk::Hangs;
    let open = b.open_as("d1", "n1");
    let save = b.last_save();
    b.abort(Some("a1"), Some("d1"), false);
    assert_eq!(b.kind(open), P::Fenced);
    b.step(Event::Saved { save, durable: true });
    assert!(b.ward.open_drill(b.now).is_none());
}

#[test]
fn an_old_strengthening_changes_nothing() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let unknown = b.patch(&fence, "i1", 1);
    assert_eq!(b.kind(unknown), P::Unknown);
    b.start(&fence, "i1");
    let starting = b.patch(&fence, "i1", 1);
    assert_eq!(b.kind(starting), P::Fenced);
    b.applied(fence.epoch, "i1");
    let ends_at = b.ward.injection(&"i1".into(), b.now).unwrap().ends_at;

    b.now = b.now.plus_ms(1_000);
    let change = b.patch(&fence, "i1", 3);
    let repeat = b.patch(&fence, "i1", 3);
    let other = b.patch(&fence, "i1", 4);
    assert_eq!((b.answer(change), b.kind(other)), (None, P::Held));
    b.step(Event::Adjusted {
        key: key(fence.epoch, "i1"),
        result: Ok(Evidence::default()),
    });
    for ask in [change, repeat] {
        let view = b.view(ask);
        assert_eq!((view.revision, view.ends_at, view.state), (3, ends_at, S::Active));
        assert_eq!(view.parameters["delay"], "300ms");
    }
    assert_eq!(b.count(|effect| matches!(effect, Effect::Adjust { .. })), 1);
    for old in [1, 2] {
        let ask = b.patch(&fence, "i1", old);
        assert_eq!(b.kind(ask), P::Fenced, "an old strengthening changes nothing");
    }
    b.revert("i1");
    let reverting = b.patch(&fence, "i1", 9);
    assert_eq!(b.kind(reverting), P::Fenced);
}

#[test]
fn a_repeated_epoch_after_lost_state_is_another_life() {
    let mut b = Bench::new();
    let old = b.open("d1");
    b.active(&old, "i1");
    // The state is gone with the disk: the next life counts from one again.
    b.on_disk = Durable::lost("the disk was replaced");
    b.restart();
    let refused = b.open_as("d1", "n1");
    assert_eq!(
        b.kind(refused),
        P::Latched,
        "nobody knows whether somebody had aborted"
    );
    let latch = b.ward.latch().unwrap().number;
    b.release(latch);
    let new = b.open("d1");
    assert_eq!(
        (old.drill.clone(), old.epoch),
        (new.drill.clone(), new.epoch),
        "the very numbers again"
    );
    let start = b.start(&old, "i2");
    let renew = b.renew(&old, b.now);
    let patch = b.patch(&old, "i1", 1);
    for ask in [start, renew, patch] {
        assert_eq!(b.kind(ask), P::Fenced);
    }
    assert_eq!(b.applies("i2"), 0);
}

#[test]
fn a_restart_bakes_no_fault_in() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    b.restart();
    // Until what was on is read back as gone, a start would take the fault for the value to restore.
    let fence = b.open("d2");
    let early = b.start(&fence, "i2");
    assert_eq!((b.kind(early), b.applies("i2")), (P::Unavailable, 0));
    b.read_back(Epoch(1), "i1", true);
    let start = b.start(&fence, "i3");
    assert_eq!((b.answer(start), b.applies("i3")), (None, 1));
}
