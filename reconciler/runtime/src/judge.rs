//! From a revision that was read to a plan and a verdict.

use std::sync::Arc;

use stratum_core::approve::{Approved, Refusal, approve};
use stratum_core::audit::AuditEntry;
use stratum_core::check::check;
use stratum_core::observed::Observed;
use stratum_core::plan::Plan;
use stratum_core::planning::{DriftRule, PlanError};
use stratum_core::ports::{Base, Secrets, States};
use stratum_core::resource::Resource;
use stratum_core::verdict::Verdict;

use crate::admission::Admissions;
use crate::audit::AuditLog;
use crate::error::RuntimeError;
use crate::look::Look;
use crate::observe::Planned;
use crate::ports::{Ports, Providers};
use crate::progress::{Progress, ProgressSink};
use crate::sealing::names_secrets;
use crate::world::World;

/// A plan that was made, judged, and accepted or not.
pub(crate) struct Judged {
    pub(crate) plan: Arc<Plan>,
    pub(crate) base: Base,
    pub(crate) verdict: Verdict,
    pub(crate) result: Result<Approved, Refusal>,
    /// What the audit log must say before anything follows from it.
    pub(crate) entries: Vec<AuditEntry>,
}

/// Plans, checks, asks policy.
pub(crate) struct Judging {
    states: Arc<dyn States>,
    providers: Providers,
    secrets: Arc<dyn Secrets>,
    progress: ProgressSink,
    world: Arc<World>,
    admissions: Arc<Admissions>,
    log: Arc<AuditLog>,
}

impl Judging {
    pub(crate) fn new(
        ports: &Ports,
        progress: &ProgressSink,
        world: &Arc<World>,
        admissions: &Arc<Admissions>,
        log: &Arc<AuditLog>,
    ) -> Self {
        Self {
            states: ports.store.clone(),
            providers: ports.providers.clone(),
            secrets: Arc::clone(&ports.secrets),
            progress: Arc::clone(progress),
            world: Arc::clone(world),
            admissions: Arc::clone(admissions),
            log: Arc::clone(log),
        }
    }

    /// Judges what a look found. `observed`: the world, where all of it was read; otherwise that is
    /// read which the plan would touch.
    pub(crate) async fn judge(
        &self,
        look: &mut Look,
        rule: &DriftRule,
        observed: Option<Observed>,
    ) -> Result<Result<Judged, PlanError>, RuntimeError> {
        let base = self.states.base(&look.target.environment).await?;
        look.row.sealed = self.waits_for_unsealing(look, &base);
        let plan = match self.plan(look, &base, rule, observed).await? {
            Ok(plan) => Arc::new(plan),
            Err(error) => return Ok(Err(error)),
        };
        let mut findings = look.findings.clone();
        findings.extend(check(&plan, &base, &[&look.target.own()]));
        let verdict = self.admissions.verdict(&look.input, look.trigger, &plan);
        let verdict = verdict.await?;
        findings.extend(look.input.unverified(&verdict));
        let mut entries = self.log.verdict_entries(look, &plan, &verdict);
        (self.progress)(&Progress::Planned {
            plan: Arc::clone(&plan),
            verdict: verdict.clone(),
            findings: findings.clone(),
        });
        let result = approve(Arc::clone(&plan), findings, verdict.clone());
        if let Err(refusal) = &result {
            entries.push(self.log.refusal_entry(look, &plan, &verdict, refusal));
        }
        Ok(Ok(Judged {
            plan,
            base,
            verdict,
            result,
            entries,
        }))
    }

    async fn plan(
        &self,
        look: &Look,
        base: &Base,
        rule: &DriftRule,
        observed: Option<Observed>,
    ) -> Result<Planned, RuntimeError> {
        let asker = self.world.asker(look);
        match observed {
            Some(seen) => asker.plan_with(&look.desired, base, &seen, rule).await,
            None => asker.plan(&look.desired, base, rule).await,
        }
    }

    /// Why the environment waits for the reconciler to be unsealed, if it does.
    fn waits_for_unsealing(&self, look: &Look, base: &Base) -> Option<String> {
        let standing = self.secrets.standing();
        let why = standing.sealed()?;
        let makes = |resource: &Resource| self.providers.makes_secrets(resource);
        let needs = !base.sealed.is_empty()
            || names_secrets(&look.desired)
            || look.desired.resources.values().any(makes);
        needs.then(|| why.to_owned())
    }
}
