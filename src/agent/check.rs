//! Checks of what is asked for, before the ward hears of it: the fault, its parameters, its scope.

use firedrill_catalogue::{FaultSpec, ParamKind, Parameters};
use firedrill_wire::{FaultInfo, FaultName, ParamDoc, Problem, ProblemKind, Scope};
use serde_json::{Map, Value, json};

use crate::faults::{Fault, Prepared};
use crate::host::Host;
use crate::policy::{Asked, Policy};

/// Parameters with their defaults, or all that is wrong with them.
pub fn parameters(spec: &FaultSpec, given: &Value) -> Result<Parameters, Problem> {
    firedrill_catalogue::check(spec, given).map_err(|problems| {
        let words = problems
            .iter()
            .map(|it| match it.key.as_str() {
                "parameters" => format!("parameters: {}", it.message),
                key => format!("parameters.{key}: {}", it.message),
            })
            .collect();
        refuse(spec, words)
    })
}

fn refuse(spec: &FaultSpec, words: Vec<String>) -> Problem {
    Problem::new(
        ProblemKind::Parameters,
        "the parameters are not right",
        words.join("; "),
        format!("see the schema of {} in `GET /v1/agent`", spec.name),
    )
}

/// An injection that can be done here.
pub struct Checked {
    spec: &'static FaultSpec,
    parameters: Parameters,
    /// What it would hit.
    pub prepared: Prepared,
}

/// Whether the host's policy allows it. `ends_in_ms` is known for a start alone.
pub fn policy(
    policy: &Policy,
    who: &str,
    checked: &Checked,
    scope: &Scope,
    ends_in_ms: Option<u64>,
) -> Result<(), Problem> {
    policy.check(Asked {
        who,
        spec: checked.spec,
        parameters: &checked.parameters,
        route: scope.route.as_deref(),
        prepared: Some(&checked.prepared),
        ends_in_ms,
    })
}

/// What an injection would hit; every mistake at once.
pub fn injection(
    host: &Host,
    fault: &FaultName,
    given: &Value,
    scope: &Scope,
    ramp_ms: u64,
) -> Result<Checked, Problem> {
    let found = host.fault(fault).ok_or_else(|| unknown_fault(host, fault))?;
    let spec = found.spec();
    let mut wrong = Vec::new();
    let parameters = firedrill_catalogue::check(spec, given)
        .map_err(|problems| {
            wrong.extend(problems.into_iter().map(|it| match it.key.as_str() {
                "parameters" => format!("parameters: {}", it.message),
                key => format!("parameters.{key}: {}", it.message),
            }));
        })
        .ok();
    wrong.extend(scope.problems(spec).into_iter().map(|it| format!("scope.{it}")));
    if ramp_ms > 0 && spec.strength.is_none() {
        wrong.push(format!(
            "ramp_ms: {} is on or off, it does not grow: give 0",
            spec.name
        ));
    }
    let Some(parameters) = parameters.filter(|_| wrong.is_empty()) else {
        return Err(refuse(spec, wrong));
    };
    found.available().map_err(|it| {
        Problem::new(
            ProblemKind::NotPossible,
            format!("{} cannot be done on this host", spec.name),
            it.why,
            it.remedy,
        )
    })?;
    let prepared = found.prepare(&parameters, scope)?;
    Ok(Checked {
        spec,
        parameters,
        prepared,
    })
}

/// Whether another strength makes sense for this fault.
pub fn change(
    host: &Host,
    fault: &FaultName,
    given: &Value,
) -> Result<(&'static FaultSpec, Parameters), Problem> {
    let found = host.fault(fault).ok_or_else(|| unknown_fault(host, fault))?;
    let spec = found.spec();
    if !found.changes() {
        return Err(refuse(
            spec,
            vec![format!(
                "parameters: {} is on or off, it has none that can change",
                spec.name
            )],
        ));
    }
    Ok((spec, parameters(spec, given)?))
}

fn unknown_fault(host: &Host, name: &FaultName) -> Problem {
    let known: Vec<_> = host.faults().iter().map(|fault| fault.spec().name).collect();
    Problem::new(
        ProblemKind::Parameters,
        "no such fault",
        format!("fault: this agent knows no \"{name}\""),
        format!("one of: {}", known.join(", ")),
    )
}

/// A fault as `GET /v1/agent` lists it.
pub fn info(fault: &dyn Fault) -> FaultInfo {
    let spec = fault.spec();
    let here = fault.available();
    FaultInfo {
        name: FaultName::from(spec.name),
        summary: spec.summary.to_owned(),
        schema: schema_of(spec),
        params: spec.params.iter().map(param_doc).collect(),
        scope: spec.scope.iter().map(|key| key.name().to_owned()).collect(),
        undo: spec.undo,
        undo_words: spec.undo_words.to_owned(),
        available: here.is_ok(),
        why_not: here.as_ref().err().map(|it| it.why.clone()),
        remedy: here.err().map(|it| it.remedy),
    }
}

/// The JSON Schema (draft 2020-12) of a fault's parameters, made from its line in the catalogue.
pub fn schema_of(spec: &FaultSpec) -> Value {
    let properties: Map<_, _> = spec
        .params
        .iter()
        .map(|param| {
            let mut schema = kind_schema(param.kind);
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("description".to_owned(), json!(param.summary));
                if let Some(default) = param.default {
                    schema.insert("default".to_owned(), json!(default));
                }
            }
            (param.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<_> = spec
        .params
        .iter()
        .filter(|param| param.required)
        .map(|param| param.name)
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": spec.name,
        "description": spec.summary,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

const NUMBER: &str = r"[0-9]+(\.[0-9]+)?|\.[0-9]+";

fn kind_schema(kind: ParamKind) -> Value {
    match kind {
        ParamKind::Duration { min_ms, max_ms } => json!({
            "type": "string",
            "pattern": format!(r"^\s*({NUMBER})\s*(us|µs|ms|s|m|h|d)\s*$"),
            "examples": ["400ms", "1.5s"],
            "x-min-ms": min_ms,
            "x-max-ms": max_ms,
        }),
        ParamKind::Share => json!({
            "anyOf": [
                { "type": "number", "exclusiveMinimum": 0, "maximum": 1 },
                { "type": "string", "pattern": r"^\s*[0-9.]+\s*%?\s*$" },
            ],
            "examples": ["25%", 0.25],
        }),
        ParamKind::Bandwidth { min, max } => json!({
            "type": "string",
            "pattern": format!(r"^\s*({NUMBER})\s*(B|KB|kB|MB|GB)/s\s*$"),
            "examples": ["64KB/s", "1MB/s"],
            "x-min-bytes-per-s": min,
            "x-max-bytes-per-s": max,
        }),
        ParamKind::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        ParamKind::Memory { min, max } => json!({
            "type": "string",
            "pattern": format!(r"^\s*({NUMBER})\s*(B|KiB|MiB|GiB|KB|kB|MB|GB|%)\s*$"),
            "examples": ["512MiB", "60%"],
            "x-min-bytes": min,
            "x-max-bytes": max,
        }),
        ParamKind::Choice(words) => json!({ "type": "string", "enum": words }),
        ParamKind::Text { max_len } => json!({ "type": "string", "maxLength": max_len }),
    }
}

fn param_doc(param: &firedrill_catalogue::ParamSpec) -> ParamDoc {
    let (kind, unit, min, max) = match param.kind {
        ParamKind::Duration { min_ms, max_ms } => {
            ("duration", "ms", Some(min_ms as f64), Some(max_ms as f64))
        }
        ParamKind::Share => ("share", "%", Some(0.0), Some(100.0)),
        ParamKind::Bandwidth { min, max } => ("rate", "bytes/s", Some(min as f64), Some(max as f64)),
        ParamKind::Count { min, max } => ("count", "", Some(min as f64), Some(max as f64)),
        ParamKind::Memory { min, max } => ("memory", "bytes", Some(min as f64), Some(max as f64)),
        ParamKind::Choice(_) => ("choice", "", None, None),
        ParamKind::Text { .. } => ("text", "", None, None),
    };
    ParamDoc {
        name: param.name.to_owned(),
        summary: param.summary.to_owned(),
        kind: kind.to_owned(),
        unit: unit.to_owned(),
        required: param.required,
        default: param.default.map(str::to_owned),
        min,
        max,
        choices: match param.kind {
            ParamKind::Choice(words) => words.iter().map(|word| (*word).to_owned()).collect(),
            _ => Vec::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_name_every_parameter_and_nothing_else() {
        for spec in firedrill_catalogue::FAULTS {
            let schema = schema_of(spec);
            assert_eq!(schema["additionalProperties"], false);
            for param in spec.params {
                let property = &schema["properties"][param.name];
                assert_eq!(
                    property["description"], param.summary,
                    "{} {}",
                    spec.name, param.name
                );
                let required = schema["required"].as_array().unwrap();
                assert_eq!(required.contains(&json!(param.name)), param.required);
            }
        }
    }
}
