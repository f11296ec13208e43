//! Above the cards: the demo's tour, the verdict, preflight's checks.

use egui::{Rect, ScrollArea, Ui, pos2, vec2};
use firedrill_drill::{HoldStage, Outcome, Phase, Verdict};
use firedrill_scene::{Ask, CheckRow, DrillScene, HoldScene, TourScene};

use crate::{
    View,
    commands::Command,
    cx::Cx,
    messages::Say,
    theme::{medium, regular, size, space},
    widgets::{self, State, rich},
    words,
};

/// How high the tour's strip is. `brief`: what is on this computer was said already, the plots need the room.
pub fn tour_height(tour: &TourScene, width: f32, brief: bool) -> f32 {
    let sentences = if width > 760.0 && !brief {
        tour.words.len() as f32 * 20.0
    } else {
        0.0
    };
    let comparison = if tour.comparison.is_empty() {
        0.0
    } else {
        30.0 + tour.comparison.len() as f32 * 24.0
    };
    62.0 + if tour.comparison.is_empty() {
        sentences
    } else {
        comparison
    }
}

/// What is on this computer, what happens now, and what can be done next.
pub fn tour(ui: &mut Ui, rect: Rect, tour: &TourScene, brief: bool, cx: &mut Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    widgets::card_at(ui, rect, |ui| {
        ui.spacing_mut().item_spacing.y = 3.0;
        widgets::ends(
            ui,
            30.0,
            |ui| {
                widgets::pill(
                    ui,
                    if tour.build == "hardened" {
                        State::Good
                    } else {
                        State::Tolerated
                    },
                    if tour.build == "hardened" {
                        say.build_hardened()
                    } else {
                        say.build_fragile()
                    },
                    12.0,
                );
                ui.add_space(space::XS);
                widgets::one_line(ui, rich(&tour.now, medium(size::LEAD), t.strong));
            },
            |ui| {
                if tour.offers_fix {
                    let label = rich(cx.say.run_fix(), medium(size::BODY), t.ground);
                    let button = egui::Button::new(label).fill(t.series).stroke(egui::Stroke::NONE);
                    if widgets::focus_ring(ui, |ui| ui.add(button)).clicked() {
                        cx.ask(Ask::RunFix);
                    }
                }
            },
        );
        if !tour.comparison.is_empty() {
            comparison(ui, tour, cx);
        } else if rect.width() > 760.0 && !brief {
            for sentence in &tour.words {
                widgets::one_line(ui, rich(sentence, regular(size::NOTE), t.dim));
            }
        }
    });
}

fn comparison(ui: &mut Ui, tour: &TourScene, cx: &Cx<'_>) {
    let t = cx.tokens;
    ui.add_space(space::XS);
    let width = ui.available_width();
    let columns = [0.0, width * 0.5, width * 0.75];
    let mut line = |cells: [&str; 3], inks: [egui::Color32; 3]| {
        let (rect, _) = ui.allocate_exact_size(vec2(width, 21.0), egui::Sense::hover());
        for ((cell, x), ink) in cells.into_iter().zip(columns).zip(inks) {
            let at = pos2(rect.left() + x, rect.center().y);
            ui.painter()
                .text(at, egui::Align2::LEFT_CENTER, cell, regular(size::BODY), ink);
        }
    };
    line(["", cx.say.build_fragile(), cx.say.build_hardened()], [t.dim; 3]);
    for row in &tour.comparison {
        line(
            [&row.measure, &row.before, &row.after],
            [t.text, t.strong, t.strong],
        );
    }
}

/// What an outcome is called, and how it is shown.
pub fn outcome(say: Say, outcome: Outcome) -> (State, &'static str) {
    match outcome {
        Outcome::Held => (State::Good, say.outcome_held()),
        Outcome::Broken => (State::Bad, say.outcome_broken()),
        Outcome::Inconclusive => (State::Unknown, say.outcome_inconclusive()),
        Outcome::Aborted => (State::Tolerated, say.outcome_aborted()),
    }
}

/// How high the verdict's banner is; where there is little room it has one reason.
pub fn verdict_height(verdict: &Verdict, room: f32) -> f32 {
    let second =
        usize::from(verdict.reasons.len() > 1 && room > 600.0) + usize::from(!verdict.unconfirmed.is_empty());
    68.0 + second as f32 * 21.0
}

/// The verdict with its first reasons.
pub fn verdict(ui: &mut Ui, rect: Rect, verdict: &Verdict, drill: &DrillScene, cx: &mut Cx<'_>) {
    let t = cx.tokens;
    let (state, word) = outcome(cx.say, verdict.outcome);
    widgets::card_at(ui, rect, |ui| {
        ui.spacing_mut().item_spacing.y = 3.0;
        widgets::ends(
            ui,
            36.0,
            |ui| {
                widgets::pill(ui, state, word, size::HEADING);
                ui.add_space(space::S);
                if let Some(first) = verdict.reasons.first() {
                    widgets::one_line(ui, rich(&first.words, medium(size::LEAD), t.strong));
                }
            },
            |ui| {
                if !cx.only_looks() && widgets::button(ui, cx.say.open_review()).clicked() {
                    cx.goto = Some(View::Review);
                }
                // A drill of which nothing can be said is begun again with one key.
                if verdict.outcome == Outcome::Inconclusive
                    && !cx.only_looks()
                    && cx.view == View::Live
                    && Command::Retry.button(ui, cx.scene, cx.view).clicked()
                {
                    cx.ask(Ask::Retry);
                }
            },
        );
        if let Some(more) = verdict.reasons.get(1).filter(|_| rect.height() > 80.0) {
            let time = words::clock(more.at.wall_ms, cx.zone);
            widgets::one_line(
                ui,
                rich(
                    format!("{time}  {}: {}", more.rule, more.words),
                    regular(size::NOTE),
                    t.text,
                ),
            );
        }
        if !verdict.unconfirmed.is_empty() {
            let ids: Vec<String> = verdict.unconfirmed.iter().map(ToString::to_string).collect();
            let agents: Vec<String> = drill
                .injections
                .iter()
                .filter(|injection| ids.contains(&injection.id))
                .map(|injection| injection.agent.clone())
                .collect();
            let words = cx.say.verdict_may_be_on(words::names(cx.say, &agents));
            widgets::one_line(ui, rich(words, medium(size::NOTE), t.out));
        }
    });
}

/// How high the banner of a hold is.
pub const HELD_HEIGHT: f32 = 96.0;

/// A hold: how far it is, what a resume does, and the two ways on.
pub fn held(ui: &mut Ui, rect: Rect, hold: &HoldScene, drill: &DrillScene, cx: &mut Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    let since = cx.clock_of(drill, hold.since_us);
    let progress = drill.progress.as_ref().map_or("", |(_, words)| words.as_str());
    let (word, first) = match hold.stage {
        HoldStage::Reverting => (say.hold_reverting(), say.hold_reverting_words().to_owned()),
        HoldStage::Held => (say.hold_held(), say.hold_held_words(since, &hold.by)),
        HoldStage::Baseline { .. } => (say.hold_resuming(), say.hold_resuming_words().to_owned()),
    };
    let then = if hold.then.is_empty() {
        say.hold_then_steps().to_owned()
    } else {
        say.hold_then(hold.then.join("; "))
    };
    let second = match hold.stage {
        HoldStage::Baseline { .. } => say.hold_after_baseline(progress, then),
        HoldStage::Reverting | HoldStage::Held => {
            say.hold_resume(words::span_ms(say, hold.baseline_ms), then)
        }
    };
    widgets::card_at(ui, rect, |ui| {
        ui.spacing_mut().item_spacing.y = 3.0;
        widgets::ends(
            ui,
            36.0,
            |ui| {
                widgets::pill(ui, State::Waiting, word, size::HEADING);
                ui.add_space(space::S);
                widgets::one_line(ui, rich(first, medium(size::LEAD), t.strong));
            },
            |ui| {
                if !cx.only_looks() && Command::Resume.button(ui, cx.scene, cx.view).clicked() {
                    cx.ask(Ask::Resume);
                }
            },
        );
        widgets::one_line(ui, rich(second, regular(size::NOTE), t.text));
    });
}

/// How high preflight's checks are.
pub fn checks_height(drill: &DrillScene) -> f32 {
    74.0 + drill.checks.len().max(1) as f32 * 33.0
}

/// Preflight's checks, a row each.
pub fn checks(ui: &mut Ui, rect: Rect, drill: &DrillScene) {
    widgets::card_at(ui, rect, |ui| {
        let words = drill.progress.as_ref().map_or("", |(_, words)| words.as_str());
        let share = drill.progress.as_ref().map_or(0.0, |(share, _)| *share);
        widgets::ends(
            ui,
            20.0,
            |ui| {
                drop(widgets::title(
                    ui,
                    if drill.phase == Phase::Preflight {
                        Say::of(ui).phase_preflight()
                    } else {
                        Say::of(ui).preflight_failed()
                    },
                ));
            },
            |ui| drop(widgets::dim(ui, words)),
        );
        widgets::progress(
            ui,
            share,
            crate::theme::Tokens::of(ui).series,
            ui.available_width(),
        );
        ScrollArea::vertical()
            .id_salt("checks")
            .auto_shrink(false)
            .show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                if drill.checks.is_empty() {
                    widgets::text(ui, Say::of(ui).preflight_asking());
                }
                for row in &drill.checks {
                    check_row(ui, row, 0.32);
                }
            });
    });
}

/// A check: shape, what, and what was found.
pub fn check_row(ui: &mut Ui, row: &CheckRow, split: f32) {
    let (t, say) = (crate::theme::Tokens::of(ui), Say::of(ui));
    let width = ui.available_width();
    let left = (width * split).clamp(110.0, 240.0);
    let (state, ink) = match row.ok {
        Some(true) => (State::Good, t.text),
        Some(false) => (State::Bad, t.strong),
        None => (State::Waiting, t.dim),
    };
    let words = if row.words.is_empty() && row.ok.is_none() {
        say.check_running_words()
    } else {
        &row.words
    };
    let galley = ui
        .painter()
        .layout(words.to_owned(), regular(size::NOTE), ink, width - left - 28.0);
    let height = (galley.size().y + 15.0).max(31.0);
    let (rect, response) = ui.allocate_exact_size(vec2(width, height), egui::Sense::hover());
    let word = match row.ok {
        Some(true) => say.check_passed(),
        Some(false) => say.check_failed(),
        None => say.check_running(),
    };
    let name = say.check_row(&row.what, word, words);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &name));
    let painter = ui.painter();
    widgets::shape(painter, pos2(rect.left() + 6.0, rect.center().y), 5.0, state, t);
    let at = pos2(rect.left() + 24.0, rect.center().y);
    painter.text(
        at,
        egui::Align2::LEFT_CENTER,
        &row.what,
        medium(size::BODY),
        t.strong,
    );
    painter.galley(
        pos2(rect.left() + 24.0 + left, rect.center().y - galley.size().y / 2.0),
        galley,
        ink,
    );
    painter.hline(rect.x_range(), rect.bottom(), egui::Stroke::new(1.0, t.line));
}
