//! The strength lever, Hold and Resume, "is this us?" on the clipboard, and Retry.

use std::sync::Arc;

use egui::{Key, Modifiers, OutputCommand, accesskit::Role};
use egui_kittest::{Harness, Node, kittest::Queryable as _};
use firedrill_console::{Ask, Scene, Theme, View};
use firedrill_drill::{At, HoldStage};
use serde_json::json;

use crate::{
    fixture,
    fixture::Moment,
    kit::{SIZE, State, click, console, says},
};

const CTRL_SHIFT: Modifiers = Modifiers {
    shift: true,
    ..Modifiers::COMMAND
};

pub fn lever<'a>(harness: &'a Harness<'_, State>) -> Node<'a> {
    harness.get_by_role_and_label(Role::Slider, "Strength of http.latency on payments-1")
}

/// At 200 ms of at most 400 ms.
fn turned() -> Harness<'static, State> {
    let mut scene = fixture::scene(Moment::Inject);
    scene.drill = Some(Arc::new(fixture::turned()));
    console(scene, View::Live, Theme::Dark, SIZE)
}

fn step(harness: &mut Harness<'_, State>, key: Key, times: usize) {
    lever(harness).focus();
    harness.run();
    for _ in 0..times {
        harness.key_press(key);
        harness.run();
    }
}

fn asked(delay: &str, jitter: &str) -> Ask {
    Ask::Strength {
        injection: "i1".into(),
        parameters: json!({ "path": "/api/payment", "delay": delay, "jitter": jitter }),
    }
}

#[test]
fn less_acts_with_each_step() {
    let mut harness = turned();
    assert_eq!(lever(&harness).value().as_deref(), Some("200 ms"));
    step(&mut harness, Key::ArrowLeft, 1);
    assert_eq!(harness.state().asks, [asked("180ms", "45ms")]);
    assert!(!says(&harness, "Apply "));
}

#[test]
fn more_needs_apply_and_is_at_most_what_the_plan_has() {
    let mut harness = turned();
    step(&mut harness, Key::ArrowRight, 3);
    assert_eq!(harness.state().asks, [], "nothing is asked for before Apply");
    assert_eq!(lever(&harness).value().as_deref(), Some("260 ms"));
    click(&mut harness, "Apply 260 ms");
    assert_eq!(harness.state().asks, [asked("260ms", "65ms")]);
    assert!(harness.query_by_label("Apply 260 ms").is_none());
    step(&mut harness, Key::ArrowRight, 40);
    click(&mut harness, "Apply 400 ms");
    assert_eq!(harness.state().asks[1], asked("400ms", "100ms"));
}

#[test]
fn what_was_put_up_can_be_left_as_it_is_or_put_down_again() {
    let mut harness = turned();
    step(&mut harness, Key::ArrowRight, 2);
    click(&mut harness, "Leave it at 200 ms");
    assert_eq!(lever(&harness).value().as_deref(), Some("200 ms"));
    step(&mut harness, Key::ArrowRight, 2);
    step(&mut harness, Key::ArrowLeft, 2);
    assert!(!says(&harness, "Apply "));
    assert_eq!(harness.state().asks, []);
}

#[test]
fn less_by_hand_acts_when_the_hand_lets_go() {
    let mut harness = turned();
    let rect = lever(&harness).rect();
    let at = |share: f32| egui::pos2(rect.left() + rect.width() * share, rect.center().y);
    harness.drag_at(at(0.5));
    harness.run();
    harness.hover_at(at(0.3));
    harness.run();
    assert_eq!(harness.state().asks, [], "the hand still holds it");
    harness.drop_at(at(0.3));
    harness.run();
    let [Ask::Strength { parameters, .. }] = &harness.state().asks[..] else {
        panic!("{:?}", harness.state().asks);
    };
    let delay = parameters["delay"].as_str().unwrap();
    assert!(["100ms", "120ms", "140ms"].contains(&delay), "{delay}");
}

#[test]
fn while_a_change_is_on_its_way_more_waits() {
    let mut scene = fixture::scene(Moment::Inject);
    let mut drill = fixture::turned();
    if let Some(lever) = &mut drill.injections[0].lever {
        lever.asked = Some((0.25, "100 ms".into()));
    }
    scene.drill = Some(Arc::new(drill));
    let mut harness = console(scene, View::Live, Theme::Dark, SIZE);
    assert!(says(&harness, "200 ms is on, 100 ms is asked for …"));
    step(&mut harness, Key::ArrowRight, 1);
    click(&mut harness, "Apply 120 ms");
    assert_eq!(harness.state().asks, [], "it waits for the answer");
}

#[test]
fn hold_and_resume_have_buttons_and_keys() {
    let mut harness = console(fixture::scene(Moment::Inject), View::Live, Theme::Dark, SIZE);
    click(&mut harness, "Hold");
    harness.key_press_modifiers(CTRL_SHIFT, Key::H);
    harness.run();
    assert_eq!(harness.state().asks, [Ask::Hold, Ask::Hold]);

    let mut harness = console(
        fixture::held_scene(HoldStage::Held),
        View::Review,
        Theme::Dark,
        SIZE,
    );
    assert!(says(&harness, "held: nothing of ours on; the clock stands"));
    assert!(says(&harness, "nothing of ours on, proved 14:02:50"));
    assert!(harness.query_by_label("Hold").is_none());
    click(&mut harness, "Resume");
    harness.key_press_modifiers(CTRL_SHIFT, Key::R);
    harness.run();
    assert_eq!(harness.state().asks, [Ask::Resume, Ask::Resume]);
    harness.state_mut().console.show(View::Live);
    harness.run();
    assert!(says(
        &harness,
        "Nothing of ours on; the clock stands since 14:02:50, by Ada"
    ));
    assert!(says(
        &harness,
        "http.latency on payments-1 for the 20 s it had left"
    ));
    assert!(
        harness
            .query_by_role_and_label(Role::Slider, "Strength of http.latency on payments-1")
            .is_none(),
        "there is nothing to turn"
    );
}

#[test]
fn nothing_is_resumed_before_it_is_off_nor_twice() {
    for stage in [HoldStage::Reverting, HoldStage::Baseline { since: At::default() }] {
        let mut harness = console(fixture::held_scene(stage), View::Fleet, Theme::Dark, SIZE);
        click(&mut harness, "Resume");
        harness.key_press_modifiers(CTRL_SHIFT, Key::R);
        harness.run();
        assert_eq!(harness.state().asks, [], "{stage:?}");
    }
}

/// What is put on the clipboard within the next frames.
fn copied(harness: &mut Harness<'_, State>) -> Option<String> {
    (0..6).find_map(|_| {
        harness.step();
        let commands = &harness.output().platform_output.commands;
        commands.iter().find_map(|it| match it {
            OutputCommand::CopyText(text) => Some(text.clone()),
            _ => None,
        })
    })
}

#[test]
fn whether_this_is_us_is_copied_with_drill_console_and_time() {
    let mut harness = console(fixture::scene(Moment::Inject), View::Fleet, Theme::Dark, SIZE);
    harness
        .get_by_role_and_label(Role::Button, "Copy: is this us?")
        .click();
    let text = copied(&mut harness).unwrap();
    assert_eq!(
        text,
        "1 fault of ours on payments-1, ends by itself in 16 s at the latest \
         · drill \"Payment is slow\" (d1) · console ada-laptop · 14:02:54"
    );
    // One event alone: of several only the last frame's output is kept.
    harness.event(egui::Event::Key {
        key: Key::I,
        physical_key: None,
        pressed: true,
        repeat: false,
        modifiers: Modifiers::COMMAND,
    });
    assert_eq!(copied(&mut harness), Some(text));
}

fn over(verdict: firedrill_drill::Verdict) -> Scene {
    let mut scene = fixture::scene(Moment::Over);
    let mut drill = fixture::drill(Moment::Over);
    drill.verdict = Some(verdict);
    scene.drill = Some(Arc::new(drill));
    scene
}

#[test]
fn a_drill_of_which_nothing_can_be_said_is_retried_with_one_key() {
    let scene = over(fixture::inconclusive());
    let mut harness = console(scene.clone(), View::Live, Theme::Dark, SIZE);
    click(&mut harness, "Retry");
    assert_eq!(harness.state().asks, [Ask::Retry]);
    let mut harness = console(scene, View::Review, Theme::Dark, SIZE);
    harness.key_press(Key::R);
    harness.run();
    assert_eq!(harness.state().asks, [Ask::Retry]);
    assert_eq!(harness.state().console.view(), View::Live);

    let mut harness = console(over(fixture::broken()), View::Live, Theme::Dark, SIZE);
    harness.key_press(Key::R);
    harness.run();
    assert_eq!(harness.state().asks, [], "broken is a result, not a mishap");
    assert!(harness.query_by_label("Retry").is_none());
}
