//! The plan's text: coloured, with mistakes marked at their place and listed below.

use std::ops::Range;

use egui::{
    Color32, FontId, Galley, Id, Rect, ScrollArea, Stroke, TextEdit, Ui, pos2,
    text::{CCursor, LayoutJob, TextFormat},
    vec2,
};
use firedrill_plan::{Diagnostic, Severity};

use super::draft::Draft;
use crate::{
    messages::Say,
    theme::{Tokens, mono, regular, size, space},
    widgets::{self, State, rich},
};

/// Draws text and mistakes.
pub fn editor(ui: &mut Ui, draft: &mut Draft, file: Option<&str>, jump: &mut Option<usize>) {
    let t = Tokens::of(ui);
    let say = Say::of(ui);
    let saved = match (draft.unsaved(), file) {
        (true, _) => say.not_saved(),
        (false, Some(_)) => say.saved(),
        (false, None) => "",
    };
    let file = file.unwrap_or(say.no_file_yet());
    widgets::ends(
        ui,
        22.0,
        |ui| {
            drop(widgets::one_line(
                ui,
                rich(file, crate::theme::medium(size::BODY), t.strong),
            ));
        },
        |ui| drop(widgets::dim(ui, saved)),
    );
    let found = draft.diagnostics().to_vec();
    let list = if found.is_empty() {
        0.0
    } else {
        14.0 + 40.0 * found.len().min(4) as f32
    };
    let inside = ui.max_rect();
    let top = ui.cursor().top() + space::XS;
    let text = Rect::from_min_max(
        pos2(inside.left() - 2.0, top),
        pos2(inside.right() + 3.0, inside.bottom() - list),
    );
    widgets::region(ui, text, |ui| text_pane(ui, draft, &found, *jump));
    *jump = None;
    if !found.is_empty() {
        let place = inside.with_min_y(text.bottom() + space::S);
        widgets::region(ui, place, |ui| *jump = mistakes(ui, &found));
    }
}

fn text_pane(ui: &mut Ui, draft: &mut Draft, found: &[Diagnostic], jump: Option<usize>) {
    let t = Tokens::of(ui);
    let edited = draft.edited.clone();
    let mut text = draft.text().to_owned();
    ScrollArea::both()
        .id_salt("text")
        .auto_shrink(false)
        .show(ui, |ui| {
            let under = ui.painter().add(egui::Shape::Noop);
            let mut layouter = |ui: &Ui, buffer: &dyn egui::TextBuffer, _wrap: f32| {
                let job = colours(buffer.as_str(), mono(size::CODE), t);
                ui.fonts_mut(|fonts| fonts.layout_job(job))
            };
            let output = TextEdit::multiline(&mut text)
                .id(Id::unique("plan text"))
                .code_editor()
                // Tab goes on to the next control: the keyboard alone must reach ABORT from here too.
                .lock_focus(false)
                .desired_width(f32::INFINITY)
                .min_size(ui.available_size())
                .frame(egui::Frame::NONE.inner_margin(egui::Margin::symmetric(10, 4)))
                .layouter(&mut layouter)
                .show(ui);
            widgets::named(output.response.response.clone(), Say::of(ui).plan_text());
            let place = |span: &Range<usize>| {
                lines_of(draft.text(), span, &output.galley).translate(output.galley_pos.to_vec2())
            };
            let mut marks = Vec::new();
            if let Some(span) = &edited {
                marks.push(egui::Shape::rect_filled(
                    place(span).expand2(vec2(4.0, 0.0)),
                    3.0,
                    t.raised,
                ));
            }
            for mistake in found {
                let colour = if mistake.severity == Severity::Error {
                    t.out
                } else {
                    t.fault
                };
                let rect = place(&mistake.span);
                let bar = Rect::from_min_size(pos2(rect.left() - 7.0, rect.top()), vec2(3.0, rect.height()));
                marks.push(egui::Shape::rect_filled(bar, 1.0, colour));
                let under =
                    exact(draft.text(), &mistake.span, &output.galley).translate(output.galley_pos.to_vec2());
                let line = [
                    under.left_bottom(),
                    pos2(under.right().max(under.left() + 8.0), under.bottom()),
                ];
                marks.push(egui::Shape::line_segment(line, Stroke::new(1.5, colour)));
            }
            ui.painter().set(under, egui::Shape::Vec(marks));
            if let Some(offset) = jump {
                let rect = lines_of(draft.text(), &(offset..offset), &output.galley);
                ui.scroll_to_rect(rect.translate(output.galley_pos.to_vec2()).expand(40.0), None);
            }
        });
    let now = ui.input(|input| input.time);
    draft.write(text, "text", now);
}

/// Below the text: a row a mistake; gives the place that was clicked.
fn mistakes(ui: &mut Ui, found: &[Diagnostic]) -> Option<usize> {
    let (t, say) = (Tokens::of(ui), Say::of(ui));
    let mut jump = None;
    widgets::rule(ui);
    ScrollArea::vertical()
        .id_salt("mistakes")
        .auto_shrink(false)
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            for mistake in found {
                let error = mistake.severity == Severity::Error;
                let (state, ink) = if error {
                    (State::Bad, t.out)
                } else {
                    (State::Fault, t.fault)
                };
                let words = say.mistake_line(mistake.line, &mistake.message);
                let galley = ui.painter().layout(
                    words.clone(),
                    regular(size::SMALL),
                    ink,
                    ui.available_width() - 22.0,
                );
                let (rect, response) =
                    widgets::painted(ui, vec2(ui.available_width(), galley.size().y + 6.0), &words);
                if response.hovered() || response.has_focus() {
                    ui.painter().rect_filled(rect, 4.0, t.raised);
                }
                widgets::shape(
                    ui.painter(),
                    pos2(rect.left() + 8.0, rect.top() + 10.0),
                    4.0,
                    state,
                    t,
                );
                ui.painter().galley(rect.min + vec2(20.0, 3.0), galley, ink);
                if response.clicked() {
                    jump = Some(mistake.span.start);
                }
            }
        });
    jump
}

fn cursor_at(text: &str, byte: usize) -> CCursor {
    let byte = (0..=byte.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    CCursor::new(text[..byte].chars().count())
}

/// The rectangle of the lines that a span touches.
fn lines_of(text: &str, span: &Range<usize>, galley: &Galley) -> Rect {
    let first = galley.pos_from_cursor(cursor_at(text, span.start));
    let last = galley.pos_from_cursor(cursor_at(text, span.end));
    Rect::from_min_max(
        pos2(0.0, first.top()),
        pos2(galley.size().x.max(120.0), last.bottom()),
    )
}

/// The rectangle of a span's first line.
fn exact(text: &str, span: &Range<usize>, galley: &Galley) -> Rect {
    let first = galley.pos_from_cursor(cursor_at(text, span.start));
    let last = galley.pos_from_cursor(cursor_at(text, span.end));
    let right = if last.top() > first.top() {
        galley.size().x
    } else {
        last.right()
    };
    Rect::from_min_max(first.min, pos2(right, first.bottom()))
}

/// Comments, tables, keys and strings, line by line.
fn colours(text: &str, font: FontId, t: &Tokens) -> LayoutJob {
    let mut job = LayoutJob::default();
    let mut push = |piece: &str, colour: Color32| {
        job.append(
            piece,
            0.0,
            TextFormat {
                font_id: font.clone(),
                color: colour,
                line_height: Some(18.0),
                ..TextFormat::default()
            },
        );
    };
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start();
        if bare.starts_with('#') {
            push(line, t.dim);
        } else if bare.starts_with('[') {
            push(line, t.series);
        } else {
            match line.split_once('=') {
                Some((key, value)) => {
                    push(key, t.text);
                    push("=", t.dim);
                    let comment = comment_at(value);
                    push(&value[..comment], t.strong);
                    push(&value[comment..], t.dim);
                }
                None => push(line, t.text),
            }
        }
    }
    job
}

/// Where a value's comment begins: the first `#` outside quotes, else the end.
fn comment_at(value: &str) -> usize {
    let mut quote = None;
    for (at, c) in value.char_indices() {
        match (quote, c) {
            (None, '#') => return at,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_in_quotes_is_no_comment() {
        assert_eq!(comment_at(" \"a#b\" # c"), 7);
        assert_eq!(comment_at(" 'x' "), 5);
    }
}
