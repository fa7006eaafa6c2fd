//! Attributes against the schema of their type. This, and not the Nickel contract, is the
//! authority on what a resource may say.

use std::collections::BTreeMap;

use stratum_core::duration;
use stratum_core::finding::{Finding, codes};
use stratum_core::ports::{AttributeSchema, ValueType};
use stratum_core::suggest;
use stratum_core::value::{Path, Record, Reference, SecretReference, Value, stored};

use super::resource::Types;
use crate::evaluate::node::{Datum, Field, Node, Place, Places, reference};

/// Checks the attributes of one resource.
pub(crate) struct Attributes<'a> {
    pub(crate) types: &'a Types<'a>,
    pub(crate) places: Places<'a>,
    /// `type.name`, for messages.
    pub(crate) resource: String,
    pub(crate) findings: Vec<Finding>,
}

impl Attributes<'_> {
    /// The attributes of the record `node` under `path`, whose name stands at `place`.
    pub(crate) fn record(
        &mut self,
        schema: &BTreeMap<String, AttributeSchema>,
        node: &Node,
        place: Place,
        path: &Path,
    ) -> Record {
        let mut record = Record::new();
        let top = path.0.is_empty();
        for Field(name, at, value) in node.fields() {
            let at = at.or(value.0).or(place);
            match schema.get(name) {
                _ if top && name == "meta" => {}
                None => self.unknown(name, schema, at, path),
                Some(attribute) if !attribute.settable => self.read_only(name, at, path),
                Some(_) if matches!(value.1, Datum::Null | Datum::Hole) => {}
                Some(attribute) => {
                    let value = self.value(&attribute.r#type, value, at, &path.key(name));
                    record.insert(name.clone(), value);
                }
            }
        }
        for (name, attribute) in schema.iter().filter(|(_, attribute)| attribute.required) {
            let given = node
                .field(name)
                .is_some_and(|field| field.2.1 != Datum::Null);
            if !given && !misspelt(name, schema, node) {
                let message = format!("`{}` lacks `{}`", self.resource, path.key(name));
                let hint = format!("add `{name} = ...`: {}", attribute.doc);
                self.push(&codes::MISSING_ATTRIBUTE, message, place, Some(hint));
            }
        }
        record
    }

    fn value(&mut self, r#type: &ValueType, node: &Node, place: Place, path: &Path) -> Value {
        let at = node.0.or(place);
        match (r#type, &node.1) {
            (_, Datum::Hole) => return Value::Null,
            (_, Datum::Reference(text)) => return self.reference(r#type, text, at, path),
            (ValueType::Text | ValueType::Any, Datum::Secret(file, key)) => {
                return Value::secret(secret(file, key));
            }
            (ValueType::Text | ValueType::Any, Datum::Join(parts)) => {
                let parts = parts
                    .iter()
                    .map(|part| self.value(&ValueType::Any, part, at, path));
                return Value::joined(parts.collect());
            }
            (ValueType::List(items) | ValueType::Set(items), Datum::List(nodes)) => {
                let items = nodes
                    .iter()
                    .enumerate()
                    .map(|(index, node)| self.value(items, node, at, &path.index(index)));
                return match r#type {
                    ValueType::Set(_) => Value::set(items.collect()),
                    _ => Value::list(items.collect()),
                };
            }
            (ValueType::Map(values), Datum::Record(fields)) => {
                return Value::record(self.map(values, fields, at, path));
            }
            (ValueType::Object(schema), Datum::Record(_)) => {
                return Value::record(self.record(schema, node, at, path));
            }
            (ValueType::Any, Datum::Record(fields)) => {
                return Value::record(self.map(&ValueType::Any, fields, at, path));
            }
            (ValueType::Any, Datum::List(nodes)) => {
                let items = nodes
                    .iter()
                    .map(|node| self.value(&ValueType::Any, node, at, path));
                return Value::list(items.collect());
            }
            (ValueType::Choice(choices), Datum::Text(text)) if !choices.contains(text) => {
                let hint = suggest::hint(text, choices.iter().map(String::as_str));
                let message = format!("`{path}`: `{text}` is not one of its values");
                self.push(&codes::INVALID, message, at, hint);
            }
            (ValueType::Duration, Datum::Text(text)) => {
                if let Err(reason) = duration::parse(text) {
                    self.push(&codes::INVALID, format!("`{path}`: {reason}"), at, None);
                }
            }
            (wanted, _) if !fits(wanted, node) => {
                let wanted = wanted.with_article();
                let message = format!("`{path}` must be {wanted}, not {}", node.kind());
                self.push(&codes::WRONG_TYPE, message, at, None);
            }
            _ => {}
        }
        stored::value(node.to_json()).unwrap_or_default()
    }

    fn map(&mut self, values: &ValueType, fields: &[Field], at: Place, path: &Path) -> Record {
        let value = |Field(key, name, node): &Field| {
            (
                key.clone(),
                self.value(values, node, name.or(at), &path.key(key)),
            )
        };
        fields.iter().map(value).collect()
    }

    /// A reference: it must name an attribute of its type, and one that fits here.
    fn reference(&mut self, wanted: &ValueType, text: &str, at: Place, path: &Path) -> Value {
        let Some(reference) = reference(text) else {
            let message =
                format!("`{path}` refers to `{text}`, which is not `type.name.attribute`");
            self.push(&codes::DANGLING, message, at, None);
            return Value::Null;
        };
        self.check_reference(wanted, &reference, at, path);
        Value::reference(reference)
    }

    fn check_reference(&mut self, wanted: &ValueType, to: &Reference, at: Place, path: &Path) {
        let r#type = to.resource.r#type.as_str();
        let attribute = to.path.attribute();
        let Some((_, schema)) = self.types.get(r#type) else {
            let mut names: Vec<&str> = self.types.keys().copied().collect();
            names.sort_unstable();
            let message = format!("`{path}` refers to the type `{type}`, which is not there");
            self.push(&codes::DANGLING, message, at, suggest::hint(r#type, names));
            return;
        };
        let Some(found) = schema.attributes.get(attribute) else {
            let hint = suggest::hint(attribute, schema.attributes.keys().map(String::as_str));
            let message = format!("`{path}` refers to `{attribute}`, which `{type}` does not have");
            self.push(&codes::DANGLING, message, at, hint);
            return;
        };
        if to.path.0 == attribute && !compatible(wanted, &found.r#type) {
            let (wanted, found) = (wanted.with_article(), &found.r#type.with_article());
            let message = format!("`{path}` must be {wanted}, and `{}` is {found}", to.path);
            self.push(&codes::WRONG_TYPE, message, at, None);
        }
    }

    fn unknown(
        &mut self,
        name: &str,
        schema: &BTreeMap<String, AttributeSchema>,
        at: Place,
        path: &Path,
    ) {
        let mut names: Vec<&str> = schema
            .iter()
            .filter(|(_, attribute)| attribute.settable)
            .map(|(name, _)| name.as_str())
            .collect();
        if path.0.is_empty() {
            names.push("meta");
        }
        let message = format!("`{}` has no attribute `{}`", self.resource, path.key(name));
        self.push(
            &codes::UNKNOWN_ATTRIBUTE,
            message,
            at,
            suggest::hint(name, names),
        );
    }

    fn read_only(&mut self, name: &str, at: Place, path: &Path) {
        let message = format!(
            "`{}` is computed by the provider and cannot be set",
            path.key(name)
        );
        self.push(
            &codes::READ_ONLY,
            message,
            at,
            Some("take it away".to_owned()),
        );
    }

    fn push(
        &mut self,
        code: &codes::Explained,
        message: String,
        place: Place,
        hint: Option<String>,
    ) {
        let mut finding = Finding::error(code, message);
        finding.source = self.places.source(place);
        finding.hint = hint;
        self.findings.push(finding);
    }
}

/// Whether an unknown attribute of `node` is probably meant as `name`: one mistake, one finding.
fn misspelt(name: &str, schema: &BTreeMap<String, AttributeSchema>, node: &Node) -> bool {
    let mut unknown = node
        .fields()
        .iter()
        .filter(|field| !schema.contains_key(&field.0));
    unknown.any(|field| suggest::suggest(&field.0, [name]).is_some())
}

fn secret(path: &str, key: &str) -> SecretReference {
    SecretReference {
        path: path.to_owned(),
        key: key.to_owned(),
        version: None,
        digest: None,
    }
}

/// Whether a plain value is of a simple type.
fn fits(wanted: &ValueType, node: &Node) -> bool {
    match (wanted, &node.1) {
        (ValueType::Any, _) => true,
        (ValueType::Text | ValueType::Choice(_) | ValueType::Duration, Datum::Text(_)) => true,
        (ValueType::Number, Datum::Number(_)) => true,
        (ValueType::Integer, Datum::Number(number)) => {
            number.is_i64()
                || number.is_u64()
                || number.as_f64().is_some_and(|float| float.fract() == 0.0)
        }
        (ValueType::Bool, Datum::Bool(_)) => true,
        _ => false,
    }
}

/// Whether a value of type `found`, once known, can be what is wanted.
fn compatible(wanted: &ValueType, found: &ValueType) -> bool {
    use ValueType::{Any, Bool, Choice, Duration, Integer, List, Map, Number, Object, Text};
    match (wanted, found) {
        (Any, _) | (_, Any) => true,
        (Text | Choice(_) | Duration, Text | Choice(_) | Duration) => true,
        (Number | Integer, Number | Integer) => true,
        (Bool, Bool) => true,
        (List(wanted), List(found)) | (Map(wanted), Map(found)) => compatible(wanted, found),
        (Map(_) | Object(_), Map(_) | Object(_)) => true,
        _ => false,
    }
}
