//! What agents answer, one a line, whatever it is: through the wire's types into a drill.
//!
//! A line is an event of the drill, as a journal has it (its agents' answers are the wire's types), or a letter that names
//! an answer and its body.

#![no_main]

use std::sync::Arc;

use firedrill_drill::{Arming, At, Drill, Effect, Event, Setup};
use firedrill_wire::{AbortLine, ActionDone, AgentEvent, AgentInfo, Closed, InjectionView, Opened, Problem, Renewed};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

mod common;

const MOST_LINES: usize = 64;

/// Read, and written and read once more: the same.
fn round<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(body: &[u8]) {
    let Ok(first) = serde_json::from_slice::<T>(body) else { return };
    let text = serde_json::to_vec(&first).expect("what was read can be written");
    let again: T = serde_json::from_slice(&text).expect("what was written can be read");
    assert_eq!(first, again);
}

/// How a command ended is told in one short line, whatever it said.
fn action(body: &[u8]) {
    round::<ActionDone>(body);
    let Ok(done) = serde_json::from_slice::<ActionDone>(body) else { return };
    let words = done.words();
    assert!(!words.contains(char::is_control), "{words:?}");
    assert!(words.chars().count() < 300, "{words:?}");
}

fuzz_target!(|bytes: &[u8]| {
    common::PLAN.with(|plan| {
        let setup = Setup {
            drill: "d".into(),
            plan: Arc::new(plan.clone()),
            plan_text: "".into(),
            version: "fuzz".to_owned(),
            experiment: 0,
            seed: 1,
            console: "fuzz".to_owned(),
            who: "fuzz".to_owned(),
            arming: Arming::AtOnce,
        };
        let (mut drill, _) = Drill::new(setup, At::default());
        let mut at = At::default();
        for line in bytes.split(|byte| *byte == b'\n').take(MOST_LINES) {
            if let Some((answer, body)) = line.split_first() {
                match answer {
                    b'i' => round::<AgentInfo>(body),
                    b'o' => round::<Opened>(body),
                    b'n' => round::<Renewed>(body),
                    b'c' => round::<Closed>(body),
                    b'v' => round::<InjectionView>(body),
                    b'a' => round::<AbortLine>(body),
                    b'e' => round::<AgentEvent>(body),
                    b'p' => round::<Problem>(body),
                    b'x' => action(body),
                    _ => {}
                }
            }
            let event = match serde_json::from_slice::<Event>(line) {
                Ok(event) => event,
                Err(_) => Event::Tick,
            };
            at.mono_us += 250_000;
            at.wall_ms += 250;
            let effects = drill.step(at, event);
            if let Some(verdict) = drill.verdict() {
                let on = drill.injections().iter().filter(|it| !it.is_off()).count();
                assert_eq!(verdict.unconfirmed.len(), on, "a verdict names all that may be on");
            }
            let late = effects
                .iter()
                .skip(1)
                .any(|it| matches!(it, Effect::Abort { .. }));
            assert!(!late, "an abort is in front of everything else");
        }
    });
});
