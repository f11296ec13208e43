//! The other stops: releases, restarts, reverts, proofs, the shutdown.

use crate::bench::{Bench, Disk, life, limits};
use firedrill_ward::{Durable, Effect, Event};
use firedrill_wire::{EventKind, Fence, InjectionState as S, ProblemKind as P, Undo};

#[test]
fn a_release_counts_when_it_is_on_disk_and_a_newer_abort_beats_it() {
    let mut b = Bench::new();
    b.abort(None, None, true);
    b.disk = Disk::Full;
    let refused = b.release(1);
    assert_eq!(b.kind(refused), P::Unavailable);
    assert!(b.ward.latch().is_some());

    b.disk = Disk::Hangs;
    let overtaken = b.release(1);
    let save = b.last_save();
    b.abort(None, None, true);
    assert_eq!(b.kind(overtaken), P::Held);
    b.step(Event::Saved { save, durable: true });
    assert_eq!(b.ward.latch().map(|latch| latch.number), Some(2));
    let slow = b.release(2);
    b.pass_ms(limits().disk_ms);
    assert_eq!(b.kind(slow), P::Unavailable);
    assert!(b.ward.latch().is_some());
}

#[test]
fn a_latch_and_dead_drills_outlive_the_process() {
    let mut b = Bench::new();
    b.open("d1");
    b.abort(None, None, true);
    b.restart();
    assert_eq!(b.ward.latch().map(|latch| latch.number), Some(1));
    b.release(1);
    let open = b.open_as("d1", "n1");
    assert_eq!(b.kind(open), P::Fenced);
    b.restart();
    assert!(b.ward.latch().is_none(), "a release outlives it too");
    assert!(Durable::lost("garbled").latch.is_some());
}

#[test]
fn a_restart_kills_the_epoch_and_names_what_it_undoes() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    let request = b.start_request(&fence);
    b.start_with("cut", request, "route:pay", Undo::None);
    b.restart();
    assert_eq!(
        (b.state("i1"), b.reverts("i1").len(), b.state("cut")),
        (S::Reverting, 1, S::Done)
    );
    let start = b.start(&fence, "i2");
    assert_eq!(b.kind(start), P::Fenced);
    let reopen = b.open_as("d1", "d1");
    assert_eq!(b.kind(reopen), P::Fenced);

    // A new drill may open, but nothing starts before the former life is read back.
    let next = b.open("d2");
    assert_eq!(next.epoch.0, fence.epoch.0 + 1);
    let early = b.start(&next, "i3");
    assert_eq!((b.kind(early), b.applies("i3")), (P::Unavailable, 0));
    b.read_back(fence.epoch, "i1", true);
    b.active(&next, "i4");
    let view = b.ward.injection(&"i1".into(), b.now).unwrap();
    assert_eq!(
        (view.state, view.started_by, view.stamp.instance),
        (S::Reverted, life(1), life(2))
    );
    assert_eq!(view.reason.as_deref(), Some("restart"));
}

#[test]
fn results_survive_a_restart_and_a_proof_that_was_not_given_is_made_up_for() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    b.revert("i1");
    b.read_back(fence.epoch, "i1", true);
    b.restart();
    assert_eq!((b.state("i1"), b.reverts("i1").len()), (S::Reverted, 0));
    b.proved(fence.epoch, "i1", true);
    assert!(b.ward.injection(&"i1".into(), b.now).unwrap().proved.is_some());
}

#[test]
fn a_revert_answers_after_its_read_back() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    let (first, second) = (b.revert("i1"), b.revert("i1"));
    assert_eq!((b.reverts("i1").len(), b.answer(first)), (1, None));
    b.read_back(fence.epoch, "i1", true);
    let third = b.revert("i1");
    for ask in [first, second, third] {
        assert_eq!((b.view(ask).state, b.view(ask).undone), (S::Reverted, Some(true)));
        assert_eq!(b.view(ask).evidence.words, "0 requests held");
    }
}

#[test]
fn a_revert_of_a_start_that_has_not_begun_refuses_it() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.disk = Disk::Hangs;
    let start = b.start(&fence, "i1");
    let save = b.last_save();
    let revert = b.revert("i1");
    b.step(Event::Saved { save, durable: true });
    assert_eq!(
        (b.kind(start), b.view(revert).state, b.applies("i1")),
        (P::Fenced, S::Refused, 0)
    );
}

#[test]
fn an_unconfirmed_injection_is_tried_again_with_growing_pauses() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    b.abort(None, None, true);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        b.read_back(fence.epoch, "i1", false);
        let Some(due) = b.ward.next_deadline() else {
            panic!("it is never tried again")
        };
        pauses.push(due.ms_since(b.now) / 1_000);
        b.pass_ms(due.ms_since(b.now));
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    // A read-back that never comes counts as unclean.
    b.pass_ms(limits().operation_ms);
    assert_eq!(b.state("i1"), S::Unconfirmed);
    b.pass_ms(60_000);
    b.read_back(fence.epoch, "i1", true);
    assert_eq!(b.state("i1"), S::Reverted);
}

#[test]
fn an_unclean_proof_holds_the_claim_and_is_looked_at_again() {
    let mut b = Bench::new();
    let fence: Fence = b.open("d1");
    b.active(&fence, "i1");
    b.revert("i1");
    b.read_back(fence.epoch, "i1", true);
    b.proved(fence.epoch, "i1", false);
    let request = b.start_request(&fence);
    let ask = b.start_with("i2", request, "route:i1", Undo::ProcessHeld);
    assert_eq!(b.kind(ask), P::Held);
    let view = b.ward.injection(&"i1".into(), b.now).unwrap();
    assert!(view.state == S::Reverted && view.proved.is_none() && view.by_hand.is_some());
    let abort = b.abort(None, None, true);
    b.proved(fence.epoch, "i1", false);
    assert_eq!(b.end(abort), Some(false));
    b.pass_ms(2_000);
    b.proved(fence.epoch, "i1", true);
    assert!(b.ward.injection(&"i1".into(), b.now).unwrap().proved.is_some());
}

#[test]
fn a_shutdown_reverts_everything_then_says_so() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    b.step(Event::Shutdown);
    let open = b.open_as("d2", "n2");
    let start = b.start(&fence, "i2");
    assert_eq!((b.kind(open), b.kind(start)), (P::Unavailable, P::Unavailable));
    assert_eq!(b.count(|effect| matches!(effect, Effect::Stopped { .. })), 0);
    b.read_back(fence.epoch, "i1", true);
    assert_eq!(
        b.count(|effect| matches!(effect, Effect::Stopped { clean: true })),
        1
    );
    assert!(b.ward.latch().is_none());
    assert_eq!(b.ended(), ["shutdown"]);
    b.pass_ms(60_000);
    assert_eq!(b.count(|effect| matches!(effect, Effect::Stopped { .. })), 1);
}

#[test]
fn every_change_of_state_is_an_event() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    b.revert("i1");
    b.read_back(fence.epoch, "i1", true);
    b.proved(fence.epoch, "i1", true);
    let states: Vec<_> = b
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Emit(EventKind::Injection { injection }) => {
                Some((injection.state, injection.proved.is_some()))
            }
            _ => None,
        })
        .collect();
    let expected = [
        (S::Starting, false),
        (S::Active, false),
        (S::Reverting, false),
        (S::Reverted, false),
    ];
    assert_eq!(states[..4], expected);
    assert_eq!(states[4..], [(S::Reverted, true)]);
}
