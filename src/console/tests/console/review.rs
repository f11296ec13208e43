//! Review: a drill replayed in the Live view, two drills side by side, the game day's report, the export.

use egui::{Key, Modifiers, Vec2, accesskit::Role};
use egui_kittest::{
    Harness, SnapshotResults,
    kittest::{NodeT as _, Queryable as _},
};
use firedrill_console::{Ask, Theme, View};
use firedrill_scene::{Bookmark, GameDayAsk, ReplayAsk, ReplaySpeed, ReplayStage};

use crate::{
    fixture,
    fixture::Moment,
    kit::{SIZE, State, click, console, says},
    pictures::{LARGE, SMALL, keep},
};

const S: u64 = 1_000_000;

fn replay() -> Harness<'static, State> {
    console(fixture::replay(), View::Review, Theme::Dark, SIZE)
}

fn asked(harness: &mut Harness<'_, State>) -> Vec<ReplayAsk> {
    let asks = std::mem::take(&mut harness.state_mut().asks);
    let replays = asks.into_iter().map(|ask| match ask {
        Ask::Replay(ask) => ask,
        other => panic!("a replay asked for {other:?}"),
    });
    replays.collect()
}

fn press(harness: &mut Harness<'_, State>, key: Key) -> Vec<ReplayAsk> {
    harness.key_press(key);
    harness.run();
    asked(harness)
}

#[test]
fn a_replay_is_opened_for_the_drill_that_is_shown_and_closed_again() {
    let mut harness = console(fixture::two_reviews(), View::Review, Theme::Dark, SIZE);
    click(&mut harness, "Replay");
    assert_eq!(asked(&mut harness), [ReplayAsk::Open("d2".into())]);
    let mut harness = replay();
    click(&mut harness, "Verdict");
    assert_eq!(asked(&mut harness), [ReplayAsk::Close]);
}

#[test]
fn it_says_that_it_is_a_replay_and_of_when() {
    let harness = replay();
    assert!(says(&harness, "REPLAY") && says(&harness, "14:02:54"));
    // The sentence of then, and in the header the one of now.
    assert!(says(&harness, "then: 1 fault of ours on payments-1"));
    assert!(says(&harness, "nothing of ours on, proved"));
}

#[test]
fn keys_play_and_step_from_event_to_event() {
    let mut harness = replay();
    assert_eq!(press(&mut harness, Key::Space), [ReplayAsk::Play(true)]);
    assert_eq!(
        press(&mut harness, Key::ArrowRight),
        [ReplayAsk::Seek(114_100_000)]
    );
    assert_eq!(press(&mut harness, Key::ArrowLeft), [ReplayAsk::Seek(113 * S)]);
    // People's bookmarks are events too.
    let mut early = fixture::replay();
    fixture::replay_at(&mut early, fixture::scene(Moment::Inject), 104 * S);
    harness.state_mut().scene = early;
    harness.run();
    assert_eq!(press(&mut harness, Key::ArrowRight), [ReplayAsk::Seek(105 * S)]);
}

#[test]
fn keys_do_nothing_where_nothing_is_replayed() {
    let mut harness = console(fixture::two_reviews(), View::Review, Theme::Dark, SIZE);
    for key in [Key::Space, Key::ArrowLeft, Key::ArrowRight, Key::B] {
        assert!(press(&mut harness, key).is_empty());
    }
}

#[test]
fn speeds_are_chosen_and_marks_are_gone_to() {
    let mut harness = replay();
    click(&mut harness, "Speed 30×");
    assert_eq!(asked(&mut harness), [ReplayAsk::Speed(ReplaySpeed::Thirty)]);
    harness.get_by_label_contains("first out").click();
    harness.run();
    assert_eq!(asked(&mut harness), [ReplayAsk::Seek(101 * S)]);
    harness.get_by_label_contains("the queue begins to grow").click();
    harness.run();
    assert_eq!(asked(&mut harness), [ReplayAsk::Seek(105 * S)]);
}

#[test]
fn a_bookmark_has_words_and_belongs_to_the_moment_of_the_press() {
    let mut harness = replay();
    assert!(press(&mut harness, Key::B).is_empty());
    let mut later = fixture::replay();
    fixture::replay_at(&mut later, fixture::scene(Moment::Inject), 116 * S);
    harness.state_mut().scene = later;
    harness
        .get_by_role_and_label(Role::TextInput, "Words of the bookmark")
        .type_text("here b it breaks");
    harness.run();
    assert_eq!(
        press(&mut harness, Key::Enter),
        [ReplayAsk::Mark(Bookmark {
            at_us: 114 * S,
            words: "here b it breaks".into()
        })]
    );
    assert!(harness.query_by_label("Words of the bookmark").is_none());
    // Escape keeps nothing.
    press(&mut harness, Key::B);
    assert!(press(&mut harness, Key::Escape).is_empty());
    assert!(harness.query_by_label("Words of the bookmark").is_none());
}

#[test]
fn a_bookmark_is_removed_where_it_stands() {
    let mut harness = replay();
    assert!(!says(&harness, "Remove this bookmark"));
    let mut there = fixture::replay();
    fixture::replay_at(&mut there, fixture::scene(Moment::Inject), 105 * S);
    harness.state_mut().scene = there;
    harness.run();
    click(&mut harness, "Remove this bookmark");
    assert_eq!(asked(&mut harness), [ReplayAsk::Unmark(105 * S)]);
}

#[test]
fn the_scrubber_is_dragged_and_has_keys_of_its_own() {
    let mut harness = replay();
    let rail = harness
        .get_by_role_and_label(Role::Slider, "Moment of the replay")
        .rect();
    harness.drag_at(rail.center());
    harness.run();
    harness.hover_at(rail.right_center() + Vec2::new(40.0, 0.0));
    harness.run();
    harness.drop_at(rail.right_center() + Vec2::new(40.0, 0.0));
    harness.run();
    let asks = asked(&mut harness);
    let middle = |ask: &ReplayAsk| matches!(ask, ReplayAsk::Seek(us) if us.abs_diff(63 * S) < S);
    assert!(asks.first().is_some_and(middle), "{asks:?}");
    assert_eq!(asks.last(), Some(&ReplayAsk::Seek(126 * S)), "{asks:?}");
    harness
        .get_by_role_and_label(Role::Slider, "Moment of the replay")
        .focus();
    harness.run();
    harness.run();
    assert_eq!(press(&mut harness, Key::ArrowLeft), [ReplayAsk::Seek(113 * S)]);
    assert_eq!(press(&mut harness, Key::Space), [ReplayAsk::Play(true)]);
}

/// Every control of the Live view that could change a drill is out of order or not there; ABORT is as ever.
#[test]
fn nothing_of_the_past_can_be_asked_for_and_abort_is_real() {
    let mut harness = replay();
    let lever = harness.get_by_role_and_label(Role::Slider, "Strength of http.latency on payments-1");
    assert!(lever.accesskit_node().is_disabled());
    assert!(harness.query_by_label("Note").is_none());
    let mut held = fixture::replay();
    fixture::replay_at(
        &mut held,
        fixture::held_scene(firedrill_drill::HoldStage::Held),
        112 * S,
    );
    harness.state_mut().scene = held;
    harness.run();
    assert!(harness.query_by_role_and_label(Role::Button, "Resume").is_none());
    // Whatever else can be pressed asks for nothing but replays.
    let mut over = fixture::replay();
    fixture::replay_at(&mut over, fixture::scene(Moment::Over), 126 * S);
    harness.state_mut().scene = over;
    harness.run();
    assert!(harness.query_by_label("Open the review").is_none());
    harness.key_press(Key::N);
    harness.run();
    assert!(asked(&mut harness).is_empty());
    assert_eq!(harness.state().console.view(), View::Review);
    harness.key_press_modifiers(
        Modifiers {
            shift: true,
            ..Modifiers::COMMAND
        },
        Key::X,
    );
    harness.run();
    assert_eq!(harness.state().aborts, 1);
}

#[test]
fn the_plots_of_a_replay_zoom_by_keys() {
    // High enough for the timeline to say it.
    let mut harness = console(fixture::replay(), View::Review, Theme::Dark, [1_600.0, 1_300.0]);
    assert!(says(&harness, "following"));
    harness.key_press_modifiers(Modifiers::ALT, Key::ArrowLeft);
    harness.run();
    assert!(says(&harness, "standing still"));
}

#[test]
fn another_drill_is_put_beside_the_one_that_is_shown() {
    let mut scene = fixture::two_reviews();
    let mut third = firedrill_scene::Review::clone(&scene.reviews[1]);
    third.drill = "d0".into();
    third.scene = std::sync::Arc::new(firedrill_scene::DrillScene {
        origin_wall_ms: fixture::ORIGIN_MS - 3_600_000,
        ..firedrill_scene::DrillScene::clone(&third.scene)
    });
    let all = std::sync::Arc::make_mut(&mut scene.reviews);
    all.push(std::sync::Arc::new(third));
    let mut harness = console(scene, View::Review, Theme::Dark, SIZE);
    click(&mut harness, "Compare");
    assert!(says(&harness, "first: 14:01:00  Payment is slow · broken"));
    assert!(says(&harness, "the drill, verdict: first broken, second held"));
    assert!(says(
        &harness,
        "the drill, bad samples: first 2, second 0 \u{2212} 2"
    ));
    assert!(says(
        &harness,
        "P95 latency, during, median: first 370 ms, second 231 ms \u{2212} 139 ms"
    ));
    click(&mut harness, "Compare with 13:01:00  Payment is slow · broken");
    assert!(says(&harness, "first: 13:01:00  Payment is slow · broken"));
    assert!(says(&harness, "second: 14:21:00  Payment is slow · held"));
    let plots = ["Order success", "P95 latency", "Queue depth"];
    for name in plots {
        assert!(says(&harness, &format!("Plot of {name} in both drills")));
    }
}

#[test]
fn the_export_is_of_what_is_shown() {
    let mut scene = fixture::two_reviews();
    scene.gameday = fixture::game_day(fixture::Hour::After).gameday;
    let mut harness = console(scene, View::Review, Theme::Dark, SIZE);
    click(&mut harness, "Export …");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::E);
    harness.run();
    click(&mut harness, "Game day");
    assert!(says(&harness, "Who took part"));
    click(&mut harness, "Export …");
    assert_eq!(
        harness.state().asks,
        [
            Ask::ExportReport("d2".into()),
            Ask::ExportReport("d2".into()),
            Ask::GameDay(GameDayAsk::Report)
        ]
    );
}

#[test]
fn pictures() {
    let mut results = SnapshotResults::new();
    let r = &mut results;
    for (name, size) in [("review_replay", LARGE), ("review_replay_small", SMALL)] {
        keep(
            r,
            &mut console(fixture::replay(), View::Review, Theme::Dark, size),
            name,
        );
    }
    let failed = ReplayStage::Failed(
        "/journals/d1.jsonl: the journal does not begin with how the drill was made; it is not a drill's journal"
            .into(),
    );
    let failed = fixture::replay_stage(failed);
    keep(
        r,
        &mut console(failed, View::Review, Theme::Dark, SMALL),
        "review_replay_failed_small",
    );
    for (name, size) in [("review_compare", LARGE), ("review_compare_small", SMALL)] {
        let mut harness = console(fixture::two_reviews(), View::Review, Theme::Dark, size);
        click(&mut harness, "Compare");
        harness.remove_cursor();
        harness.run();
        keep(r, &mut harness, name);
    }
    let mut day = fixture::two_reviews();
    day.gameday = fixture::game_day(fixture::Hour::After).gameday;
    let mut harness = console(day, View::Review, Theme::Dark, LARGE);
    click(&mut harness, "Game day");
    harness.remove_cursor();
    harness.run();
    keep(r, &mut harness, "review_game_day");
}
