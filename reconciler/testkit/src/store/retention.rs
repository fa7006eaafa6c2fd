//! Dropping what is over, in memory.

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::ids::EnvironmentName;
use stratum_core::journal::Event;
use stratum_core::ports::{
    AuditError, ClockReading, Dropped, Keep, PartSize, Retention, StoreError,
};
use stratum_core::resource::Checkpoint;
use stratum_core::retention::days_before;

use super::memory::MemoryStore;
use super::state::{Kept, State, is_open};

/// Observations of a resource that is gone are kept for so many days after it was last seen.
const GONE_DAYS: u32 = 7;

impl State {
    fn retain(&mut self, keep: &Keep) -> Dropped {
        let mut dropped = Dropped {
            checkpoints: self.drop_checkpoints(),
            ..Dropped::default()
        };
        let mut environments: Vec<EnvironmentName> = self
            .runs
            .iter()
            .map(|kept| kept.summary.environment.clone())
            .collect();
        environments.sort();
        environments.dedup();
        for environment in &environments {
            dropped.journals += self.drop_journals(environment, keep);
            dropped.runs += self.drop_runs(environment, keep);
        }
        dropped.observations = self.drop_observations(keep);
        dropped
    }

    fn drop_checkpoints(&mut self) -> u64 {
        let mut count = 0;
        let settled = self
            .runs
            .iter_mut()
            .filter_map(|kept| kept.journal.as_mut());
        for journal in settled.filter(|journal| !is_open(journal)) {
            let mut changed = false;
            for (_, event) in &mut journal.events {
                if let Event::Begun { checkpoint, .. } = event {
                    let nothing = Checkpoint {
                        before: None,
                        kept: Default::default(),
                    };
                    changed |= **checkpoint != nothing;
                    **checkpoint = nothing;
                }
            }
            count += u64::from(changed);
        }
        count
    }

    /// The places of runs of an environment that may go: those beyond the newest `count`, and those
    /// that began before `before`; never an open one, the last one, or one that the row names.
    fn old(
        &self,
        environment: &EnvironmentName,
        counts: impl Fn(&Kept) -> bool,
        count: u32,
        before: Timestamp,
    ) -> Vec<usize> {
        let own = self.runs.iter().enumerate();
        let own: Vec<_> = own
            .filter(|(_, kept)| kept.summary.environment == *environment)
            .collect();
        let last = own.last().map(|(place, _)| *place);
        let row = self.rows.get(environment);
        let named = |kept: &Kept| {
            row.is_some_and(|row| {
                let hold = row.hold.as_ref().map(|hold| &hold.run);
                row.last_run.as_ref() == Some(&kept.summary.id) || hold == Some(&kept.summary.id)
            })
        };
        let counted: Vec<_> = own.into_iter().filter(|(_, kept)| counts(kept)).collect();
        let surplus = counted.len().saturating_sub(count as usize);
        let old = counted
            .into_iter()
            .enumerate()
            .filter(|(number, (place, kept))| {
                let open = kept.journal.as_ref().is_some_and(is_open);
                let over = *number < surplus || kept.summary.started_at < before;
                over && !open && Some(*place) != last && !named(kept)
            });
        old.map(|(_, (place, _))| place).collect()
    }

    fn drop_journals(&mut self, environment: &EnvironmentName, keep: &Keep) -> u64 {
        let before = days_before(keep.now, keep.settings.journal_days);
        let counts = |kept: &Kept| kept.journal.is_some();
        let old = self.old(environment, counts, keep.settings.journals, before);
        for place in &old {
            if let Some(kept) = self.runs.get_mut(*place) {
                kept.journal = None;
            }
        }
        old.len() as u64
    }

    fn drop_runs(&mut self, environment: &EnvironmentName, keep: &Keep) -> u64 {
        let before = days_before(keep.now, keep.settings.history_days);
        let old = self.old(environment, |_| true, keep.settings.history, before);
        let mut place = 0;
        self.runs.retain(|_| {
            place += 1;
            !old.contains(&(place - 1))
        });
        old.len() as u64
    }

    fn drop_observations(&mut self, keep: &Keep) -> u64 {
        let before = days_before(keep.now, keep.settings.observation_days);
        let gone_before = days_before(keep.now, GONE_DAYS);
        let bases = &self.bases;
        let mut count = 0;
        self.observations.retain(|address, seen| {
            let base = bases.get(&address.environment);
            let there = base.is_some_and(|base| base.resources.contains_key(address));
            let newest = seen.last().map(|newest| newest.at);
            if !there && newest.is_some_and(|at| at < gone_before) {
                count += seen.len() as u64;
                return false;
            }
            let surplus = seen
                .len()
                .saturating_sub(keep.settings.observations as usize);
            let last = seen.len().saturating_sub(1);
            let mut place = 0;
            seen.retain(|one| {
                place += 1;
                let old = place <= surplus || one.at < before;
                let goes = old && place <= last;
                count += u64::from(goes);
                !goes
            });
            true
        });
        count
    }
}

#[async_trait]
impl Retention for MemoryStore {
    async fn is_upkeep_due(&self) -> Result<bool, StoreError> {
        let state = self.read();
        Ok(state.upkept != Some(state.runs.last().map(|kept| kept.summary.id.clone())))
    }

    async fn retain(&self, keep: &Keep) -> Result<Dropped, StoreError> {
        let mut state = self.write()?;
        let dropped = state.retain(keep);
        state.upkept = Some(state.runs.last().map(|kept| kept.summary.id.clone()));
        Ok(dropped)
    }

    async fn lived(&self, reading: ClockReading) -> Result<Timestamp, StoreError> {
        let mut state = self.write()?;
        let grown = state.lived.map_or(reading.now, |lived| {
            lived.checked_add(reading.passed).unwrap_or(Timestamp::MAX)
        });
        let lived = grown.min(reading.now);
        state.lived = Some(lived);
        Ok(lived)
    }

    async fn sizes(&self) -> Result<Vec<PartSize>, StoreError> {
        Ok(Vec::new())
    }

    async fn has_old_entries(&self, _now: Timestamp) -> Result<bool, AuditError> {
        Ok(false)
    }

    async fn prune_log(&self, _now: Timestamp, _months: u32) -> Result<Vec<String>, AuditError> {
        Ok(Vec::new())
    }
}
