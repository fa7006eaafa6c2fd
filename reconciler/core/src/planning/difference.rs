//! What changes between two records, value by value.

use std::collections::BTreeSet;

use crate::plan::Change;
use crate::resource::Resource;
use crate::value::{Marks, Path, Record, Value};

/// The values that differ, sorted by path; records are compared key by key, lists as a whole.
pub(crate) fn difference(
    before: Option<&Record>,
    after: Option<&Record>,
    marks: &Marks,
    resource: Option<&Resource>,
) -> Vec<Change> {
    let empty = Record::new();
    let (before, after) = (before.unwrap_or(&empty), after.unwrap_or(&empty));
    let mut changes = Vec::new();
    for name in keys(before, after) {
        let from = changes.len();
        compare(
            Path::of(name),
            before.get(name),
            after.get(name),
            &mut changes,
        );
        for change in changes.iter_mut().skip(from) {
            change.sensitive = marks.touches(&change.path);
            change.source = resource
                .and_then(|resource| resource.source(&change.path))
                .cloned();
        }
    }
    changes
}

fn keys<'a>(before: &'a Record, after: &'a Record) -> BTreeSet<&'a str> {
    before
        .keys()
        .chain(after.keys())
        .map(String::as_str)
        .collect()
}

fn compare(path: Path, before: Option<&Value>, after: Option<&Value>, out: &mut Vec<Change>) {
    // An absent attribute and a null one are the same to every provider.
    let before = before.filter(|value| **value != Value::Null);
    let after = after.filter(|value| **value != Value::Null);
    match (before, after) {
        (Some(Value::Record(before)), Some(Value::Record(after))) => {
            for key in keys(before, after) {
                compare(path.key(key), before.get(key), after.get(key), out);
            }
        }
        (before, after) if before == after => {}
        (before, after) => out.push(Change {
            path,
            before: before.cloned(),
            after: after.cloned(),
            sensitive: false,
            source: None,
        }),
    }
}
