//! The first screen: one large button, and the way to a plan of one's own.

use std::path::Path;

use egui::{Align2, CornerRadius, Rect, Sense, Stroke, StrokeKind, Ui, pos2, vec2};
use firedrill_scene::{Ask, GameDayAsk};

use crate::{
    View,
    commands::{Command, Words},
    cx::Cx,
    messages::{Language, Say},
    theme::{bold, medium, radius, regular, size, space},
    views::design,
    widgets::{self, rich},
};

const STEPS: [(Words, Words); 4] = [
    (Say::welcome_system, Say::welcome_system_words),
    (Say::welcome_fault, Say::welcome_fault_words),
    (Say::welcome_stop, Say::welcome_stop_words),
    (Say::welcome_verdict, Say::welcome_verdict_words),
];

/// Draws it.
pub fn ui(ui: &mut Ui, cx: &mut Cx<'_>) {
    let whole = ui.max_rect();
    let width = whole.width().min(1060.0);
    let top = ((whole.height() - 600.0) * 0.4).clamp(0.0, 140.0);
    let place = Rect::from_min_size(
        pos2(whole.center().x - width / 2.0, whole.top() + top),
        vec2(width, whole.height() - top),
    );
    widgets::region(ui, place, |ui| {
        let gap = space::XXL;
        let left = place.with_max_x(place.left() + (width - gap) * 0.6);
        let right = place.with_min_x(left.right() + gap);
        widgets::region(ui, left, |ui| demo(ui, cx));
        widgets::region(ui, right, |ui| {
            // Findings and plans may be more than a small window holds.
            let all = egui::ScrollArea::vertical().id_salt("plans").auto_shrink(false);
            all.show(ui, |ui| plans(ui, cx));
        });
    });
}

fn demo(ui: &mut Ui, cx: &mut Cx<'_>) {
    let t = cx.tokens;
    ui.add_space(space::M);
    ui.label(rich(cx.say.welcome_break(), regular(size::NUMBER), t.strong));
    ui.label(rich(cx.say.welcome_stoppable(), regular(size::NUMBER), t.dim));
    ui.add_space(space::L);
    if big_button(ui, cx).clicked() {
        cx.ask(Ask::StartDemo);
        cx.goto = Some(View::Live);
    }
    ui.add_space(space::L);
    for (i, (heading, words)) in STEPS.into_iter().enumerate() {
        let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 56.0), Sense::hover());
        let centre = pos2(rect.left() + 14.0, rect.top() + 20.0);
        ui.painter().circle_stroke(centre, 13.0, Stroke::new(1.5, t.line));
        ui.painter().text(
            centre,
            Align2::CENTER_CENTER,
            (i + 1).to_string(),
            medium(size::NOTE),
            t.text,
        );
        let at = rect.min + vec2(42.0, 3.0);
        ui.painter().text(
            at,
            Align2::LEFT_TOP,
            heading(cx.say),
            medium(size::LEAD),
            t.strong,
        );
        let galley = ui.painter().layout(
            words(cx.say).to_owned(),
            regular(size::NOTE),
            t.dim,
            rect.width() - 44.0,
        );
        ui.painter().galley(at + vec2(0.0, 20.0), galley, t.dim);
    }
    ui.add_space(space::S);
    ui.horizontal(|ui| {
        widgets::dim(ui, cx.say.welcome_local());
        // Called what it calls itself: who looks for it may read no other.
        let other = match cx.say.0 {
            Language::English => Language::Chinese,
            Language::Chinese => Language::English,
        };
        if widgets::link(ui, other.name()).clicked() {
            cx.language = Some(other);
        }
    });
}

fn big_button(ui: &mut Ui, cx: &Cx<'_>) -> egui::Response {
    let t = cx.tokens;
    let (rect, response) = widgets::painted(
        ui,
        vec2(ui.available_width().min(420.0), 84.0),
        Command::Demo.label(cx.say),
    );
    let fill = if response.hovered() {
        t.series.gamma_multiply(0.88)
    } else {
        t.series
    };
    ui.painter()
        .rect_filled(rect, CornerRadius::same(radius::LARGE), fill);
    if response.has_focus() {
        let ring = Stroke::new(2.0, t.strong);
        ui.painter().rect_stroke(
            rect.expand(4.0),
            CornerRadius::same(radius::LARGE + 3),
            ring,
            StrokeKind::Middle,
        );
    }
    let centre = rect.center();
    ui.painter().text(
        centre - vec2(0.0, 11.0),
        Align2::CENTER_CENTER,
        Command::Demo.label(cx.say),
        bold(size::HEADLINE),
        t.ground,
    );
    ui.painter().text(
        centre + vec2(0.0, 18.0),
        Align2::CENTER_CENTER,
        cx.say.welcome_minute(),
        regular(size::NOTE),
        t.ground,
    );
    response
}

fn plans(ui: &mut Ui, cx: &mut Cx<'_>) {
    let t = cx.tokens;
    let recent = cx.scene.recent.clone();
    let overdue = cx.scene.gamedays.iter().any(|it| !it.overdue.is_empty());
    if overdue {
        gamedays(ui, cx);
        ui.add_space(space::M);
    }
    widgets::card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        widgets::title(ui, cx.say.welcome_own());
        widgets::text(ui, cx.say.welcome_plan());
        ui.add_space(space::XS);
        ui.horizontal_wrapped(|ui| {
            if Command::Open.button(ui, cx.scene, cx.view).clicked() {
                cx.ask(Ask::OpenPlanDialog);
            }
            if widgets::button(ui, cx.say.new_plan()).clicked() {
                cx.ask(Ask::NewPlan(design::TEMPLATE.to_owned()));
                cx.goto = Some(View::Design);
            }
            if widgets::button(ui, cx.say.library_start()).clicked() {
                cx.goto = Some(View::Library);
            }
        });
        ui.add_space(space::S);
        widgets::rule(ui);
        ui.label(rich(cx.say.recent_plans(), medium(size::NOTE), t.dim));
        if recent.is_empty() {
            widgets::dim(ui, cx.say.recent_none());
        }
        for path in recent.iter().take(6) {
            if plan_row(ui, path, cx).clicked() {
                cx.ask(Ask::OpenPlan(path.clone()));
                cx.goto = Some(View::Design);
            }
        }
    });
    ui.add_space(space::M);
    if !overdue {
        gamedays(ui, cx);
        ui.add_space(space::M);
    }
    widgets::card(ui, |ui| {
        widgets::title(ui, cx.say.welcome_over());
        widgets::text(ui, cx.say.welcome_journal());
        ui.add_space(space::XS);
        if widgets::button(ui, cx.say.open_journal()).clicked() {
            cx.ask(Ask::OpenJournalDialog);
            cx.goto = Some(View::Review);
        }
    });
}

/// Overdue findings stand first: they are why one comes back.
fn gamedays(ui: &mut Ui, cx: &mut Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    let all = cx.scene.gamedays.clone();
    widgets::card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        widgets::ends(
            ui,
            34.0,
            |ui| drop(widgets::title(ui, say.gamedays())),
            |ui| {
                if widgets::button(ui, Command::OpenGameDay.label(cx.say))
                    .on_hover_text(Command::OpenGameDay.tip(ui))
                    .clicked()
                {
                    cx.ask(Ask::GameDay(GameDayAsk::OpenDialog));
                    cx.goto = Some(View::Agenda);
                }
            },
        );
        if all.is_empty() {
            widgets::text(ui, cx.say.gamedays_words());
        }
        for it in all.iter().take(3) {
            for (symptom, owner, due) in it.overdue.iter().take(2) {
                ui.horizontal(|ui| {
                    let (rect, _) = ui.allocate_exact_size(vec2(14.0, 14.0), Sense::hover());
                    widgets::shape(ui.painter(), rect.center(), 5.0, widgets::State::Bad, t);
                    let words = if owner.is_empty() {
                        cx.say.overdue_nobody(due, symptom)
                    } else {
                        cx.say.overdue(due, owner, symptom)
                    };
                    widgets::one_line(ui, rich(words, medium(size::NOTE), t.out));
                });
            }
            let findings = match (it.open, it.overdue.len()) {
                (open, 0) => cx.say.open_findings(open),
                (open, overdue) => cx.say.open_findings_overdue(open, overdue),
            };
            let date = it.start_ms.map_or_else(
                || cx.say.cannot_be_read().to_owned(),
                |at| format!("{} · {findings}", crate::words::date(cx.say, at, cx.zone)),
            );
            if two_lines(ui, &it.title, &date, cx)
                .on_hover_text(it.folder.display().to_string())
                .clicked()
            {
                cx.ask(Ask::GameDay(GameDayAsk::Open(it.folder.clone())));
                cx.goto = Some(View::Agenda);
            }
        }
    });
}

fn plan_row(ui: &mut Ui, path: &Path, cx: &Cx<'_>) -> egui::Response {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let folder = path
        .parent()
        .map_or_else(String::new, |folder| folder.display().to_string());
    two_lines(ui, &name, &folder, cx).on_hover_text(path.display().to_string())
}

/// A row that opens something: its name, and a line below it.
fn two_lines(ui: &mut Ui, name: &str, words: &str, cx: &Cx<'_>) -> egui::Response {
    let t = cx.tokens;
    let (rect, response) = widgets::painted(ui, vec2(ui.available_width(), 42.0), name);
    if response.hovered() || response.has_focus() {
        ui.painter()
            .rect_filled(rect, CornerRadius::same(radius::SMALL), t.raised);
    }
    if response.has_focus() {
        ui.painter().rect_stroke(
            rect,
            CornerRadius::same(radius::SMALL),
            Stroke::new(2.0, t.series),
            StrokeKind::Inside,
        );
    }
    let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
    painter.text(
        rect.min + vec2(8.0, 5.0),
        Align2::LEFT_TOP,
        name,
        medium(size::BODY),
        t.strong,
    );
    painter.text(
        rect.min + vec2(8.0, 23.0),
        Align2::LEFT_TOP,
        words,
        regular(size::SMALL),
        t.dim,
    );
    response
}
