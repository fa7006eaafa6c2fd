//! Runs: how they start, their journals, and what history shows of them.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Lease, StoreError};
use crate::ids::{Address, CommitId, EnvironmentName, RunId};
use crate::journal::Event;
use crate::resource::ResourceState;
use crate::run::{Run, RunSummary};

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

/// A run that was started and has not ended, or ended and is not yet in git.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// What it set out to do.
    pub run: Run,
    /// Its events so far, with their times.
    pub events: Vec<(Timestamp, Event)>,
}

/// What is known of an open run without reading its plan or its events: one that has not ended, or
/// that ended and whose record is not yet in git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRun {
    /// The run.
    pub id: RunId,
    /// Its environment.
    pub environment: EnvironmentName,
    /// The commit it brings the environment to.
    pub revision: CommitId,
    /// How it ended; `None` while it goes on.
    pub outcome: Option<RunOutcome>,
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

/// Runs and their journals.
///
/// Each event of a journal is in the audit log by the same transaction (see [`crate::audit`]); if
/// it cannot be, nothing is written.
///
/// *Guarantees*: as [`super::Store`].
#[async_trait]
pub trait Journals: Send + Sync {
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

    /// The open runs after `after`, oldest first, at most `limit`. Costs what is answered, however
    /// large their plans are, and needs no key.
    async fn open_runs(
        &self,
        after: Option<&RunId>,
        limit: u32,
    ) -> Result<Vec<OpenRun>, StoreError>;

    /// The open runs with all their events, oldest first. One that is wrapped and cannot be read is
    /// left out, and keeps no other from being read: [`Journals::open_runs`] names it.
    async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError>;

    /// One run with its events, to go on with it.
    ///
    /// *Errors*: [`StoreError::Sealed`] when something of it is wrapped and cannot be read.
    async fn journal(&self, run: &RunId) -> Result<Option<Unfinished>, StoreError>;

    /// One run with its events, to show it; what is wrapped and cannot be read is left out. `None`
    /// also when its plan was dropped because its time is over (see [`super::Retention`]).
    async fn run(&self, run: &RunId) -> Result<Option<Unfinished>, StoreError>;

    /// The last runs, newest first, at most `limit`; of one environment or of all.
    async fn history(
        &self,
        environment: Option<&EnvironmentName>,
        limit: u32,
    ) -> Result<Vec<RunSummary>, StoreError>;
}
