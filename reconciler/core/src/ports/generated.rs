//! Secrets that stratum makes itself: kept in the state, or proposed for the repository.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::Digest;
use crate::ids::{Address, CommitId, EnvironmentName, LocalAddress};
use crate::ports::{RepositoryError, Retry, SecretKey};
use crate::trust::Trust;
use crate::value::{Record, SecretReference};

/// Where the secrets that a resource makes lie, below `secrets/<environment>/` where that is a file.
///
/// *Shape*: `generated/<type>.<name>`; a name with other characters is its digest.
pub fn generated_path(resource: &LocalAddress) -> String {
    let name = resource.name.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let name = match name.chars().all(plain) {
        true => name.to_owned(),
        false => Digest::of_bytes(name.as_bytes()).short(),
    };
    format!("generated/{}.{name}", resource.r#type)
}

/// What a secret that is made here is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName {
    /// The path.
    pub path: String,
    /// The key.
    pub key: String,
    /// The version, from 1.
    pub version: u64,
}

/// A secret that was made here, as the state keeps it: wrapped under the data key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeSecret {
    /// The path: `generated/<type>.<name>`.
    pub path: String,
    /// The key.
    pub key: String,
    /// The version, from 1.
    pub version: u64,
    /// What it is known by; says nothing about it, and stays when it is wrapped again.
    pub digest: Digest,
    /// The key of the state that it is wrapped under.
    pub wrapped_by: String,
    /// The secret, wrapped.
    pub wrapped: Vec<u8>,
}

impl MadeSecret {
    /// A secret of that name that is to be wrapped under the key `wrapped_by`; nothing is yet.
    pub fn new(name: &SecretName, wrapped_by: String) -> Self {
        Self {
            path: name.path.clone(),
            key: name.key.clone(),
            version: name.version,
            digest: Digest::of_bytes(b""),
            wrapped_by,
            wrapped: Vec::new(),
        }
    }

    /// What the wrapped bytes are bound to.
    pub fn context(&self, environment: &EnvironmentName) -> String {
        let Self {
            path, key, version, ..
        } = self;
        format!("made {environment} {path}#{key} v{version}")
    }

    /// The secret's name.
    pub fn reference(&self) -> SecretReference {
        SecretReference {
            path: self.path.clone(),
            key: self.key.clone(),
            version: Some(self.version),
            digest: Some(self.digest),
        }
    }
}

/// A secret that a resource keeps in the repository, and that is not there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedSecret {
    /// The resource.
    pub address: Address,
    /// What is wanted of it, all known.
    pub desired: Record,
    /// What the state knows of it.
    pub prior: Option<Record>,
}

/// Secrets that are to be made, sealed and put on a branch for review.
#[derive(Clone, Copy)]
pub struct ProposalRequest<'a> {
    /// The name of the repository, as in its settings.
    pub repository: &'a str,
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// The commit that wants them, and that the branch begins at.
    pub commit: &'a CommitId,
    /// Who may seal and who reads, as that commit says it.
    pub trust: &'a Trust,
    /// What is wanted.
    pub wanted: &'a [WantedSecret],
    /// The highest version of each value that was ever in force.
    pub highest: &'a BTreeMap<SecretKey, u64>,
    /// Now (UTC).
    pub at: Timestamp,
}

impl ProposalRequest<'_> {
    /// The branch of an environment.
    pub fn branch(environment: &EnvironmentName) -> String {
        format!("stratum/secrets/{environment}")
    }
}

/// Why nothing was proposed.
///
/// *Guarantees*: holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ProposalError {
    /// One sentence that says what to do: lower case, no full stop.
    pub message: String,
    /// When to try again.
    pub retry: Retry,
}

impl ProposalError {
    /// One that a person resolves.
    pub fn person(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retry: Retry::NeedsPerson,
        }
    }

    /// One that may pass by itself.
    pub fn later(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retry: Retry::Later(Duration::from_secs(10)),
        }
    }
}

impl From<RepositoryError> for ProposalError {
    fn from(error: RepositoryError) -> Self {
        let reason = std::error::Error::source(&error);
        let reason = reason.map(|reason| format!(": {reason}"));
        Self {
            message: format!("{error}{}", reason.unwrap_or_default()),
            retry: error.retry(),
        }
    }
}

/// Makes secrets, and proposes them as sealed values on a branch.
pub trait Proposer: Send + Sync {
    /// Puts what is wanted on the branch, as one commit; `None` when all of it is there already.
    /// Blocking.
    ///
    /// *Guarantees*: a secret that is on the branch is not made again, so that a reviewer's merge
    /// brings the one that was reviewed; if the process dies inside, either nothing or all of it is
    /// on the branch.
    fn propose(&self, request: &ProposalRequest<'_>) -> Result<Option<CommitId>, ProposalError>;
}

/// Proposes nothing: for whoever keeps no repository.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProposals;

impl Proposer for NoProposals {
    fn propose(&self, _: &ProposalRequest<'_>) -> Result<Option<CommitId>, ProposalError> {
        Ok(None)
    }
}
