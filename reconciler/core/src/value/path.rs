//! Paths into records.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::value::{Record, Value};

/// A path into a record: `health.http`, `ip_network[0].address`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Path(pub String);

impl Path {
    /// The path of a top-level attribute.
    pub fn of(attribute: &str) -> Self {
        Self(attribute.to_owned())
    }

    /// This path, then the key of a record.
    pub fn key(&self, key: &str) -> Self {
        if self.0.is_empty() {
            Self(key.to_owned())
        } else {
            Self(format!("{}.{key}", self.0))
        }
    }

    /// This path, then the index of a list.
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// Whether the value at `other` is this one, or lies in it.
    pub fn leads_to(&self, other: &Self) -> bool {
        self.0.is_empty() || *self == *other || other.rest_after(self).is_some()
    }

    /// What leads on from `start` to here; `None` where this does not lie within it.
    pub(super) fn rest_after<'a>(&'a self, start: &Self) -> Option<&'a str> {
        if start.0.is_empty() {
            return Some(&self.0);
        }
        let rest = self.0.strip_prefix(&start.0)?;
        rest.starts_with(['.', '[']).then_some(rest)
    }

    /// This path, then what [`Path::rest_after`] gave.
    pub(super) fn followed_by(&self, rest: &str) -> Self {
        match rest.strip_prefix('.') {
            Some(key) if self.0.is_empty() => Self(key.to_owned()),
            _ => Self(format!("{}{rest}", self.0)),
        }
    }

    /// The name of the attribute it starts with.
    pub fn attribute(&self) -> &str {
        self.0.split(['.', '[']).next().unwrap_or(&self.0)
    }

    /// The value it leads to.
    pub fn find<'a>(&self, record: &'a Record) -> Option<&'a Value> {
        let mut parts = self.0.split('.');
        let (first, indexes) = split_indexes(parts.next()?);
        let mut value = follow(record.get(first)?, &indexes)?;
        for part in parts {
            let (key, indexes) = split_indexes(part);
            let Value::Record(record) = value else {
                return None;
            };
            value = follow(record.get(key)?, &indexes)?;
        }
        Some(value)
    }
}

fn split_indexes(part: &str) -> (&str, Vec<usize>) {
    let mut pieces = part.split('[');
    let key = pieces.next().unwrap_or(part);
    (
        key,
        pieces
            .filter_map(|piece| piece.trim_end_matches(']').parse().ok())
            .collect(),
    )
}

fn follow<'a>(value: &'a Value, indexes: &[usize]) -> Option<&'a Value> {
    indexes.iter().try_fold(value, |value, index| match value {
        Value::List(items) => items.get(*index),
        _ => None,
    })
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
