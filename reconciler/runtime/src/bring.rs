//! From a verdict to what follows from it: a refusal, nothing to do, or a run.

use std::sync::Arc;

use stratum_core::finding::first_reason;
use stratum_core::ids::EnvironmentName;
use stratum_core::planning::{DriftRule, PlanError};
use stratum_core::ports::{Clock, SecretStore};

use crate::audit::AuditLog;
use crate::error::RuntimeError;
use crate::execute::Execution;
use crate::judge::{Judged, Judging};
use crate::look::{Look, Verified};
use crate::progress::EnvironmentReport;
use crate::proposals::Proposals;
use crate::refuse::Refusals;
use crate::rows::Rows;
use crate::settle::Settling;

/// Brings environments to their revisions.
pub(crate) struct Bringing {
    pub(crate) vault: Arc<dyn SecretStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) judging: Arc<Judging>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) proposals: Proposals,
    pub(crate) execution: Arc<Execution>,
    pub(crate) settling: Arc<Settling>,
    pub(crate) log: Arc<AuditLog>,
    pub(crate) rows: Arc<Rows>,
}

impl Bringing {
    /// Brings the environment to its revision.
    pub(crate) async fn bring(&self, mut look: Look) -> Result<EnvironmentReport, RuntimeError> {
        // What is new may lead past what was in the way of a correction.
        look.row.remembered.obstacles.clear();
        let rule = DriftRule::from(look.target.drift_mode());
        match self.judging.judge(&mut look, &rule, None).await? {
            Ok(judged) => self.carry_out(look, judged).await,
            Err(error) => self.unplannable(look, error).await,
        }
    }

    /// No plan could be made. Where a provider could not answer, that may pass.
    pub(crate) async fn unplannable(
        &self,
        mut look: Look,
        error: PlanError,
    ) -> Result<EnvironmentReport, RuntimeError> {
        look.findings.extend(error.findings);
        let reason = first_reason(&look.findings);
        let stalled = self.rows.stalled(look.row, reason, look.findings);
        let mut report = stalled.await?;
        report.failed = Some(error.retry);
        Ok(report)
    }

    /// What was accepted is carried out; what was refused is remembered.
    pub(crate) async fn carry_out(
        &self,
        mut look: Look,
        judged: Judged,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let approved = match judged.result.clone() {
            Ok(approved) => approved,
            Err(refusal) => return self.refusals.deny(look, judged, refusal).await,
        };
        let proposed = self.proposals.propose(&look, &judged.plan, &judged.base);
        if let Some(why) = proposed.await? {
            look.concern = Some(why);
        }
        if judged.plan.is_empty() {
            self.log.write(judged.entries).await?;
            let now = self.clock.now();
            look.row.remembered.spend(&judged.verdict.approvals, now);
            return self.settling.arrived(look, &judged.plan).await;
        }
        self.keep_secrets(&look.target.environment, &look.verified)
            .await?;
        let (base, entries) = (judged.base, judged.entries);
        self.execution.apply(look, approved, base, entries).await
    }

    /// Keeps the sealed values that are about to be used, before anything is begun with them.
    async fn keep_secrets(
        &self,
        environment: &EnvironmentName,
        verified: &Verified,
    ) -> Result<(), RuntimeError> {
        if verified.used.is_empty() {
            return Ok(());
        }
        let kept = self.vault.keep_secrets(environment, &verified.used);
        Ok(kept.await?)
    }
}
