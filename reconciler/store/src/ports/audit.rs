//! The port of the audit log.

use async_trait::async_trait;
use stratum_core::audit::AuditEntry;
use stratum_core::ports::{Audit, AuditError, StoreError};

use crate::log::{Keeper, Leaf};
use crate::store::SqliteStore;
use crate::write::Write;
use crate::write::audit::Note;

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

/// Entries as the log keeps them.
pub(crate) fn stored(log: &Keeper, entries: &[AuditEntry]) -> Result<Vec<Vec<u8>>, AuditError> {
    let leaves = entries.iter();
    leaves
        .map(|entry| Leaf::of(entry, &log.veils)?.bytes())
        .collect()
}
