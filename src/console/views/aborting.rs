//! While ABORT works, and after: each agent's way from requested to proved clean.

use egui::{Align2, RichText, ScrollArea, Sense, Stroke, Ui, pos2, vec2};
use firedrill_scene::{AbortRow, AbortScene, AbortStage, Ask};

use crate::{
    View,
    cx::Cx,
    messages::Say,
    shell::{Places, dialog},
    theme::{Tokens, medium, mono, radius, regular, size, space},
    widgets::{self, State},
    words,
};

/// Draws the panel.
pub fn ui(ui: &mut Ui, places: &Places, cx: &mut Cx<'_>) {
    let abort = cx.scene.abort.clone();
    let Some(pressed_ms) = abort.pressed_ms else {
        return;
    };
    let report = report(&abort, pressed_ms, cx);
    let pressed = words::clock_ms(pressed_ms, cx.zone);
    let (act, escape) = dialog(ui, places, cx.say.aborting_name(), 880.0, |ui| {
        contents(ui, &abort, &pressed)
    });
    match act {
        Some(Act::Copy) => ui.ctx().copy_text(report),
        Some(Act::Fleet) => {
            cx.goto = Some(View::Fleet);
            cx.ask(Ask::DismissAbort);
        }
        Some(Act::Close) => cx.ask(Ask::DismissAbort),
        None if escape => cx.ask(Ask::DismissAbort),
        None => {}
    }
}

#[derive(Clone, Copy)]
enum Act {
    Copy,
    Fleet,
    Close,
}

fn contents(ui: &mut Ui, abort: &AbortScene, pressed: &str) -> Option<Act> {
    let say = Say::of(ui);
    let all = abort.rows.len();
    let clean = all > 0 && abort.proved == all;
    let title = match (clean, abort.finished, all) {
        (_, _, 0) => say.aborted_none().to_owned(),
        (true, _, _) => say.aborted_clean(all),
        (false, false, _) => say.aborting_proved(all, abort.proved),
        (false, true, _) => say.aborted_not_clean(all, all - abort.proved),
    };
    widgets::headline(ui, title);
    let latched = abort.rows.iter().any(|row| row.latch.is_some());
    widgets::text(ui, pressed_words(say, abort, pressed, latched));
    ui.add_space(space::S);
    let room = (ui.available_height() - 150.0).max(80.0);
    ScrollArea::vertical()
        .id_salt("aborting")
        .max_height(room)
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            if all > 0 {
                heads(ui);
            }
            for agent in &abort.rows {
                row(ui, agent, abort.latches);
            }
            if all == 0 {
                widgets::text(ui, say.aborted_none_words());
            }
        });
    by_hand(ui, abort);
    ui.add_space(space::M);
    foot(ui, abort, latched)
}

/// `pressed 14:02:53.412 by Ada · latched: nothing starts until …`.
fn pressed_words(say: Say, abort: &AbortScene, pressed: &str, latched: bool) -> String {
    let pressed = match (abort.who.as_str(), abort.reason.as_str()) {
        ("", _) => say.pressed(pressed),
        // A signal's name is both.
        (who, reason) if who == reason => say.pressed_by(pressed, who),
        (who, "ABORT was pressed") => say.pressed_by(pressed, who),
        (who, reason) => say.pressed_because(pressed, who, reason),
    };
    let after = if latched {
        say.pressed_latched()
    } else {
        say.pressed_working()
    };
    format!("{pressed} · {after}")
}

fn foot(ui: &mut Ui, abort: &AbortScene, latched: bool) -> Option<Act> {
    let say = Say::of(ui);
    let mut act = None;
    let mut close = false;
    widgets::ends(
        ui,
        38.0,
        |ui| {
            if widgets::button(ui, say.aborting_copy()).clicked() {
                act = Some(Act::Copy);
            }
            if latched && widgets::button(ui, say.aborting_release()).clicked() {
                act = Some(Act::Fleet);
            }
        },
        |ui| {
            if abort.finished {
                close = widgets::button(ui, say.close()).clicked();
            } else {
                close = widgets::button(ui, say.aborting_hide()).clicked();
                widgets::dim(ui, say.aborting_sending());
            }
        },
    );
    if close { Some(Act::Close) } else { act }
}

/// How far it is: shape and word.
pub fn stage(say: Say, row: &AbortRow) -> (State, &'static str) {
    match row.stage {
        AbortStage::Requested => (State::Waiting, say.abort_requested()),
        AbortStage::Received => (State::Fault, say.abort_received()),
        AbortStage::Reverted => (State::Tolerated, say.abort_reverted()),
        AbortStage::Proved => (State::Good, say.abort_proved()),
        AbortStage::Unconfirmed => (State::Bad, say.abort_unconfirmed()),
    }
}

/// What an abort goes through on every agent.
fn stages(say: Say) -> [&'static str; 4] {
    [
        say.abort_requested(),
        say.abort_received(),
        say.abort_reverted(),
        say.abort_proved(),
    ]
}

/// Where columns begin: the agent, the stages, the words.
fn columns(width: f32) -> [f32; 6] {
    [0.0, 0.22, 0.325, 0.42, 0.515, 0.635].map(|share: f32| (width * share).round())
}

fn heads(ui: &mut Ui) {
    let t = Tokens::of(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 22.0), Sense::hover());
    for (word, x) in stages(Say::of(ui))
        .into_iter()
        .zip(columns(rect.width()).into_iter().skip(1))
    {
        let at = pos2(rect.left() + x, rect.center().y);
        ui.painter()
            .text(at, Align2::LEFT_CENTER, word, regular(size::SMALL), t.dim);
    }
}

fn row(ui: &mut Ui, row: &AbortRow, latches: bool) {
    let (t, say) = (Tokens::of(ui), Say::of(ui));
    let width = ui.available_width();
    let columns = columns(width);
    let (state, word) = stage(say, row);
    let (seen, ink) = if row.stage == AbortStage::Unconfirmed {
        (say.namely(word, &row.words), t.out)
    } else {
        (row.words.clone(), t.text)
    };
    let galley = ui
        .painter()
        .layout(seen, regular(size::NOTE), ink, width - columns[5]);
    let height = (galley.size().y + 20.0).max(52.0);
    let (rect, response) = ui.allocate_exact_size(vec2(width, height), Sense::hover());
    let took = words::took_us(row.took_us);
    let latch = latch_words(say, row, latches);
    let name = say.abort_row(&row.agent, word, took, &latch, &row.words);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &name));
    let painter = ui.painter();
    let at = |column: f32, down: f32| pos2(rect.left() + column, rect.center().y + down);
    widgets::shape(painter, at(7.0, 0.0), 6.0, state, t);
    let clip = rect
        .with_max_x(rect.left() + columns[1] - 6.0)
        .intersect(ui.clip_rect());
    let clipped = painter.with_clip_rect(clip);
    clipped.text(
        at(22.0, -9.0),
        Align2::LEFT_CENTER,
        &row.agent,
        medium(size::LEAD),
        t.strong,
    );
    let missing = latches && row.latch.is_none();
    let ink = if missing { t.out } else { t.dim };
    clipped.text(
        at(22.0, 10.0),
        Align2::LEFT_CENTER,
        latch,
        regular(size::SMALL),
        ink,
    );
    let reached = row.reached;
    let times = [
        reached.requested_us,
        reached.received_us,
        reached.reverted_us,
        reached.proved_us,
    ];
    for (i, (time, x)) in times.into_iter().zip(columns.into_iter().skip(1)).enumerate() {
        let (text, ink) = match time {
            Some(us) if i == 3 => (words::took_us(us), state.colour(t)),
            Some(us) => (words::took_us(us), t.text),
            None => ("–".to_owned(), t.dim),
        };
        painter.text(at(x, 0.0), Align2::LEFT_CENTER, text, medium(size::BODY), ink);
    }
    painter.galley(at(columns[5], -galley.size().y / 2.0), galley, t.text);
    painter.hline(rect.x_range(), rect.bottom(), Stroke::new(1.0, t.line));
}

/// The latch of an agent, as far as it was heard.
fn latch_words(say: Say, row: &AbortRow, latches: bool) -> String {
    match row.latch {
        Some(number) => say.latch_number(number),
        None if latches => say.latch_not().to_owned(),
        None => say.latch_none().to_owned(),
    }
}

/// What a person can do where an agent does not answer.
fn by_hand(ui: &mut Ui, abort: &AbortScene) {
    let t = Tokens::of(ui);
    let lost: Vec<String> = abort
        .rows
        .iter()
        .filter(|row| row.stage == AbortStage::Unconfirmed)
        .map(|row| row.agent.clone())
        .collect();
    if lost.is_empty() {
        return;
    }
    ui.add_space(space::S);
    egui::Frame::new()
        .fill(t.raised)
        .corner_radius(radius::MEDIUM)
        .inner_margin(space::M)
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing.x = 5.0;
                let say = Say::of(ui);
                let words = say.abort_by_hand(words::names(say, &lost));
                ui.label(RichText::new(words).font(regular(size::BODY)).color(t.strong));
                ui.label(
                    RichText::new("firedrill-agent abort")
                        .font(mono(size::NOTE))
                        .color(t.strong),
                );
            });
        });
}

/// The text for the incident channel.
fn report(abort: &AbortScene, pressed_ms: i64, cx: &Cx<'_>) -> String {
    let say = cx.say;
    let drill = cx
        .scene
        .drill
        .as_ref()
        .map_or_else(String::new, |drill| say.report_in_drill(&drill.experiment));
    let pressed = words::clock_ms(pressed_ms, cx.zone);
    let (proved, all) = (abort.proved, abort.rows.len());
    let mut lines = vec![say.report_pressed(pressed, drill, proved, all)];
    for row in &abort.rows {
        let latch = latch_words(say, row, abort.latches);
        let took = words::took_us(row.took_us);
        let said = say.abort_row(&row.agent, stage(say, row).1, took, latch, &row.words);
        lines.push(format!("- {said}"));
    }
    if abort.rows.iter().any(|row| row.stage == AbortStage::Unconfirmed) {
        lines.push(say.report_by_hand().to_owned());
    }
    lines.join("\n")
}
