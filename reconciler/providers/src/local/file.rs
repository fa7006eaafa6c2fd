//! `local_file`: a file with a content, a mode and an owner.

use std::fs::FileType;

use stratum_core::digest::Digest;
use stratum_core::ports::{Effect, TypeSchema, ValueType};
use stratum_core::value::{Record, Value};
use zeroize::Zeroizing;

use super::entry::{Content, Entry};
use super::owner::{WantedOwner, show_mode};
use super::placed::Shape;
use super::thing::hides;
use crate::schema::{attributes, computed, defaulting, given, optional, replacing, required, text};

/// The type.
pub(crate) struct File;

impl Shape for File {
    fn schema(&self) -> TypeSchema {
        let path = required("Where it lies.", ValueType::Text);
        let mode = optional(
            "Its mode, in octal; `0600` when it holds a secret.",
            ValueType::Text,
        );
        let owner = optional("`user` or `user:group`; needs root.", ValueType::Text);
        TypeSchema {
            doc: "A file, replaced as a whole and never half written.".to_owned(),
            version: 1,
            effect: Effect::World,
            place: Some("path".to_owned()),
            twice: false,
            reads: false,
            timeouts: Default::default(),
            attributes: attributes([
                ("path", replacing(path)),
                ("content", required("What it holds.", ValueType::Text)),
                ("mode", defaulting(mode, "0644")),
                ("owner", owner),
                (
                    "sha256",
                    computed("The SHA-256 of its content.", ValueType::Text),
                ),
                ("bytes", computed("Its size in bytes.", ValueType::Integer)),
            ]),
        }
    }

    fn complete(&self, record: &mut Record) {
        let (sha256, bytes) = match record.get("content") {
            // The digest and the size of a secret say something about it.
            Some(content) if content.holds_secret() => (Value::Null, Value::Null),
            Some(Value::Text(content)) => facts(content.as_bytes()),
            _ => (Value::Unknown, Value::Unknown),
        };
        record.insert("sha256".to_owned(), sha256);
        record.insert("bytes".to_owned(), bytes);
    }

    fn content(&self, record: &Record) -> Content {
        let content = text(record, "content").unwrap_or_default();
        Content::File(Zeroizing::new(content.as_bytes().to_vec()))
    }

    fn describe(&self, known: &Record, entry: &Entry) -> Option<Record> {
        let Content::File(bytes) = &entry.content else {
            return None;
        };
        let mut record = known.clone();
        if text(known, "content").map(str::as_bytes) != Some(bytes.as_slice()) {
            let content = String::from_utf8_lossy(bytes).into_owned();
            record.insert("content".to_owned(), Value::Text(content));
        }
        let (sha256, size) = facts(bytes);
        record.insert("sha256".to_owned(), sha256);
        record.insert("bytes".to_owned(), size);
        describe_access(&mut record, entry);
        Some(record)
    }

    fn is(&self, kind: FileType) -> bool {
        kind.is_file()
    }

    fn default_mode(&self) -> u32 {
        0o644
    }

    fn assume(&self, desired: &mut Record) {
        if hides(desired) && !given(desired, "mode") {
            desired.insert("mode".to_owned(), Value::text("0600"));
        }
    }

    fn secret_attributes(&self) -> &'static [&'static str] {
        &["content"]
    }
}

fn facts(content: &[u8]) -> (Value, Value) {
    (
        Value::Text(Digest::of_bytes(content).to_string()),
        Value::Number(content.len().into()),
    )
}

/// Corrects `mode` and `owner` where they differ; what says the same in other words stays.
pub(crate) fn describe_access(record: &mut Record, entry: &Entry) {
    let mode = text(record, "mode").and_then(super::owner::parse_mode);
    if mode.is_some_and(|mode| mode != entry.mode) {
        record.insert("mode".to_owned(), Value::Text(show_mode(entry.mode)));
    }
    describe_owner(record, entry);
}

/// Corrects `owner` where it differs.
pub(crate) fn describe_owner(record: &mut Record, entry: &Entry) {
    let Some(owner) = text(record, "owner") else {
        return;
    };
    if !WantedOwner::parse(owner).is_ok_and(|wanted| wanted.fits(entry.owner)) {
        let owner = format!("{}:{}", entry.owner.uid, entry.owner.gid);
        record.insert("owner".to_owned(), Value::Text(owner));
    }
}
