//! Which values are sensitive: marks that flow with values through references and joins.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Path, Record, Reference, Value};

/// The paths within one resource whose values are sensitive, sorted.
///
/// *Guarantees*: a value is never shown when it is marked, lies in a marked one, or holds one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Marks(BTreeSet<Path>);

/// The shortest text that is looked for within other values.
const TELLING: usize = 8;

/// The shortest text that is taken out of what a provider says.
const SHORTEST: usize = 4;

impl Marks {
    /// Whether nothing is sensitive.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Marks the value at a path.
    pub fn insert(&mut self, path: Path) {
        self.0.insert(path);
    }

    /// Marks what `others` marks too.
    pub fn extend(&mut self, others: Marks) {
        self.0.extend(others.0);
    }

    /// Whether the value at a path must not be shown: it is marked, in a marked one, or around one.
    pub fn touches(&self, path: &Path) -> bool {
        self.0
            .iter()
            .any(|mark| mark.leads_to(path) || path.leads_to(mark))
    }

    /// What becomes sensitive at `place`, where the value of this resource at `from` is put there.
    fn moved(&self, from: &Path, place: &Path) -> Marks {
        let moved = self.0.iter().filter_map(|mark| match mark.leads_to(from) {
            true => Some(place.clone()),
            false => mark.rest_after(from).map(|rest| place.followed_by(rest)),
        });
        Self(moved.collect())
    }

    /// The marks that the attributes of a resource take over from what they refer to; `lookup`
    /// answers those of another resource.
    pub fn inherited(record: &Record, lookup: &impl Fn(&Reference) -> Option<Marks>) -> Marks {
        let mut found = Self::default();
        for (name, value) in record {
            found.inherit(&Path::of(name), value, lookup);
        }
        found
    }

    fn inherit(
        &mut self,
        place: &Path,
        value: &Value,
        lookup: &impl Fn(&Reference) -> Option<Marks>,
    ) {
        match value {
            Value::Reference(reference) => {
                let marks = lookup(reference).unwrap_or_default();
                self.extend(marks.moved(&reference.path, place));
            }
            Value::List(items) => items
                .iter()
                .enumerate()
                .for_each(|(index, item)| self.inherit(&place.index(index), item, lookup)),
            Value::Record(record) => record
                .iter()
                .for_each(|(key, value)| self.inherit(&place.key(key), value, lookup)),
            Value::Typed(typed) => self.inherit(place, &typed.value, lookup),
            // Text is joined into one, and the elements of a set have no path.
            Value::Join(items) | Value::Set(items) => {
                let mut inner = Self::default();
                items
                    .iter()
                    .for_each(|item| inner.inherit(&Path::default(), item, lookup));
                if !inner.is_empty() {
                    self.insert(place.clone());
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Text(_)
            | Value::Unknown
            | Value::Secret(_) => {}
        }
    }

    /// Marks wherever a provider repeated a marked text: the same text, or one that holds it.
    pub fn spread(&mut self, record: &Record) {
        let mut told = BTreeSet::new();
        for (name, value) in record {
            self.gather(&Path::of(name), value, false, &mut told);
        }
        if told.is_empty() {
            return;
        }
        let repeats = |text: &str| {
            told.contains(text)
                || told
                    .iter()
                    .any(|told| told.len() >= TELLING && text.contains(told.as_str()))
        };
        let mut found = BTreeSet::new();
        for (name, value) in record {
            search(&Path::of(name), value, &repeats, &mut found);
        }
        found.retain(|path| !self.0.iter().any(|mark| mark.leads_to(path)));
        self.0.extend(found);
    }

    /// `text` without the marked texts of a record, for errors that a provider words.
    pub fn hide(&self, record: &Record, text: &str) -> String {
        let mut told = BTreeSet::new();
        for (name, value) in record {
            self.gather(&Path::of(name), value, false, &mut told);
        }
        let mut hidden = text.to_owned();
        // The longest first, so that no part of one is left beside another.
        let mut told: Vec<String> = told.into_iter().filter(|t| t.len() >= SHORTEST).collect();
        told.sort_by_key(|text| std::cmp::Reverse(text.len()));
        for text in told {
            hidden = hidden.replace(&text, "(sensitive)");
        }
        hidden
    }

    /// The texts that are marked.
    fn gather(&self, path: &Path, value: &Value, within: bool, told: &mut BTreeSet<String>) {
        let within = within || self.0.contains(path);
        match value {
            Value::Text(text) if within && !text.is_empty() => {
                told.insert(text.clone());
            }
            Value::List(items) => items
                .iter()
                .enumerate()
                .for_each(|(index, item)| self.gather(&path.index(index), item, within, told)),
            Value::Record(record) => record
                .iter()
                .for_each(|(key, value)| self.gather(&path.key(key), value, within, told)),
            _ => value
                .children()
                .for_each(|item| self.gather(path, item, within, told)),
        }
    }
}

fn search(path: &Path, value: &Value, repeats: &impl Fn(&str) -> bool, found: &mut BTreeSet<Path>) {
    match value {
        Value::Text(text) => {
            if repeats(text) {
                found.insert(path.clone());
            }
        }
        Value::List(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| search(&path.index(index), item, repeats, found)),
        Value::Record(record) => {
            for (key, value) in record.iter() {
                if repeats(key) {
                    found.insert(path.clone());
                }
                search(&path.key(key), value, repeats, found);
            }
        }
        _ => value
            .children()
            .for_each(|item| search(path, item, repeats, found)),
    }
}

impl FromIterator<Path> for Marks {
    fn from_iter<I: IntoIterator<Item = Path>>(paths: I) -> Self {
        Self(paths.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::stored;

    fn marks(paths: &[&str]) -> Marks {
        paths.iter().map(|path| Path((*path).to_owned())).collect()
    }

    fn touches(marks: &Marks, path: &str) -> bool {
        marks.touches(&Path(path.to_owned()))
    }

    #[test]
    fn what_lies_in_or_around_a_mark_is_touched() {
        let marks = marks(&["login.password", "keys[1]"]);
        for path in [
            "login.password",
            "login.password.hash",
            "login",
            "keys",
            "keys[1].a",
        ] {
            assert!(touches(&marks, path), "{path}");
        }
        for path in [
            "login.name",
            "log",
            "keys[10]",
            "keys[0]",
            "login.password2",
        ] {
            assert!(!touches(&marks, path), "{path}");
        }
    }

    #[test]
    fn marks_flow_through_references_and_joins() {
        let record = stored::record(
            r#"{"whole":{"$stratum":{"reference":{"resource":"t.a","path":"login"}}},
                "list":[1,{"deep":{"$stratum":{"reference":{"resource":"t.a","path":"login.password.hash"}}}}],
                "text":{"$stratum":{"join":["x",{"$stratum":{"reference":{"resource":"t.a","path":"login.password"}}}]}},
                "set":{"$stratum":{"set":[{"$stratum":{"reference":{"resource":"t.a","path":"login.password"}}}]}},
                "open":{"$stratum":{"reference":{"resource":"t.a","path":"login.name"}}}}"#,
        )
        .unwrap();
        let found = Marks::inherited(&record, &|_| Some(marks(&["login.password"])));
        assert_eq!(
            found,
            marks(&["list[1].deep", "set", "text", "whole.password"])
        );
    }

    #[test]
    fn what_is_marked_is_taken_out_of_text() {
        let record = stored::record(r#"{"a":"hunter2","b":"hunter2-canary","c":"ok","d":"open"}"#);
        let (record, marks) = (record.unwrap(), marks(&["a", "b", "c"]));
        let said = marks.hide(&record, "ok: hunter2-canary is not hunter2, but open");
        assert_eq!(said, "ok: (sensitive) is not (sensitive), but open");
    }

    #[test]
    fn a_repeated_value_is_marked_too() {
        let record = stored::record(
            r#"{"input":{"login":"hunter2-canary","pin":"12"},"output":["a","x hunter2-canary y"],
                "short":"12","longer":"123","hunter2-canary":"a"}"#,
        )
        .unwrap();
        let mut found = marks(&["input.login", "input.pin"]);
        found.spread(&record);
        assert_eq!(
            found,
            marks(&["input.login", "input.pin", "output[1]", "short"])
        );
    }
}
