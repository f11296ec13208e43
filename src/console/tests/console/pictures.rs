//! Pictures of every view in its states. `UPDATE_SNAPSHOTS=true` rewrites them; look at each.

use crate::{fixture, fixture::Moment, kit};
use egui_kittest::{Harness, SnapshotOptions, SnapshotResults, kittest::Queryable as _};
use firedrill_console::{Scene, Theme, View};

pub const LARGE: [f32; 2] = [1600.0, 1000.0];
pub const SMALL: [f32; 2] = [1100.0, 700.0];

pub fn shoot(
    results: &mut SnapshotResults,
    name: &str,
    scene: Scene,
    view: View,
    theme: Theme,
    size: [f32; 2],
) {
    let mut harness = kit::console(scene, view, theme, size);
    keep(results, &mut harness, name);
}

pub fn keep(results: &mut SnapshotResults, harness: &mut Harness<'_, kit::State>, name: &str) {
    let options = SnapshotOptions::new().output_path("tests/snapshots");
    results.add(harness.try_snapshot_options(name, &options));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        let squeezed = squeeze(
            &std::path::Path::new("tests/snapshots")
                .join(name)
                .with_extension("png"),
        );
        assert!(squeezed.is_ok(), "{name}: {squeezed:?}");
    }
}

/// Writes a picture anew, as small as a PNG without loss gets: they live in the repository.
fn squeeze(path: &std::path::Path) -> image::ImageResult<()> {
    use image::codecs::png::{CompressionType, FilterType, PngEncoder};
    let picture = image::open(path)?.to_rgb8();
    let mut smallest: Option<Vec<u8>> = None;
    for filter in [
        FilterType::NoFilter,
        FilterType::Sub,
        FilterType::Up,
        FilterType::Adaptive,
    ] {
        let mut bytes = Vec::new();
        picture.write_with_encoder(PngEncoder::new_with_quality(
            &mut bytes,
            CompressionType::Best,
            filter,
        ))?;
        if smallest.as_ref().is_none_or(|best| bytes.len() < best.len()) {
            smallest = Some(bytes);
        }
    }
    Ok(std::fs::write(path, smallest.unwrap_or_default())?)
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
fn levers() {
    let mut results = SnapshotResults::new();
    let r = &mut results;
    let mut turned = fixture::scene(Moment::Inject);
    turned.drill = Some(std::sync::Arc::new(fixture::turned()));
    let mut harness = kit::console(turned, View::Live, Theme::Dark, LARGE);
    crate::levers::lever(&harness).focus();
    for _ in 0..5 {
        harness.key_press(egui::Key::ArrowRight);
        harness.run();
    }
    keep(r, &mut harness, "live_lever");
    shoot(
        r,
        "live_held",
        fixture::held_scene(firedrill_drill::HoldStage::Held),
        View::Live,
        Theme::Dark,
        LARGE,
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
    shoot(
        r,
        "open_drill_small",
        fixture::left_open(),
        View::Welcome,
        Theme::Dark,
        SMALL,
    );
    shoot(
        r,
        "arming_guarded_light_small",
        fixture::guarded(),
        View::Live,
        Theme::Light,
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
    shoot(
        r,
        "fleet_light_small",
        fleet.clone(),
        View::Fleet,
        Theme::Light,
        SMALL,
    );
    for (name, theme, size) in [
        ("fleet_add", Theme::Dark, LARGE),
        ("fleet_add_light_small", Theme::Light, SMALL),
    ] {
        let mut harness = kit::console(fleet.clone(), View::Fleet, theme, size);
        kit::click(&mut harness, "Add agent");
        let line = fixture::join().to_string();
        kit::fill(
            &mut harness,
            egui::accesskit::Role::PasswordInput,
            "Join string",
            &line,
        );
        keep(r, &mut harness, name);
    }
    shoot(
        r,
        "design",
        fixture::scene(Moment::Over),
        View::Design,
        Theme::Dark,
        LARGE,
    );
    let mut wrong = fixture::scene(Moment::Over);
    let text = fixture::PLAN
        .replace("\"100ms\"", "\"900ms\"")
        .replace("system = \"orders\"", "sytem = \"orders\"");
    wrong.plan = Some(fixture::plan(&text));
    shoot(
        r,
        "design_mistakes_light_small",
        wrong,
        View::Design,
        Theme::Light,
        SMALL,
    );
}

#[test]
fn parts_of_design() {
    let mut results = SnapshotResults::new();
    for (name, part) in [
        ("design_indicators_small", "Indicators"),
        ("design_plan_small", "Plan"),
    ] {
        let mut harness = kit::console(fixture::scene(Moment::Over), View::Design, Theme::Dark, SMALL);
        harness
            .get_by_role_and_label(egui::accesskit::Role::Button, part)
            .click();
        harness.run();
        harness.remove_cursor();
        harness.run();
        keep(&mut results, &mut harness, name);
    }
}

#[test]
fn many_and_the_tour() {
    let mut results = SnapshotResults::new();
    let r = &mut results;
    shoot(
        r,
        "live_many_small",
        fixture::many(64),
        View::Live,
        Theme::Dark,
        SMALL,
    );
    shoot(
        r,
        "live_tour_small",
        fixture::tour(),
        View::Live,
        Theme::Dark,
        SMALL,
    );
}

#[test]
fn palette() {
    let mut results = SnapshotResults::new();
    let mut harness = kit::console(fixture::scene(Moment::Inject), View::Live, Theme::Dark, SMALL);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::K);
    harness.run();
    // A blinking cursor is not for pictures.
    harness
        .ctx
        .global_style_mut(|style| style.visuals.text_cursor.blink = false);
    harness.run();
    keep(&mut results, &mut harness, "palette_small");
}

#[test]
fn help_and_gallery() {
    let mut results = SnapshotResults::new();
    for (name, theme, size) in [
        ("help", Theme::Dark, LARGE),
        ("help_light_small", Theme::Light, SMALL),
    ] {
        let mut harness = kit::console(fixture::scene(Moment::Inject), View::Live, theme, size);
        harness.key_press(egui::Key::Questionmark);
        harness.run();
        keep(&mut results, &mut harness, name);
    }
    for (name, theme) in [("gallery", Theme::Dark), ("gallery_light", Theme::Light)] {
        let scene = fixture::scene(Moment::Over);
        shoot(&mut results, name, scene, View::Gallery, theme, LARGE);
    }
}
