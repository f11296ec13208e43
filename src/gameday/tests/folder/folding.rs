//! The fold over any records: order, a torn tail, striking, copies.

use firedrill_gameday::*;
use proptest::prelude::*;

use crate::{START_MS, began, broken, clock_event, day, ended, predicted, prediction, read, record};

/// Any event of a small world, so that ids meet.
fn any_event() -> impl Strategy<Value = Event> {
    let row = prop::sample::select(vec!["Payment is slow", "Payment fails", "gone"]);
    let id = (0..4_u8).prop_map(|it| it.to_string());
    prop_oneof![
        Just(Event::Started),
        Just(Event::Ended),
        (row.clone(), id.clone()).prop_map(|(drill, run)| began(drill, &run)),
        (row.clone(), id.clone()).prop_map(|(drill, run)| ended(drill, &run, broken())),
        (id.clone(), row.clone(), 0..6_usize, 0..60_i64).prop_map(|(id, drill, clock, min)| clock_event(
            &id,
            drill,
            Clock::ALL[clock],
            min
        )),
        (id.clone(), prop::option::of("[a-c]")).prop_map(|(id, why)| Event::Struck { id, why }),
        (row.clone(), id.clone(), any::<bool>()).prop_map(|(drill, who, holds)| {
            predicted(
                drill,
                Prediction {
                    holds,
                    nonce: who.clone(),
                    ..prediction(&who)
                },
            )
        }),
        row.clone().prop_map(|drill| Event::Revealed {
            drill: drill.to_owned()
        }),
        (row.clone(), 0..5_usize).prop_map(|(drill, to)| Event::Changed(Change::Move {
            drill: drill.to_owned(),
            to
        })),
        row.prop_map(|drill| Event::Changed(Change::Skip {
            drill: drill.to_owned(),
            why: None
        })),
        (id.clone(), ".{0,20}").prop_map(|(id, symptom)| {
            Event::Finding {
                id,
                finding: Finding {
                    symptom,
                    ..Finding::default()
                },
            }
        }),
        id.clone().prop_map(|id| Event::Closed {
            id,
            words: "done".to_owned()
        }),
        id.prop_map(|id| Event::Reopened { id }),
        (0..5_usize, ".{0,20}").prop_map(|(question, words)| Event::Answered { question, words }),
        Just(Event::Stopped {
            reason: REAL_INCIDENT.to_owned()
        }),
        Just(Event::Resumed {
            reason: "over".to_owned()
        }),
        any::<bool>().prop_map(|done| Event::Checked {
            check: "Backups are fresh".to_owned(),
            done
        }),
    ]
}

fn any_records() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec((any_event(), 0..60_i64), 0..40).prop_map(|events| {
        events
            .into_iter()
            .map(|(event, min)| record(min, "Ada", event))
            .collect()
    })
}

fn text_of(records: &[Record]) -> String {
    records.iter().map(|it| line(it).unwrap_or_default()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_file_gives_back_what_was_written(records in any_records()) {
        let read = lines(text_of(&records).as_bytes());
        prop_assert_eq!(read.records, records);
        prop_assert!(read.problems.is_empty() && !read.torn);
    }

    /// A crash cuts the file anywhere: what was whole counts, and what is appended after counts too.
    #[test]
    fn a_torn_tail_costs_one_record(records in any_records(), cut in 0.0..1.0_f64) {
        let text = text_of(&records);
        let cut = (text.len() as f64 * cut) as usize;
        let torn = &text.as_bytes()[..cut];
        let whole = torn.split(|byte| *byte == b'\n').count() - 1;
        let read = lines(torn);
        // A line that lacks only its end is whole.
        let more = usize::from(read.records.len() > whole);
        prop_assert_eq!(&read.records[..], &records[..whole + more]);
        prop_assert_eq!(read.torn, !torn.is_empty() && !torn.ends_with(b"\n"));
        prop_assert_eq!(read.problems.len(), usize::from(read.torn) - more);
        let mut mended = torn.to_vec();
        if read.torn {
            mended.push(b'\n');
        }
        let next = record(59, "Ada", Event::Ended);
        mended.extend_from_slice(line(&next).unwrap().as_bytes());
        let again = lines(&mended);
        prop_assert_eq!(again.records.last(), Some(&next));
        prop_assert_eq!(again.records.len(), whole + more + 1);
    }

    /// The state depends on the records and their order, and on nothing else: folding on is folding all.
    #[test]
    fn folding_on_is_folding_all(records in any_records(), at in 0..40_usize) {
        let day = day();
        let at = at.min(records.len());
        let mut state = State::of(&day, &records[..at]);
        for record in &records[at..] {
            state.apply(record);
        }
        prop_assert_eq!(state, State::of(&day, &records));
    }

    /// No order makes a row vanish, a clock come twice, or a struck one count; what was planned stays planned.
    #[test]
    fn whatever_order(records in any_records()) {
        let day = day();
        let state = State::of(&day, &records);
        for row in &day.drills {
            prop_assert_eq!(state.rows.iter().filter(|it| it.id == row.id).count(), 1);
        }
        let mut ids: Vec<&str> = state.rows.iter().flat_map(|row| &row.clocks).map(|it| it.id.as_str()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), all);
        for row in &state.rows {
            for run in 0..=row.runs.len() {
                for kind in Clock::ALL {
                    prop_assert!(row.clock(run, kind).is_none_or(|it| it.struck.is_none()));
                }
            }
        }
        let slots = schedule(&day, &state, START_MS).slots;
        prop_assert_eq!(slots.len(), state.rows.len());
        let text = report(&day, &[], &state, START_MS);
        prop_assert!(text.starts_with("# Payments, quarter 4"));
    }

    /// A clock is struck once and for ever, and what it said stays.
    #[test]
    fn striking_is_for_good(records in any_records(), more in any_records()) {
        let day = day();
        let mut state = State::of(&day, &records);
        let struck: Vec<Stamp> = state.rows.iter().flat_map(|row| row.clocks.clone()).filter(|it| it.struck.is_some()).collect();
        for record in &more {
            state.apply(record);
        }
        for before in struck {
            let after = state.rows.iter().flat_map(|row| &row.clocks).find(|it| it.id == before.id);
            prop_assert_eq!(after, Some(&before));
        }
    }

    /// The same lines twice, as two copies of a folder merge, change nothing that is known by an id.
    #[test]
    fn a_copy_of_a_line_counts_once(records in any_records()) {
        let day = day();
        let by_id = |it: &Record| matches!(it.event, Event::Clock { .. } | Event::DrillBegan { .. } | Event::DrillEnded { .. } | Event::Struck { .. } | Event::Predicted { .. } | Event::Started | Event::Ended);
        let records: Vec<Record> = records.into_iter().filter(by_id).collect();
        let mut twice = Vec::new();
        for record in &records {
            twice.push(record.clone());
            twice.push(record.clone());
        }
        prop_assert_eq!(State::of(&day, &twice), State::of(&day, &records));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), text in ".{0,300}") {
        drop(lines(&bytes));
        drop(read(&text));
    }
}
