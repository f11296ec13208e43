//! Agenda: pictures in its states, and what a person does there with mouse and keys.

use crate::{
    fixture::{self, Hour},
    kit::{SIZE, State, click, console, says, type_into},
    pictures::{LARGE, SMALL, keep, shoot},
};
use egui::{Key, Modifiers, accesskit::Role, vec2};
use egui_kittest::{
    Harness, SnapshotResults,
    kittest::{NodeT as _, Queryable as _},
};
use firedrill_console::{Ask, Scene, Theme, View};
use firedrill_gameday::{Change, Clock};
use firedrill_scene::GameDayAsk;

fn at(hour: Hour) -> Harness<'static, State> {
    console(fixture::game_day(hour), View::Agenda, Theme::Dark, SIZE)
}

fn asked(harness: &mut Harness<'_, State>) -> Vec<GameDayAsk> {
    let asks = std::mem::take(&mut harness.state_mut().asks);
    asks.into_iter()
        .filter_map(|ask| match ask {
            Ask::GameDay(ask) => Some(ask),
            _ => None,
        })
        .collect()
}

#[test]
fn pictures() {
    let mut results = SnapshotResults::new();
    let r = &mut results;
    let empty = Scene {
        wall_ms: fixture::ORIGIN_MS,
        gamedays: fixture::game_days(),
        ..Scene::default()
    };
    shoot(r, "agenda_empty", empty.clone(), View::Agenda, Theme::Dark, LARGE);
    for (name, hour) in [
        ("agenda_gated", Hour::Gated),
        ("agenda_ready", Hour::Ready),
        ("agenda_running", Hour::Running),
        ("agenda_after", Hour::After),
    ] {
        shoot(r, name, fixture::game_day(hour), View::Agenda, Theme::Dark, LARGE);
    }
    shoot(
        r,
        "agenda_running_light_small",
        fixture::game_day(Hour::Running),
        View::Agenda,
        Theme::Light,
        SMALL,
    );
    for (name, hour, panel) in [
        ("agenda_predictions", Hour::After, "Predictions"),
        ("agenda_findings", Hour::After, "Findings"),
        ("agenda_predict_small", Hour::Ready, "Predictions"),
    ] {
        let size = if name.ends_with("small") { SMALL } else { LARGE };
        let mut harness = console(fixture::game_day(hour), View::Agenda, Theme::Dark, size);
        click(&mut harness, "1. Payment is slow");
        click(&mut harness, panel);
        harness.remove_cursor();
        harness.run();
        keep(r, &mut harness, name);
    }
    shoot(r, "welcome_overdue", empty, View::Welcome, Theme::Dark, LARGE);
}

#[test]
fn the_start_waits_for_the_preparation() {
    let mut harness = at(Hour::Gated);
    let start = harness.get_by_role_and_label(Role::Button, "Start the game day");
    assert!(start.accesskit_node().is_disabled());
    click(&mut harness, "Tick: Who is on call knows");
    click(&mut harness, "Go: Grace");
    let check = "Who is on call knows".to_owned();
    let words = String::new();
    assert_eq!(
        asked(&mut harness),
        [
            GameDayAsk::Check { check, done: true },
            GameDayAsk::Go {
                name: "Grace".into(),
                go: true,
                words
            }
        ]
    );
    let mut harness = at(Hour::Ready);
    click(&mut harness, "Start the game day");
    assert_eq!(asked(&mut harness), [GameDayAsk::Start]);
}

#[test]
fn a_no_go_has_its_reason() {
    let mut harness = at(Hour::Gated);
    type_into(&mut harness, "What Grace adds", "the deploy hangs");
    click(&mut harness, "No-go: Grace");
    let words = "the deploy hangs".to_owned();
    assert_eq!(
        asked(&mut harness),
        [GameDayAsk::Go {
            name: "Grace".into(),
            go: false,
            words
        }]
    );
}

#[test]
fn drills_are_moved_shortened_and_skipped_by_keys() {
    let mut harness = at(Hour::Ready);
    harness
        .get_by_role_and_label(Role::Button, "2. Payment is slow, with the fix")
        .focus();
    harness.run();
    for (modifiers, key) in [
        (Modifiers::ALT, Key::ArrowUp),
        (Modifiers::ALT, Key::ArrowDown),
        (Modifiers::NONE, Key::Minus),
        (Modifiers::NONE, Key::Plus),
        (Modifiers::NONE, Key::S),
    ] {
        harness.key_press_modifiers(modifiers, key);
        harness.run();
    }
    let drill = || "Payment is slow, with the fix".to_owned();
    let changes = [
        Change::Move {
            drill: drill(),
            to: 0,
        },
        Change::Move {
            drill: drill(),
            to: 2,
        },
        Change::Box {
            drill: drill(),
            box_ms: 600_000,
        },
        Change::Box {
            drill: drill(),
            box_ms: 1_200_000,
        },
        Change::Skip {
            drill: drill(),
            why: None,
        },
    ];
    assert_eq!(asked(&mut harness), changes.map(GameDayAsk::Change));
    assert!(
        harness
            .get_by_role_and_label(Role::Button, "2. Payment is slow, with the fix")
            .is_focused()
    );
}

#[test]
fn drills_are_moved_by_dragging_on_the_line_and_in_the_list() {
    for (from, to, place) in [
        (
            "Payment is slow on the day's line",
            "The cache is gone on the day's line",
            3,
        ),
        ("1. Payment is slow", "3. Payment is slow at the peak", 2),
    ] {
        let mut harness = at(Hour::Ready);
        let rect = |harness: &Harness<'_, State>, label: &str| {
            harness.get_by_role_and_label(Role::Button, label).rect()
        };
        let begin = rect(&harness, from).center();
        let target = rect(&harness, to);
        let end = target.center() + vec2(target.width() * 0.3, target.height() * 0.3);
        harness.drag_at(begin);
        harness.run();
        harness.hover_at(begin + vec2(12.0, 12.0));
        harness.run();
        harness.hover_at(end);
        harness.run();
        harness.drop_at(end);
        harness.run();
        let change = Change::Move {
            drill: "Payment is slow".into(),
            to: place,
        };
        assert_eq!(asked(&mut harness), [GameDayAsk::Change(change)], "{from}");
    }
}

#[test]
fn clocks_are_single_keys_while_a_drill_is_on_and_text_is_text() {
    let mut harness = at(Hour::Running);
    harness.key_press(Key::Num4);
    harness.run();
    let now = |clock| GameDayAsk::Clock {
        clock,
        drill: None,
        when: String::new(),
        who: None,
    };
    assert_eq!(asked(&mut harness), [now(Clock::Hypothesis)]);
    // From Live too, where the drill is watched.
    let mut live = console(fixture::game_day(Hour::Running), View::Live, Theme::Dark, SIZE);
    live.key_press(Key::Num1);
    live.run();
    assert_eq!(asked(&mut live), [now(Clock::Noticed)]);
    // A time is typed, and its digits are no clocks.
    type_into(&mut harness, "At another time", "13:55");
    harness.key_press(Key::Num1);
    harness.run();
    assert_eq!(asked(&mut harness), []);
    click(&mut harness, "5  Mitigated");
    let [
        GameDayAsk::Clock {
            clock: Clock::Mitigated,
            drill: Some(drill),
            when,
            who: None,
        },
    ] = &asked(&mut harness)[..]
    else {
        panic!("no clock")
    };
    assert_eq!(
        (drill.as_str(), when.as_str()),
        ("Payment is slow, with the fix", "13:55")
    );
    let mut idle = at(Hour::After);
    idle.key_press(Key::Num1);
    idle.run();
    assert_eq!(asked(&mut idle), []);
}

#[test]
fn a_prediction_is_sealed_and_shown_to_nobody() {
    let mut harness = at(Hour::Running);
    click(&mut harness, "Predictions");
    assert!(says(&harness, "Barbara"));
    assert!(!says(&harness, "too late"), "what is sealed is not shown");
    click(&mut harness, "breaks");
    type_into(&mut harness, "Who predicts", "Edsger");
    click(&mut harness, "Order success");
    type_into(&mut harness, "Worst value", "97.5");
    type_into(&mut harness, "Time to notice", "2m");
    type_into(&mut harness, "In a sentence", "Timeouts.");
    click(&mut harness, "Seal it");
    let [GameDayAsk::Predict { drill, prediction }] = &asked(&mut harness)[..] else {
        panic!("no prediction")
    };
    assert_eq!(drill, "Payment is slow, with the fix");
    assert_eq!(
        (prediction.who.as_str(), prediction.holds, prediction.notice_ms),
        ("Edsger", false, Some(120_000))
    );
    assert!(
        (prediction.worst.unwrap() - 0.975).abs() < 1e-9,
        "in the base unit: {prediction:?}"
    );
    assert!(!says(&harness, "Timeouts."), "the form is empty again");
}

#[test]
fn what_was_revealed_is_scored() {
    let mut harness = at(Hour::After);
    harness
        .get_by_role_and_label(Role::Button, "1. Payment is slow")
        .click();
    harness.run();
    click(&mut harness, "Predictions");
    assert!(says(&harness, "Retries pile up") && says(&harness, "said broken, found broken"));
}

#[test]
fn a_finding_is_kept_closed_and_its_drill_run_again() {
    let mut harness = at(Hour::After);
    harness
        .get_by_role_and_label(Role::Button, "1. Payment is slow")
        .click();
    harness.run();
    click(&mut harness, "Findings");
    click(&mut harness, "New finding");
    assert!(
        harness
            .get_by_role_and_label(Role::Button, "Keep the finding")
            .accesskit_node()
            .is_disabled()
    );
    type_into(&mut harness, "Symptom", "The pool is full");
    type_into(&mut harness, "Due", "2025-12-24");
    click(&mut harness, "Keep the finding");
    let [GameDayAsk::Finding { id: None, finding }] = &asked(&mut harness)[..] else {
        panic!("no finding")
    };
    assert_eq!(
        (finding.symptom.as_str(), finding.due.as_str()),
        ("The pool is full", "2025-12-24")
    );
    assert_eq!(finding.drill.as_deref(), Some("Payment is slow"));
    assert_eq!(
        finding.evidence_ms,
        Some((fixture::DAY_MS + 240_000, fixture::DAY_MS + 480_000))
    );
    click(
        &mut harness,
        "Dealt with: The runbook names a dashboard that is gone",
    );
    type_into(&mut harness, "How it was dealt with", "written anew");
    click(&mut harness, "Close the finding");
    let [GameDayAsk::CloseFinding { id, words }] = &asked(&mut harness)[..] else {
        panic!("not closed")
    };
    assert_eq!((id.as_str(), words.as_str()), ("f0", "written anew"));
}

#[test]
fn a_real_incident_is_one_click() {
    let mut harness = at(Hour::Running);
    click(&mut harness, "Real incident");
    assert_eq!(asked(&mut harness), [GameDayAsk::RealIncident]);
}

#[test]
fn after_an_abort_it_is_asked_whether_it_was_real() {
    let mut harness = at(Hour::Aborted);
    assert!(says(&harness, "was aborted. Was it for a real incident?"));
    click(&mut harness, "Real incident");
    assert_eq!(asked(&mut harness), [GameDayAsk::RealIncident]);
}

#[test]
fn overdue_findings_stand_first() {
    let scene = Scene {
        gamedays: fixture::game_days(),
        ..Scene::default()
    };
    let mut harness = console(scene, View::Welcome, Theme::Dark, SIZE);
    assert!(says(&harness, "overdue since 2025-10-31, Alan"));
    let top = |harness: &Harness<'_, State>, label: &str| {
        harness.get_by_role_and_label(Role::Button, label).rect().top()
    };
    assert!(top(&harness, "Open a game day …") < top(&harness, "Open a plan …"));
    click(&mut harness, "Orders, quarter 3");
    assert_eq!(
        asked(&mut harness),
        [GameDayAsk::Open("/home/ada/quarter-3".into())]
    );
    assert_eq!(harness.state().console.view(), View::Agenda);
}
