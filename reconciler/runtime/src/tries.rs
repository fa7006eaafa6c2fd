//! What must survive a restart of tries without success: how many there were, and when the next
//! one is due.

use std::sync::Arc;

use jiff::Timestamp;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Clock, QueueEntry, Work};
use stratum_core::schedule::Attempt;

use crate::error::RuntimeError;
use crate::ports::Ports;
use crate::progress::EnvironmentReport;

/// Keeps tries.
pub(crate) struct Tries {
    work: Arc<dyn Work>,
    clock: Arc<dyn Clock>,
}

impl Tries {
    pub(crate) fn new(ports: &Ports) -> Self {
        Self {
            work: ports.store.clone(),
            clock: Arc::clone(&ports.clock),
        }
    }

    /// What an earlier process kept.
    pub(crate) async fn kept(&self) -> Result<Vec<QueueEntry>, RuntimeError> {
        Ok(self.work.queue().await?)
    }

    /// Keeps the next try of an environment.
    pub(crate) async fn keep(
        &self,
        report: &EnvironmentReport,
        attempt: Attempt,
    ) -> Result<(), RuntimeError> {
        let Some(commit) = report.commit.clone() else {
            return Ok(());
        };
        let now = self.clock.now();
        // The old entry goes first: one with the same inputs would keep its earlier time.
        self.forget(&report.environment).await?;
        let entry = QueueEntry {
            environment: report.environment.clone(),
            inputs: commit.to_string(),
            commit,
            reason: report.reason.clone(),
            not_before: now.checked_add(attempt.wait).unwrap_or(Timestamp::MAX),
            attempts: attempt.attempts,
        };
        Ok(self.work.push(&entry).await?)
    }

    /// An environment was looked at to its end: its tries are forgotten.
    pub(crate) async fn forget(&self, environment: &EnvironmentName) -> Result<(), RuntimeError> {
        let queue = self.work.queue().await?;
        let own = queue
            .iter()
            .filter(|entry| entry.environment == *environment);
        for entry in own {
            self.work.ack(entry).await?;
        }
        Ok(())
    }
}
