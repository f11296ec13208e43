//! Every hazard of the protocol that concerns aborts, the latch, reverts and restarts, by name.

use crate::bench::{Bench, Disk, key, life, limits};
use firedrill_ward::{Durable, Effect, Event};
use firedrill_wire::{AbortLine, EventKind, Evidence, Fence, InjectionState as S, ProblemKind as P, Undo};

fn end(b: &Bench, ask: firedrill_ward::AskId) -> Option<bool> {
    let lines = b.lines(ask);
    let ends: Vec<_> = lines
        .iter()
        .filter_map(|line| match line {
            AbortLine::End { clean, .. } => Some(*clean),
            _ => None,
        })
        .collect();
    assert!(ends.len() <= 1);
    assert!(
        ends.is_empty() || matches!(lines.last(), Some(AbortLine::End { .. })),
        "nothing follows the end"
    );
    ends.first().copied()
}

fn durable(b: &Bench, ask: firedrill_ward::AskId) -> Option<bool> {
    b.lines(ask).iter().find_map(|line| match line {
        AbortLine::Received { durable, .. } => Some(*durable),
        _ => None,
    })
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
    assert_eq!(end(&b, ask), None);
    b.proved(fence.epoch, "i2", true);
    assert_eq!(end(&b, ask), Some(true));
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
    assert_eq!(end(&b, ask), Some(false));
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
    assert_eq!((end(&b, again), b.state("i1")), (Some(true), S::Reverted));
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
        matches!(b.lines(ask)[..], [AbortLine::Reverted { .. }]),
        "{:?}",
        b.lines(ask)
    );
    b.proved(fence.epoch, "i1", true);
    assert_eq!(
        end(&b, ask),
        None,
        "no end before the latch is on disk, or known not to be"
    );
    b.pass_ms(limits().operation_ms);
    assert_eq!((durable(&b, ask), end(&b, ask)), (Some(false), Some(true)));
    assert!(b.ward.latch().is_some());

    b.disk = Disk::Full;
    let ask = b.abort(Some("a2"), None, true);
    assert_eq!((durable(&b, ask), end(&b, ask)), (Some(false), Some(true)));
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
fn a_start_whose_record_is_on_its_way_to_the_disk_never_begins_after_an_abort() {
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
    assert_eq!((end(&b, ask), b.reverts("i1").len()), (Some(true), 0));
}

#[test]
fn a_start_in_flight_when_the_abort_comes_is_reverted_as_soon_as_it_returns() {
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
    assert_eq!(end(&b, ask), None);
    b.applied(fence.epoch, "i1");
    assert_eq!(b.reverts("i1").len(), 1);
    b.read_back(fence.epoch, "i1", true);
    b.proved(fence.epoch, "i1", true);
    assert_eq!((end(&b, ask), b.state("i1")), (Some(true), S::Reverted));
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
    assert_eq!((b.answer(start), end(&b, ask)), (None, None));
    b.applied(fence.epoch, "cut");
    assert_eq!(
        (b.view(start).state, b.state("cut"), end(&b, ask)),
        (S::Done, S::Done, Some(true))
    );
}

#[test]
fn a_drill_aborted_before_its_opening_never_opens() {
    let mut b = Bench::new();
    let ask = b.abort(Some("a1"), Some("d1"), false);
    assert_eq!(end(&b, ask), Some(true));
    let open = b.open_as("d1", "n1");
    assert_eq!(b.kind(open), P::Fenced);
    b.restart();
    let open = b.open_as("d1", "n1");
    assert_eq!(b.kind(open), P::Fenced, "not in the next life either");
    b.open("d2");
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
fn an_unlatched_abort_of_one_drill_leaves_others_alone_and_a_latching_one_does_not() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    b.active(&fence, "i1");
    let other = b.abort(Some("a1"), Some("d2"), false);
    assert_eq!((b.state("i1"), end(&b, other)), (S::Active, Some(true)));
    let own = b.abort(Some("a2"), Some("d1"), false);
    assert_eq!((b.state("i1"), end(&b, own)), (S::Reverting, None));
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
    assert_eq!((end(&b, first), end(&b, repeat)), (Some(true), Some(true)));

    b.release(1);
    let fence = b.open("d2");
    b.active(&fence, "i2");
    let late = b.abort(Some("a1"), None, true);
    assert_eq!(end(&b, late), Some(true));
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
    assert_eq!(end(&b, again), Some(true));
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
    assert_eq!(end(&b, abort), Some(true));
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
    assert_eq!(end(&b, asks[0]), None, "without an end it is unconfirmed");
    assert!(asks[1..].iter().all(|ask| end(&b, *ask) == Some(true)));
    for n in 0..3 * limits().aborts {
        b.abort(Some(&format!("b{n}")), Some(&format!("d{n}")), false);
    }
    assert_eq!(
        (b.on_disk.aborts.len(), b.on_disk.dead_drills.len()),
        (limits().aborts, limits().dead_drills)
    );
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
    assert_eq!(end(&b, abort), Some(false));
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
