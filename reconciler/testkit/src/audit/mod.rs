//! The audit log in memory, and a stand-in for its cryptography.

mod signer;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use stratum_core::audit::AuditEntry;
use stratum_core::ports::{Audit, AuditError};

pub use signer::TwinSigner;

/// An audit log that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryAudit {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<AuditEntry>,
    failures: VecDeque<AuditError>,
}

impl MemoryAudit {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the next append fail with `error` and write nothing; called again, the one after it.
    pub fn fail_next(&self, error: AuditError) {
        self.state().failures.push_back(error);
    }

    /// Everything that was appended.
    pub fn entries(&self) -> Vec<AuditEntry> {
        self.state().entries.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Audit for MemoryAudit {
    async fn log(&self, entries: &[AuditEntry]) -> Result<(), AuditError> {
        let mut state = self.state();
        if let Some(error) = state.failures.pop_front() {
            return Err(error);
        }
        state.entries.extend_from_slice(entries);
        Ok(())
    }
}
