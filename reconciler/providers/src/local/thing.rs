//! A resource that lies at a path, with what is known of its content when that is a secret.
//!
//! A secret is opened for a call and never becomes part of a record. What stays, in the private
//! bytes of the instance, is its mark: enough to tell whether the file still holds it.

use std::sync::Arc;

use stratum_core::digest::Digest;
use stratum_core::ids::Address;
use stratum_core::ports::{Marker, SecretError, Secrets, reveal};
use stratum_core::resource::{Instance, Opaque};
use stratum_core::secret::Secret;
use stratum_core::value::{Record, SecretReference, Value};
use zeroize::Zeroizing;

use super::entry::{Content, Entry};
use super::file::describe_access;
use super::placed::Shape;

/// The attribute that may hold a secret.
const CONTENT: &str = "content";

/// A record, and what is known of a content that is a secret.
#[derive(Clone)]
pub(crate) struct Thing {
    /// The record.
    pub(crate) record: Record,
    /// The content in the clear, while a call needs it.
    opened: Option<Arc<Secret>>,
    /// The mark of the content.
    mark: Option<String>,
    marker: Option<Arc<dyn Marker>>,
}

/// Whether the content of a record is a secret.
pub(crate) fn hides(record: &Record) -> bool {
    record.get(CONTENT).is_some_and(Value::holds_secret)
}

impl Thing {
    /// What is there, as the state knows it; nothing is opened.
    pub(crate) fn known(instance: &Instance, secrets: &dyn Secrets) -> Self {
        let mark = std::str::from_utf8(&instance.private.0).ok();
        Self {
            mark: mark.filter(|mark| !mark.is_empty()).map(str::to_owned),
            ..Self::bare(instance.attributes.clone(), secrets)
        }
    }

    /// What must be, with its secret opened.
    pub(crate) async fn wanted(
        record: &Record,
        reader: &Address,
        secrets: &dyn Secrets,
    ) -> Result<Self, SecretError> {
        let mut thing = Self::bare(record.clone(), secrets);
        if let Some(value) = record.get(CONTENT).filter(|_| hides(record)) {
            let marker = secrets.marker()?;
            let opened = reveal(secrets, reader, value).await?;
            if let Some(opened) = &opened {
                thing.mark = Some(marker.mark(opened.expose())?);
            }
            thing.opened = opened.map(Arc::new);
        }
        Ok(thing)
    }

    fn bare(record: Record, secrets: &dyn Secrets) -> Self {
        let marker = match hides(&record) {
            true => secrets.marker().ok(),
            false => None,
        };
        Self {
            record,
            opened: None,
            mark: None,
            marker,
        }
    }

    /// Whether the content is a secret.
    pub(crate) fn is_hidden(&self) -> bool {
        hides(&self.record)
    }

    /// What should lie at the path; `None` when it is a secret that was not opened.
    pub(crate) fn content<S: Shape>(&self, shape: &S) -> Option<Content> {
        match &self.opened {
            Some(opened) => Some(Content::File(Zeroizing::new(opened.expose().to_vec()))),
            None if self.is_hidden() => None,
            None => Some(shape.content(&self.record)),
        }
    }

    /// Whether these bytes are the secret; `None` when that cannot be told.
    fn matches(&self, bytes: &[u8]) -> Option<bool> {
        if let Some(opened) = &self.opened {
            return Some(opened.expose() == bytes);
        }
        let (marker, mark) = (self.marker.as_ref()?, self.mark.as_ref()?);
        marker.matches(mark, bytes).ok()
    }

    /// Whether what lies there is what the record says, but for mode and owner.
    pub(crate) fn is_content<S: Shape>(&self, shape: &S, entry: &Entry) -> bool {
        if self.is_hidden() {
            let Content::File(bytes) = &entry.content else {
                return false;
            };
            return self.matches(bytes) == Some(true);
        }
        let described = shape.describe(&self.record, entry);
        described.is_some_and(|described| {
            ["sha256", "target"]
                .iter()
                .all(|name| described.get(*name) == self.record.get(*name))
        })
    }

    /// The instance as it lies there; `None` when that is of another kind. Another content than
    /// the secret shows as a digest.
    pub(crate) fn described<S: Shape>(&self, shape: &S, entry: &Entry) -> Option<Instance> {
        if !self.is_hidden() {
            return shape
                .describe(&self.record, entry)
                .map(|attributes| Instance {
                    attributes,
                    private: Opaque::default(),
                    due: None,
                });
        }
        let Content::File(bytes) = &entry.content else {
            return None;
        };
        let mut record = self.record.clone();
        let mut mark = self.mark.clone();
        if self.matches(bytes) == Some(false) {
            mark = self.marker.as_ref().and_then(|one| one.mark(bytes).ok());
            record.insert(CONTENT.to_owned(), something_else(mark.as_deref()));
        }
        describe_access(&mut record, entry);
        Some(Instance {
            attributes: record,
            private: Opaque(mark.unwrap_or_default().into_bytes()),
            due: None,
        })
    }

    /// The instance once it is made as wanted.
    pub(crate) fn made<S: Shape>(&self, shape: &S) -> Instance {
        let mut attributes = self.record.clone();
        shape.complete(&mut attributes);
        let mark = self.mark.clone().filter(|_| self.is_hidden());
        Instance {
            attributes,
            private: Opaque(mark.unwrap_or_default().into_bytes()),
            due: None,
        }
    }
}

/// Stands for a content that is not the secret, and may be one.
fn something_else(mark: Option<&str>) -> Value {
    Value::secret(SecretReference {
        path: String::new(),
        key: String::new(),
        version: None,
        digest: mark.map(|mark| Digest::of_bytes(mark.as_bytes())),
    })
}
