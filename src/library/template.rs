//! A template as read: the plan, its parameters with their places resolved, the mapping to the demo.

use firedrill_plan::{Plan, Severity, edit};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::{
    demo::Demo,
    places::resolve,
    values::{Kind, round},
};

/// A plan to start from.
#[derive(Clone, Debug)]
pub struct Template {
    /// Its file's name, without the ending.
    pub name: &'static str,
    /// The field it is from: `shops`.
    pub domain: String,
    /// What it is for, in a sentence or two.
    pub words: String,
    /// What must be there before it can run, a sentence each.
    pub needs: Vec<String>,
    /// The plan's text as it ships.
    pub text: &'static str,
    /// The same, read.
    pub plan: Plan,
    /// What a form asks, in its order.
    pub parameters: Vec<Parameter>,
    /// How it runs on the demo's order system.
    pub demo: Demo,
}

/// What a form asks.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Unique in its template; as in `--set NAME=VALUE`.
    pub name: String,
    /// The question.
    pub ask: String,
    /// What helps to answer it; may be empty.
    pub hint: String,
    /// What it takes.
    pub kind: Kind,
    /// What the plan says as it ships.
    pub default: String,
    /// Where it goes.
    pub(crate) places: Vec<Place>,
}

/// A place in the plan that ships.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) path: Vec<String>,
    /// A number is written so many times as large.
    pub(crate) times: f64,
}

/// Why a template cannot be used: a defect of what ships.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{template}: {why}")]
pub struct LoadError {
    /// Which.
    pub template: String,
    /// What is wrong.
    pub why: String,
}

/// The file beside the plan.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AboutFile {
    domain: String,
    words: String,
    needs: Vec<String>,
    parameter: Vec<ParameterFile>,
    demo: Demo,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParameterFile {
    name: String,
    ask: String,
    #[serde(default)]
    hint: String,
    kind: Kind,
    at: Vec<PlaceFile>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PlaceFile {
    As(String),
    Times { at: String, times: f64 },
}

impl Template {
    /// Reads a plan and the file beside it.
    pub fn read(name: &'static str, text: &'static str, about: &str) -> Result<Self, LoadError> {
        let wrong = |why: String| LoadError {
            template: name.to_owned(),
            why,
        };
        let checked = firedrill_plan::check(text);
        let plan = checked.plan.ok_or_else(|| {
            let errors = checked.diagnostics.iter();
            let first = errors.clone().find(|it| it.severity == Severity::Error);
            wrong(first.map_or_else(String::new, |it| it.render(name, text)))
        })?;
        let values = edit::values(text).map_err(|error| wrong(error.to_string()))?;
        let about: AboutFile = toml_edit::de::from_str(about).map_err(|error| wrong(error.to_string()))?;
        let mut parameters: Vec<Parameter> = Vec::new();
        for file in about.parameter {
            if parameters.iter().any(|known| known.name == file.name) {
                return Err(wrong(format!("two parameters are called {}", file.name)));
            }
            let called = file.name.clone();
            let read = parameter(file, &values).map_err(|why| wrong(format!("{called}: {why}")))?;
            parameters.push(read);
        }
        about
            .demo
            .check(&plan, &parameters)
            .map_err(|why| wrong(format!("demo: {why}")))?;
        Ok(Self {
            name,
            domain: about.domain,
            words: about.words,
            needs: about.needs,
            text,
            plan,
            parameters,
            demo: about.demo,
        })
    }

    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

/// A parameter's places: where the plan has its default. Others that a pattern meets are somebody else's.
fn parameter(file: ParameterFile, values: &Json) -> Result<Parameter, String> {
    let kind = file.kind;
    let mut default = None;
    let mut places = Vec::new();
    for place in file.at {
        let (pattern, times) = match place {
            PlaceFile::As(at) => (at, 1.0),
            PlaceFile::Times { at, times } => (at, times),
        };
        let before = places.len();
        for (path, value) in resolve(values, &pattern) {
            let Some(shown) = kind.show(value) else { continue };
            let default: &String = default.get_or_insert_with(|| shown.clone());
            let fits = match (default.parse::<f64>(), value.as_f64()) {
                (Ok(first), Some(here)) if kind == Kind::Number => round(first * times) == here,
                _ => *default == shown,
            };
            if fits {
                places.push(Place { path, times });
            }
        }
        if places.len() == before {
            return Err(format!(
                "nothing of the plan is at {pattern}, or it is not the default"
            ));
        }
    }
    Ok(Parameter {
        default: default.ok_or_else(|| "it has no place".to_owned())?,
        name: file.name,
        ask: file.ask,
        hint: file.hint,
        kind,
        places,
    })
}
