//! The Stage: what a room reads at ten metres. The state in one sentence, two or three indicators, what happens
//! next, and ABORT. Everything grows and shrinks with the window but ABORT, which is as large as everywhere.
//!
//! Sealed it is drawn from a scene in which nothing stands ([`Scene::told`]), so that it cannot give anything away.

mod choice;

use egui::{CornerRadius, Id, Key, Modifiers, Rect, Stroke, StrokeKind, Ui, pos2, text::LayoutJob, vec2};
use firedrill_drill::{HoldStage, Outcome, Phase, SliState};
use firedrill_scene::{AbortScene, DrillScene, Ours, Scene, SliScene, Viewer};
use jiff::tz::TimeZone;

use self::choice::{Choice, choose};
use super::live::{Dress, PlotSource, Window, bare_plot};
use crate::{
    View,
    cx::Cx,
    messages::Say,
    ours,
    shell::{self, Places},
    theme::{Tokens, medium, motion, radius, regular, size},
    widgets::{self, State, rich},
    words::{self, Scale},
};

/// What was done in a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acts {
    /// ABORT was pressed.
    pub abort: bool,
    /// It is to be closed.
    pub close: bool,
    /// It is to fill the screen, or no more.
    pub fill: bool,
}

/// Draws it over the whole window. The hot key of ABORT is the caller's.
pub fn ui(ui: &mut Ui, scene: &Scene, since_ms: u64, zone: &TimeZone, sealed: bool) -> Acts {
    let window = ui.ctx().content_rect();
    ui.set_clip_rect(window);
    let told = scene.told(Viewer::Room, sealed);
    let (sealed, shown) = (scene.redaction(sealed).hides(), &told.scene);
    let mut wishes = Vec::new();
    let cx = Cx {
        scene: shown,
        since_ms,
        zone,
        tokens: Tokens::of(ui),
        say: Say::of(ui),
        view: View::Live,
        past: false,
        goto: None,
        language: None,
        wishes: &mut wishes,
    };
    ui.painter().rect_filled(window, 0.0, cx.tokens.ground);
    let sheet = Sheet::of(window);
    let (heading, second) = if sealed {
        sealed_words(shown, cx.say)
    } else {
        says(&cx, &slis(ui, &cx))
    };
    match &shown.drill {
        Some(drill) if drill.slis.iter().any(|sli| !sli.series.is_empty()) => {
            let below = sheet.heading(ui, &heading, second.as_deref(), &cx);
            let foot = sheet.foot(ui, &cx);
            let place = Rect::from_min_max(
                pos2(window.left() + sheet.margin, below + sheet.points(24.0)),
                pos2(window.right() - sheet.margin, foot.top() - sheet.points(24.0)),
            );
            sheet.cards(ui, place, drill, &slis(ui, &cx), &cx);
        }
        _ => {
            sheet.large(ui, &heading, second.as_deref(), cx.tokens);
            sheet.foot(ui, &cx);
        }
    }
    let place = Places::of(window).abort;
    let abort = shell::abort(ui, place, &cx);
    let moving = cx.running() || (shown.abort.pressed_ms.is_some() && !shown.abort.finished);
    // A clock that stands still would lie, and a sealed one that moves otherwise would tell.
    let second = std::time::Duration::from_millis(1_000 - cx.now_ms().rem_euclid(1_000) as u64);
    ui.ctx()
        .request_repaint_after(if moving { motion::TICK } else { second });
    let close = ui.input_mut(|input| {
        input.consume_key(Modifiers::NONE, Key::Escape) || input.consume_key(Modifiers::NONE, Key::F11)
    });
    let twice = ui.input(|input| {
        let pointer = &input.pointer;
        pointer.button_double_clicked(egui::PointerButton::Primary)
            && pointer.interact_pos().is_some_and(|at| !place.contains(at))
    });
    Acts {
        abort,
        close,
        fill: twice,
    }
}

/// The ABORT window: the sentence, and ABORT as large as there is room. Gives whether it was pressed.
pub fn abort_only(ui: &mut Ui, scene: &Scene, since_ms: u64, zone: &TimeZone, sealed: bool) -> bool {
    let window = ui.ctx().content_rect();
    ui.set_clip_rect(window);
    let told = scene.told(Viewer::Room, sealed);
    let (sealed, shown) = (scene.redaction(sealed).hides(), &told.scene);
    let mut wishes = Vec::new();
    let cx = Cx {
        scene: shown,
        since_ms,
        zone,
        tokens: Tokens::of(ui),
        say: Say::of(ui),
        view: View::Live,
        past: false,
        goto: None,
        language: None,
        wishes: &mut wishes,
    };
    let t = cx.tokens;
    ui.painter().rect_filled(window, 0.0, t.panel);
    let inside = window.shrink(10.0);
    let (top, button) = inside.split_top_bottom_at_y(inside.top() + 40.0);
    let (state, sentence) = if sealed {
        (State::Waiting, cx.say.stage_exercise().to_owned())
    } else {
        let (state, sentence, rest) = ours::ours(&cx);
        let until = rest.split(" · ").next().unwrap_or_default();
        (
            state,
            if until.is_empty() {
                sentence
            } else {
                cx.say.and_then(sentence, until)
            },
        )
    };
    let ink = match state {
        State::Good | State::Waiting => t.text,
        other => other.colour(t),
    };
    widgets::region(ui, top, |ui| {
        let mut job = LayoutJob::simple(sentence, medium(size::BODY), ink, top.width());
        job.wrap.max_rows = 2;
        ui.label(job);
    });
    shell::abort(ui, button, &cx)
}

/// What a sealed drill says: an exercise, and whether it was stopped.
pub fn sealed_words(scene: &Scene, say: Say) -> (String, Option<String>) {
    match (scene.abort.pressed_ms, scene.abort.finished) {
        (None, _) => (
            say.stage_exercise().into(),
            Some(say.stage_whoever_sees_harm().into()),
        ),
        (Some(_), false) => (say.stage_exercise_stopping().into(), None),
        (Some(_), true) => (say.stage_exercise_stopped().into(), None),
    }
}

/// The indicators that matter most now.
fn slis(ui: &Ui, cx: &Cx<'_>) -> Vec<usize> {
    let Some(drill) = &cx.scene.drill else {
        return Vec::new();
    };
    let now_us = cx.drill_now_us(drill);
    ui.data_mut(|data| {
        let choice = data.get_temp_mut_or_default::<Choice>(Id::unique("stage's choice"));
        *choice = choose(choice, &drill.id, &drill.slis, now_us);
        choice.slis.clone()
    })
}

/// The state in one sentence, and what people of the system feel, or expect.
fn says(cx: &Cx<'_>, shown: &[usize]) -> (String, Option<String>) {
    let say = cx.say;
    if let Some(words) = aborting(&cx.scene.abort, say) {
        return words;
    }
    let ours = ours::ours(cx).1;
    let Some(drill) = &cx.scene.drill else {
        return (say.stage_no_drill().into(), Some(sentence(&ours)));
    };
    let progress = drill.progress.as_ref().map(|(_, words)| words.as_str());
    let felt = felt(drill, shown, say);
    match drill.phase {
        Phase::Preflight => (
            with(say, &drill.experiment, progress, say.stage_checking()),
            Some(drill.hypothesis.clone()),
        ),
        Phase::Baseline => (
            with(say, say.stage_nothing_yet(), progress, say.stage_waiting()),
            Some(drill.hypothesis.clone()),
        ),
        Phase::Arming => (say.stage_ready().into(), Some(drill.hypothesis.clone())),
        Phase::Inject if drill.hold.is_some() => (held(drill, say).to_owned(), felt),
        Phase::Inject => {
            let words = match (&cx.scene.ours, &drill.say) {
                (Ours::On { .. }, Some(own)) => sentence(own),
                _ => sentence(&ours),
            };
            (words, felt)
        }
        Phase::Closing => (say.stage_closing().into(), felt),
        Phase::Recover => {
            let off = matches!(cx.scene.ours, Ours::Nothing { .. });
            let words = if off {
                say.stage_recovering().to_owned()
            } else {
                sentence(&ours)
            };
            (words, felt)
        }
        Phase::Verdict => verdict(drill, say),
    }
}

fn held(drill: &DrillScene, say: Say) -> &'static str {
    match drill.hold.as_ref().map(|hold| hold.stage) {
        Some(HoldStage::Reverting) => say.stage_held_reverting(),
        Some(HoldStage::Baseline { .. }) => say.stage_held_baseline(),
        Some(HoldStage::Held) | None => say.stage_held(),
    }
}

fn with(say: Say, begin: &str, progress: Option<&str>, else_words: &str) -> String {
    sentence(&say.namely(begin, progress.unwrap_or(else_words)))
}

fn verdict(drill: &DrillScene, say: Say) -> (String, Option<String>) {
    let Some(verdict) = &drill.verdict else {
        return (say.stage_over().into(), None);
    };
    let words = match verdict.outcome {
        Outcome::Held => say.stage_it_held(),
        Outcome::Broken => say.stage_it_broke(),
        Outcome::Inconclusive => say.stage_inconclusive(),
        Outcome::Aborted => say.stage_aborted(),
    };
    let why = verdict.reasons.first().map(|reason| sentence(&reason.words));
    (words.into(), why)
}

fn aborting(abort: &AbortScene, say: Say) -> Option<(String, Option<String>)> {
    abort.pressed_ms?;
    let (all, proved) = (abort.rows.len(), abort.proved);
    let lost: Vec<String> = abort
        .rows
        .iter()
        .filter(|row| row.stage == firedrill_scene::AbortStage::Unconfirmed)
        .map(|row| row.agent.clone())
        .collect();
    let words = match (abort.finished, all) {
        (_, 0) => say.stage_stopped_none().to_owned(),
        (_, all) if proved == all => say.stage_stopped_clean(say.agents(all)),
        (false, _) => say.stage_stopping(proved, say.agents(all)),
        (true, _) => say.stage_not_clean(all - proved, say.agents(all)),
    };
    let second = (!lost.is_empty()).then(|| say.stage_no_answer(words::names(say, &lost)));
    Some((words, second))
}

/// What the shown indicators say: in the plan's words where it has them.
fn felt(drill: &DrillScene, shown: &[usize], say: Say) -> Option<String> {
    let shown: Vec<&SliScene> = shown.iter().filter_map(|i| drill.slis.get(*i)).collect();
    let mut parts: Vec<String> = shown
        .iter()
        .filter_map(|sli| match sli.state {
            SliState::NoData => Some(say.stage_not_seen(&sli.name)),
            SliState::Out => {
                let own = sli.say.out.as_deref().map(sentence);
                Some(own.unwrap_or_else(|| say.stage_is_out(&sli.name)))
            }
            SliState::Steady | SliState::Tolerated => sli.say.ok.as_deref().map(sentence),
        })
        .collect();
    if parts.is_empty() && !shown.is_empty() {
        let steady = shown.iter().all(|sli| sli.state == SliState::Steady);
        parts.push(
            if steady {
                say.stage_steady()
            } else {
                say.stage_tolerated()
            }
            .to_owned(),
        );
    }
    (!parts.is_empty()).then(|| parts.join(say.between_sentences()))
}

/// With a capital and a full stop.
fn sentence(words: &str) -> String {
    let mut letters = words.trim().chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    let rest = letters.as_str();
    let stop = if rest.ends_with(['.', '!', '?', '…', '。', '！', '？']) {
        ""
    } else if rest.is_ascii() {
        "."
    } else {
        // Words may be the plan's, in whatever language it is written.
        match rest.chars().last() {
            Some('\u{2e80}'..) => "。",
            _ => ".",
        }
    };
    format!("{}{rest}{stop}", first.to_uppercase())
}

/// What happens next if nobody does anything.
fn fuse_words(drill: &DrillScene, say: Say) -> Option<String> {
    if drill.phase != Phase::Inject || drill.hold.is_some() {
        return None;
    }
    let left = drill
        .slis
        .iter()
        .filter(|sli| sli.bad_in_row > 0)
        .map(|sli| sli.stop.after().saturating_sub(sli.bad_in_row))
        .min()?;
    Some(match left {
        0 => say.stage_fuse_burnt().to_owned(),
        more => say.stage_fuse(more as usize),
    })
}

/// The fault that is on, or that none is.
fn fault_words(cx: &Cx<'_>) -> Option<(String, egui::Color32)> {
    let t = cx.tokens;
    match &cx.scene.ours {
        Ours::On {
            faults, ends_in_ms, ..
        } => {
            let left = words::span_ms(cx.say, ends_in_ms.saturating_sub(cx.since_ms));
            Some((cx.say.stage_faults_end(*faults, left), t.fault))
        }
        Ours::MayBeOn { agents } => Some((cx.say.stage_may_be_on(words::names(cx.say, agents)), t.out)),
        Ours::Nothing { .. } if cx.scene.drill.is_some() => Some((cx.say.ours_nothing().to_owned(), t.text)),
        Ours::Nothing { .. } | Ours::Unknown => None,
    }
}

/// Sizes and places at a window's size.
struct Sheet {
    window: Rect,
    /// 1 at 1920 × 1080.
    scale: f32,
    margin: f32,
}

impl Sheet {
    fn of(window: Rect) -> Self {
        let scale = (window.width() / 1920.0).min(window.height() / 1080.0);
        Self {
            window,
            scale,
            margin: 40.0 * scale,
        }
    }

    fn points(&self, at_full_size: f32) -> f32 {
        at_full_size * self.scale
    }

    /// Sentence and second line, left of ABORT. Gives where they end.
    fn heading(&self, ui: &mut Ui, heading: &str, second: Option<&str>, cx: &Cx<'_>) -> f32 {
        let t = cx.tokens;
        let abort = Places::of(self.window).abort;
        let place = Rect::from_min_max(
            self.window.min + vec2(self.margin, self.points(24.0)),
            pos2(abort.left() - self.margin, self.window.center().y),
        );
        let font = self.points(size::STAGE_TITLE);
        let used = widgets::region(ui, place, |ui| {
            ui.spacing_mut().item_spacing.y = self.points(4.0);
            ui.label(rich(heading, medium(font), t.strong));
            if let Some(second) = second {
                let mut job = LayoutJob::simple(second.to_owned(), regular(font), t.text, place.width());
                job.wrap.max_rows = 2;
                ui.label(job);
            }
            ui.min_rect().bottom()
        });
        // Two lines' room at least, so that cards stand still when one of them is empty.
        used.max(place.top() + self.points(2.4 * size::STAGE_TITLE))
            .max(abort.bottom())
    }

    /// The sentence alone, in the middle.
    fn large(&self, ui: &mut Ui, heading: &str, second: Option<&str>, t: &Tokens) {
        let height = self.points(3.2 * size::STAGE_NUMBER);
        let place = Rect::from_center_size(
            self.window.center(),
            vec2(self.window.width() - 4.0 * self.margin, height),
        );
        widgets::region(ui, place, |ui| {
            ui.spacing_mut().item_spacing.y = self.points(24.0);
            ui.vertical_centered(|ui| {
                ui.label(rich(
                    heading,
                    medium(self.points(size::STAGE_NUMBER * 0.9)),
                    t.strong,
                ));
                if let Some(second) = second {
                    ui.label(rich(second, regular(self.points(size::STAGE_TITLE)), t.text));
                }
            });
        });
    }

    /// The fault and the fuse in words, and the clock. Gives its place.
    fn foot(&self, ui: &mut Ui, cx: &Cx<'_>) -> Rect {
        let t = cx.tokens;
        let height = self.points(1.25 * size::STAGE);
        let place = Rect::from_min_max(
            pos2(
                self.window.left() + self.margin,
                self.window.bottom() - self.points(28.0) - height,
            ),
            pos2(
                self.window.right() - self.margin,
                self.window.bottom() - self.points(28.0),
            ),
        );
        let font = || regular(self.points(size::STAGE));
        let fault = fault_words(cx);
        let aborting = cx.scene.abort.pressed_ms.is_some();
        let fuse = cx.scene.drill.as_ref().filter(|_| !aborting);
        let fuse = fuse.and_then(|drill| fuse_words(drill, cx.say));
        widgets::region(ui, place, |ui| {
            widgets::ends(
                ui,
                height,
                |ui| {
                    ui.spacing_mut().item_spacing.x = self.points(56.0);
                    if let Some((words, ink)) = fault {
                        ui.label(rich(words, font(), ink));
                    }
                    if let Some(fuse) = fuse {
                        widgets::one_line(ui, rich(fuse, font(), t.strong));
                    }
                },
                |ui| {
                    let clock = words::clock(cx.now_ms(), cx.zone);
                    ui.label(rich(clock, regular(self.points(size::STAGE_SMALL)), t.dim));
                },
            );
        });
        place
    }

    fn cards(&self, ui: &mut Ui, place: Rect, drill: &DrillScene, shown: &[usize], cx: &Cx<'_>) {
        let slis: Vec<&SliScene> = shown.iter().filter_map(|i| drill.slis.get(*i)).collect();
        let gap = self.points(26.0);
        let count = slis.len().max(1) as f32;
        let width = (place.width() - gap * (count - 1.0)) / count;
        let inner = width - 2.0 * self.points(28.0);
        // All cards alike: the word beside the name where that fits on each of them.
        let beside = slis.iter().all(|sli| self.name_and_word(ui, sli) < inner);
        for (i, sli) in slis.into_iter().enumerate() {
            let left = place.left() + i as f32 * (width + gap);
            let card = Rect::from_min_size(pos2(left, place.top()), vec2(width, place.height()));
            ui.push_id(("stage", &sli.name), |ui| {
                self.card(ui, card, sli, drill, beside, cx);
            });
        }
    }

    /// How wide both are, with a gap.
    fn name_and_word(&self, ui: &Ui, sli: &SliScene) -> f32 {
        let font = || regular(self.points(size::STAGE));
        let ink = Tokens::of(ui).strong;
        let wide = |words: &str| {
            ui.painter()
                .layout_no_wrap(words.to_owned(), font(), ink)
                .size()
                .x
        };
        wide(&sli.name) + wide(widgets::word(Say::of(ui), sli.state)) + self.points(90.0)
    }

    fn card(&self, ui: &mut Ui, card: Rect, sli: &SliScene, drill: &DrillScene, beside: bool, cx: &Cx<'_>) {
        let t = cx.tokens;
        let out = sli.state == SliState::Out;
        let (edge, width) = if out { (t.out, 3.5) } else { (t.line, 1.5) };
        let corner = CornerRadius::same(radius::LARGE);
        let stroke = Stroke::new(self.points(width).max(1.0), edge);
        ui.painter()
            .rect(card, corner, t.card, stroke, StrokeKind::Inside);
        let inside = card.shrink(self.points(28.0));
        let scale = Scale::of_sli(sli);
        let row = self.points(1.25 * size::STAGE);
        let top = widgets::region(ui, inside, |ui| {
            ui.spacing_mut().item_spacing.y = self.points(4.0);
            let name = |ui: &mut Ui| {
                drop(widgets::one_line(
                    ui,
                    rich(&sli.name, regular(self.points(size::STAGE)), t.strong),
                ));
            };
            if beside {
                widgets::ends(ui, row, name, |ui| self.state(ui, sli, cx));
            } else {
                name(ui);
            }
            widgets::stat(
                ui,
                sli,
                scale,
                [self.points(size::STAGE_NUMBER), self.points(size::STAGE)],
            );
            if !beside {
                ui.horizontal(|ui| self.state(ui, sli, cx));
            }
            ui.min_rect().bottom()
        });
        let plot = inside.with_min_y(top + self.points(20.0));
        let now_us = cx.drill_now_us(drill);
        let window = if drill.verdict.is_some() {
            Window::whole(now_us)
        } else {
            Window::default()
        };
        let source = PlotSource {
            sli,
            injections: &drill.injections,
            before: None,
            now_us,
            scale,
        };
        let dress = Dress {
            letters: self.points(size::STAGE_SMALL),
            bold: (2.0 * self.scale).max(1.0),
        };
        bare_plot(ui, plot, &source, &window, dress);
    }

    fn state(&self, ui: &mut Ui, sli: &SliScene, cx: &Cx<'_>) {
        let state = State::from(sli.state);
        let points = self.points(size::STAGE);
        let word = widgets::word(cx.say, sli.state);
        let galley = ui
            .painter()
            .layout_no_wrap(word.to_owned(), regular(points), state.colour(cx.tokens));
        let wanted = vec2(galley.size().x + points * 0.95, galley.size().y);
        let (rect, response) = ui.allocate_exact_size(wanted, egui::Sense::hover());
        let centre = pos2(rect.left() + points * 0.36, rect.center().y);
        widgets::shape(ui.painter(), centre, points * 0.33, state, cx.tokens);
        let ink = state.colour(cx.tokens);
        ui.painter()
            .galley(pos2(rect.left() + points * 0.95, rect.top()), galley, ink);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_have_a_capital_and_a_stop() {
        assert_eq!(sentence("payment is slow"), "Payment is slow.");
        assert_eq!(sentence("Payment is slow. "), "Payment is slow.");
        assert_eq!(sentence(""), "");
    }
}
