//! What was begun comes to its end before anything else is begun there.

use std::sync::Arc;

use stratum_core::ids::{EnvironmentName, RunId};
use stratum_core::ports::{EnvironmentRow, Journals};

use crate::error::RuntimeError;
use crate::execute::Execution;
use crate::lease::OwnLeases;
use crate::progress::{Progress, ProgressSink};
use crate::rows::Rows;
use crate::runs::Runs;

/// Brings runs to their end that were begun before.
pub(crate) struct Recovery {
    pub(crate) journals: Arc<dyn Journals>,
    pub(crate) progress: ProgressSink,
    pub(crate) leases: Arc<OwnLeases>,
    pub(crate) rows: Arc<Rows>,
    pub(crate) runs: Arc<Runs>,
    pub(crate) execution: Arc<Execution>,
}

impl Recovery {
    /// Brings every run of an environment that was begun to its end.
    pub(crate) async fn end_what_was_begun(
        &self,
        environment: &EnvironmentName,
    ) -> Result<(), RuntimeError> {
        for run in self.runs.of(environment) {
            self.end(environment, &run).await?;
        }
        Ok(())
    }

    /// Where the lease was just taken: brings what its holder before left to its end. Answers the
    /// row as it is then.
    pub(crate) async fn end_what_others_began(
        &self,
        row: EnvironmentRow,
    ) -> Result<EnvironmentRow, RuntimeError> {
        self.leases.of(&row.name).await?;
        if !self.leases.was_taken_over(&row.name) {
            return Ok(row);
        }
        let stored = self.rows.stored(&row.name).await?;
        let left = self.runs.unsettled(&row.name, stored.as_ref()).await?;
        for run in &left {
            self.runs.begins(&row.name, run);
            self.end(&row.name, run).await?;
        }
        self.leases.is_looked_after(&row.name);
        if left.is_empty() {
            return Ok(row);
        }
        Ok(self.rows.stored(&row.name).await?.unwrap_or(row))
    }

    async fn end(&self, environment: &EnvironmentName, run: &RunId) -> Result<(), RuntimeError> {
        if let Some(left) = self.journals.journal(run).await? {
            let report = self.execution.resume(left).await?;
            (self.progress)(&Progress::Ended(report));
        }
        self.runs.is_settled(environment, run);
        Ok(())
    }
}
