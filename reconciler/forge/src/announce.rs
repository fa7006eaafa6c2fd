//! Tells the forge what became of a commit: a status at it, and a comment on its pull request.
//!
//! *Guarantees*: nothing here is part of a decision, and nothing waits for it. What could not be
//! told stays in the store and is told later, also by another process; what was told is not told
//! twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stratum_core::ids::{CommitId, EnvironmentName, RunId};
use stratum_core::ports::{
    Announcements, Clock, CommitState, CommitStatus, Forge, ForgeError, Retry, RunOutcome, Store,
    StoreError,
};
use stratum_core::record;
use stratum_core::run::{Run, RunSummary, Trigger};
use tokio::sync::Notify;

use crate::markdown::{OUTCOME, Outcome, outcome_comment};
use crate::notice::Notice;

/// What ended longer ago is not told any more.
const WINDOW: Duration = Duration::from_secs(3 * 24 * 3600);

/// A record that is not in git after this long is not waited for.
const RECORD: Duration = Duration::from_secs(60);

/// Runs that are read at once.
const AT_ONCE: u32 = 100;

/// Commits of one run whose pull requests are looked for.
const COMMITS: usize = 50;

/// The longest wait between two looks when nothing woke it.
const IDLE: Duration = Duration::from_secs(30);

/// The longest wait before something that failed is tried again.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Everything an announcer works with.
#[derive(Clone)]
pub struct Around {
    /// Where it is told.
    pub forge: Arc<dyn Forge>,
    /// What happened.
    pub store: Arc<dyn Store>,
    /// What was told.
    pub announcements: Arc<dyn Announcements>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Tells the forge what became of runs.
pub struct Announcer {
    around: Around,
    wake: Notify,
    /// Runs that could not be told, with the next try and the number of tries.
    failed: std::sync::Mutex<BTreeMap<RunId, (Timestamp, u32)>>,
    waiting: std::sync::atomic::AtomicU64,
    /// Why each environment last waited.
    stalls: std::sync::Mutex<BTreeMap<EnvironmentName, (CommitId, String)>>,
    notice: Notice,
}

impl Announcer {
    /// An announcer that was not started yet.
    pub fn new(around: Around) -> Arc<Self> {
        Arc::new(Self {
            around,
            wake: Notify::new(),
            failed: std::sync::Mutex::default(),
            waiting: std::sync::atomic::AtomicU64::new(0),
            stalls: std::sync::Mutex::default(),
            notice: Notice::default(),
        })
    }

    /// Something ended: have a look soon. Returns at once.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// How many runs wait to be told, as of the last look.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Says that a run began. What fails is logged and forgotten: its end is told in any case.
    pub async fn begun(&self, environment: &EnvironmentName, commit: &CommitId) {
        let status = CommitStatus {
            commit: commit.clone(),
            context: context(environment),
            state: CommitState::Pending,
            description: "it is being applied".to_owned(),
            target: None,
        };
        if let Err(error) = self.say(&status).await {
            tracing::info!(%error, %environment, "the forge was not told that a run began");
        }
    }

    /// Says why a commit is not tried at all, once for each reason. What fails is logged and
    /// forgotten: `status` says it too.
    pub async fn stalled(&self, environment: &EnvironmentName, commit: &CommitId, reason: &str) {
        let what = (commit.clone(), reason.to_owned());
        let before = self.stalls().insert(environment.clone(), what.clone());
        if before.as_ref() == Some(&what) {
            return;
        }
        let status = CommitStatus {
            commit: commit.clone(),
            context: context(environment),
            state: CommitState::Failure,
            description: reason.to_owned(),
            target: None,
        };
        if let Err(error) = self.say(&status).await {
            self.stalls().remove(environment);
            tracing::info!(%error, %environment, "the forge was not told why a commit waits");
        }
    }

    /// Says what is kept nowhere.
    async fn say(&self, status: &CommitStatus) -> Result<(), ForgeError> {
        let said = self.around.forge.status(status).await;
        let (book, now) = (self.around.announcements.as_ref(), self.around.clock.now());
        self.notice
            .on_the_way(book, now, &said, self.waiting())
            .await;
        said
    }

    fn stalls(&self) -> std::sync::MutexGuard<'_, BTreeMap<EnvironmentName, (CommitId, String)>> {
        self.stalls
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Tells what there is, and goes on until it is dropped.
    pub async fn run(&self) {
        loop {
            let wait = match self.tell_all().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, "what the forge was not told cannot be read");
                    IDLE
                }
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Tells every run that is due; answers how long nothing is.
    ///
    /// *Errors*: only those of the store; what the forge refused is logged and tried later.
    pub async fn tell_all(&self) -> Result<Duration, StoreError> {
        let now = self.around.clock.now();
        let since = now.checked_sub(WINDOW).unwrap_or(Timestamp::MIN);
        let announcements = &self.around.announcements;
        let waiting = announcements.unannounced(since, AT_ONCE).await?;
        self.failures()
            .retain(|id, _| waiting.iter().any(|run| run.id == *id));
        let mut left = waiting.len() as u64;
        let mut next = IDLE;
        let book = announcements.as_ref();
        for run in &waiting {
            if let Some(wait) = self.wait_for(run, now) {
                next = next.min(wait);
                continue;
            }
            match self.tell(run).await? {
                Ok(()) => {
                    announcements
                        .announced(&run.id, self.around.clock.now())
                        .await?;
                    self.failures().remove(&run.id);
                    left = left.saturating_sub(1);
                }
                Err(error) => {
                    next = next.min(self.note_failure(run, &error));
                    self.notice.failed(book, now, &error, left).await;
                    if matches!(error.retry(), Retry::Later(_)) {
                        // It is not this run: the others would wait as long for the same answer.
                        break;
                    }
                }
            }
        }
        self.waiting
            .store(left, std::sync::atomic::Ordering::Relaxed);
        let (is_failing, has_told) = (!self.failures().is_empty(), left < waiting.len() as u64);
        match (is_failing, has_told) {
            (true, _) => {}
            (false, true) => self.notice.over(book).await,
            (false, false) => self.notice.nothing_waits(book).await,
        }
        Ok(next.max(Duration::from_millis(100)))
    }

    /// How long a run is left alone: its record is on its way, or a try failed.
    fn wait_for(&self, run: &RunSummary, now: Timestamp) -> Option<Duration> {
        if let Some((at, _)) = self.failures().get(&run.id)
            && *at > now
        {
            return Some(Duration::try_from(at.duration_since(now)).unwrap_or(IDLE));
        }
        let has_record = run.record.is_some() || run.outcome == Some(RunOutcome::Denied);
        let ended = run.ended_at.unwrap_or(now);
        let patience = ended.checked_add(RECORD).unwrap_or(now);
        (!has_record && patience > now).then_some(Duration::from_secs(1))
    }

    fn note_failure(&self, run: &RunSummary, error: &ForgeError) -> Duration {
        let mut failed = self.failures();
        let tries = failed.get(&run.id).map_or(0, |(_, tries)| *tries) + 1;
        let least = match error.retry() {
            Retry::Later(wait) => wait,
            Retry::WhenInputChanges | Retry::NeedsPerson => Duration::from_secs(60),
        };
        let doubled = least.saturating_mul(1 << tries.saturating_sub(1).min(10));
        let wait = doubled.clamp(least, LONGEST.max(least));
        let at = self
            .around
            .clock
            .now()
            .checked_add(wait)
            .unwrap_or(Timestamp::MAX);
        failed.insert(run.id.clone(), (at, tries));
        tracing::warn!(run = %run.id, environment = %run.environment, %error, tries, "the forge was not told how a run ended; it is tried again");
        wait
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, BTreeMap<RunId, (Timestamp, u32)>> {
        self.failed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Tells one run: the status first, because it is what people wait for.
    async fn tell(&self, summary: &RunSummary) -> Result<Result<(), ForgeError>, StoreError> {
        let run = self
            .around
            .store
            .run(&summary.id)
            .await?
            .map(|stored| stored.run);
        Ok(self.tell_forge(summary, run.as_ref()).await)
    }

    async fn tell_forge(&self, summary: &RunSummary, run: Option<&Run>) -> Result<(), ForgeError> {
        let Some(outcome) = summary.outcome else {
            return Ok(());
        };
        let forge = &self.around.forge;
        let record = record_url(forge.as_ref(), summary, run);
        let status = CommitStatus {
            commit: summary.revision.clone(),
            context: context(&summary.environment),
            state: state(outcome),
            description: description(summary, outcome, run),
            target: record.clone(),
        };
        forge.status(&status).await?;
        // Drift is corrected long after a pull request was merged: nobody waits for it there.
        if summary.trigger == Trigger::Drift {
            return Ok(());
        }
        let told = Outcome {
            environment: &summary.environment,
            run: &summary.id,
            commit: &summary.revision,
            outcome,
            reason: &summary.reason,
            record,
        };
        let skipped = run.map(|run| run.skipped.as_slice()).unwrap_or_default();
        let commits = std::iter::once(&summary.revision).chain(skipped);
        let mut numbers = std::collections::BTreeSet::new();
        for commit in commits.take(COMMITS) {
            let pulls = forge.pulls(commit).await?;
            numbers.extend(
                pulls
                    .into_iter()
                    .filter(|pull| pull.merged)
                    .map(|pull| pull.number),
            );
        }
        for number in numbers {
            let wording = |before: Option<&str>| outcome_comment(&told, before);
            forge.comment(number, OUTCOME, &wording).await?;
        }
        Ok(())
    }
}

/// The context of the status of an environment.
pub fn context(environment: &EnvironmentName) -> String {
    format!("stratum/{environment}")
}

fn record_url(forge: &dyn Forge, summary: &RunSummary, run: Option<&Run>) -> Option<String> {
    let (commit, run) = (summary.record.as_ref()?, run?);
    Some(forge.file_url(commit, &record::path(run)))
}

fn state(outcome: RunOutcome) -> CommitState {
    match outcome {
        RunOutcome::Applied | RunOutcome::Nothing => CommitState::Success,
        RunOutcome::RolledBack | RunOutcome::Denied => CommitState::Failure,
        RunOutcome::Stuck => CommitState::Error,
    }
}

fn description(summary: &RunSummary, outcome: RunOutcome, run: Option<&Run>) -> String {
    match outcome {
        RunOutcome::Applied => match run.map(|run| run.plan().summary()) {
            Some(done) => format!(
                "applied: {} created, {} changed, {} replaced, {} deleted",
                done.create + done.adopt,
                done.update,
                done.replace,
                done.delete
            ),
            None => "applied".to_owned(),
        },
        RunOutcome::Nothing => "nothing to do".to_owned(),
        RunOutcome::RolledBack => format!("rolled back: {}", summary.reason),
        RunOutcome::Stuck => format!("stuck: {}", summary.reason),
        RunOutcome::Denied => format!("denied: {}", summary.reason),
    }
}
