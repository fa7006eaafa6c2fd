//! What types a provider has, and what their attributes may hold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{ProviderName, TypeName};
use crate::value::{Marks, Path, Record, Value};

/// The types a provider has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderSchema {
    /// The provider.
    pub provider: ProviderName,
    /// Its version; the schema is a function of it.
    pub version: String,
    /// The types by name.
    pub types: BTreeMap<TypeName, TypeSchema>,
}

/// One type of resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeSchema {
    /// One sentence.
    pub doc: String,
    /// The version of the stored form.
    pub version: u32,
    /// Whether an apply changes anything outside the state.
    pub effect: Effect,
    /// The attribute that says which place in the world it occupies, for example `path`. Two
    /// resources may not occupy one place, and a place is freed before it is taken again.
    pub place: Option<String>,
    /// The attributes by name.
    pub attributes: BTreeMap<String, AttributeSchema>,
}

impl TypeSchema {
    /// What is sensitive in a record of it, nested values too. Marked is also what is not there.
    pub fn sensitive(&self, record: &Record) -> Marks {
        let mut marks = Marks::default();
        for (name, attribute) in &self.attributes {
            attribute.sensitive(&Path::of(name), record.get(name), &mut marks);
        }
        marks
    }

    /// Whether a resource of it makes secrets, for which they must be open.
    pub fn makes_secrets(&self) -> bool {
        self.attributes.values().any(|attribute| attribute.sealed)
    }
}

/// Whether an apply changes anything outside the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It changes the world: its Begun must be durable before the call.
    World,
    /// It only computes what the state will hold; calling it twice is calling it once.
    StateOnly,
}

/// One attribute of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeSchema {
    /// One sentence.
    pub doc: String,
    /// What it may hold.
    pub r#type: ValueType,
    /// It must be given.
    pub required: bool,
    /// The provider computes it when it is not given; not settable when `required` is false and
    /// `settable` is false.
    pub computed: bool,
    /// A person may give it.
    pub settable: bool,
    /// Its values are not shown.
    pub sensitive: bool,
    /// The provider makes it, and it is a secret: it is never in the clear, and whoever refers to
    /// it refers to a secret.
    #[serde(default)]
    pub sealed: bool,
    /// A change of it replaces the resource.
    pub replaces: bool,
    /// The value that holds when it is not given.
    #[serde(default, deserialize_with = "crate::value::stored::deserialize")]
    pub default: Option<Value>,
}

impl AttributeSchema {
    /// Whether it, or anything that it may hold, is sensitive.
    pub fn is_sensitive(&self) -> bool {
        fn holds(r#type: &ValueType) -> bool {
            match r#type {
                ValueType::Object(fields) => fields.values().any(AttributeSchema::is_sensitive),
                ValueType::List(inner) | ValueType::Set(inner) | ValueType::Map(inner) => {
                    holds(inner)
                }
                ValueType::Any
                | ValueType::Text
                | ValueType::Choice(_)
                | ValueType::Duration
                | ValueType::Number
                | ValueType::Integer
                | ValueType::Bool => false,
            }
        }
        self.sensitive || holds(&self.r#type)
    }

    fn sensitive(&self, path: &Path, value: Option<&Value>, marks: &mut Marks) {
        match self.sensitive {
            true => marks.insert(path.clone()),
            false => self.r#type.sensitive(path, value, marks),
        }
    }

    /// The attributes of what it holds, where that is a record with known keys.
    pub fn fields(&self) -> Option<&BTreeMap<String, AttributeSchema>> {
        match &self.r#type {
            ValueType::Object(fields) => Some(fields),
            _ => None,
        }
    }
}

/// What an attribute may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// Anything.
    Any,
    /// Text.
    Text,
    /// One of these texts.
    Choice(Vec<String>),
    /// A duration such as `30s`.
    Duration,
    /// A number.
    Number,
    /// A whole number.
    Integer,
    /// True or false.
    Bool,
    /// A list.
    List(Box<ValueType>),
    /// A set: no order, nothing twice.
    Set(Box<ValueType>),
    /// A record with any keys.
    Map(Box<ValueType>),
    /// A record with these keys.
    Object(BTreeMap<String, AttributeSchema>),
}

impl ValueType {
    fn sensitive(&self, path: &Path, value: Option<&Value>, marks: &mut Marks) {
        match (self, value) {
            (_, Some(Value::Typed(typed))) => self.sensitive(path, Some(&typed.value), marks),
            (Self::Object(fields), value) => {
                let record = value.and_then(Value::as_record);
                for (name, field) in fields {
                    let value = record.and_then(|record| record.get(name));
                    field.sensitive(&path.key(name), value, marks);
                }
            }
            (Self::List(inner), Some(Value::List(items))) => items
                .iter()
                .enumerate()
                .for_each(|(index, item)| inner.sensitive(&path.index(index), Some(item), marks)),
            (Self::Map(inner), Some(Value::Record(record))) => record
                .iter()
                .for_each(|(key, value)| inner.sensitive(&path.key(key), Some(value), marks)),
            // The elements of a set have no path: one that is sensitive hides the set.
            (Self::Set(inner), Some(Value::Set(items))) => {
                let mut found = Marks::default();
                let items = items.iter();
                items.for_each(|item| inner.sensitive(path, Some(item), &mut found));
                if !found.is_empty() {
                    marks.insert(path.clone());
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::stored;

    fn attribute(r#type: ValueType, sensitive: bool) -> AttributeSchema {
        AttributeSchema {
            doc: String::new(),
            r#type,
            required: false,
            computed: false,
            settable: true,
            sensitive,
            sealed: false,
            replaces: false,
            default: None,
        }
    }

    #[test]
    fn nested_attributes_are_marked_where_they_are() {
        let user = BTreeMap::from([
            ("name".to_owned(), attribute(ValueType::Text, false)),
            ("password".to_owned(), attribute(ValueType::Text, true)),
        ]);
        let object = || Box::new(ValueType::Object(user.clone()));
        let schema = TypeSchema {
            doc: String::new(),
            version: 1,
            effect: Effect::World,
            place: None,
            attributes: BTreeMap::from([
                ("key".to_owned(), attribute(ValueType::Text, true)),
                (
                    "users".to_owned(),
                    attribute(ValueType::List(object()), false),
                ),
                (
                    "groups".to_owned(),
                    attribute(ValueType::Map(object()), false),
                ),
                ("all".to_owned(), attribute(ValueType::Set(object()), false)),
            ]),
        };
        let record = stored::record(
            r#"{"users":[{"name":"a","password":"x"}],"groups":{"g":{"password":"y"}},
                "all":{"$stratum":{"set":[{"name":"a","password":"z"}]}}}"#,
        );
        let marks = schema.sensitive(&record.unwrap());
        let expected = ["all", "groups.g.password", "key", "users[0].password"];
        let expected = expected.map(|path| Path(path.to_owned()));
        assert_eq!(marks, expected.into_iter().collect());
    }
}
