//! A drill as it was: the very Live view at a moment of its journal, between a banner that says so and the scrubber.

use egui::{Id, Key, Rect, ScrollArea, Shape, Stroke, TextEdit, Ui, pos2, vec2};
use firedrill_scene::{
    Ask, Bookmark, ReplayAsk, ReplayMoment, ReplayScene, ReplaySpeed, ReplayStage, Review, Scene,
};

use super::{
    bookmarks::{Mark, MarkKind, events, marks, step},
    rail::{self, Act},
};
use crate::{
    commands::Command,
    cx::Cx,
    messages::Say,
    ours, shell,
    theme::{Tokens, medium, mono, regular, size, space},
    views::live::Live,
    widgets::{self, State, choice, rich},
    words,
};

/// Height of the banner and of the controls, points.
const BANNER: f32 = 62.0;
const CONTROLS: f32 = 98.0 + rail::HEIGHT;

/// What a replay remembers.
#[derive(Default)]
pub struct Player {
    live: Live,
    /// A bookmark that is being written: its moment and its words.
    writing: Option<(u64, String)>,
    /// The field for it gets the focus.
    focus: bool,
}

impl Player {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, rect: Rect, review: &Review, replay: &ReplayScene, cx: &mut Cx<'_>) {
        match &replay.stage {
            ReplayStage::Open(moment) if replay.drill == review.drill => {
                self.open(ui, rect, review, moment, cx);
            }
            ReplayStage::Failed(why) if replay.drill == review.drill => {
                widgets::region(ui, rect, |ui| {
                    widgets::empty(ui, cx.say.replay_failed_title(), why, |ui| {
                        ui.vertical_centered(|ui| {
                            if widgets::button(ui, cx.say.replay_back()).clicked() {
                                cx.ask(Ask::Replay(ReplayAsk::Close));
                            }
                        });
                    });
                });
            }
            _ => {
                widgets::region(ui, rect, |ui| {
                    widgets::empty(ui, cx.say.replay_reading_title(), cx.say.replay_reading(), |_| {});
                });
            }
        }
    }

    fn open(&mut self, ui: &mut Ui, rect: Rect, review: &Review, moment: &ReplayMoment, cx: &mut Cx<'_>) {
        let banner = rect.with_max_y(rect.top() + BANNER);
        let controls = rect.with_min_y(rect.bottom() - CONTROLS);
        let view = Rect::from_min_max(
            pos2(rect.left(), banner.bottom() + space::S),
            pos2(rect.right(), controls.top() - space::S),
        );
        self.then(ui, banner, view, moment, cx);
        let marks = marks(review, &moment.bookmarks, cx.say);
        widgets::card_at(ui, controls, |ui| self.controls(ui, review, moment, &marks, cx));
    }

    /// Banner and view of that moment. What a view of the past wishes for is dropped here: it has no way out.
    fn then(&mut self, ui: &mut Ui, banner: Rect, view: Rect, moment: &ReplayMoment, cx: &Cx<'_>) {
        let mut dropped = Vec::new();
        let mut past = Cx {
            scene: &moment.scene,
            since_ms: 0,
            zone: cx.zone,
            tokens: cx.tokens,
            say: cx.say,
            view: cx.view,
            past: true,
            goto: None,
            language: None,
            wishes: &mut dropped,
        };
        says(ui, banner, moment, &past);
        widgets::region(ui, view, |ui| self.live.ui(ui, &mut past));
        edge(ui, banner.union(view), cx.tokens);
    }

    fn controls(
        &mut self,
        ui: &mut Ui,
        review: &Review,
        moment: &ReplayMoment,
        marks: &[Mark],
        cx: &mut Cx<'_>,
    ) {
        ui.spacing_mut().item_spacing.y = space::XS;
        let (mut given, mut marked) = (Vec::new(), Vec::new());
        widgets::ends(
            ui,
            32.0,
            |ui| {
                let label = if moment.playing {
                    cx.say.replay_pause()
                } else {
                    cx.say.replay_play()
                };
                if widgets::button(ui, label)
                    .on_hover_text(Command::Play.tip(ui))
                    .clicked()
                {
                    given.push(ReplayAsk::Play(!moment.playing));
                }
                for command in [Command::PreviousEvent, Command::NextEvent] {
                    if command.button(ui, cx.scene, cx.view).clicked() {
                        given.extend(asked(command, review, moment, marks));
                    }
                }
                ui.add_space(space::S);
                for speed in ReplaySpeed::ALL {
                    let label = speed.to_string();
                    let name = cx.say.replay_speed(&label);
                    if widgets::named(choice(ui, speed == moment.speed, &label), &name).clicked() {
                        given.push(ReplayAsk::Speed(speed));
                    }
                }
            },
            |ui| self.bookmark(ui, moment, cx, &mut marked),
        );
        given.append(&mut marked);
        let clock = clock(moment, cx);
        let (place, _) =
            ui.allocate_exact_size(vec2(ui.available_width(), rail::HEIGHT), egui::Sense::hover());
        let shown = rail::Shown {
            review,
            marks,
            at_us: moment.at_us,
            end_us: moment.end_us,
            words: &clock,
        };
        match rail::ui(ui, place, &shown, cx) {
            Some(Act::Seek(us)) if us != moment.at_us => given.push(ReplayAsk::Seek(us)),
            Some(Act::Step(forward)) => {
                let to = step(&events(review, marks), moment.at_us, forward);
                given.extend(to.map(ReplayAsk::Seek));
            }
            Some(Act::Toggle) => given.push(ReplayAsk::Play(!moment.playing)),
            Some(Act::Seek(_)) | None => {}
        }
        chips(ui, marks, moment, cx, &mut given);
        for ask in given {
            cx.ask(Ask::Replay(ask));
        }
    }

    /// The button, the field for a bookmark's words, or the bookmark that stands at this moment.
    fn bookmark(&mut self, ui: &mut Ui, moment: &ReplayMoment, cx: &Cx<'_>, given: &mut Vec<ReplayAsk>) {
        let t = cx.tokens;
        let of = cx.say.replay_of(passed(moment.at_us), passed(moment.end_us));
        let Some((at_us, text)) = &mut self.writing else {
            if Command::Mark.button(ui, cx.scene, cx.view).clicked() {
                self.write(moment);
            }
            let here = moment.bookmarks.iter().find(|mark| mark.at_us == moment.at_us);
            if here.is_some() && widgets::link(ui, cx.say.replay_unmark()).clicked() {
                given.push(ReplayAsk::Unmark(moment.at_us));
            }
            ui.label(rich(of, regular(size::NOTE), t.text));
            return;
        };
        let at_us = *at_us;
        let keep = widgets::button(ui, cx.say.replay_keep()).clicked();
        let edit = TextEdit::singleline(text)
            .id(Id::unique("bookmark"))
            .desired_width(260.0)
            .margin(egui::Margin::symmetric(10, 7))
            .char_limit(200)
            .text_color(t.strong)
            .hint_text(rich(cx.say.replay_field_hint(), regular(size::BODY), t.dim));
        let response = widgets::named(ui.add(edit), cx.say.replay_field());
        if std::mem::take(&mut self.focus) {
            response.request_focus();
        }
        let left = response.lost_focus();
        let (enter, escape) =
            ui.input(|input| (input.key_pressed(Key::Enter), input.key_pressed(Key::Escape)));
        if keep || (left && enter) {
            let words = text.trim();
            let words = if words.is_empty() {
                cx.say.replay_bookmark()
            } else {
                words
            };
            given.push(ReplayAsk::Mark(Bookmark {
                at_us,
                words: words.to_owned(),
            }));
        }
        if keep || (left && (enter || escape)) {
            self.writing = None;
        }
    }

    /// A bookmark of the moment that is shown; its words are asked for.
    fn write(&mut self, moment: &ReplayMoment) {
        self.writing = Some((moment.at_us, String::new()));
        self.focus = true;
    }

    /// Does what a command says.
    pub fn given(&mut self, command: Command, review: &Review, scene: &Scene, wishes: &mut Vec<Ask>) {
        let Some(moment) = moment(scene) else { return };
        match command {
            Command::Mark => self.write(moment),
            Command::ZoomIn | Command::ZoomOut | Command::Earlier | Command::Later | Command::Follow => {
                self.live.moved(command, &moment.scene, 0);
            }
            _ => {
                // Only their times are asked for.
                let marks = marks(review, &moment.bookmarks, Say::default());
                let ask = asked(command, review, moment, &marks);
                wishes.extend(ask.map(Ask::Replay));
            }
        }
    }
}

/// The moment that is shown, once there is one.
pub fn moment(scene: &Scene) -> Option<&ReplayMoment> {
    match &scene.replay.as_ref()?.stage {
        ReplayStage::Open(moment) => Some(moment),
        ReplayStage::Reading | ReplayStage::Failed(_) => None,
    }
}

/// What a command of the replay asks for.
fn asked(command: Command, review: &Review, moment: &ReplayMoment, marks: &[Mark]) -> Option<ReplayAsk> {
    let to = |forward| step(&events(review, marks), moment.at_us, forward).map(ReplayAsk::Seek);
    match command {
        Command::Play => Some(ReplayAsk::Play(!moment.playing)),
        Command::NextEvent => to(true),
        Command::PreviousEvent => to(false),
        _ => None,
    }
}

/// `1:54`, `1:02:03`: how far into the drill.
fn passed(us: u64) -> String {
    let seconds = us / 1_000_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

fn clock(moment: &ReplayMoment, cx: &Cx<'_>) -> String {
    words::clock(moment.scene.wall_ms, cx.zone)
}

/// `REPLAY 14:03:12`, the phases, and whether it was us then.
fn says(ui: &mut Ui, place: Rect, moment: &ReplayMoment, past: &Cx<'_>) {
    let t = past.tokens;
    widgets::card_at(ui, place, |_| {});
    let sign = place.with_max_x(place.left() + 58.0);
    widgets::hatch(
        ui.painter(),
        sign.shrink(1.5),
        8.0,
        Stroke::new(1.0, t.people.gamma_multiply(0.5)),
    );
    back(ui, sign.center(), t);
    let inside = Rect::from_min_max(
        sign.right_top() + vec2(space::M, 6.0),
        place.max - vec2(space::L, 6.0),
    );
    widgets::region(ui, inside, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        widgets::ends(
            ui,
            28.0,
            |ui| {
                ui.label(rich(past.say.replay_word(), medium(size::HEADING), t.people));
                let date = words::date(past.say, moment.scene.wall_ms, past.zone);
                ui.label(rich(clock(moment, past), mono(size::TITLE), t.strong))
                    .on_hover_text(date);
                let how = if moment.playing {
                    past.say.replay_plays(moment.speed.to_string())
                } else {
                    past.say.replay_stands().to_owned()
                };
                widgets::one_line(ui, rich(how, regular(size::NOTE), t.dim));
            },
            |ui| sentence(ui, past),
        );
        let roomy = inside.width() > 860.0;
        widgets::ends(ui, 26.0, |ui| shell::phases(ui, past, roomy), |_| {});
    });
}

/// `then: 1 fault of ours on payments-1 · ends in 18 s`.
fn sentence(ui: &mut Ui, past: &Cx<'_>) {
    let (state, sentence, rest) = ours::ours(past);
    let t = past.tokens;
    let colour = match state {
        State::Good | State::Waiting => t.text,
        other => other.colour(t),
    };
    let until = rest.split(" · ").next().unwrap_or_default();
    if !until.is_empty() {
        ui.label(rich(until, regular(size::NOTE), t.dim));
    }
    ui.label(rich(past.say.replay_then(&sentence), medium(size::BODY), colour));
}

/// Two triangles to the left: back in time.
fn back(ui: &Ui, centre: egui::Pos2, t: &Tokens) {
    let ground = Rect::from_center_size(centre, vec2(34.0, 26.0));
    ui.painter().rect_filled(ground, 4.0, t.card);
    for x in [-11.0, 1.0] {
        let corners = [vec2(x, 0.0), vec2(x + 11.0, -8.0), vec2(x + 11.0, 8.0)].map(|by| centre + by);
        ui.painter()
            .add(Shape::convex_polygon(corners.to_vec(), t.people, Stroke::NONE));
    }
}

/// A dashed line around what is not now.
fn edge(ui: &Ui, rect: Rect, t: &Tokens) {
    // Within what is drawn at all.
    let rect = rect.expand(2.0);
    let corners = [
        rect.left_top(),
        rect.right_top(),
        rect.right_bottom(),
        rect.left_bottom(),
        rect.left_top(),
    ];
    let dashes = Shape::dashed_line(&corners, Stroke::new(1.5, t.people), 8.0, 6.0);
    ui.painter().extend(dashes);
}

/// A button for each mark: its shape, its word, its time after the first fault.
fn chips(ui: &mut Ui, marks: &[Mark], moment: &ReplayMoment, cx: &Cx<'_>, given: &mut Vec<ReplayAsk>) {
    ScrollArea::horizontal().id_salt("marks").show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            for mark in marks {
                let (sign, _) = ui.allocate_exact_size(vec2(14.0, 24.0), egui::Sense::hover());
                rail::sign(ui, sign.center(), mark.kind, cx.tokens);
                let wall = moment
                    .scene
                    .drill
                    .as_ref()
                    .map(|drill| cx.clock_of(drill, mark.at_us));
                let label = format!("{} {}", mark.words, wall.unwrap_or_default());
                let chip = choice(ui, mark.at_us == moment.at_us, &label);
                let chip = if mark.kind == MarkKind::Person {
                    chip.on_hover_text(cx.say.replay_own())
                } else {
                    chip
                };
                if chip.clicked() {
                    given.push(ReplayAsk::Seek(mark.at_us));
                }
                ui.add_space(space::XS);
            }
        });
    });
}
