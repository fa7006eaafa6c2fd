//! The loop over all environments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use stratum_core::condition::Condition;
use stratum_core::finding::Finding;
use stratum_core::ids::{BranchName, CommitId, EnvironmentName};
use stratum_core::ports::{
    EnvironmentRow, Lease, Loaded, QueueEntry, RepositoryError, Retry, Tips,
};
use stratum_core::settings::{EnvironmentSettings, Settings};
use tokio::task::JoinSet;

use crate::error::RuntimeError;
use crate::ports::Ports;
use crate::progress::{EnvironmentReport, Progress, ProgressSink};
use crate::site::Roots;
use crate::stop::Stop;

/// How many environments are worked on at once.
const ENVIRONMENTS_AT_ONCE: usize = 4;

/// Tells whether the holder of a lease still lives; `None` when it cannot be told.
pub type Alive = Arc<dyn Fn(&str) -> Option<bool> + Send + Sync>;

/// How a reconciler works.
#[derive(Clone)]
pub struct Options {
    /// Who holds leases: `host boot pid start`.
    pub holder: String,
    /// Whether another holder still lives.
    pub alive: Alive,
    /// Where local resources lie.
    pub roots: Roots,
    /// The longest time between two looks at the refs.
    pub poll: Duration,
    /// How long a lease lives when nobody can tell whether its holder does.
    pub lease_ttl: Duration,
}

/// Watches, plans, judges, applies, records.
pub struct Reconciler {
    pub(crate) ports: Ports,
    pub(crate) options: Options,
    pub(crate) progress: ProgressSink,
    pub(crate) stop: Stop,
    leases: Mutex<BTreeMap<EnvironmentName, Lease>>,
    read: Mutex<Option<Arc<Head>>>,
}

/// What the repository's HEAD says.
pub(crate) struct Head {
    pub(crate) commit: CommitId,
    pub(crate) settings: Loaded<Arc<Settings>>,
    pub(crate) environments: Vec<EnvironmentName>,
}

/// One environment, and the commit it should come to.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) environment: EnvironmentName,
    pub(crate) settings: Arc<Settings>,
    pub(crate) commit: CommitId,
}

impl Target {
    /// The settings of the environment; `repository` has the defaults.
    pub(crate) fn own(&self) -> EnvironmentSettings {
        self.settings
            .environments
            .get(&self.environment)
            .cloned()
            .unwrap_or_default()
    }
}

impl Reconciler {
    /// A reconciler over these ports.
    pub fn new(ports: Ports, options: Options, progress: ProgressSink, stop: Stop) -> Arc<Self> {
        Arc::new(Self {
            ports,
            options,
            progress,
            stop,
            leases: Mutex::default(),
            read: Mutex::default(),
        })
    }

    /// Finishes what was begun, looks at every environment once, and ends.
    ///
    /// *Errors*: what kept all environments from being looked at. What went wrong with one is in
    /// its report.
    pub async fn run_once(self: &Arc<Self>) -> Result<Vec<EnvironmentReport>, RuntimeError> {
        self.recover().await?;
        let reports = match self.pass(true).await {
            Ok(reports) => reports,
            Err(error) => {
                self.release_all().await;
                return Err(error);
            }
        };
        self.publish_all().await;
        self.release_all().await;
        Ok(reports)
    }

    /// Watches until it is told to stop.
    ///
    /// *Errors*: only what cannot pass by itself; everything else is said and tried again.
    pub async fn run(self: &Arc<Self>) -> Result<(), RuntimeError> {
        let mut first = true;
        while !self.stop.is_stopped() {
            let result = match first {
                true => self.recover().await,
                false => Ok(()),
            };
            let result = match result {
                Ok(()) => self.pass(first).await,
                Err(error) => Err(error),
            };
            first = false;
            let mut wait = self.options.poll;
            match result {
                Ok(_) => self.publish_all().await,
                Err(RuntimeError::Stopped) => break,
                Err(error) => wait = self.trouble(error)?.min(wait),
            }
            wait = wait.min(self.next_due().await);
            tokio::select! {
                () = self.ports.wake.wait(wait) => {}
                () = self.stop.stopped() => {}
            }
        }
        self.release_all().await;
        Ok(())
    }

    /// Says what went wrong, and how long to wait before the next try.
    fn trouble(&self, error: RuntimeError) -> Result<Duration, RuntimeError> {
        match error.retry() {
            Retry::Later(wait) => {
                tracing::warn!(error = %error.sentence(), "will be tried again");
                (self.progress)(&Progress::Trouble(error.sentence()));
                Ok(wait)
            }
            Retry::WhenInputChanges => {
                tracing::warn!(error = %error.sentence(), "waiting for another input");
                (self.progress)(&Progress::Trouble(error.sentence()));
                Ok(self.options.poll)
            }
            Retry::NeedsPerson => Err(error),
        }
    }

    /// Looks at every environment that needs it.
    async fn pass(self: &Arc<Self>, every: bool) -> Result<Vec<EnvironmentReport>, RuntimeError> {
        let (head, tips) = self.head().await?;
        let rows = self.ports.store.environments().await?;
        let rows: BTreeMap<EnvironmentName, EnvironmentRow> = rows
            .into_iter()
            .map(|row| (row.name.clone(), row))
            .collect();
        let Some(settings) = head.settings.value.clone() else {
            return self.without_settings(&head, rows).await;
        };
        let mut reports = self.forgotten(&head, &rows).await?;
        let mut work = Vec::new();
        let (due, waiting) = self.retries().await?;
        for environment in &head.environments {
            let row = rows.get(environment);
            match self.target(environment, &settings, &tips) {
                Ok(target) if waiting.contains(&(environment.clone(), target.commit.clone())) => {
                    tracing::debug!(environment = %target.environment, "waits for its next try");
                }
                Ok(target)
                    if every || due.contains(environment) || self.needs_look(&target, row) =>
                {
                    work.push((target, row.cloned()));
                }
                Ok(_) => {}
                Err(reason) => reports.push(self.stall(environment, row, None, reason).await?),
            }
        }
        reports.extend(self.work(work).await);
        Ok(reports)
    }

    /// Environments whose next try is due, and commits whose next try is not due yet. Another
    /// commit does not wait for the tries of the one before.
    async fn retries(
        &self,
    ) -> Result<
        (
            BTreeSet<EnvironmentName>,
            BTreeSet<(EnvironmentName, CommitId)>,
        ),
        RuntimeError,
    > {
        let now = self.ports.clock.now();
        let queue = self.ports.store.queue().await?;
        let (waiting, due): (Vec<_>, Vec<_>) =
            queue.into_iter().partition(|entry| entry.not_before > now);
        let due = due.into_iter().map(|entry| entry.environment).collect();
        let waiting = waiting
            .into_iter()
            .map(|entry| (entry.environment, entry.commit));
        Ok((due, waiting.collect()))
    }

    async fn work(
        self: &Arc<Self>,
        work: Vec<(Target, Option<EnvironmentRow>)>,
    ) -> Vec<EnvironmentReport> {
        let mut tasks = JoinSet::new();
        let mut reports = Vec::new();
        let mut work = work.into_iter();
        loop {
            while tasks.len() < ENVIRONMENTS_AT_ONCE
                && let Some((target, row)) = work.next()
            {
                let own = Arc::clone(self);
                tasks.spawn(async move { own.look_or_retry(target, row).await });
            }
            match tasks.join_next().await {
                Some(Ok(report)) => {
                    (self.progress)(&Progress::Ended(report.clone()));
                    reports.push(report);
                }
                Some(Err(error)) => tracing::error!(%error, "a look at an environment broke off"),
                None => break,
            }
        }
        reports.sort_by(|a, b| a.environment.cmp(&b.environment));
        reports
    }

    /// Looks at one environment; what may pass by itself is queued for another try.
    async fn look_or_retry(
        self: Arc<Self>,
        target: Target,
        row: Option<EnvironmentRow>,
    ) -> EnvironmentReport {
        let error = match self.look(&target, row.clone()).await {
            Ok(report) => {
                self.dequeue(&target).await;
                return report;
            }
            Err(error) => error,
        };
        let reason = error.sentence();
        tracing::warn!(environment = %target.environment, error = %reason, "the look failed");
        if let Retry::Later(wait) = error.retry()
            && let Err(error) = self.enqueue(&target, wait, &reason).await
        {
            tracing::warn!(error = %error.sentence(), "the next try could not be queued");
        }
        let fallback = self.report(&target.environment, Some(&target.commit), reason.clone());
        match error {
            RuntimeError::Lease(_) | RuntimeError::Stopped | RuntimeError::Store(_) => fallback,
            RuntimeError::Repository(_)
            | RuntimeError::Load(_)
            | RuntimeError::Gate(_)
            | RuntimeError::Journal(_)
            | RuntimeError::NoProvider { .. }
            | RuntimeError::TaskEnded => {
                let stalled = self.stall(&target.environment, row.as_ref(), Some(&target), reason);
                stalled.await.unwrap_or(fallback)
            }
        }
    }

    pub(crate) fn report(
        &self,
        environment: &EnvironmentName,
        commit: Option<&CommitId>,
        reason: String,
    ) -> EnvironmentReport {
        EnvironmentReport {
            environment: environment.clone(),
            condition: Condition::Stalled,
            reason,
            commit: commit.cloned(),
            run: None,
            outcome: None,
            findings: Vec::new(),
        }
    }

    async fn enqueue(
        &self,
        target: &Target,
        wait: Duration,
        reason: &str,
    ) -> Result<(), RuntimeError> {
        let now = self.ports.clock.now();
        let queue = self.ports.store.queue().await?;
        let before = queue
            .iter()
            .find(|entry| entry.environment == target.environment);
        let attempts = before.map_or(0, |entry| entry.attempts) + 1;
        let entry = QueueEntry {
            environment: target.environment.clone(),
            commit: target.commit.clone(),
            inputs: target.commit.to_string(),
            reason: reason.to_owned(),
            not_before: later(now, self.backoff(wait, attempts)),
            attempts,
        };
        Ok(self.ports.store.push(&entry).await?)
    }

    /// Doubles with each attempt, up to five minutes, with up to a fifth of jitter.
    fn backoff(&self, wait: Duration, attempts: u32) -> Duration {
        let doubled = wait.saturating_mul(1 << attempts.saturating_sub(1).min(10));
        let capped = doubled.min(Duration::from_secs(300)).max(wait);
        capped + capped.mul_f64((self.ports.randomness.next() % 1000) as f64 / 5000.0)
    }

    async fn dequeue(&self, target: &Target) {
        let queue = match self.ports.store.queue().await {
            Ok(queue) => queue,
            Err(error) => return tracing::warn!(%error, "the queue could not be read"),
        };
        for entry in queue
            .iter()
            .filter(|entry| entry.environment == target.environment)
        {
            if let Err(error) = self.ports.store.ack(entry).await {
                tracing::warn!(%error, "the queue could not be written");
            }
        }
    }

    /// How long until a drift look or a queued try is due.
    async fn next_due(&self) -> Duration {
        let now = self.ports.clock.now();
        let queued = self.ports.store.queue().await.unwrap_or_default();
        let queued = queued.into_iter().map(|entry| entry.not_before);
        let rows = self.ports.store.environments().await.unwrap_or_default();
        let settings = self.cached().and_then(|head| head.settings.value.clone());
        let drift = rows
            .iter()
            .filter_map(|row| self.drift_due(settings.as_deref()?, row));
        let next = queued.chain(drift).min();
        match next {
            Some(at) => until(now, at).max(Duration::from_millis(10)),
            None => self.options.poll,
        }
    }

    /// The branch that records go to.
    pub(crate) fn record_branch(&self) -> BranchName {
        let settings = self.cached().and_then(|head| head.settings.value.clone());
        settings.map_or_else(BranchName::records, |settings| {
            settings.records.branch.clone()
        })
    }

    fn cached(&self) -> Option<Arc<Head>> {
        self.read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What HEAD says; read again only when HEAD moved.
    pub(crate) async fn head(self: &Arc<Self>) -> Result<(Arc<Head>, Tips), RuntimeError> {
        let own = Arc::clone(self);
        blocking(move || own.read_head()).await
    }

    fn read_head(&self) -> Result<(Arc<Head>, Tips), RuntimeError> {
        let repository = &self.ports.repository;
        let tips = repository.tips()?;
        let commit = match tips
            .head
            .as_ref()
            .and_then(|branch| tips.branches.get(branch))
        {
            Some(commit) => commit.clone(),
            None => match tips.head.as_ref() {
                Some(branch) => {
                    return Err(RepositoryError::NoSuchRevision {
                        name: branch.to_string(),
                    }
                    .into());
                }
                None => repository.resolve("HEAD")?,
            },
        };
        if let Some(head) = self.cached().filter(|head| head.commit == commit) {
            return Ok((head, tips));
        }
        let tree = repository.tree(&commit)?;
        let loaded = self.ports.loader.settings(tree.as_ref())?;
        let settings = Loaded {
            value: loaded.value.map(Arc::new),
            findings: loaded.findings,
        };
        let environments = match &settings.value {
            Some(settings) => self.ports.loader.environments(tree.as_ref(), settings)?,
            None => Vec::new(),
        };
        let head = Arc::new(Head {
            commit,
            settings,
            environments,
        });
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&head));
        Ok((head, tips))
    }

    fn target(
        &self,
        environment: &EnvironmentName,
        settings: &Arc<Settings>,
        tips: &Tips,
    ) -> Result<Target, String> {
        let own = settings.environments.get(environment);
        let branch = own
            .and_then(|own| own.branch.as_ref())
            .or(tips.head.as_ref());
        let commit = match branch {
            Some(branch) => tips.branches.get(branch).cloned().ok_or_else(|| {
                format!("its branch `{branch}` is not in the repository; push it, or name another")
            })?,
            None => self
                .cached()
                .map(|head| head.commit.clone())
                .ok_or("HEAD has no commit")?,
        };
        Ok(Target {
            environment: environment.clone(),
            settings: Arc::clone(settings),
            commit,
        })
    }

    /// `stratum.ncl` cannot be used: nothing is applied, and every environment says why.
    async fn without_settings(
        &self,
        head: &Head,
        rows: BTreeMap<EnvironmentName, EnvironmentRow>,
    ) -> Result<Vec<EnvironmentReport>, RuntimeError> {
        let findings = &head.settings.findings;
        let reason = first_reason(findings);
        let mut reports = Vec::new();
        for (environment, row) in &rows {
            let mut row = row.clone();
            row.desired_revision = Some(head.commit.clone());
            let mut report = self
                .stall(environment, Some(&row), None, reason.clone())
                .await?;
            report.findings = findings.clone();
            reports.push(report);
        }
        if reports.is_empty() {
            (self.progress)(&Progress::Trouble(reason.clone()));
            let environment = EnvironmentName::repository();
            let mut report = self.report(&environment, Some(&head.commit), reason);
            report.findings = findings.clone();
            reports.push(report);
        }
        Ok(reports)
    }

    /// Environments that the state has and the settings no longer name: nothing is deleted.
    async fn forgotten(
        &self,
        head: &Head,
        rows: &BTreeMap<EnvironmentName, EnvironmentRow>,
    ) -> Result<Vec<EnvironmentReport>, RuntimeError> {
        let mut reports = Vec::new();
        for (environment, row) in rows
            .iter()
            .filter(|(name, _)| !head.environments.contains(name))
        {
            let count = self.ports.store.base(environment).await?.resources.len();
            if count > 0 {
                let reason = format!(
                    "`stratum.ncl` no longer names it, and its {count} resources are still there; \
                     name it again, with `empty = true` and no files if they shall go"
                );
                reports.push(self.stall(environment, Some(row), None, reason).await?);
            }
        }
        Ok(reports)
    }

    /// The lease of an environment: kept once it was given.
    pub(crate) async fn lease(&self, environment: &EnvironmentName) -> Result<Lease, RuntimeError> {
        if let Some(lease) = self.held(environment) {
            return Ok(lease);
        }
        let alive = |holder: &str| (self.options.alive)(holder);
        let now = self.ports.clock.now();
        let (holder, ttl) = (&self.options.holder, self.options.lease_ttl);
        let lease = self
            .ports
            .store
            .acquire(environment, holder, now, ttl, &alive)
            .await?;
        self.leases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(environment.clone(), lease.clone());
        Ok(lease)
    }

    fn held(&self, environment: &EnvironmentName) -> Option<Lease> {
        let held = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(environment).cloned()
    }

    /// Forgets a lease that was lost to another process.
    pub(crate) fn lost(&self, environment: &EnvironmentName) {
        self.leases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(environment);
    }

    async fn release_all(&self) {
        let held = std::mem::take(&mut *self.leases.lock().unwrap_or_else(PoisonError::into_inner));
        for lease in held.values() {
            if let Err(error) = self.ports.store.release(lease).await {
                tracing::warn!(%error, environment = %lease.environment, "a lease was not released");
            }
        }
    }
}

/// Runs blocking work off the event loop.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| RuntimeError::TaskEnded)?
}

/// The first error among findings, as a reason with its place.
pub(crate) fn first_reason(findings: &[Finding]) -> String {
    let errors: Vec<&Finding> = findings
        .iter()
        .filter(|finding| finding.is_error())
        .collect();
    let Some(first) = errors.first() else {
        return "its files could not be read".to_owned();
    };
    let place = first
        .source
        .as_ref()
        .map(|source| format!("{source}: "))
        .unwrap_or_default();
    let more = match errors.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    format!("{place}{} [{}]{more}", first.message, first.code)
}

pub(crate) fn later(at: Timestamp, wait: Duration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}
