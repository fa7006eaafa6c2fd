//! Carrying out a run: one that begins with an [`Approved`] plan, and one that an earlier process
//! left.

use std::collections::BTreeMap;
use std::sync::Arc;

use stratum_core::approve::Approved;
use stratum_core::audit::AuditEntry;
use stratum_core::condition::Condition;
use stratum_core::desired::Closure;
use stratum_core::journal::{Event, Journal};
use stratum_core::ports::{Base, Entry, EnvironmentRow, Lease, Site, Unfinished};
use stratum_core::run::Run;
use stratum_core::settings::Settings;

use crate::apply::{Apply, Flight};
use crate::audit::AuditLog;
use crate::charter::Heads;
use crate::error::RuntimeError;
use crate::head::own_settings;
use crate::lease::OwnLeases;
use crate::look::Look;
use crate::outset::Outsets;
use crate::ports::Ports;
use crate::progress::{EnvironmentReport, Progress, ProgressSink};
use crate::publish::Records;
use crate::rows::Rows;
use crate::runs::Runs;
use crate::settle::{Origin, Settling, has_what_runs};
use crate::site::{Roots, site_of};
use crate::stop::Stop;
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

/// Carries out runs.
pub(crate) struct Execution {
    /// What the tasks of a run work with.
    pub(crate) ports: Ports,
    pub(crate) roots: Roots,
    pub(crate) stop: Stop,
    pub(crate) progress: ProgressSink,
    pub(crate) heads: Arc<Heads>,
    pub(crate) leases: Arc<OwnLeases>,
    pub(crate) rows: Arc<Rows>,
    pub(crate) runs: Arc<Runs>,
    pub(crate) outsets: Arc<Outsets>,
    pub(crate) settling: Arc<Settling>,
    pub(crate) log: Arc<AuditLog>,
    pub(crate) records: Arc<Records>,
}

impl Execution {
    /// Starts a run and drives it to its end.
    pub(crate) async fn apply(
        &self,
        mut look: Look,
        approved: Approved,
        base: Base,
        entries: Vec<AuditEntry>,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let run = Arc::new(Run::begin(approved, self.outsets.of(&look).await?));
        self.announce(&run, &mut look, entries).await?;
        let journal = self.start(&run).await?;
        let drive = Drive {
            run,
            journal,
            base,
            site: look.site,
            settings: look.target.settings,
            resumed: false,
        };
        let origin = Origin {
            closure: look.desired.closure.clone(),
            versions: look.verified.versions,
            findings: look.findings,
            concern: look.concern,
        };
        self.drive(drive, look.row, origin).await
    }

    /// Writes, before anything is begun, what was decided and that it is being carried out.
    async fn announce(
        &self,
        run: &Run,
        look: &mut Look,
        mut entries: Vec<AuditEntry>,
    ) -> Result<(), RuntimeError> {
        let row = &mut look.row;
        row.remembered.runs = has_what_runs(&self.ports.providers, &look.desired);
        row.condition = Condition::Reconciling;
        row.reason = format!("applying {}", look.target.commit.short());
        let approvals = &run.verdict().approvals;
        row.remembered.spend(approvals, run.started_at);
        entries
            .iter_mut()
            .for_each(|entry| entry.run = Some(run.id.clone()));
        // Together: they share one flush of the disk.
        let (logged, put) = tokio::join!(self.log.write(entries), self.rows.put(row));
        logged.and(put)
    }

    /// Writes that a run begins.
    async fn start(&self, run: &Arc<Run>) -> Result<Journal, RuntimeError> {
        let plan = run.plan();
        let mut journal = Journal::new(Arc::clone(plan), run.on_failure);
        let event = Event::Started {
            plan_digest: plan.digest,
            base: plan.base,
            revision: plan.revision.clone(),
            lease: run.lease,
        };
        journal.push(&event)?;
        let lease = self.leases.of(&run.environment).await?;
        let started = Entry {
            at: run.started_at,
            event,
            change: None,
        };
        self.runs.begins(&run.environment, &run.id);
        self.ports.store.start(&lease, run, &started).await?;
        Ok(journal)
    }

    /// Goes on with a run that was begun and has not ended, or that ended unnoticed.
    pub(crate) async fn resume(&self, left: Unfinished) -> Result<EnvironmentReport, RuntimeError> {
        let run = Arc::new(left.run);
        let mut row = self.rows.of(&run.environment).await?;
        self.leases.of(&run.environment).await?;
        let events = left.events.iter().map(|(_, event)| event);
        let journal = Journal::replay(Arc::clone(run.plan()), run.on_failure, events)?;
        let origin = Origin {
            closure: Closure::default(),
            versions: BTreeMap::new(),
            findings: run.findings().to_vec(),
            concern: None,
        };
        if journal.end().is_some() {
            row.remembered.due = self.ports.store.base(&run.environment).await?.due();
            let settled = self.settling.settle(&run, &journal, row, origin, &[]);
            return settled.await;
        }
        row.condition = Condition::Reconciling;
        row.reason = format!("going on with {} after a restart", run.id);
        self.rows.put(&mut row).await?;
        let base = self.ports.store.base(&run.environment).await?;
        let settings = self.settings_of(&run).await;
        let own = own_settings(&settings, &run.environment);
        let root = row.root.as_deref();
        let site = Arc::new(site_of(&self.roots, &run.environment, &own, root));
        let drive = Drive {
            run,
            journal,
            base,
            site,
            settings,
            resumed: true,
        };
        self.drive(drive, row, origin).await
    }

    /// The settings of HEAD, or where they cannot be read any more, defaults: a run that was begun
    /// must come to its end whatever was pushed since.
    async fn settings_of(&self, run: &Run) -> Arc<Settings> {
        let settings = match self.heads.head().await {
            Ok((head, _)) => head.settings.value.clone(),
            Err(error) => {
                tracing::warn!(error = %error.sentence(), "going on with default settings");
                None
            }
        };
        settings.unwrap_or_else(|| {
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
        })
    }

    /// Drives a run to its end, and settles what that means.
    async fn drive(
        &self,
        drive: Drive,
        mut row: EnvironmentRow,
        origin: Origin,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let run = Arc::clone(&drive.run);
        let lease = self.leases.of(&run.environment).await?;
        let _running = self.records.running();
        (self.progress)(&Progress::Started {
            environment: run.environment.clone(),
            run: run.id.clone(),
            steps: run.plan().steps.len(),
            resumed: drive.resumed,
        });
        let driven = match self.apply_of(drive, lease).drive().await {
            Ok(driven) => driven,
            Err(RuntimeError::Store(error)) => return self.leases.fenced(Err(error)),
            Err(error) => return Err(error),
        };
        row.remembered.due = driven.due;
        let (journal, failed) = (&driven.journal, &driven.failed);
        let settled = self.settling.settle(&run, journal, row, origin, failed);
        let report = settled.await?;
        self.runs.is_settled(&run.environment, &run.id);
        self.records.note(&run.id);
        Ok(report)
    }

    fn apply_of(&self, drive: Drive, lease: Lease) -> Apply {
        let own = own_settings(&drive.settings, &drive.run.environment);
        let around = Surroundings {
            ports: self.ports.clone(),
            site: drive.site,
            run: drive.run,
            timeout: drive.settings.limits.call,
            stop: self.stop.clone(),
        };
        Apply {
            around,
            lease,
            parallelism: own.parallelism.max(1) as usize,
            stop: self.stop.clone(),
            progress: Arc::clone(&self.progress),
            world: drive.base.resources,
            journal: drive.journal,
            flight: Flight::default(),
            failed: Vec::new(),
        }
    }
}
