//! The file format as a JSON Schema (draft 2020-12), made from the same tables of keys that the reader refuses
//! others with, so that the two cannot differ.

use serde_json::{Map, Value, json};

use crate::{
    form::{Key, Kind},
    keys::{PLAN, target_keys},
};

/// The JSON Schema of a plan.
pub fn schema() -> Value {
    schema_of("Firedrill plan", PLAN)
}

/// The JSON Schema of a file with these keys.
pub fn schema_of(title: &str, keys: &[Key]) -> Value {
    let mut schema = object(keys);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(title);
    schema
}

fn object(keys: &[Key]) -> Value {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| {
            let mut property = of(key);
            property["description"] = json!(key.doc);
            (key.name.to_owned(), property)
        })
        .collect();
    let required: Vec<_> = keys.iter().filter(|key| key.must).map(|key| key.name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn of(key: &Key) -> Value {
    match key.kind {
        Kind::Text if key.name == "inject" => {
            json!({ "type": "string", "enum": firedrill_catalogue::FAULTS.iter().map(|fault| fault.name).collect::<Vec<_>>() })
        }
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Duration => json!({ "type": "string", "pattern": r"^[0-9.]+\s*(us|µs|ms|s|m|h|d)$" }),
        Kind::Rate => json!({ "type": "string", "pattern": r"^[0-9.]+\s*/\s*[smh]$" }),
        Kind::OneOf(words) => json!({ "type": "string", "enum": words }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Share => json!({ "oneOf": [
            { "type": "string", "pattern": r"^[0-9.]+\s*%?$" },
            { "type": "number", "minimum": 0, "maximum": 1 },
        ] }),
        Kind::Number => json!({ "type": "number" }),
        Kind::Count => json!({ "type": "integer", "minimum": 1 }),
        Kind::Table(keys) => object(keys),
        Kind::Tables(keys) => json!({ "type": "array", "minItems": 1, "items": object(keys) }),
        Kind::Free if key.name == "target" => json!({
            "type": "object",
            "properties": target_keys().map(|key| (key.to_owned(), json!({}))).collect::<Map<_, _>>(),
        }),
        Kind::Free => json!({ "type": "object" }),
        Kind::NeverOr(keys) => json!({ "oneOf": [{ "const": "never" }, object(keys)] }),
    }
}
