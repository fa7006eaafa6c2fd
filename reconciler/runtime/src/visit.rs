//! One visit to one environment: what was begun comes to its end first, then it is brought to
//! where it should be, and the visit answers when it wants to be made again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stratum_core::condition::Condition;
use stratum_core::finding::{Finding, first_reason};
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::ports::{EnvironmentRow, LeaseError, Retry, RunOutcome};
use stratum_core::schedule::{Cause, Causes, Next, Visit, When};

use crate::aim::Aim;
use crate::error::RuntimeError;
use crate::head::Target;
use crate::progress::{EnvironmentReport, Progress};
use crate::reconcile::Reconciler;
use crate::rows::{drift_every, report_of};

/// How a visit ended, and when the next one is wanted.
pub(crate) struct Visited {
    pub(crate) report: EnvironmentReport,
    pub(crate) next: Next,
    /// Another process reconciles it.
    pub(crate) is_foreign: bool,
}

/// How often it is looked at whether a person did what only a person can do, besides whenever
/// something is pushed or said.
const PERSON: Duration = Duration::from_secs(3600);

/// When it is looked at whether what was started still runs.
const SOON: Duration = Duration::from_secs(30);

/// How often at most it is looked at what is due although it was just looked at.
const OVERDUE: Duration = Duration::from_secs(300);

impl Reconciler {
    /// Visits an environment. Never fails: what went wrong is in the report, and decides when it
    /// is tried again.
    pub(crate) async fn visit(self: Arc<Self>, visit: Visit, aim: Aim) -> Visited {
        let environment = visit.key.environment();
        match self.visit_for(environment, visit.causes, &aim).await {
            Ok(report) => {
                let next = self.next(&aim, &report).await;
                Visited {
                    report,
                    next,
                    is_foreign: false,
                }
            }
            Err(error) => self.broke_off(environment, &aim, error).await,
        }
    }

    async fn visit_for(
        &self,
        environment: &EnvironmentName,
        causes: Causes,
        aim: &Aim,
    ) -> Result<EnvironmentReport, RuntimeError> {
        self.recovery.end_what_was_begun(environment).await?;
        let row = self.rows.stored(environment).await?;
        match aim {
            Aim::Commit(target) => self.look_until_settled(target, row, causes).await,
            Aim::Nowhere(reason) => {
                let row = row.unwrap_or_else(|| self.rows.blank(environment));
                self.rows.stalled(row, reason.clone(), Vec::new()).await
            }
            Aim::Unnamed => self.unnamed(environment).await,
            Aim::Unreadable(commit, findings) => {
                self.unreadable(environment, commit, findings).await
            }
        }
    }

    /// What a run adopted is as it was found: how it differs from what is wanted is planned, judged
    /// and applied by itself, at once.
    async fn look_until_settled(
        &self,
        target: &Target,
        row: Option<EnvironmentRow>,
        causes: Causes,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let first = self.walk.look(target, row, causes).await?;
        let goes_on = first.outcome == Some(RunOutcome::Applied)
            && first.condition == Condition::Reconciling
            && !self.stop.is_stopped();
        if !goes_on {
            return Ok(first);
        }
        (self.progress)(&Progress::Ended(first.clone()));
        let row = self.rows.stored(&target.environment).await?;
        let then = self.walk.look(target, row, causes).await?;
        Ok(match then.run {
            Some(_) => then,
            None => EnvironmentReport {
                run: first.run,
                outcome: first.outcome,
                ..then
            },
        })
    }

    /// `stratum.ncl` cannot be used: nothing is applied, and every environment says why.
    async fn unreadable(
        &self,
        environment: &EnvironmentName,
        commit: &CommitId,
        findings: &[Finding],
    ) -> Result<EnvironmentReport, RuntimeError> {
        let mut row = self.rows.of(environment).await?;
        let tree = self.reading.tree(commit).await?;
        self.log.configuration(commit, &row, &tree).await?;
        row.desired_revision = Some(commit.clone());
        self.rows
            .stalled(row, first_reason(findings), findings.to_vec())
            .await
    }

    /// The state has it and the settings no longer name it: nothing is deleted.
    async fn unnamed(
        &self,
        environment: &EnvironmentName,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let Some(row) = self.rows.stored(environment).await? else {
            return Ok(EnvironmentReport::of(
                environment.clone(),
                Condition::Unknown,
            ));
        };
        let count = self.store.base(environment).await?.resources.len();
        if count == 0 {
            return Ok(report_of(&row, Vec::new()));
        }
        let reason = format!(
            "`stratum.ncl` no longer names it, and its {count} resources are still there; name it \
             again with its files, and with `empty = true` if they shall go: then take the resources \
             out of its files in a push after that one"
        );
        self.rows.stalled(row, reason, Vec::new()).await
    }

    /// When an environment wants to be looked at next, and why.
    async fn next(&self, aim: &Aim, report: &EnvironmentReport) -> Next {
        let mut next = Next::when_changed();
        if let Some(retry) = report.failed {
            next = next.failed(retry);
        }
        let Aim::Commit(target) = aim else {
            return next;
        };
        let every = target.settings.drift_of(&target.own()).every;
        if report.outcome == Some(RunOutcome::Denied) {
            // A policy may look at the time.
            next = next.and(Cause::Window, When::Every(every));
        }
        let row = self.rows.stored(&report.environment).await;
        let Some(row) = row.ok().flatten() else {
            return next;
        };
        if drift_every(&target.settings, &row).is_some() {
            // What was just started may not last: that is looked at sooner.
            let starts = report.outcome == Some(RunOutcome::Applied) && row.remembered.runs;
            let when = match starts {
                true => When::After(every.min(SOON)),
                false => When::Every(every),
            };
            next = next.and(Cause::DriftDue, when);
        }
        match row.remembered.due {
            Some(due) if row.condition != Condition::Suspended => {
                next.and(Cause::RenewalDue, renewal(due, self.clock.now()))
            }
            Some(_) | None => next,
        }
    }

    /// An error ended the visit: it is said, and its class decides when it is tried again.
    async fn broke_off(
        &self,
        environment: &EnvironmentName,
        aim: &Aim,
        error: RuntimeError,
    ) -> Visited {
        let next = after(&error);
        let reason = error.sentence();
        tracing::warn!(%environment, error = %reason, "the look broke off");
        let mut report = EnvironmentReport::of(environment.clone(), Condition::Stalled);
        report.reason.clone_from(&reason);
        if let Aim::Commit(target) = aim {
            report.commit = Some(target.commit.clone());
        }
        report.failed = next.failure();
        let interrupted = matches!(error, RuntimeError::Stopped | RuntimeError::Lease(_));
        if !interrupted && !matches!(error, RuntimeError::Store(_)) {
            match self.write_down(environment, aim, reason).await {
                Ok(written) => {
                    let failed = report.failed;
                    report = EnvironmentReport { failed, ..written };
                }
                Err(error) => tracing::warn!(error = %error.sentence(), "the reason is not kept"),
            }
        }
        Visited {
            report,
            next,
            is_foreign: matches!(error, RuntimeError::Lease(LeaseError::Held { .. })),
        }
    }

    async fn write_down(
        &self,
        environment: &EnvironmentName,
        aim: &Aim,
        reason: String,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let mut row = self.rows.of(environment).await?;
        if let Aim::Commit(target) = aim {
            row.desired_revision = Some(target.commit.clone());
        }
        self.rows.stalled(row, reason, Vec::new()).await
    }
}

/// When it is looked at what must be renewed. What is due and was not renewed by this look failed,
/// and is tried again for that; or nobody renews it, and it is looked at now and then.
fn renewal(due: Timestamp, now: Timestamp) -> When {
    match due > now {
        true => When::At(due),
        false => When::After(OVERDUE),
    }
}

/// When a visit is made again that an error ended.
fn after(error: &RuntimeError) -> Next {
    let next = Next::when_changed();
    match error {
        // When its lease may be had, it is woken.
        RuntimeError::Lease(LeaseError::Held { .. }) | RuntimeError::Stopped => next,
        other => match other.retry() {
            Retry::NeedsPerson => {
                let next = next.and(Cause::Window, When::Every(PERSON));
                next.failed(Retry::NeedsPerson)
            }
            retry => next.failed(retry),
        },
    }
}
