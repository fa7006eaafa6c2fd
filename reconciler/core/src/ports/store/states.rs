//! What is remembered of environments, and the state of their resources.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Lease, StoreError};
use crate::condition::{Condition, Hold};
use crate::desired::Closure;
use crate::digest::Digest;
use crate::ids::{Address, BranchName, CommitId, EnvironmentName, RunId};
use crate::remembered::Remembered;
use crate::resource::ResourceState;
use crate::rules::Pin;

/// The state of an Environment that a Plan is made on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Base {
    /// Grows by one with every Apply that is started; the store refuses a plan with an old one.
    pub serial: u64,
    /// The resources by address.
    pub resources: BTreeMap<Address, ResourceState>,
    /// Resources whose instance is wrapped and cannot be read, because the reconciler is sealed;
    /// it is empty in `resources`, and nothing may be planned on it.
    pub sealed: BTreeSet<Address>,
}

impl Base {
    /// The digest of the resources; the same on every machine that holds the same state.
    pub fn digest(&self) -> Digest {
        Digest::of_json(&self.resources)
    }

    /// The first time at which a resource must be renewed or has ended (UTC).
    pub fn due(&self) -> Option<Timestamp> {
        let due = self
            .resources
            .values()
            .filter_map(|state| state.instance.due);
        due.filter_map(|due| due.first()).min()
    }
}

/// What the store remembers of one environment, besides its resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentRow {
    /// The environment.
    pub name: EnvironmentName,
    /// How it is.
    pub condition: Condition,
    /// Why, in one sentence; empty when Ready.
    pub reason: String,
    /// The last commit whose content is applied.
    pub revision: Option<CommitId>,
    /// The commit it should be at.
    pub desired_revision: Option<CommitId>,
    /// The digest of the inputs that are applied.
    pub inputs: Option<Digest>,
    /// The objects those inputs were read from.
    pub closure: Closure,
    /// The revision that is held back, if one is.
    pub hold: Option<Hold>,
    /// Why it waits for the reconciler to be unsealed, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
    /// The commit whose rules hold until the environment came to a first Revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// What is remembered of words and rules.
    #[serde(default, skip_serializing_if = "Remembered::is_empty")]
    pub remembered: Remembered,
    /// The root of its local resources, once known; absolute.
    pub root: Option<String>,
    /// The branch whose front it follows: it is settled, and at whatever commit that is at. The
    /// store answers that commit as its revision; where the front stands elsewhere when the row is
    /// written, it follows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<BranchName>,
    /// The last run.
    pub last_run: Option<RunId>,
    /// When the world was last looked at (UTC).
    pub observed_at: Option<Timestamp>,
    /// When this row was last written (UTC).
    pub changed_at: Timestamp,
}

/// What is remembered of environments.
///
/// *Guarantees*: as [`super::Store`].
#[async_trait]
pub trait States: Send + Sync {
    /// What is remembered of every environment, by name.
    async fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreError>;

    /// What is remembered of one environment.
    async fn environment(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<EnvironmentRow>, StoreError>;

    /// Writes what is remembered of one environment.
    async fn put_environment(&self, lease: &Lease, row: &EnvironmentRow) -> Result<(), StoreError>;

    /// The state of an environment; empty when it is new.
    async fn base(&self, environment: &EnvironmentName) -> Result<Base, StoreError>;
}
