//! Design: what a person writes in the form, and what the text becomes.

use std::sync::Arc;

use crate::{
    fixture,
    fixture::Moment,
    kit::{SIZE, State, click, console, says, type_into},
};
use egui::{Key, Modifiers, accesskit::Role, pos2, vec2};
use egui_kittest::{Harness, kittest::Queryable as _};
use firedrill_console::{Ask, Scene, Theme, View};
use firedrill_plan::{Action, Plan, Stop, parse};
use firedrill_scene::PlanScene;

#[test]
fn a_plan_is_built_from_nothing() {
    let mut harness = console(Scene::default(), View::Design, Theme::Dark, SIZE);
    click(&mut harness, "New plan");
    let Some(Ask::NewPlan(text)) = harness.state_mut().asks.pop() else {
        panic!("no new plan")
    };
    harness.state_mut().scene.plan = Some(Arc::new(PlanScene {
        revision: 1,
        text,
        ..PlanScene::default()
    }));
    harness.run();
    click(&mut harness, "Plan");
    type_into(&mut harness, "Title", "Orders: payment slows down");
    type_into(&mut harness, "System", "orders");
    click(&mut harness, "Indicators");
    click(&mut harness, "Add indicator");
    type_into(&mut harness, "Name", "Order success");
    type_into(&mut harness, "Stop from", "0.9");
    click(&mut harness, "Agents");
    click(&mut harness, "Add agent");
    type_into(&mut harness, "Agent name", "payments-1");
    type_into(&mut harness, "Labels", "service = payments, zone = a");
    click(&mut harness, "Experiments");
    click(&mut harness, "Add http.latency");
    type_into(&mut harness, "Route", "payment-http");
    type_into(&mut harness, "delay: how much later, 1 ms to 1 min", "400ms");
    type_into(&mut harness, "for", "60s");
    let text = harness.state().console.text().to_owned();
    let plan = parse(&text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"));
    assert_eq!(
        (plan.title.as_str(), plan.system.as_str()),
        ("Orders: payment slows down", "orders")
    );
    assert_eq!(plan.slis[0].name, "Order success");
    assert_eq!(plan.agents[0].labels["zone"], "a");
    let Action::Inject(inject) = &plan.experiments[0].steps[0].action else {
        panic!("no injection")
    };
    assert_eq!((inject.fault.as_str(), inject.for_ms), ("http.latency", 60_000));
    assert_eq!(inject.target.scope.route.as_deref(), Some("payment-http"));
    assert!(text.starts_with("# What may fail"), "comments stay:\n{text}");
    assert!(harness.state().console.unsaved());
    click(&mut harness, "Start …");
    assert!(matches!(harness.state().asks.last(), Some(Ask::Begin { .. })));
}

#[test]
fn undo_and_redo_are_of_the_text() {
    let mut harness = console(fixture::scene(Moment::Over), View::Design, Theme::Dark, SIZE);
    let before = harness.state().console.text().to_owned();
    click(&mut harness, "Add http.reset");
    let after = harness.state().console.text().to_owned();
    assert_ne!(before, after);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.run();
    assert_eq!(harness.state().console.text(), before);
    harness.key_press_modifiers(
        Modifiers {
            shift: true,
            ..Modifiers::COMMAND
        },
        Key::Z,
    );
    harness.run();
    assert_eq!(harness.state().console.text(), after);
}

#[test]
fn a_mistake_stands_next_to_its_field_and_below_the_text() {
    let mut scene = fixture::scene(Moment::Over);
    scene.plan = Some(fixture::plan(&fixture::PLAN.replace("\"100ms\"", "\"900ms\"")));
    let mut harness = console(scene, View::Design, Theme::Dark, SIZE);
    assert_eq!(
        harness
            .query_all_by_label_contains("larger than the delay")
            .count(),
        2
    );
    click(&mut harness, "Start …");
    assert!(
        harness.state().asks.is_empty(),
        "a plan with a mistake does not start"
    );
}

#[test]
fn the_target_says_what_it_hits() {
    let mut harness = console(fixture::scene(Moment::Over), View::Design, Theme::Dark, SIZE);
    assert!(says(&harness, "hits 1 of 3 hosts"));
    click(&mut harness, "all");
    assert!(says(&harness, "hits 2 of 3 hosts"));
    click(&mut harness, "zone = a");
    assert!(says(&harness, "hits 1 of 3 hosts"));
    let text = harness.state().console.text();
    assert!(
        text.contains("mode = \"all\"") && text.contains("# never two at once"),
        "{text}"
    );
}

/// The injection of the step that was added last.
fn added(harness: &Harness<'_, State>) -> firedrill_plan::Inject {
    let steps = plan(harness).experiments.remove(0).steps;
    let Some(Action::Inject(inject)) = steps.last().map(|step| step.action.clone()) else {
        panic!("no injection")
    };
    *inject
}

fn add(harness: &mut Harness<'_, State>, fault: &str) {
    type_into(harness, "Search faults", fault);
    click(harness, &format!("Add {fault}"));
    type_into(harness, "for", "60s");
}

#[test]
fn a_word_of_a_few_is_chosen_by_a_click() {
    let mut harness = design();
    add(&mut harness, "grpc.status");
    for code in ["DEADLINE_EXCEEDED", "UNKNOWN"] {
        click(&mut harness, code);
        assert_eq!(added(&harness).parameters["code"], code);
    }
}

#[test]
fn a_victim_is_named_in_one_way_of_several() {
    let mut harness = design();
    add(&mut harness, "process.pause");
    for (way, key, name) in [
        ("systemd unit", "unit", "payments"),
        ("listening port", "port", "9081"),
    ] {
        click(&mut harness, way);
        type_into(&mut harness, way, name);
        assert_eq!(added(&harness).target.scope.given(), [(key, name.to_owned())]);
    }
}

#[test]
fn a_text_that_is_no_toml_is_said_and_the_form_waits() {
    let mut scene = fixture::scene(Moment::Over);
    scene.plan = Some(fixture::plan("title = \n[[sli"));
    let harness = console(scene, View::Design, Theme::Dark, SIZE);
    assert!(says(&harness, "The form waits for the text"));
}

fn design() -> Harness<'static, State> {
    console(fixture::scene(Moment::Over), View::Design, Theme::Dark, SIZE)
}

fn plan(harness: &Harness<'_, State>) -> Plan {
    let text = harness.state().console.text();
    parse(text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"))
}

#[test]
fn what_is_said_and_what_stops_is_in_the_form() {
    let mut harness = design();
    click(&mut harness, "Indicators");
    type_into(&mut harness, "Traffic below this is no data", "5/s");
    type_into(&mut harness, "Said while it is in tolerance", "Orders are fine");
    type_into(&mut harness, "Said while it is out", "Orders fail");
    type_into(&mut harness, "After so many bad samples in a row", "3");
    harness.get_by_label("Add indicator").scroll_to_me();
    harness.run();
    click(&mut harness, "Add indicator");
    let sli = &plan(&harness).slis[0];
    assert_eq!(sli.min_rate, Some(5.0));
    assert_eq!(sli.say.ok.as_deref(), Some("Orders are fine"));
    assert_eq!(sli.say.out.as_deref(), Some("Orders fail"));
    assert_eq!(sli.stop.after(), 3);

    // The first card's buttons; the second's are below.
    let first = |harness: &mut Harness<'_, State>, label: &str| {
        let seen = |harness: &Harness<'_, State>, act: &dyn Fn(&egui_kittest::Node<'_>)| {
            act(&harness
                .get_all_by_role_and_label(Role::Button, label)
                .next()
                .unwrap());
        };
        seen(harness, &|button| button.scroll_to_me());
        harness.run();
        seen(harness, &|button| button.click());
        harness.run();
    };
    first(&mut harness, "Never");
    assert!(matches!(plan(&harness).slis[0].stop, Stop::Never { .. }));
    first(&mut harness, "At a line of its own");
    assert!(matches!(
        plan(&harness).slis[0].stop,
        Stop::Outside { after: 2, .. }
    ));
    first(&mut harness, "Out of tolerance");
    let sli = &plan(&harness).slis[0];
    assert_eq!(
        sli.stop,
        Stop::Outside {
            range: sli.tolerate,
            after: 2
        }
    );
}

#[test]
fn words_repeats_lanes_and_people_are_in_the_form() {
    let mut harness = design();
    let say = "In words for the room; {n} of {all} are the hosts that are hit";
    type_into(&mut harness, say, "Payment is slow on {n} of {all} hosts.");
    click(&mut harness, "Repeats");
    type_into(&mut harness, "Runs in all", "3");
    type_into(&mut harness, "Start to start", "90s");
    type_into(&mut harness, "Lane: side by side with others", "traffic");
    click(&mut harness, "Plan");
    type_into(&mut harness, "Observers, between commas", "Ada, Grace");
    let written = plan(&harness);
    let experiment = &written.experiments[0];
    assert_eq!(
        experiment.say.as_deref(),
        Some("Payment is slow on {n} of {all} hosts.")
    );
    assert_eq!(experiment.steps[0].lane, "traffic");
    let Action::Inject(inject) = &experiment.steps[0].action else {
        panic!("no injection")
    };
    assert_eq!((inject.repeat.times, inject.repeat.every_ms), (3, 90_000));
    assert_eq!(written.people.observers, ["Ada", "Grace"]);
    click(&mut harness, "Experiments");
    click(&mut harness, "Runs once");
    assert!(!harness.state().console.text().contains("repeat"));
}

/// Drags a step's bar by so many points.
fn drag(harness: &mut Harness<'_, State>, step: &str, by: egui::Vec2) {
    let bar = harness.get_by_role_and_label(Role::Button, step).rect();
    let from = pos2(bar.left() + 30.0, bar.center().y);
    harness.drag_at(from);
    harness.run();
    for share in [0.5, 1.0] {
        harness.hover_at(from + by * share);
        harness.run();
    }
    harness.drop_at(from + by);
    harness.run();
}

fn waits(plan: &Plan) -> Vec<Option<u64>> {
    let wait = |step: &firedrill_plan::Step| match step.action {
        Action::Wait(ms) => Some(ms),
        Action::Inject(_) => None,
    };
    plan.experiments[0].steps.iter().map(wait).collect()
}

#[test]
fn a_step_is_dragged_along_the_time_and_to_another_lane() {
    let mut harness = design();
    assert_eq!(waits(&plan(&harness)), [None, Some(30_000)]);
    drag(&mut harness, "Step 1: http.latency", vec2(60.0, 0.0));
    let dragged = plan(&harness);
    let [Some(before), None, Some(30_000)] = waits(&dragged)[..] else {
        panic!("{:?}", waits(&dragged))
    };
    assert!((2_000..30_000).contains(&before), "{before}");
    assert!(harness.state().console.text().contains("# never two at once"));

    drag(&mut harness, "Step 2: http.latency", vec2(0.0, 40.0));
    let apart = plan(&harness);
    let lanes: Vec<&str> = apart.experiments[0]
        .steps
        .iter()
        .map(|step| step.lane.as_str())
        .collect();
    assert_eq!(lanes, ["lane 2", "lane 2", "main"]);

    // One undo takes one drag back.
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.run();
    assert_eq!(plan(&harness), dragged);
}

#[test]
fn arrow_keys_move_a_step() {
    let mut harness = design();
    let before = harness.state().console.text().to_owned();
    harness
        .get_by_role_and_label(Role::Button, "Step 1: http.latency")
        .focus();
    harness.run();
    harness.key_press(Key::ArrowRight);
    harness.run();
    harness.key_press(Key::ArrowRight);
    harness.run();
    let [Some(first), None, Some(30_000)] = waits(&plan(&harness))[..] else {
        panic!("{}", harness.state().console.text())
    };
    assert!(first >= 2_000, "the second key is of the step too: {first}");
    harness.key_press(Key::ArrowLeft);
    harness.run();
    harness.key_press(Key::ArrowLeft);
    harness.run();
    assert_eq!(harness.state().console.text(), before);
    harness.key_press(Key::ArrowDown);
    harness.run();
    assert_eq!(plan(&harness).experiments[0].steps[0].lane, "lane 2");
    harness.key_press(Key::ArrowUp);
    harness.run();
    assert_eq!(harness.state().console.text(), before);
}
