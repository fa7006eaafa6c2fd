//! Carrying out a run: starting it, driving it, and what its end means for the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stratum_core::approve::approve;
use stratum_core::audit::AuditEntry;
use stratum_core::condition::{Condition, Hold};
use stratum_core::desired::Closure;
use stratum_core::finding::Finding;
use stratum_core::ids::Address;
use stratum_core::journal::{End, Event, Journal, Left};
use stratum_core::observed::Report;
use stratum_core::ports::{
    Base, Entry, EnvironmentRow, Observation, Retry, RunOutcome, SecretKey, Site, Unfinished,
};
use stratum_core::record;
use stratum_core::resource::ResourceState;
use stratum_core::run::{Run, Trigger};
use stratum_core::settings::Settings;
use stratum_core::value::Record;

use crate::apply::{Apply, Driven, Flight};
use crate::error::RuntimeError;
use crate::judge::condition;
use crate::look::{Look, report_of};
use crate::progress::{EnvironmentReport, Progress};
use crate::reconcile::Reconciler;
use crate::site::site_of;
use crate::task::Surroundings;

/// A run that is about to be driven, new or begun by an earlier process.
struct Drive {
    run: Arc<Run>,
    journal: Journal,
    base: Base,
    site: Arc<Site>,
    settings: Arc<Settings>,
    resumed: bool,
}

/// What a run was made from, where it is known; a resumed run does not know its closure.
struct Origin {
    closure: Closure,
    versions: BTreeMap<SecretKey, u64>,
    findings: Vec<Finding>,
    concern: Option<String>,
}

impl Reconciler {
    /// Starts a run and drives it to its end.
    pub(crate) async fn apply(
        self: &Arc<Self>,
        look: Look,
        run: Run,
        base: Base,
        mut entries: Vec<AuditEntry>,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let Look {
            target,
            mut row,
            desired,
            findings,
            site,
            concern,
            verified,
            ..
        } = look;
        row.condition = Condition::Reconciling;
        row.reason = format!("applying {}", target.commit.short());
        entries
            .iter_mut()
            .for_each(|entry| entry.run = Some(run.id.clone()));
        // Together: they share one flush of the disk.
        let (logged, put) = tokio::join!(self.log(entries), self.put(&mut row));
        logged?;
        put?;
        let run = Arc::new(run);
        let mut journal = Journal::new(Arc::clone(&run.plan), run.on_failure);
        let started = Event::Started {
            plan_digest: run.plan.digest,
            base: run.plan.base,
            revision: run.plan.revision.clone(),
            lease: run.lease,
        };
        journal.push(&started)?;
        let lease = self.lease(&target.environment).await?;
        let entry = Entry {
            at: run.started_at,
            event: started,
            change: None,
        };
        self.begins(&run.environment, &run.id);
        self.ports.store.start(&lease, &run, &entry).await?;
        let settings = Arc::clone(&target.settings);
        let drive = Drive {
            run,
            journal,
            base,
            site,
            settings,
            resumed: false,
        };
        let origin = Origin {
            closure: desired.closure.clone(),
            versions: verified.versions,
            findings,
            concern,
        };
        self.drive_run(drive, row, origin).await
    }

    /// Goes on with a run that was begun and has not ended, or that ended unnoticed.
    pub(crate) async fn resume(
        self: &Arc<Self>,
        left: Unfinished,
        row: Option<EnvironmentRow>,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let run = Arc::new(left.run);
        self.lease(&run.environment).await?;
        let events = left.events.iter().map(|(_, event)| event);
        let journal = Journal::replay(Arc::clone(&run.plan), run.on_failure, events)?;
        let mut row = row.unwrap_or_else(|| self.blank_row(&run.environment));
        let origin = Origin {
            closure: Closure::default(),
            versions: BTreeMap::new(),
            findings: run.findings.clone(),
            concern: None,
        };
        if journal.end().is_some() {
            return self.settle(&run, &journal, row, origin, &[]).await;
        }
        // Whoever accepted it then accepted it for good: the same findings and verdict decide.
        if let Err(refusal) = approve(
            Arc::clone(&run.plan),
            run.findings.clone(),
            run.verdict.clone(),
        ) {
            return self
                .stalled(row, refusal.to_string(), run.findings.clone())
                .await;
        }
        row.condition = Condition::Reconciling;
        row.reason = format!("going on with {} after a restart", run.id);
        self.put(&mut row).await?;
        let base = self.ports.store.base(&run.environment).await?;
        let settings = self.settings_of(&run).await?;
        let own = settings
            .environments
            .get(&run.environment)
            .cloned()
            .unwrap_or_default();
        let roots = &self.options.roots;
        let site = Arc::new(site_of(roots, &run.environment, &own, row.root.as_deref()));
        let drive = Drive {
            run,
            journal,
            base,
            site,
            settings,
            resumed: true,
        };
        self.drive_run(drive, row, origin).await
    }

    /// The settings of HEAD, or where they cannot be read any more, defaults: a run that was begun
    /// must come to its end whatever was pushed since.
    async fn settings_of(self: &Arc<Self>, run: &Run) -> Result<Arc<Settings>, RuntimeError> {
        let settings = match self.head().await {
            Ok((head, _)) => head.settings.value.clone(),
            Err(error) => {
                tracing::warn!(error = %error.sentence(), "going on with default settings");
                None
            }
        };
        Ok(settings.unwrap_or_else(|| {
            Arc::new(Settings {
                name: "unreadable".to_owned(),
                environments: [(run.environment.clone(), Default::default())].into(),
                records: Default::default(),
                drift: Default::default(),
                limits: Default::default(),
                signatures: Default::default(),
                approvals: Default::default(),
                knowledge: Default::default(),
                secrets: Default::default(),
                audit: Default::default(),
                retention: Default::default(),
            })
        }))
    }

    async fn drive_run(
        self: &Arc<Self>,
        drive: Drive,
        row: EnvironmentRow,
        origin: Origin,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let Drive {
            run,
            journal,
            base,
            site,
            settings,
            resumed,
        } = drive;
        let lease = self.lease(&run.environment).await?;
        let _running = self.running();
        (self.progress)(&Progress::Started {
            environment: run.environment.clone(),
            run: run.id.clone(),
            steps: run.plan.steps.len(),
            resumed,
        });
        let own = settings
            .environments
            .get(&run.environment)
            .cloned()
            .unwrap_or_default();
        let around = Surroundings {
            ports: self.ports.clone(),
            site,
            run: Arc::clone(&run),
            timeout: settings.limits.call,
        };
        let apply = Apply {
            around,
            lease,
            parallelism: own.parallelism.max(1) as usize,
            stop: self.stop.clone(),
            progress: Arc::clone(&self.progress),
            world: base.resources,
            journal,
            flight: Flight::default(),
            failed: Vec::new(),
        };
        let driven = apply.drive().await;
        let Driven { journal, failed } = match driven {
            Ok(driven) => driven,
            Err(RuntimeError::Store(error)) => return self.fenced(Err(error)),
            Err(error) => return Err(error),
        };
        let report = self.settle(&run, &journal, row, origin, &failed).await?;
        self.is_settled(&run.environment, &run.id);
        self.records.note(&run.id);
        Ok(report)
    }

    /// What the end of a run means for its environment.
    async fn settle(
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
        let mut retry = None;
        let outcome = match end {
            End::Applied => {
                self.mark_in_force(&run.environment, &origin.versions)
                    .await?;
                self.settle_applied(run, &mut row, &origin);
                self.settle_observed(run, &mut row).await?;
                RunOutcome::Applied
            }
            End::RolledBack | End::Stuck(_) => {
                let failure = self.failure(run).await?;
                retry = match run.trigger {
                    Trigger::Drift => Some(self.correction_failed(run, &mut row, failure)),
                    Trigger::Push => hold(run, end, &mut row, failure.why, failed),
                };
                match end {
                    End::Stuck(_) => RunOutcome::Stuck,
                    End::RolledBack | End::Applied => RunOutcome::RolledBack,
                }
            }
        };
        self.put(&mut row).await?;
        let mut report = report_of(&row, origin.findings);
        report.run = Some(run.id.clone());
        report.outcome = Some(outcome);
        report.failed = retry;
        Ok(report)
    }

    fn settle_applied(&self, run: &Run, row: &mut EnvironmentRow, origin: &Origin) {
        row.revision = Some(run.revision.commit.clone());
        // Without the closure the next look reads the revision again, and finds nothing to do.
        row.inputs = (origin.closure != Closure::default()).then_some(run.plan.inputs);
        row.closure = origin.closure.clone();
        row.hold = None;
        (row.condition, row.reason) = condition(&run.plan, origin.concern.clone());
    }

    /// What was changed is no longer drifted, but for what was kept as it is.
    async fn settle_observed(
        &self,
        run: &Run,
        row: &mut EnvironmentRow,
    ) -> Result<(), RuntimeError> {
        let steps = run.plan.steps.iter();
        let kept: BTreeMap<&Address, &Record> =
            steps.map(|step| (&step.address, &step.kept)).collect();
        let mut drifted = self.ports.store.drifted(&run.environment).await?;
        drifted.retain(|seen| kept.contains_key(&seen.address));
        if drifted.is_empty() {
            return Ok(());
        }
        let base = self.ports.store.base(&run.environment).await?;
        let at = self.ports.clock.now();
        let settled = |seen: Observation| {
            let state = base.resources.get(&seen.address);
            let kept = kept.get(&seen.address).copied();
            left_of(seen, at, state, kept.unwrap_or(&Record::new()))
        };
        let seen: Vec<Observation> = drifted.into_iter().map(settled).collect();
        let lease = self.lease(&row.name).await?;
        Ok(self.ports.store.observe(&lease, &seen).await?)
    }

    /// Why a run did not come to its end, and at which resources.
    async fn failure(&self, run: &Run) -> Result<Failure, RuntimeError> {
        let stored = self.ports.store.run(&run.id).await?;
        let events = stored.map(|stored| stored.events).unwrap_or_default();
        let outcome = record::outcome(&run.plan, &events);
        let failed = events.iter().filter_map(|(_, event)| match event {
            Event::Failed { step, .. } | Event::Unknown { step, .. } => run.plan.step(*step),
            _ => None,
        });
        Ok(Failure {
            at: failed.map(|step| step.address.clone()).collect(),
            why: outcome.map(|outcome| outcome.reason).unwrap_or_default(),
        })
    }
}

/// Why a run did not come to its end.
pub(crate) struct Failure {
    /// The resources whose step failed.
    pub(crate) at: BTreeSet<Address>,
    /// One sentence.
    pub(crate) why: String,
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
        inputs: run.plan.inputs,
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

/// The shortest time before a run is made again that failed for what may pass.
const AGAIN: Duration = Duration::from_secs(60);

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
