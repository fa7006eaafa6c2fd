//! The state store in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::ids::{Address, BranchName, CommitId, EnvironmentName, RunId};
use stratum_core::ports::{
    Advance, Base, Clock, Entry, EnvironmentRow, EvaluationCache, FactChange, Facts, Fronts,
    Journals, Lease, Life, Observation, Observations, OpenRun, QueueEntry, States, StoreError,
    Unfinished, Work,
};
use stratum_core::run::{Run, RunSummary};

use super::state::{State, is_open};

/// A state store that forgets everything when it and all its [`MemoryStore::another`] are dropped.
///
/// *Guarantees*: behaves as the one in SQLite does; both pass [`super::conforms`].
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    /// Which handle this is.
    number: u64,
    clock: Option<Arc<dyn Clock>>,
    failures: Failures,
}

/// Writes that will fail, in order; of whichever handle.
type Failures = Arc<Mutex<VecDeque<StoreError>>>;

impl Default for MemoryStore {
    fn default() -> Self {
        Self::of(Arc::default(), None, Arc::default())
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with a clock of its own.
    pub fn timed_by(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The same store as another process has it.
    pub fn another(&self) -> Self {
        Self::of(
            Arc::clone(&self.state),
            self.clock.clone(),
            Arc::clone(&self.failures),
        )
    }

    fn of(state: Arc<Mutex<State>>, clock: Option<Arc<dyn Clock>>, failures: Failures) -> Self {
        let number = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.handles += 1;
            state.handles
        };
        Self {
            state,
            number,
            clock,
            failures,
        }
    }

    /// The process that has this store is dead: its leases are free at once.
    pub fn dies(&self) {
        self.seems(Life::Dead);
    }

    /// Nobody can tell whether the process that has this store lives.
    pub fn cannot_be_told(&self) {
        self.seems(Life::Unknown);
    }

    fn seems(&self, life: Life) {
        self.read().lives.insert(self.name(), life);
    }

    pub(super) fn name(&self) -> String {
        format!("memory boot {} handle", self.number)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock
            .as_ref()
            .map_or_else(Timestamp::now, |clock| clock.now())
    }

    /// Lets the next write fail with `error` and change nothing; called again, the one after it.
    pub fn fail_next(&self, error: StoreError) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.push_back(error);
    }

    pub(super) fn read(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = failures.pop_front() {
            return Err(error);
        }
        Ok(self.read())
    }
}

impl Drop for MemoryStore {
    /// As with a process that ends.
    fn drop(&mut self) {
        self.dies();
    }
}

impl EvaluationCache for MemoryStore {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.read().evaluations.get(key).cloned()
    }

    fn put(&self, key: &str, value: &[u8]) {
        let mut state = self.read();
        state.evaluations.insert(key.to_owned(), value.to_owned());
    }
}

#[async_trait]
impl Facts for MemoryStore {
    async fn facts(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let state = self.read();
        let facts = state.facts.iter();
        let wanted = facts.filter(|(name, _)| name.starts_with(prefix));
        Ok(wanted
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect())
    }

    async fn put_facts(&self, changes: Vec<FactChange>) -> Result<(), StoreError> {
        let mut state = self.write()?;
        for (name, value) in changes {
            match value {
                Some(value) => drop(state.facts.insert(name, value)),
                None => drop(state.facts.remove(&name)),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Fronts for MemoryStore {
    async fn fronts(&self) -> Result<Vec<(BranchName, CommitId)>, StoreError> {
        let state = self.read();
        let fronts = state.fronts.iter();
        Ok(fronts.map(|(b, c)| (b.clone(), c.clone())).collect())
    }

    async fn advance(&self, advance: &Advance) -> Result<bool, StoreError> {
        Ok(self.write()?.advance(advance))
    }
}

#[async_trait]
impl Journals for MemoryStore {
    async fn start(&self, lease: &Lease, run: &Run, started: &Entry) -> Result<(), StoreError> {
        self.write()?.start(lease, run, started)
    }

    async fn append(
        &self,
        lease: &Lease,
        run: &RunId,
        entries: Vec<Entry>,
    ) -> Result<(), StoreError> {
        self.write()?.append(lease, run, entries)
    }

    async fn note_run(&self, lease: &Lease, summary: &RunSummary) -> Result<(), StoreError> {
        self.write()?.note(lease, summary)
    }

    async fn open_runs(
        &self,
        after: Option<&RunId>,
        limit: u32,
    ) -> Result<Vec<OpenRun>, StoreError> {
        let state = self.read();
        let place = after.and_then(|id| state.runs.iter().position(|kept| kept.summary.id == *id));
        let rest = state.runs.iter().skip(place.map_or(0, |place| place + 1));
        let open = rest.filter(|kept| kept.journal.as_ref().is_some_and(is_open));
        let light = open.map(|kept| OpenRun {
            id: kept.summary.id.clone(),
            environment: kept.summary.environment.clone(),
            revision: kept.summary.revision.clone(),
            outcome: kept.summary.outcome,
        });
        Ok(light.take(limit as usize).collect())
    }

    async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        let state = self.read();
        let journals = state.runs.iter().filter_map(|kept| kept.journal.as_ref());
        Ok(journals.filter(|one| is_open(one)).cloned().collect())
    }

    async fn journal(&self, run: &RunId) -> Result<Option<Unfinished>, StoreError> {
        self.run(run).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<Unfinished>, StoreError> {
        let state = self.read();
        let kept = state.runs.iter().find(|kept| kept.summary.id == *run);
        Ok(kept.and_then(|kept| kept.journal.clone()))
    }

    async fn history(
        &self,
        environment: Option<&EnvironmentName>,
        limit: u32,
    ) -> Result<Vec<RunSummary>, StoreError> {
        let state = self.read();
        let newest = state.runs.iter().rev().map(|kept| &kept.summary);
        let wanted = newest.filter(|one| environment.is_none_or(|name| one.environment == *name));
        Ok(wanted.take(limit as usize).cloned().collect())
    }
}

#[async_trait]
impl States for MemoryStore {
    async fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreError> {
        let state = self.read();
        let rows = state.rows.values().cloned();
        Ok(rows.map(|row| state.at_front(row)).collect())
    }

    async fn environment(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<EnvironmentRow>, StoreError> {
        let state = self.read();
        let row = state.rows.get(environment).cloned();
        Ok(row.map(|row| state.at_front(row)))
    }

    async fn put_environment(&self, lease: &Lease, row: &EnvironmentRow) -> Result<(), StoreError> {
        self.write()?.put_row(lease, row)
    }

    async fn base(&self, environment: &EnvironmentName) -> Result<Base, StoreError> {
        let base = self.read().bases.get(environment).cloned();
        Ok(base.unwrap_or_default())
    }
}

#[async_trait]
impl Observations for MemoryStore {
    async fn observe(&self, lease: &Lease, seen: &[Observation]) -> Result<(), StoreError> {
        self.write()?.observe(lease, seen)
    }

    async fn observed(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Vec<Observation>, StoreError> {
        let state = self.read();
        let newest = state.observations.values().filter_map(|kept| kept.last());
        let mut seen: Vec<Observation> = newest
            .filter(|one| one.address.environment == *environment)
            .cloned()
            .collect();
        seen.sort_by_key(|one| one.address.to_string());
        Ok(seen)
    }

    async fn drifted(&self, environment: &EnvironmentName) -> Result<Vec<Observation>, StoreError> {
        let mut seen = self.observed(environment).await?;
        seen.retain(|one| !one.drifted.is_empty());
        Ok(seen)
    }

    async fn observations(
        &self,
        address: &Address,
        limit: u32,
    ) -> Result<Vec<Observation>, StoreError> {
        let state = self.read();
        let kept = state.observations.get(address).into_iter().flatten();
        let newest: Vec<_> = kept.rev().take(limit as usize).cloned().collect();
        Ok(newest)
    }
}

#[async_trait]
impl Work for MemoryStore {
    async fn push(&self, entry: &QueueEntry) -> Result<(), StoreError> {
        self.write()?.push(entry);
        Ok(())
    }

    async fn queue(&self) -> Result<Vec<QueueEntry>, StoreError> {
        Ok(self.read().all_queued())
    }

    async fn ack(&self, entry: &QueueEntry) -> Result<(), StoreError> {
        self.write()?.ack(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::store::{Stage, conforms, sample};

    #[tokio::test]
    async fn behaves_as_a_store_must() {
        let make = async || {
            let clock = Arc::new(ManualClock::at(sample::at(0)));
            let one = MemoryStore::new().timed_by(clock.clone());
            let (other, stranger) = (one.another(), one.another());
            stranger.cannot_be_told();
            Ok(Stage::new(one, other, stranger, clock))
        };
        conforms(make).await.unwrap();
    }

    #[tokio::test]
    async fn a_write_that_is_made_to_fail_changes_nothing() {
        let store = MemoryStore::new();
        let environment = EnvironmentName::new("a").unwrap();
        let entry = sample::queued(&environment, "x", 1).unwrap();
        store.fail_next(StoreError::Full { doing: "testing" });
        assert!(store.push(&entry).await.is_err());
        assert!(store.queue().await.unwrap().is_empty());
        store.push(&entry).await.unwrap();
        assert_eq!(store.queue().await.unwrap(), [entry]);
    }
}
