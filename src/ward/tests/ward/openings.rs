//! Opening a drill: epochs, the disk, who holds the agent.

use crate::bench::{Bench, Disk, limits};
use firedrill_ward::Event;
use firedrill_wire::{Epoch, HolderSecret, ProblemKind as P};

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
