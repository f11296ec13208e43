//! The Stage: what it says, how large, what it keeps to itself when sealed, and that ABORT works in it; the small
//! ABORT window; both as windows of their own.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use egui::{Event, Key, Modifiers, RawInput, Rect, Shape, ViewportId, ViewportIdMap, accesskit::Role, vec2};
use egui_kittest::{Harness, SnapshotResults, kittest::Queryable as _};
use firedrill_console::{Ask, Console, Feed, Frame, Prefs, Scene, Theme, TimeZone, View, install};
use firedrill_plan::Say;
use firedrill_scene::{AbortScene, Ours};

use crate::{
    fixture,
    fixture::Moment,
    kit::{State, click, console, says},
    pictures::keep,
};

const PROJECTOR: [f32; 2] = [1920.0, 1080.0];

/// With what the plan says to the room.
fn told(mut scene: Scene) -> Scene {
    if let Some(drill) = &mut scene.drill {
        let drill = Arc::make_mut(drill);
        drill.say = Some("Payment is slow on 1 of 3 hosts.".into());
        let say = |ok: &str, out: &str| Say {
            ok: Some(ok.into()),
            out: Some(out.into()),
        };
        drill.slis[0].say = say("Orders get through", "Orders fail");
        drill.slis[1].say = say("Checkout is quick", "Checkout is slow");
    }
    scene
}

fn steady_fault() -> Scene {
    let mut scene = told(fixture::scene(Moment::Inject));
    if let Some(drill) = &mut scene.drill {
        let latency = &mut Arc::make_mut(drill).slis[1];
        latency.state = firedrill_drill::SliState::Tolerated;
        latency.bad_in_row = 0;
        latency.bad = Arc::default();
        latency.value = Some(0.352);
    }
    scene
}

fn stage(scene: Scene, theme: Theme, size: [f32; 2]) -> Harness<'static, State> {
    let mut harness = console(scene, View::Live, theme, size);
    harness.key_press(Key::F11);
    harness.run();
    harness
}

fn seal(harness: &mut Harness<'_, State>) {
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::E);
    harness.run();
}

fn nothing() -> Scene {
    Scene {
        wall_ms: fixture::ORIGIN_MS,
        ours: Ours::Nothing { proved_ms: None },
        ..Scene::default()
    }
}

#[test]
fn pictures() {
    let mut results = SnapshotResults::new();
    let both = [(Theme::Dark, ""), (Theme::Light, "_light")];
    let shots: [(&str, Scene); 7] = [
        ("stage_nothing", nothing()),
        ("stage_ready", told(fixture::scene(Moment::Arming))),
        ("stage_steady", told(fixture::scene(Moment::Baseline))),
        ("stage_fault", steady_fault()),
        ("stage_out", told(fixture::scene(Moment::Inject))),
        ("stage_aborting", told(fixture::aborting(false))),
        ("stage_verdict", told(fixture::scene(Moment::Over))),
    ];
    for (name, scene) in shots {
        let themes = if matches!(name, "stage_out" | "stage_verdict" | "stage_nothing") {
            &both[..]
        } else {
            &both[..1]
        };
        for (theme, suffix) in themes {
            let mut harness = stage(scene.clone(), *theme, PROJECTOR);
            keep(&mut results, &mut harness, &format!("{name}{suffix}"));
        }
    }
    for (theme, suffix) in both {
        let mut harness = stage(told(fixture::scene(Moment::Inject)), theme, PROJECTOR);
        seal(&mut harness);
        keep(&mut results, &mut harness, &format!("stage_sealed{suffix}"));
    }
    let mut harness = stage(told(fixture::scene(Moment::Inject)), Theme::Dark, [1024.0, 640.0]);
    keep(&mut results, &mut harness, "stage_small");
}

/// Every text of the frame that was drawn last: words, size in points, place.
fn texts(shapes: &[egui::epaint::ClippedShape]) -> Vec<(String, f32, Rect)> {
    fn walk(shape: &Shape, found: &mut Vec<(String, f32, Rect)>) {
        match shape {
            Shape::Vec(shapes) => shapes.iter().for_each(|shape| walk(shape, found)),
            Shape::Text(text) => {
                let words = text.galley.text().to_owned();
                let sizes = text.galley.job.sections.iter().map(|it| it.format.font_id.size);
                let smallest = sizes.fold(f32::INFINITY, f32::min);
                found.push((words, smallest, text.visual_bounding_rect()));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    for shape in shapes {
        walk(&shape.shape, &mut found);
    }
    found
}

/// Clock, ABORT's letters and the names of lines may be smaller.
fn may_be_small(words: &str, place: Rect, abort: Rect) -> bool {
    let clock = words.len() == 8 && words.chars().all(|c| c.is_ascii_digit() || c == ':');
    clock || abort.expand(1.0).contains_rect(place) || matches!(words, "steady" | "tolerated" | "stop")
}

#[test]
fn nothing_is_too_small_to_read_at_ten_metres() {
    let scenes = [
        nothing(),
        told(fixture::scene(Moment::Baseline)),
        told(fixture::scene(Moment::Arming)),
        told(fixture::scene(Moment::Inject)),
        fixture::scene(Moment::NoData),
        told(fixture::aborting(false)),
        told(fixture::scene(Moment::Over)),
        fixture::many(64),
    ];
    for scene in scenes {
        for size in [PROJECTOR, [1024.0, 768.0], [3840.0, 2160.0], [1280.0, 720.0]] {
            for sealed in [false, true] {
                let mut harness = stage(scene.clone(), Theme::Dark, size);
                if sealed {
                    seal(&mut harness);
                }
                let scale = (size[0] / PROJECTOR[0]).min(size[1] / PROJECTOR[1]);
                let abort = harness.get_by_role_and_label(Role::Button, "ABORT").rect();
                let texts = texts(&harness.output().shapes);
                assert!(texts.len() > 3, "{texts:?}");
                for (words, points, place) in texts {
                    let large = points >= 46.0 * scale - 0.01;
                    assert!(
                        large || may_be_small(&words, place, abort),
                        "{words:?} has {points} points in a window of {size:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn it_says_what_is_done_what_is_felt_and_what_comes_next() {
    let harness = stage(told(fixture::scene(Moment::Inject)), Theme::Dark, PROJECTOR);
    for words in [
        "Payment is slow on 1 of 3 hosts.",
        "Orders get through. Checkout is slow.",
        "1 fault ends in 16 s",
        "the next bad sample stops it",
        "OUT",
    ] {
        assert!(says(&harness, words), "{words}");
    }
    let harness = stage(nothing(), Theme::Dark, PROJECTOR);
    assert!(says(&harness, "No drill is running.") && says(&harness, "Nothing of ours on."));
}

#[test]
fn sealed_it_looks_the_same_whatever_happens() {
    let mut pictures = Vec::new();
    for scene in [
        nothing(),
        told(fixture::scene(Moment::Baseline)),
        told(fixture::scene(Moment::Inject)),
        fixture::scene(Moment::NoData),
        told(fixture::scene(Moment::Over)),
    ] {
        let scene = Scene {
            wall_ms: fixture::ORIGIN_MS,
            ..scene
        };
        let mut harness = stage(scene, Theme::Dark, [1280.0, 720.0]);
        seal(&mut harness);
        assert!(says(&harness, "This is an exercise."));
        pictures.push(harness.render().unwrap());
    }
    assert!(pictures.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn abort_in_it_is_one_click_in_the_same_place_also_when_sealed() {
    let plain = console(fixture::scene(Moment::Inject), View::Live, Theme::Dark, PROJECTOR);
    let place = plain.get_by_role_and_label(Role::Button, "ABORT").rect();
    for sealed in [false, true] {
        let mut harness = stage(fixture::scene(Moment::Inject), Theme::Dark, PROJECTOR);
        if sealed {
            seal(&mut harness);
        }
        assert_eq!(harness.get_by_role_and_label(Role::Button, "ABORT").rect(), place);
        click(&mut harness, "ABORT");
        assert_eq!(harness.state().aborts, 1);
        assert_eq!(harness.state().asks, [Ask::Abort]);
    }
}

#[test]
fn f11_and_escape_close_it_and_the_seal_stays() {
    for key in [Key::F11, Key::Escape] {
        let mut harness = stage(fixture::scene(Moment::Inject), Theme::Dark, PROJECTOR);
        seal(&mut harness);
        harness.key_press(key);
        harness.run();
        assert!(says(&harness, "P95 latency"), "the console is back");
        harness.key_press(Key::F11);
        harness.run();
        assert!(says(&harness, "This is an exercise."), "sealed as before");
    }
}

/// A context with windows of its own, and what was pressed in them.
struct Desk {
    context: egui::Context,
    console: Console,
    feed: Feed,
    scene: Arc<Scene>,
    aborts: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

impl Desk {
    fn new(scene: Scene) -> Self {
        let context = egui::Context::default();
        install(&context);
        context.set_embed_viewports(false);
        let scene = Arc::new(scene);
        let (aborts, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (newest, pressed, heard) = (Arc::clone(&scene), Arc::clone(&aborts), Arc::clone(&asked));
        let feed = Feed {
            scene: Arc::new(move || (Arc::clone(&newest), 0)),
            ask: Arc::new(move |ask| {
                assert_eq!(ask, Ask::Abort);
                heard.fetch_add(1, Ordering::Relaxed);
            }),
            abort: Arc::new(move || {
                pressed.fetch_add(1, Ordering::Relaxed);
            }),
            incident: Arc::new(|| panic!("nobody said so")),
        };
        Self {
            context,
            console: Console::new(Prefs::default(), TimeZone::UTC),
            feed,
            scene,
            aborts,
            asked,
        }
    }

    /// One frame of the console's window; gives the windows beside it.
    fn frame(&mut self, events: Vec<Event>) -> ViewportIdMap<Arc<egui::DeferredViewportUiCallback>> {
        let input = input(ViewportId::ROOT, events, PROJECTOR);
        let (console, scene, feed) = (&mut self.console, &self.scene, &self.feed);
        let mut output = self.context.run_ui(input, |ui| {
            let frame = Frame {
                scene,
                since_ms: 0,
                ask: &mut |_| {},
                abort: &mut || {},
            };
            console.ui(ui, frame);
            console.windows(ui.ctx(), feed);
        });
        output.textures_delta.clear();
        let windows = output.viewport_output.into_iter();
        windows
            .filter_map(|(id, it)| Some((id, it.viewport_ui_cb?)))
            .collect()
    }

    /// One frame of another window; gives its texts.
    fn window(
        &self,
        id: ViewportId,
        draw: &egui::DeferredViewportUiCallback,
        events: Vec<Event>,
    ) -> Vec<String> {
        let mut output = self
            .context
            .run_ui(input(id, events, [1280.0, 720.0]), |ui| draw(ui));
        output.textures_delta.clear();
        texts(&output.shapes)
            .into_iter()
            .map(|(words, ..)| words)
            .collect()
    }
}

fn input(id: ViewportId, events: Vec<Event>, size: [f32; 2]) -> RawInput {
    let mut input = RawInput {
        viewport_id: id,
        screen_rect: Some(Rect::from_min_size(egui::Pos2::ZERO, vec2(size[0], size[1]))),
        events,
        ..RawInput::default()
    };
    input.viewports.entry(id).or_default();
    input
}

fn key(key: Key, modifiers: Modifiers) -> Event {
    Event::Key {
        key,
        physical_key: None,
        pressed: true,
        repeat: false,
        modifiers,
    }
}

#[test]
fn as_a_window_of_its_own_it_aborts_without_the_console_and_closes_itself() {
    let mut desk = Desk::new(nothing());
    assert!(desk.frame(Vec::new()).is_empty());
    desk.frame(vec![key(Key::F11, Modifiers::NONE)]);
    let windows = desk.frame(Vec::new());
    assert_eq!(windows.len(), 1);
    let (id, draw) = windows.iter().next().unwrap();
    let said = desk.window(*id, &**draw, Vec::new());
    assert!(
        said.iter().any(|words| words == "No drill is running."),
        "{said:?}"
    );
    let hot = key(Key::X, Modifiers::COMMAND | Modifiers::SHIFT);
    desk.window(*id, &**draw, vec![hot]);
    assert_eq!(
        (
            desk.aborts.load(Ordering::Relaxed),
            desk.asked.load(Ordering::Relaxed)
        ),
        (1, 1),
        "no frame of the console was drawn since"
    );
    desk.window(*id, &**draw, vec![key(Key::Escape, Modifiers::NONE)]);
    assert!(desk.frame(Vec::new()).is_empty(), "it is closed");
}

#[test]
fn the_abort_window_comes_with_a_fault_and_while_sealed_it_tells_nothing() {
    let mut desk = Desk::new(fixture::scene(Moment::Inject));
    let windows = desk.frame(Vec::new());
    assert_eq!(windows.len(), 1);
    let (id, draw) = windows.iter().next().unwrap();
    let said = desk.window(*id, &**draw, Vec::new());
    assert!(
        said.iter()
            .any(|words| words.contains("1 fault of ours on payments-1")),
        "{said:?}"
    );
    desk.window(
        *id,
        &**draw,
        vec![key(Key::X, Modifiers::COMMAND | Modifiers::SHIFT)],
    );
    assert_eq!(desk.aborts.load(Ordering::Relaxed), 1);

    let mut quiet = Desk::new(Scene {
        abort: AbortScene::default(),
        ..nothing()
    });
    quiet.frame(vec![
        key(Key::F11, Modifiers::NONE),
        key(Key::E, Modifiers::COMMAND | Modifiers::SHIFT),
    ]);
    let windows = quiet.frame(Vec::new());
    assert_eq!(windows.len(), 2, "beside a sealed Stage it is there all the time");
    for (id, draw) in &windows {
        let said = quiet.window(*id, &**draw, Vec::new());
        assert!(
            said.iter().any(|words| words == "This is an exercise."),
            "{said:?}"
        );
        assert!(
            !said.iter().any(|words| words.contains("nothing to stop")),
            "{said:?}"
        );
    }
}
