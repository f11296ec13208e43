//! What surrounds every view: header, navigation, messages, dialogs above the view, and ABORT above all.

use egui::{
    Align2, Area, Color32, CornerRadius, Id, Key, Order, Rect, Role, Sense, Stroke, StrokeKind, Ui,
    WidgetInfo, pos2, vec2,
};
use firedrill_drill::Phase;
use firedrill_scene::{Ask, DrillScene, Level, Message, Ours};

use crate::{
    View,
    commands::Command,
    cx::Cx,
    messages::Say,
    ours,
    theme::{Tokens, medium, mono, radius, regular, size, space},
    widgets::{self, Icon, State, rich},
    words,
};

/// Height of the header, points.
pub const HEADER: f32 = 88.0;
/// Width of the navigation, points.
pub const NAVIGATION: f32 = 124.0;
/// Height of an entry of the navigation, points.
const ENTRY: f32 = 40.0;
/// ABORT's size, points: the same in every view.
const ABORT: egui::Vec2 = vec2(184.0, 66.0);

/// Where things stand in a window.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The top.
    pub header: Rect,
    /// The left side.
    pub navigation: Rect,
    /// What is left, without its margin.
    pub content: Rect,
    /// ABORT.
    pub abort: Rect,
}

impl Places {
    /// In a window of this rectangle.
    pub fn of(window: Rect) -> Self {
        let header = Rect::from_min_size(window.min, vec2(window.width(), HEADER));
        let below = Rect::from_min_max(pos2(window.left(), header.bottom()), window.max);
        let (navigation, content) = below.split_left_right_at_x(window.left() + NAVIGATION);
        let abort = Rect::from_min_size(
            pos2(window.right() - space::M - ABORT.x, window.top() + 11.0),
            ABORT,
        );
        Self {
            header,
            navigation,
            content,
            abort,
        }
    }
}

/// Whether the hot key was pressed in this frame, whatever has the focus.
///
/// Read from the raw events: neither a text field, nor a dialog, nor a keyboard layout without an X is asked.
pub fn hot_key(ui: &Ui) -> bool {
    ui.input(|input| {
        input.events.iter().any(|event| match event {
            egui::Event::Key {
                key,
                physical_key,
                pressed: true,
                repeat: false,
                modifiers,
            } => {
                let x = *key == Key::X || *physical_key == Some(Key::X);
                x && modifiers.shift && (modifiers.ctrl || modifiers.command) && !modifiers.alt
            }
            _ => false,
        })
    })
}

/// Header and navigation. Gives the commands that were clicked.
pub fn surround(ui: &mut Ui, places: &Places, cx: &Cx<'_>) -> Vec<Command> {
    let t = cx.tokens;
    let window = places.header.union(places.content).union(places.navigation);
    ui.painter().rect_filled(window, 0.0, t.ground);
    ui.painter().rect_filled(places.header, 0.0, t.panel);
    ui.painter().rect_filled(places.navigation, 0.0, t.panel);
    let line = Stroke::new(1.0, t.line);
    ui.painter().hline(window.x_range(), places.header.bottom(), line);
    ui.painter()
        .vline(places.navigation.right(), places.navigation.y_range(), line);
    let mut clicked = Vec::new();
    header(ui, places, cx, &mut clicked);
    widgets::region(ui, places.navigation.shrink2(vec2(space::S, space::M)), |ui| {
        navigation(ui, cx, &mut clicked);
    });
    clicked
}

fn header(ui: &mut Ui, places: &Places, cx: &Cx<'_>, clicked: &mut Vec<Command>) {
    let t = cx.tokens;
    let brand = Rect::from_min_max(
        places.header.min + vec2(space::L, 18.0),
        pos2(places.navigation.right() - 4.0, HEADER),
    );
    widgets::region(ui, brand, |ui| {
        ui.spacing_mut().item_spacing.y = 3.0;
        ui.label(rich("Firedrill", crate::theme::bold(size::LARGE), t.strong));
        let file = cx.scene.plan.as_ref().map(|plan| match &plan.path {
            Some(path) => path
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            None => cx.say.header_unsaved_plan().to_owned(),
        });
        let followed = cx.scene.watch.as_ref().map(|watch| watch.console.clone());
        widgets::one_line(
            ui,
            rich(
                followed
                    .or(file)
                    .unwrap_or_else(|| cx.say.header_no_plan().to_owned()),
                regular(size::SMALL),
                t.dim,
            ),
        );
    });
    let right = places.abort.left() - space::XL;
    let wide = Rect::from_min_max(
        pos2(places.navigation.right() + 22.0, places.header.top() + 10.0),
        pos2(right, places.header.bottom() - 8.0),
    );
    widgets::region(ui, wide, |ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        widgets::ends(ui, 34.0, |ui| name(ui, cx), |ui| clock(ui, cx, clicked));
        let roomy = wide.width() > 860.0;
        widgets::ends(
            ui,
            30.0,
            |ui| phases(ui, cx, roomy),
            |ui| ours::ui(ui, cx, roomy, clicked),
        );
    });
}

fn name(ui: &mut Ui, cx: &Cx<'_>) {
    let t = cx.tokens;
    match &cx.scene.drill {
        Some(drill) => {
            ui.label(rich(&drill.experiment, medium(size::HEADING), t.strong));
            ui.add_space(space::XS);
            widgets::one_line(ui, rich(&drill.hypothesis, regular(size::NOTE), t.dim));
        }
        None => drop(ui.label(rich(cx.say.header_no_drill(), medium(size::HEADING), t.strong))),
    }
}

fn clock(ui: &mut Ui, cx: &Cx<'_>, clicked: &mut Vec<Command>) {
    // An idle window is not drawn anew: a clock that stands still would lie.
    if !cx.running() {
        return;
    }
    ui.label(rich(
        words::clock(cx.now_ms(), cx.zone),
        regular(size::TITLE),
        cx.tokens.strong,
    ));
    ui.add_space(space::S);
    if cx.scene.watch.is_some() {
        return;
    }
    let held = cx.scene.drill.as_ref().is_some_and(|drill| drill.hold.is_some());
    let second = if held { Command::Resume } else { Command::Hold };
    for command in [Command::Finish, second] {
        if command.button(ui, cx.scene, cx.view).clicked() {
            clicked.push(command);
        }
    }
}

/// The phases of the drill, in a row: where it was, where it is, what is to come.
pub fn phases(ui: &mut Ui, cx: &Cx<'_>, roomy: bool) {
    let t = cx.tokens;
    let Some(drill) = &cx.scene.drill else {
        ui.label(rich(cx.say.header_begin(), regular(size::NOTE), t.dim));
        return;
    };
    ui.spacing_mut().item_spacing.x = 6.0;
    for (i, (shown, stage)) in stages(drill).into_iter().enumerate() {
        if i > 0 {
            let (rect, _) = ui.allocate_exact_size(vec2(if roomy { 26.0 } else { 6.0 }, 2.0), Sense::hover());
            ui.painter()
                .hline(rect.x_range(), rect.center().y, Stroke::new(1.0, t.line));
        }
        let held = stage == Stage::Now && drill.hold.is_some();
        phase(ui, shown, stage, held, roomy, cx);
        if stage == Stage::Now
            && let Some((_, words)) = &drill.progress
        {
            widgets::one_line(ui, rich(words, regular(size::NOTE), t.dim));
        }
    }
}

/// A dot and a word; where there is little room, the future is dots only.
fn phase(ui: &mut Ui, shown: Phase, stage: Stage, held: bool, roomy: bool, cx: &Cx<'_>) {
    let t = cx.tokens;
    let label = phase_word(shown, cx.say);
    let (rect, dot) = ui.allocate_exact_size(vec2(10.0, 10.0), Sense::hover());
    let colour = match stage {
        Stage::Past => t.steady,
        Stage::Now if held => t.strong,
        Stage::Now if matches!(shown, Phase::Inject | Phase::Closing) => t.fault,
        Stage::Now => t.strong,
        Stage::Future => t.dim,
    };
    if stage == Stage::Future {
        ui.painter()
            .circle_stroke(rect.center(), 3.5, Stroke::new(1.0, colour));
    } else if held {
        for x in [-2.5, 2.5] {
            let bar = Rect::from_center_size(rect.center() + vec2(x, 0.0), vec2(3.0, 10.0));
            ui.painter().rect_filled(bar, 0.0, colour);
        }
    } else {
        ui.painter().circle_filled(rect.center(), 4.0, colour);
    }
    if stage == Stage::Future && !roomy {
        dot.on_hover_text(label);
        return;
    }
    let font = if stage == Stage::Now {
        medium(size::NOTE)
    } else {
        regular(size::NOTE)
    };
    ui.label(rich(label, font, colour));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Past,
    Now,
    Future,
}

/// The phases as the header shows them. A drill that was cut short shows what it went through.
fn stages(drill: &DrillScene) -> Vec<(Phase, Stage)> {
    let been = |phase: Phase| drill.phases.iter().any(|(been, _)| *been == phase);
    let closing = been(Phase::Closing) && (drill.phase == Phase::Closing || !been(Phase::Recover));
    let fourth = if closing { Phase::Closing } else { Phase::Recover };
    let steps = [
        Phase::Preflight,
        Phase::Baseline,
        Phase::Inject,
        fourth,
        Phase::Verdict,
    ];
    let now = match drill.phase {
        // Waiting for the confirmation: the next thing is the injection.
        Phase::Arming => Phase::Baseline,
        Phase::Closing if !closing => Phase::Recover,
        other => other,
    };
    steps
        .into_iter()
        .map(|phase| {
            let stage = if phase == now {
                Stage::Now
            } else if been(phase) {
                Stage::Past
            } else {
                Stage::Future
            };
            (phase, stage)
        })
        .collect()
}

/// A phase as the header calls it.
fn phase_word(phase: Phase, say: Say) -> &'static str {
    match phase {
        Phase::Preflight => say.phase_preflight(),
        Phase::Baseline => say.phase_baseline(),
        Phase::Arming => say.phase_arming(),
        Phase::Inject => say.phase_inject(),
        Phase::Recover => say.phase_recover(),
        Phase::Closing => say.phase_closing(),
        Phase::Verdict => say.phase_verdict(),
    }
}

fn navigation(ui: &mut Ui, cx: &Cx<'_>, clicked: &mut Vec<Command>) {
    ui.spacing_mut().item_spacing.y = space::XS;
    // Who follows has no other view.
    let views = if cx.scene.watch.is_some() {
        &[][..]
    } else {
        &View::ALL
    };
    if let Some(watch) = &cx.scene.watch {
        crate::views::watch::side(ui, watch, cx);
    }
    for view in views.iter().copied() {
        let command = Command::Show(view);
        if entry(
            ui,
            cx.tokens,
            icon_of(view),
            command.label(cx.say),
            view == cx.view,
        )
        .on_hover_text(command.tip(ui))
        .clicked()
        {
            clicked.push(command);
        }
    }
    let (sky, theme) = if ui.visuals().dark_mode {
        (Icon::Light, cx.say.theme_light())
    } else {
        (Icon::Dark, cx.say.theme_dark())
    };
    let foot = [
        (Command::Stage, Icon::Stage, Command::Stage.label(cx.say)),
        (Command::Theme, sky, theme),
        (Command::Help, Icon::Help, Command::Help.label(cx.say)),
    ];
    // The Stage is the host's to show.
    let foot = &foot[usize::from(cx.scene.watch.is_some())..];
    let top = ui.max_rect().bottom() - foot.len() as f32 * (ENTRY + space::XS);
    let bottom = ui.max_rect().with_min_y(top);
    widgets::region(ui, bottom, |ui| {
        for (command, icon, label) in foot.iter().copied() {
            if entry(ui, cx.tokens, icon, label, false)
                .on_hover_text(command.tip(ui))
                .clicked()
            {
                clicked.push(command);
            }
        }
    });
}

fn icon_of(view: View) -> Icon {
    match view {
        View::Welcome => Icon::Welcome,
        View::Agenda => Icon::Agenda,
        View::Design => Icon::Design,
        View::Live => Icon::Live,
        View::Review | View::Gallery => Icon::Review,
        View::Fleet => Icon::Fleet,
        View::Library => Icon::Library,
    }
}

fn entry(ui: &mut Ui, t: &Tokens, icon: Icon, label: &str, chosen: bool) -> egui::Response {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ENTRY), Sense::click());
    let corner = CornerRadius::same(radius::MEDIUM);
    if chosen || response.hovered() {
        ui.painter().rect_filled(
            rect,
            corner,
            t.raised.gamma_multiply(if chosen { 1.0 } else { 0.5 }),
        );
    }
    if chosen {
        let bar = Rect::from_min_size(rect.min, vec2(3.0, rect.height()));
        ui.painter().rect_filled(bar, CornerRadius::same(1), t.series);
    }
    if response.has_focus() {
        ui.painter()
            .rect_stroke(rect, corner, Stroke::new(2.0, t.series), StrokeKind::Inside);
    }
    let colour = if chosen { t.strong } else { t.text };
    let square = Icon::around(pos2(rect.left() + 17.0, rect.center().y), 17.0);
    icon.paint(ui.painter(), square, colour);
    let at = pos2(rect.left() + 31.0, rect.center().y);
    ui.painter()
        .text(at, Align2::LEFT_CENTER, label, regular(size::BODY), colour);
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, label));
    response
}

/// ABORT: above every dialog, in the same place. Gives whether it was pressed.
pub fn abort(ui: &Ui, place: Rect, cx: &Cx<'_>) -> bool {
    let area = Area::new(Id::unique("abort"))
        .order(Order::Debug)
        .fixed_pos(place.min)
        .constrain(false)
        .fade_in(false)
        .accessible_name(cx.say.emergency_stop());
    area.show(ui.ctx(), |ui| {
        let (rect, response) = ui.allocate_exact_size(place.size(), Sense::click());
        paint_abort(ui, rect, cx, &response);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, Command::Abort.label(cx.say)));
        // Pressing is enough: a hand that shakes may leave the button before it lets go.
        let down = response.contains_pointer() && ui.input(|input| input.pointer.primary_pressed());
        let response = response.on_hover_text(Command::Abort.tip(ui));
        down || (response.clicked() && !ui.input(|input| input.pointer.primary_released()))
    })
    .inner
}

fn paint_abort(ui: &Ui, rect: Rect, cx: &Cx<'_>, response: &egui::Response) {
    let t = cx.tokens;
    let abort = &cx.scene.abort;
    let working = abort.pressed_ms.is_some() && !abort.finished;
    // Whatever the button's own state says: where a fault of ours is on, it is armed.
    let armed = abort.armed || matches!(cx.scene.ours, Ours::On { .. } | Ours::MayBeOn { .. });
    let hot = armed || working;
    let (fill, ink, edge) = if hot {
        (t.abort, t.on_abort, t.on_abort.gamma_multiply(0.55))
    } else {
        (t.abort_calm, t.on_abort_calm, t.abort_calm_line)
    };
    let painter = ui.painter();
    let pressed = response.is_pointer_button_down_on();
    let rect = if pressed { rect.shrink(1.5) } else { rect };
    let fill = if response.hovered() {
        egui::lerp(egui::Rgba::from(fill)..=egui::Rgba::from(ink), 0.06).into()
    } else {
        fill
    };
    painter.rect(
        rect,
        CornerRadius::same(radius::LARGE),
        fill,
        Stroke::new(1.5, edge),
        StrokeKind::Inside,
    );
    if response.has_focus() {
        let ring = Stroke::new(2.0, t.series);
        painter.rect_stroke(
            rect.expand(4.0),
            CornerRadius::same(radius::LARGE + 3),
            ring,
            StrokeKind::Middle,
        );
    }
    widgets::spaced(
        painter,
        rect.center() - vec2(0.0, 9.0),
        "ABORT",
        size::ABORT,
        3.5,
        ink,
    );
    let keys = Command::Abort.keys(ui).unwrap_or_default();
    let below = if working {
        cx.say.abort_sending().to_owned()
    } else if armed {
        cx.say.abort_keys(keys)
    } else {
        cx.say.abort_calm(keys)
    };
    let at = rect.center() + vec2(0.0, 17.0);
    painter.text(at, Align2::CENTER_CENTER, below, regular(size::SMALL), ink);
}

/// Draws a dialog over the view, which is veiled. Input goes only to the dialog and to ABORT.
///
/// Gives what `contents` gives, and whether Escape was pressed.
pub fn dialog<R>(
    ui: &mut Ui,
    places: &Places,
    name: &str,
    width: f32,
    contents: impl FnOnce(&mut Ui) -> R,
) -> (R, bool) {
    let t = Tokens::of(ui);
    ui.painter()
        .rect_filled(places.content.union(places.navigation), 0.0, t.veil);
    let width = width.min(places.content.width() - 2.0 * space::XL);
    let height = places.content.height() - 2.0 * space::XL;
    let offset = (places.content.center() - places.header.union(places.content).center()) * vec2(1.0, 1.0);
    let area = egui::Modal::default_area(Id::unique(name))
        .anchor(Align2::CENTER_CENTER, offset)
        .accessible_name(name);
    let frame = egui::Frame::new()
        .fill(t.panel)
        .stroke(Stroke::new(1.0, t.line))
        .corner_radius(CornerRadius::same(radius::LARGE))
        .inner_margin(egui::Margin::same(space::XXL as i8 - 2));
    let modal = egui::Modal::new(Id::unique(name))
        .area(area)
        .frame(frame)
        .backdrop_color(Color32::TRANSPARENT);
    let response = modal.show(ui.ctx(), |ui| {
        ui.set_width(width - 60.0);
        ui.set_max_height(height - 60.0);
        contents(ui)
    });
    let escape =
        response.is_top_modal && ui.input_mut(|input| input.consume_key(egui::Modifiers::NONE, Key::Escape));
    (response.inner, escape)
}

/// The newest messages, at the foot of the view. Gives how much height they take, for the next frame's view.
pub fn messages(ui: &mut Ui, places: &Places, own: &[Message], cx: &mut Cx<'_>) -> f32 {
    const SHOWN: usize = 3;
    const HEIGHT: f32 = 44.0;
    let messages = cx.scene.messages.clone();
    let mut bottom = places.content.bottom() - space::M;
    let newest_minute = cx.now_ms() - 60_000;
    let shown = own
        .iter()
        .chain(messages.iter().rev())
        .filter(|m| m.level != Level::Info || m.wall_ms > newest_minute);
    for message in shown.take(SHOWN) {
        let t = cx.tokens;
        let width = (places.content.width() - 2.0 * space::M).min(860.0);
        let ink = match message.level {
            Level::Info => t.series,
            Level::Warning => t.fault,
            Level::Error => t.out,
        };
        let galley = ui.painter().layout(
            message.words.clone(),
            regular(size::BODY),
            t.strong,
            width - 190.0,
        );
        let height = HEIGHT.max(galley.size().y + 24.0);
        let rect = Rect::from_min_size(
            pos2(places.content.left() + space::M, bottom - height),
            vec2(width, height),
        );
        bottom -= height + space::S;
        let area = Area::new(Id::unique(("message", message.id)))
            .order(Order::Middle)
            .fixed_pos(rect.min)
            .fade_in(false);
        area.show(ui.ctx(), |ui| {
            let (rect, _) = ui.allocate_exact_size(rect.size(), Sense::hover());
            let painter = ui.painter();
            painter.rect(
                rect,
                CornerRadius::same(radius::MEDIUM),
                t.raised,
                Stroke::new(1.0, ink),
                StrokeKind::Inside,
            );
            let state = match message.level {
                Level::Info => State::Waiting,
                Level::Warning => State::Fault,
                Level::Error => State::Bad,
            };
            widgets::shape(painter, pos2(rect.left() + 20.0, rect.center().y), 5.0, state, t);
            let time = words::clock(message.wall_ms, cx.zone);
            painter.text(
                pos2(rect.left() + 38.0, rect.center().y),
                Align2::LEFT_CENTER,
                time,
                mono(size::SMALL),
                t.dim,
            );
            let at = pos2(rect.left() + 106.0, rect.center().y - galley.size().y / 2.0);
            painter.galley(at, galley.clone(), t.strong);
            let button = Rect::from_min_max(
                pos2(rect.right() - 76.0, rect.center().y - 10.0),
                rect.max - vec2(8.0, 0.0),
            );
            widgets::region(ui, button, |ui| {
                if widgets::link(ui, cx.say.dismiss()).clicked() {
                    cx.ask(Ask::Dismiss(message.id));
                }
            });
        });
    }
    places.content.bottom() - space::M - bottom
}
