//! `local_symlink`: a symlink, made and never followed.

use std::fs::FileType;

use stratum_core::ports::{Effect, TypeSchema, ValueType};
use stratum_core::value::{Record, Value};

use super::entry::{Content, Entry};
use super::placed::Shape;
use crate::schema::{attributes, replacing, required, text};

/// The type.
pub(crate) struct Symlink;

impl Shape for Symlink {
    fn schema(&self) -> TypeSchema {
        let path = required("Where it lies.", ValueType::Text);
        TypeSchema {
            doc: "A symlink; a new target is put in place in one step.".to_owned(),
            version: 1,
            effect: Effect::World,
            place: Some("path".to_owned()),
            twice: false,
            reads: false,
            timeouts: Default::default(),
            attributes: attributes([
                ("path", replacing(path)),
                (
                    "target",
                    required("Where it leads; need not be there.", ValueType::Text),
                ),
            ]),
        }
    }

    fn complete(&self, _: &mut Record) {}

    fn content(&self, record: &Record) -> Content {
        let target = text(record, "target").unwrap_or_default();
        Content::Link(target.as_bytes().to_vec())
    }

    fn describe(&self, known: &Record, entry: &Entry) -> Option<Record> {
        let Content::Link(target) = &entry.content else {
            return None;
        };
        let mut record = known.clone();
        let target = String::from_utf8_lossy(target).into_owned();
        record.insert("target".to_owned(), Value::Text(target));
        Some(record)
    }

    fn is(&self, kind: FileType) -> bool {
        kind.is_symlink()
    }

    fn default_mode(&self) -> u32 {
        0o777
    }
}
