//! Every hazard of the protocol that concerns starts, epochs and leases, by name.

use crate::bench::{Bench, Disk, key, limits, words};
use firedrill_ward::{Durable, Effect, Event, Limits, Reply};
use firedrill_wire::{
    Epoch, Evidence, HolderSecret, InjectionState as S, Instance, Problem, ProblemKind as P, Tick, Undo,
};

#[test]
fn an_epoch_is_on_disk_before_it_is_answered() {
    let mut b = Bench::new();
    b.disk = Disk::Hangs;
    let ask = b.open_as("d1", "n1");
    assert_eq!(b.answer(ask), None);
    assert!(
        b.ward.open_drill(b.now).is_none(),
        "nobody holds the agent before the disk has said so"
    );
    let save = b.last_save();
    b.step(Event::Saved { save, durable: true });
    assert_eq!(b.opened(ask).epoch, Epoch(1));
    assert_eq!(b.opened(ask).deadline, b.now.plus_ms(10_000));
}

#[test]
fn a_full_disk_refuses_an_opening_and_its_epoch_is_never_given_again() {
    let mut b = Bench::new();
    b.disk = Disk::Full;
    let refused = b.open_as("d1", "n1");
    assert_eq!(b.kind(refused), P::Unavailable);
    b.disk = Disk::Fast;
    let ask = b.open_as("d1", "n1");
    assert_eq!(b.opened(ask).epoch, Epoch(2));
}

#[test]
fn a_hanging_disk_refuses_an_opening_in_the_end() {
    let mut b = Bench::new();
    b.disk = Disk::Hangs;
    let ask = b.open_as("d1", "n1");
    let save = b.last_save();
    b.pass_ms(limits().disk_ms);
    assert_eq!(b.kind(ask), P::Unavailable);
    b.step(Event::Saved { save, durable: true });
    assert!(
        b.ward.open_drill(b.now).is_none(),
        "the late word of the disk opens nothing"
    );
}

#[test]
fn a_repeated_opening_gets_the_same_answer_while_open_and_none_after() {
    let mut b = Bench::new();
    b.disk = Disk::Hangs;
    let first = b.open_as("d1", "n1");
    let repeat = b.open_as("d1", "n1");
    let save = b.last_save();
    b.disk = Disk::Fast;
    b.step(Event::Saved { save, durable: true });
    let late = b.open_as("d1", "n1");
    for ask in [repeat, late] {
        assert_eq!(b.opened(ask).epoch, b.opened(first).epoch);
        assert_eq!(b.opened(ask).holder, b.opened(first).holder);
    }
    b.close(Epoch(1));
    let ended = b.open_as("d1", "n1");
    assert_eq!(b.kind(ended), P::Fenced);
}

#[test]
fn a_second_drill_is_told_who_holds_the_agent_but_never_the_secret() {
    let mut b = Bench::new();
    let fence = b.open("d1");
    for (drill, nonce) in [("d2", "n2"), ("d1", "another window")] {
        let ask = b.open_as(drill, nonce);
        let problem = b.refusal(ask);
        assert_eq!(problem.kind, P::Held);
        assert!(
            problem.detail.contains("ann") && problem.detail.contains("desk-1"),
            "{problem}"
        );
        assert!(!problem.to_string().contains(&fence.holder.0), "{problem}");
    }
}

#[test]
fn mistakes_of_an_opening_are_all_told() {
    let mut b = Bench::new();
    for lease_ms in [1_999, 60_001] {
        let ask = b.ask();
        let request = firedrill_wire::OpenRequest {
            lease_ms,
            nonce: String::new(),
            ..crate::bench::open_request("d", "n")
        };
        b.step(Event::Open {
            ask,
            request,
            holder: HolderSecret("s".to_owned()),
        });
        let problem = b.refusal(ask);
        assert_eq!(problem.kind, P::Parameters);
        assert!(
            problem.detail.contains("lease_ms") && problem.detail.contains("nonce"),
            "{problem}"
        );
    }
}

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
fn strangers_fences_are_refused_one_part_at_a_time() {
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
    let later = b.start_with("i1", request, "cpu", Undo::ProcessHeld);
    assert_eq!((b.view(later).state, b.applies("i1")), (S::Reverted, 1));
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
fn only_an_active_injection_is_strengthened_and_only_by_a_newer_revision() {
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
