//! One look at one environment: from its commit to its condition.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stratum_core::condition::Condition;
use stratum_core::desired::{Desired, Revision};
use stratum_core::finding::{Finding, first_reason};
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::ports::{EnvironmentRow, Site, Tree};
use stratum_core::run::Trigger;
use stratum_core::schedule::{Cause, Causes};
use stratum_core::settings::{DriftMode, Settings};

use crate::error::RuntimeError;
use crate::grounds::Grounds;
use crate::guard::Said;
use crate::head::Target;
use crate::progress::{EnvironmentReport, Progress};
use crate::reconcile::Reconciler;
use crate::sealing::Verified;

/// What a look works with, once the revision is read.
#[derive(Clone)]
pub(crate) struct Look {
    pub(crate) target: Target,
    pub(crate) row: EnvironmentRow,
    pub(crate) revision: Revision,
    pub(crate) desired: Arc<Desired>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) site: Arc<Site>,
    pub(crate) grounds: Grounds,
    pub(crate) trigger: Trigger,
    /// Its sealed values, verified.
    pub(crate) verified: Verified,
    /// Why the environment is not Ready even when nothing is left to do.
    pub(crate) concern: Option<String>,
}

impl Reconciler {
    /// How often the world is looked at; `None` when drift is ignored, or there is nothing.
    pub(crate) fn drift_every(&self, row: &EnvironmentRow) -> Option<Duration> {
        let settings = self.cached()?.settings.value.clone()?;
        drift_every(&settings, row)
    }

    /// Looks at one environment. Where policy cannot judge, nothing is applied, and that is a denial.
    pub(crate) async fn look(
        self: &Arc<Self>,
        target: &Target,
        row: Option<EnvironmentRow>,
        causes: Causes,
    ) -> Result<EnvironmentReport, RuntimeError> {
        match self.look_at(target, row.clone(), causes).await {
            Err(RuntimeError::Gate(error)) => {
                let row = row.unwrap_or_else(|| self.blank_row(&target.environment));
                self.deny_unjudged(target, row, Vec::new(), error.to_string())
                    .await
            }
            other => other,
        }
    }

    #[tracing::instrument(skip_all, fields(environment = %target.environment, revision = target.commit.short()))]
    async fn look_at(
        self: &Arc<Self>,
        target: &Target,
        row: Option<EnvironmentRow>,
        causes: Causes,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let mut row = row.unwrap_or_else(|| self.blank_row(&target.environment));
        let tree = self.tree(&target.commit).await?;
        self.log_configuration(&target.commit, &row, &tree).await?;
        if target.own().suspended {
            let reason = "`suspended = true` in `stratum.ncl`".to_owned();
            return self.suspend(target, row, reason).await;
        }
        let grounds = match self.grounds(target, &mut row).await? {
            Ok(grounds) => grounds,
            Err(findings) => {
                let reason = first_reason(&findings);
                return self.deny_unjudged(target, row, findings, reason).await;
            }
        };
        match self.suspension(&grounds).await? {
            Said::Suspend(word) => {
                let reason = format!("suspended by {} (`{}`)", word.by, word.tag);
                if row.condition != Condition::Suspended || row.reason != reason {
                    self.log_word(&target.environment, &word).await?;
                }
                return self.suspend(target, row, reason).await;
            }
            Said::Resume(word) if row.condition == Condition::Suspended => {
                self.log_word(&target.environment, &word).await?;
            }
            Said::Resume(_) | Said::Nothing => {}
        }
        let same = row.inputs.is_some() && {
            let (own, tree, closure) = (Arc::clone(self), Arc::clone(&tree), row.closure.clone());
            self.blocking(move || Ok(own.ports.loader.unchanged(tree.as_ref(), &closure)?))
                .await?
        };
        let settled = same && row.condition == Condition::Ready;
        let due = drift_every(&target.settings, &row).is_some();
        let drifting = same && due && causes.has(Cause::DriftDue);
        if settled && !drifting && self.admits(&grounds).await? {
            return self.keep(target, row).await;
        }
        (self.progress)(&Progress::Looking {
            environment: target.environment.clone(),
            commit: target.commit.clone(),
        });
        self.lease(&target.environment).await?;
        if self.end_what_others_began(&row).await? {
            let fresh = self.ports.store.environment(&row.name).await?;
            row = fresh.unwrap_or(row);
        }
        // With the same inputs only the world can have changed, so it is the world that is read.
        let drifted = same && row.sealed.is_none();
        let trigger = if drifted {
            Trigger::Drift
        } else {
            Trigger::Push
        };
        match self
            .read(target, row, tree, (trigger, causes), grounds)
            .await?
        {
            Ok(look) if trigger == Trigger::Drift => self.drift(look, causes).await,
            Ok(look) => self.bring(look).await,
            Err(report) => Ok(report),
        }
    }

    pub(crate) async fn tree(
        self: &Arc<Self>,
        commit: &CommitId,
    ) -> Result<Arc<dyn Tree>, RuntimeError> {
        let (own, commit) = (Arc::clone(self), commit.clone());
        self.blocking(move || Ok(own.ports.repository.tree(&commit)?))
            .await
    }

    /// The inputs are as they were, and so is the world: at most the commit is noted.
    async fn keep(
        &self,
        target: &Target,
        mut row: EnvironmentRow,
    ) -> Result<EnvironmentReport, RuntimeError> {
        if row.revision.as_ref() != Some(&target.commit) {
            row.revision = Some(target.commit.clone());
            row.desired_revision = Some(target.commit.clone());
            self.put(&mut row).await?;
        }
        Ok(report_of(&row, Vec::new()))
    }

    async fn suspend(
        &self,
        target: &Target,
        mut row: EnvironmentRow,
        reason: String,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let moved = row.desired_revision.as_ref() != Some(&target.commit);
        if moved || row.condition != Condition::Suspended || row.reason != reason {
            row.desired_revision = Some(target.commit.clone());
            row.condition = Condition::Suspended;
            row.reason = reason;
            self.put(&mut row).await?;
        }
        Ok(report_of(&row, Vec::new()))
    }

    /// Writes a row, with the time, unless it is as it was.
    pub(crate) async fn put(&self, row: &mut EnvironmentRow) -> Result<(), RuntimeError> {
        row.follows = self.follows(row);
        let before = self.ports.store.environment(&row.name).await?;
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
        let lease = self.lease(&row.name).await?;
        row.changed_at = self.ports.clock.now();
        self.fenced(self.ports.store.put_environment(&lease, row).await)?;
        self.was_written(row);
        Ok(())
    }

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

    pub(crate) fn blank_row(&self, environment: &EnvironmentName) -> EnvironmentRow {
        blank_row(environment.clone(), self.ports.clock.now())
    }
}

/// How often the world is looked at; `None` when drift is ignored, or there is nothing.
pub(crate) fn drift_every(settings: &Settings, row: &EnvironmentRow) -> Option<Duration> {
    let own = settings.environments.get(&row.name)?;
    let drift = settings.drift_of(own);
    let suspended = own.suspended || row.condition == Condition::Suspended;
    if drift.mode == DriftMode::Ignore || suspended || row.inputs.is_none() {
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
