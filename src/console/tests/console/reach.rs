//! Every control is reached by Tab alone, and has a name; sizes can be chosen.

use std::collections::BTreeMap;

use egui::{
    Key, Modifiers,
    accesskit::{Action, Role},
};
use egui_kittest::{
    Harness,
    kittest::{NodeT as _, Queryable as _},
};
use firedrill_console::{Console, Frame, Prefs, Scene, Theme, TimeZone, View, install};

use crate::{
    fixture,
    fixture::Moment,
    kit,
    kit::{SIZE, State, click, console, says},
};

/// Controls that can be clicked now, by their id in the accessibility tree. Scroll bars are no controls: what has the
/// focus is scrolled to.
fn controls(harness: &Harness<'_, State>) -> BTreeMap<String, String> {
    harness
        .root()
        .children_recursive()
        .filter_map(|node| {
            let node = node.accesskit_node();
            let clicks = node.data().supports_action(Action::Click) && !node.is_disabled();
            let name = node.label().unwrap_or_default();
            let name = format!("{:?} {name}", node.role());
            (clicks && node.role() != Role::ScrollBar).then(|| (format!("{:?}", node.id()), name))
        })
        .collect()
}

fn focused(harness: &Harness<'_, State>) -> Option<String> {
    let focused = harness
        .root()
        .children_recursive()
        .find(|node| node.accesskit_node().is_focused())?;
    Some(format!("{:?}", focused.accesskit_node().id()))
}

/// What Tab does not come to, however often it is pressed.
fn out_of_reach(harness: &mut Harness<'_, State>) -> Vec<String> {
    let mut missing = controls(harness);
    assert!(!missing.is_empty());
    for _ in 0..missing.len() * 2 + 20 {
        harness.key_press(Key::Tab);
        harness.run();
        if let Some(at) = focused(harness) {
            missing.remove(&at);
        }
        if missing.is_empty() {
            break;
        }
    }
    // What scrolled out of sight meanwhile, or was there only for a moment, is not asked for.
    let there = controls(harness);
    missing.retain(|id, _| there.contains_key(id));
    missing.into_values().collect()
}

fn check(what: &str, harness: &mut Harness<'_, State>) {
    let nameless: Vec<String> = controls(harness)
        .into_values()
        .filter(|name| name.ends_with(' '))
        .collect();
    assert!(nameless.is_empty(), "{what}: without a name: {nameless:?}");
    let missing = out_of_reach(harness);
    assert!(missing.is_empty(), "{what}: not reached by Tab: {missing:?}");
}

#[test]
fn every_control_of_every_view_is_reached_by_tab() {
    let mut over = fixture::scene(Moment::Over);
    over.reviews = std::sync::Arc::new(vec![fixture::review()]);
    over.fleet = fixture::fleet(true);
    for view in View::ALL.into_iter().chain([View::Gallery]) {
        check(
            &format!("{view:?}"),
            &mut console(over.clone(), view, Theme::Dark, SIZE),
        );
    }
    for part in ["Indicators", "Plan"] {
        let mut harness = console(over.clone(), View::Design, Theme::Dark, SIZE);
        click(&mut harness, part);
        check(part, &mut harness);
    }
    let empty = Scene::default();
    for view in View::ALL {
        check(
            &format!("{view:?} with nothing"),
            &mut console(empty.clone(), view, Theme::Dark, SIZE),
        );
    }
    check(
        "a replay",
        &mut console(fixture::replay(), View::Review, Theme::Dark, SIZE),
    );
    let mut harness = console(fixture::two_reviews(), View::Review, Theme::Dark, SIZE);
    click(&mut harness, "Compare");
    check("two drills", &mut harness);
    check(
        "the tour",
        &mut console(fixture::tour(), View::Live, Theme::Dark, SIZE),
    );
    check(
        "a drill with a fault on",
        &mut console(fixture::scene(Moment::Inject), View::Live, Theme::Dark, SIZE),
    );
}

#[test]
fn in_a_dialog_tab_stays_in_it_and_abort_is_reached() {
    for (what, scene) in [
        ("arming", fixture::scene(Moment::Arming)),
        ("guarded", fixture::guarded()),
        ("aborting", fixture::aborting(false)),
        ("left open", fixture::left_open()),
    ] {
        let mut harness = console(scene, View::Live, Theme::Dark, SIZE);
        let mut reached = Vec::new();
        for _ in 0..24 {
            harness.key_press(Key::Tab);
            harness.run();
            let focused = harness
                .root()
                .children_recursive()
                .find(|node| node.accesskit_node().is_focused());
            reached.extend(focused.and_then(|node| node.accesskit_node().label()));
        }
        assert!(reached.iter().any(|name| name == "ABORT"), "{what}: {reached:?}");
        assert!(
            !reached.iter().any(|name| name == "Fleet"),
            "{what}: the navigation is behind the dialog: {reached:?}"
        );
    }
}

#[test]
fn sizes_are_chosen_by_keys_and_kept() {
    let mut harness = console(Scene::default(), View::Live, Theme::Dark, [2_400.0, 1_500.0]);
    let mut press = |key: Key| {
        harness.key_press_modifiers(Modifiers::COMMAND, key);
        harness.run();
        (
            harness.state().console.prefs().size.factor(),
            harness.ctx.zoom_factor(),
        )
    };
    assert_eq!(press(Key::Plus), (1.1, 1.1));
    assert_eq!(press(Key::Equals), (1.25, 1.25));
    assert_eq!(press(Key::Minus), (1.1, 1.1));
    assert_eq!(press(Key::Num0), (1.0, 1.0));
    for _ in 0..9 {
        press(Key::Minus);
    }
    assert_eq!(press(Key::Minus), (0.75, 0.75));
    for _ in 0..9 {
        press(Key::Plus);
    }
    assert_eq!(press(Key::Plus).0, 2.0);
}

#[test]
fn a_size_that_leaves_no_room_is_not_taken_whole() {
    let mut harness = console(Scene::default(), View::Live, Theme::Dark, [1_024.0, 640.0]);
    for _ in 0..9 {
        harness.key_press_modifiers(Modifiers::COMMAND, Key::Plus);
        harness.step();
    }
    assert_eq!(harness.state().console.prefs().size.factor(), 2.0);
    let abort = harness.get_by_role_and_label(Role::Button, "ABORT").rect();
    assert!(abort.right() <= harness.ctx.content_rect().right(), "{abort:?}");
}

#[test]
fn how_large_the_window_is_is_kept_also_under_a_whole_screen() {
    let context = egui::Context::default();
    install(&context);
    let mut console = Console::new(Prefs::default(), TimeZone::UTC);
    let mut seen = |size: [f32; 2], maximized, minimized| {
        let inside = egui::Rect::from_min_size(egui::Pos2::ZERO, size.into());
        let mut input = egui::RawInput {
            screen_rect: Some(inside),
            ..egui::RawInput::default()
        };
        let info = input.viewports.entry(egui::ViewportId::ROOT).or_default();
        info.inner_rect = Some(inside);
        info.maximized = Some(maximized);
        info.minimized = Some(minimized);
        let mut output = context.run_ui(input, |ui| {
            let frame = Frame {
                scene: &Scene::default(),
                since_ms: 0,
                ask: &mut |_| {},
                abort: &mut || {},
            };
            console.ui(ui, frame);
        });
        output.textures_delta.clear();
        let kept = console.prefs().window.expect("a size is kept");
        (kept.width, kept.height, kept.maximized)
    };
    assert_eq!(seen([1_200.0, 800.0], false, false), (1_200, 800, false));
    assert_eq!(seen([1_920.0, 1_080.0], true, false), (1_200, 800, true));
    assert_eq!(seen([160.0, 28.0], false, true), (1_200, 800, true));
    assert_eq!(seen([1_100.0, 700.0], false, false), (1_100, 700, false));
}

#[test]
fn a_message_of_the_window_itself_stands_there_until_it_is_dismissed() {
    let mut console = Console::new(Prefs::default(), TimeZone::UTC);
    console.warn("The settings cannot be read".to_owned(), 0);
    let mut harness = kit::harness(Scene::default(), View::Welcome, console, SIZE);
    assert!(says(&harness, "Dismiss"));
    click(&mut harness, "Dismiss");
    assert!(!says(&harness, "Dismiss"));
    assert!(harness.state().asks.is_empty(), "the engine knows nothing of it");
}
