//! What is kept from one process to the next: rows and tries, which set the schedule when it begins.

use std::time::Duration;

use stratum_core::condition::Condition;
use stratum_core::ports::EnvironmentRow;
use stratum_core::remembered::AGAIN;
use stratum_core::schedule::{Attempt, Cause, Key, When};

use super::Driver;
use crate::error::RuntimeError;
use crate::progress::EnvironmentReport;

/// The longest time that a try of an earlier process is waited for.
const LONGEST: Duration = Duration::from_secs(3600);

impl Driver {
    /// Takes in what an earlier process left: rows, tries, and runs that have not come to an end.
    pub(super) async fn prime(&mut self, rows: &[EnvironmentRow]) -> Result<(), RuntimeError> {
        let now = self.now();
        self.reconciler.runs.find_unfinished(rows).await?;
        let kept = self.reconciler.store.facts(AGAIN).await?;
        self.sayings.remember(kept);
        for row in rows {
            let key = Key::Environment(row.name.clone());
            let last = row.observed_at.unwrap_or(row.changed_at);
            // A look in the future is the work of a clock that jumped back: it counts as long ago.
            let ago = Duration::try_from(now.wall.duration_since(last)).unwrap_or(Duration::MAX);
            self.schedule.served(&key, Cause::DriftDue, ago, now);
            if let Some(every) = self.reconciler.heads.drift_every(row) {
                self.schedule
                    .set(&key, Cause::DriftDue, When::Every(every), now);
            }
            if let Some(due) = row.remembered.due
                && row.condition != Condition::Suspended
            {
                self.schedule
                    .set(&key, Cause::RenewalDue, When::At(due), now);
            }
            if !row.remembered.obstacles.is_empty() {
                self.obstructed.push(key);
            }
            self.aims.remember(row.name.clone());
        }
        for entry in self.reconciler.tries.kept().await? {
            let wait = Duration::try_from(entry.not_before.duration_since(now.wall));
            let attempt = Attempt {
                attempts: entry.attempts,
                // A time further away comes from a clock that jumped.
                wait: wait.unwrap_or_default().min(LONGEST),
            };
            let key = Key::Environment(entry.environment.clone());
            self.schedule.remember(&key, attempt, now);
            self.tried.insert(entry.environment, entry.attempts);
        }
        Ok(())
    }

    /// Keeps, for the time after a restart, how often an environment was tried without success.
    pub(super) async fn keep_tries(
        &mut self,
        report: &EnvironmentReport,
        attempt: Option<Attempt>,
    ) {
        let environment = &report.environment;
        let kept = match attempt {
            Some(attempt) => {
                let before = self.tried.insert(environment.clone(), attempt.attempts);
                if before == Some(attempt.attempts) {
                    return;
                }
                self.reconciler.tries.keep(report, attempt).await
            }
            None if self.tried.remove(environment).is_some() => {
                self.reconciler.tries.forget(environment).await
            }
            None => Ok(()),
        };
        if let Err(error) = kept {
            tracing::warn!(error = %error.sentence(), "the next try is not kept for a restart");
        }
    }
}
