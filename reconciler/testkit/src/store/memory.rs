//! The state store in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::ids::{Address, BranchName, CommitId, EnvironmentName, RunId};
use stratum_core::ports::{
    Advance, Base, Entry, EnvironmentRow, EvaluationCache, FactChange, Facts, Fronts, Lease,
    LeaseError, Observation, QueueEntry, Store, StoreError, Unfinished,
};
use stratum_core::run::{Run, RunSummary};

use super::state::{State, is_open};

/// A state store that forgets everything when it is dropped.
///
/// *Guarantees*: behaves as the one in SQLite does; both pass [`super::conforms`].
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the next write fail with `error` and change nothing; called again, the one after it.
    pub fn fail_next(&self, error: StoreError) {
        self.read().failures.push_back(error);
    }

    fn read(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let mut state = self.read();
        match state.failures.pop_front() {
            Some(error) => Err(error),
            None => Ok(state),
        }
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
impl Store for MemoryStore {
    async fn acquire(
        &self,
        environment: &EnvironmentName,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
        alive: &(dyn for<'h> Fn(&'h str) -> Option<bool> + Sync),
    ) -> Result<Lease, LeaseError> {
        self.write()?.acquire(environment, holder, now, ttl, alive)
    }

    async fn renew(&self, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        self.write()?.renew(lease, now)
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.write()?.release(lease);
        Ok(())
    }

    async fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreError> {
        let state = self.read();
        let rows = state.rows.values().cloned();
        Ok(rows.map(|row| state.at_front(row)).collect())
    }

    async fn put_environment(&self, lease: &Lease, row: &EnvironmentRow) -> Result<(), StoreError> {
        let mut state = self.write()?;
        state.fence(lease, &row.name)?;
        let row = state.following(row);
        state.rows.insert(row.name.clone(), row);
        Ok(())
    }

    async fn base(&self, environment: &EnvironmentName) -> Result<Base, StoreError> {
        let base = self.read().bases.get(environment).cloned();
        Ok(base.unwrap_or_default())
    }

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

    async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        let state = self.read();
        let journals = state.runs.iter().filter_map(|kept| kept.journal.as_ref());
        Ok(journals.filter(|one| is_open(one)).cloned().collect())
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

    async fn push(&self, entry: &QueueEntry) -> Result<(), StoreError> {
        self.write()?.push(entry);
        Ok(())
    }

    async fn due(&self, now: Timestamp) -> Result<Vec<QueueEntry>, StoreError> {
        Ok(self.read().due(now))
    }

    async fn queue(&self) -> Result<Vec<QueueEntry>, StoreError> {
        Ok(self.read().due(Timestamp::MAX))
    }

    async fn ack(&self, entry: &QueueEntry) -> Result<(), StoreError> {
        self.write()?.ack(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{conforms, sample};

    #[tokio::test]
    async fn behaves_as_a_store_must() {
        let make = async || Ok(Arc::new(MemoryStore::new()) as Arc<dyn Store>);
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
