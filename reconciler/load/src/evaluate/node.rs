//! What an evaluation gives: values with their places.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use stratum_core::source::Source;
use stratum_core::value::Path;

/// A place in one of the files of an answer: its index, the line and the column, from 1.
pub(crate) type Place = Option<(u32, u32, u32)>;

/// A value and where it stands.
///
/// *Shape*: the place of a value that a contract of stratum put there is `None`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node(pub(crate) Place, pub(crate) Datum);

/// A field of a record: its name, the place of its name, its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field(pub(crate) String, pub(crate) Place, pub(crate) Node);

/// The value of a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Datum {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// Text, or an enum tag.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A record.
    Record(Vec<Field>),
    /// `'Ref { path = "type.name.attribute" }`.
    Reference(String),
    /// `'Fmt [...]`.
    Join(Vec<Node>),
    /// `'Secret { path, key }`.
    Secret(String, String),
    /// Nothing is known: its evaluation failed, and a finding says so.
    Hole,
}

impl Node {
    /// The value of the field `name`, if this is a record that has it.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields().iter().find(|field| field.0 == name)
    }

    /// The fields, if this is a record; none otherwise.
    pub(crate) fn fields(&self) -> &[Field] {
        match &self.1 {
            Datum::Record(fields) => fields,
            Datum::Null
            | Datum::Bool(_)
            | Datum::Number(_)
            | Datum::Text(_)
            | Datum::List(_)
            | Datum::Reference(_)
            | Datum::Join(_)
            | Datum::Secret(..)
            | Datum::Hole => &[],
        }
    }

    /// The value as JSON; references and secrets in the form of `stratum_core::value::Value`.
    pub(crate) fn to_json(&self) -> Json {
        match &self.1 {
            Datum::Null | Datum::Hole => Json::Null,
            Datum::Bool(truth) => Json::Bool(*truth),
            Datum::Number(number) => Json::Number(number.clone()),
            Datum::Text(text) => Json::String(text.clone()),
            Datum::List(items) => items.iter().map(Self::to_json).collect(),
            Datum::Record(fields) => Json::Object(
                fields
                    .iter()
                    .map(|field| (field.0.clone(), field.2.to_json()))
                    .collect(),
            ),
            Datum::Reference(text) => match reference(text) {
                Some(reference) => json!({ "$stratum": { "reference": reference } }),
                None => Json::String(text.clone()),
            },
            Datum::Join(parts) => {
                let parts: Vec<Json> = parts.iter().map(Self::to_json).collect();
                json!({ "$stratum": { "join": parts } })
            }
            Datum::Secret(path, key) => {
                json!({ "$stratum": { "secret": { "path": path, "key": key } } })
            }
        }
    }

    /// The kind of the value, with its article, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.1 {
            Datum::Null => "null",
            Datum::Hole => "nothing",
            Datum::Bool(_) => "a truth value",
            Datum::Number(_) => "a number",
            Datum::Text(_) => "text",
            Datum::List(_) => "a list",
            Datum::Record(_) => "a record",
            Datum::Reference(_) => "a reference",
            Datum::Join(_) => "text",
            Datum::Secret(..) => "a secret",
        }
    }
}

/// Reads `type.name.attribute`.
pub(crate) fn reference(text: &str) -> Option<stratum_core::value::Reference> {
    let (r#type, rest) = text.split_once('.')?;
    let (name, path) = rest.split_once('.')?;
    let resource = format!("{type}.{name}").parse().ok()?;
    (!path.is_empty()).then(|| stratum_core::value::Reference {
        resource,
        path: Path(path.to_owned()),
    })
}

/// Turns places into sources.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a>(pub(crate) &'a [String]);

impl Places<'_> {
    /// The source of a place.
    pub(crate) fn source(&self, place: Place) -> Option<Source> {
        let (file, line, column) = place?;
        let file = self.0.get(usize::try_from(file).ok()?)?;
        Some(Source::new(file.clone(), line, column))
    }

    /// The sources of `node` and of everything in it, by path below `path`.
    ///
    /// A record, and what has no place of its own, stands where its name stands.
    pub(crate) fn collect(
        &self,
        node: &Node,
        name: Place,
        path: &Path,
        sources: &mut BTreeMap<Path, Source>,
    ) {
        let own = match &node.1 {
            Datum::Record(_) => name.or(node.0),
            Datum::Null
            | Datum::Bool(_)
            | Datum::Number(_)
            | Datum::Text(_)
            | Datum::List(_)
            | Datum::Reference(_)
            | Datum::Join(_)
            | Datum::Secret(..)
            | Datum::Hole => node.0.or(name),
        };
        if let Some(source) = self.source(own) {
            sources.insert(path.clone(), source);
        }
        match &node.1 {
            Datum::Record(fields) => fields
                .iter()
                .for_each(|field| self.collect(&field.2, field.1, &path.key(&field.0), sources)),
            Datum::List(items) => items
                .iter()
                .enumerate()
                .for_each(|(index, item)| self.collect(item, None, &path.index(index), sources)),
            Datum::Null
            | Datum::Bool(_)
            | Datum::Number(_)
            | Datum::Text(_)
            | Datum::Reference(_)
            | Datum::Join(_)
            | Datum::Secret(..)
            | Datum::Hole => {}
        }
    }
}
