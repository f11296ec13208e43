//! Right of the plots: the log with notes, and the fault that is on.

use egui::{Id, Rect, ScrollArea, TextEdit, Ui, pos2, vec2};
use firedrill_drill::Phase;
use firedrill_scene::{Ask, DrillScene, InjectionScene, LogKind, LogLine, Role};
use firedrill_wire::InjectionState;

use super::lever::{self, Levers};
use crate::{
    commands::{Command, Words},
    cx::Cx,
    messages::Say,
    theme::{Tokens, medium, mono, regular, size, space},
    widgets::{self, State, choice, rich},
    words,
};

/// Which lines are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Every line.
    #[default]
    All,
    /// What was done to hosts.
    Faults,
    /// What was bad.
    Samples,
    /// What people said and did.
    Notes,
}

impl Filter {
    const ALL: [(Self, Words); 4] = [
        (Self::All, Say::log_all),
        (Self::Faults, Say::log_faults),
        (Self::Samples, Say::log_samples),
        (Self::Notes, Say::log_notes),
    ];

    fn shows(self, kind: LogKind) -> bool {
        match self {
            Self::All => true,
            Self::Faults => matches!(kind, LogKind::Fault | LogKind::Agent | LogKind::End),
            Self::Samples => kind == LogKind::Sample,
            Self::Notes => kind == LogKind::Person,
        }
    }
}

/// What the side remembers.
#[derive(Default)]
pub struct Side {
    filter: Filter,
    note: String,
    levers: Levers,
    /// The note field gets the focus.
    pub focus: bool,
}

impl Side {
    /// Draws both cards.
    pub fn ui(&mut self, ui: &mut Ui, rect: Rect, drill: &DrillScene, cx: &mut Cx<'_>) {
        let fault = fault_height(drill).min(rect.height() * 0.5);
        let (log, card) = rect.split_top_bottom_at_y(rect.bottom() - fault);
        widgets::card_at(ui, log.with_max_y(log.bottom() - space::M), |ui| {
            self.log(ui, drill, cx);
        });
        widgets::card_at(ui, card, |ui| faults(ui, drill, &mut self.levers, cx));
    }

    fn log(&mut self, ui: &mut Ui, drill: &DrillScene, cx: &mut Cx<'_>) {
        widgets::ends(
            ui,
            24.0,
            |ui| drop(widgets::title(ui, cx.say.log())),
            |ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                for (filter, label) in Filter::ALL.into_iter().rev() {
                    if choice(ui, self.filter == filter, label(cx.say)).clicked() {
                        self.filter = filter;
                    }
                }
            },
        );
        people(ui, drill);
        ui.add_space(space::S);
        let follows = cx.scene.watch.as_ref();
        let notes = follows.is_none_or(|it| it.role.is_some_and(Role::may_note));
        let live = drill.phase != Phase::Verdict && !cx.past && notes;
        let foot = if live { 46.0 } else { 0.0 };
        let list = Rect::from_min_max(ui.cursor().min, ui.max_rect().max - vec2(0.0, foot));
        widgets::region(ui, list, |ui| log_lines(ui, drill, self.filter, cx));
        if live {
            let place = Rect::from_min_max(
                pos2(list.left(), ui.max_rect().bottom() - 36.0),
                ui.max_rect().max,
            );
            widgets::region(ui, place, |ui| self.note(ui, cx));
        }
    }

    fn note(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let t = cx.tokens;
        let edit = TextEdit::singleline(&mut self.note)
            .id(Id::unique("note"))
            .desired_width(ui.available_width())
            .margin(egui::Margin::symmetric(10, 8))
            .char_limit(500)
            .text_color(t.strong)
            .hint_text(rich(cx.say.note_hint(), regular(size::BODY), t.dim));
        let response = widgets::named(ui.add(edit), Command::Note.label(cx.say));
        let response = response.on_hover_text((Command::Note.info().tip)(cx.say));
        if std::mem::take(&mut self.focus) {
            response.request_focus();
        }
        let enter = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        if enter && !self.note.trim().is_empty() {
            cx.ask(Ask::Note(std::mem::take(&mut self.note).trim().to_owned()));
        }
    }
}

/// Who takes part, where the plan says so.
pub fn people(ui: &mut Ui, drill: &DrillScene) {
    if let Some(people) = &drill.people {
        let ink = Tokens::of(ui).people;
        widgets::one_line(ui, rich(people, regular(size::SMALL), ink));
    }
}

/// The log's lines, the newest in sight unless somebody scrolled up. Only lines in sight are painted.
pub fn log_lines(ui: &mut Ui, drill: &DrillScene, filter: Filter, cx: &Cx<'_>) {
    let t = cx.tokens;
    let lines: Vec<&LogLine> = drill.log.iter().filter(|line| filter.shows(line.kind)).collect();
    if lines.is_empty() {
        widgets::dim(
            ui,
            if drill.log.is_empty() {
                cx.say.log_empty()
            } else {
                cx.say.log_no_such()
            },
        );
        return;
    }
    let width = ui.available_width();
    let indent = if width > 250.0 { 70.0 } else { 66.0 };
    ScrollArea::vertical()
        .id_salt("log")
        .auto_shrink(false)
        .stick_to_bottom(true)
        .show_viewport(ui, |ui, sight| {
            let origin = ui.min_rect().min;
            let mut y = 0.0;
            for line in lines {
                let words = ui.painter().layout(
                    line.words.clone(),
                    regular(size::NOTE),
                    t.text,
                    width - indent - 4.0,
                );
                let height = 18.0 + words.size().y + 13.0;
                if y + height >= sight.top() && y <= sight.bottom() {
                    let at = origin + vec2(0.0, y);
                    let painter = ui.painter();
                    let time = words::clock(line.at.wall_ms, cx.zone);
                    painter.text(
                        at + vec2(0.0, 1.0),
                        egui::Align2::LEFT_TOP,
                        time,
                        mono(size::SMALL),
                        t.dim,
                    );
                    let ink = ink(line, t);
                    painter.text(
                        at + vec2(indent, 0.0),
                        egui::Align2::LEFT_TOP,
                        &line.title,
                        medium(size::NOTE),
                        ink,
                    );
                    painter.galley(at + vec2(indent, 18.0), words, t.text);
                    let below = at.y + height - 6.0;
                    painter.hline(at.x..=at.x + width - 4.0, below, egui::Stroke::new(1.0, t.line));
                }
                y += height;
            }
            ui.set_height(y);
            ui.set_width(width);
        });
}

fn ink(line: &LogLine, t: &Tokens) -> egui::Color32 {
    match line.kind {
        LogKind::Phase => t.steady,
        LogKind::Fault => t.fault,
        LogKind::Agent => t.text,
        LogKind::Sample => t.out,
        LogKind::Person => t.people,
        LogKind::End => t.strong,
    }
}

fn is_on(injection: &InjectionScene) -> bool {
    injection.state.is_none_or(|state| !state.is_off())
}

/// The faults to show: those that are on, else the last that was.
fn shown(drill: &DrillScene) -> Vec<&InjectionScene> {
    let on: Vec<_> = drill
        .injections
        .iter()
        .filter(|injection| is_on(injection))
        .collect();
    if on.is_empty() {
        drill.injections.last().into_iter().collect()
    } else {
        on
    }
}

fn fault_height(drill: &DrillScene) -> f32 {
    let shown = shown(drill);
    let lever = shown.iter().any(|it| it.lever.is_some());
    let lever = if lever { lever::HEIGHT } else { 0.0 };
    match shown.len() + 2 * drill.safety.actions.len() {
        0 => 118.0,
        1 => 186.0 + lever,
        _ => 300.0 + lever,
    }
}

fn faults(ui: &mut Ui, drill: &DrillScene, levers: &mut Levers, cx: &mut Cx<'_>) {
    let shown = shown(drill);
    if shown.is_empty() {
        next(ui, drill);
        return;
    }
    let mut asked = None;
    ScrollArea::vertical()
        .id_salt("faults")
        .auto_shrink(false)
        .show(ui, |ui| {
            for (i, injection) in shown.into_iter().enumerate() {
                if i > 0 {
                    widgets::rule(ui);
                }
                fault(ui, drill, injection, levers, cx);
            }
            asked = actions(ui, drill, cx.only_looks());
        });
    if let Some(action) = asked {
        cx.ask(Ask::RunAction(action));
    }
}

/// Emergency actions, sent by hand while the drill runs; gives which.
fn actions(ui: &mut Ui, drill: &DrillScene, past: bool) -> Option<usize> {
    let say = Say::of(ui);
    let mut asked = None;
    if drill.safety.actions.is_empty() {
        return None;
    }
    widgets::rule(ui);
    widgets::title(ui, say.actions());
    for action in &drill.safety.actions {
        widgets::one_line(ui, rich(&action.what, mono(size::SMALL), Tokens::of(ui).text));
        widgets::dim(ui, say.action_when(&action.when));
        if let Some(last) = action.sent.last() {
            let t = Tokens::of(ui);
            widgets::small(ui, last, if action.failed { t.out } else { t.text });
        }
        if drill.verdict.is_none() && !past {
            let label = say.action_send(action.index + 1);
            if widgets::button(ui, &label).clicked() {
                asked = Some(action.index);
            }
        }
    }
    asked
}

fn next(ui: &mut Ui, drill: &DrillScene) {
    let say = Say::of(ui);
    widgets::title(ui, say.fault_none_yet());
    match drill.planned.iter().find(|step| !step.wait) {
        Some(step) if drill.verdict.is_none() => {
            let length = words::span_ms(say, (step.until_us - step.from_us) / 1_000);
            widgets::text(ui, say.fault_next(&step.label, length));
            widgets::dim(ui, say.fault_next_words());
        }
        _ => drop(widgets::dim(ui, say.fault_never())),
    }
}

fn fault(ui: &mut Ui, drill: &DrillScene, injection: &InjectionScene, levers: &mut Levers, cx: &mut Cx<'_>) {
    let t = cx.tokens;
    ui.spacing_mut().item_spacing.y = 5.0;
    let now = cx.drill_now_us(drill);
    let left_ms = injection.ends_us.saturating_sub(now) / 1_000;
    let (word, colour) = how_it_stands(injection, left_ms, cx);
    widgets::ends(
        ui,
        20.0,
        |ui| drop(ui.label(rich(&injection.fault, medium(size::BODY), t.strong))),
        |ui| drop(ui.label(rich(word, medium(size::BODY), colour))),
    );
    widgets::dim(ui, format!("{} · {}", injection.agent, injection.scope));
    widgets::text(ui, &injection.strength);
    if let (true, Some(from)) = (is_on(injection), injection.from_us) {
        let whole = injection.ends_us.saturating_sub(from).max(1);
        let done = now.saturating_sub(from) as f32 / whole as f32;
        widgets::progress(ui, done, t.fault, ui.available_width());
    }
    if !injection.evidence.is_empty() {
        widgets::small(ui, &injection.evidence, t.text);
    }
    levers.ui(ui, injection, cx);
    if let Some(lease) = drill.lease_left_ms.filter(|_| is_on(injection)) {
        widgets::lease(ui, lease.saturating_sub(cx.since_ms));
    }
    match (injection.state, &injection.by_hand) {
        (Some(InjectionState::Unconfirmed), Some(words)) => {
            drop(widgets::small(ui, cx.say.by_hand(words), t.out));
        }
        (Some(InjectionState::Refused | InjectionState::Failed), Some(words)) => {
            drop(widgets::small(ui, words, t.out));
        }
        _ => {}
    }
}

fn how_it_stands(injection: &InjectionScene, left_ms: u64, cx: &Cx<'_>) -> (String, egui::Color32) {
    let (t, say) = (cx.tokens, cx.say);
    if injection.state == Some(InjectionState::Active) {
        return (say.ends_in(words::span_ms(say, left_ms)), t.fault);
    }
    let (word, ink) = match injection.state {
        None => (say.injection_asked(), t.fault),
        Some(InjectionState::Starting | InjectionState::Active) => (say.injection_starting(), t.fault),
        Some(InjectionState::Reverting) => (say.injection_reverting(), t.fault),
        Some(InjectionState::Reverted) if injection.proved => (say.injection_proved(), t.steady),
        Some(InjectionState::Reverted) => (say.injection_reverted(), t.steady),
        Some(InjectionState::Done) => (say.injection_done(), t.steady),
        Some(InjectionState::Refused) => (say.injection_refused(), t.out),
        Some(InjectionState::Failed) => (say.injection_failed(), t.out),
        Some(InjectionState::Unconfirmed) => (say.injection_unconfirmed(), State::Bad.colour(t)),
    };
    (word.to_owned(), ink)
}
