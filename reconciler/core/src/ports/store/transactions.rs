//! Several changes that happen together or not at all.

use async_trait::async_trait;

use super::{EnvironmentRow, Lease, QueueEntry};
use crate::audit::AuditEntry;
use crate::ports::AuditError;
use crate::run::RunSummary;

/// Changes of the state, with what the audit log says of them.
///
/// They are carried out in the order in which they were added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transaction {
    /// What the audit log says.
    pub entries: Vec<AuditEntry>,
    /// What changes.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// What is remembered of an environment; see [`super::States::put_environment`].
    Environment(Lease, Box<EnvironmentRow>),
    /// A run without a journal; see [`super::Journals::note_run`].
    Run(Lease, Box<RunSummary>),
    /// An entry of the queue; see [`super::Work::push`].
    Push(QueueEntry),
    /// An entry of the queue is done; see [`super::Work::ack`].
    Ack(QueueEntry),
}

impl Transaction {
    /// One that changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The audit log also says this.
    pub fn log(mut self, entries: impl IntoIterator<Item = AuditEntry>) -> Self {
        self.entries.extend(entries);
        self
    }

    /// Also writes what is remembered of an environment.
    pub fn put_environment(mut self, lease: &Lease, row: &EnvironmentRow) -> Self {
        let change = Change::Environment(lease.clone(), Box::new(row.clone()));
        self.changes.push(change);
        self
    }

    /// Also writes a run without a journal.
    pub fn note_run(mut self, lease: &Lease, summary: &RunSummary) -> Self {
        let change = Change::Run(lease.clone(), Box::new(summary.clone()));
        self.changes.push(change);
        self
    }

    /// Also puts an entry into the queue.
    pub fn push(mut self, entry: &QueueEntry) -> Self {
        self.changes.push(Change::Push(entry.clone()));
        self
    }

    /// Also takes an entry out of the queue.
    pub fn ack(mut self, entry: &QueueEntry) -> Self {
        self.changes.push(Change::Ack(entry.clone()));
        self
    }

    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.changes.is_empty()
    }
}

/// Changes that belong together.
///
/// *Guarantees*: as [`super::Store`].
#[async_trait]
pub trait Transactions: Send + Sync {
    /// Carries out all of it, and writes what the audit log says of it, in one transaction; or, on
    /// an error, nothing of it.
    async fn commit(&self, transaction: Transaction) -> Result<(), AuditError>;
}
