//! Design: what is checked while one writes, and an indicator's lines over its past.

use std::sync::Arc;

use egui::{Key, accesskit::Role};
use egui_kittest::{
    SnapshotResults,
    kittest::{NodeT as _, Queryable as _},
};
use firedrill_console::{Ask, Scene, Theme, View};
use firedrill_plan::parse;
use firedrill_scene::{PastScene, Remembered};

use crate::{
    fixture,
    fixture::Moment,
    kit::{SIZE, click, console, says},
    pictures::{LARGE, keep},
};

fn written(plan: &str) -> Scene {
    let mut scene = fixture::scene(Moment::Over);
    scene.plan = Some(fixture::plan(plan));
    scene.fleet = fixture::fleet(true);
    scene
}

#[test]
fn guardrails_pass_and_refuse_as_one_writes() {
    let rails =
        "[guardrails]\nforbid = [\"http.*\"]\napproval = true\nmax_duration = \"45s\"\n\n[[experiment]]";
    let plan = fixture::PLAN.replacen("[[experiment]]", rails, 1);
    let mut harness = console(written(&plan), View::Design, Theme::Dark, SIZE);
    assert!(says(&harness, "targets passes"));
    assert!(says(&harness, "forbid refuses"));
    assert!(says(&harness, "to pass: take that step out"));
    assert!(says(&harness, "duration refuses"));
    assert!(
        says(&harness, "approval is asked later"),
        "no second person is asked while one writes"
    );
    click(&mut harness, "all");
    assert!(says(&harness, "targets refuses"), "two agents are hit now");
}

#[test]
fn each_host_says_whether_it_could_be_hit() {
    let harness = console(written(fixture::PLAN), View::Design, Theme::Dark, SIZE);
    assert!(says(&harness, "1 of payments-1, payments-2, by lot at the start"));
    assert!(says(&harness, "payments-1: latched: nothing starts there"));
    let other = fixture::PLAN.replace("127.0.0.1:7431", "127.0.0.1:7999");
    let harness = console(written(&other), View::Design, Theme::Dark, SIZE);
    assert!(
        says(&harness, "not asked: save the plan first"),
        "another address is another agent"
    );
}

fn prometheus() -> String {
    fixture::PLAN.replace(
        "scrape = [\"http://127.0.0.1:8080/metrics\"]",
        "prometheus = \"http://127.0.0.1:9090\"",
    )
}

fn remembered() -> Scene {
    let text = prometheus();
    let plan = parse(&text).unwrap_or_else(|found| panic!("{found:#?}"));
    let hour = (0..240_i64).map(|at| (at * 15_000, 0.98 + f64::from((at * at % 41) as u8) * 0.0005));
    let mut scene = written(&text);
    scene.pasts = Arc::new(vec![PastScene {
        of: Remembered {
            metrics: plan.metrics.clone(),
            sli: plan.slis[0].clone(),
        },
        said: Some(Ok(Arc::new(hour.collect()))),
    }]);
    scene
}

#[test]
fn a_prometheus_is_asked_for_the_last_hour_and_what_has_none_says_so() {
    let mut harness = console(written(&prometheus()), View::Design, Theme::Dark, SIZE);
    click(&mut harness, "Indicators");
    let asked = harness
        .state()
        .asks
        .iter()
        .filter(|ask| matches!(ask, Ask::Past(_)));
    assert!(asked.count() >= 1);
    let mut scene = written(fixture::PLAN);
    scene.drill = None;
    let mut harness = console(scene, View::Design, Theme::Dark, SIZE);
    click(&mut harness, "Indicators");
    assert!(says(
        &harness,
        "this source has no past, and no drill has sampled it yet"
    ));
    assert!(harness.state().asks.is_empty());
}

#[test]
fn a_line_is_moved_by_the_keyboard_and_by_dragging() {
    let mut harness = console(remembered(), View::Design, Theme::Dark, SIZE);
    click(&mut harness, "Indicators");
    assert!(says(&harness, "its last hour, 240 values of the source"));
    let stop = |harness: &egui_kittest::Harness<'_, crate::kit::State>| {
        let plan = parse(harness.state().console.text()).unwrap();
        let firedrill_plan::Stop::Outside { range, .. } = plan.slis[0].stop else {
            panic!("no line")
        };
        range.min.unwrap()
    };
    let line = |harness: &egui_kittest::Harness<'_, crate::kit::State>| {
        let all = harness.query_all_by_role(Role::Slider);
        let line = all.into_iter().find(|it| {
            it.accesskit_node()
                .label()
                .is_some_and(|it| it.starts_with("stop ≥"))
        });
        line.map(|it| it.rect()).unwrap()
    };
    let rect = line(&harness);
    assert_eq!(stop(&harness), 0.90);
    harness.drag_at(rect.center());
    harness.run();
    harness.hover_at(rect.center() - egui::vec2(0.0, 30.0));
    harness.run();
    harness.drop_at(rect.center() - egui::vec2(0.0, 30.0));
    harness.run();
    let dragged = stop(&harness);
    assert!(dragged > 0.90 && dragged < 0.97, "{dragged}");
    let rect = line(&harness);
    harness.drag_at(rect.center());
    harness.drop_at(rect.center());
    harness.run();
    harness.key_press(Key::ArrowDown);
    harness.run();
    assert!(stop(&harness) < dragged, "{} after {dragged}", stop(&harness));
    assert!(
        harness.state().console.text().contains("# never two at once"),
        "comments stay"
    );
}

#[test]
fn pictures() {
    let mut results = SnapshotResults::new();
    let mut harness = console(remembered(), View::Design, Theme::Dark, LARGE);
    click(&mut harness, "Indicators");
    keep(&mut results, &mut harness, "design_last_hour");
}
