//! A game day in the window, from a folder and back into it: gated, run with a real drill, predictions sealed and
//! scored, a real incident, and everything there again for the next window.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicUsize},
};

use firedrill_conductor::{append, engine::EngineHandle, make_gameday, read_gameday};
use firedrill_drill::Outcome;
use firedrill_gameday::{Change, Clock, Event, Finding, Prediction, Record, State, score};
use firedrill_scene::{Ask, GameDayAsk, Ours, Scene};

use crate::drills::{World, engine_in, wait_for};

/// Every test, by name.
pub const TESTS: &[(&str, fn())] = &[
    (
        "a_game_day_is_held_and_is_all_in_its_folder",
        a_game_day_is_held_and_is_all_in_its_folder,
    ),
    (
        "a_real_incident_aborts_and_stops_the_agenda",
        a_real_incident_aborts_and_stops_the_agenda,
    ),
    (
        "what_was_torn_stays_and_what_a_crash_left_open_is_ended",
        what_was_torn_stays_and_what_a_crash_left_open_is_ended,
    ),
];

const DAY: &str = r#"# Ours.
title = "Quarter 4"
start = "2026-12-03 10:00 Europe/Berlin"
for = "2h"
[[drill]]
plan = "plans/orders.toml"
experiment = "Nothing happens"
box = "20m" # generous
[[drill]]
id = "again"
plan = "plans/orders.toml"
experiment = "Nothing happens"
box = "20m"
[[check]]
name = "Backups"
[[go]]
name = "Grace"
"#;

fn folder(world: &World, seconds: u32) -> PathBuf {
    let folder = world.folder.path().join("quarter-4");
    let plans = [("plans/orders.toml".to_owned(), world.plan(seconds))];
    make_gameday(&folder, DAY, &plans).unwrap();
    folder
}

fn console(world: &World) -> EngineHandle {
    engine_in(world, &Arc::new(AtomicUsize::new(0)))
}

fn ask(engine: &EngineHandle, ask: GameDayAsk) {
    engine.ask(Ask::GameDay(ask));
}

fn state(scene: &Scene) -> State {
    scene
        .gameday
        .as_ref()
        .map(|it| it.state.clone())
        .unwrap_or_default()
}

fn says(scene: &Scene, words: &str) -> bool {
    scene.messages.iter().any(|it| it.words.contains(words))
}

/// Ticked, go, started, the first drill on.
fn begin(engine: &EngineHandle, folder: &Path) {
    ask(engine, GameDayAsk::Open(folder.to_owned()));
    wait_for(engine, "open", |scene| scene.gameday.is_some());
    ask(engine, GameDayAsk::Start);
    wait_for(engine, "gated", |scene| {
        says(scene, "does not start: not ticked: Backups")
    });
    let check = "Backups".to_owned();
    ask(engine, GameDayAsk::Check { check, done: true });
    let (name, words) = ("Grace".to_owned(), String::new());
    ask(
        engine,
        GameDayAsk::Go {
            name,
            go: true,
            words,
        },
    );
    wait_for(engine, "ready", |scene| state(scene).in_the_way().is_empty());
    ask(engine, GameDayAsk::Start);
    wait_for(engine, "started", |scene| state(scene).started_ms.is_some());
    let prediction = Prediction {
        who: "Grace".to_owned(),
        holds: true,
        first: None,
        worst: None,
        notice_ms: None,
        words: "Nothing changes.".to_owned(),
        nonce: String::new(),
    };
    let drill = "Nothing happens".to_owned();
    ask(
        engine,
        GameDayAsk::Predict {
            drill: drill.clone(),
            prediction,
        },
    );
    wait_for(engine, "sealed", |scene| {
        !state(scene).rows[0].predictions.is_empty()
    });
    ask(engine, GameDayAsk::Begin(drill));
    wait_for(engine, "arming", |scene| {
        let arming = scene.drill.as_ref().and_then(|it| it.arming.as_ref());
        arming.is_some_and(|it| it.ready)
    });
    engine.ask(Ask::Arm);
    wait_for(engine, "on", |scene| matches!(scene.ours, Ours::On { .. }));
}

fn a_game_day_is_held_and_is_all_in_its_folder() {
    let world = World::new();
    let folder = folder(&world, 2);
    let engine = console(&world);
    ask(&engine, GameDayAsk::Open(folder.clone()));
    wait_for(&engine, "open", |scene| scene.gameday.is_some());
    // Before the start the file is changed, and its comments stay.
    let change = Change::Box {
        drill: "Nothing happens".to_owned(),
        box_ms: 1_500_000,
    };
    ask(&engine, GameDayAsk::Change(change));
    wait_for(&engine, "25 min", |scene| {
        state(scene)
            .rows
            .first()
            .is_some_and(|row| row.box_ms == 1_500_000)
    });
    let text = std::fs::read_to_string(folder.join("gameday.toml")).unwrap();
    assert!(
        text.contains("box = \"25m\" # generous") && text.starts_with("# Ours."),
        "{text}"
    );

    begin(&engine, &folder);
    // Nothing is revealed while it is on; a clock has a single key.
    ask(&engine, GameDayAsk::Reveal("Nothing happens".to_owned()));
    wait_for(&engine, "not revealed", |scene| {
        says(scene, "revealed when the drill is over")
    });
    ask(
        &engine,
        GameDayAsk::Clock {
            clock: Clock::Noticed,
            drill: None,
            when: String::new(),
            who: None,
        },
    );
    wait_for(&engine, "noticed", |scene| state(scene).rows[0].clocks.len() == 1);
    let skip = Change::Skip {
        drill: "again".to_owned(),
        why: Some("no time".to_owned()),
    };
    ask(&engine, GameDayAsk::Change(skip));
    wait_for(&engine, "held", |scene| {
        let state = state(scene);
        let found = state.rows[0].runs.last().and_then(|run| run.found.clone());
        found.is_some_and(|found| found.outcome == Outcome::Held && found.fault_ms.is_some())
    });
    ask(&engine, GameDayAsk::Reveal("Nothing happens".to_owned()));
    let scene = wait_for(&engine, "revealed", |scene| state(scene).rows[0].revealed);
    let row = state(&scene).rows[0].clone();
    let scored = score(&row, &row.predictions[0]).unwrap();
    assert_eq!((scored.points, scored.of), (40, 40), "{scored:?}");
    let finding = Finding {
        symptom: "Nobody looked".to_owned(),
        due: "2020-01-01".to_owned(),
        ..Finding::default()
    };
    ask(&engine, GameDayAsk::Finding { id: None, finding });
    ask(&engine, GameDayAsk::End);
    wait_for(&engine, "over", |scene| state(scene).ended_ms.is_some());
    let shown = state(&engine.scene());
    engine.shutdown();

    // The file was not touched after the start; the folder alone tells the whole day.
    let after = std::fs::read_to_string(folder.join("gameday.toml")).unwrap();
    assert_eq!(after, text);
    let moved = folder.with_file_name("elsewhere");
    std::fs::rename(&folder, &moved).unwrap();
    let read = read_gameday(&moved).unwrap();
    assert_eq!(read.state(), Some(shown.clone()));
    assert!(read.lines.problems.is_empty());
    let engine = console(&world);
    ask(&engine, GameDayAsk::Open(moved.clone()));
    let scene = wait_for(&engine, "again", |scene| {
        scene.gameday.is_some()
            && !scene.reviews.is_empty()
            && scene.gamedays.iter().any(|it| !it.overdue.is_empty())
    });
    assert_eq!(state(&scene), shown);
    assert_eq!(
        scene.reviews[0].drill, shown.rows[0].runs[0].id,
        "its drill is reviewed from its journal"
    );
    assert_eq!(scene.gamedays[0].overdue[0].0, "Nobody looked");
    engine.shutdown();
}

fn a_real_incident_aborts_and_stops_the_agenda() {
    let world = World::new();
    let folder = folder(&world, 30);
    let engine = console(&world);
    begin(&engine, &folder);
    ask(&engine, GameDayAsk::RealIncident);
    let scene = wait_for(&engine, "stopped", |scene| {
        let over = state(scene).running().is_none();
        over && state(scene).stopped.is_some() && scene.abort.finished
    });
    let state_then = state(&scene);
    let found = state_then.rows[0].runs[0].found.clone().unwrap();
    assert_eq!(found.outcome, Outcome::Aborted, "{found:?}");
    assert!(
        found.reasons.iter().any(|it| it.contains("real incident")),
        "{found:?}"
    );
    ask(&engine, GameDayAsk::Begin("again".to_owned()));
    wait_for(&engine, "not begun", |scene| {
        says(scene, "not begun: the agenda is stopped: real incident")
    });
    ask(&engine, GameDayAsk::Resume(" ".to_owned()));
    wait_for(&engine, "a reason", |scene| {
        says(scene, "say why it is safe again")
    });
    ask(&engine, GameDayAsk::Resume("the disk was replaced".to_owned()));
    wait_for(&engine, "resumed", |scene| state(scene).stopped.is_none());
    engine.shutdown();
}

fn what_was_torn_stays_and_what_a_crash_left_open_is_ended() {
    let world = World::new();
    let folder = folder(&world, 2);
    let record = |event| Record {
        at_ms: 1,
        by: "Ada".to_owned(),
        event,
    };
    append(&folder, &[record(Event::Started)]).unwrap();
    let (drill, run) = ("Nothing happens".to_owned(), "20261203-100000-abcdef".to_owned());
    append(
        &folder,
        &[record(Event::DrillBegan {
            drill,
            run,
            sealed: false,
        })],
    )
    .unwrap();
    let events = folder.join("events.jsonl");
    let before = std::fs::read_to_string(&events).unwrap();
    std::fs::write(&events, format!("{before}{{\"at_ms\": 2, \"by\"")).unwrap();
    let engine = console(&world);
    ask(&engine, GameDayAsk::Open(folder.clone()));
    let scene = wait_for(&engine, "ended", |scene| {
        let state = state(scene);
        state
            .rows
            .first()
            .is_some_and(|row| row.runs.last().is_some_and(|run| run.found.is_some()))
    });
    assert!(says(&scene, "line 3 is no record and is left out"));
    assert_eq!(state(&scene).no_drill_because(), None, "the next one can begin");
    engine.shutdown();
    let after = std::fs::read_to_string(&events).unwrap();
    let lines: Vec<&str> = after.lines().collect();
    assert!(
        after.starts_with(&before) && lines[2] == "{\"at_ms\": 2, \"by\"",
        "{after}"
    );
    assert!(
        lines[3].contains("drill_ended") && lines[3].contains("inconclusive"),
        "{after}"
    );
    // Nothing is made over what is there, and a note that is too long is refused whole.
    assert!(make_gameday(&folder, DAY, &[]).is_err());
    let words = "x".repeat(100_000);
    assert!(append(&folder, &[record(Event::Answered { question: 0, words })]).is_err());
    assert_eq!(std::fs::read_to_string(&events).unwrap(), after);
}
