//! From a revision that was read to a plan, a verdict, and what follows from it.

use std::sync::Arc;

use stratum_core::approve::{Approved, Refusal, approve};
use stratum_core::audit::AuditEntry;
use stratum_core::check::check;
use stratum_core::condition::Condition;
use stratum_core::desired::{Closure, Desired};
use stratum_core::digest::Digest;
use stratum_core::finding::first_reason;
use stratum_core::ids::{CommitId, RunId};
use stratum_core::observed::Observed;
use stratum_core::plan::{Arrival, Plan};
use stratum_core::planning::{DriftRule, PlanError};
use stratum_core::ports::{Base, EnvironmentRow, RunOutcome};
use stratum_core::run::Outset;
use stratum_core::settings::DriftMode;
use stratum_core::verdict::Verdict;

use crate::calls::Calls;
use crate::error::RuntimeError;
use crate::head::Target;
use crate::look::{Look, report_of};
use crate::observe::Asker;
use crate::progress::{EnvironmentReport, Progress};
use crate::reconcile::Reconciler;

/// A plan that was made, judged, and accepted or not.
pub(crate) struct Judged {
    pub(crate) plan: Arc<Plan>,
    pub(crate) base: Base,
    pub(crate) verdict: Verdict,
    pub(crate) result: Result<Approved, Refusal>,
    /// What the audit log must say before anything follows from it.
    pub(crate) entries: Vec<AuditEntry>,
}

impl Reconciler {
    /// Brings the environment to its revision.
    pub(crate) async fn bring(
        self: &Arc<Self>,
        mut look: Look,
    ) -> Result<EnvironmentReport, RuntimeError> {
        // What is new may lead past what was in the way of a correction.
        look.row.remembered.obstacles.clear();
        let rule = DriftRule::from(self.mode(&look.target));
        let judged = match self.judge(&mut look, &rule, None).await? {
            Ok(judged) => judged,
            Err(error) => return self.unplannable(look, error).await,
        };
        self.carry_out(look, judged).await
    }

    /// No plan could be made. Where a provider could not answer, that may pass.
    pub(crate) async fn unplannable(
        &self,
        mut look: Look,
        error: PlanError,
    ) -> Result<EnvironmentReport, RuntimeError> {
        look.findings.extend(error.findings);
        let reason = first_reason(&look.findings);
        let mut report = self.stalled(look.row, reason, look.findings).await?;
        report.failed = Some(error.retry);
        Ok(report)
    }

    pub(crate) fn mode(&self, target: &Target) -> DriftMode {
        target.settings.drift_of(&target.own()).mode
    }

    /// Plans, checks, asks policy.
    pub(crate) async fn judge(
        self: &Arc<Self>,
        look: &mut Look,
        rule: &DriftRule,
        observed: Option<Observed>,
    ) -> Result<Result<Judged, PlanError>, RuntimeError> {
        let base = self.ports.store.base(&look.target.environment).await?;
        look.row.sealed = self.waits_for_unsealing(look, &base);
        let asker = self.asker(look);
        let planned = match observed {
            Some(seen) => asker.plan_with(&look.desired, &base, &seen, rule).await?,
            None => asker.plan(&look.desired, &base, rule).await?,
        };
        let plan = match planned {
            Ok(plan) => Arc::new(plan),
            Err(error) => return Ok(Err(error)),
        };
        let mut findings = look.findings.clone();
        findings.extend(check(&plan, &base, &[&look.target.own()]));
        let verdict = self.verdict(&look.input, look.trigger, &plan).await?;
        findings.extend(look.input.unverified(&verdict));
        let mut entries = self.verdict_entries(look, &plan, &verdict);
        (self.progress)(&Progress::Planned {
            plan: Arc::clone(&plan),
            verdict: verdict.clone(),
            findings: findings.clone(),
        });
        let result = approve(Arc::clone(&plan), findings, verdict.clone());
        if let Err(refusal) = &result {
            entries.push(self.refusal_entry(look, &plan, &verdict, refusal));
        }
        Ok(Ok(Judged {
            plan,
            base,
            verdict,
            result,
            entries,
        }))
    }

    pub(crate) fn asker<'a>(&'a self, look: &'a Look) -> Asker<'a> {
        let calls = Calls {
            clock: self.ports.clock.as_ref(),
            site: &look.site,
            timeout: look.target.settings.limits.call,
            secrets: self.ports.secrets.as_ref(),
            stop: Some(&self.stop),
            turns: None,
            notes: None,
        };
        Asker {
            providers: &self.ports.providers,
            calls,
            configurations: &look.desired.providers,
            waits: true,
        }
    }

    pub(crate) async fn carry_out(
        self: &Arc<Self>,
        mut look: Look,
        judged: Judged,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let approved = match judged.result.clone() {
            Ok(approved) => approved,
            Err(refusal) => return self.deny(look, &judged, refusal).await,
        };
        if let Some(why) = self.propose(&look, &judged.plan, &judged.base).await? {
            look.concern = Some(why);
        }
        if judged.plan.is_empty() {
            self.log(judged.entries).await?;
            let now = self.ports.clock.now();
            look.row.remembered.spend(&judged.verdict.approvals, now);
            return self.arrived(look, &judged.plan).await;
        }
        self.keep_secrets(&look.target.environment, &look.verified)
            .await?;
        self.apply(look, approved, judged.base, judged.entries)
            .await
    }

    /// A run, or the refusal of one, begins now.
    pub(crate) async fn outset(self: &Arc<Self>, look: &Look) -> Result<Outset, RuntimeError> {
        let lease = self.lease(&look.target.environment).await?;
        let (own, previous) = (Arc::clone(self), look.row.revision.clone());
        let commit = look.target.commit.clone();
        let between = previous.clone();
        let skipped = match &between {
            Some(_) => {
                self.blocking(move || {
                    Ok(own
                        .ports
                        .repository
                        .between(between.as_ref(), &commit, 50)?)
                })
                .await?
            }
            None => Vec::new(),
        };
        let started_at = self.ports.clock.now();
        let skipped = skipped.into_iter().map(|revision| revision.commit);
        Ok(Outset {
            id: RunId::at(started_at, self.ports.randomness.next() as u32),
            environment: look.target.environment.clone(),
            trigger: look.trigger,
            revision: look.revision.clone(),
            previous,
            skipped: skipped
                .filter(|commit| *commit != look.target.commit)
                .collect(),
            lease: lease.number,
            started_at,
            on_failure: look.target.own().on_failure,
        })
    }

    /// Nothing is left to do.
    async fn arrived(&self, look: Look, plan: &Plan) -> Result<EnvironmentReport, RuntimeError> {
        let Look {
            target,
            mut row,
            desired,
            findings,
            concern,
            verified,
            ..
        } = look;
        if plan.arrival().is_ok() {
            self.mark_in_force(&target.environment, &verified.versions)
                .await?;
        }
        row.remembered.runs = self.has_what_runs(&desired);
        let failed = match plan.arrival() {
            Ok(arrival) => {
                let inputs = (desired.inputs, desired.closure.clone());
                arrive(&mut row, arrival, &target.commit, Some(inputs));
                (row.condition, row.reason) = condition(plan, concern);
                None
            }
            Err(unplannable) => {
                row.condition = Condition::Stalled;
                row.reason = unplannable.reason;
                Some(unplannable.retry)
            }
        };
        self.put(&mut row).await?;
        let mut report = report_of(&row, findings);
        report.outcome = Some(RunOutcome::Nothing);
        report.failed = failed;
        Ok(report)
    }

    /// Whether a resource runs, or has a health check, so that it is looked at whatever the drift
    /// mode.
    pub(crate) fn has_what_runs(&self, desired: &Desired) -> bool {
        let providers = &self.ports.providers;
        let mut resources = desired.resources.values();
        resources.any(|resource| {
            if resource.meta.health.is_some() {
                return true;
            }
            let provider = providers.get(&resource.provider.source()).ok();
            provider.is_some_and(|provider| provider.runs(resource.address.r#type()))
        })
    }
}

/// An environment is at a Revision. `inputs`: what it was made from, where that is known; without
/// it the next look reads the Revision again, and finds nothing to do.
pub(crate) fn arrive(
    row: &mut EnvironmentRow,
    _: Arrival,
    commit: &CommitId,
    inputs: Option<(Digest, Closure)>,
) {
    row.revision = Some(commit.clone());
    let (inputs, closure) = match inputs {
        Some((inputs, closure)) => (Some(inputs), closure),
        None => (None, Closure::default()),
    };
    row.inputs = inputs;
    row.closure = closure;
    row.hold = None;
}

/// The condition of an environment in which nothing is left to do.
pub(crate) fn condition(plan: &Plan, concern: Option<String>) -> (Condition, String) {
    let waits = plan.blocked.first();
    let waits = waits.map(|blocked| format!("`{}` waits: {}", blocked.address, blocked.reason));
    match concern.or(waits) {
        Some(reason) => (Condition::Stalled, reason),
        None => (Condition::Ready, String::new()),
    }
}
