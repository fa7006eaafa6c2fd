//! Which environments are worked on, several at once, each by one task.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use stratum_core::condition::Condition;
use stratum_core::finding::first_reason;
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::ports::{EnvironmentRow, Retry, Unfinished};
use stratum_core::record;
use tokio::task::JoinSet;

use crate::error::RuntimeError;
use crate::head::{Head, Target};
use crate::progress::{EnvironmentReport, Progress};
use crate::reconcile::Reconciler;

/// How many environments are worked on at once.
const AT_ONCE: usize = 4;

/// What is done about one environment.
enum Job {
    /// Look at it, and bring it to its commit.
    Look(Target),
    /// Go on with a run that an earlier process, or a full disk, left in the middle.
    Resume(Box<Unfinished>),
}

impl Job {
    fn environment(&self) -> &EnvironmentName {
        match self {
            Self::Look(target) => &target.environment,
            Self::Resume(left) => &left.run.environment,
        }
    }

    fn commit(&self) -> &CommitId {
        match self {
            Self::Look(target) => &target.commit,
            Self::Resume(left) => &left.run.revision.commit,
        }
    }
}

/// How one job ended.
struct Ended {
    report: EnvironmentReport,
    /// It was said before, and nothing is new about it.
    known: bool,
}

/// The tasks at work, and the jobs that wait for a free one.
#[derive(Default)]
pub(crate) struct Crew {
    tasks: JoinSet<Ended>,
    waiting: VecDeque<(Job, Option<EnvironmentRow>)>,
    busy: BTreeSet<EnvironmentName>,
}

impl Crew {
    pub(crate) fn is_idle(&self) -> bool {
        self.busy.is_empty()
    }

    fn add(&mut self, reconciler: &Arc<Reconciler>, job: Job, row: Option<EnvironmentRow>) {
        self.busy.insert(job.environment().clone());
        self.waiting.push_back((job, row));
        self.fill(reconciler);
    }

    fn fill(&mut self, reconciler: &Arc<Reconciler>) {
        while self.tasks.len() < AT_ONCE
            && let Some((job, row)) = self.waiting.pop_front()
        {
            let reconciler = Arc::clone(reconciler);
            self.tasks
                .spawn(async move { reconciler.do_job(job, row).await });
        }
    }

    async fn next(&mut self, reconciler: &Arc<Reconciler>) -> Option<EnvironmentReport> {
        loop {
            match self.tasks.join_next().await? {
                Ok(Ended { report, known }) => {
                    self.busy.remove(&report.environment);
                    self.fill(reconciler);
                    if !known {
                        (reconciler.progress)(&Progress::Ended(report.clone()));
                    }
                    return Some(report);
                }
                Err(error) => {
                    // A defect: which environment it was is not known, so all are looked at again.
                    tracing::error!(%error, "a look at an environment broke off");
                    self.busy.clear();
                }
            }
        }
    }

    /// Waits until one job ended; `false` at once when there is none.
    pub(crate) async fn one(&mut self, reconciler: &Arc<Reconciler>) -> bool {
        self.next(reconciler).await.is_some()
    }

    /// Waits until all jobs ended.
    pub(crate) async fn finish(&mut self, reconciler: &Arc<Reconciler>) -> Vec<EnvironmentReport> {
        let mut reports = Vec::new();
        while let Some(report) = self.next(reconciler).await {
            reports.push(report);
        }
        reports
    }
}

impl Reconciler {
    /// Puts every run that has not ended, and every ended one whose environment does not know yet,
    /// to work; with `every` also those that wait for their next try.
    pub(crate) async fn resume_unfinished(
        self: &Arc<Self>,
        crew: &mut Crew,
        every: bool,
    ) -> Result<(), RuntimeError> {
        let unfinished = self.ports.store.unfinished().await?;
        if unfinished.is_empty() {
            return Ok(());
        }
        let rows = self.rows().await?;
        let retries = self.retries().await?;
        for left in unfinished {
            let environment = left.run.environment.clone();
            let row = rows.get(&environment).cloned();
            let known = row.as_ref().and_then(|row| row.last_run.as_ref());
            let ended = record::outcome(&left.run.plan, &left.events).is_some();
            let settled = ended && known.is_some_and(|last| *last >= left.run.id);
            let commit = left.run.revision.commit.clone();
            let waits = !every
                && (retries.waiting.contains(&(environment.clone(), commit))
                    || self.is_elsewhere(&environment));
            if !settled && !waits && !crew.busy.contains(&environment) {
                crew.add(self, Job::Resume(Box::new(left)), row);
            }
        }
        Ok(())
    }

    async fn rows(&self) -> Result<BTreeMap<EnvironmentName, EnvironmentRow>, RuntimeError> {
        let rows = self.ports.store.environments().await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.name.clone(), row))
            .collect())
    }

    /// Puts every environment that needs a look to work, with `every` all of them, also those that
    /// wait for their next try; answers those that are stalled without a look.
    pub(crate) async fn look_around(
        self: &Arc<Self>,
        crew: &mut Crew,
        every: bool,
    ) -> Result<Vec<EnvironmentReport>, RuntimeError> {
        let (head, tips) = self.head().await?;
        let rows = self.rows().await?;
        let Some(settings) = head.settings.value.clone() else {
            return self.without_settings(&head, &rows).await;
        };
        let mut reports = self.forgotten(&head, &rows, crew).await?;
        self.begin_trust(&head, &rows);
        let retries = self.retries().await?;
        let begun = self.begun().await?;
        let free = head
            .environments
            .iter()
            .filter(|name| !crew.busy.contains(*name));
        let free: Vec<EnvironmentName> = free
            .filter(|name| !begun.contains(*name))
            .cloned()
            .collect();
        for environment in free {
            let row = rows.get(&environment);
            let target = match self.target(&environment, &settings, &head, &tips) {
                Ok(target) => target,
                Err(reason) => {
                    reports.extend(self.stall_once(&environment, row, reason).await?);
                    continue;
                }
            };
            let commit = target.commit.clone();
            let waits = !every
                && (retries.waiting.contains(&(environment.clone(), commit))
                    || self.is_elsewhere(&environment));
            let due = retries.due.contains(&environment);
            if !waits && (every || due || self.needs_look(&target, row)) {
                crew.add(self, Job::Look(target), row.cloned());
            }
        }
        Ok(reports)
    }

    /// Environments with a run that has not ended: nothing else is begun there before it has.
    async fn begun(&self) -> Result<BTreeSet<EnvironmentName>, RuntimeError> {
        let unfinished = self.ports.store.unfinished().await?;
        let open = unfinished
            .into_iter()
            .filter(|left| record::outcome(&left.run.plan, &left.events).is_none());
        Ok(open.map(|left| left.run.environment).collect())
    }

    /// Does one job; what may pass by itself is queued for another try.
    async fn do_job(self: Arc<Self>, job: Job, row: Option<EnvironmentRow>) -> Ended {
        let (environment, commit) = (job.environment().clone(), job.commit().clone());
        let result = match job {
            Job::Look(target) => self.look(&target, row.clone()).await,
            Job::Resume(left) => self.resume(*left, row.clone()).await,
        };
        let error = match result {
            Ok(report) => match self.dequeue(&environment).await {
                Ok(()) => {
                    return Ended {
                        report,
                        known: false,
                    };
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        let known = self.note_elsewhere(&error);
        let report = self.broke_off(environment, commit, row, error, known).await;
        Ended { report, known }
    }

    async fn broke_off(
        &self,
        environment: EnvironmentName,
        commit: CommitId,
        row: Option<EnvironmentRow>,
        error: RuntimeError,
        known: bool,
    ) -> EnvironmentReport {
        let reason = error.sentence();
        if !known {
            tracing::warn!(%environment, error = %reason, "the look broke off");
        }
        let interrupted = matches!(error, RuntimeError::Stopped | RuntimeError::Lease(_));
        if let (Retry::Later(wait), false) = (error.retry(), interrupted)
            && let Err(error) = self.enqueue(&environment, &commit, wait, &reason).await
        {
            tracing::warn!(error = %error.sentence(), "the next try could not be queued");
        }
        let mut row = row.unwrap_or_else(|| self.blank_row(&environment));
        // Where the commit could not be read, or not be written down, it was not looked at.
        if !matches!(error, RuntimeError::Repository(_) | RuntimeError::Audit(_)) {
            row.desired_revision = Some(commit.clone());
        }
        let mut report = crate::look::report_of(&row, Vec::new());
        report.condition = Condition::Stalled;
        report.reason.clone_from(&reason);
        report.commit = Some(commit);
        if !interrupted && !matches!(error, RuntimeError::Store(_)) {
            match self.stalled(row, reason, Vec::new()).await {
                Ok(written) => return written,
                Err(error) => tracing::warn!(error = %error.sentence(), "the reason is not kept"),
            }
        }
        report
    }

    /// `stratum.ncl` cannot be used: nothing is applied, and every environment says why.
    async fn without_settings(
        self: &Arc<Self>,
        head: &Head,
        rows: &BTreeMap<EnvironmentName, EnvironmentRow>,
    ) -> Result<Vec<EnvironmentReport>, RuntimeError> {
        let findings = &head.settings.findings;
        let reason = first_reason(findings);
        let mut reports = Vec::new();
        let mut rows: Vec<EnvironmentRow> = rows.values().cloned().collect();
        if rows.is_empty() {
            rows.push(self.blank_row(&EnvironmentName::repository()));
        }
        for mut row in rows {
            let tree = self.tree(&head.commit).await?;
            self.log_configuration(&head.commit, &row, &tree).await?;
            row.desired_revision = Some(head.commit.clone());
            let known = row.condition == Condition::Stalled && row.reason == reason;
            let report = self.stalled(row, reason.clone(), findings.clone()).await?;
            reports.extend((!known).then_some(report));
        }
        Ok(reports)
    }

    /// Environments that the state has and the settings no longer name: nothing is deleted.
    async fn forgotten(
        &self,
        head: &Head,
        rows: &BTreeMap<EnvironmentName, EnvironmentRow>,
        crew: &Crew,
    ) -> Result<Vec<EnvironmentReport>, RuntimeError> {
        let mut reports = Vec::new();
        let named = |name: &EnvironmentName| head.environments.contains(name);
        for (environment, row) in rows.iter().filter(|(name, _)| !named(name)) {
            let count = self.ports.store.base(environment).await?.resources.len();
            if count > 0 && !crew.busy.contains(environment) {
                let reason = format!(
                    "`stratum.ncl` no longer names it, and its {count} resources are still there; \
                     name it again, with `empty = true` and no resources if they shall go"
                );
                reports.extend(self.stall_once(environment, Some(row), reason).await?);
            }
        }
        Ok(reports)
    }

    /// Stalls an environment for a reason outside its files; `None` when it says so already.
    async fn stall_once(
        &self,
        environment: &EnvironmentName,
        row: Option<&EnvironmentRow>,
        reason: String,
    ) -> Result<Option<EnvironmentReport>, RuntimeError> {
        let row = row.cloned().unwrap_or_else(|| self.blank_row(environment));
        if row.condition == Condition::Stalled && row.reason == reason {
            return Ok(None);
        }
        // It is at no commit now: when it is there again, at whatever commit, it is looked at.
        let row = EnvironmentRow {
            desired_revision: None,
            ..row
        };
        self.stalled(row, reason, Vec::new()).await.map(Some)
    }
}
