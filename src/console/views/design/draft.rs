//! The plan's text, which is the one truth: every edit of the form is text to text. Undo and redo are texts.

use std::ops::Range;

use firedrill_plan::{Checked, Diagnostic, Severity, check, edit};
use firedrill_scene::{Ask, PlanScene};
use serde_json::Value;

/// Most texts to go back to.
const UNDO: usize = 200;
/// Edits of one field within this many seconds are one step of undo.
const TOGETHER_S: f64 = 1.2;

/// A plan being written.
pub struct Draft {
    text: String,
    /// The text as on disk.
    saved: String,
    /// Sent to be saved, not yet answered.
    saving: Option<String>,
    revision: Option<u64>,
    checked: Checked,
    /// The text as values, for the form; the last that was TOML.
    values: Value,
    /// Why the text is no TOML now.
    broken: bool,
    undo: Vec<String>,
    redo: Vec<String>,
    /// Which field wrote last, and when.
    last: Option<(String, f64)>,
    /// What the last edit of the form changed.
    pub edited: Option<Range<usize>>,
    /// Grows with every text.
    version: u64,
}

impl Default for Draft {
    fn default() -> Self {
        let mut draft = Self {
            text: String::new(),
            saved: String::new(),
            saving: None,
            revision: None,
            checked: Checked {
                plan: None,
                diagnostics: Vec::new(),
            },
            values: Value::Null,
            broken: false,
            undo: Vec::new(),
            redo: Vec::new(),
            last: None,
            edited: None,
            version: 0,
        };
        draft.read();
        draft
    }
}

impl Draft {
    /// Takes what was loaded or saved. Gives whether the text is another one now.
    pub fn take(&mut self, plan: &PlanScene) -> bool {
        if self.revision == Some(plan.revision) {
            return false;
        }
        self.revision = Some(plan.revision);
        self.saved.clone_from(&plan.text);
        let ours = self.saving.take().as_deref() == Some(plan.text.as_str());
        if ours || self.text == plan.text {
            return false;
        }
        self.text.clone_from(&plan.text);
        self.undo.clear();
        self.redo.clear();
        self.last = None;
        self.edited = None;
        self.read();
        true
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Another number for another text.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// It is not what is on disk.
    pub fn unsaved(&self) -> bool {
        self.text != self.saved
    }

    /// What is wrong, in the order of the text.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.checked.diagnostics
    }

    /// How many mistakes there are.
    pub fn mistakes(&self) -> usize {
        self.diagnostics()
            .iter()
            .filter(|found| found.severity == Severity::Error)
            .count()
    }

    /// The plan, where it can be used.
    pub fn plan(&self) -> Option<&firedrill_plan::Plan> {
        self.checked.plan.as_ref()
    }

    /// The text cannot be edited by the form, because it is no TOML.
    pub fn broken(&self) -> bool {
        self.broken
    }

    /// The value at a path.
    pub fn value(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.values, |value, key| match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            Value::Object(map) => map.get(*key),
            _ => None,
        })
    }

    /// The value at a path as a person would type it; empty where there is none.
    pub fn shown(&self, path: &[&str]) -> String {
        match self.value(path) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null | Value::Object(_)) | None => String::new(),
            Some(Value::Array(items)) => {
                let items = items
                    .iter()
                    .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
                items.collect::<Vec<_>>().join(", ")
            }
            Some(other) => other.to_string(),
        }
    }

    /// How many entries the array at a path has.
    pub fn len(&self, path: &[&str]) -> usize {
        self.value(path).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// What is wrong at a path, if anything.
    pub fn wrong(&self, path: &[&str]) -> Option<&Diagnostic> {
        let path = dotted(path);
        self.diagnostics().iter().find(|found| found.path == path)
    }

    /// A new text. `field` names who wrote it, `now_s` is when.
    pub fn write(&mut self, text: String, field: &str, now_s: f64) {
        if text == self.text {
            return;
        }
        let together = self
            .last
            .as_ref()
            .is_some_and(|(last, at)| last == field && now_s - at < TOGETHER_S);
        let old = std::mem::replace(&mut self.text, text);
        self.edited = Some(difference(&old, &self.text));
        if !together {
            self.undo.push(old);
            if self.undo.len() > UNDO {
                self.undo.remove(0);
            }
        }
        self.last = Some((field.to_owned(), now_s));
        self.redo.clear();
        self.read();
    }

    /// Makes an edit of the form; one that cannot be made changes nothing.
    pub fn edit(
        &mut self,
        change: impl FnOnce(&str) -> Result<String, edit::EditError>,
        field: &str,
        now_s: f64,
    ) {
        if let Ok(text) = change(&self.text) {
            self.write(text, field, now_s);
        }
    }

    /// Takes the last edit back.
    pub fn undo(&mut self) {
        if let Some(text) = self.undo.pop() {
            self.redo.push(std::mem::replace(&mut self.text, text));
            self.after_jump();
        }
    }

    /// Makes it again.
    pub fn redo(&mut self) {
        if let Some(text) = self.redo.pop() {
            self.undo.push(std::mem::replace(&mut self.text, text));
            self.after_jump();
        }
    }

    /// There is something to take back.
    pub fn can_undo(&self) -> bool {
        !self.undo.is_empty()
    }

    /// There is something to make again.
    pub fn can_redo(&self) -> bool {
        !self.redo.is_empty()
    }

    /// The wish to save.
    pub fn save(&mut self, choose: bool, over_newer: bool) -> Ask {
        self.saving = Some(self.text.clone());
        Ask::SavePlan {
            text: self.text.clone(),
            choose,
            over_newer,
        }
    }

    fn after_jump(&mut self) {
        self.last = None;
        self.edited = None;
        self.read();
    }

    fn read(&mut self) {
        self.version += 1;
        self.checked = check(&self.text);
        match edit::values(&self.text) {
            Ok(values) => {
                self.values = values;
                self.broken = false;
            }
            Err(_) => self.broken = true,
        }
    }
}

/// `experiment[0].step[1].with`: a path as diagnostics write it.
pub fn dotted(path: &[&str]) -> String {
    let mut text = String::new();
    for key in path {
        if key.bytes().all(|byte| byte.is_ascii_digit()) {
            text.extend(["[", key, "]"]);
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(key);
        }
    }
    text
}

/// What is new in `new`, as bytes on character boundaries.
fn difference(old: &str, new: &str) -> Range<usize> {
    let same = old
        .chars()
        .zip(new.chars())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum::<usize>();
    let tail = old[same..].chars().rev().zip(new[same..].chars().rev());
    let tail: usize = tail.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    same..new.len() - tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undo_goes_back_by_field_and_redo_forward() {
        let mut draft = Draft::default();
        draft.write("title = \"a\"\n".into(), "title", 0.0);
        draft.write("title = \"ab\"\n".into(), "title", 0.5);
        draft.write("title = \"abc\"\n".into(), "title", 9.0);
        draft.undo();
        assert_eq!(draft.text(), "title = \"ab\"\n");
        draft.undo();
        assert_eq!(draft.text(), "");
        draft.redo();
        draft.redo();
        assert_eq!(draft.text(), "title = \"abc\"\n");
        assert!(!draft.can_redo());
    }

    #[test]
    fn a_save_keeps_what_was_typed_meanwhile() {
        let mut draft = Draft::default();
        draft.take(&PlanScene {
            revision: 1,
            text: "title = \"a\"\n".into(),
            ..PlanScene::default()
        });
        draft.write("title = \"b\"\n".into(), "title", 0.0);
        let Ask::SavePlan { text, .. } = draft.save(false, false) else {
            panic!("no wish to save")
        };
        draft.write("title = \"c\"\n".into(), "title", 5.0);
        draft.take(&PlanScene {
            revision: 2,
            text,
            ..PlanScene::default()
        });
        assert_eq!(draft.text(), "title = \"c\"\n");
        assert!(draft.unsaved());
        draft.take(&PlanScene {
            revision: 3,
            text: "title = \"other\"\n".into(),
            ..PlanScene::default()
        });
        assert!(!draft.unsaved() && !draft.can_undo());
    }

    #[test]
    fn the_difference_is_what_is_new() {
        assert_eq!(difference("delay = 1", "delay = 21"), 8..9);
        assert_eq!(difference("äb", "äöb"), 2..4);
        assert_eq!(difference("aa", "a"), 1..1);
        assert_eq!(
            dotted(&["experiment", "0", "step", "1", "with", "delay"]),
            "experiment[0].step[1].with.delay"
        );
    }
}
