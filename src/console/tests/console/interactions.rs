//! What a person does with mouse and keys, and what the console wishes for then.

use std::sync::Arc;

use crate::{
    fixture,
    fixture::Moment,
    kit::{SIZE, State, click, console, fill, says, type_into},
};
use egui::{Key, Modifiers, accesskit::Role};
use egui_kittest::{Harness, kittest::Queryable as _};
use firedrill_console::{Ask, Scene, Theme, View};

fn press_hot_key(harness: &mut Harness<'_, State>) {
    harness.key_press_modifiers(
        Modifiers {
            shift: true,
            ..Modifiers::COMMAND
        },
        Key::X,
    );
    harness.run();
}

fn aborted(harness: &Harness<'_, State>) -> bool {
    harness.state().aborts == 1
        && harness
            .state()
            .asks
            .iter()
            .filter(|ask| **ask == Ask::Abort)
            .count()
            == 1
}

#[test]
fn abort_is_one_click() {
    let mut harness = console(fixture::scene(Moment::Inject), View::Live, Theme::Dark, SIZE);
    click(&mut harness, "ABORT");
    assert!(
        aborted(&harness),
        "{} presses, asks {:?}",
        harness.state().aborts,
        harness.state().asks
    );
}

#[test]
fn abort_works_while_nothing_is_on_and_without_a_plan() {
    let mut harness = console(Scene::default(), View::Welcome, Theme::Dark, SIZE);
    click(&mut harness, "ABORT");
    assert!(aborted(&harness));
}

#[test]
fn abort_is_heard_while_a_note_is_typed() {
    let mut harness = console(fixture::scene(Moment::Inject), View::Live, Theme::Dark, SIZE);
    type_into(&mut harness, "Note", "queue grows");
    assert!(
        harness
            .get_by_role_and_label(Role::TextInput, "Note")
            .is_focused()
    );
    press_hot_key(&mut harness);
    assert!(aborted(&harness));
    assert_eq!(
        harness
            .get_by_role_and_label(Role::TextInput, "Note")
            .value()
            .as_deref(),
        Some("queue grows")
    );
}

#[test]
fn abort_is_above_the_arming_dialog_and_nothing_else_is() {
    let mut harness = console(fixture::scene(Moment::Arming), View::Live, Theme::Dark, SIZE);
    harness.get_by_role_and_label(Role::Button, "Fleet").click();
    harness.run();
    assert_eq!(
        harness.state().console.view(),
        View::Live,
        "the dialog holds everything else back"
    );
    click(&mut harness, "ABORT");
    assert!(aborted(&harness));
    let mut harness = console(fixture::scene(Moment::Arming), View::Live, Theme::Dark, SIZE);
    press_hot_key(&mut harness);
    assert!(aborted(&harness));
}

#[test]
fn abort_can_be_pressed_again_while_it_works() {
    let mut harness = console(fixture::aborting(false), View::Live, Theme::Dark, SIZE);
    click(&mut harness, "ABORT");
    assert!(aborted(&harness));
}

#[test]
fn abort_by_keyboard_focus() {
    let mut harness = console(fixture::scene(Moment::Inject), View::Review, Theme::Dark, SIZE);
    harness.get_by_role_and_label(Role::Button, "ABORT").focus();
    harness.run();
    harness.key_press(Key::Enter);
    harness.run();
    assert!(aborted(&harness));
}

#[test]
fn abort_stands_in_the_same_place_everywhere() {
    let mut places = Vec::new();
    let scenes = [
        fixture::scene(Moment::Inject),
        fixture::scene(Moment::Arming),
        fixture::aborting(false),
        Scene::default(),
    ];
    for scene in scenes {
        for view in View::ALL {
            for theme in [Theme::Dark, Theme::Light] {
                let harness = console(scene.clone(), view, theme, SIZE);
                places.push(harness.get_by_role_and_label(Role::Button, "ABORT").rect());
            }
        }
    }
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
    assert!(places[0].width() > 150.0 && places[0].right() <= SIZE[0] && places[0].top() >= 0.0);
}

#[test]
fn starting_asks_for_confirmation() {
    let mut harness = console(fixture::scene(Moment::Over), View::Design, Theme::Dark, SIZE);
    click(&mut harness, "Start …");
    let begun = matches!(&harness.state().asks[..], [Ask::Begin { experiment, .. }] if experiment == "Payment is slow");
    assert!(begun, "{:?}", harness.state().asks);
    assert_eq!(harness.state().console.view(), View::Live);
    let mut harness = console(fixture::scene(Moment::Arming), View::Live, Theme::Dark, SIZE);
    assert!(harness.state().asks.is_empty(), "nothing starts by itself");
    harness.key_press(Key::Enter);
    harness.run();
    assert!(harness.state().asks.is_empty(), "Enter alone starts nothing");
    click(&mut harness, "Start the fault");
    assert_eq!(harness.state().asks, [Ask::Arm]);
}

#[test]
fn a_drill_is_begun_and_confirmed_by_keys() {
    let mut harness = console(fixture::scene(Moment::Over), View::Design, Theme::Dark, SIZE);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    harness.run();
    assert!(matches!(harness.state().asks[..], [Ask::Begin { .. }]));
    let mut harness = console(fixture::scene(Moment::Arming), View::Live, Theme::Dark, SIZE);
    harness.key_press_modifiers(Modifiers::COMMAND.plus(Modifiers::SHIFT), Key::Enter);
    harness.run();
    assert_eq!(harness.state().asks, [Ask::Arm]);
}

#[test]
fn escape_and_back_leave_the_confirmation() {
    let mut harness = console(fixture::scene(Moment::Arming), View::Live, Theme::Dark, SIZE);
    harness.key_press(Key::Escape);
    harness.run();
    assert_eq!(harness.state().asks.first(), Some(&Ask::Back));
    let mut harness = console(fixture::scene(Moment::Arming), View::Live, Theme::Dark, SIZE);
    click(&mut harness, "Back");
    assert_eq!(harness.state().asks, [Ask::Back]);
}

#[test]
fn a_start_that_is_not_ready_cannot_be_confirmed() {
    let mut scene = fixture::scene(Moment::Arming);
    let drill = Arc::make_mut(scene.drill.as_mut().unwrap());
    drill.arming.as_mut().unwrap().ready = false;
    let mut harness = console(scene, View::Live, Theme::Dark, SIZE);
    click(&mut harness, "Start the fault");
    harness.key_press_modifiers(Modifiers::COMMAND.plus(Modifiers::SHIFT), Key::Enter);
    harness.run();
    assert!(harness.state().asks.is_empty());
}

#[test]
fn n_writes_a_note_and_enter_sends_it() {
    let mut harness = console(fixture::scene(Moment::Inject), View::Fleet, Theme::Dark, SIZE);
    harness.key_press(Key::N);
    harness.run();
    let note = harness.get_by_role_and_label(Role::TextInput, "Note");
    assert!(note.is_focused());
    note.type_text("on-call has seen it");
    harness.run();
    harness.key_press(Key::Enter);
    harness.run();
    assert_eq!(harness.state().asks, [Ask::Note("on-call has seen it".into())]);
}

#[test]
fn finish_is_no_abort() {
    let mut harness = console(fixture::scene(Moment::Inject), View::Live, Theme::Dark, SIZE);
    click(&mut harness, "Finish");
    assert_eq!(harness.state().asks, [Ask::Finish]);
    assert_eq!(harness.state().aborts, 0);
}

#[test]
fn the_theme_is_kept() {
    let mut harness = console(Scene::default(), View::Welcome, Theme::Dark, SIZE);
    click(&mut harness, "Light theme");
    assert_eq!(harness.state().console.prefs().theme, Theme::Light);
    harness.get_by_role_and_label(Role::Button, "Dark theme");
}

#[test]
fn the_demo_is_one_click() {
    let mut harness = console(Scene::default(), View::Welcome, Theme::Dark, SIZE);
    click(&mut harness, "Start the demo");
    assert_eq!(harness.state().asks, [Ask::StartDemo]);
    assert_eq!(harness.state().console.view(), View::Live);
}

#[test]
fn a_release_needs_a_reason() {
    let mut scene = fixture::scene(Moment::Over);
    scene.fleet = fixture::fleet(true);
    let mut harness = console(scene, View::Fleet, Theme::Dark, SIZE);
    click(&mut harness, "Release the latch");
    assert!(harness.state().asks.is_empty());
    type_into(&mut harness, "Why it is safe again", "rolled back");
    click(&mut harness, "Release the latch");
    let wanted = Ask::Release {
        agent: "payments-1".into(),
        latch: 3,
        reason: "rolled back".into(),
    };
    assert_eq!(harness.state().asks, [wanted]);
}

#[test]
fn an_agent_is_trusted_after_it_was_shown_what_that_means() {
    let line = fixture::join().to_string();
    let mut harness = console(fixture::scene(Moment::Over), View::Fleet, Theme::Dark, SIZE);
    click(&mut harness, "Add agent");
    click(&mut harness, "Trust this agent");
    assert!(harness.state().asks.is_empty(), "nothing is pasted");
    // Of another kind, and cut: by name.
    paste(&mut harness, "https://10.0.0.7:7431");
    assert!(says(&harness, "this is not a join string of this version"));
    paste(&mut harness, &line[..line.len() - 3]);
    assert!(says(&harness, "the join string is cut or changed"));
    click(&mut harness, "Trust this agent");
    assert!(harness.state().asks.is_empty());
    // The tokens in it are not to be read over somebody's shoulder.
    paste(&mut harness, &line);
    assert!(!says(&harness, "s3cret") && !says(&harness, &line));
    assert!(says(&harness, &fixture::join().pin.unwrap().to_string()));
    click(&mut harness, "Trust this agent");
    assert_eq!(harness.state().asks, [Ask::Enroll(line)]);
    assert!(!says(&harness, "Join string"), "the panel is closed");
}

#[test]
fn an_agent_is_added_without_a_plan_too_and_not_when_cancelled() {
    let mut harness = console(Scene::default(), View::Fleet, Theme::Dark, SIZE);
    click(&mut harness, "Add agent");
    paste(&mut harness, &fixture::join().to_string());
    click(&mut harness, "Cancel");
    assert!(harness.state().asks.is_empty());
    click(&mut harness, "Add agent");
    let line = harness.get_by_role_and_label(Role::PasswordInput, "Join string");
    assert_eq!(line.value().unwrap_or_default(), "", "nothing of it is kept");
}

fn paste(harness: &mut Harness<'_, State>, text: &str) {
    fill(harness, Role::PasswordInput, "Join string", text);
}

#[test]
fn an_idle_console_does_not_repaint() {
    for view in View::ALL {
        let harness = console(fixture::scene(Moment::Over), view, Theme::Dark, SIZE);
        let delay = harness.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay;
        assert!(
            delay > std::time::Duration::from_hours(1),
            "{view:?} repaints after {delay:?}"
        );
    }
    let harness = console(fixture::scene(Moment::Inject), View::Live, Theme::Dark, SIZE);
    let delay = harness.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay;
    assert!(
        delay >= std::time::Duration::from_millis(90),
        "a running drill repaints after {delay:?}"
    );
}

#[test]
fn drag_stands_still_and_double_click_follows_again() {
    let mut harness = console(fixture::scene(Moment::Inject), View::Live, Theme::Dark, SIZE);
    let on_plot = egui::pos2(800.0, 250.0);
    assert!(says(&harness, "following ·"));
    harness.drag_at(on_plot);
    harness.run();
    harness.hover_at(on_plot + egui::vec2(120.0, 0.0));
    harness.run();
    harness.drop_at(on_plot + egui::vec2(120.0, 0.0));
    harness.run();
    assert!(says(&harness, "standing still"));
    for _ in 0..2 {
        harness.drag_at(on_plot);
        harness.drop_at(on_plot);
        harness.step();
    }
    harness.run();
    assert!(says(&harness, "following ·"));
}

#[test]
fn plots_move_by_keys_too() {
    let mut harness = console(fixture::scene(Moment::Inject), View::Live, Theme::Dark, SIZE);
    harness.key_press_modifiers(Modifiers::ALT, Key::ArrowLeft);
    harness.run();
    assert!(says(&harness, "standing still"));
    harness.key_press(Key::Home);
    harness.run();
    assert!(says(&harness, "following ·"));
}

#[test]
fn the_palette_finds_commands() {
    let mut harness = console(fixture::scene(Moment::Over), View::Welcome, Theme::Dark, SIZE);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
    harness.run();
    harness
        .get_by_role_and_label(Role::TextInput, "Find a command")
        .type_text("agents");
    harness.run();
    harness.key_press(Key::ArrowDown);
    harness.run();
    harness.key_press(Key::ArrowUp);
    harness.run();
    harness.key_press(Key::Enter);
    harness.run();
    assert_eq!(harness.state().console.view(), View::Fleet);
    assert!(
        harness
            .query_by_role_and_label(Role::TextInput, "Find a command")
            .is_none()
    );
}

#[test]
fn unsaved_changes_are_asked_about_before_another_plan_takes_their_place() {
    let mut harness = console(fixture::scene(Moment::Over), View::Design, Theme::Dark, SIZE);
    click(&mut harness, "Add http.reset");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::O);
    harness.run();
    assert!(harness.state().asks.is_empty());
    click(&mut harness, "Stay");
    assert!(harness.state().asks.is_empty() && harness.state().console.unsaved());
    harness.key_press_modifiers(Modifiers::COMMAND, Key::O);
    harness.run();
    click(&mut harness, "Discard the changes");
    assert_eq!(harness.state().asks, [Ask::OpenPlanDialog]);
}

#[test]
fn the_abort_can_be_told_to_the_incident_channel() {
    let mut harness = console(fixture::aborting(false), View::Live, Theme::Dark, SIZE);
    harness
        .get_by_role_and_label(Role::Button, "Copy for the incident channel")
        .click();
    let copied = (0..4).find_map(|_| {
        harness.step();
        harness
            .output()
            .platform_output
            .commands
            .iter()
            .find_map(|command| match command {
                egui::OutputCommand::CopyText(text) => Some(text.clone()),
                _ => None,
            })
    });
    let text = copied.expect("nothing was copied");
    assert!(
        text.contains("2 of 3 agents proved clean") && text.contains("firedrill-agent abort"),
        "{text}"
    );
}

#[test]
fn a_drill_that_was_never_ended_is_aborted_or_watched_or_put_aside() {
    let scene = || fixture::left_open();
    let mut harness = console(scene(), View::Welcome, Theme::Dark, SIZE);
    assert!(says(&harness, "its console is gone"));
    click(&mut harness, "Abort it");
    assert_eq!(harness.state().asks, [Ask::AbortOpen("d0".into())]);
    let mut harness = console(scene(), View::Welcome, Theme::Dark, SIZE);
    click(&mut harness, "Watch");
    assert_eq!(harness.state().asks, [Ask::WatchOpen("d0".into())]);
    let mut harness = console(scene(), View::Welcome, Theme::Dark, SIZE);
    click(&mut harness, "Not now");
    assert!(!says(&harness, "its console is gone"));
    click(&mut harness, "ABORT");
    assert!(aborted(&harness));
}

#[test]
fn a_guardrail_in_the_way_is_overridden_with_a_reason_and_a_second_person_approves() {
    let mut harness = console(fixture::guarded(), View::Live, Theme::Dark, SIZE);
    click(&mut harness, "Override peak");
    assert!(harness.state().asks.is_empty(), "without a reason");
    type_into(
        &mut harness,
        "Reason to go on without \"peak\"",
        "nobody shops today",
    );
    click(&mut harness, "Override peak");
    type_into(&mut harness, "Approved by a second person", "Grace");
    click(&mut harness, "Approve");
    let wanted = [
        Ask::Override {
            rule: firedrill_plan::Rule::Peak,
            reason: "nobody shops today".into(),
        },
        Ask::Approve { by: "Grace".into() },
    ];
    assert_eq!(harness.state().asks, wanted);
}

#[test]
fn an_emergency_action_is_sent_by_hand() {
    let mut scene = fixture::scene(Moment::Inject);
    let drill = Arc::make_mut(scene.drill.as_mut().unwrap());
    drill.safety.actions = vec![firedrill_scene::ActionRow {
        index: 0,
        what: "POST http://127.0.0.1:8080/admin/scale".into(),
        when: "after a breach".into(),
        sent: Vec::new(),
        failed: false,
    }];
    let mut harness = console(scene, View::Live, Theme::Dark, SIZE);
    click(&mut harness, "Send action 1");
    assert_eq!(harness.state().asks, [Ask::RunAction(0)]);
}
