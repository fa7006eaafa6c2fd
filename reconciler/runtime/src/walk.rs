//! One look at one environment: the walk from its commit to its condition, stage by stage.

use std::sync::Arc;

use stratum_core::condition::Condition;
use stratum_core::finding::first_reason;
use stratum_core::ports::{Clock, EnvironmentRow, Tree};
use stratum_core::run::Trigger;
use stratum_core::schedule::{Cause, Causes};
use stratum_core::verdict::Verdict;

use crate::admission::{Admissions, Admitted, Unadmitted};
use crate::audit::AuditLog;
use crate::bring::Bringing;
use crate::drift::Correcting;
use crate::error::RuntimeError;
use crate::head::Target;
use crate::hearing::Hearing;
use crate::progress::{EnvironmentReport, Progress, ProgressSink};
use crate::read::{Read, Reading};
use crate::recovery::Recovery;
use crate::refuse::Refusals;
use crate::rows::{Rows, drift_every};

/// Looks at environments. Each stage is made from the one before it.
pub(crate) struct Walk {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) progress: ProgressSink,
    pub(crate) log: Arc<AuditLog>,
    pub(crate) rows: Arc<Rows>,
    pub(crate) admissions: Arc<Admissions>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) hearing: Arc<Hearing>,
    pub(crate) recovery: Arc<Recovery>,
    pub(crate) reading: Arc<Reading>,
    pub(crate) bringing: Arc<Bringing>,
    pub(crate) correcting: Correcting,
}

/// How an environment stands to the commit that it should come to.
struct Standing {
    /// Everything that it was made from is as it was.
    same: bool,
    /// Nothing is left to do there, and nothing is due.
    rests: bool,
}

impl Walk {
    /// Looks at one environment. Where policy cannot judge, nothing is applied, and that is a denial.
    pub(crate) async fn look(
        &self,
        target: &Target,
        row: Option<EnvironmentRow>,
        causes: Causes,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let row = row.unwrap_or_else(|| self.rows.blank(&target.environment));
        match self.look_at(target, row.clone(), causes).await {
            Err(RuntimeError::Gate(error)) => {
                let (nothing, reason) = ((Vec::new(), Verdict::default()), error.to_string());
                let denied = self.refusals.deny_unjudged(target, row, nothing, reason);
                denied.await
            }
            other => other,
        }
    }

    #[tracing::instrument(skip_all, fields(environment = %target.environment, revision = target.commit.short()))]
    async fn look_at(
        &self,
        target: &Target,
        mut row: EnvironmentRow,
        causes: Causes,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let admitted = match self.admissions.admit(target, &mut row).await? {
            Ok(admitted) => admitted,
            Err(unadmitted) => return self.refuse(target, row, unadmitted).await,
        };
        let tree = self.reading.tree(&target.commit).await?;
        self.log.configuration(&target.commit, &row, &tree).await?;
        if let Some(reason) = self.suspended(&admitted, &mut row).await? {
            return self.rows.suspended(row, &target.commit, reason).await;
        }
        let standing = self.standing(&admitted, &row, &tree, causes).await?;
        if standing.rests && self.may_stay(&admitted, &mut row).await? {
            return self.rows.kept(row, &target.commit).await;
        }
        (self.progress)(&Progress::Looking {
            environment: target.environment.clone(),
            commit: target.commit.clone(),
        });
        let row = self.recovery.end_what_others_began(row).await?;
        let trigger = trigger(&row, standing.same);
        let read = Read {
            tree,
            trigger,
            causes,
        };
        match (self.reading.read(admitted, row, read).await?, trigger) {
            (Ok(look), Trigger::Drift) => self.correcting.drift(look, causes).await,
            (Ok(look), Trigger::Push) => self.bringing.bring(look).await,
            (Err(report), _) => Ok(report),
        }
    }

    /// The commit is not admitted: it is not read.
    async fn refuse(
        &self,
        target: &Target,
        mut row: EnvironmentRow,
        unadmitted: Unadmitted,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let (judged, reason) = match unadmitted {
            Unadmitted::Unproven(verdict, reason) => ((Vec::new(), verdict), reason),
            Unadmitted::Unusable(findings) => {
                let reason = first_reason(&findings);
                ((findings, Verdict::default()), reason)
            }
            Unadmitted::Unreadable(findings) => {
                row.desired_revision = Some(target.commit.clone());
                let reason = first_reason(&findings);
                return self.rows.stalled(row, reason, findings).await;
            }
        };
        let denied = self.refusals.deny_unjudged(target, row, judged, reason);
        denied.await
    }

    /// Why nothing is applied there, if a setting or a word suspends it.
    async fn suspended(
        &self,
        admitted: &Admitted,
        row: &mut EnvironmentRow,
    ) -> Result<Option<String>, RuntimeError> {
        if admitted.target.own().suspended {
            return Ok(Some("`suspended = true` in `stratum.ncl`".to_owned()));
        }
        let word = self.hearing.suspension(&admitted.input, row).await?;
        Ok(word.map(|word| format!("suspended by {} (`{}`)", word.by, word.tag)))
    }

    async fn standing(
        &self,
        admitted: &Admitted,
        row: &EnvironmentRow,
        tree: &Arc<dyn Tree>,
        causes: Causes,
    ) -> Result<Standing, RuntimeError> {
        let same = self.reading.is_unchanged(row, tree).await?;
        // What runs may have stopped with the machine: it is looked at when the process starts.
        let begins = causes.has(Cause::Start) && row.remembered.runs;
        let watched = drift_every(&admitted.target.settings, row).is_some();
        let drifting = watched && (causes.has(Cause::DriftDue) || begins);
        let now = self.clock.now();
        let renews = row.remembered.due.is_some_and(|due| due <= now);
        let ready = same && row.condition == Condition::Ready;
        Ok(Standing {
            same,
            rests: ready && !drifting && !renews,
        })
    }

    /// Whether policy lets an environment come to the commit in which nothing changes.
    async fn may_stay(
        &self,
        admitted: &Admitted,
        row: &mut EnvironmentRow,
    ) -> Result<bool, RuntimeError> {
        let Some(approvals) = self.admissions.admits(&admitted.input).await? else {
            return Ok(false);
        };
        row.remembered.spend(&approvals, self.clock.now());
        Ok(true)
    }
}

/// With the same inputs only the world can have changed, so it is the world that is read; but what
/// leads back from a Revision that is held is a change that somebody pushed.
fn trigger(row: &EnvironmentRow, same: bool) -> Trigger {
    match same && row.sealed.is_none() && row.hold.is_none() {
        true => Trigger::Drift,
        false => Trigger::Push,
    }
}
