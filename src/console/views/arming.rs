//! The confirmed start: what is hit, for how long, what was checked, what stops it by itself.

use egui::{ScrollArea, Ui, vec2};
use firedrill_catalogue::quantity;
use firedrill_drill::MAX_SURPRISE_MS;
use firedrill_scene::{ArmingScene, Ask, Scene};

use super::{live::check_row, safety::Safety};
use crate::{
    commands::Command,
    cx::Cx,
    messages::Say,
    shell::{Places, dialog},
    theme::{Tokens, regular, size, space},
    widgets,
};

/// Whether it is asked for now.
pub fn wanted(scene: &Scene) -> bool {
    arming(scene).is_some()
}

fn arming(scene: &Scene) -> Option<&ArmingScene> {
    scene.drill.as_ref().and_then(|drill| drill.arming.as_ref())
}

/// A range for a start by surprise, as it is typed.
#[derive(Default)]
pub struct Surprise {
    /// The drill that it was filled in for.
    drill: String,
    earliest: String,
    latest: String,
    blind: bool,
}

impl Surprise {
    /// From the game day's row, once for each drill.
    fn fill(&mut self, drill: &str, scene: &Scene) {
        if self.drill == drill {
            return;
        }
        let day = scene.gameday.as_ref();
        let row = day.and_then(|day| Some(&day.state.running()?.id).and_then(|id| day.day.as_ref()?.row(id)));
        let lot = row.and_then(|(_, row)| row.surprise);
        let typed = |ms: u64| {
            if ms.is_multiple_of(60_000) {
                format!("{}m", ms / 60_000)
            } else {
                format!("{}s", ms / 1_000)
            }
        };
        *self = Self {
            drill: drill.to_owned(),
            earliest: lot.map_or_else(String::new, |lot| typed(lot.earliest_ms)),
            latest: lot.map_or_else(String::new, |lot| typed(lot.latest_ms)),
            blind: lot.is_some_and(|lot| lot.blind),
        };
    }

    /// What was typed, or what is wrong with it; `None`: nothing was typed.
    fn ask(&self, say: Say) -> Option<Result<Ask, &'static str>> {
        if self.earliest.trim().is_empty() && self.latest.trim().is_empty() {
            return None;
        }
        let read = |text: &str| quantity::duration_ms(text.trim());
        let (Ok(earliest_ms), Ok(latest_ms)) = (read(&self.earliest), read(&self.latest)) else {
            return Some(Err(say.surprise_written()));
        };
        if earliest_ms > latest_ms || latest_ms > MAX_SURPRISE_MS {
            return Some(Err(say.surprise_order()));
        }
        Some(Ok(Ask::ArmBetween {
            earliest_ms,
            latest_ms,
            blind: self.blind,
        }))
    }

    /// One row: between, and, whether the moment is shown. Gives the wish.
    fn ui(&mut self, ui: &mut Ui, ready: bool) -> Option<Ask> {
        let say = Say::of(ui);
        let mut start = false;
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::S;
            ui.label(widgets::rich(
                say.surprise_title(),
                regular(size::BODY),
                Tokens::of(ui).text,
            ));
            for (name, value, hint) in [
                (say.surprise_earliest(), &mut self.earliest, "5m"),
                (say.surprise_latest(), &mut self.latest, "40m"),
            ] {
                ui.allocate_ui(vec2(76.0, 30.0), |ui| widgets::field(ui, name, value, hint));
            }
            if widgets::choice(ui, self.blind, say.surprise_blind()).clicked() {
                self.blind = !self.blind;
            }
            let enabled = match self.ask(say) {
                None => Err(say.surprise_written()),
                Some(Err(why)) => Err(why),
                Some(Ok(_)) if !ready => Err(say.arming_not_ready()),
                Some(Ok(_)) => Ok(()),
            };
            start = widgets::button_if(ui, enabled, say.surprise_start()).clicked();
        });
        if start { self.ask(say)?.ok() } else { None }
    }
}

/// Draws it, if it is asked for.
pub fn ui(ui: &mut Ui, places: &Places, cx: &mut Cx<'_>, typed: &mut Safety, surprise: &mut Surprise) {
    let Some(drill) = cx.scene.drill.clone() else {
        return;
    };
    let Some(arming) = &drill.arming else { return };
    let mut asks = Vec::new();
    surprise.fill(&drill.id, cx.scene);
    let (answer, escape) = dialog(ui, places, cx.say.arming_name(), 880.0, |ui| {
        contents(ui, arming, surprise, |ui| asks = typed.ui(ui, &drill.safety))
    });
    let (answer, by_surprise) = answer;
    asks.extend(by_surprise);
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

fn contents(
    ui: &mut Ui,
    arming: &ArmingScene,
    surprise: &mut Surprise,
    guardrails: impl FnOnce(&mut Ui),
) -> (Option<bool>, Option<Ask>) {
    widgets::headline(ui, &arming.title);
    ui.add_space(space::S);
    let room = (ui.available_height() - 200.0).max(80.0);
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
    ui.add_space(space::S);
    let by_surprise = surprise.ui(ui, arming.ready);
    ui.add_space(space::S);
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
    ((back || start).then_some(start), by_surprise)
}
