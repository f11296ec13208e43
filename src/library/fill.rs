//! A plan from a template and a person's answers.

use std::collections::BTreeMap;

use firedrill_plan::{Diagnostic, Plan, Severity, check, edit, reader};

use crate::{
    places::dotted,
    template::{Parameter, Template},
    values::Change,
};

/// Answers by the parameter's name; what is not answered keeps its default.
pub type Values = BTreeMap<String, String>;

/// What came out.
#[derive(Clone, Debug)]
pub struct Filled {
    /// The plan's text.
    pub text: String,
    /// The same, read; `None` where something is wrong.
    pub plan: Option<Plan>,
    /// All that is wrong.
    pub wrong: Vec<Wrong>,
    /// What somebody should look at, though the plan can be used.
    pub doubts: Vec<Diagnostic>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The parameter concerned, where it is one's.
    pub parameter: Option<String>,
    /// What, in one sentence.
    pub words: String,
}

impl Filled {
    /// What is wrong with a parameter's value.
    pub fn wrong_with(&self, parameter: &str) -> Option<&Wrong> {
        self.wrong
            .iter()
            .find(|wrong| wrong.parameter.as_deref() == Some(parameter))
    }
}

impl Template {
    /// The plan with these answers.
    pub fn fill(&self, values: &Values) -> Filled {
        let mut wrong: Vec<Wrong> = values
            .keys()
            .filter(|name| self.parameter(name).is_none())
            .map(|name| {
                let known = self.parameters.iter().map(|it| it.name.as_str());
                let near = reader::did_you_mean(name, known);
                Wrong {
                    parameter: None,
                    words: format!("{} asks for no \"{name}\"{near}", self.name),
                }
            })
            .collect();
        let mut text = self.text.to_owned();
        for parameter in &self.parameters {
            let answer = values.get(&parameter.name).map(|answer| answer.trim());
            let Some(answer) = answer.filter(|answer| *answer != parameter.default) else {
                continue;
            };
            match parameter.write(&text, answer) {
                Ok(new) => text = new,
                Err(words) => wrong.push(Wrong {
                    parameter: Some(parameter.name.clone()),
                    words,
                }),
            }
        }
        self.read_again(text, wrong)
    }

    /// Reads what came out: what its reader finds belongs to the parameter whose place it is.
    pub(crate) fn read_again(&self, text: String, mut wrong: Vec<Wrong>) -> Filled {
        let checked = check(&text);
        let (errors, doubts): (Vec<_>, Vec<_>) = checked
            .diagnostics
            .into_iter()
            .partition(|found| found.severity == Severity::Error);
        for error in errors {
            let owner = self.parameters.iter().find(|it| it.owns(&error.path));
            wrong.push(Wrong {
                parameter: owner.map(|it| it.name.clone()),
                words: match owner {
                    Some(_) => error.message,
                    None => format!("line {}: {}", error.line, error.message),
                },
            });
        }
        Filled {
            plan: checked.plan.filter(|_| wrong.is_empty()),
            text,
            wrong,
            doubts,
        }
    }
}

impl Parameter {
    /// The text with this answer at every place; `Err`: what the answer should be.
    fn write(&self, text: &str, answer: &str) -> Result<String, String> {
        let mut text = text.to_owned();
        for place in &self.places {
            for change in self.kind.changes(answer, &place.path, place.times)? {
                text = change.make(&text).map_err(|error| error.to_string())?;
            }
        }
        Ok(text)
    }

    /// Whether a mistake at this place of the plan is this parameter's.
    fn owns(&self, path: &str) -> bool {
        self.places.iter().any(|place| {
            let own = dotted(&place.path);
            path.strip_prefix(&own)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }
}

impl Change {
    pub(crate) fn make(self, text: &str) -> Result<String, edit::EditError> {
        fn keys(path: &[String]) -> Vec<&str> {
            path.iter().map(String::as_str).collect()
        }
        match self {
            Self::Set(path, value) => edit::set(text, &keys(&path), value),
            Self::Remove(path) => edit::remove(text, &keys(&path)),
        }
    }
}
