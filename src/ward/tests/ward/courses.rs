//! An injection's course: its end, its lease, its changes, and how long it is remembered.

use crate::bench::{Bench, key, limits, words};
use firedrill_ward::{Durable, Effect, Event, Limits, Reply};
use firedrill_wire::{Epoch, InjectionState as S, Problem, ProblemKind as P, Tick, Undo};

#[test]
fn every_injection_ends_by_itself() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    for _ in 0..7 {
        b.pass_ms(8_000);
        let now = b.now;
        b.renew(&fence, now);
    }
    assert_eq!((b.state("i1"), b.reverts("i1").len()), (S::Active, 0));
    assert_eq!(b.ward.next_deadline(), Some(Tick(1_000_000).plus_ms(60_000)));
    b.pass_ms(4_000);
    assert_eq!((b.state("i1"), b.reverts("i1").len()), (S::Reverting, 1));
    b.read_back(fence.epoch, "i1", true);
    let view = b.ward.injection(&"i1".into(), b.now).unwrap();
    assert_eq!(
        (view.state, view.reason.as_deref(), view.undone),
        (S::Reverted, Some("end"), Some(true))
    );
}

#[test]
fn a_lapsed_lease_kills_the_epoch_and_reverts_all_without_a_latch() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    assert_eq!(b.ward.next_deadline(), Some(b.now.plus_ms(10_000)));
    b.pass_ms(10_000);
    assert_eq!(
        (b.state("i1"), b.ended()),
        (S::Reverting, vec!["lease".to_owned()])
    );
    assert!(b.ward.latch().is_none() && b.ward.open_drill(b.now).is_none());
    let now = b.now;
    let renew = b.renew(&fence, now);
    let start = b.start(&fence, "i2");
    let open = b.open_as("d1", "n9");
    for ask in [renew, start, open] {
        assert_eq!(b.kind(ask), P::Fenced);
    }
    // A renewal in the very moment of the deadline is too late, even with no tick before it.
    let fence = b.open("d2");
    b.now = b.now.plus_ms(10_000);
    let renew = b.renew(&fence, b.now);
    assert_eq!(b.kind(renew), P::Fenced);
}

#[test]
fn a_lost_holder_is_read_back_like_any_revert_and_others_stay() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    for (id, claim) in [("i1", "route:payments:latency"), ("i2", "cpu")] {
        let request = b.start_request(&fence);
        b.start_with(id, request, claim, Undo::ProcessHeld);
        b.applied(fence.epoch, id);
    }
    b.step(Event::Lost {
        claim: "route:".to_owned(),
        why: "the proxy died".to_owned(),
    });
    assert_eq!((b.state("i1"), b.state("i2")), (S::Reverting, S::Active));
    b.read_back(fence.epoch, "i1", true);
    assert_eq!(b.state("i1"), S::Reverted);
}

#[test]
fn a_change_that_fails_is_reverted_because_nobody_knows_how_strong_it_is() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    let ask = b.patch(&fence, "i1", 1);
    let problem = Problem::new(P::Unavailable, "the proxy is gone", "", "");
    b.step(Event::Adjusted {
        key: key(fence.epoch, "i1"),
        result: Err(problem),
    });
    assert_eq!(
        (b.kind(ask), b.state("i1"), b.reverts("i1").len()),
        (P::Unavailable, S::Reverting, 1)
    );
}

#[test]
fn a_ramp_that_fails_on_its_way_is_reverted_too() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    let problem = Problem::new(P::Unavailable, "the map is gone", "", "");
    let failed = || Event::Adjusted {
        key: key(fence.epoch, "i1"),
        result: Err(problem.clone()),
    };
    b.step(failed());
    assert_eq!((b.state("i1"), b.reverts("i1").len()), (S::Reverting, 1));
    // Told again while it is being taken back, it changes nothing.
    b.step(failed());
    assert_eq!((b.state("i1"), b.reverts("i1").len()), (S::Reverting, 1));
}

#[test]
fn a_one_shot_is_done_and_a_revert_says_what_to_do_by_hand() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    let request = b.start_request(&fence);
    let start = b.start_with("cut", request, "route:pay", Undo::None);
    b.applied(fence.epoch, "cut");
    assert_eq!(b.view(start).state, S::Done);
    let revert = b.revert("cut");
    let view = b.view(revert);
    assert_eq!((view.state, view.undone), (S::Done, Some(false)));
    assert_eq!(view.by_hand.as_deref(), Some("take it back by hand"));
    assert!(b.reverts("cut").is_empty());
}

#[test]
fn counters_are_shown_only_while_it_is_on() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    b.step(Event::Observed {
        key: key(fence.epoch, "i1"),
        evidence: words("40 requests delayed"),
    });
    assert_eq!(
        b.ward.injection(&"i1".into(), b.now).unwrap().evidence.words,
        "40 requests delayed"
    );
    b.revert("i1");
    b.step(Event::Observed {
        key: key(fence.epoch, "i1"),
        evidence: words("41 requests delayed"),
    });
    b.read_back(fence.epoch, "i1", true);
    assert_eq!(
        b.ward.injection(&"i1".into(), b.now).unwrap().evidence.words,
        "0 requests held"
    );
}

#[test]
fn a_close_reverts_what_is_left_and_answers_after_the_read_back() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    b.active(&fence, "i2");
    let (close, repeat) = (b.close(fence.epoch), b.close(fence.epoch));
    b.read_back(fence.epoch, "i1", true);
    assert_eq!(b.answer(close), None);
    b.read_back(fence.epoch, "i2", false);
    for ask in [close, repeat] {
        let Some(Reply::Closed(closed)) = b.answer(ask) else {
            panic!("no answer")
        };
        let states: Vec<_> = closed.injections.iter().map(|view| view.state).collect();
        assert_eq!(states, [S::Reverted, S::Unconfirmed]);
    }
    let kept = |effect: &Effect| matches!(effect, Effect::Audit { words } if words.contains("blake3:cafe"));
    assert_eq!(
        b.count(kept),
        4,
        "at the call and in the closing record, for each of the two"
    );
    let never = b.close(Epoch(7));
    assert_eq!(b.kind(never), P::Unknown);
}

#[test]
fn results_are_kept_a_day_after_their_drill_and_no_longer() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    b.close(fence.epoch);
    b.read_back(fence.epoch, "i1", true);
    b.proved(fence.epoch, "i1", true);
    b.pass_ms(limits().keep_ms - 1);
    assert_eq!(b.state("i1"), S::Reverted);
    b.pass_ms(1);
    assert!(b.ward.injections(b.now).is_empty());
}

#[test]
fn the_number_of_injections_has_a_bound_and_old_results_make_room() {
    let mut b = Bench::on(
        Durable::default(),
        Limits {
            injections: 2,
            ..limits()
        },
    );
    let old = b.open("d1");
    b.active(&old, "i1");
    b.close(old.epoch);
    b.read_back(old.epoch, "i1", true);
    b.proved(old.epoch, "i1", true);
    let fence = b.open("d2");
    b.active(&fence, "i2");
    b.active(&fence, "i3");
    assert!(b.ward.injection(&"i1".into(), b.now).is_none());
    let ask = b.start(&fence, "i4");
    assert_eq!((b.kind(ask), b.applies("i4")), (P::TooMany, 0));
}
