//! What the end of a run means for its environment: it arrived, its inputs are held, or a
//! correction failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stratum_core::condition::{Condition, Hold};
use stratum_core::desired::{Closure, Desired};
use stratum_core::digest::Digest;
use stratum_core::finding::Finding;
use stratum_core::ids::{Address, CommitId, EnvironmentName};
use stratum_core::journal::{End, Event, Journal, Left};
use stratum_core::observed::Report;
use stratum_core::plan::{Action, Arrival, Plan};
use stratum_core::ports::{
    Clock, EnvironmentRow, Observation, Retry, RunOutcome, SecretKey, SecretStore, Store,
};
use stratum_core::record;
use stratum_core::resource::ResourceState;
use stratum_core::run::{Run, Trigger};
use stratum_core::value::Record;

use crate::error::RuntimeError;
use crate::lease::OwnLeases;
use crate::look::Look;
use crate::ports::{Ports, Providers};
use crate::progress::EnvironmentReport;
use crate::rows::{Rows, report_of};

/// What a run was made from, where it is known; a resumed run does not know its closure.
pub(crate) struct Origin {
    pub(crate) closure: Closure,
    pub(crate) versions: BTreeMap<SecretKey, u64>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) concern: Option<String>,
}

/// Writes what came of a run, or of having nothing to do.
pub(crate) struct Settling {
    store: Arc<dyn Store>,
    vault: Arc<dyn SecretStore>,
    providers: Providers,
    clock: Arc<dyn Clock>,
    leases: Arc<OwnLeases>,
    rows: Arc<Rows>,
}

impl Settling {
    pub(crate) fn new(ports: &Ports, leases: &Arc<OwnLeases>, rows: &Arc<Rows>) -> Self {
        Self {
            store: Arc::clone(&ports.store),
            vault: Arc::clone(&ports.vault),
            providers: ports.providers.clone(),
            clock: Arc::clone(&ports.clock),
            leases: Arc::clone(leases),
            rows: Arc::clone(rows),
        }
    }

    /// What the end of a run means for its environment.
    pub(crate) async fn settle(
        &self,
        run: &Run,
        journal: &Journal,
        mut row: EnvironmentRow,
        origin: Origin,
        failed: &[Retry],
    ) -> Result<EnvironmentReport, RuntimeError> {
        row.last_run = Some(run.id.clone());
        row.desired_revision = Some(run.revision.commit.clone());
        let end = journal.end().ok_or(RuntimeError::Stopped)?;
        let retry = match end {
            End::Applied => self.applied(run, &mut row, &origin).await?,
            End::RolledBack | End::Stuck(_) => {
                let failure = self.failure(run).await?;
                match run.trigger {
                    Trigger::Drift => Some(correction_failed(&mut row, failure)),
                    Trigger::Push => hold(run, end, &mut row, failure.why, failed),
                }
            }
        };
        self.rows.put(&mut row).await?;
        let mut report = report_of(&row, origin.findings);
        report.run = Some(run.id.clone());
        report.outcome = Some(match end {
            End::Applied => RunOutcome::Applied,
            End::RolledBack => RunOutcome::RolledBack,
            End::Stuck(_) => RunOutcome::Stuck,
        });
        report.failed = retry;
        Ok(report)
    }

    /// Every step is done.
    async fn applied(
        &self,
        run: &Run,
        row: &mut EnvironmentRow,
        origin: &Origin,
    ) -> Result<Option<Retry>, RuntimeError> {
        if run.plan().arrival().is_ok() {
            let versions = &origin.versions;
            self.mark_in_force(&run.environment, versions).await?;
        }
        let retry = settle_applied(run, row, origin);
        self.settle_observed(run, row).await?;
        Ok(retry)
    }

    /// What was changed is no longer drifted, but for what was kept as it is.
    async fn settle_observed(
        &self,
        run: &Run,
        row: &mut EnvironmentRow,
    ) -> Result<(), RuntimeError> {
        let steps = run.plan().steps.iter();
        let kept: BTreeMap<&Address, &Record> =
            steps.map(|step| (&step.address, &step.kept)).collect();
        let mut drifted = self.store.drifted(&run.environment).await?;
        drifted.retain(|seen| kept.contains_key(&seen.address));
        if drifted.is_empty() {
            return Ok(());
        }
        let base = self.store.base(&run.environment).await?;
        let at = self.clock.now();
        let settled = |seen: Observation| {
            let state = base.resources.get(&seen.address);
            let kept = kept.get(&seen.address).copied();
            left_of(seen, at, state, kept.unwrap_or(&Record::new()))
        };
        let seen: Vec<Observation> = drifted.into_iter().map(settled).collect();
        let lease = self.leases.of(&row.name).await?;
        Ok(self.store.observe(&lease, &seen).await?)
    }

    /// Why a run did not come to its end, and at which resources.
    async fn failure(&self, run: &Run) -> Result<Failure, RuntimeError> {
        let stored = self.store.run(&run.id).await?;
        let events = stored.map(|stored| stored.events).unwrap_or_default();
        let outcome = record::outcome(run.plan(), &events);
        let failed = events.iter().filter_map(|(_, event)| match event {
            Event::Failed { step, .. } | Event::Unknown { step, .. } => run.plan().step(*step),
            _ => None,
        });
        Ok(Failure {
            at: failed.map(|step| step.address.clone()).collect(),
            why: outcome.map(|outcome| outcome.reason).unwrap_or_default(),
        })
    }

    /// Nothing is left to do.
    pub(crate) async fn arrived(
        &self,
        look: Look,
        plan: &Plan,
    ) -> Result<EnvironmentReport, RuntimeError> {
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
        row.remembered.runs = has_what_runs(&self.providers, &desired);
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
        self.rows.put(&mut row).await?;
        let mut report = report_of(&row, findings);
        report.outcome = Some(RunOutcome::Nothing);
        report.failed = failed;
        Ok(report)
    }

    /// The environment is at its revision: the versions it has are those in force.
    async fn mark_in_force(
        &self,
        environment: &EnvironmentName,
        versions: &BTreeMap<SecretKey, u64>,
    ) -> Result<(), RuntimeError> {
        if versions.is_empty() {
            return Ok(());
        }
        let highest = self.vault.highest(environment).await?;
        let news = versions
            .iter()
            .filter(|(place, version)| highest.get(*place).is_none_or(|old| old < *version))
            .map(|(place, version)| (place.clone(), *version));
        let news: BTreeMap<SecretKey, u64> = news.collect();
        if news.is_empty() {
            return Ok(());
        }
        Ok(self.vault.in_force(environment, &news).await?)
    }
}

/// Whether a resource runs, or has a health check, so that it is looked at whatever the drift
/// mode.
pub(crate) fn has_what_runs(providers: &Providers, desired: &Desired) -> bool {
    let mut resources = desired.resources.values();
    resources.any(|resource| {
        if resource.meta.health.is_some() {
            return true;
        }
        let provider = providers.get(&resource.provider.source()).ok();
        provider.is_some_and(|provider| provider.runs(resource.address.r#type()))
    })
}

/// An environment is at a Revision. `inputs`: what it was made from, where that is known; without
/// it the next look reads the Revision again, and finds nothing to do.
fn arrive(
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
fn condition(plan: &Plan, concern: Option<String>) -> (Condition, String) {
    let waits = plan.blocked.first();
    let waits = waits.map(|blocked| format!("`{}` waits: {}", blocked.address, blocked.reason));
    match concern.or(waits) {
        Some(reason) => (Condition::Stalled, reason),
        None => (Condition::Ready, String::new()),
    }
}

/// Every step is done. Where something could not be planned for now, the environment is not at its
/// Revision yet; the answer says when that is tried again.
fn settle_applied(run: &Run, row: &mut EnvironmentRow, origin: &Origin) -> Option<Retry> {
    match run.plan().arrival() {
        Ok(arrival) => {
            let adopts = run.plan().steps.iter();
            let adopts = adopts.filter(|step| step.action == Action::Adopt).count();
            let known = origin.closure != Closure::default() && adopts == 0;
            let inputs = known.then(|| (run.plan().inputs, origin.closure.clone()));
            arrive(row, arrival, &run.revision.commit, inputs);
            (row.condition, row.reason) = condition(run.plan(), origin.concern.clone());
            if adopts > 0 && row.condition == Condition::Ready {
                row.condition = Condition::Reconciling;
                row.reason = "what was adopted is compared with what is wanted of it".to_owned();
            }
            None
        }
        Err(unplannable) => {
            row.condition = Condition::Stalled;
            row.reason = unplannable.reason;
            Some(unplannable.retry)
        }
    }
}

/// Why a run did not come to its end.
struct Failure {
    /// The resources whose step failed.
    at: BTreeSet<Address>,
    /// One sentence.
    why: String,
}

/// A correction failed: what was applied stays applied, and the rest is corrected without what
/// is in the way. Answers when that is tried again.
fn correction_failed(row: &mut EnvironmentRow, failure: Failure) -> Retry {
    let reason = format!(
        "its drift could not be corrected ({}); what was applied stays, and it is tried again",
        failure.why
    );
    let at = failure.at.into_iter();
    let at = at.map(|address| (address, reason.clone()));
    row.remembered.obstacles.extend(at);
    row.condition = Condition::Stalled;
    row.reason = reason;
    Retry::Later(AGAIN)
}

/// Holds the inputs of a run that was rolled back or got stuck. What failed only for now is tried
/// again by itself; the answer says when.
fn hold(
    run: &Run,
    end: &End,
    row: &mut EnvironmentRow,
    why: String,
    failed: &[Retry],
) -> Option<Retry> {
    let stuck = matches!(end, End::Stuck(_));
    let passes = passes(failed).filter(|_| !stuck);
    let hold = Hold {
        inputs: run.plan().inputs,
        revision: run.revision.commit.clone(),
        run: run.id.clone(),
        reason: match end {
            End::Stuck(left) => format!("{}{why}", listed(left)),
            End::RolledBack | End::Applied => why,
        },
        stuck,
        passes,
    };
    row.condition = Condition::Stalled;
    row.reason = record::held(&hold);
    row.hold = Some(hold);
    passes.map(Retry::Later)
}

fn listed(left: &[Left]) -> String {
    let names = left.iter();
    let names = names.map(|left| format!("`{}` is {}; ", left.address, left.is));
    names.collect()
}

/// How long to wait at least before what failed is tried again, where all of it may pass.
fn passes(failed: &[Retry]) -> Option<Duration> {
    let waits = failed.iter().map(|retry| match retry {
        Retry::Later(wait) => Some(*wait),
        Retry::WhenInputChanges | Retry::NeedsPerson => None,
    });
    let waits: Option<Vec<Duration>> = waits.collect();
    Some(waits?.into_iter().max()?.max(AGAIN))
}

/// The shortest time before a run, or a correction, is made again that failed for what may pass.
pub(crate) const AGAIN: Duration = Duration::from_secs(60);

/// What is left of a drift after a step on the resource.
fn left_of(
    seen: Observation,
    at: Timestamp,
    state: Option<&ResourceState>,
    kept: &Record,
) -> Observation {
    let Some(state) = state else {
        return Observation {
            at,
            drifted: Vec::new(),
            report: Report::Gone,
            ..seen
        };
    };
    let mut there = state.instance.clone();
    if let Some(before) = seen.report.instance() {
        for name in kept.keys() {
            if let Some(value) = before.attributes.get(name) {
                there.attributes.insert(name.clone(), value.clone());
            }
        }
    }
    Observation {
        at,
        drifted: kept
            .keys()
            .filter(|name| seen.drifted.contains(name))
            .cloned()
            .collect(),
        report: Report::Present(there),
        ..seen
    }
}
