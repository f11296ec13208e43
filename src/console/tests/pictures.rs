//! Pictures of every view in its states. `UPDATE_SNAPSHOTS=true` rewrites them; look at each.

mod fixture;
mod kit;

use egui_kittest::{SnapshotOptions, SnapshotResults};
use firedrill_console::{Scene, Theme, View};
use fixture::Moment;

const LARGE: [f32; 2] = [1600.0, 1000.0];
const SMALL: [f32; 2] = [1100.0, 700.0];

fn shoot(results: &mut SnapshotResults, name: &str, scene: Scene, view: View, theme: Theme, size: [f32; 2]) {
    let mut harness = kit::console(scene, view, theme, size);
    let options = SnapshotOptions::new().output_path("tests/snapshots");
    results.add(harness.try_snapshot_options(name, &options));
}

#[test]
fn live() {
    let mut results = SnapshotResults::new();
    let r = &mut results;
    shoot(
        r,
        "live_inject",
        fixture::scene(Moment::Inject),
        View::Live,
        Theme::Dark,
        LARGE,
    );
    shoot(
        r,
        "live_inject_light",
        fixture::scene(Moment::Inject),
        View::Live,
        Theme::Light,
        LARGE,
    );
    shoot(
        r,
        "live_inject_small",
        fixture::scene(Moment::Inject),
        View::Live,
        Theme::Dark,
        SMALL,
    );
    shoot(
        r,
        "live_preflight_small",
        fixture::scene(Moment::Preflight),
        View::Live,
        Theme::Dark,
        SMALL,
    );
    shoot(
        r,
        "live_baseline",
        fixture::scene(Moment::Baseline),
        View::Live,
        Theme::Dark,
        LARGE,
    );
    shoot(
        r,
        "live_no_data",
        fixture::scene(Moment::NoData),
        View::Live,
        Theme::Dark,
        LARGE,
    );
    shoot(
        r,
        "live_verdict",
        fixture::scene(Moment::Over),
        View::Live,
        Theme::Dark,
        LARGE,
    );
    shoot(
        r,
        "live_nothing_small",
        Scene {
            wall_ms: fixture::ORIGIN_MS,
            ..Scene::default()
        },
        View::Live,
        Theme::Dark,
        SMALL,
    );
}

#[test]
fn dialogs() {
    let mut results = SnapshotResults::new();
    let r = &mut results;
    shoot(
        r,
        "arming",
        fixture::scene(Moment::Arming),
        View::Live,
        Theme::Dark,
        LARGE,
    );
    shoot(
        r,
        "arming_light_small",
        fixture::scene(Moment::Arming),
        View::Live,
        Theme::Light,
        SMALL,
    );
    shoot(
        r,
        "aborting",
        fixture::aborting(false),
        View::Live,
        Theme::Dark,
        LARGE,
    );
    shoot(
        r,
        "aborted_small",
        fixture::aborting(true),
        View::Live,
        Theme::Dark,
        SMALL,
    );
}

#[test]
fn others() {
    let mut results = SnapshotResults::new();
    let r = &mut results;
    let welcome = Scene {
        wall_ms: fixture::ORIGIN_MS,
        recent: std::sync::Arc::new(vec![
            "/home/ada/plans/orders.toml".into(),
            "/home/ada/plans/search.toml".into(),
        ]),
        ..Scene::default()
    };
    shoot(r, "welcome", welcome.clone(), View::Welcome, Theme::Dark, LARGE);
    shoot(
        r,
        "welcome_light_small",
        welcome,
        View::Welcome,
        Theme::Light,
        SMALL,
    );
    let mut over = fixture::scene(Moment::Over);
    over.reviews = std::sync::Arc::new(vec![fixture::review()]);
    shoot(r, "review", over.clone(), View::Review, Theme::Dark, LARGE);
    shoot(r, "review_light_small", over, View::Review, Theme::Light, SMALL);
    let mut fleet = fixture::scene(Moment::Over);
    fleet.fleet = fixture::fleet(true);
    shoot(r, "fleet", fleet.clone(), View::Fleet, Theme::Dark, LARGE);
    shoot(r, "fleet_light_small", fleet, View::Fleet, Theme::Light, SMALL);
    shoot(
        r,
        "design_text",
        fixture::scene(Moment::Over),
        View::Design,
        Theme::Dark,
        LARGE,
    );
}
