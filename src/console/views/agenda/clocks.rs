//! Human clocks: what people did, and when, on single keys while a drill runs.

use egui::Ui;
use firedrill_gameday::{Clock, Stamp, length};
use firedrill_scene::{Ask, GameDayAsk};

use super::{Page, before::heading, labelled};
use crate::{
    commands::Command,
    cx::Cx,
    messages::Say,
    theme::{medium, regular, size, space},
    widgets::{self, State, rich},
    words,
};

/// What is typed there.
#[derive(Default)]
pub struct Clocks {
    when: String,
    why: String,
}

impl Clocks {
    /// Draws them for a row; a press is in the name of `whose`.
    pub fn ui(&mut self, ui: &mut Ui, page: &Page<'_>, row: &str, whose: Option<&str>, cx: &mut Cx<'_>) {
        let t = cx.tokens;
        let Some(state) = page.scene.state.rows.iter().find(|it| it.id == row) else {
            return;
        };
        let run = state.runs.len().saturating_sub(1);
        let fault_ms = state
            .runs
            .last()
            .and_then(|it| it.found.as_ref())
            .and_then(|it| it.fault_ms);
        let fault_ms = fault_ms.or_else(|| fault_now(cx));
        let on = page.scene.state.running().is_some_and(|it| it.id == row);
        let say = cx.say;
        heading(ui, row, if on { say.clock_keys() } else { "" });
        let enabled = if state.runs.is_empty() {
            Err(say.not_begun())
        } else {
            Ok(())
        };
        for clock in Clock::ALL {
            let stamp = state.clock(run, clock);
            widgets::ends(
                ui,
                38.0,
                |ui| {
                    let shape = if stamp.is_some() {
                        State::Good
                    } else {
                        State::Waiting
                    };
                    let (rect, _) = ui.allocate_exact_size(egui::vec2(16.0, 16.0), egui::Sense::hover());
                    widgets::shape(ui.painter(), rect.center(), 5.0, shape, t);
                    ui.label(rich(word(clock, say), medium(size::BODY), t.strong));
                    if let Some(stamp) = stamp {
                        widgets::one_line(
                            ui,
                            rich(said(stamp, fault_ms, page, say), regular(size::NOTE), t.text),
                        );
                    }
                },
                |ui| {
                    let command = Command::Clock(clock);
                    let keys = command
                        .info()
                        .keys
                        .map_or_else(String::new, |keys| ui.ctx().format_shortcut(&keys));
                    let label = format!("{keys}  {}", command.label(cx.say));
                    if widgets::button_if(ui, enabled, &label)
                        .on_hover_text(command.tip(ui))
                        .clicked()
                    {
                        cx.ask(Ask::GameDay(GameDayAsk::Clock {
                            clock,
                            drill: Some(row.to_owned()),
                            when: std::mem::take(&mut self.when),
                            who: whose.map(str::to_owned),
                        }));
                    }
                },
            );
        }
        labelled(ui, say.clock_when(), &mut self.when, say.clock_when_hint());
        let all: Vec<&Stamp> = state.clocks.iter().filter(|it| it.run == run).collect();
        if all.is_empty() {
            return;
        }
        ui.add_space(space::S);
        heading(ui, say.clock_written(), say.clock_written_hint());
        labelled(ui, say.clock_why(), &mut self.why, say.optional());
        for stamp in all {
            self.stamp(ui, stamp, page, cx);
        }
    }

    fn stamp(&mut self, ui: &mut Ui, stamp: &Stamp, page: &Page<'_>, cx: &mut Cx<'_>) {
        let (t, say) = (cx.tokens, cx.say);
        let at = words::clock(stamp.when_ms, &page.zone);
        let word = word(stamp.clock, say);
        let by = match &stamp.who {
            Some(who) => say.clock_for(who, &stamp.by),
            None => stamp.by.clone(),
        };
        let line = if stamp.when_ms == stamp.at_ms {
            say.clock_line(&at, &word, by)
        } else {
            let written = words::clock(stamp.at_ms, &page.zone);
            say.clock_line_back(&at, &word, written, by)
        };
        widgets::ends(
            ui,
            26.0,
            |ui| match &stamp.struck {
                None => drop(widgets::one_line(ui, rich(&line, regular(size::NOTE), t.text))),
                Some((by, why)) => {
                    let by = match why {
                        Some(why) => say.clock_struck_because(by, why),
                        None => say.clock_struck(by),
                    };
                    ui.label(rich(&line, regular(size::NOTE), t.dim).strikethrough());
                    widgets::one_line(ui, rich(by, regular(size::SMALL), t.dim));
                }
            },
            |ui| {
                if stamp.struck.is_none() {
                    let button = widgets::link(ui, say.strike());
                    if widgets::named(button, &say.strike_name(&word, &at)).clicked() {
                        cx.ask(Ask::GameDay(GameDayAsk::Strike {
                            id: stamp.id.clone(),
                            why: std::mem::take(&mut self.why),
                        }));
                    }
                }
            },
        );
    }
}

/// A clock within a sentence.
fn word(clock: Clock, say: Say) -> String {
    Command::Clock(clock).label(say).to_lowercase()
}

/// When the fault of the drill that runs began.
fn fault_now(cx: &Cx<'_>) -> Option<i64> {
    let drill = cx.scene.drill.as_ref().filter(|_| cx.running())?;
    let from_us = drill.injections.iter().filter_map(|it| it.from_us).min()?;
    Some(drill.origin_wall_ms.saturating_add_unsigned(from_us / 1_000))
}

fn said(stamp: &Stamp, fault_ms: Option<i64>, page: &Page<'_>, say: Say) -> String {
    let at = words::clock(stamp.when_ms, &page.zone);
    match fault_ms {
        Some(fault) if stamp.when_ms >= fault => {
            say.clock_after_fault(at, length(stamp.when_ms.abs_diff(fault)))
        }
        _ => at,
    }
}
