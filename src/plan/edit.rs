//! Edits of a plan's text that keep the author's comments, order and spacing (toml_edit).
//!
//! A path is keys and indices: `["experiment", "0", "step", "1", "with", "delay"]`. Every function takes the
//! text and gives the new text: the text is the one truth, an edit is a value.

use toml_edit::{Array, ArrayOfTables, Decor, DocumentMut, InlineTable, Item, Table, TableLike};

pub use toml_edit::Value;

/// Why an edit could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is not TOML.
    #[error("the text is not TOML yet: {0}")]
    NotToml(String),
    /// The path leads nowhere.
    #[error("there is no \"{0}\" in the plan")]
    NoSuchPlace(String),
}

/// Sets the value at `path`; tables on the way are made where they are missing.
pub fn set(text: &str, path: &[&str], value: impl Into<Value>) -> Result<String, EditError> {
    let mut document = read(text)?;
    let (last, parents) = path.split_last().ok_or_else(|| no_place(path))?;
    let mut value = value.into();
    match walk(Place::Table(document.as_table_mut()), parents, true).ok_or_else(|| no_place(path))? {
        Place::Table(table) => {
            if let Some(old) = table.get_mut(last) {
                if let Some(old) = old.as_value() {
                    *value.decor_mut() = old.decor().clone();
                }
                *old = Item::Value(value);
            } else {
                let indent = indent_of(table);
                table.insert(last, Item::Value(value));
                if let (Some(mut key), Some(indent)) = (table.key_mut(last), indent) {
                    key.leaf_decor_mut().set_prefix(indent);
                }
            }
        }
        Place::Array(array) => {
            let at: usize = last.parse().map_err(|_| no_place(path))?;
            if at < array.len() {
                array.replace(at, value);
            } else {
                array.push(value);
            }
        }
        Place::Tables(_) => return Err(no_place(path)),
    }
    Ok(document.to_string())
}

/// How far the keys of a table are indented, where they are.
fn indent_of(table: &dyn TableLike) -> Option<String> {
    let (name, _) = table.iter().filter(|(_, item)| item.is_value()).last()?;
    indent(table.key(name)?.leaf_decor())
}

/// What stands before something on its line, where that is space.
fn indent(decor: &Decor) -> Option<String> {
    let prefix = decor.prefix()?.as_str()?;
    let line = prefix.rsplit_once('\n').map_or(prefix, |(_, last)| last);
    (!line.is_empty() && line.trim().is_empty()).then(|| line.to_owned())
}

/// Takes the value or table at `path` out; nothing happens if it is not there.
pub fn remove(text: &str, path: &[&str]) -> Result<String, EditError> {
    let mut document = read(text)?;
    let (last, parents) = path.split_last().ok_or_else(|| no_place(path))?;
    match walk(Place::Table(document.as_table_mut()), parents, false) {
        Some(Place::Table(table)) => drop(table.remove(last)),
        Some(Place::Tables(tables)) => {
            if let Some(at) = last.parse().ok().filter(|at| *at < tables.len()) {
                tables.remove(at);
            }
        }
        Some(Place::Array(array)) => {
            if let Some(at) = last.parse().ok().filter(|at| *at < array.len()) {
                array.remove(at);
            }
        }
        None => {}
    }
    Ok(document.to_string())
}

/// Appends a `[[key]]` table, written as TOML in `body`, to the array of tables at `path`.
pub fn push_table(text: &str, path: &[&str], body: &str) -> Result<String, EditError> {
    let mut document = read(text)?;
    let mut table = read(body)?.as_table().clone();
    let (last, parents) = path.split_last().ok_or_else(|| no_place(path))?;
    let Some(Place::Table(parent)) = walk(Place::Table(document.as_table_mut()), parents, true) else {
        return Err(no_place(path));
    };
    forget_places(&mut table);
    table.set_implicit(false);
    table.decor_mut().set_prefix("\n");
    if !parent.contains_key(last) {
        parent.insert(last, Item::ArrayOfTables(ArrayOfTables::new()));
    }
    let array = parent
        .get_mut(last)
        .and_then(Item::as_array_of_tables_mut)
        .ok_or_else(|| no_place(path))?;
    if let Some(before) = array.iter().last() {
        indent_as(&mut table, before);
    }
    array.push(table);
    Ok(document.to_string())
}

/// Header and keys as far from the margin as those of the table before.
fn indent_as(table: &mut Table, before: &Table) {
    if let Some(indent) = indent(before.decor()) {
        table.decor_mut().set_prefix(format!("\n{indent}"));
    }
    if let Some(indent) = indent_of(before) {
        for (mut key, _) in table.iter_mut() {
            key.leaf_decor_mut().set_prefix(indent.clone());
        }
    }
}

/// Moves the entry `from` of the array at `path` to the place `to`, with its comments; those between move up or
/// down by one.
pub fn move_entry(text: &str, path: &[&str], from: usize, to: usize) -> Result<String, EditError> {
    let mut document = read(text)?;
    match walk(Place::Table(document.as_table_mut()), path, false) {
        Some(Place::Tables(tables)) if from < tables.len() && to < tables.len() => {
            move_table(tables, from, to);
        }
        Some(Place::Array(array)) if from < array.len() && to < array.len() => {
            let value = array.remove(from);
            array.insert_formatted(to, value);
        }
        _ => return Err(no_place(path)),
    }
    Ok(document.to_string())
}

/// What is written where is decided by the places of all tables: the places stay, the tables change theirs.
fn move_table(tables: &mut ArrayOfTables, from: usize, to: usize) {
    let mut places = Vec::new();
    for table in tables.iter_mut() {
        each_table(table, &mut |table| places.extend(table.position()));
    }
    places.sort_unstable();
    let mut all: Vec<Table> = tables.iter().cloned().collect();
    let moved = all.remove(from);
    all.insert(to, moved);
    let mut places = places.into_iter();
    for table in &mut all {
        let mut own = Vec::new();
        each_table(table, &mut |table| own.extend(table.position()));
        own.sort_unstable();
        let new: Vec<isize> = places.by_ref().take(own.len()).collect();
        each_table(table, &mut |table| {
            let rank = table.position().and_then(|place| own.binary_search(&place).ok());
            if let Some(rank) = rank {
                table.set_position(new.get(rank).copied());
            }
        });
    }
    tables.clear();
    for table in all {
        tables.push(table);
    }
}

/// A table and every table in it.
fn each_table(table: &mut Table, visit: &mut dyn FnMut(&mut Table)) {
    visit(table);
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(inner) => each_table(inner, visit),
            Item::ArrayOfTables(tables) => {
                for inner in tables.iter_mut() {
                    each_table(inner, visit);
                }
            }
            Item::None | Item::Value(_) => {}
        }
    }
}

/// Places order the tables of a document; a table from another text has none here, and follows its parent.
fn forget_places(table: &mut Table) {
    each_table(table, &mut |table| table.set_position(None));
}

/// An inline table `{ key = value, … }`.
pub fn inline<'k>(pairs: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    let mut table = InlineTable::new();
    for (key, value) in pairs {
        table.insert(key, value);
    }
    Value::InlineTable(table)
}

/// An array of texts `["…", "…"]`.
pub fn texts<'t>(items: impl IntoIterator<Item = &'t str>) -> Value {
    Value::Array(items.into_iter().collect())
}

/// The text as plain values, for reading: tables are objects, arrays of tables are arrays.
pub fn values(text: &str) -> Result<serde_json::Value, EditError> {
    toml_edit::de::from_str(text).map_err(|error| EditError::NotToml(error.message().to_owned()))
}

fn read(text: &str) -> Result<DocumentMut, EditError> {
    text.parse::<DocumentMut>()
        .map_err(|error| EditError::NotToml(error.message().lines().next().unwrap_or_default().to_owned()))
}

fn no_place(path: &[&str]) -> EditError {
    EditError::NoSuchPlace(path.join("."))
}

/// Where a path has led so far.
enum Place<'d> {
    Table(&'d mut dyn TableLike),
    Tables(&'d mut ArrayOfTables),
    Array(&'d mut Array),
}

fn walk<'d>(place: Place<'d>, path: &[&str], make: bool) -> Option<Place<'d>> {
    let Some((key, rest)) = path.split_first() else {
        return Some(place);
    };
    let next = match place {
        Place::Table(table) => {
            if make && !table.contains_key(key) {
                table.insert(key, Item::Value(Value::InlineTable(InlineTable::new())));
            }
            match table.get_mut(key)? {
                Item::ArrayOfTables(tables) => Place::Tables(tables),
                Item::Value(Value::Array(array)) => Place::Array(array),
                other => Place::Table(other.as_table_like_mut()?),
            }
        }
        Place::Tables(tables) => Place::Table(tables.get_mut(key.parse().ok()?)?),
        Place::Array(array) => Place::Table(array.get_mut(key.parse().ok()?)?.as_inline_table_mut()?),
    };
    walk(next, rest, make)
}
