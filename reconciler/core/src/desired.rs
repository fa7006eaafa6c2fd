//! Desired: what a Revision says an Environment should be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::{Address, CommitId, EnvironmentName, ObjectId, ProviderName};
use crate::resource::Resource;
use crate::value::Record;

/// A commit, with the tree id of its inputs (the tree without records).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The commit.
    pub commit: CommitId,
    /// The tree of the inputs: what the queue and the loop trap key on.
    pub inputs: ObjectId,
    /// Who wrote it, as git says: `Name <mail>`.
    pub author: String,
    /// When it was committed (UTC).
    pub committed_at: jiff::Timestamp,
    /// The first line of its message.
    pub subject: String,
    /// The whole message.
    pub message: String,
}

/// The git objects an Environment's content depends on.
///
/// *Shape*: path in the tree -> object id there, or `None` where nothing is. A folder that was
/// listed is in it with its tree id, so that a new file changes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Closure(pub BTreeMap<String, Option<ObjectId>>);

impl Closure {
    /// One digest over all of it, and over the version of the contracts and settings that were
    /// used to read it.
    pub fn digest(&self, version: &str) -> Digest {
        Digest::of_json(&(version, &self.0))
    }
}

/// The typed content of a Revision for one Environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The environment.
    pub environment: EnvironmentName,
    /// The commit it was read from.
    pub revision: CommitId,
    /// What it was read from, object by object.
    pub closure: Closure,
    /// The digest of the closure: the part of the input tree that this environment depends on.
    pub inputs: Digest,
    /// The resources by address.
    pub resources: BTreeMap<Address, Resource>,
    /// The configurations of providers, by name: `aws`, `aws.eu`. All known; secrets are named.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::value::stored::deserialize"
    )]
    pub providers: BTreeMap<ProviderName, Record>,
}
