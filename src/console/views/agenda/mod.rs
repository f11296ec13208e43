//! The game day: its drills on the day's line with the time each really needs, the preparation that gates the start,
//! sealed predictions, human clocks, findings, and the questions about the exercise itself.

mod before;
mod clocks;
mod day;
mod exercise;
mod findings;
mod head;
mod list;
mod predict;
mod quick;

use std::sync::Arc;

use egui::{ScrollArea, Ui};
use firedrill_gameday::{Change, GameDay, Schedule, everybody, schedule};
use firedrill_scene::{Ask, GameDayAsk, GameDayScene};
use jiff::tz::TimeZone;

use crate::{
    commands::{Command, Words},
    cx::Cx,
    messages::Say,
    theme::{medium, regular, size, space},
    widgets::{self, choice, rich},
};

/// What Agenda remembers.
#[derive(Default)]
pub struct AgendaView {
    /// The chosen row.
    chosen: Option<String>,
    /// The panel that was chosen by hand; else what the day asks for now.
    panel: Option<Panel>,
    /// A row that is dragged.
    dragged: Option<String>,
    resume: String,
    before: before::Before,
    predict: predict::Predict,
    clocks: clocks::Clocks,
    findings: findings::Findings,
    exercise: exercise::Exercise,
    quick: quick::Quick,
}

/// What the right side shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Panel {
    Before,
    Predictions,
    Clocks,
    Findings,
    Exercise,
}

impl Panel {
    const ALL: [(Self, Words); 5] = [
        (Self::Before, Say::panel_before),
        (Self::Predictions, Say::panel_predictions),
        (Self::Clocks, Say::panel_clocks),
        (Self::Findings, Say::panel_findings),
        (Self::Exercise, Say::panel_exercise),
    ];

    /// What is needed now.
    fn of(scene: &GameDayScene) -> Self {
        let state = &scene.state;
        if state.ended_ms.is_some() {
            Self::Exercise
        } else if state.started_ms.is_none() {
            Self::Before
        } else if state.running().is_some() {
            Self::Clocks
        } else {
            Self::Predictions
        }
    }
}

/// What the parts of the view are drawn from.
struct Page<'a> {
    scene: &'a GameDayScene,
    day: &'a GameDay,
    schedule: Schedule,
    now_ms: i64,
    zone: TimeZone,
}

impl AgendaView {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let Some(scene) = cx.scene.gameday.clone() else {
            nothing(ui, cx);
            return;
        };
        let Some(day) = &scene.day else {
            mistakes(ui, &scene, cx);
            return;
        };
        let now_ms = cx.now_ms();
        let page = Page {
            schedule: schedule(day, &scene.state, now_ms),
            zone: day.start.time_zone(),
            scene: &scene,
            day,
            now_ms,
        };
        let whole = ui.max_rect();
        let head = whole.with_max_y(whole.top() + 96.0);
        widgets::card_at(ui, head, |ui| head::ui(ui, &page, cx, &mut self.resume));
        let line = head.translate(egui::vec2(0.0, head.height() + space::M));
        let line = line.with_max_y(line.top() + 124.0);
        widgets::card_at(ui, line, |ui| self.line(ui, &page, cx));
        let rest = whole.with_min_y(line.bottom() + space::M);
        let (left, right) = rest.split_left_right_at_fraction(0.56);
        let left = left.with_max_x(left.right() - space::M);
        widgets::card_at(ui, left, |ui| self.list(ui, &page, cx));
        widgets::card_at(ui, right, |ui| self.panel(ui, &page, cx));
        if scene.state.started_ms.is_some() && scene.state.ended_ms.is_none() {
            // What is to come moves on with the clock.
            ui.ctx().request_repaint_after(std::time::Duration::from_secs(15));
        }
    }

    /// A line is typed in somebody's name.
    pub fn enter(&mut self) {
        self.panel = Some(Panel::Clocks);
        self.quick.focus = true;
    }

    /// Clocks are of the next person of the day.
    pub fn next_person(&mut self, scene: &GameDayScene) {
        self.panel = Some(Panel::Clocks);
        if let Some(day) = &scene.day {
            self.quick.next(&everybody(day));
        }
    }

    /// In whose name a clock's key is; `None`: of who is at the console.
    pub fn whose(&self) -> Option<String> {
        self.quick.who.clone()
    }

    /// The row that is chosen, or the one that is on, or the next one.
    fn row(&self, page: &Page<'_>) -> Option<String> {
        let state = &page.scene.state;
        let known = |id: &&String| state.rows.iter().any(|row| row.id == **id);
        let chosen = self.chosen.as_ref().filter(known).cloned();
        let on = || state.running().map(|row| row.id.clone());
        let next = || page.schedule.next().map(|slot| slot.id.clone());
        chosen.or_else(on).or_else(next).or_else(|| {
            let ran = state.rows.iter().rev().find(|row| !row.runs.is_empty());
            ran.or(state.rows.first()).map(|row| row.id.clone())
        })
    }

    fn panel(&mut self, ui: &mut Ui, page: &Page<'_>, cx: &mut Cx<'_>) {
        let shown = self.panel.unwrap_or_else(|| Panel::of(page.scene));
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            for (panel, label) in Panel::ALL {
                if choice(ui, panel == shown, label(cx.say)).clicked() {
                    self.panel = Some(panel);
                }
            }
        });
        ui.add_space(space::XS);
        widgets::rule(ui);
        ui.add_space(space::XS);
        let row = self.row(page);
        ScrollArea::vertical()
            .id_salt(("agenda", shown as u8))
            .auto_shrink(false)
            .show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = space::S;
                match (shown, row) {
                    (Panel::Before, _) => self.before.ui(ui, page, cx),
                    (Panel::Predictions, Some(row)) => self.predict.ui(ui, page, &row, cx),
                    (Panel::Clocks, Some(row)) => {
                        self.quick.ui(ui, page, &row, cx);
                        ui.add_space(space::XS);
                        self.clocks.ui(ui, page, &row, self.quick.who.as_deref(), cx);
                    }
                    (Panel::Findings, row) => self.findings.ui(ui, page, row.as_deref(), cx),
                    (Panel::Exercise, _) => self.exercise.ui(ui, page, cx),
                    (_, None) => drop(widgets::dim(ui, cx.say.agenda_no_drill())),
                }
            });
    }
}

/// Asks for a change of the agenda.
fn change(cx: &mut Cx<'_>, change: Change) {
    cx.ask(Ask::GameDay(GameDayAsk::Change(change)));
}

/// A small field with its name above.
fn labelled(ui: &mut Ui, label: &str, value: &mut String, hint: &str) -> egui::Response {
    let ink = crate::theme::Tokens::of(ui).text;
    ui.label(rich(label, regular(size::SMALL), ink));
    widgets::field(ui, label, value, hint)
}

fn nothing(ui: &mut Ui, cx: &mut Cx<'_>) {
    let recent = Arc::clone(&cx.scene.gamedays);
    widgets::empty(ui, cx.say.agenda_empty(), cx.say.agenda_empty_words(), |ui| {
        let command = "firedrill gameday new FOLDER --plan PLAN";
        ui.label(rich(command, crate::theme::mono(size::NOTE), cx.tokens.strong));
        ui.add_space(space::M);
        if widgets::button(ui, Command::OpenGameDay.label(cx.say)).clicked() {
            cx.ask(Ask::GameDay(GameDayAsk::OpenDialog));
        }
        if !recent.is_empty() {
            ui.add_space(space::L);
            ui.label(rich(cx.say.opened_before(), medium(size::NOTE), cx.tokens.dim));
        }
        for it in recent.iter().take(6) {
            let overdue = match it.overdue.len() {
                0 => String::new(),
                n => format!(", {}", cx.say.overdue_findings(n)),
            };
            if widgets::link(ui, &format!("{}{overdue}", it.title))
                .on_hover_text(it.folder.display().to_string())
                .clicked()
            {
                cx.ask(Ask::GameDay(GameDayAsk::Open(it.folder.clone())));
            }
        }
    });
}

fn mistakes(ui: &mut Ui, scene: &GameDayScene, cx: &mut Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    let whole = ui.max_rect();
    widgets::card_at(ui, whole, |ui| {
        widgets::ends(
            ui,
            40.0,
            |ui| {
                let words = say.gameday_mistakes(say.mistakes(scene.mistakes.len()));
                ui.label(rich(words, medium(size::TITLE), t.strong));
            },
            |ui| {
                if widgets::button(ui, cx.say.close()).clicked() {
                    cx.ask(Ask::GameDay(GameDayAsk::Close));
                }
                if widgets::button(ui, cx.say.read_again()).clicked() {
                    cx.ask(Ask::GameDay(GameDayAsk::Open(scene.folder.clone())));
                }
                if widgets::button(ui, cx.say.show_file()).clicked() {
                    cx.ask(Ask::Show(scene.folder.join(firedrill_gameday::FILE)));
                }
            },
        );
        widgets::dim(ui, scene.folder.display().to_string());
        ui.add_space(space::S);
        ScrollArea::vertical()
            .id_salt("mistakes")
            .auto_shrink(false)
            .show(ui, |ui| {
                for mistake in &scene.mistakes {
                    ui.label(rich(mistake, crate::theme::mono(size::NOTE), t.text));
                }
            });
    });
}
