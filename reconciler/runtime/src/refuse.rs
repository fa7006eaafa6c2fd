//! A plan that policy or a check refused: nothing is applied, and that is remembered.

use std::sync::Arc;

use stratum_core::approve::Refusal;
use stratum_core::finding::Finding;
use stratum_core::ids::RunId;
use stratum_core::plan::Plan;
use stratum_core::ports::{EnvironmentRow, Journals, RunOutcome};
use stratum_core::run::Denial;
use stratum_core::verdict::Verdict;

use crate::admission::nothing;
use crate::audit::AuditLog;
use crate::error::RuntimeError;
use crate::head::Target;
use crate::judge::Judged;
use crate::look::Look;
use crate::outset::Outsets;
use crate::progress::EnvironmentReport;
use crate::publish::Records;
use crate::rows::Rows;

/// Remembers refusals.
pub(crate) struct Refusals {
    pub(crate) journals: Arc<dyn Journals>,
    pub(crate) outsets: Arc<Outsets>,
    pub(crate) log: Arc<AuditLog>,
    pub(crate) rows: Arc<Rows>,
    pub(crate) records: Arc<Records>,
}

impl Refusals {
    /// Nothing is applied; the reason is in the status, in the history, in the audit log and in a
    /// record. The same refusal of the same plan is remembered once.
    pub(crate) async fn deny(
        &self,
        look: Look,
        judged: Judged,
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
                self.log.write(judged.entries).await?;
                let denial = Denial {
                    outset: self.outsets.of(&look).await?,
                    plan: judged.plan,
                    verdict: judged.verdict,
                    reason: reason.clone(),
                };
                self.records.keep_refusal(&denial).await?;
                denial.outset.id
            }
        };
        self.denied(look.row, id, reason, findings).await
    }

    /// The same, where the rules cannot be used, so that nothing could be planned or judged.
    pub(crate) async fn deny_unjudged(
        &self,
        target: &Target,
        mut row: EnvironmentRow,
        (findings, verdict): (Vec<Finding>, Verdict),
        reason: String,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let plan = Arc::new(nothing(&target.environment, &target.commit));
        let id = match self.refused_before(&plan, &reason).await? {
            Some(id) => id,
            None => {
                let outset = self.outsets.unread(target, &row).await?;
                let (environment, revision) = (&target.environment, &outset.revision);
                self.log.unjudged(environment, revision, &reason).await?;
                let denial = Denial {
                    outset,
                    plan,
                    verdict,
                    reason: reason.clone(),
                };
                self.records.keep_refusal(&denial).await?;
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
        let last = self.journals.history(Some(&plan.environment), 1).await?;
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
        let mut report = self.rows.stalled(row, reason, findings).await?;
        report.run = Some(id);
        report.outcome = Some(RunOutcome::Denied);
        Ok(report)
    }
}
