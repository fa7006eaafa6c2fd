//! JSON Schemas of outputs: which of their values can hold no text of a stranger.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::Value;

/// The most `$ref`s and levels that are followed.
const DEPTH: usize = 32;

/// The most schemas that are looked at for one answer: `$ref`s can make few lines endless.
const LOOKS: u32 = 10_000;

/// The schemas that were read, by file.
#[derive(Debug, Default)]
pub(crate) struct Schemas(pub(super) BTreeMap<String, Value>);

impl Schemas {
    /// Whether the value at `field` can only be a closed enum, a boolean or a number, or records
    /// and lists of those.
    ///
    /// *Guarantees*: what is not understood is open.
    pub(super) fn closed(&self, file: &str, field: &[String]) -> bool {
        let Some(root) = self.0.get(file) else {
            return false;
        };
        let left = Cell::new(LOOKS);
        field_of(root, field).is_ok_and(|schema| closed(root, schema, DEPTH, &left))
    }

    /// The part of `field` that the schema certainly does not allow, with those that it has.
    pub(super) fn unknown(&self, file: &str, field: &[String]) -> Option<(String, Vec<String>)> {
        let root = self.0.get(file)?;
        field_of(root, field).err().flatten()
    }
}

/// The schema of a field, or why there is none: a name with the known names where the schema is
/// closed to others, and `None` where it says nothing.
fn field_of<'a>(
    root: &'a Value,
    field: &[String],
) -> Result<&'a Value, Option<(String, Vec<String>)>> {
    let mut schema = follow(root, root, DEPTH);
    for name in field {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            // A method, as in `severity.startswith`, reads the value; of an open record nobody knows.
            let plain = schema.get("type").is_some_and(|kind| kind != "object");
            let listed = schema.get("enum").is_some() || schema.get("const").is_some();
            return if plain || listed {
                Ok(schema)
            } else {
                Err(None)
            };
        };
        let Some(next) = properties.get(name) else {
            let only = schema.get("additionalProperties") == Some(&Value::Bool(false));
            let known = || properties.keys().cloned().collect();
            return Err(only.then(|| (name.clone(), known())));
        };
        schema = follow(root, next, DEPTH);
    }
    Ok(schema)
}

/// What a `$ref` within the file leads to.
fn follow<'a>(root: &'a Value, schema: &'a Value, depth: usize) -> &'a Value {
    let reference = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|text| text.strip_prefix('#'));
    match reference.and_then(|pointer| root.pointer(pointer)) {
        Some(target) if depth > 0 => follow(root, target, depth - 1),
        _ => schema,
    }
}

fn closed(root: &Value, schema: &Value, depth: usize, left: &Cell<u32>) -> bool {
    if depth == 0 || left.get() == 0 {
        return false;
    }
    left.set(left.get() - 1);
    let schema = follow(root, schema, DEPTH);
    let inner = |schema: &Value| closed(root, schema, depth - 1, left);
    let list = |key: &str| schema.get(key).and_then(Value::as_array);
    let every =
        |key: &str| list(key).is_some_and(|list| !list.is_empty() && list.iter().all(inner));
    if schema.get("const").is_some() || list("enum").is_some() {
        return true;
    }
    if every("anyOf") || every("oneOf") || list("allOf").is_some_and(|list| list.iter().any(inner))
    {
        return true;
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds
            .iter()
            .map(|kind| kind.as_str().unwrap_or_default())
            .collect(),
        _ => return false,
    };
    !kinds.is_empty() && kinds.iter().all(|kind| closed_kind(schema, kind, &inner))
}

fn closed_kind(schema: &Value, kind: &str, inner: &impl Fn(&Value) -> bool) -> bool {
    match kind {
        "boolean" | "number" | "integer" | "null" => true,
        "object" => {
            let only = schema
                .get("additionalProperties")
                .is_some_and(|more| more == &Value::Bool(false));
            let properties = schema.get("properties").and_then(Value::as_object);
            let patterns = schema.get("patternProperties").is_none();
            only && patterns && properties.is_none_or(|properties| properties.values().all(inner))
        }
        "array" => {
            let first = schema.get("prefixItems").and_then(Value::as_array);
            schema
                .get("items")
                .is_some_and(|items| items == &Value::Bool(false) || inner(items))
                && first.is_none_or(|items| items.iter().all(inner))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schemas() -> Schemas {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "severity": { "enum": ["low", "high"] },
                "count": { "type": ["integer", "null"] },
                "summary": { "type": "string" },
                "parts": { "type": "array", "items": { "$ref": "#/$defs/part" } },
                "open": { "type": "object", "properties": { "a": { "type": "boolean" } } },
                "loop": { "$ref": "#/$defs/loop" },
                "either": { "anyOf": [{ "type": "boolean" }, { "type": "string" }] },
            },
            "$defs": {
                "part": {
                    "type": "object",
                    "properties": { "ok": { "type": "boolean" } },
                    "additionalProperties": false
                },
                "loop": { "$ref": "#/$defs/loop" },
            },
        });
        Schemas([("s.json".to_owned(), schema)].into())
    }

    fn closed(field: &[&str]) -> bool {
        let field: Vec<String> = field.iter().map(|part| (*part).to_owned()).collect();
        schemas().closed("s.json", &field)
    }

    #[test]
    fn enums_booleans_and_numbers_are_closed() {
        assert!(closed(&["severity"]) && closed(&["count"]) && closed(&["parts"]));
        assert!(closed(&["open", "a"]) && closed(&["severity", "startswith"]));
    }

    #[test]
    fn texts_and_what_may_hold_texts_are_open() {
        for field in [
            &[][..],
            &["summary"],
            &["open"],
            &["loop"],
            &["either"],
            &["nothing"],
        ] {
            assert!(!closed(field), "{field:?}");
        }
        assert!(!schemas().closed("other.json", &[]));
    }

    #[test]
    fn a_schema_that_doubles_at_every_level_ends() {
        let schema = json!({
            "$ref": "#/$defs/a",
            "$defs": { "a": {
                "type": "object",
                "additionalProperties": false,
                "properties": { "x": { "$ref": "#/$defs/a" }, "y": { "$ref": "#/$defs/a" } },
            } },
        });
        assert!(!Schemas([("s.json".to_owned(), schema)].into()).closed("s.json", &[]));
    }

    #[test]
    fn unknown_fields_of_a_closed_record_are_named() {
        let (name, known) = schemas()
            .unknown("s.json", &["severty".to_owned()])
            .unwrap();
        assert_eq!((name.as_str(), known.len()), ("severty", 7));
        assert!(
            schemas()
                .unknown("s.json", &["open".to_owned(), "b".to_owned()])
                .is_none()
        );
    }
}
