//! Values as people and other programs see them.

use serde_json::json;

use super::{SecretReference, Value};
use crate::digest::Digest;

/// The form that people and other programs see: `{"unknown": true}` and `{"sealed": digest}`.
pub fn shown(value: &Value) -> serde_json::Value {
    match value {
        Value::Secret(secret) => sealed(secret),
        Value::Join(_) if value.is_known() => json!({ "sealed": Digest::of_json(value) }),
        Value::Unknown | Value::Reference(_) | Value::Join(_) => json!({ "unknown": true }),
        Value::List(items) | Value::Set(items) => items.iter().map(shown).collect(),
        Value::Typed(typed) => shown(&typed.value),
        Value::Record(record) => serde_json::Value::Object(
            record
                .iter()
                .map(|(key, value)| (key.clone(), shown(value)))
                .collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {
            value.to_data().unwrap_or_default()
        }
    }
}

/// A secret as people and other programs see it: what it is called, never what it is.
fn sealed(secret: &SecretReference) -> serde_json::Value {
    let mut shown = json!({ "sealed": secret.digest });
    if let (Some(map), false) = (shown.as_object_mut(), secret.path.is_empty()) {
        map.insert("path".to_owned(), json!(secret.path));
        map.insert("key".to_owned(), json!(secret.key));
        map.insert("version".to_owned(), json!(secret.version));
    }
    shown
}
