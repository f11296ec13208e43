//! The day as it goes: what gates it, what is to come, predictions and clocks.

use firedrill_drill::Outcome;
use firedrill_gameday::*;

use crate::*;

#[test]
fn the_start_is_gated_and_drills_are_too() {
    let day = day();
    let mut state = State::new(&day);
    assert_eq!(
        state.in_the_way(),
        ["not ticked: Backups are fresh", "Ada has not said go"]
    );
    assert!(state.no_drill_because().unwrap().contains("not started"));
    let no_go = Event::Went {
        name: "Ada".to_owned(),
        go: false,
        words: Some("a deploy runs".to_owned()),
    };
    state.apply(&record(-5, "Ada", no_go));
    assert!(
        state
            .in_the_way()
            .contains(&"Ada says no-go: a deploy runs".to_owned())
    );
    for record in &a_day()[..3] {
        state.apply(record);
    }
    assert!(state.in_the_way().is_empty());
    assert_eq!(state.no_drill_because(), None);
    state.apply(&record(2, "Grace", began("Payment is slow", "run-1")));
    assert!(state.no_drill_because().unwrap().contains("is on"));
    // Somebody aborted from a terminal and said why.
    let real = Found {
        outcome: Outcome::Aborted,
        reasons: vec!["abort: payments-1 was latched by ada: Real incident, disk full".to_owned()],
        ..broken()
    };
    state.apply(&record(3, "Grace", ended("Payment is slow", "run-1", real)));
    assert!(state.stopped.as_ref().is_some_and(Stopped::is_real));
    assert!(
        state
            .no_drill_because()
            .unwrap()
            .contains("stopped: real incident")
    );
    state.apply(&record(
        9,
        "Ada",
        Event::Resumed {
            reason: "false alarm".to_owned(),
        },
    ));
    assert_eq!(state.no_drill_because(), None);
}

#[test]
fn any_other_abort_stops_only_its_drill() {
    let mut state = State::of(&day(), &a_day()[..6]);
    let aborted = Found {
        outcome: Outcome::Aborted,
        reasons: vec!["abort: ABORT was pressed".to_owned()],
        ..broken()
    };
    state.apply(&record(3, "Grace", ended("Payment is slow", "run-1", aborted)));
    assert_eq!(state.stopped, None);
    // Words alone stop nothing: this one was broken, and ended by itself.
    let broken = Found {
        reasons: vec!["stop condition: as in the real incident of May".to_owned()],
        ..broken()
    };
    state.apply(&record(9, "Grace", ended("Payment fails", "run-2", broken)));
    assert_eq!(state.stopped, None);
    assert_eq!(state.no_drill_because(), None);
}

#[test]
fn what_is_to_come_follows_what_was() {
    let day = day();
    let planned = schedule(&day, &State::new(&day), START_MS - 1);
    let from = |slot: &Slot| (slot.from_ms - START_MS) / MINUTE_MS;
    assert_eq!(planned.slots.iter().map(from).collect::<Vec<_>>(), [0, 20, 45]);
    assert_eq!(
        (planned.over_ms, planned.next().unwrap().id.as_str()),
        (0, "Payment is slow")
    );
    let mut state = State::of(&day, &a_day()[..10]);
    // Over after 7 minutes, 5 between: the next one can begin at 12, and later where nobody begins it.
    let then = |state: &State, min: i64| schedule(&day, state, START_MS + min * MINUTE_MS);
    assert_eq!(
        then(&state, 8).slots.iter().map(from).collect::<Vec<_>>(),
        [2, 12, 37]
    );
    assert_eq!(
        then(&state, 30).slots.iter().map(from).collect::<Vec<_>>(),
        [2, 30, 55]
    );
    assert_eq!(then(&state, 90).over_ms, 15 * 60_000);
    state.apply(&record(
        9,
        "Ada",
        Event::Changed(Change::Skip {
            drill: "Payment fails".to_owned(),
            why: None,
        }),
    ));
    state.apply(&record(
        9,
        "Ada",
        Event::Changed(Change::Box {
            drill: "slow again".to_owned(),
            box_ms: 600_000,
        }),
    ));
    let after = then(&state, 8);
    assert_eq!(after.slots[1].standing, Standing::Skipped(None));
    assert_eq!((from(&after.slots[2]), after.slots[2].box_ms), (12, 600_000));
    // A drill that is on holds the next ones, also beyond its box.
    state.apply(&record(12, "Grace", began("slow again", "run-2")));
    assert_eq!(then(&state, 15).slots[2].standing, Standing::Running);
    assert_eq!(then(&state, 50).slots[2].until_ms, START_MS + 22 * MINUTE_MS);
}

#[test]
fn predictions_are_scored_with_reasons() {
    let state = State::of(&day(), &a_day());
    let row = &state.rows[0];
    let [alan, barbara] = &row.predictions[..] else {
        panic!("{:?}", row.predictions)
    };
    let scored = score(row, alan).unwrap();
    // Broken 40, the right first one 25, 2.0 against 2.4 s where the band ends at 0.3 s 20, a minute and a minute 15.
    assert_eq!((scored.points, scored.of), (100, 100), "{scored:?}");
    let scored = score(row, barbara).unwrap();
    assert_eq!((scored.points, scored.of), (15, 55), "{scored:?}");
    assert!(scored.parts[0].words.contains("said held, found broken"));
}

#[test]
fn a_prediction_counts_only_if_it_is_whole_and_made_before() {
    let day = day();
    let mut records = a_day();
    let Event::Predicted { prediction, .. } = &mut records[3].event else {
        panic!()
    };
    prediction.holds = true;
    let late = predicted(
        "Payment is slow",
        Prediction {
            nonce: "x".to_owned(),
            ..prediction.clone()
        },
    );
    records.insert(8, record(4, "Edsger", late));
    let state = State::of(&day, &records);
    let row = &state.rows[0];
    let changed = score(row, &row.predictions[0]).unwrap();
    assert!(!row.predictions[0].whole && changed.of == 0);
    assert!(changed.parts[0].words.contains("seal"), "{changed:?}");
    let late = score(row, row.predictions.last().unwrap()).unwrap();
    assert!(
        late.of == 0 && late.parts[0].words.contains("after the fault"),
        "{late:?}"
    );
}

#[test]
fn a_later_prediction_of_the_same_person_replaces_theirs_and_a_rerun_has_its_own() {
    let day = day();
    let mut records = a_day()[..5].to_vec();
    records.push(record(
        1,
        "Alan",
        predicted(
            "Payment is slow",
            Prediction {
                nonce: "2".to_owned(),
                ..prediction("Alan")
            },
        ),
    ));
    records.extend_from_slice(&a_day()[5..10]);
    records.push(record(
        20,
        "Alan",
        predicted(
            "Payment is slow",
            Prediction {
                nonce: "3".to_owned(),
                ..prediction("Alan")
            },
        ),
    ));
    let state = State::of(&day, &records);
    let row = &state.rows[0];
    let of = |run| {
        row.predictions_of(run)
            .map(|it| it.prediction.nonce.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(0), ["nonce of Barbara", "2"]);
    assert_eq!(of(1), ["3"]);
    assert_eq!(row.predictions.len(), 4, "what was said stays");
}

#[test]
fn a_struck_clock_stays_and_does_not_count() {
    let state = State::of(&day(), &a_day());
    let row = &state.rows[0];
    assert!(row.clock(0, Clock::Noticed).is_some());
    assert_eq!(row.clock(0, Clock::Paged), None);
    let struck = row.clocks.iter().find(|it| it.id == "c2").unwrap();
    assert_eq!(struck.when_ms, START_MS + 3 * MINUTE_MS);
    assert_eq!(struck.struck.as_ref().unwrap().0, "Ada");
}
