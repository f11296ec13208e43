//! The house's widgets: cards, text, buttons, pills and the shapes that repeat what words say.

mod agent_card;
mod icon;
mod readout;
mod shape;

pub use agent_card::{agent_card, agent_state, agent_word};
pub use icon::Icon;
pub use readout::{fuse, lease, stat};
pub use shape::{State, check, hatch, hatching, pill, shape, word};

use egui::{
    Align, Button, Color32, CornerRadius, FontId, Frame, Label, Layout, Margin, Rect, Response, RichText,
    Role, Sense, Stroke, Ui, UiBuilder, Vec2, WidgetInfo, pos2, vec2,
};

use crate::theme::{Tokens, bold, medium, radius, regular, size, space};

/// Text in a font and colour.
pub fn rich(text: impl Into<String>, font: FontId, colour: Color32) -> RichText {
    RichText::new(text).font(font).color(colour)
}

/// A title of 14 points.
pub fn title(ui: &mut Ui, text: impl Into<String>) -> Response {
    let colour = Tokens::of(ui).strong;
    ui.label(rich(text, medium(size::BODY), colour))
}

/// A dialog's or view's title.
pub fn headline(ui: &mut Ui, text: impl Into<String>) -> Response {
    let colour = Tokens::of(ui).strong;
    ui.label(rich(text, regular(size::HEADLINE), colour))
}

/// Running text; wraps.
pub fn text(ui: &mut Ui, words: impl Into<String>) -> Response {
    let colour = Tokens::of(ui).text;
    ui.label(rich(words, regular(size::BODY), colour))
}

/// Secondary text; wraps.
pub fn dim(ui: &mut Ui, words: impl Into<String>) -> Response {
    let colour = Tokens::of(ui).dim;
    ui.label(rich(words, regular(size::SMALL), colour))
}

/// Small text in a colour; wraps.
pub fn small(ui: &mut Ui, words: impl Into<String>, colour: Color32) -> Response {
    ui.label(rich(words, regular(size::SMALL), colour))
}

/// One line of text that ends in `…` where there is no room; the whole of it on hover.
pub fn one_line(ui: &mut Ui, text: RichText) -> Response {
    let whole = text.text().to_owned();
    let response = ui.add(Label::new(text).truncate().show_tooltip_when_elided(false));
    response.on_hover_text(whole)
}

/// A card's frame.
pub fn card_frame(tokens: &Tokens) -> Frame {
    Frame::new()
        .fill(tokens.card)
        .stroke(Stroke::new(1.0, tokens.line))
        .corner_radius(CornerRadius::same(radius::LARGE))
        .inner_margin(Margin::same(space::L as i8))
}

/// A card as high as what is in it and as wide as there is room.
pub fn card<R>(ui: &mut Ui, contents: impl FnOnce(&mut Ui) -> R) -> R {
    card_frame(Tokens::of(ui))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            contents(ui)
        })
        .inner
}

/// A card that fills `rect`; `contents` gets the inside and is cut off at its edge.
pub fn card_at<R>(ui: &mut Ui, rect: Rect, contents: impl FnOnce(&mut Ui) -> R) -> R {
    let tokens = Tokens::of(ui);
    ui.painter().rect(
        rect,
        CornerRadius::same(radius::LARGE),
        tokens.card,
        Stroke::new(1.0, tokens.line),
        egui::StrokeKind::Inside,
    );
    region(ui, rect.shrink(space::L), contents)
}

/// Lays `contents` out in `rect`, from the top, cut off at its edge (a point of slack for focus rings).
pub fn region<R>(ui: &mut Ui, rect: Rect, contents: impl FnOnce(&mut Ui) -> R) -> R {
    let builder = UiBuilder::new()
        .max_rect(rect)
        .layout(Layout::top_down(Align::Min));
    ui.scope_builder(builder, |ui| {
        ui.set_clip_rect(rect.expand(3.0).intersect(ui.clip_rect()));
        contents(ui)
    })
    .inner
}

/// Left and right ends of one row: `left` takes what `right` leaves.
pub fn ends(ui: &mut Ui, height: f32, left: impl FnOnce(&mut Ui), right: impl FnOnce(&mut Ui)) {
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
    let builder = UiBuilder::new()
        .max_rect(rect)
        .layout(Layout::right_to_left(Align::Center));
    let used = ui.scope_builder(builder, right).response.rect;
    let rest = Rect::from_min_max(
        rect.min,
        pos2((used.min.x - space::S).max(rect.min.x), rect.max.y),
    );
    let builder = UiBuilder::new()
        .max_rect(rest)
        .layout(Layout::left_to_right(Align::Center));
    ui.scope_builder(builder, |ui| {
        ui.set_clip_rect(rest.expand2(vec2(4.0, 8.0)).intersect(ui.clip_rect()));
        left(ui);
    });
}

/// An ordinary button.
pub fn button(ui: &mut Ui, label: &str) -> Response {
    button_if(ui, Ok(()), label)
}

/// An ordinary button that may be out of order, and says why.
pub fn button_if(ui: &mut Ui, enabled: Result<(), &str>, label: &str) -> Response {
    let ink = Tokens::of(ui).strong;
    button_in(ui, enabled, label, ink)
}

/// The same with letters in a colour.
pub fn button_in(ui: &mut Ui, enabled: Result<(), &str>, label: &str, ink: Color32) -> Response {
    let text = rich(label, medium(size::BODY), ink);
    let response = focus_ring(ui, |ui| ui.add_enabled(enabled.is_ok(), Button::new(text)));
    match enabled {
        Ok(()) => response,
        Err(why) => response.on_disabled_hover_text(why),
    }
}

/// The button that begins a fault.
pub fn danger(ui: &mut Ui, enabled: bool, label: &str) -> Response {
    let tokens = Tokens::of(ui);
    solid(ui, enabled, label, tokens.fault, tokens.on_fault)
}

fn solid(ui: &mut Ui, enabled: bool, label: &str, fill: Color32, ink: Color32) -> Response {
    let (fill, ink) = if enabled {
        (fill, ink)
    } else {
        (Tokens::of(ui).raised, Tokens::of(ui).dim)
    };
    let text = rich(label, medium(size::LARGE), ink);
    let button = Button::new(text)
        .fill(fill)
        .stroke(Stroke::NONE)
        .min_size(vec2(150.0, 44.0));
    focus_ring(ui, |ui| ui.add_enabled(enabled, button))
}

/// A button without a frame, for secondary things.
pub fn link(ui: &mut Ui, label: &str) -> Response {
    let text = rich(label, regular(size::SMALL), Tokens::of(ui).series);
    let button = Button::new(text)
        .frame(false)
        .wrap_mode(egui::TextWrapMode::Extend);
    low(ui, 20.0, |ui| focus_ring(ui, |ui| ui.add(button)))
}

/// One of several: chosen ones are raised.
pub fn choice(ui: &mut Ui, chosen: bool, label: &str) -> Response {
    let tokens = Tokens::of(ui);
    let ink = if chosen { tokens.strong } else { tokens.dim };
    let fill = if chosen {
        tokens.raised
    } else {
        Color32::TRANSPARENT
    };
    let button = Button::new(rich(label, regular(size::SMALL), ink))
        .fill(fill)
        .stroke(Stroke::NONE)
        .wrap_mode(egui::TextWrapMode::Extend);
    let response = low(ui, 22.0, |ui| focus_ring(ui, |ui| ui.add(button)));
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, label));
    response
}

/// Adds a widget that is lower than others. Not in a scope: a wrapped row could not break before that.
fn low(ui: &mut Ui, height: f32, add: impl FnOnce(&mut Ui) -> Response) -> Response {
    let (padding, interact) = (ui.spacing().button_padding, ui.spacing().interact_size);
    ui.spacing_mut().button_padding = vec2(space::S, 2.0);
    ui.spacing_mut().interact_size.y = height;
    let response = add(ui);
    ui.spacing_mut().button_padding = padding;
    ui.spacing_mut().interact_size = interact;
    response
}

/// Draws the focus as a ring that is seen on every fill.
pub fn focus_ring(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> Response) -> Response {
    let response = add(ui);
    if response.has_focus() {
        let stroke = Stroke::new(2.0, Tokens::of(ui).series);
        let corner = CornerRadius::same(radius::MEDIUM + 2);
        ui.painter().rect_stroke(
            response.rect.expand(2.0),
            corner,
            stroke,
            egui::StrokeKind::Middle,
        );
    }
    response
}

/// A field for one line of text, as wide as there is room, named for screen readers and tests.
pub fn field(ui: &mut Ui, name: &str, value: &mut String, hint: &str) -> Response {
    let width = ui.available_width();
    let tokens = Tokens::of(ui);
    let edit = egui::TextEdit::singleline(value)
        .desired_width(width)
        .margin(Margin::symmetric(10, 7))
        .text_color(tokens.strong)
        .hint_text(rich(hint, regular(size::BODY), tokens.dim));
    named(ui.add(edit), name)
}

/// Gives a widget its accessible name.
pub fn named(response: Response, name: &str) -> Response {
    let context = response.ctx.clone();
    context.accesskit_node_builder(response.id, |node| node.set_label(name));
    response
}

/// A thin line across.
pub fn rule(ui: &mut Ui) {
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 1.0), Sense::hover());
    ui.painter().hline(
        rect.x_range(),
        rect.center().y,
        Stroke::new(1.0, Tokens::of(ui).line),
    );
}

/// A progress bar with words over it.
pub fn progress(ui: &mut Ui, share: f32, colour: Color32, width: f32) {
    let tokens = Tokens::of(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(width, 6.0), Sense::hover());
    ui.painter().rect_filled(rect, 3.0, tokens.raised);
    let done = Rect::from_min_size(
        rect.min,
        vec2(rect.width() * share.clamp(0.0, 1.0), rect.height()),
    );
    ui.painter().rect_filled(done, 3.0, colour);
}

/// What a place says while there is nothing in it: a title, a sentence, and what to do.
pub fn empty(ui: &mut Ui, heading: &str, words: &str, actions: impl FnOnce(&mut Ui)) {
    let width = ui.available_width().min(520.0);
    let top = ((ui.available_height() - 160.0) * 0.35).max(space::L);
    ui.add_space(top);
    ui.vertical_centered(|ui| {
        ui.set_max_width(width);
        headline(ui, heading);
        ui.add_space(space::XS);
        text(ui, words);
        ui.add_space(space::M);
        actions(ui);
    });
}

/// ABORT's letters; painted, so that they stand with wide spaces between.
pub fn spaced(
    painter: &egui::Painter,
    centre: egui::Pos2,
    word: &str,
    points: f32,
    gap: f32,
    colour: Color32,
) {
    let galleys: Vec<_> = word
        .chars()
        .map(|c| painter.layout_no_wrap(c.to_string(), bold(points), colour))
        .collect();
    let width: f32 = galleys.iter().map(|g| g.size().x).sum::<f32>() + gap * (galleys.len() as f32 - 1.0);
    let mut x = centre.x - width / 2.0;
    for galley in galleys {
        let advance = galley.size().x + gap;
        painter.galley(pos2(x, centre.y - galley.size().y / 2.0), galley, colour);
        x += advance;
    }
}

/// Room for a widget that is painted by hand, with a name.
pub fn painted(ui: &mut Ui, wanted: Vec2, name: &str) -> (Rect, Response) {
    let (rect, response) = ui.allocate_exact_size(wanted, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), name));
    (rect, response)
}
