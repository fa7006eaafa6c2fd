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
use stratum_core::verdict::Verdict;

use crate::admission::{Admission, Admitted, PolicyInput};
use crate::error::RuntimeError;
use crate::head::Target;
use crate::progress::{EnvironmentReport, Progress};
use crate::read::Read;
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
    pub(crate) input: PolicyInput,
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
                let (none, verdict) = (Vec::new(), Verdict::default());
                self.deny_unjudged(target, row, none, verdict, error.to_string())
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
        let admitted = match self.admit(target, &mut row).await? {
            Admission::Admitted(admitted) => *admitted,
            Admission::Unproven(verdict, reason) => {
                return self
                    .deny_unjudged(target, row, Vec::new(), verdict, reason)
                    .await;
            }
            Admission::Unusable(findings) => {
                let (verdict, reason) = (Verdict::default(), first_reason(&findings));
                return self
                    .deny_unjudged(target, row, findings, verdict, reason)
                    .await;
            }
            Admission::Unreadable(findings) => {
                row.desired_revision = Some(target.commit.clone());
                return self.stalled(row, first_reason(&findings), findings).await;
            }
        };
        let tree = self.tree(&target.commit).await?;
        self.log_configuration(&target.commit, &row, &tree).await?;
        let Admitted {
            input,
            target,
            brought,
        } = admitted;
        let target = &target;
        if target.own().suspended {
            let reason = "`suspended = true` in `stratum.ncl`".to_owned();
            return self.suspend(target, row, reason).await;
        }
        if let Some(word) = self.suspension(&input, &mut row).await? {
            let reason = format!("suspended by {} (`{}`)", word.by, word.tag);
            return self.suspend(target, row, reason).await;
        }
        let same = row.inputs.is_some() && {
            let (own, tree, closure) = (Arc::clone(self), Arc::clone(&tree), row.closure.clone());
            self.blocking(move || Ok(own.ports.loader.unchanged(tree.as_ref(), &closure)?))
                .await?
        };
        let settled = same && row.condition == Condition::Ready;
        let due = drift_every(&target.settings, &row).is_some();
        // What runs may have stopped with the machine: it is looked at when the process starts.
        let begins = causes.has(Cause::Start) && row.remembered.runs;
        let now = self.ports.clock.now();
        let renews = row.remembered.due.is_some_and(|due| due <= now);
        let drifting = same && due && (causes.has(Cause::DriftDue) || begins);
        if settled
            && !drifting
            && !renews
            && let Some(approvals) = self.admits(&input).await?
        {
            row.remembered.spend(&approvals, self.ports.clock.now());
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
        // With the same inputs only the world can have changed, so it is the world that is read; but
        // what leads back from a Revision that is held is a change that somebody pushed.
        let drifted = same && row.sealed.is_none() && row.hold.is_none();
        let trigger = if drifted {
            Trigger::Drift
        } else {
            Trigger::Push
        };
        let read = Read {
            tree,
            trigger,
            causes,
            brought,
        };
        match self.read(target, row, read, input).await? {
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
        row.revision = Some(target.commit.clone());
        row.desired_revision = Some(target.commit.clone());
        self.put(&mut row).await?;
        Ok(report_of(&row, Vec::new()))
    }

    async fn suspend(
        &self,
        target: &Target,
        mut row: EnvironmentRow,
        reason: String,
    ) -> Result<EnvironmentReport, RuntimeError> {
        row.desired_revision = Some(target.commit.clone());
        row.condition = Condition::Suspended;
        row.reason = reason;
        self.put(&mut row).await?;
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
