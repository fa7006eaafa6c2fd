//! The port of the audit log, and that of changes that belong together.

use async_trait::async_trait;
use stratum_core::audit::AuditEntry;
use stratum_core::ports::{Audit, AuditError, Change, StoreError, Transaction, Transactions};

use crate::error::Failure;
use crate::log::{Keeper, Leaf};
use crate::store::SqliteStore;
use crate::write::Write;
use crate::write::audit::Note;
use crate::write::environment::Put;
use crate::write::queue::{Ack, Push};
use crate::write::run::Note as RunNote;

#[async_trait]
impl Audit for SqliteStore {
    async fn log(&self, entries: &[AuditEntry]) -> Result<(), AuditError> {
        let Some(log) = &self.log else {
            return Err(AuditError::Store(StoreError::Database {
                doing: "writing the audit log",
                source: "the state was opened without it".into(),
            }));
        };
        let entries = stored(log, entries)?;
        if !entries.is_empty() {
            self.write(Write::Audit(Note { entries })).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Transactions for SqliteStore {
    async fn commit(&self, transaction: Transaction) -> Result<(), AuditError> {
        if transaction.is_empty() {
            return Ok(());
        }
        let mut writes = Vec::with_capacity(transaction.changes.len().saturating_add(1));
        // A state without a log says nothing of what is done in it.
        if let Some(log) = &self.log {
            let entries = stored(log, &transaction.entries)?;
            writes.push(Write::Audit(Note { entries }));
        }
        for change in &transaction.changes {
            writes.push(self.ready(write_of(change), "writing changes that belong together")?);
        }
        self.write(Write::Together(writes)).await?;
        Ok(())
    }
}

/// Entries as the log keeps them.
pub(crate) fn stored(log: &Keeper, entries: &[AuditEntry]) -> Result<Vec<Vec<u8>>, AuditError> {
    let leaves = entries.iter();
    leaves
        .map(|entry| Leaf::of(entry, &log.veils)?.bytes())
        .collect()
}

fn write_of(change: &Change) -> Result<Write, Failure> {
    Ok(match change {
        Change::Environment(lease, row) => Write::Environment(Put::new(lease, row)?),
        Change::Run(lease, summary) => Write::Note(RunNote::new(lease, summary)?),
        Change::Push(entry) => Write::Push(Push::new(entry)?),
        Change::Ack(entry) => Write::Ack(Ack::new(entry)),
    })
}
