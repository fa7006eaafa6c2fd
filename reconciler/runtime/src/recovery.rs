//! Which runs were begun and have not come to an end that their environment knows of: nothing else
//! is begun there before they have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};

use stratum_core::ids::{EnvironmentName, RunId};
use stratum_core::ports::{EnvironmentRow, RunOutcome};
use stratum_core::run::RunSummary;

use crate::error::RuntimeError;
use crate::progress::Progress;
use crate::reconcile::Reconciler;

/// What is known of runs that are not over.
#[derive(Default)]
pub(crate) struct Runs {
    /// Begun, and not settled.
    begun: BTreeMap<EnvironmentName, BTreeSet<RunId>>,
    /// Environments whose lease was just taken: its holder before may have left a run.
    taken_over: BTreeSet<EnvironmentName>,
}

/// So many runs of an environment are looked through.
const LAST: u32 = 20;

/// So many open runs are asked for at once.
const PAGE: u32 = 500;

impl Reconciler {
    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runs of an environment that are to come to their end.
    pub(crate) fn begun(&self, environment: &EnvironmentName) -> Vec<RunId> {
        let runs = self.runs();
        let begun = runs.begun.get(environment).into_iter().flatten();
        begun.cloned().collect()
    }

    /// A run begins.
    pub(crate) fn begins(&self, environment: &EnvironmentName, run: &RunId) {
        let mut runs = self.runs();
        let begun = runs.begun.entry(environment.clone()).or_default();
        begun.insert(run.clone());
    }

    /// The environment knows how a run ended.
    pub(crate) fn is_settled(&self, environment: &EnvironmentName, run: &RunId) {
        let mut runs = self.runs();
        if let Some(begun) = runs.begun.get_mut(environment) {
            begun.remove(run);
        }
        runs.begun.retain(|_, begun| !begun.is_empty());
    }

    /// The lease of an environment was taken.
    pub(crate) fn took_over(&self, environment: &EnvironmentName) {
        self.runs().taken_over.insert(environment.clone());
    }

    /// Finds, once for a process, what earlier ones left; no plan is read for it.
    pub(crate) async fn find_unfinished(
        &self,
        rows: &[EnvironmentRow],
    ) -> Result<(), RuntimeError> {
        let mut ended: BTreeMap<EnvironmentName, BTreeSet<RunId>> = BTreeMap::new();
        let mut after = None;
        loop {
            let open = self.ports.store.open_runs(after.as_ref(), PAGE).await?;
            let Some(last) = open.last() else { break };
            after = Some(last.id.clone());
            for run in open {
                match run.outcome {
                    None => self.begins(&run.environment, &run.id),
                    Some(_) => {
                        self.records.note(&run.id);
                        ended.entry(run.environment).or_default().insert(run.id);
                    }
                }
            }
        }
        let known: BTreeMap<_, _> = rows.iter().map(|row| (&row.name, row)).collect();
        for (environment, ended) in ended {
            let row = known.get(&environment).copied();
            let left = self.unsettled(&environment, row).await?;
            for run in left.iter().filter(|run| ended.contains(*run)) {
                self.begins(&environment, run);
            }
        }
        Ok(())
    }

    /// Where the lease was just taken: brings what its holder before left to its end. Answers
    /// whether there was anything.
    pub(crate) async fn end_what_others_began(
        self: &Arc<Self>,
        row: &EnvironmentRow,
    ) -> Result<bool, RuntimeError> {
        if !self.runs().taken_over.contains(&row.name) {
            return Ok(false);
        }
        let stored = self.ports.store.environment(&row.name).await?;
        let left = self.unsettled(&row.name, stored.as_ref()).await?;
        for run in &left {
            self.begins(&row.name, run);
            if let Some(left) = self.ports.store.journal(run).await? {
                let row = self.ports.store.environment(&row.name).await?;
                let report = self.resume(left, row).await?;
                (self.progress)(&Progress::Ended(report));
            }
            self.is_settled(&row.name, run);
        }
        self.runs().taken_over.remove(&row.name);
        Ok(!left.is_empty())
    }

    /// The runs that were begun after the last one that the environment knows of, oldest first.
    /// The order is that of the store, and not that of ids or times, which a clock decides.
    async fn unsettled(
        &self,
        environment: &EnvironmentName,
        row: Option<&EnvironmentRow>,
    ) -> Result<Vec<RunId>, RuntimeError> {
        let runs = self.ports.store.history(Some(environment), LAST).await?;
        let last = row.and_then(|row| row.last_run.as_ref());
        let known = last.map(|last| runs.iter().position(|run| run.id == *last));
        let since = match known {
            Some(Some(position)) => position,
            // What it knew of was thrown away: only what is open can be unsettled.
            Some(None) => 0,
            None => runs.len(),
        };
        let is_left = |(number, run): &(usize, RunSummary)| match run.outcome {
            None => true,
            Some(RunOutcome::Denied | RunOutcome::Nothing) => false,
            Some(RunOutcome::Applied | RunOutcome::RolledBack | RunOutcome::Stuck) => {
                *number < since
            }
        };
        let runs = runs.into_iter().enumerate().filter(is_left);
        let mut left: Vec<RunId> = runs.map(|(_, run)| run.id).collect();
        left.reverse();
        Ok(left)
    }
}
