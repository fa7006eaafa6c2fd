//! What waits to be done.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::ids::{CommitId, EnvironmentName};

/// An environment that should be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueEntry {
    /// The environment.
    pub environment: EnvironmentName,
    /// The commit it should come to.
    pub commit: CommitId,
    /// The tree of the inputs: one entry for each environment and inputs, whatever the commit.
    pub inputs: String,
    /// Why: `push`, `drift`, `start`.
    pub reason: String,
    /// Not before this (UTC).
    pub not_before: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
}

/// What waits to be done, so that it is known after a restart.
///
/// *Guarantees*: as [`super::Store`].
#[async_trait]
pub trait Work: Send + Sync {
    /// Puts an entry into the queue; one that is there for the same environment is replaced, and
    /// keeps the earlier `not_before` when the inputs are the same.
    async fn push(&self, entry: &QueueEntry) -> Result<(), StoreError>;

    /// All entries, oldest first.
    async fn queue(&self) -> Result<Vec<QueueEntry>, StoreError>;

    /// Takes an entry out, unless it was replaced by one with other inputs meanwhile.
    async fn ack(&self, entry: &QueueEntry) -> Result<(), StoreError>;
}
