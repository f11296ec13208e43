//! Library: a template is filled in, used, and tried on the demo.

use egui::{Key, accesskit::Role};
use egui_kittest::{SnapshotResults, kittest::Queryable as _};
use firedrill_console::{Ask, Scene, Theme, View};

use crate::{
    kit::{SIZE, click, console, says, type_into},
    pictures::{LARGE, SMALL, keep, shoot},
};

const AGENT: &str = "Where is the agent of the checkout host?";

#[test]
fn a_template_is_filled_in_and_used() {
    let mut harness = console(Scene::default(), View::Library, Theme::Dark, SIZE);
    assert!(says(&harness, "no mistakes"));
    type_into(&mut harness, AGENT, "10.0.0.7");
    assert!(says(&harness, "expected a URL"), "said as it is typed");
    assert!(says(&harness, "1 mistake"));
    click(&mut harness, "Use this template");
    assert!(harness.state().asks.is_empty(), "not with a mistake");
    type_into(&mut harness, AGENT, "https://10.0.0.7:7431");
    click(&mut harness, "Use this template");
    let Some(Ask::NewPlan(text)) = harness.state_mut().asks.pop() else {
        panic!("no new plan: {:?}", harness.state().asks)
    };
    let plan = firedrill_plan::parse(&text).unwrap();
    assert_eq!(plan.agents[0].url, "https://10.0.0.7:7431");
    assert_eq!(harness.state().console.view(), View::Design);
}

#[test]
fn answers_stay_with_their_template_and_go_back_to_what_ships() {
    let mut harness = console(Scene::default(), View::Library, Theme::Dark, SIZE);
    type_into(&mut harness, AGENT, "nowhere");
    click(&mut harness, "Payments: the way to the acquirer");
    assert!(says(&harness, "no mistakes"));
    click(&mut harness, "Online shop: checkout under failure");
    assert!(says(&harness, "1 mistake"));
    click(&mut harness, "As it ships");
    assert!(says(&harness, "no mistakes"));
}

#[test]
fn an_experiment_is_tried_on_the_demo() {
    let mut harness = console(Scene::default(), View::Library, Theme::Dark, SIZE);
    click(&mut harness, "Recommendations fail");
    // One that the demo cannot run stays unchosen, and says why.
    click(&mut harness, "Payment's name cannot be resolved");
    click(&mut harness, "Try it on the demo");
    assert_eq!(
        harness.state().asks,
        [Ask::TryTemplate {
            template: "online-shop".to_owned(),
            experiment: "Recommendations fail".to_owned(),
        }]
    );
    assert_eq!(harness.state().console.view(), View::Live);
}

#[test]
fn by_the_keyboard_alone() {
    let mut harness = console(Scene::default(), View::Welcome, Theme::Dark, SIZE);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, Key::Num7);
    harness.run();
    assert_eq!(harness.state().console.view(), View::Library);
    let card = harness.get_by_role_and_label(Role::Button, "Trading: late market data and a slow risk check");
    card.focus();
    harness.run();
    harness.key_press(Key::Enter);
    harness.run();
    assert!(says(&harness, "What was promised for it, in seconds?"));
}

#[test]
fn pictures() {
    let mut results = SnapshotResults::new();
    let r = &mut results;
    shoot(r, "library", Scene::default(), View::Library, Theme::Dark, LARGE);
    let mut harness = console(Scene::default(), View::Library, Theme::Light, SMALL);
    type_into(&mut harness, AGENT, "nowhere");
    keep(r, &mut harness, "library_wrong_light_small");
}
