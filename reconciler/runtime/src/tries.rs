//! What must survive a restart of tries without success: how many there were, and when the next
//! one is due.

use jiff::Timestamp;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::QueueEntry;
use stratum_core::schedule::Attempt;

use crate::error::RuntimeError;
use crate::progress::EnvironmentReport;
use crate::reconcile::Reconciler;

impl Reconciler {
    /// Keeps the next try of an environment.
    pub(crate) async fn keep_try(
        &self,
        report: &EnvironmentReport,
        attempt: Attempt,
    ) -> Result<(), RuntimeError> {
        let Some(commit) = report.commit.clone() else {
            return Ok(());
        };
        let now = self.ports.clock.now();
        // The old entry goes first: one with the same inputs would keep its earlier time.
        self.forget_tries(&report.environment).await?;
        let entry = QueueEntry {
            environment: report.environment.clone(),
            inputs: commit.to_string(),
            commit,
            reason: report.reason.clone(),
            not_before: now.checked_add(attempt.wait).unwrap_or(Timestamp::MAX),
            attempts: attempt.attempts,
        };
        Ok(self.ports.store.push(&entry).await?)
    }

    /// An environment was looked at to its end: its tries are forgotten.
    pub(crate) async fn forget_tries(
        &self,
        environment: &EnvironmentName,
    ) -> Result<(), RuntimeError> {
        let queue = self.ports.store.queue().await?;
        let own = queue
            .iter()
            .filter(|entry| entry.environment == *environment);
        for entry in own {
            self.ports.store.ack(entry).await?;
        }
        Ok(())
    }
}
