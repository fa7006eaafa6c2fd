//! Checks a value against the keys and forms it may have, and names the place of each mistake.

use stratum_core::duration;
use stratum_core::finding::{Finding, codes};
use stratum_core::suggest;

use crate::evaluate::node::{Datum, Field, Node, Place, Places};

/// What a value may be.
#[derive(Clone, Copy)]
pub(crate) enum Outline {
    /// Text.
    Text,
    /// True or false.
    Bool,
    /// A whole number from this one on.
    Count(u64),
    /// A duration such as `30s`.
    Duration,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// Whatever this accepts; the error is a sentence.
    Accepted(fn(&serde_json::Value) -> Result<(), String>),
    /// A list of these.
    List(&'static Outline),
    /// A record with any keys.
    Map(&'static Outline),
    /// A record with these keys.
    Object(&'static [Key]),
}

/// A key of a record.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// It must be there.
    pub(crate) required: bool,
    /// What it may hold.
    pub(crate) outline: Outline,
}

/// A key that need not be there.
pub(crate) const fn key(name: &'static str, outline: Outline) -> Key {
    Key {
        name,
        required: false,
        outline,
    }
}

/// A key that must be there.
pub(crate) const fn required(name: &'static str, outline: Outline) -> Key {
    Key {
        name,
        required: true,
        outline,
    }
}

/// The shortest time that is one.
const LEAST: std::time::Duration = std::time::Duration::from_millis(1);

/// Collects the findings of one value.
pub(crate) struct Check<'a> {
    /// The code of an unknown key.
    pub(crate) unknown: &'static codes::Explained,
    /// The code of a wrong value.
    pub(crate) invalid: &'static codes::Explained,
    /// The files of the value.
    pub(crate) places: Places<'a>,
    /// What was found.
    pub(crate) findings: Vec<Finding>,
}

impl Check<'_> {
    /// Checks `node`, which stands under `path` and whose name stands at `name`.
    pub(crate) fn value(&mut self, outline: Outline, node: &Node, name: Place, path: &str) {
        let place = node.0.or(name);
        match (outline, &node.1) {
            (_, Datum::Hole)
            | (Outline::Text, Datum::Text(_))
            | (Outline::Bool, Datum::Bool(_)) => {}
            (Outline::Duration, Datum::Text(text)) => match duration::parse(text) {
                Err(reason) => self.wrong(place, path, &reason, None),
                Ok(time) if time < LEAST => {
                    let reason = "is no time at all: nothing could be done within it, and what \
                                      comes every so often would never stop";
                    self.wrong(place, path, reason, None);
                }
                Ok(_) => {}
            },
            (Outline::Choice(choices), Datum::Text(text)) => {
                if !choices.contains(&text.as_str()) {
                    let hint = suggest::hint(text, choices.iter().copied());
                    self.wrong(
                        place,
                        path,
                        &format!("`{text}` is not one of its values"),
                        hint,
                    );
                }
            }
            (Outline::Count(least), Datum::Number(number)) => {
                if number.as_u64().is_none_or(|number| number < least) {
                    let reason = format!("must be a whole number from {least} on");
                    self.wrong(place, path, &reason, None);
                }
            }
            (Outline::Accepted(accepts), _) => {
                if let Err(reason) = accepts(&node.to_json()) {
                    self.wrong(place, path, &reason, None);
                }
            }
            (Outline::List(items), Datum::List(nodes)) => {
                for (index, item) in nodes.iter().enumerate() {
                    self.value(*items, item, place, &format!("{path}[{index}]"));
                }
            }
            (Outline::Map(values), Datum::Record(fields)) => {
                for Field(key, name, value) in fields {
                    self.value(*values, value, *name, &join(path, key));
                }
            }
            (Outline::Object(keys), Datum::Record(fields)) => {
                self.object(keys, fields, name.or(node.0), path);
            }
            (wanted, _) => {
                let reason = format!("must be {}, not {}", wanted.name(), node.kind());
                self.wrong(place, path, &reason, None);
            }
        }
    }

    fn object(&mut self, keys: &'static [Key], fields: &[Field], place: Place, path: &str) {
        for Field(name, at, value) in fields {
            match keys.iter().find(|key| key.name == name) {
                Some(key) => self.value(key.outline, value, *at, &join(path, name)),
                None => {
                    let hint = suggest::hint(name, keys.iter().map(|key| key.name));
                    let message = format!("there is no setting `{}`", join(path, name));
                    self.push(self.unknown, at.or(value.0).or(place), message, hint);
                }
            }
        }
        for key in keys.iter().filter(|key| key.required) {
            if !fields.iter().any(|field| field.0 == key.name) {
                let message = format!("`{}` is missing", join(path, key.name));
                let hint = Some(format!("add `{} = ...`", key.name));
                self.push(self.invalid, place, message, hint);
            }
        }
    }

    fn wrong(&mut self, place: Place, path: &str, reason: &str, hint: Option<String>) {
        self.push(self.invalid, place, format!("`{path}`: {reason}"), hint);
    }

    fn push(
        &mut self,
        code: &'static codes::Explained,
        place: Place,
        message: String,
        hint: Option<String>,
    ) {
        let mut finding = Finding::error(code, message);
        finding.source = self.places.source(place);
        finding.hint = hint;
        self.findings.push(finding);
    }
}

impl Outline {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Bool => "`true` or `false`",
            Self::Count(_) => "a whole number",
            Self::Duration => "a duration such as `30s`",
            Self::Choice(_) => "one of its values",
            Self::Accepted(_) => "of another form",
            Self::List(_) => "a list",
            Self::Map(_) | Self::Object(_) => "a record",
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
