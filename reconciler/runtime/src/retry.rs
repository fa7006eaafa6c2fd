//! Trying again: the queue, with backoff and jitter.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::ports::QueueEntry;

use crate::error::RuntimeError;
use crate::reconcile::Reconciler;

/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(300);

/// A queued time further away than this comes from a clock that jumped, and counts as due.
const IMPLAUSIBLE: Duration = Duration::from_secs(3600);

/// Environments whose next try is due, and commits whose next try is not due yet. Another commit
/// does not wait for the tries of the one before.
pub(crate) struct Retries {
    pub(crate) due: BTreeSet<EnvironmentName>,
    pub(crate) waiting: BTreeSet<(EnvironmentName, CommitId)>,
}

impl Reconciler {
    /// What the queue says about tries.
    pub(crate) async fn retries(&self) -> Result<Retries, RuntimeError> {
        let now = self.ports.clock.now();
        let queue = self.ports.store.queue().await?;
        let (waiting, due): (Vec<_>, Vec<_>) = queue
            .into_iter()
            .partition(|entry| plausible(now, entry.not_before) > now);
        let waiting = waiting
            .into_iter()
            .map(|entry| (entry.environment, entry.commit));
        let due = due.into_iter().map(|entry| entry.environment).collect();
        Ok(Retries {
            due,
            waiting: waiting.collect(),
        })
    }

    /// Queues another try of an environment, at least `wait` from now.
    pub(crate) async fn enqueue(
        &self,
        environment: &EnvironmentName,
        commit: &CommitId,
        wait: Duration,
        reason: &str,
    ) -> Result<(), RuntimeError> {
        let now = self.ports.clock.now();
        let queue = self.ports.store.queue().await?;
        let before = queue.iter().find(|entry| entry.environment == *environment);
        let attempts = before.map_or(0, |entry| entry.attempts) + 1;
        // The old entry goes first: one with the same inputs would keep its earlier time.
        if let Some(before) = before {
            self.ports.store.ack(before).await?;
        }
        let entry = QueueEntry {
            environment: environment.clone(),
            commit: commit.clone(),
            inputs: commit.to_string(),
            reason: reason.to_owned(),
            not_before: later(now, self.backoff(wait, attempts)),
            attempts,
        };
        Ok(self.ports.store.push(&entry).await?)
    }

    /// Doubles with each attempt, up to five minutes, with up to a fifth of jitter.
    fn backoff(&self, wait: Duration, attempts: u32) -> Duration {
        let doubled = wait.saturating_mul(1 << attempts.saturating_sub(1).min(10));
        let capped = doubled.min(LONGEST).max(wait);
        capped + capped.mul_f64((self.ports.randomness.next() % 1000) as f64 / 5000.0)
    }

    /// An environment was looked at to its end: its tries are forgotten.
    pub(crate) async fn dequeue(&self, environment: &EnvironmentName) -> Result<(), RuntimeError> {
        let queue = self.ports.store.queue().await?;
        for entry in queue
            .iter()
            .filter(|entry| entry.environment == *environment)
        {
            self.ports.store.ack(entry).await?;
        }
        Ok(())
    }

    /// How long until a drift look or a queued try is due.
    pub(crate) async fn next_due(&self) -> Result<Duration, RuntimeError> {
        let now = self.ports.clock.now();
        let queue = self.ports.store.queue().await?;
        let queued = queue
            .into_iter()
            .map(|entry| plausible(now, entry.not_before));
        let rows = self.ports.store.environments().await?;
        let settings = self.cached().and_then(|head| head.settings.value.clone());
        let drift = rows
            .iter()
            .filter_map(|row| self.drift_due(settings.as_deref()?, row));
        let next = queued.chain(drift).chain(self.elsewhere_until()).min();
        Ok(next.map_or(self.options.poll, |at| {
            until(now, at).max(Duration::from_millis(10))
        }))
    }
}

/// A time that a jump of the clock did not put out of reach.
fn plausible(now: Timestamp, at: Timestamp) -> Timestamp {
    if at > later(now, IMPLAUSIBLE) {
        now
    } else {
        at
    }
}

/// `wait` after `at`.
pub(crate) fn later(at: Timestamp, wait: Duration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}
