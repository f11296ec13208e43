//! A console that follows another one: who is followed and how well, what a role may do, and what became of ABORT.

use egui::{Align2, CornerRadius, Rect, Stroke, StrokeKind, Ui, pos2, vec2};
use firedrill_drill::Phase;
use firedrill_gameday::Prediction;
use firedrill_scene::{AbortSent, Ask, Contact, DrillScene, Role, Scene, WatchScene, Wish};

use super::{
    live::{self, Before, Look, Window},
    share::role_name,
    stage,
};
use crate::{
    cx::Cx,
    messages::Say,
    ours,
    shell::{self, Places},
    theme::{medium, radius, regular, size, space},
    widgets::{self, State, choice, rich},
    words,
};

/// Height of the bar that says what is wrong with the connection, points.
const BAR: f32 = 44.0;
/// Height of what waits for an approver, and of an observer's form.
const FORM: f32 = 138.0;

/// What was typed and not sent.
#[derive(Default)]
pub struct Watch {
    reason: String,
    breaks: bool,
    first: Option<String>,
    words: String,
    /// The observer's form is open.
    predicting: bool,
    /// A responder's plots.
    window: Window,
}

/// Whether this role has the console's own frame around it; the others have a window of their own.
pub fn is_framed(scene: &Scene) -> bool {
    let watch = scene.watch.as_ref();
    watch.is_none_or(|it| it.role.is_none_or(Role::is_crew))
}

/// How the connection is: shape, word.
fn contact(watch: &WatchScene, say: Say) -> (State, &'static str) {
    match watch.contact {
        Contact::Connecting => (State::Waiting, say.watch_connecting()),
        Contact::On => (State::Good, say.watch_on()),
        Contact::Lost { .. } => (State::Bad, say.watch_lost()),
        Contact::Ended { .. } => (State::Bad, say.watch_ended()),
    }
}

/// What a person must know now, the gravest first: what became of ABORT, then the connection.
fn trouble(watch: &WatchScene, cx: &Cx<'_>) -> Option<String> {
    let say = cx.say;
    let on = watch.contact == Contact::On;
    match &watch.abort {
        AbortSent::Pressed { .. } if on => return Some(say.watch_abort_sent().to_owned()),
        AbortSent::Pressed { .. } => return Some(say.watch_abort_undelivered().to_owned()),
        AbortSent::Refused(why) => return Some(say.watch_abort_refused(why)),
        AbortSent::No | AbortSent::Delivered => {}
    }
    match &watch.contact {
        Contact::On | Contact::Connecting => None,
        Contact::Lost { since_ms, why } => Some(say.watch_lost_words(words::clock(*since_ms, cx.zone), why)),
        Contact::Ended { why } => Some(say.watch_ended_words(why)),
    }
}

/// The navigation's place: whom this console follows, in which role, and how well.
pub fn side(ui: &mut Ui, watch: &WatchScene, cx: &Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    ui.spacing_mut().item_spacing.y = space::XS;
    let role = watch
        .role
        .map_or(say.watch_connecting(), |role| role_name(role, say));
    ui.label(rich(role, medium(size::BODY), t.strong));
    ui.label(rich(&watch.name, regular(size::SMALL), t.text));
    ui.add_space(space::S);
    let (state, word) = contact(watch, say);
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(12.0, 12.0), egui::Sense::hover());
        widgets::shape(ui.painter(), rect.center(), 5.0, state, t);
        ui.label(rich(word, medium(size::NOTE), t.strong));
    });
    ui.label(rich(say.watch_host(&watch.host), regular(size::SMALL), t.text));
    if watch.waiting > 0 {
        ui.add_space(space::XS);
        ui.label(rich(
            say.watch_waiting(watch.waiting),
            regular(size::SMALL),
            t.fault,
        ));
    }
}

impl Watch {
    /// What stands above the view; gives what is left of its place.
    pub fn above(&mut self, ui: &mut Ui, place: Rect, cx: &mut Cx<'_>) -> Rect {
        let Some(watch) = cx.scene.watch.clone() else {
            return place;
        };
        let mut rest = place;
        if let Some(words) = trouble(&watch, cx) {
            let height = bar(ui, rest, false, &words, cx);
            rest.set_top(rest.top() + height + space::M);
        }
        let approves = watch.role == Some(Role::Approver);
        if let Some(drill) = cx.scene.drill.clone().filter(|drill| approves && waits(drill)) {
            let card = rest.with_max_y(rest.top() + FORM);
            widgets::card_at(ui, card, |ui| self.approval(ui, &drill, cx));
            rest.set_top(card.bottom() + space::M);
        }
        if watch.role.is_some_and(Role::may_predict)
            && let Some(row) = &watch.predicts
        {
            let height = if self.predicting { FORM } else { 56.0 };
            let card = rest.with_max_y(rest.top() + height);
            widgets::card_at(ui, card, |ui| self.prediction(ui, row, cx));
            rest.set_top(card.bottom() + space::M);
        }
        rest
    }

    fn approval(&mut self, ui: &mut Ui, drill: &DrillScene, cx: &mut Cx<'_>) {
        let (t, say) = (cx.tokens, cx.say);
        let title = drill
            .arming
            .as_ref()
            .map_or(drill.experiment.as_str(), |it| it.title.as_str());
        ui.label(rich(say.watch_approval(title), medium(size::LARGE), t.strong));
        let what = drill.arming.as_ref().map(|it| it.what.join(" · "));
        widgets::one_line(
            ui,
            rich(
                what.unwrap_or_else(|| drill.hypothesis.clone()),
                regular(size::BODY),
                t.text,
            ),
        );
        ui.add_space(space::XS);
        ui.horizontal(|ui| {
            if widgets::button(ui, say.watch_approve()).clicked() {
                cx.ask(Ask::Watcher(Wish::Approve));
            }
            ui.add_space(space::L);
            let width = (ui.available_width() - 190.0).max(120.0);
            ui.allocate_ui(vec2(width, size::BODY * 3.0), |ui| {
                widgets::field(
                    ui,
                    say.watch_refuse_why(),
                    &mut self.reason,
                    say.watch_refuse_why(),
                );
            });
            let reason = self.reason.trim();
            let enabled = if reason.is_empty() {
                Err(say.write_first())
            } else {
                Ok(())
            };
            if widgets::button_if(ui, enabled, say.watch_refuse()).clicked() {
                let reason = std::mem::take(&mut self.reason).trim().to_owned();
                cx.ask(Ask::Watcher(Wish::Refuse { reason }));
            }
        });
    }

    fn prediction(&mut self, ui: &mut Ui, row: &str, cx: &mut Cx<'_>) {
        let (t, say) = (cx.tokens, cx.say);
        widgets::ends(
            ui,
            30.0,
            |ui| drop(ui.label(rich(say.watch_predict(row), medium(size::BODY), t.strong))),
            |ui| {
                let label = if self.predicting {
                    say.cancel()
                } else {
                    say.predict_seal()
                };
                if widgets::button(ui, label).clicked() {
                    self.predicting = !self.predicting;
                }
            },
        );
        if !self.predicting {
            return;
        }
        ui.horizontal_wrapped(|ui| {
            for (breaks, label) in [(false, say.predict_holds()), (true, say.predict_breaks())] {
                if choice(ui, self.breaks == breaks, label).clicked() {
                    self.breaks = breaks;
                }
            }
            ui.add_space(space::L);
            ui.label(rich(say.predict_first(), regular(size::NOTE), t.text));
            let slis = cx
                .scene
                .drill
                .as_ref()
                .map(|it| it.slis.iter().map(|sli| sli.name.clone()));
            for name in slis.into_iter().flatten().collect::<Vec<_>>() {
                let chosen = self.first.as_ref() == Some(&name);
                if choice(ui, chosen, &name).clicked() {
                    self.first = (!chosen).then_some(name);
                }
            }
        });
        ui.horizontal(|ui| {
            let width = (ui.available_width() - 150.0).max(120.0);
            ui.allocate_ui(vec2(width, size::BODY * 3.0), |ui| {
                widgets::field(ui, say.in_a_sentence(), &mut self.words, say.predict_words_hint());
            });
            if widgets::button(ui, say.watch_predict_send()).clicked() {
                let made = std::mem::take(self);
                let prediction = Prediction {
                    who: String::new(),
                    holds: !made.breaks,
                    first: made.first,
                    worst: None,
                    notice_ms: None,
                    words: made.words.trim().to_owned(),
                    nonce: String::new(),
                };
                cx.ask(Ask::Watcher(Wish::Predict { prediction }));
            }
        });
    }

    /// The whole window of a role that has one of its own. Gives whether ABORT was pressed.
    pub fn whole(&mut self, ui: &mut Ui, role: Role, cx: &mut Cx<'_>) -> bool {
        let window = ui.ctx().content_rect();
        let abort = match role {
            Role::Stakeholder => stage::ui(ui, cx.scene, cx.since_ms, cx.zone, false).abort,
            Role::Responder => self.symptoms(ui, window, cx),
            Role::AbortOnly | Role::Observer | Role::Approver => abort_only(ui, window, cx),
        };
        if let Some(watch) = cx.scene.watch.clone()
            && let Some(words) = trouble(&watch, cx)
        {
            // At the foot: the sentence above stays what is read first.
            let place = window.shrink(space::S);
            bar(ui, place, true, &words, cx);
        }
        abort
    }

    /// What users of the system feel, and nothing else.
    fn symptoms(&mut self, ui: &mut Ui, window: Rect, cx: &mut Cx<'_>) -> bool {
        let t = cx.tokens;
        ui.painter().rect_filled(window, 0.0, t.ground);
        let places = Places::of(window);
        ui.painter().rect_filled(places.header, 0.0, t.panel);
        let line = Stroke::new(1.0, t.line);
        ui.painter().hline(window.x_range(), places.header.bottom(), line);
        let head = Rect::from_min_max(
            places.header.min + vec2(space::L, 16.0),
            pos2(places.abort.left() - space::L, places.header.bottom()),
        );
        let (title, second) = stage::sealed_words(cx.scene, cx.say);
        widgets::region(ui, head, |ui| {
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
                    let clock = words::clock(cx.now_ms(), cx.zone);
                    ui.label(rich(clock, regular(size::HEADLINE), t.text));
                },
            );
            widgets::one_line(ui, rich(second.unwrap_or_default(), regular(size::BODY), t.text));
        });
        let body = window.with_min_y(places.header.bottom()).shrink(space::M);
        let body = body.with_max_y(body.bottom() - BAR);
        match cx.scene.drill.clone() {
            Some(drill) => {
                let look = Look {
                    now_us: cx.drill_now_us(&drill),
                    clock: true,
                    before: Before::of(&drill),
                };
                live::cards(ui, body, &drill, &mut self.window, look, cx);
            }
            None => widgets::region(ui, body, |ui| {
                let say = cx.say;
                widgets::empty(ui, say.stage_no_drill(), say.watch_nothing_yet(), |_| {});
            }),
        }
        shell::abort(ui, places.abort, cx)
    }
}

/// It waits for the second person's word.
fn waits(drill: &DrillScene) -> bool {
    let early = matches!(drill.phase, Phase::Preflight | Phase::Baseline | Phase::Arming);
    early && drill.safety.approval.as_ref().is_some_and(|it| it.by.is_none())
}

/// A bar with a sentence, at the top or the foot of a place; its height.
fn bar(ui: &mut Ui, place: Rect, foot: bool, words: &str, cx: &Cx<'_>) -> f32 {
    let t = cx.tokens;
    let galley = ui.painter().layout(
        words.to_owned(),
        medium(size::BODY),
        t.strong,
        place.width() - 56.0,
    );
    let height = BAR.max(galley.size().y + 20.0);
    let rect = Rect::from_min_size(place.min, vec2(place.width(), height));
    let down = if foot { place.bottom() - rect.bottom() } else { 0.0 };
    let rect = rect.translate(vec2(0.0, down));
    ui.painter().rect(
        rect,
        CornerRadius::same(radius::MEDIUM),
        t.raised,
        Stroke::new(1.5, t.out),
        StrokeKind::Inside,
    );
    widgets::shape(
        ui.painter(),
        pos2(rect.left() + 20.0, rect.center().y),
        6.0,
        State::Bad,
        t,
    );
    let at = pos2(rect.left() + 40.0, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, t.strong);
    let response = ui.interact(rect, egui::Id::unique("watch trouble"), egui::Sense::hover());
    let words = words.to_owned();
    response.widget_info(move || egui::WidgetInfo::labeled(egui::Role::Label, true, &words));
    height
}

/// Whether something is on, ABORT as large as there is room, and its stages.
fn abort_only(ui: &mut Ui, window: Rect, cx: &mut Cx<'_>) -> bool {
    let (t, say) = (cx.tokens, cx.say);
    ui.painter().rect_filled(window, 0.0, t.ground);
    let inside = window.shrink(space::XXL);
    let head = inside.with_max_y(inside.top() + 96.0);
    let watch = cx.scene.watch.clone();
    widgets::region(ui, head, |ui| {
        let (state, sentence, rest) = ours::ours(cx);
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(18.0, 18.0), egui::Sense::hover());
            widgets::shape(ui.painter(), rect.center(), 7.0, state, t);
            ui.label(rich(sentence, medium(size::HEADLINE), t.strong));
        });
        if !rest.is_empty() {
            ui.label(rich(rest, regular(size::BODY), t.text));
        }
        if let Some(watch) = &watch {
            let (_, word) = contact(watch, say);
            let role = watch.role.map_or("", |role| role_name(role, say));
            let host = say.watch_host(&watch.host);
            ui.label(rich(
                format!("{role} · {word} · {host}"),
                regular(size::NOTE),
                t.text,
            ));
        }
    });
    let rows = &cx.scene.abort.rows;
    let height = (rows.len() as f32 * 30.0).min(inside.height() * 0.4);
    let foot = inside.with_min_y(inside.bottom() - height - 2.0 * BAR);
    let button = Rect::from_min_max(
        pos2(inside.left(), head.bottom() + space::L),
        pos2(inside.right(), foot.top()),
    );
    let button = Rect::from_center_size(button.center(), button.size().min(vec2(720.0, 300.0)));
    for (i, row) in rows.iter().enumerate() {
        let y = foot.top() + space::L + i as f32 * 30.0;
        let (state, stage) = super::aborting::stage(say, row);
        widgets::shape(ui.painter(), pos2(foot.left() + 10.0, y), 6.0, state, t);
        let line = format!("{}: {stage} · {}", row.agent, words::took_us(row.took_us));
        ui.painter().text(
            pos2(foot.left() + 28.0, y),
            Align2::LEFT_CENTER,
            line,
            regular(size::LARGE),
            t.strong,
        );
    }
    shell::abort(ui, button, cx)
}
