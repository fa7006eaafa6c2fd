//! Carrying out a run: one that begins with an [`Approved`] plan, and one that an earlier process
//! left.

use std::collections::BTreeMap;
use std::sync::Arc;

use stratum_core::approve::Approved;
use stratum_core::audit::AuditEntry;
use stratum_core::condition::Condition;
use stratum_core::desired::Closure;
use stratum_core::finding::Finding;
use stratum_core::journal::{Event, Journal};
use stratum_core::ports::{Base, Entry, EnvironmentRow, SecretKey, Site, Unfinished};
use stratum_core::run::Run;
use stratum_core::settings::Settings;

use crate::apply::{Apply, Driven, Flight};
use crate::error::RuntimeError;
use crate::look::Look;
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
pub(crate) struct Origin {
    pub(crate) closure: Closure,
    pub(crate) versions: BTreeMap<SecretKey, u64>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) concern: Option<String>,
}

impl Reconciler {
    /// Starts a run and drives it to its end.
    pub(crate) async fn apply(
        self: &Arc<Self>,
        look: Look,
        approved: Approved,
        base: Base,
        mut entries: Vec<AuditEntry>,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let run = Run::begin(approved, self.outset(&look).await?);
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
        row.remembered.runs = self.has_what_runs(&desired);
        row.condition = Condition::Reconciling;
        row.reason = format!("applying {}", target.commit.short());
        row.remembered
            .spend(&run.verdict().approvals, run.started_at);
        entries
            .iter_mut()
            .for_each(|entry| entry.run = Some(run.id.clone()));
        // Together: they share one flush of the disk.
        let (logged, put) = tokio::join!(self.log(entries), self.put(&mut row));
        logged?;
        put?;
        let run = Arc::new(run);
        let mut journal = Journal::new(Arc::clone(run.plan()), run.on_failure);
        let started = Event::Started {
            plan_digest: run.plan().digest,
            base: run.plan().base,
            revision: run.plan().revision.clone(),
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
        let journal = Journal::replay(Arc::clone(run.plan()), run.on_failure, events)?;
        let mut row = row.unwrap_or_else(|| self.blank_row(&run.environment));
        let origin = Origin {
            closure: Closure::default(),
            versions: BTreeMap::new(),
            findings: run.findings().to_vec(),
            concern: None,
        };
        if journal.end().is_some() {
            row.remembered.due = self.ports.store.base(&run.environment).await?.due();
            return self.settle(&run, &journal, row, origin, &[]).await;
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
        mut row: EnvironmentRow,
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
            steps: run.plan().steps.len(),
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
            stop: self.stop.clone(),
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
        let Driven {
            journal,
            due,
            failed,
        } = match driven {
            Ok(driven) => driven,
            Err(RuntimeError::Store(error)) => return self.fenced(Err(error)),
            Err(error) => return Err(error),
        };
        row.remembered.due = due;
        let report = self.settle(&run, &journal, row, origin, &failed).await?;
        self.is_settled(&run.environment, &run.id);
        self.records.note(&run.id);
        Ok(report)
    }
}
