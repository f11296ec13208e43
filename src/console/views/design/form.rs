//! Fields of the form. Each shows the value at a path of the text, and writes the text.

use std::collections::HashMap;

use egui::{Id, Margin, Stroke, TextEdit, Ui, vec2};
use firedrill_plan::{Severity, edit};

use super::draft::{Draft, dotted};
use crate::{
    messages::Say,
    theme::{Tokens, regular, size},
    widgets::{self, choice, rich},
};

/// How typed text becomes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text in quotes; empty takes the key out.
    Text,
    /// Text in quotes; empty stays.
    Needed,
    /// A number; empty takes the key out.
    Number,
    /// A whole number; empty takes the key out.
    Whole,
    /// Texts between commas.
    List,
}

/// The plan's text, seen as fields.
pub struct Form<'a> {
    /// The text.
    pub draft: &'a mut Draft,
    /// What is typed in the field that has the focus, where it is no value yet.
    pub typed: &'a mut HashMap<String, String>,
    /// For undo.
    pub now_s: f64,
}

impl Form<'_> {
    /// A named field for the value at `path`; what is wrong with it stands below.
    pub fn field(&mut self, ui: &mut Ui, label: &str, path: &[&str], hint: &str, kind: Kind) {
        let t = Tokens::of(ui);
        let key = dotted(path);
        let id = Id::unique(("plan field", &key));
        let shown = self.draft.shown(path);
        let focused = ui.ctx().memory(|memory| memory.has_focus(id));
        let mut value = if focused {
            self.typed.remove(&key).unwrap_or_else(|| shown.clone())
        } else {
            shown
        };
        let unread = focused && matches!(read(kind, &value), Typed::Unread);
        let wrong = self
            .draft
            .wrong(path)
            .filter(|found| found.severity == Severity::Error)
            .map(|f| f.message.clone());
        let wrong = if unread {
            Some(Say::of(ui).number_expected(&value))
        } else {
            wrong
        };
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 3.0;
            widgets::one_line(ui, rich(label, regular(size::SMALL), t.dim));
            let width = ui.available_width();
            let response = ui
                .scope(|ui| {
                    if wrong.is_some() {
                        let line = Stroke::new(1.5, t.out);
                        let widgets = &mut ui.visuals_mut().widgets;
                        (widgets.inactive.bg_stroke, widgets.hovered.bg_stroke) = (line, line);
                    }
                    let edit = TextEdit::singleline(&mut value)
                        .id(id)
                        .desired_width(width)
                        .margin(Margin::symmetric(10, 6))
                        .align(egui::Align2::LEFT_CENTER)
                        .text_color(t.strong)
                        .hint_text(rich(hint, regular(size::BODY), t.dim));
                    widgets::named(ui.add(edit), label)
                })
                .inner;
            if let Some(words) = &wrong {
                widgets::small(ui, words, t.out);
            }
            if response.changed() {
                self.write(path, &key, kind, &value);
            }
            if focused {
                self.typed.insert(key, value);
            }
        });
    }

    fn write(&mut self, path: &[&str], key: &str, kind: Kind, typed: &str) {
        match read(kind, typed) {
            Typed::Value(value) => self
                .draft
                .edit(|text| edit::set(text, path, value), key, self.now_s),
            Typed::Nothing => self.draft.edit(|text| edit::remove(text, path), key, self.now_s),
            Typed::Unread => {}
        }
    }

    /// Sets a text at a path.
    pub fn set(&mut self, path: &[&str], value: impl Into<edit::Value>) {
        let value = value.into();
        self.draft
            .edit(|text| edit::set(text, path, value), &dotted(path), self.now_s);
    }

    /// Takes the value or table at a path out.
    pub fn remove(&mut self, path: &[&str]) {
        self.draft
            .edit(|text| edit::remove(text, path), "remove", self.now_s);
        self.typed.clear();
    }

    /// Appends a table.
    pub fn push(&mut self, path: &[&str], body: &str) {
        self.draft
            .edit(|text| edit::push_table(text, path, body), "push", self.now_s);
    }

    /// One of several words, side by side.
    pub fn choose(&mut self, ui: &mut Ui, label: &str, path: &[&str], words: &[(&str, &str)]) {
        let shown = self.draft.shown(path);
        widgets::dim(ui, label);
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(4.0, 4.0);
            for (word, label) in words {
                if choice(ui, shown == *word, label).clicked() {
                    self.set(path, *word);
                }
            }
        });
    }
}

/// What typed text is.
enum Typed {
    Value(edit::Value),
    /// The key is taken out.
    Nothing,
    /// No value yet.
    Unread,
}

fn read(kind: Kind, typed: &str) -> Typed {
    let bare = typed.trim();
    match kind {
        Kind::Text | Kind::Number | Kind::Whole if bare.is_empty() => Typed::Nothing,
        Kind::Text | Kind::Needed => Typed::Value(typed.into()),
        Kind::Number => match bare.parse::<f64>() {
            Ok(number) if number.is_finite() => Typed::Value(number.into()),
            _ => Typed::Unread,
        },
        Kind::Whole => bare
            .parse::<i64>()
            .map_or(Typed::Unread, |number| Typed::Value(number.into())),
        Kind::List => {
            let parts = bare.split(',').map(str::trim).filter(|part| !part.is_empty());
            Typed::Value(edit::texts(parts))
        }
    }
}
