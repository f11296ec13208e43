//! Walks a parsed TOML document and gathers every mistake instead of stopping at the first.

use std::ops::Range as Span;

use firedrill_catalogue::quantity;
use serde_json::Value as Json;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    diagnostic::{Diagnostic, Severity, did_you_mean},
    form::Key,
};

/// The text, and what was found wrong with it so far.
pub struct Reader<'t> {
    pub(crate) text: &'t str,
    pub(crate) found: Vec<Diagnostic>,
    /// Keys of a later version, each after the path of its table without indices.
    later: &'static [(&'static str, &'static str)],
}

/// What a text of a kind of file is read with.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// What it is, in a word, for messages: `plan`.
    pub what: &'static str,
    /// Largest text, in bytes.
    pub max_bytes: usize,
    /// Keys of a later version, which are refused and never ignored; each after the path of its table without
    /// indices.
    pub later: &'static [(&'static str, &'static str)],
}

/// Reads a whole text: `read` gets its top table, and what it returns counts only if nothing is wrong. Mistakes
/// and warnings come in the order of the file.
pub fn document<T>(
    text: &str,
    limits: Limits,
    read: impl FnOnce(&mut Reader<'_>, &DeTable<'_>) -> Option<T>,
) -> (Option<T>, Vec<Diagnostic>) {
    let mut reader = Reader {
        text,
        found: Vec::new(),
        later: limits.later,
    };
    if text.len() > limits.max_bytes {
        let Limits { what, max_bytes, .. } = limits;
        let message = format!(
            "the file is {} bytes long; a {what} has at most {max_bytes}",
            text.len()
        );
        reader.error(0..0, "", message);
        return (None, reader.found);
    }
    let (table, mistakes) = DeTable::parse_recoverable(text);
    for mistake in &mistakes {
        let first_line = mistake.message().lines().next().unwrap_or("not TOML").to_owned();
        reader.error(mistake.span().unwrap_or(0..0), "", first_line);
    }
    let value = if mistakes.is_empty() {
        read(&mut reader, table.get_ref())
    } else {
        None
    };
    let mut diagnostics = reader.found;
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    let wrong = diagnostics.iter().any(|it| it.severity == Severity::Error);
    (value.filter(|_| !wrong), diagnostics)
}

/// A value with its place.
#[derive(Clone)]
pub struct Field<'a> {
    /// `experiment[0].name`.
    pub path: String,
    /// Where it is in the text, in bytes.
    pub span: Span<usize>,
    pub(crate) value: &'a DeValue<'a>,
}

/// A table whose known keys are taken one by one.
pub struct Table<'a> {
    pub(crate) path: String,
    pub(crate) span: Span<usize>,
    fields: Vec<(String, Span<usize>, &'a Spanned<DeValue<'a>>)>,
}

impl Reader<'_> {
    /// Says a mistake.
    pub fn error(&mut self, span: Span<usize>, path: &str, message: impl Into<String>) {
        self.found.push(Diagnostic::at(
            self.text,
            span,
            Severity::Error,
            path,
            message.into(),
        ));
    }

    /// Says what somebody should look at.
    pub fn warn(&mut self, span: Span<usize>, path: &str, message: impl Into<String>) {
        self.found.push(Diagnostic::at(
            self.text,
            span,
            Severity::Warning,
            path,
            message.into(),
        ));
    }

    /// Opens a table: says which keys are unknown, not yet supported, or missing. `scope` is the path without
    /// indices, as [`Limits::later`] names it.
    pub fn table<'a>(
        &mut self,
        table: &'a DeTable<'a>,
        span: Span<usize>,
        path: &str,
        scope: &str,
        keys: &[Key],
    ) -> Table<'a> {
        let mut opened = Table {
            path: path.to_owned(),
            span,
            fields: Vec::new(),
        };
        for (key, value) in table {
            let (name, at): (&str, _) = (key.get_ref(), key.span());
            if self.later.contains(&(scope, name)) {
                let message = format!("\"{name}\" is not yet supported by this version; take it out");
                self.error(at, &join(path, name), message);
            } else if keys.iter().any(|known| known.name == name) {
                opened.fields.push((name.to_owned(), at, value));
            } else {
                let near = did_you_mean(name, keys.iter().map(|known| known.name));
                let all: Vec<_> = keys.iter().map(|known| known.name).collect();
                let hint = if near.is_empty() {
                    format!("; known here: {}", all.join(", "))
                } else {
                    near
                };
                self.error(at, &join(path, name), format!("unknown key \"{name}\"{hint}"));
            }
        }
        for key in keys.iter().filter(|key| key.must) {
            if opened.fields.iter().all(|(name, ..)| name != key.name) {
                let at = opened.span.clone();
                let at = at.start..at.start.max(at.end.min(at.start + 1));
                self.error(
                    at,
                    &join(path, key.name),
                    format!("missing \"{}\": {}", key.name, key.doc),
                );
            }
        }
        opened
    }

    /// The table in a field.
    pub fn open<'a>(&mut self, field: &Field<'a>, scope: &str, keys: &[Key]) -> Option<Table<'a>> {
        match field.value {
            DeValue::Table(table) => Some(self.table(table, field.span.clone(), &field.path, scope, keys)),
            other => self.mismatch(field, "a table such as { key = value }", other),
        }
    }

    /// The tables of a field written `[[name]]`, with their path and place.
    pub fn tables<'a>(
        &mut self,
        field: &Field<'a>,
        at_most: usize,
    ) -> Vec<(&'a DeTable<'a>, Span<usize>, String)> {
        let DeValue::Array(array) = field.value else {
            self.error(
                field.span.clone(),
                &field.path,
                format!("expected [[{}]] tables", field.path),
            );
            return Vec::new();
        };
        if array.len() > at_most {
            let message = format!("{} of them; at most {at_most}", array.len());
            self.error(field.span.clone(), &field.path, message);
            return Vec::new();
        }
        let mut tables = Vec::new();
        for (i, item) in array.iter().enumerate() {
            let path = format!("{}[{i}]", field.path);
            match item.get_ref() {
                DeValue::Table(table) => tables.push((table, item.span(), path)),
                other => {
                    let message = format!("expected a table, found {}", other.type_str());
                    self.error(item.span(), &path, message);
                }
            }
        }
        tables
    }

    /// Text that is not empty.
    pub fn text(&mut self, field: Option<Field<'_>>) -> Option<String> {
        let field = field?;
        match field.value {
            DeValue::String(text) if text.trim().is_empty() => {
                self.error(field.span, &field.path, "is empty");
                None
            }
            DeValue::String(text) if text.len() > 4_096 => {
                self.error(
                    field.span,
                    &field.path,
                    format!("{} bytes long; at most 4096", text.len()),
                );
                None
            }
            DeValue::String(text) => Some(text.to_string()),
            other => self.mismatch(&field, "text in quotes", other),
        }
    }

    /// A list of texts, each with its place.
    pub fn texts<'a>(&mut self, field: Option<Field<'a>>) -> Option<Vec<(String, Field<'a>)>> {
        let field = field?;
        let DeValue::Array(array) = field.value else {
            return self.mismatch(&field, "a list of texts such as [\"a\", \"b\"]", field.value);
        };
        let mut texts = Vec::new();
        for (i, item) in array.iter().enumerate().take(1_000) {
            let item = Field {
                path: format!("{}[{i}]", field.path),
                span: item.span(),
                value: item.get_ref(),
            };
            if let Some(text) = self.text(Some(item.clone())) {
                texts.push((text, item));
            }
        }
        Some(texts)
    }

    /// A finite number.
    pub fn number(&mut self, field: Option<Field<'_>>) -> Option<f64> {
        let field = field?;
        let number = match field.value {
            DeValue::Integer(integer) => integer.as_str().replace('_', "").parse::<f64>().ok(),
            DeValue::Float(float) => float.as_str().replace('_', "").parse::<f64>().ok(),
            other => {
                let hint = "a number in the base unit (seconds, shares), without quotes";
                return self.mismatch(&field, hint, other);
            }
        };
        let finite = number.filter(|number| number.is_finite());
        if finite.is_none() {
            self.error(field.span, &field.path, "expected a finite decimal number");
        }
        finite
    }

    /// `true` or `false`.
    pub fn flag(&mut self, field: Option<Field<'_>>) -> Option<bool> {
        let field = field?;
        match field.value {
            DeValue::Boolean(value) => Some(*value),
            other => self.mismatch(&field, "true or false", other),
        }
    }

    /// `"25%"` or `0.25`: above 0, at most 1.
    pub fn share(&mut self, field: Option<Field<'_>>) -> Option<f64> {
        let place = field.clone()?;
        let share = match place.value {
            DeValue::String(_) => self.parsed(field, quantity::share)?,
            _ => self.number(field)?,
        };
        if share > 0.0 && share <= 1.0 {
            return Some(share);
        }
        let message = "expected a share above 0 and at most 1, such as \"25%\" or 0.25";
        self.error(place.span, &place.path, message);
        None
    }

    /// A whole number within limits.
    pub fn count(&mut self, field: Option<Field<'_>>, min: u32, max: u32) -> Option<u32> {
        let place = field.clone()?;
        let number = self.number(field)?;
        if number.fract() == 0.0 && (f64::from(min)..=f64::from(max)).contains(&number) {
            return Some(number as u32);
        }
        self.error(
            place.span,
            &place.path,
            format!("expected a whole number from {min} to {max}, found {number}"),
        );
        None
    }

    /// A duration within limits, in milliseconds.
    pub fn duration(&mut self, field: Option<Field<'_>>, min_ms: u64, max_ms: u64) -> Option<u64> {
        let place = field.clone()?;
        if let DeValue::Integer(number) = place.value {
            let message = format!(
                "expected a duration with its unit, such as \"{}s\"",
                number.as_str()
            );
            self.error(place.span, &place.path, message);
            return None;
        }
        let text = self.text(field)?;
        match quantity::duration_ms(&text) {
            Ok(ms) if (min_ms..=max_ms).contains(&ms) => Some(ms),
            Ok(_) => {
                let (min, max) = (quantity::show_ms(min_ms), quantity::show_ms(max_ms));
                self.error(
                    place.span,
                    &place.path,
                    format!("\"{text}\" is outside {min} to {max}"),
                );
                None
            }
            Err(message) => {
                self.error(place.span, &place.path, message);
                None
            }
        }
    }

    /// Text that `parse` understands.
    pub fn parsed<T>(
        &mut self,
        field: Option<Field<'_>>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let place = field.clone()?;
        let text = self.text(field)?;
        parse(&text)
            .map_err(|message| self.error(place.span, &place.path, message))
            .ok()
    }

    /// Any value as JSON, as it goes on the wire.
    pub fn json(&mut self, field: &Field<'_>, depth: usize) -> Json {
        match field.value {
            DeValue::String(text) => Json::String(text.to_string()),
            DeValue::Boolean(value) => Json::Bool(*value),
            DeValue::Integer(integer) => integer
                .as_str()
                .replace('_', "")
                .parse::<i64>()
                .map_or(Json::Null, Json::from),
            DeValue::Float(float) => float
                .as_str()
                .replace('_', "")
                .parse::<f64>()
                .map_or(Json::Null, Json::from),
            DeValue::Table(table) if depth > 0 => {
                let mut map = serde_json::Map::new();
                for (key, value) in table {
                    let path = join(&field.path, key.get_ref());
                    let inner = Field {
                        path,
                        span: value.span(),
                        value: value.get_ref(),
                    };
                    map.insert(key.get_ref().to_string(), self.json(&inner, depth - 1));
                }
                Json::Object(map)
            }
            other => {
                let message = format!("{} is not possible here", other.type_str());
                self.error(field.span.clone(), &field.path, message);
                Json::Null
            }
        }
    }

    fn mismatch<T>(&mut self, field: &Field<'_>, expected: &str, found: &DeValue<'_>) -> Option<T> {
        let message = format!("expected {expected}, found {}", found.type_str());
        self.error(field.span.clone(), &field.path, message);
        None
    }
}

impl<'a> Table<'a> {
    /// The field of that name, if it is there.
    pub fn get(&self, name: &str) -> Option<Field<'a>> {
        self.fields
            .iter()
            .find(|(known, ..)| known == name)
            .map(|(_, _, value)| Field {
                path: join(&self.path, name),
                span: value.span(),
                value: value.get_ref(),
            })
    }

    /// The place of the table's beginning, for mistakes that no single key has.
    pub fn place(&self) -> Span<usize> {
        self.fields
            .iter()
            .map(|(_, key, _)| key.clone())
            .min_by_key(|key| key.start)
            .unwrap_or(self.span.clone())
    }

    /// The place of a key's value, or of the table.
    pub fn place_of(&self, name: &str) -> Span<usize> {
        self.get(name).map_or_else(|| self.place(), |field| field.span)
    }
}

/// `path.key`.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Every table of `[[key]]`, read by `read`; those that cannot be read are left out (and have been said).
pub fn each<'a, T>(
    r: &mut Reader<'_>,
    parent: &Table<'a>,
    key: &str,
    at_most: usize,
    mut read: impl FnMut(&mut Reader<'_>, &'a DeTable<'a>, Span<usize>, &str) -> Option<T>,
) -> Vec<T> {
    let Some(field) = parent.get(key) else {
        return Vec::new();
    };
    let tables = r.tables(&field, at_most);
    if tables.is_empty() && matches!(field.value, DeValue::Array(array) if array.is_empty()) {
        r.error(
            field.span.clone(),
            &field.path,
            format!("at least one {key} is needed"),
        );
    }
    tables
        .into_iter()
        .filter_map(|(table, span, path)| read(r, table, span, &path))
        .collect()
}

/// Says every table of `[[key]]` whose name another before it has; `names` are those of the tables, in their order.
pub fn unique<'n>(r: &mut Reader<'_>, top: &Table<'_>, key: &str, names: impl Iterator<Item = &'n str>) {
    let names: Vec<_> = names.collect();
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            let path = format!("{key}[{i}].name");
            let span = name_span(top, key, i).unwrap_or_else(|| top.place_of(key));
            r.error(
                span,
                &path,
                format!("the name \"{name}\" is taken by another {key}"),
            );
        }
    }
}

fn name_span(top: &Table<'_>, key: &str, i: usize) -> Option<Span<usize>> {
    match top.get(key)?.value {
        DeValue::Array(array) => array.get(i)?.get_ref().get("name").map(Spanned::span),
        _ => None,
    }
}
