//! Answers that break the contract of the port, one sentence each.

use stratum_core::digest::Digest;
use stratum_core::ports::Proposal;
use stratum_core::resource::Instance;
use stratum_core::value::{Path, Reference, SecretReference, Value};

/// A lie, about an answer that is right otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// Another value than was planned, or than there was.
    Other,
    /// A secret that nobody named for this resource.
    Secret,
    /// A secret deep in a list of a record.
    DeepSecret,
    /// Text in which a secret is to be put.
    Join,
    /// Something that is not known.
    Unknown,
    /// A reference to another resource.
    Reference,
    /// It is gone.
    Gone,
    /// It is there, although it was taken away.
    StillThere,
    /// An error, with a secret in what is known.
    FailsWithSecret,
    /// One thing twice.
    Twice,
    /// A plan that replaces what it had said it would change.
    Replaces,
}

impl Lie {
    /// The lies that can be told of what is there.
    pub const OF_WHAT_IS_THERE: [Self; 7] = [
        Self::Other,
        Self::Secret,
        Self::DeepSecret,
        Self::Join,
        Self::Unknown,
        Self::Reference,
        Self::Gone,
    ];

    /// What it says instead of the truth.
    pub(super) fn instead_of(self, truth: Option<Instance>) -> Option<Instance> {
        if self == Self::Gone {
            return None;
        }
        let mut instance = match self {
            Self::StillThere => truth.unwrap_or_default(),
            _ => truth?,
        };
        if let Some(value) = self.value() {
            instance.attributes.insert("value".to_owned(), value);
        }
        Some(instance)
    }

    /// What it plans instead.
    pub(super) fn planned_instead_of(self, mut truth: Proposal) -> Proposal {
        match self {
            Self::Replaces => truth.replace.push(Path::of("value")),
            Self::StillThere => {
                truth
                    .planned
                    .insert("value".to_owned(), Value::text("left"));
            }
            _ => {
                let value = self.value().unwrap_or_default();
                truth.planned.insert("value".to_owned(), value);
            }
        }
        truth
    }

    fn value(self) -> Option<Value> {
        let secret = Value::secret(SecretReference {
            path: "db".to_owned(),
            key: "password".to_owned(),
            version: Some(1),
            digest: Some(Digest::of_bytes(b"sealed")),
        });
        Some(match self {
            Self::Other => Value::text("another"),
            Self::Secret | Self::FailsWithSecret => secret,
            Self::DeepSecret => {
                let list = Value::list(vec![Value::Null, secret]);
                Value::record([("deep".to_owned(), list)].into())
            }
            Self::Join => Value::joined(vec![Value::text("password="), secret]),
            Self::Unknown => Value::Unknown,
            Self::Reference => Value::reference(Reference {
                resource: "memory_thing.other".parse().ok()?,
                path: Path::of("id"),
            }),
            Self::Gone | Self::StillThere | Self::Replaces | Self::Twice => return None,
        })
    }
}
