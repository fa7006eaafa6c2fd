//! The state store: journal, state, leases, queue, observations.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::condition::{Condition, Hold};
use crate::desired::Closure;
use crate::digest::Digest;
use crate::ids::{Address, BranchName, CommitId, EnvironmentName, RunId};
use crate::journal::Event;
use crate::observed::Report;
use crate::ports::{Facts, Fronts, Retry};
use crate::remembered::Remembered;
use crate::resource::ResourceState;
use crate::rules::Pin;
use crate::run::{Run, RunSummary};

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

/// One event with what it changes in the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it happened (UTC).
    pub at: Timestamp,
    /// The event.
    pub event: Event,
    /// What it changes in the state of the environment, in the same transaction.
    pub change: Option<StateChange>,
}

/// A change of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateChange {
    /// The resource is now so.
    Put(Box<ResourceState>),
    /// The resource is no longer there.
    Remove(Address),
    /// What was known under one address is known under that of the row from now on, in one step.
    Move {
        /// The address that is free now.
        from: Address,
        /// The row.
        state: Box<ResourceState>,
    },
}

/// The right of one process to reconcile one Environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The environment.
    pub environment: EnvironmentName,
    /// The fencing number: larger than that of every lease before it.
    pub number: u64,
    /// Who holds it, in a form that says whether it lives: `host boot pid start`.
    pub holder: String,
}

/// Why a lease was not given.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// Another process holds it.
    #[error(
        "`{environment}` is being reconciled by {}; it is taken over when that ends",
        who(holder)
    )]
    Held {
        /// The environment.
        environment: EnvironmentName,
        /// The other holder.
        holder: String,
    },
    /// The store failed.
    #[error("the lease could not be taken")]
    Store(#[from] StoreError),
}

/// A holder of a lease (`host boot pid start`) as people read it.
pub fn who(holder: &str) -> String {
    let mut parts = holder.split(' ');
    match (parts.next(), parts.nth(1)) {
        (Some(host), Some(pid)) => format!("process {pid} on `{host}`"),
        _ => format!("`{holder}`"),
    }
}

/// Why the store did not do as asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file was written by a newer version; it is untouched.
    #[error("`{path}` was written by a newer stratum (format {found}, this one knows {known})")]
    Newer {
        /// The file.
        path: String,
        /// Its format.
        found: i64,
        /// The newest format this version knows.
        known: i64,
    },
    /// The file is damaged; it is untouched.
    #[error("`{path}` is damaged: {what}")]
    Damaged {
        /// The file.
        path: String,
        /// What is damaged.
        what: String,
    },
    /// There is no state yet.
    #[error("there is no state at `{path}` yet")]
    Missing {
        /// The file.
        path: String,
    },
    /// The disk is full.
    #[error("the disk that holds the state is full, while {doing}")]
    Full {
        /// What was being done.
        doing: &'static str,
    },
    /// What was asked for is wrapped, and the reconciler is sealed.
    #[error("the state is sealed: {why}")]
    Sealed {
        /// Why it cannot be read.
        why: String,
    },
    /// The lease was lost: another process has a newer one. Nothing was written.
    #[error("the lease on `{environment}` was lost to a newer one")]
    Fenced {
        /// The environment.
        environment: EnvironmentName,
    },
    /// The plan was made on a base that is no longer the head. Nothing was written.
    #[error("the state of `{environment}` moved from {planned} to {head} since the plan was made")]
    Moved {
        /// The environment.
        environment: EnvironmentName,
        /// The serial the plan names.
        planned: u64,
        /// The serial now.
        head: u64,
    },
    /// The audit log that belongs to the state cannot be written, so nothing more is begun.
    #[error("the audit log at `{folder}` cannot be written: {reason}")]
    Audit {
        /// Its folder.
        folder: String,
        /// Why.
        reason: String,
        /// Whether it may pass by itself, as a full disk does.
        passes: bool,
    },
    /// Anything else the database says.
    #[error("the state store failed while {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Newer { .. } | Self::Damaged { .. } | Self::Missing { .. } => Retry::NeedsPerson,
            Self::Audit { passes: false, .. } => Retry::NeedsPerson,
            Self::Full { .. } | Self::Sealed { .. } | Self::Audit { passes: true, .. } => {
                Retry::Later(Duration::from_secs(15))
            }
            Self::Fenced { .. } | Self::Moved { .. } => Retry::Later(Duration::from_millis(100)),
            Self::Database { .. } => Retry::Later(Duration::from_secs(5)),
        }
    }
}

/// A run that was started and has not ended, or ended and is not yet in git.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// What it set out to do.
    pub run: Run,
    /// Its events so far, with their times.
    pub events: Vec<(Timestamp, Event)>,
}

/// How a run ended, besides what its journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// Every step is done.
    Applied,
    /// A step failed and everything is as it was.
    RolledBack,
    /// Something is left that a person must see to.
    Stuck,
    /// Policy, a check or a limit refused the plan.
    Denied,
    /// There was nothing to do.
    Nothing,
}

impl RunOutcome {
    /// The word in JSON, records and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::RolledBack => "rolled-back",
            Self::Stuck => "stuck",
            Self::Denied => "denied",
            Self::Nothing => "nothing",
        }
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

/// A kept result of an evaluation; see [`crate::ports::EvaluationCache`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationRow {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
}

/// The state store and the queue.
///
/// Each event of a journal, and each lease that is taken, is in the audit log by the same
/// transaction (see [`crate::audit`]); if it cannot be, nothing is written.
///
/// *Guarantees*: every method is atomic: it happens wholly or not at all, also when the process
/// dies inside. Writing methods are durable when they return.
#[async_trait]
pub trait Store: Facts + Fronts + Send + Sync {
    /// Takes the lease of an environment, at once, or says who has it. `alive` tells whether a
    /// holder still lives (`None`: cannot tell); a lease of a dead holder, or of one that cannot
    /// be told and has not renewed for `ttl`, is taken over with a larger number.
    async fn acquire(
        &self,
        environment: &EnvironmentName,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
        alive: &(dyn for<'h> Fn(&'h str) -> Option<bool> + Sync),
    ) -> Result<Lease, LeaseError>;

    /// Says that the holder lives.
    async fn renew(&self, lease: &Lease, now: Timestamp) -> Result<(), StoreError>;

    /// Gives the lease back. Giving back what was lost is not an error.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;

    /// What is remembered of every environment, by name.
    async fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreError>;

    /// What is remembered of one environment.
    async fn environment(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<EnvironmentRow>, StoreError> {
        let rows = self.environments().await?;
        Ok(rows.into_iter().find(|row| row.name == *environment))
    }

    /// Writes what is remembered of one environment.
    async fn put_environment(&self, lease: &Lease, row: &EnvironmentRow) -> Result<(), StoreError>;

    /// The state of an environment; empty when it is new.
    async fn base(&self, environment: &EnvironmentName) -> Result<Base, StoreError>;

    /// Starts a run: writes `run` and its `Started` event.
    ///
    /// *Errors*: [`StoreError::Moved`] when the plan's base is no longer the head,
    /// [`StoreError::Fenced`] when the lease is lost; nothing is written then.
    async fn start(&self, lease: &Lease, run: &Run, started: &Entry) -> Result<(), StoreError>;

    /// Appends events to a run, with their changes of the state, in one transaction.
    ///
    /// *Guarantees*: durable when it returns, in order. Calls for different runs, and calls that
    /// wait while another is being written, may share one transaction.
    async fn append(
        &self,
        lease: &Lease,
        run: &RunId,
        entries: Vec<Entry>,
    ) -> Result<(), StoreError>;

    /// Writes a run that has no journal: one that was denied or had nothing to do but is worth
    /// remembering.
    async fn note_run(&self, lease: &Lease, summary: &RunSummary) -> Result<(), StoreError>;

    /// Runs of an environment that have not ended, or whose record is not yet in git.
    async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError>;

    /// One run with its events.
    async fn run(&self, run: &RunId) -> Result<Option<Unfinished>, StoreError>;

    /// The last runs, newest first, at most `limit`; of one environment or of all.
    async fn history(
        &self,
        environment: Option<&EnvironmentName>,
        limit: u32,
    ) -> Result<Vec<RunSummary>, StoreError>;

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

    /// Puts an entry into the queue; one that is there for the same environment is replaced, and
    /// keeps the earlier `not_before` when the inputs are the same.
    async fn push(&self, entry: &QueueEntry) -> Result<(), StoreError>;

    /// The entries that are due, oldest first.
    async fn due(&self, now: Timestamp) -> Result<Vec<QueueEntry>, StoreError>;

    /// All entries, oldest first.
    async fn queue(&self) -> Result<Vec<QueueEntry>, StoreError>;

    /// Takes an entry out, unless it was replaced by one with other inputs meanwhile.
    async fn ack(&self, entry: &QueueEntry) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_process_and_machine() {
        assert_eq!(who("box b 12 99"), "process 12 on `box`");
        assert_eq!(who("odd"), "`odd`");
    }
}
