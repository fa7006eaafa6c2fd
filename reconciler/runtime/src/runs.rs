//! Which runs were begun and have not come to an end that their environment knows of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stratum_core::ids::{EnvironmentName, RunId};
use stratum_core::ports::{EnvironmentRow, Journals, RunOutcome};
use stratum_core::run::RunSummary;

use crate::error::RuntimeError;
use crate::ports::Ports;
use crate::publish::Records;

/// What is known of runs that are not over.
pub(crate) struct Runs {
    journals: Arc<dyn Journals>,
    records: Arc<Records>,
    /// Begun, and not settled.
    begun: Mutex<Begun>,
}

type Begun = BTreeMap<EnvironmentName, BTreeSet<RunId>>;

/// So many runs of an environment are looked through.
const LAST: u32 = 20;

/// So many open runs are asked for at once.
const PAGE: u32 = 500;

impl Runs {
    pub(crate) fn new(ports: &Ports, records: &Arc<Records>) -> Self {
        Self {
            journals: ports.store.clone(),
            records: Arc::clone(records),
            begun: Mutex::default(),
        }
    }

    fn begun(&self) -> MutexGuard<'_, Begun> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runs of an environment that are to come to their end.
    pub(crate) fn of(&self, environment: &EnvironmentName) -> Vec<RunId> {
        let begun = self.begun();
        let own = begun.get(environment).into_iter().flatten();
        own.cloned().collect()
    }

    /// A run begins.
    pub(crate) fn begins(&self, environment: &EnvironmentName, run: &RunId) {
        let mut begun = self.begun();
        let own = begun.entry(environment.clone()).or_default();
        own.insert(run.clone());
    }

    /// The environment knows how a run ended.
    pub(crate) fn is_settled(&self, environment: &EnvironmentName, run: &RunId) {
        let mut begun = self.begun();
        if let Some(own) = begun.get_mut(environment) {
            own.remove(run);
        }
        begun.retain(|_, own| !own.is_empty());
    }

    /// Finds, once for a process, what earlier ones left; no plan is read for it.
    pub(crate) async fn find_unfinished(
        &self,
        rows: &[EnvironmentRow],
    ) -> Result<(), RuntimeError> {
        let mut ended: BTreeMap<EnvironmentName, BTreeSet<RunId>> = BTreeMap::new();
        let mut after = None;
        loop {
            let open = self.journals.open_runs(after.as_ref(), PAGE).await?;
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

    /// The runs that were begun after the last one that the environment knows of, oldest first.
    /// The order is that of the store, and not that of ids or times, which a clock decides.
    pub(crate) async fn unsettled(
        &self,
        environment: &EnvironmentName,
        row: Option<&EnvironmentRow>,
    ) -> Result<Vec<RunId>, RuntimeError> {
        let runs = self.journals.history(Some(environment), LAST).await?;
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
