//! `local_directory`: a folder, removed only when it is empty.

use std::fs::FileType;

use stratum_core::ports::{Effect, TypeSchema, ValueType};
use stratum_core::value::Record;

use super::entry::{Content, Entry};
use super::file::describe_access;
use super::placed::Shape;
use crate::schema::{attributes, defaulting, optional, replacing, required};

/// The type.
pub(crate) struct Directory;

impl Shape for Directory {
    fn schema(&self) -> TypeSchema {
        let path = required("Where it lies.", ValueType::Text);
        let mode = optional("Its mode, in octal.", ValueType::Text);
        let owner = optional("`user` or `user:group`; needs root.", ValueType::Text);
        TypeSchema {
            doc: "A folder; it is removed only when it is empty.".to_owned(),
            version: 1,
            effect: Effect::World,
            place: Some("path".to_owned()),
            twice: false,
            reads: false,
            timeouts: Default::default(),
            attributes: attributes([
                ("path", replacing(path)),
                ("mode", defaulting(mode, "0755")),
                ("owner", owner),
            ]),
        }
    }

    fn complete(&self, _: &mut Record) {}

    fn content(&self, _: &Record) -> Content {
        Content::Folder
    }

    fn describe(&self, known: &Record, entry: &Entry) -> Option<Record> {
        let mut record = known.clone();
        describe_access(&mut record, entry);
        (entry.content == Content::Folder).then_some(record)
    }

    fn is(&self, kind: FileType) -> bool {
        kind.is_dir()
    }

    fn default_mode(&self) -> u32 {
        0o755
    }
}
