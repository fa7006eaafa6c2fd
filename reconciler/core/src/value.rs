//! Attribute values: JSON, plus what is not yet known, references, and secrets by name.
//!
//! There are two ways from bytes to a [`Value`], and they are two functions and not one trait:
//! [`Value::from_data`] and [`Value::from_text`] read what comes from outside, in which nothing is
//! ever a secret, a reference or an unknown; [`stored`] reads what this engine wrote itself. `Value`
//! has no `Deserialize`, so that no other way can be taken by mistake.

mod data;
mod marks;
mod number;
mod path;
mod refine;
mod shown;
pub mod stored;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::data::DataError;
pub use self::marks::Marks;
pub use self::number::Number;
pub use self::path::Path;
pub use self::shown::shown;
use crate::digest::Digest;
use crate::ids::LocalAddress;

/// The attributes of a resource, sorted by name.
pub type Record = BTreeMap<String, Value>;

/// A value of an attribute.
///
/// *Cost*: 32 bytes beside what it holds; a copy shares what is in it, so that the many places a value
/// goes through (Revision, plan, change, checkpoint, state) hold it once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A number of any size.
    Number(Number),
    /// Text.
    Text(String),
    /// A list, in order.
    List(Arc<Vec<Value>>),
    /// A set: no order, nothing twice. Made by [`Value::set`], which gives equal sets one form.
    Set(Arc<Vec<Value>>),
    /// A record, sorted by key.
    Record(Arc<Record>),
    /// A value that carries its own type, where the schema leaves the type open.
    Typed(Box<Typed>),
    /// Known only after an apply.
    Unknown,
    /// The value of another resource's attribute.
    Reference(Box<Reference>),
    /// Text joined from parts when all are known.
    Join(Arc<Vec<Value>>),
    /// A secret, by name; never the secret itself.
    Secret(Box<SecretReference>),
}

/// A value with its own type: also what says of which type a null or an unknown is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// The type, in the provider's notation.
    pub r#type: String,
    /// The value.
    pub value: Value,
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
    pub fn refined_by(&self, later: &Self) -> bool {
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

    /// A list.
    pub fn list(items: Vec<Value>) -> Self {
        Self::List(Arc::new(items))
    }

    /// A record.
    pub fn record(record: Record) -> Self {
        Self::Record(Arc::new(record))
    }

    /// Text that is joined from these parts.
    pub fn joined(parts: Vec<Value>) -> Self {
        Self::Join(Arc::new(parts))
    }

    /// The value of another resource's attribute.
    pub fn reference(reference: Reference) -> Self {
        Self::Reference(Box::new(reference))
    }

    /// A secret, by name.
    pub fn secret(secret: SecretReference) -> Self {
        Self::Secret(Box::new(secret))
    }

    /// A number.
    pub fn number(number: impl Into<Number>) -> Self {
        Self::Number(number.into())
    }

    /// A set of these values; what stands twice is one, and equal sets are equal values.
    pub fn set(items: Vec<Value>) -> Self {
        let mut items: Vec<(String, Value)> = items
            .into_iter()
            .map(|item| (stored::text(&item), item))
            .collect();
        items.sort_by(|a, b| a.0.cmp(&b.0));
        items.dedup_by(|a, b| a.0 == b.0);
        Self::Set(Arc::new(items.into_iter().map(|(_, item)| item).collect()))
    }

    /// A value with its own type.
    pub fn typed(r#type: impl Into<String>, value: Value) -> Self {
        let r#type = r#type.into();
        Self::Typed(Box::new(Typed { r#type, value }))
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

    /// The values directly in it.
    pub fn children(&self) -> Box<dyn Iterator<Item = &Value> + '_> {
        match self {
            Self::List(items) | Self::Set(items) | Self::Join(items) => Box::new(items.iter()),
            Self::Record(record) => Box::new(record.values()),
            Self::Typed(typed) => Box::new(std::iter::once(&typed.value)),
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::Unknown
            | Self::Reference(_)
            | Self::Secret(_) => Box::new(std::iter::empty()),
        }
    }

    /// The text of a text, a number or a truth value, as it is joined with other text.
    pub fn plain(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            Self::Bool(truth) => Some(truth.to_string()),
            Self::Typed(typed) => typed.value.plain(),
            Self::Null
            | Self::List(_)
            | Self::Set(_)
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
            // One that is still to be made has a name, and no digest yet.
            Self::Secret(secret) => secret.digest.is_some(),
            // Text with a secret in it is joined where the secret is opened.
            Self::Join(parts) => {
                parts.iter().all(Self::is_known) && parts.iter().any(Self::is_secret)
            }
            Self::Unknown | Self::Reference(_) => false,
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::List(_)
            | Self::Set(_)
            | Self::Record(_)
            | Self::Typed(_) => self.children().all(Self::is_known),
        }
    }

    /// Whether it is data as the world has it: nothing in it is a secret, a reference, an unknown
    /// or unjoined text.
    pub fn is_data(&self) -> bool {
        match self {
            Self::Unknown | Self::Reference(_) | Self::Join(_) | Self::Secret(_) => false,
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::List(_)
            | Self::Set(_)
            | Self::Record(_)
            | Self::Typed(_) => self.children().all(Self::is_data),
        }
    }

    /// Whether it holds neither a reference nor text that is still to be joined.
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Reference(_) | Self::Join(_) => false,
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::List(_)
            | Self::Set(_)
            | Self::Record(_)
            | Self::Typed(_)
            | Self::Unknown
            | Self::Secret(_) => self.children().all(Self::is_settled),
        }
    }

    /// Calls `visit` for every reference in it.
    pub fn references<'a>(&'a self, visit: &mut impl FnMut(&'a Reference)) {
        self.visit(&mut |value| {
            if let Self::Reference(reference) = value {
                visit(reference);
            }
        });
    }

    /// Calls `visit` for every secret named in it.
    pub fn secrets<'a>(&'a self, visit: &mut impl FnMut(&'a SecretReference)) {
        self.visit(&mut |value| {
            if let Self::Secret(secret) = value {
                visit(secret);
            }
        });
    }

    /// Calls `visit` for it and for every value in it.
    fn visit<'a>(&'a self, visit: &mut impl FnMut(&'a Value)) {
        visit(self);
        match self {
            Self::List(items) | Self::Set(items) | Self::Join(items) => {
                items.iter().for_each(|item| item.visit(visit));
            }
            Self::Record(record) => record.values().for_each(|value| value.visit(visit)),
            Self::Typed(typed) => typed.value.visit(visit),
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::Unknown
            | Self::Reference(_)
            | Self::Secret(_) => {}
        }
    }

    /// The value with every reference replaced by what `lookup` answers (`None`: not yet known),
    /// and text joined where all its parts are known.
    pub fn resolve(&self, lookup: &impl Fn(&Reference) -> Option<Value>) -> Value {
        let all = |items: &[Value]| items.iter().map(|item| item.resolve(lookup)).collect();
        if self.is_settled() {
            return self.clone();
        }
        match self {
            Self::Reference(reference) => lookup(reference).unwrap_or(Self::Unknown),
            Self::List(items) => Self::list(all(items)),
            Self::Set(items) => Self::set(all(items)),
            Self::Record(record) => Self::record(resolve_record(record, lookup)),
            Self::Typed(typed) => Self::typed(typed.r#type.clone(), typed.value.resolve(lookup)),
            Self::Join(parts) => join(all(parts)),
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::Unknown
            | Self::Secret(_) => self.clone(),
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
        return Value::joined(parts);
    }
    parts
        .iter()
        .map(Value::plain)
        .collect::<Option<String>>()
        .map_or(Value::Unknown, Value::Text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_that_waits_for_a_secret_only_is_known() {
        let secret = Value::secret(SecretReference {
            path: "db".to_owned(),
            key: "password".to_owned(),
            version: Some(7),
            digest: Some(Digest::of_bytes(b"")),
        });
        let parts = |first| Value::joined(vec![first, secret.clone()]);
        assert!(parts(Value::text("pw=")).is_known() && parts(Value::text("pw=")).holds_secret());
        assert!(!parts(Value::Unknown).is_known());
        assert!(parts(Value::Unknown).refined_by(&parts(Value::text("pw="))));
        assert_eq!(shown(&secret)["version"], 7);
        assert_eq!(shown(&Value::Unknown), json!({ "unknown": true }));
    }

    #[test]
    fn a_secret_that_is_still_to_be_made_is_named_and_not_known() {
        let named = |version, digest| {
            Value::secret(SecretReference {
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
        let text = Value::joined(vec![Value::text("pw="), named(1, None)]);
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
                Value::list(vec![Value::Unknown, Value::reference(reference())]),
            ),
            (
                "b".to_owned(),
                Value::joined(vec![Value::text("x"), Value::reference(reference())]),
            ),
        ]);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(stored::record(&text).unwrap(), record);
    }

    #[test]
    fn whole_numbers_are_equal_however_written() {
        let read = |text| Value::from_text(text).unwrap();
        assert_eq!(read("1.0"), read("1"));
        assert_ne!(read("1.5"), read("1"));
    }

    #[test]
    fn join_waits_for_all_parts() {
        let join = Value::joined(vec![Value::text("r-"), Value::reference(reference())]);
        assert_eq!(join.resolve(&|_| None), Value::Unknown);
        assert_eq!(
            join.resolve(&|_| Some(Value::text("7"))),
            Value::text("r-7")
        );
    }

    #[test]
    fn paths_lead_into_lists_and_records() {
        let record = stored::record(r#"{"a":[{"b":{"c":5}}]}"#).unwrap();
        let found = Path("a[0].b.c".to_owned()).find(&record).cloned();
        assert_eq!(found, Some(Value::number(5)));
        assert_eq!(Path("a[1].b".to_owned()).find(&record), None);
    }

    #[test]
    fn refinement_only_fills_unknowns() {
        let planned = stored::read(r#"{"a":{"$stratum":"unknown"},"b":1}"#).unwrap();
        let good = stored::read(r#"{"a":"x","b":1}"#).unwrap();
        let bad = stored::read(r#"{"a":"x","b":2}"#).unwrap();
        assert!(planned.refined_by(&good) && !planned.refined_by(&bad));
    }
}
