//! The confirmed start: what is hit, for how long, what was checked, what stops it by itself.

use egui::{ScrollArea, Ui};
use firedrill_scene::{ArmingScene, Ask, Scene};

use super::{live::check_row, safety::Safety};
use crate::{
    commands::Command,
    cx::Cx,
    messages::Say,
    shell::{Places, dialog},
    theme::space,
    widgets,
};

/// Whether it is asked for now.
pub fn wanted(scene: &Scene) -> bool {
    arming(scene).is_some()
}

fn arming(scene: &Scene) -> Option<&ArmingScene> {
    scene.drill.as_ref().and_then(|drill| drill.arming.as_ref())
}

/// Draws it, if it is asked for.
pub fn ui(ui: &mut Ui, places: &Places, cx: &mut Cx<'_>, typed: &mut Safety) {
    let Some(drill) = cx.scene.drill.clone() else {
        return;
    };
    let Some(arming) = &drill.arming else { return };
    let mut asks = Vec::new();
    let (answer, escape) = dialog(ui, places, cx.say.arming_name(), 880.0, |ui| {
        contents(ui, arming, |ui| asks = typed.ui(ui, &drill.safety))
    });
    for ask in asks {
        cx.ask(ask);
    }
    let keys = Command::Arm.info().keys;
    let keys = keys.is_some_and(|keys| ui.input_mut(|input| input.consume_shortcut(&keys))) && arming.ready;
    match answer {
        Some(true) => cx.ask(Ask::Arm),
        None if keys => cx.ask(Ask::Arm),
        Some(false) => cx.ask(Ask::Back),
        None if escape => cx.ask(Ask::Back),
        None => {}
    }
}

fn contents(ui: &mut Ui, arming: &ArmingScene, guardrails: impl FnOnce(&mut Ui)) -> Option<bool> {
    widgets::headline(ui, &arming.title);
    ui.add_space(space::S);
    let room = (ui.available_height() - 150.0).max(80.0);
    ScrollArea::vertical()
        .id_salt("arming")
        .max_height(room)
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for what in &arming.what {
                widgets::text(ui, what);
            }
            ui.add_space(space::S);
            for row in &arming.rows {
                check_row(ui, row, 0.27);
            }
            guardrails(ui);
        });
    ui.add_space(space::S);
    widgets::text(ui, &arming.stops_itself);
    ui.add_space(space::M);
    let (mut back, mut start) = (false, false);
    widgets::ends(
        ui,
        48.0,
        |ui| {
            back = widgets::button(ui, Say::of(ui).arming_back()).clicked();
            if !arming.ready {
                ui.add_space(space::S);
                widgets::dim(ui, Say::of(ui).arming_not_ready());
            }
        },
        |ui| {
            start = widgets::danger(ui, arming.ready, Command::Arm.label(Say::of(ui))).clicked();
            widgets::dim(ui, Command::Arm.keys(ui).unwrap_or_default());
        },
    );
    (back || start).then_some(start)
}
