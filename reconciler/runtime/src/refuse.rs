//! A plan that policy or a check refused: nothing is applied, and that is remembered.

use std::sync::Arc;

use stratum_core::approve::Refusal;
use stratum_core::finding::Finding;
use stratum_core::ids::RunId;
use stratum_core::plan::Plan;
use stratum_core::ports::{EnvironmentRow, RunOutcome};
use stratum_core::run::{Denial, Outset, Trigger};
use stratum_core::verdict::Verdict;

use crate::admission::nothing;
use crate::error::RuntimeError;
use crate::head::Target;
use crate::judge::Judged;
use crate::look::Look;
use crate::progress::EnvironmentReport;
use crate::reconcile::Reconciler;

impl Reconciler {
    /// Nothing is applied; the reason is in the status, in the history, in the audit log and in a
    /// record. The same refusal of the same plan is remembered once.
    pub(crate) async fn deny(
        self: &Arc<Self>,
        look: Look,
        judged: &Judged,
        refusal: Refusal,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let reason = refusal.to_string();
        let findings = match refusal {
            Refusal::Findings(found) => found,
            Refusal::Denied(_) | Refusal::NeedsApproval { .. } => look.findings.clone(),
        };
        let id = match self.refused_before(&judged.plan, &reason).await? {
            Some(id) => id,
            None => {
                self.log(judged.entries.clone()).await?;
                let denial = Denial {
                    outset: self.outset(&look).await?,
                    plan: Arc::clone(&judged.plan),
                    verdict: judged.verdict.clone(),
                    reason: reason.clone(),
                };
                self.keep_refusal(&denial).await?;
                denial.outset.id
            }
        };
        self.denied(look.row, id, reason, findings).await
    }

    /// The same, where the rules cannot be used, so that nothing could be planned or judged.
    pub(crate) async fn deny_unjudged(
        self: &Arc<Self>,
        target: &Target,
        mut row: EnvironmentRow,
        findings: Vec<Finding>,
        verdict: Verdict,
        reason: String,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let plan = Arc::new(nothing(&target.environment, &target.commit));
        let lease = self.lease(&target.environment).await?;
        let id = match self.refused_before(&plan, &reason).await? {
            Some(id) => id,
            None => {
                let (own, commit) = (Arc::clone(self), target.commit.clone());
                let revision = self
                    .blocking(move || Ok(own.ports.repository.revision(&commit)?))
                    .await?;
                self.log_refused(&target.environment, &revision, &reason)
                    .await?;
                let started_at = self.ports.clock.now();
                let outset = Outset {
                    id: RunId::at(started_at, self.ports.randomness.next() as u32),
                    environment: target.environment.clone(),
                    trigger: Trigger::Push,
                    revision,
                    previous: row.revision.clone(),
                    skipped: Vec::new(),
                    lease: lease.number,
                    started_at,
                    on_failure: target.own().on_failure,
                };
                let denial = Denial {
                    outset,
                    plan,
                    verdict,
                    reason: reason.clone(),
                };
                self.keep_refusal(&denial).await?;
                denial.outset.id
            }
        };
        row.desired_revision = Some(target.commit.clone());
        self.denied(row, id, reason, findings).await
    }

    /// The run of the same refusal of the same plan, if that was the last one.
    async fn refused_before(
        &self,
        plan: &Plan,
        reason: &str,
    ) -> Result<Option<RunId>, RuntimeError> {
        let last = self.ports.store.history(Some(&plan.environment), 1).await?;
        let again = last.into_iter().find(|run| {
            run.outcome == Some(RunOutcome::Denied)
                && run.revision == plan.revision
                && run.plan_digest == plan.digest
                && run.reason == reason
        });
        Ok(again.map(|run| run.id))
    }

    async fn denied(
        &self,
        mut row: EnvironmentRow,
        id: RunId,
        reason: String,
        findings: Vec<Finding>,
    ) -> Result<EnvironmentReport, RuntimeError> {
        row.last_run = Some(id.clone());
        let mut report = self.stalled(row, reason, findings).await?;
        report.run = Some(id);
        report.outcome = Some(RunOutcome::Denied);
        Ok(report)
    }
}
