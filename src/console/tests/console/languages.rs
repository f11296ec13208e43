//! The console in simplified Chinese: chosen by the system or by a person, kept, and seen.

use egui::{Key, Modifiers, accesskit::Role};
use egui_kittest::{Harness, SnapshotResults, kittest::Queryable as _};
use firedrill_console::{Console, Language, Prefs, Scene, Theme, TimeZone, View};

use crate::{
    fixture,
    fixture::Moment,
    kit::{self, SIZE, State, says},
    pictures::{LARGE, keep},
};

/// The least window that every view is drawn for.
const LEAST: [f32; 2] = [1024.0, 640.0];

fn chinese(scene: Scene, view: View, theme: Theme, size: [f32; 2]) -> Harness<'static, State> {
    let prefs = Prefs {
        theme,
        language: Some(Language::Chinese),
        ..Prefs::default()
    };
    kit::harness(scene, view, Console::new(prefs, TimeZone::UTC), size)
}

/// Chooses a command by its name in the palette.
fn choose(harness: &mut Harness<'_, State>, field: &str, command: &str) {
    harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
    harness.run();
    harness
        .get_by_role_and_label(Role::TextInput, field)
        .type_text(command);
    harness.run();
    harness.key_press(Key::Enter);
    harness.run();
}

#[test]
fn views_in_chinese() {
    let mut results = SnapshotResults::new();
    let r = &mut results;
    let welcome = Scene {
        recent: std::sync::Arc::new(vec!["/home/ada/plans/orders.toml".into()]),
        gamedays: fixture::game_days(),
        ..Scene::default()
    };
    let live = fixture::scene(Moment::Inject);
    let arming = fixture::scene(Moment::Arming);
    for (name, scene, view, theme, size) in [
        ("welcome_zh", welcome.clone(), View::Welcome, Theme::Dark, LARGE),
        (
            "welcome_zh_light_least",
            welcome,
            View::Welcome,
            Theme::Light,
            LEAST,
        ),
        ("live_inject_zh", live.clone(), View::Live, Theme::Dark, LARGE),
        ("live_inject_zh_least", live, View::Live, Theme::Dark, LEAST),
        ("arming_zh_light_least", arming, View::Live, Theme::Light, LEAST),
        (
            "aborting_zh",
            fixture::aborting(false),
            View::Live,
            Theme::Dark,
            LARGE,
        ),
    ] {
        keep(r, &mut chinese(scene, view, theme, size), name);
    }
}

#[test]
fn the_language_is_the_systems_until_somebody_chooses_one_and_that_is_kept() {
    let console = Console::new(Prefs::default(), TimeZone::UTC).with_system_language(Language::Chinese);
    let mut harness = kit::harness(Scene::default(), View::Welcome, console, SIZE);
    assert!(says(&harness, "开始演示"));
    assert_eq!(harness.state().console.prefs().language, None);
    choose(&mut harness, "查找命令", "English");
    assert!(says(&harness, "Start the demo") && !says(&harness, "开始演示"));
    assert_eq!(harness.state().console.prefs().language, Some(Language::English));
    choose(&mut harness, "Find a command", "System language");
    assert!(says(&harness, "开始演示"));
    assert_eq!(harness.state().console.prefs().language, None);
}

#[test]
fn the_first_screen_offers_the_other_language() {
    let mut harness = kit::console(Scene::default(), View::Welcome, Theme::Dark, SIZE);
    kit::click(&mut harness, "简体中文");
    assert!(says(&harness, "开始演示"));
    kit::click(&mut harness, "English");
    assert!(says(&harness, "Start the demo"));
    assert_eq!(harness.state().console.prefs().language, Some(Language::English));
}

/// The hot key, the word and the place of ABORT are the same in every language.
#[test]
fn abort_is_abort_in_every_language() {
    let mut harness = chinese(fixture::scene(Moment::Inject), View::Live, Theme::Dark, SIZE);
    let english = kit::console(fixture::scene(Moment::Inject), View::Live, Theme::Dark, SIZE);
    let place = |harness: &Harness<'_, State>| harness.get_by_role_and_label(Role::Button, "ABORT").rect();
    assert_eq!(place(&harness), place(&english));
    kit::click(&mut harness, "ABORT");
    assert_eq!(harness.state().aborts, 1);
}
