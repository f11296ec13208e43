//! A rehearsal in the window: what the responder sees and can do, the reveal, surprises, lines in another's name.

use std::sync::Arc;

use egui::{Key, Modifiers, accesskit::Role};
use egui_kittest::{Harness, SnapshotResults, kittest::Queryable as _};
use firedrill_console::{Ask, Console, Language, Prefs, Scene, Theme, TimeZone, View};
use firedrill_drill::{At, Phase, SliState};
use firedrill_gameday::{Clock, Lot};
use firedrill_scene::{Fired, GameDayAsk, Ours, Seal};

use crate::{
    fixture,
    fixture::{Hour, Moment},
    kit::{self, SIZE, State, click, console, says, type_into},
    pictures::keep,
};

const LEAST: [f32; 2] = [1024.0, 640.0];

/// Everything that the fixture's drill has and that nobody may see before the reveal.
const SECRETS: [&str; 8] = [
    "http.latency",
    "payments-1",
    "payment-http",
    "Payment",
    "400 ms",
    "Orders stay",
    "bad sample",
    "ours",
];

/// A rehearsal in the midst of its fault, on a game day.
fn sealed() -> Scene {
    let mut scene = fixture::scene(Moment::Inject);
    scene.gameday = fixture::game_day(Hour::Running).gameday;
    if let Some(drill) = &mut scene.drill {
        let drill = Arc::make_mut(drill);
        drill.seal = Seal::Sealed;
        drill.fired = Arc::new(vec![
            Fired {
                at_us: drill.now.mono_us - 9_000_000,
                what: drill.slis[1].name.clone(),
                state: Some(SliState::Out),
            },
            Fired {
                at_us: drill.now.mono_us - 4_000_000,
                what: "CheckoutSlow (gateway)".to_owned(),
                state: None,
            },
        ]);
    }
    scene
}

fn revealed() -> Scene {
    let mut scene = fixture::scene(Moment::Over);
    scene.gameday = fixture::game_day(Hour::After).gameday;
    if let Some(drill) = &mut scene.drill {
        let drill = Arc::make_mut(drill);
        drill.seal = Seal::Revealed {
            at: At::default(),
            by: "Ada".to_owned(),
        };
    }
    scene
}

fn responder(scene: Scene, theme: Theme, size: [f32; 2]) -> Harness<'static, State> {
    opened(console(scene, View::Live, theme, size))
}

fn opened(mut harness: Harness<'static, State>) -> Harness<'static, State> {
    harness.key_press(Key::F10);
    harness.run();
    harness
}

fn asked(harness: &mut Harness<'_, State>) -> Vec<Ask> {
    std::mem::take(&mut harness.state_mut().asks)
}

#[test]
fn pictures() {
    let mut results = SnapshotResults::new();
    let r = &mut results;
    for (name, scene, theme, size) in [
        ("responder_sealed", sealed(), Theme::Dark, SIZE),
        ("responder_sealed_light_least", sealed(), Theme::Light, LEAST),
        ("responder_revealed", revealed(), Theme::Dark, SIZE),
        ("responder_nothing", Scene::default(), Theme::Light, SIZE),
    ] {
        keep(r, &mut responder(scene, theme, size), name);
    }
    let prefs = Prefs {
        language: Some(Language::Chinese),
        ..Prefs::default()
    };
    let chinese = kit::harness(sealed(), View::Live, Console::new(prefs, TimeZone::UTC), SIZE);
    keep(r, &mut opened(chinese), "responder_sealed_zh");
    let mut quick = console(fixture::game_day(Hour::Running), View::Agenda, Theme::Dark, SIZE);
    type_into(&mut quick, "In another's name", "grace: noticed 13:57");
    keep(r, &mut quick, "agenda_quick_entry");
}

#[test]
fn the_responder_sees_symptoms_and_no_word_of_the_plan() {
    let harness = responder(sealed(), Theme::Dark, SIZE);
    for shown in [
        "P95 latency",
        "OUT",
        "CheckoutSlow",
        "This is an exercise.",
        "Real incident",
    ] {
        assert!(says(&harness, shown), "no {shown}");
    }
    for secret in SECRETS {
        assert!(!says(&harness, secret), "{secret} is shown");
    }
    let mut harness = responder(revealed(), Theme::Dark, SIZE);
    for shown in ["It was: Payment is slow", "http.latency", "payments-1"] {
        assert!(says(&harness, shown), "no {shown} after the reveal");
    }
    harness.key_press(Key::Escape);
    harness.run();
    assert!(!says(&harness, "It was:"), "Escape closes it");
}

#[test]
fn sealed_it_looks_the_same_whether_a_fault_is_on_or_not() {
    let picture = |change: &dyn Fn(&mut Scene)| {
        let mut scene = sealed();
        change(&mut scene);
        responder(scene, Theme::Dark, SIZE).render().expect("a picture")
    };
    let with = picture(&|_| {});
    let without = picture(&|scene| {
        scene.ours = Ours::Nothing { proved_ms: Some(1) };
        scene.abort.armed = false;
        if let Some(drill) = &mut scene.drill {
            let drill = Arc::make_mut(drill);
            drill.injections.clear();
            drill.phase = Phase::Recover;
            drill.phases.pop();
            for sli in &mut drill.slis {
                (sli.bad_in_row, sli.bad) = (0, Arc::default());
            }
        }
    });
    assert!(with == without, "the picture tells");
}

#[test]
fn clocks_are_keys_and_buttons_a_note_is_typed_and_abort_works() {
    let mut harness = responder(sealed(), Theme::Dark, SIZE);
    let stamp = |clock| {
        Ask::GameDay(GameDayAsk::Clock {
            clock,
            drill: None,
            when: String::new(),
            who: None,
        })
    };
    harness.key_press(Key::Num1);
    harness.run();
    click(&mut harness, "Right hypothesis");
    assert_eq!(
        asked(&mut harness),
        [stamp(Clock::Noticed), stamp(Clock::Hypothesis)]
    );
    harness.key_press(Key::N);
    harness.run();
    harness.run();
    harness
        .get_by_role_and_label(Role::TextInput, "Hypothesis")
        .type_text("1 pool is full");
    harness.run();
    harness.key_press(Key::Enter);
    harness.run();
    let words = "1 pool is full".to_owned();
    assert_eq!(
        asked(&mut harness),
        [Ask::GameDay(GameDayAsk::Remark { who: None, words })],
        "what is typed is no clock"
    );
    click(&mut harness, "Real incident");
    assert_eq!(asked(&mut harness), [Ask::GameDay(GameDayAsk::RealIncident)]);
    assert_eq!(
        harness.state().aborts,
        0,
        "that press is the engine's, with its reason"
    );
    click(&mut harness, "ABORT");
    assert_eq!(harness.state().aborts, 1);
}

#[test]
fn a_reveal_asks_only_while_a_fault_is_on() {
    let keys = Modifiers::COMMAND | Modifiers::SHIFT;
    let mut on = console(sealed(), View::Live, Theme::Dark, SIZE);
    let drill = on
        .state()
        .scene
        .drill
        .as_ref()
        .map(|it| it.id.clone())
        .unwrap_or_default();
    on.key_press_modifiers(keys, Key::V);
    on.run();
    assert_eq!(asked(&mut on), []);
    click(&mut on, "Keep it sealed");
    assert_eq!(asked(&mut on), []);
    on.key_press_modifiers(keys, Key::V);
    on.run();
    click(&mut on, "Reveal now");
    assert_eq!(asked(&mut on), [Ask::Reveal(drill.clone())]);
    let mut off = sealed();
    off.ours = Ours::Nothing { proved_ms: Some(1) };
    let mut off = console(off, View::Live, Theme::Dark, SIZE);
    off.key_press_modifiers(keys, Key::V);
    off.run();
    assert_eq!(asked(&mut off), [Ask::Reveal(drill)]);
    let mut open = console(fixture::scene(Moment::Inject), View::Live, Theme::Dark, SIZE);
    open.key_press_modifiers(keys, Key::V);
    open.run();
    assert_eq!(asked(&mut open), []);
}

#[test]
fn a_start_by_surprise_is_typed_at_the_confirmation_or_comes_from_the_agenda() {
    let mut harness = console(fixture::scene(Moment::Arming), View::Live, Theme::Dark, SIZE);
    type_into(&mut harness, "Earliest", "5m");
    type_into(&mut harness, "Latest", "2m");
    click(&mut harness, "Start by surprise");
    assert_eq!(asked(&mut harness), [], "the range is none");
    type_into(&mut harness, "Latest", "40m");
    click(&mut harness, "I do not want to know when");
    click(&mut harness, "Start by surprise");
    let between = |earliest_ms, latest_ms, blind| Ask::ArmBetween {
        earliest_ms,
        latest_ms,
        blind,
    };
    assert_eq!(asked(&mut harness), [between(300_000, 2_400_000, true)]);
    let mut scene = fixture::scene(Moment::Arming);
    scene.gameday = fixture::game_day(Hour::Running).gameday;
    if let Some(day) = scene.gameday.as_mut().map(Arc::make_mut) {
        let id = day.state.running().map(|row| row.id.clone()).unwrap_or_default();
        for row in day
            .day
            .iter_mut()
            .flat_map(|day| &mut day.drills)
            .filter(|row| row.id == id)
        {
            row.surprise = Some(Lot {
                earliest_ms: 60_000,
                latest_ms: 90_000,
                blind: false,
            });
        }
    }
    let mut harness = console(scene, View::Live, Theme::Dark, LEAST);
    click(&mut harness, "Start by surprise");
    assert_eq!(asked(&mut harness), [between(60_000, 90_000, false)]);
}

#[test]
fn lines_and_keys_in_anothers_name_need_no_mouse() {
    let mut harness = console(fixture::game_day(Hour::Running), View::Live, Theme::Dark, SIZE);
    harness.key_press(Key::E);
    harness.run();
    harness.run();
    harness
        .get_by_role_and_label(Role::TextInput, "In another's name")
        .type_text("grace: notised");
    harness.run();
    assert!(says(&harness, "did you mean \"noticed\"?"));
    harness.key_press(Key::Enter);
    harness.run();
    harness.run();
    assert_eq!(
        asked(&mut harness),
        [],
        "a line that is not understood stays to be mended"
    );
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness
        .get_by_role_and_label(Role::TextInput, "In another's name")
        .type_text("grace: noticed");
    harness.run();
    assert!(says(&harness, "Grace: Noticed at"));
    harness.key_press(Key::Enter);
    harness.run();
    let [Ask::GameDay(GameDayAsk::Enter { line, drill: Some(_) })] = &asked(&mut harness)[..] else {
        panic!("no line")
    };
    assert_eq!(line, "grace: noticed");
    // One key for the person, one for what they did.
    harness.key_press(Key::Escape);
    harness.run();
    let mut harness = console(fixture::game_day(Hour::Running), View::Agenda, Theme::Dark, SIZE);
    harness.key_press(Key::P);
    harness.run();
    harness.key_press(Key::Num5);
    harness.run();
    let [
        Ask::GameDay(GameDayAsk::Clock {
            clock: Clock::Mitigated,
            who: Some(who),
            ..
        }),
    ] = &asked(&mut harness)[..]
    else {
        panic!("no clock")
    };
    let day = harness
        .state()
        .scene
        .gameday
        .clone()
        .and_then(|it| it.day.clone());
    let first = day
        .as_ref()
        .map(|day| firedrill_gameday::everybody(day)[0].to_owned());
    assert_eq!(Some(who.clone()), first);
}
