//! The responder's window: what people on call see by their own monitoring, the clocks of what they do, and ABORT.
//!
//! It is drawn from [`Scene::told`] alone, so that before the reveal it knows nothing of what is injected; after the
//! reveal it says everything.

use egui::{
    Align2, Context, CornerRadius, Id, Key, Modifiers, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui,
    WidgetInfo, pos2, vec2,
};
use firedrill_drill::{Outcome, SliState};
use firedrill_gameday::Clock;
use firedrill_scene::{Ask, DrillScene, Fired, GameDayAsk, Scene, SliScene, Viewer};
use jiff::tz::TimeZone;

use super::live::{Dress, PlotSource, Window, bare_plot};
use crate::{
    View,
    commands::Command,
    cx::Cx,
    messages::Say,
    shell::{self, Places},
    theme::{Tokens, medium, motion, radius, regular, size, space},
    widgets::{self, State, rich},
    words::{self, Scale},
};

/// What was done in a frame.
#[derive(Debug, Default)]
pub struct Acts {
    /// ABORT was pressed.
    pub abort: bool,
    /// It is no exercise: abort, and tell everybody what it is.
    pub incident: bool,
    /// It is to be closed.
    pub close: bool,
    /// Everything else.
    pub asks: Vec<Ask>,
}

/// Width of what people do.
const SIDE: f32 = 316.0;
/// Height of a clock's button: a hand that is in a hurry finds it.
const CLOCK: f32 = 46.0;
/// A card is not smaller than this, nor wider than [`WIDE`].
const NARROW: f32 = 300.0;
const WIDE: f32 = 620.0;

/// Draws it over the whole window. The hot key of ABORT is the caller's.
pub fn ui(ui: &mut Ui, scene: &Scene, since_ms: u64, zone: &TimeZone, sealed: bool) -> Acts {
    let window = ui.ctx().content_rect();
    ui.set_clip_rect(window);
    let told = scene.told(Viewer::Responder, sealed);
    let hidden = scene.redaction(sealed).hides();
    let mut wishes = Vec::new();
    let mut cx = Cx {
        scene: &told.scene,
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
    ui.painter().rect_filled(window, 0.0, t.ground);
    let places = Places::of(window);
    ui.painter().rect_filled(places.header, 0.0, t.panel);
    let line = Stroke::new(1.0, t.line);
    ui.painter().hline(window.x_range(), places.header.bottom(), line);
    let incident = header(ui, &places, hidden, &cx);
    let body = window.with_min_y(places.header.bottom()).shrink(space::M);
    let (left, right) = body.split_left_right_at_x(body.right() - SIDE);
    let left = left.with_max_x(left.right() - space::M);
    symptoms(ui, left, hidden, &cx);
    widgets::card_at(ui, right, |ui| side(ui, &mut cx));
    keys(ui, &mut cx);
    let close = ui.input_mut(|input| {
        input.consume_key(Modifiers::NONE, Key::Escape) || input.consume_key(Modifiers::NONE, Key::F10)
    });
    let abort = shell::abort(ui, places.abort, &cx);
    // Sealed it moves at the same pace whatever happens.
    ui.ctx()
        .request_repaint_after(if hidden { motion::TICK * 10 } else { motion::TICK });
    Acts {
        abort,
        incident,
        close,
        asks: wishes,
    }
}

/// The state in one sentence, the time, and beside ABORT the button that says why. Gives whether that was pressed.
fn header(ui: &mut Ui, places: &Places, hidden: bool, cx: &Cx<'_>) -> bool {
    let (t, say) = (cx.tokens, cx.say);
    let incident = Rect::from_min_size(
        places.abort.left_top() - vec2(158.0 + space::M, 0.0),
        vec2(158.0, places.abort.height()),
    );
    let words = Rect::from_min_max(
        places.header.min + vec2(space::L, 14.0),
        pos2(incident.left() - space::L, places.header.bottom()),
    );
    let (title, second) = match (cx.scene.abort.pressed_ms, cx.scene.abort.finished) {
        (Some(_), false) => (say.stage_exercise_stopping().to_owned(), String::new()),
        (Some(_), true) => (say.stage_exercise_stopped().to_owned(), String::new()),
        (None, _) if hidden => (
            say.stage_exercise().to_owned(),
            say.responder_what_you_see().to_owned(),
        ),
        (None, _) => match &cx.scene.drill {
            Some(drill) => (say.responder_it_was(&drill.experiment), drill.hypothesis.clone()),
            None => (say.stage_no_drill().to_owned(), String::new()),
        },
    };
    widgets::region(ui, words, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        widgets::ends(
            ui,
            32.0,
            |ui| {
                drop(widgets::one_line(
                    ui,
                    rich(title, medium(size::HEADLINE), t.strong),
                ));
            },
            |ui| {
                drop(ui.label(rich(
                    words::clock(cx.now_ms(), cx.zone),
                    regular(size::HEADLINE),
                    t.text,
                )));
            },
        );
        widgets::one_line(ui, rich(second, regular(size::BODY), t.text));
    });
    real_incident(ui, incident, say)
}

/// As large as ABORT and not red: there is one red thing.
fn real_incident(ui: &mut Ui, place: Rect, say: Say) -> bool {
    let t = Tokens::of(ui);
    let response = ui.interact(place, Id::unique("real incident"), Sense::click());
    let corner = CornerRadius::same(radius::LARGE);
    let fill = if response.hovered() { t.raised } else { t.card };
    ui.painter()
        .rect(place, corner, fill, Stroke::new(1.5, t.abort), StrokeKind::Inside);
    if response.has_focus() {
        let ring = Stroke::new(2.0, t.series);
        ui.painter()
            .rect_stroke(place.expand(3.0), corner, ring, StrokeKind::Middle);
    }
    let label = say.responder_real();
    ui.painter().text(
        place.center() - vec2(0.0, 9.0),
        Align2::CENTER_CENTER,
        label,
        medium(size::LARGE),
        t.strong,
    );
    ui.painter().text(
        place.center() + vec2(0.0, 14.0),
        Align2::CENTER_CENTER,
        say.responder_real_short(),
        regular(size::SMALL),
        t.text,
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, label));
    response.on_hover_text(say.responder_real_tip()).clicked()
}

/// A card an indicator; after the reveal what it was stands above them.
fn symptoms(ui: &mut Ui, place: Rect, hidden: bool, cx: &Cx<'_>) {
    let drill = cx.scene.drill.as_ref().filter(|drill| !drill.slis.is_empty());
    let Some(drill) = drill else {
        widgets::card_at(ui, place, |ui| {
            widgets::empty(
                ui,
                cx.say.responder_empty(),
                cx.say.responder_empty_words(),
                |_| {},
            );
        });
        return;
    };
    let mut rest = place;
    if !hidden {
        let lines = revealed(drill, cx);
        let height = 30.0 + 22.0 * lines.len() as f32;
        let (top, below) = rest.split_top_bottom_at_y(rest.top() + height + space::M);
        widgets::card_at(ui, top.with_max_y(top.bottom() - space::M), |ui| {
            ui.spacing_mut().item_spacing.y = space::XS;
            for (ink, line) in lines {
                widgets::one_line(ui, rich(line, regular(size::BODY), ink));
            }
        });
        rest = below;
    }
    cards(ui, rest, drill, cx);
}

/// What it was, a line each.
fn revealed(drill: &DrillScene, cx: &Cx<'_>) -> Vec<(egui::Color32, String)> {
    let (t, say) = (cx.tokens, cx.say);
    let mut lines: Vec<(egui::Color32, String)> = drill
        .injections
        .iter()
        .take(4)
        .map(|it| {
            let time = |us: Option<u64>| us.map_or_else(|| "–".to_owned(), |us| cx.clock_of(drill, us));
            let what = format!("{} {}", it.fault, it.strength);
            let words = say.responder_fault(what.trim(), &it.agent, time(it.from_us), time(it.until_us));
            (t.fault, words)
        })
        .collect();
    if let Some(verdict) = &drill.verdict {
        let word = match verdict.outcome {
            Outcome::Held => say.stage_it_held(),
            Outcome::Broken => say.stage_it_broke(),
            Outcome::Inconclusive => say.stage_inconclusive(),
            Outcome::Aborted => say.stage_aborted(),
        };
        let why = verdict.reasons.first().map_or("", |reason| &reason.words);
        lines.push((t.text, say.namely(word.trim_end_matches(['.', '。']), why)));
    }
    lines
}

fn cards(ui: &mut Ui, place: Rect, drill: &DrillScene, cx: &Cx<'_>) {
    let many = drill.slis.len();
    // As many beside one another as are wide enough; never more than there are.
    let most = ((place.width() + space::M) / (NARROW + space::M))
        .floor()
        .max(1.0) as usize;
    let columns = (1..=most.min(many))
        .find(|columns| many.div_ceil(*columns) <= 2 && place.width() / *columns as f32 <= WIDE + space::M)
        .unwrap_or(most.min(many));
    let rows = many.div_ceil(columns);
    let height = ((place.height() - space::M * (rows - 1) as f32) / rows as f32).max(150.0);
    for (index, sli) in drill.slis.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        // The last row's share the whole width.
        let beside = columns.min(many - row * columns);
        let width = (place.width() - space::M * (beside - 1) as f32) / beside as f32;
        let at = pos2(
            place.left() + column as f32 * (width + space::M),
            place.top() + row as f32 * (height + space::M),
        );
        let card = Rect::from_min_size(at, vec2(width, height));
        ui.push_id(("symptom", &sli.name), |ui| one(ui, card, sli, drill, cx));
    }
}

fn one(ui: &mut Ui, card: Rect, sli: &SliScene, drill: &DrillScene, cx: &Cx<'_>) {
    let t = cx.tokens;
    let out = sli.state == SliState::Out;
    let (edge, thick) = if out { (t.out, 2.0) } else { (t.line, 1.0) };
    let corner = CornerRadius::same(radius::LARGE);
    ui.painter()
        .rect(card, corner, t.card, Stroke::new(thick, edge), StrokeKind::Inside);
    let inside = card.shrink(space::L);
    let scale = Scale::of_sli(sli);
    let top = widgets::region(ui, inside, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        widgets::ends(
            ui,
            24.0,
            |ui| {
                drop(widgets::one_line(
                    ui,
                    rich(&sli.name, medium(size::LARGE), t.strong),
                ));
            },
            |ui| {
                let state = State::from(sli.state);
                let word = widgets::word(cx.say, sli.state);
                ui.label(rich(word, medium(size::BODY), state.colour(t)));
                let (rect, _) = ui.allocate_exact_size(vec2(16.0, 16.0), Sense::hover());
                widgets::shape(ui.painter(), rect.center(), 5.5, state, t);
            },
        );
        widgets::stat(ui, sli, scale, [size::NUMBER * 1.2, size::LARGE]);
        ui.min_rect().bottom()
    });
    let plot = inside.with_min_y(top + space::S);
    if plot.height() < 40.0 {
        return;
    }
    let now_us = cx.drill_now_us(drill);
    let source = PlotSource {
        sli,
        injections: &drill.injections,
        before: None,
        now_us,
        scale,
    };
    let dress = Dress {
        letters: size::SMALL,
        bold: 1.5,
    };
    bare_plot(ui, plot, &source, &Window::default(), dress);
}

/// What rang, what was done, what is thought.
fn side(ui: &mut Ui, cx: &mut Cx<'_>) {
    ui.spacing_mut().item_spacing.y = space::S;
    clocks(ui, cx);
    ui.add_space(space::XS);
    note(ui, cx);
    ui.add_space(space::XS);
    widgets::rule(ui);
    fired(ui, cx);
}

fn clocks(ui: &mut Ui, cx: &mut Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    widgets::title(ui, say.responder_did());
    let enabled = Command::Clock(Clock::Noticed).enabled(cx.scene, cx.view);
    let width = (ui.available_width() - space::S) / 2.0;
    for pair in Clock::ALL.chunks(2) {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::S;
            for clock in pair {
                let command = Command::Clock(*clock);
                let (rect, response) = ui.allocate_exact_size(vec2(width, CLOCK), Sense::click());
                let at = stamped(cx, *clock);
                let corner = CornerRadius::same(radius::MEDIUM);
                let fill = if response.hovered() && enabled.is_ok() {
                    t.line
                } else {
                    t.raised
                };
                ui.painter().rect_filled(rect, corner, fill);
                if response.has_focus() {
                    let ring = Stroke::new(2.0, t.series);
                    ui.painter().rect_stroke(rect, corner, ring, StrokeKind::Inside);
                }
                let label = command.label(say);
                let keys = command.keys(ui).unwrap_or_default();
                let ink = if enabled.is_ok() { t.strong } else { t.dim };
                let inside = rect.shrink2(vec2(space::M, 6.0));
                let painter = ui.painter();
                painter.text(
                    inside.left_top(),
                    Align2::LEFT_TOP,
                    label,
                    medium(size::NOTE),
                    ink,
                );
                painter.text(
                    inside.right_top(),
                    Align2::RIGHT_TOP,
                    keys,
                    regular(size::SMALL),
                    t.text,
                );
                let below = at.as_deref().unwrap_or("–");
                let ink = if at.is_some() { t.people } else { t.dim };
                painter.text(
                    inside.left_bottom(),
                    Align2::LEFT_BOTTOM,
                    below,
                    regular(size::SMALL),
                    ink,
                );
                response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled.is_ok(), label));
                let response = response.on_hover_text(command.tip(ui));
                if response.clicked() && enabled.is_ok() {
                    cx.ask(stamp(*clock));
                }
            }
        });
    }
    if let Err(why) = enabled {
        widgets::dim(ui, why(say));
    }
}

/// When it was stamped first, and counts.
fn stamped(cx: &Cx<'_>, clock: Clock) -> Option<String> {
    let state = &cx.scene.gameday.as_ref()?.state;
    let row = state
        .running()
        .or_else(|| state.rows.iter().rfind(|row| !row.runs.is_empty()))?;
    let stamp = row.clock(row.runs.len().saturating_sub(1), clock)?;
    Some(words::clock(stamp.when_ms, cx.zone))
}

fn stamp(clock: Clock) -> Ask {
    Ask::GameDay(GameDayAsk::Clock {
        clock,
        drill: None,
        when: String::new(),
        who: None,
    })
}

fn typed() -> Id {
    Id::unique("responder's note")
}

fn note(ui: &mut Ui, cx: &mut Cx<'_>) {
    let say = cx.say;
    widgets::title(ui, say.responder_think());
    let mut text: String = ui.data(|data| data.get_temp(typed())).unwrap_or_default();
    let response = widgets::field(ui, say.responder_note(), &mut text, say.responder_note_hint());
    if ui
        .data(|data| data.get_temp::<bool>(typed().with("focus")))
        .unwrap_or(false)
    {
        response.request_focus();
        ui.data_mut(|data| data.remove::<bool>(typed().with("focus")));
    }
    let entered = response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
    let empty = text.trim().is_empty();
    let enabled = if empty {
        Err(say.responder_note_empty())
    } else {
        Ok(())
    };
    let pressed = widgets::button_if(ui, enabled, say.responder_note_keep()).clicked();
    if (entered || pressed) && !empty {
        cx.ask(Ask::GameDay(GameDayAsk::Remark {
            who: None,
            words: text.trim().chars().take(500).collect(),
        }));
        text.clear();
    }
    ui.data_mut(|data| data.insert_temp(typed(), text));
}

/// Alerts and indicators that went out, newest first.
fn fired(ui: &mut Ui, cx: &Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    widgets::title(ui, say.responder_alerts());
    let fired = cx.scene.drill.as_ref().map(|drill| (drill, &drill.fired));
    let Some((drill, fired)) = fired.filter(|(_, fired)| !fired.is_empty()) else {
        widgets::dim(ui, say.responder_no_alerts());
        return;
    };
    ScrollArea::vertical()
        .id_salt("fired")
        .auto_shrink(false)
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = space::XS;
            for Fired { at_us, what, state } in fired.iter().rev() {
                let at = cx.clock_of(drill, *at_us);
                let words = match state {
                    Some(SliState::NoData) => say.stage_not_seen(what),
                    Some(_) => say.stage_is_out(what),
                    None => say.responder_alert(what),
                };
                ui.horizontal(|ui| {
                    ui.label(rich(at, regular(size::SMALL), t.dim));
                    widgets::one_line(ui, rich(words, regular(size::NOTE), t.strong));
                });
            }
        });
}

/// One key a clock, and N for the note, while nothing is typed.
fn keys(ui: &mut Ui, cx: &mut Cx<'_>) {
    if ui.ctx().egui_wants_keyboard_input() {
        return;
    }
    for clock in Clock::ALL {
        let command = Command::Clock(clock);
        let Some(keys) = command.info().keys else { continue };
        if command.enabled(cx.scene, cx.view).is_ok() && ui.input_mut(|input| input.consume_shortcut(&keys)) {
            cx.ask(stamp(clock));
        }
    }
    if ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::N)) {
        focus_note(ui.ctx());
    }
}

fn focus_note(ctx: &Context) {
    ctx.data_mut(|data| data.insert_temp(typed().with("focus"), true));
    ctx.request_repaint();
}
