//! Attribute values: JSON, plus what is not yet known, references, and secrets by name.

mod json;
mod path;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

pub use self::path::Path;
use crate::digest::Digest;
use crate::ids::LocalAddress;

/// The attributes of a resource, sorted by name.
pub type Record = BTreeMap<String, Value>;

/// A value of an attribute.
///
/// *Shape*: its JSON form is the JSON of the data; what JSON cannot say is an object with the one
/// key `$stratum`, which no data may have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A number; whole numbers are held as integers.
    Number(serde_json::Number),
    /// Text.
    Text(String),
    /// A list, in order.
    List(Vec<Value>),
    /// A record, sorted by key.
    Record(Record),
    /// Known only after an apply.
    Unknown,
    /// The value of another resource's attribute.
    Reference(Reference),
    /// Text joined from parts when all are known.
    Join(Vec<Value>),
    /// A secret, by name; never the secret itself.
    Secret(SecretReference),
}

/// An attribute of another resource of the same environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// The resource.
    pub resource: LocalAddress,
    /// The attribute within it.
    pub path: Path,
}

/// A secret by its place in the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretReference {
    /// The path below `secrets/<environment>/`, without `.sealed.yaml`.
    pub path: String,
    /// The key within the file.
    pub key: String,
    /// The version, once the sealed file has been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// A digest of the sealed value, once the sealed file has been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl SecretReference {
    /// Whether `later` names the same secret, with the version and the digest filled in.
    fn refined_by(&self, later: &Self) -> bool {
        (&self.path, &self.key) == (&later.path, &later.key)
            && (self.version.is_none() || self.version == later.version)
            && (self.digest.is_none() || self.digest == later.digest)
    }
}

impl Value {
    /// A text value.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The text, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The record, if this is one.
    pub fn as_record(&self) -> Option<&Record> {
        match self {
            Self::Record(record) => Some(record),
            _ => None,
        }
    }

    /// The text of a text, a number or a truth value, as it is joined with other text.
    pub fn plain(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            Self::Bool(truth) => Some(truth.to_string()),
            Self::Null
            | Self::List(_)
            | Self::Record(_)
            | Self::Unknown
            | Self::Reference(_)
            | Self::Join(_)
            | Self::Secret(_) => None,
        }
    }

    /// Whether it is a secret.
    fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    /// Whether anything in it is a secret.
    pub fn holds_secret(&self) -> bool {
        let mut found = false;
        self.secrets(&mut |_| found = true);
        found
    }

    /// Whether nothing in it is unknown, a reference or unjoined text; text that waits for a
    /// secret only is known.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => true,
            // One that is still to be made has a name, and no digest yet.
            Self::Secret(secret) => secret.digest.is_some(),
            Self::List(items) => items.iter().all(Self::is_known),
            Self::Record(record) => record.values().all(Self::is_known),
            // Text with a secret in it is joined where the secret is opened.
            Self::Join(parts) => {
                parts.iter().all(Self::is_known) && parts.iter().any(Self::is_secret)
            }
            Self::Unknown | Self::Reference(_) => false,
        }
    }

    /// Whether it holds neither a reference nor text that is still to be joined.
    pub fn is_settled(&self) -> bool {
        match self {
            Self::List(items) => items.iter().all(Self::is_settled),
            Self::Record(record) => record.values().all(Self::is_settled),
            Self::Reference(_) | Self::Join(_) => false,
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::Unknown
            | Self::Secret(_) => true,
        }
    }

    /// Calls `visit` for every reference in it.
    pub fn references<'a>(&'a self, visit: &mut impl FnMut(&'a Reference)) {
        match self {
            Self::Reference(reference) => visit(reference),
            Self::List(items) | Self::Join(items) => {
                items.iter().for_each(|item| item.references(visit));
            }
            Self::Record(record) => record.values().for_each(|value| value.references(visit)),
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::Unknown
            | Self::Secret(_) => {}
        }
    }

    /// Calls `visit` for every secret named in it.
    pub fn secrets<'a>(&'a self, visit: &mut impl FnMut(&'a SecretReference)) {
        match self {
            Self::Secret(secret) => visit(secret),
            Self::List(items) | Self::Join(items) => {
                items.iter().for_each(|item| item.secrets(visit));
            }
            Self::Record(record) => record.values().for_each(|value| value.secrets(visit)),
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::Unknown
            | Self::Reference(_) => {}
        }
    }

    /// The value with every reference replaced by what `lookup` answers (`None`: not yet known),
    /// and text joined where all its parts are known.
    pub fn resolve(&self, lookup: &impl Fn(&Reference) -> Option<Value>) -> Value {
        match self {
            Self::Reference(reference) => lookup(reference).unwrap_or(Self::Unknown),
            Self::List(items) => Self::List(items.iter().map(|i| i.resolve(lookup)).collect()),
            Self::Record(record) => Self::Record(resolve_record(record, lookup)),
            Self::Join(parts) => join(parts.iter().map(|part| part.resolve(lookup)).collect()),
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::Unknown
            | Self::Secret(_) => self.clone(),
        }
    }

    /// Whether `later` says what this says, with unknowns filled in and nothing else changed.
    pub fn refined_by(&self, later: &Value) -> bool {
        match (self, later) {
            (Self::Unknown, _) => true,
            (Self::Secret(a), Self::Secret(b)) => a.refined_by(b),
            (Self::List(a), Self::List(b)) | (Self::Join(a), Self::Join(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.refined_by(b))
            }
            (Self::Record(a), Self::Record(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .all(|(k, a)| b.get(k).is_some_and(|b| a.refined_by(b)))
            }
            (a, b) => a == b,
        }
    }
}

/// Attributes as the state holds them: for what is kept (see [`crate::plan::Step::kept`]) the
/// values that were applied; none, where that is `Null`.
pub fn with_kept(mut attributes: Record, kept: &Record) -> Record {
    for (name, applied) in kept {
        match applied {
            Value::Null => drop(attributes.remove(name)),
            applied => drop(attributes.insert(name.clone(), applied.clone())),
        }
    }
    attributes
}

/// [`Value::resolve`] for every attribute of a record.
pub fn resolve_record(record: &Record, lookup: &impl Fn(&Reference) -> Option<Value>) -> Record {
    record
        .iter()
        .map(|(key, value)| (key.clone(), value.resolve(lookup)))
        .collect()
}

fn join(parts: Vec<Value>) -> Value {
    if parts.iter().any(|part| matches!(part, Value::Secret(_))) {
        return Value::Join(parts);
    }
    parts
        .iter()
        .map(Value::plain)
        .collect::<Option<String>>()
        .map_or(Value::Unknown, Value::Text)
}

/// The one key of an object that is not data.
const TAG: &str = "$stratum";

impl From<Value> for serde_json::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(truth),
            Value::Number(number) => Self::Number(number),
            Value::Text(text) => Self::String(text),
            Value::List(items) => Self::Array(items.into_iter().map(Into::into).collect()),
            Value::Record(record) => {
                Self::Object(record.into_iter().map(|(k, v)| (k, v.into())).collect())
            }
            Value::Unknown => json!({ TAG: "unknown" }),
            Value::Reference(reference) => json!({ TAG: { "reference": reference } }),
            Value::Join(parts) => json!({ TAG: { "join": parts } }),
            Value::Secret(secret) => json!({ TAG: { "secret": secret } }),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tagged {
    Unknown,
    Reference(Reference),
    Join(Vec<Value>),
    Secret(SecretReference),
}

impl TryFrom<serde_json::Value> for Value {
    type Error = serde_json::Error;

    fn try_from(json: serde_json::Value) -> Result<Self, serde_json::Error> {
        Ok(match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(truth) => Self::Bool(truth),
            serde_json::Value::Number(number) => Self::Number(whole(number)),
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(items) => Self::List(
                items
                    .into_iter()
                    .map(Self::try_from)
                    .collect::<Result<_, _>>()?,
            ),
            serde_json::Value::Object(mut map) => match map.remove(TAG) {
                Some(tagged) => serde_json::from_value::<Tagged>(tagged)?.into(),
                None => Self::Record(
                    map.into_iter()
                        .map(|(key, value)| Ok((key, Self::try_from(value)?)))
                        .collect::<Result<_, serde_json::Error>>()?,
                ),
            },
        })
    }
}

/// Holds `1.0` as `1`, so that equal numbers are equal values.
fn whole(number: serde_json::Number) -> serde_json::Number {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
            serde_json::Number::from(float as i64)
        }
        _ => number,
    }
}

/// The form that people and other programs see: `{"unknown": true}` and `{"sealed": digest}`.
pub fn shown(value: &Value) -> serde_json::Value {
    match value {
        Value::Secret(secret) => sealed(secret),
        Value::Join(_) if value.is_known() => json!({ "sealed": Digest::of_json(value) }),
        Value::Unknown | Value::Reference(_) | Value::Join(_) => json!({ "unknown": true }),
        Value::List(items) => items.iter().map(shown).collect(),
        Value::Record(record) => serde_json::Value::Object(
            record
                .iter()
                .map(|(key, value)| (key.clone(), shown(value)))
                .collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => value.clone().into(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_waits_for_a_secret_only_is_known() {
        let secret = Value::Secret(SecretReference {
            path: "db".to_owned(),
            key: "password".to_owned(),
            version: Some(7),
            digest: Some(Digest::of_bytes(b"")),
        });
        let parts = |first| Value::Join(vec![first, secret.clone()]);
        assert!(parts(Value::text("pw=")).is_known() && parts(Value::text("pw=")).holds_secret());
        assert!(!parts(Value::Unknown).is_known());
        assert!(parts(Value::Unknown).refined_by(&parts(Value::text("pw="))));
        assert_eq!(shown(&secret)["version"], 7);
        assert_eq!(shown(&Value::Unknown), json!({ "unknown": true }));
    }

    #[test]
    fn a_secret_that_is_still_to_be_made_is_named_and_not_known() {
        let named = |version, digest| {
            Value::Secret(SecretReference {
                path: "generated/x".to_owned(),
                key: "result".to_owned(),
                version: Some(version),
                digest,
            })
        };
        let made = named(1, Some(Digest::of_bytes(b"")));
        assert!(!named(1, None).is_known() && made.is_known());
        assert!(named(1, None).refined_by(&made) && !made.refined_by(&named(1, None)));
        assert!(!named(2, None).refined_by(&made));
        let text = Value::Join(vec![Value::text("pw="), named(1, None)]);
        assert!(!text.is_known() && text.holds_secret());
    }

    fn reference() -> Reference {
        Reference {
            resource: "local_data.a".parse().unwrap(),
            path: Path::of("id"),
        }
    }

    #[test]
    fn json_gives_the_value_back() {
        let record = Record::from([
            (
                "a".to_owned(),
                Value::List(vec![Value::Unknown, Value::Reference(reference())]),
            ),
            (
                "b".to_owned(),
                Value::Join(vec![Value::text("x"), Value::Reference(reference())]),
            ),
        ]);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }

    #[test]
    fn whole_numbers_are_equal_however_written() {
        let read = |text| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(read("1.0"), read("1"));
        assert_ne!(read("1.5"), read("1"));
    }

    #[test]
    fn join_waits_for_all_parts() {
        let join = Value::Join(vec![Value::text("r-"), Value::Reference(reference())]);
        assert_eq!(join.resolve(&|_| None), Value::Unknown);
        assert_eq!(
            join.resolve(&|_| Some(Value::text("7"))),
            Value::text("r-7")
        );
    }

    #[test]
    fn paths_lead_into_lists_and_records() {
        let record: Record = serde_json::from_str(r#"{"a":[{"b":{"c":5}}]}"#).unwrap();
        let found = Path("a[0].b.c".to_owned()).find(&record).cloned();
        assert_eq!(found, Some(serde_json::from_str("5").unwrap()));
        assert_eq!(Path("a[1].b".to_owned()).find(&record), None);
    }

    #[test]
    fn refinement_only_fills_unknowns() {
        let planned: Value = serde_json::from_str(r#"{"a":{"$stratum":"unknown"},"b":1}"#).unwrap();
        let good: Value = serde_json::from_str(r#"{"a":"x","b":1}"#).unwrap();
        let bad: Value = serde_json::from_str(r#"{"a":"x","b":2}"#).unwrap();
        assert!(planned.refined_by(&good) && !planned.refined_by(&bad));
    }
}
