//! What was seen of resources, and when.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Lease, StoreError};
use crate::ids::{Address, EnvironmentName};
use crate::observed::Report;

/// One look at one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The resource.
    pub address: Address,
    /// When (UTC).
    pub at: Timestamp,
    /// Whether it differs from what was applied, and which attributes do.
    pub drifted: Vec<String>,
    /// What the provider reported.
    pub report: Report,
}

/// What was seen of resources.
///
/// *Guarantees*: as [`super::Store`].
#[async_trait]
pub trait Observations: Send + Sync {
    /// Keeps observations; only the newest and those that differ from the one before are kept.
    async fn observe(&self, lease: &Lease, seen: &[Observation]) -> Result<(), StoreError>;

    /// The newest observation of every resource of an environment.
    async fn observed(&self, environment: &EnvironmentName)
    -> Result<Vec<Observation>, StoreError>;

    /// The newest observation of each resource of an environment that differed from what was
    /// applied when it was last looked at.
    async fn drifted(&self, environment: &EnvironmentName) -> Result<Vec<Observation>, StoreError>;

    /// The kept observations of one resource, newest first.
    async fn observations(
        &self,
        address: &Address,
        limit: u32,
    ) -> Result<Vec<Observation>, StoreError>;
}
