//! What is remembered of environments: rows are made and written here, and reported from.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stratum_core::condition::Condition;
use stratum_core::finding::Finding;
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::ports::{Clock, EnvironmentRow, States};
use stratum_core::settings::{DriftMode, Settings};

use crate::error::RuntimeError;
use crate::front::KnownFronts;
use crate::lease::OwnLeases;
use crate::ports::Ports;
use crate::progress::EnvironmentReport;

/// The rows of environments.
pub(crate) struct Rows {
    states: Arc<dyn States>,
    clock: Arc<dyn Clock>,
    leases: Arc<OwnLeases>,
    fronts: Arc<KnownFronts>,
}

impl Rows {
    pub(crate) fn new(ports: &Ports, leases: &Arc<OwnLeases>, fronts: &Arc<KnownFronts>) -> Self {
        Self {
            states: ports.store.clone(),
            clock: Arc::clone(&ports.clock),
            leases: Arc::clone(leases),
            fronts: Arc::clone(fronts),
        }
    }

    /// What is remembered of an environment.
    pub(crate) async fn stored(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<EnvironmentRow>, RuntimeError> {
        Ok(self.states.environment(environment).await?)
    }

    /// What is remembered of an environment; a blank row where nothing is.
    pub(crate) async fn of(
        &self,
        environment: &EnvironmentName,
    ) -> Result<EnvironmentRow, RuntimeError> {
        let row = self.stored(environment).await?;
        Ok(row.unwrap_or_else(|| self.blank(environment)))
    }

    /// The row of an environment of which nothing is remembered.
    pub(crate) fn blank(&self, environment: &EnvironmentName) -> EnvironmentRow {
        blank_row(environment.clone(), self.clock.now())
    }

    /// Writes a row, with the time, unless it is as it was.
    pub(crate) async fn put(&self, row: &mut EnvironmentRow) -> Result<(), RuntimeError> {
        row.follows = self.fronts.follows(row);
        let before = self.states.environment(&row.name).await?;
        let same = before.is_some_and(|before| {
            let changed_at = row.changed_at;
            EnvironmentRow {
                changed_at,
                ..before
            } == *row
        });
        if same {
            return Ok(());
        }
        let lease = self.leases.of(&row.name).await?;
        row.changed_at = self.clock.now();
        let written = self.states.put_environment(&lease, row).await;
        self.leases.fenced(written)?;
        self.fronts.was_written(row);
        Ok(())
    }

    /// Writes that an environment cannot come further, and why.
    pub(crate) async fn stalled(
        &self,
        mut row: EnvironmentRow,
        reason: String,
        findings: Vec<Finding>,
    ) -> Result<EnvironmentReport, RuntimeError> {
        row.condition = Condition::Stalled;
        row.reason = reason;
        self.put(&mut row).await?;
        Ok(report_of(&row, findings))
    }

    /// Writes that nothing is applied in an environment, and why.
    pub(crate) async fn suspended(
        &self,
        mut row: EnvironmentRow,
        commit: &CommitId,
        reason: String,
    ) -> Result<EnvironmentReport, RuntimeError> {
        row.desired_revision = Some(commit.clone());
        row.condition = Condition::Suspended;
        row.reason = reason;
        self.put(&mut row).await?;
        Ok(report_of(&row, Vec::new()))
    }

    /// The inputs are as they were, and so is the world: at most the commit is noted.
    pub(crate) async fn kept(
        &self,
        mut row: EnvironmentRow,
        commit: &CommitId,
    ) -> Result<EnvironmentReport, RuntimeError> {
        row.revision = Some(commit.clone());
        row.desired_revision = Some(commit.clone());
        self.put(&mut row).await?;
        Ok(report_of(&row, Vec::new()))
    }
}

/// How often the world is looked at; `None` when drift is ignored, or there is nothing.
pub(crate) fn drift_every(settings: &Settings, row: &EnvironmentRow) -> Option<Duration> {
    let own = settings.environments.get(&row.name)?;
    let drift = settings.drift_of(own);
    let suspended = own.suspended || row.condition == Condition::Suspended;
    let looked_at = drift.mode != DriftMode::Ignore || row.remembered.runs;
    if !looked_at || suspended || row.inputs.is_none() {
        return None;
    }
    Some(drift.every)
}

fn blank_row(name: EnvironmentName, now: Timestamp) -> EnvironmentRow {
    EnvironmentRow {
        name,
        condition: Condition::Unknown,
        reason: "it was never looked at".to_owned(),
        revision: None,
        desired_revision: None,
        inputs: None,
        closure: Default::default(),
        hold: None,
        sealed: None,
        pin: None,
        follows: None,
        remembered: Default::default(),
        root: None,
        last_run: None,
        observed_at: None,
        changed_at: now,
    }
}

pub(crate) fn report_of(row: &EnvironmentRow, findings: Vec<Finding>) -> EnvironmentReport {
    EnvironmentReport {
        environment: row.name.clone(),
        condition: row.condition,
        reason: row.reason.clone(),
        commit: row.desired_revision.clone(),
        run: None,
        outcome: None,
        findings,
        failed: None,
    }
}
