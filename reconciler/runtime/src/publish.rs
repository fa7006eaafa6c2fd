//! Records into git: once for each run, together with the others that wait, and beside the work.
//!
//! A run that ended is noted here and nothing waits for it. One task gathers what was noted and
//! writes it as one commit; what fails is tried again by that task alone. `--once` writes at its
//! end.

mod chain;
mod keeping;
mod kept;
mod waits;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use stratum_core::ids::{BranchName, CommitId, RunId};
use stratum_core::journal::Event;
use stratum_core::ports::{
    Clock, Entry, Publication, Repository, RepositoryError, Retry, Store, Unfinished,
};
use stratum_core::record;
use tokio::sync::Notify;

use crate::blocking::Blocking;
use crate::charter::Heads;
use crate::error::RuntimeError;
use crate::lease::OwnLeases;
use crate::ports::Ports;
use crate::progress::{Progress, ProgressSink};

use keeping::Keeping;

/// How many records become one commit.
const TOGETHER: usize = 500;
/// How long a record waits for others of the same push.
const GATHER: Duration = Duration::from_millis(40);
/// How long it waits at most while other runs are in flight.
const LONGEST_GATHER: Duration = Duration::from_secs(5);
/// At most this often are loose objects packed.
const TIDYING: Duration = Duration::from_secs(30);
/// How often whoever looks once tries.
const TRIES: u32 = 3;
/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(60);

/// Writes records into git.
pub(crate) struct Records {
    store: Arc<dyn Store>,
    repository: Arc<dyn Repository>,
    clock: Arc<dyn Clock>,
    blocking: Blocking,
    progress: ProgressSink,
    leases: Arc<OwnLeases>,
    heads: Arc<Heads>,
    /// Those that wait.
    state: Mutex<State>,
    came: Notify,
    /// One at a time.
    busy: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Whether the state was asked what an earlier process left.
    known: bool,
    waiting: BTreeSet<RunId>,
    /// Runs that are being carried out.
    running: usize,
    attempts: u32,
    /// What was said last of why they wait, and since when they do.
    told: Option<(String, Timestamp)>,
    /// Whether it is known that the state says nothing of records that wait.
    clear: bool,
    /// Runs were applied, so other commits are to be kept.
    moved: bool,
    keeping: Keeping,
    /// Since it was packed last, runs were applied.
    untidy: bool,
}

impl State {
    /// Whether there is something to keep or to pack.
    fn has_more(&self) -> bool {
        self.untidy || self.moved
    }
}

/// A run is being carried out while this lives.
pub(crate) struct Running<'r>(&'r Records);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.running = state.running.saturating_sub(1);
    }
}

impl Records {
    pub(crate) fn new(
        ports: &Ports,
        blocking: Blocking,
        progress: &ProgressSink,
        (leases, heads): (&Arc<OwnLeases>, &Arc<Heads>),
    ) -> Self {
        Self {
            store: Arc::clone(&ports.store),
            repository: Arc::clone(&ports.repository),
            clock: Arc::clone(&ports.clock),
            blocking,
            progress: Arc::clone(progress),
            leases: Arc::clone(leases),
            heads: Arc::clone(heads),
            state: Mutex::default(),
            came: Notify::new(),
            busy: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run ended, or was refused: its record is to be written.
    pub(crate) fn note(&self, run: &RunId) {
        let mut state = self.state();
        state.waiting.insert(run.clone());
        state.moved = true;
        drop(state);
        self.came.notify_one();
    }

    /// Environments came to another commit, which is to be kept alive.
    pub(crate) fn applied_moved(&self) {
        self.state().moved = true;
        self.came.notify_one();
    }

    fn done(&self, run: &RunId) {
        self.state().waiting.remove(run);
    }

    fn next(&self) -> Vec<RunId> {
        self.state()
            .waiting
            .iter()
            .take(TOGETHER)
            .cloned()
            .collect()
    }
}

/// What became of one try.
enum Tried {
    /// Nothing waits any more.
    Nothing,
    /// What waits is tried again after this.
    Waits(Duration),
}

impl Records {
    /// Says that a run is being carried out, so that records wait a little for its own.
    pub(crate) fn running(&self) -> Running<'_> {
        self.state().running += 1;
        Running(self)
    }

    /// Writes what is noted, and what was left before, until it is dropped.
    pub(crate) async fn keep_publishing(&self) {
        let mut tidied_at = None;
        loop {
            tidied_at = self.keep_applied(tidied_at).await;
            let later = self.clock.sleep(TIDYING);
            match self.publish_waiting().await {
                Tried::Nothing if self.state().has_more() => tokio::select! {
                    () = self.came.notified() => {}
                    () = later => {}
                },
                Tried::Nothing => self.came.notified().await,
                Tried::Waits(wait) => self.clock.sleep(wait).await,
            }
            self.gather().await;
        }
    }

    /// Writes everything that waits, once.
    pub(crate) async fn publish_once(&self) {
        for _ in 0..TRIES {
            match self.publish_waiting().await {
                // Others write there too, at this moment.
                Tried::Waits(wait) if wait <= Duration::from_secs(2) => {
                    self.clock.sleep(wait / 4).await;
                }
                Tried::Waits(_) | Tried::Nothing => break,
            }
        }
        let _kept = self.keep_applied(None).await;
    }

    /// Waits a moment, and while runs are in flight a little longer: what one push changed in many
    /// environments becomes one commit.
    async fn gather(&self) {
        let mut waited = Duration::ZERO;
        loop {
            self.clock.sleep(GATHER).await;
            waited += GATHER;
            let state = self.state();
            let enough = state.waiting.len() >= TOGETHER || waited >= LONGEST_GATHER;
            if state.running == 0 || enough {
                return;
            }
        }
    }

    async fn publish_waiting(&self) -> Tried {
        let _turn = self.busy.lock().await;
        let result = self.publish_all().await;
        let error = match result {
            Ok(()) => {
                self.state().attempts = 0;
                self.no_longer_waits().await;
                return Tried::Nothing;
            }
            Err(error) => error,
        };
        self.say_waits(&error).await;
        let mut state = self.state();
        state.attempts = state.attempts.saturating_add(1);
        let doubled =
            first_wait(&error).saturating_mul(1 << state.attempts.min(7).saturating_sub(1));
        Tried::Waits(doubled.clamp(Duration::from_secs(1), LONGEST))
    }

    async fn publish_all(&self) -> Result<(), RuntimeError> {
        self.learn().await?;
        loop {
            let runs = self.next();
            if runs.is_empty() {
                return Ok(());
            }
            let branch = self.heads.record_branch();
            self.look_at_chain(&branch).await?;
            let made = self.publications(&runs, &branch).await?;
            if !made.is_empty() {
                self.write(&branch, made).await?;
            }
        }
    }

    /// The refusals that an earlier process left; runs that it left are noted where they are found.
    async fn learn(&self) -> Result<(), RuntimeError> {
        if self.state().known {
            return Ok(());
        }
        let waiting = self.kept_refusals().await?;
        let mut state = self.state();
        state.waiting.extend(waiting);
        (state.known, state.moved) = (true, true);
        Ok(())
    }

    /// What is to be written for these runs; those for which nothing is are struck out.
    async fn publications(
        &self,
        runs: &[RunId],
        branch: &BranchName,
    ) -> Result<Vec<Publication>, RuntimeError> {
        let mut made = Vec::new();
        for run in runs {
            let stored = self.store.run(run).await?;
            let ended = stored.and_then(|stored| publication(&stored, branch));
            let publication = match ended {
                Some(publication) => Some(publication),
                None => self.kept_refusal(run, branch).await?,
            };
            match publication {
                Some(publication) => made.push(publication),
                None => self.done(run),
            }
        }
        Ok(made)
    }

    async fn write(&self, branch: &BranchName, made: Vec<Publication>) -> Result<(), RuntimeError> {
        let made = Arc::new(made);
        let (repository, given) = (Arc::clone(&self.repository), Arc::clone(&made));
        let written = self
            .blocking
            .run(move || Ok(repository.publish_many(&given)?))
            .await;
        let commits = match written {
            // One that cannot be written must not keep the others.
            Err(RuntimeError::Repository(RepositoryError::Git { .. })) if made.len() > 1 => {
                self.one_by_one(&made).await?
            }
            written => written?,
        };
        if let Some(last) = commits.last() {
            self.remember_last(branch, last).await?;
        }
        // Together: they share the flushes of the disk.
        let written = made.iter().zip(commits);
        let noting = written.map(|(one, commit)| self.recorded(&one.run, commit));
        let noted = join_all(noting).await;
        noted.into_iter().collect()
    }

    async fn one_by_one(&self, made: &[Publication]) -> Result<Vec<CommitId>, RuntimeError> {
        let mut commits = Vec::new();
        for publication in made {
            let (repository, given) = (Arc::clone(&self.repository), publication.clone());
            let written = self.blocking.run(move || Ok(repository.publish(&given)?));
            commits.push(written.await?);
        }
        Ok(commits)
    }

    /// The record of a run is in git: that is written down, and it waits no longer.
    async fn recorded(&self, run: &RunId, commit: CommitId) -> Result<(), RuntimeError> {
        if !self.refusal_is_recorded(run, &commit).await? {
            self.run_is_recorded(run, &commit).await?;
        }
        self.done(run);
        let run = run.clone();
        (self.progress)(&Progress::Recorded { run, commit });
        Ok(())
    }

    async fn run_is_recorded(&self, run: &RunId, commit: &CommitId) -> Result<(), RuntimeError> {
        let Some(stored) = self.store.run(run).await? else {
            return Ok(());
        };
        let lease = self.leases.of(&stored.run.environment).await?;
        let event = Event::Recorded {
            commit: commit.clone(),
        };
        let entry = Entry {
            at: self.clock.now(),
            event,
            change: None,
        };
        self.leases
            .fenced(self.store.append(&lease, run, vec![entry]).await)
    }
}

/// How long the first try after a failure waits: what needs a person may be seen to at any time.
fn first_wait(error: &RuntimeError) -> Duration {
    match error.retry() {
        Retry::Later(wait) => wait.min(Duration::from_secs(5)),
        Retry::WhenInputChanges | Retry::NeedsPerson => Duration::from_secs(5),
    }
}

/// The record of a run that ended and is not yet in git.
fn publication(stored: &Unfinished, branch: &BranchName) -> Option<Publication> {
    let Unfinished { run, events } = stored;
    if events
        .iter()
        .any(|(_, event)| matches!(event, Event::Recorded { .. }))
    {
        return None;
    }
    let outcome = record::outcome(run.plan(), events)?;
    let line = record::line(run.about(), &outcome);
    let markdown = record::markdown(run.about(), &outcome, events);
    Some(Publication {
        run: run.id.clone(),
        branch: branch.clone(),
        from: None,
        files: vec![(record::path(run), markdown.into_bytes())],
        message: line.clone(),
        at: outcome.ended_at,
        note: Some((run.revision.commit.clone(), line)),
    })
}
