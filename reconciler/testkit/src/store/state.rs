//! What a store in memory holds, and the rules it follows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use stratum_core::audit::AuditEntry;
use stratum_core::ids::{Address, BranchName, CommitId, EnvironmentName, RunId};
use stratum_core::journal::Event;
use stratum_core::plan::Step;
use stratum_core::ports::{
    Advance, Base, Entry, EnvironmentRow, Lease, Life, Observation, QueueEntry, StateChange,
    StoreError, Unfinished,
};
use stratum_core::run::{Run, RunSummary};

use super::leases::Held;

/// How many differing observations of one address are kept.
const KEPT: usize = 1_000;

/// Everything a store remembers.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) rows: BTreeMap<EnvironmentName, EnvironmentRow>,
    pub(super) bases: BTreeMap<EnvironmentName, Base>,
    pub(super) leases: BTreeMap<EnvironmentName, Held>,
    /// Holders that are dead, and those that live.
    pub(super) lives: BTreeMap<String, Life>,
    /// How many handles there were.
    pub(super) handles: u64,
    /// The newest run when upkeep was last done; `None`: it never was.
    pub(super) upkept: Option<Option<RunId>>,
    /// The time that was lived through.
    pub(super) lived: Option<Timestamp>,
    /// What the audit log would say.
    pub(super) entries: Vec<AuditEntry>,
    /// In the order they were written.
    pub(super) runs: Vec<Kept>,
    /// By address, oldest first.
    pub(super) observations: BTreeMap<Address, Vec<Observation>>,
    /// In the order they were first pushed.
    pub(super) queue: Vec<QueueEntry>,
    pub(super) evaluations: BTreeMap<String, Vec<u8>>,
    pub(super) facts: BTreeMap<String, Vec<u8>>,
    pub(super) fronts: BTreeMap<BranchName, CommitId>,
}

/// One run.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) summary: RunSummary,
    /// `None`: it has no journal.
    pub(super) journal: Option<Unfinished>,
}

impl State {
    /// An environment that follows a front is where that is.
    pub(super) fn at_front(&self, mut row: EnvironmentRow) -> EnvironmentRow {
        let front = row
            .follows
            .as_ref()
            .and_then(|branch| self.fronts.get(branch));
        if let Some(commit) = front {
            row.revision = Some(commit.clone());
            row.desired_revision = Some(commit.clone());
        }
        row
    }

    /// The row as it is kept: it follows a front only where that is.
    pub(super) fn following(&self, row: &EnvironmentRow) -> EnvironmentRow {
        let mut row = row.clone();
        let front = row
            .follows
            .as_ref()
            .and_then(|branch| self.fronts.get(branch));
        if front.is_none() || front != row.revision.as_ref() {
            row.follows = None;
        }
        row
    }

    pub(super) fn advance(&mut self, advance: &Advance) -> bool {
        let branch = Some(&advance.branch);
        let follows = |row: &&mut EnvironmentRow| row.follows.as_ref() == branch;
        let followers = self.rows.values_mut().filter(|row| follows(row)).count();
        let stands = self.fronts.get(&advance.branch) == advance.from.as_ref();
        if !stands || followers != advance.followers {
            return false;
        }
        for row in self.rows.values_mut().filter(follows) {
            if advance.touched.contains(&row.name) {
                row.follows = None;
                row.revision.clone_from(&advance.from);
                row.desired_revision.clone_from(&advance.from);
            }
        }
        self.fronts
            .insert(advance.branch.clone(), advance.to.clone());
        true
    }

    /// Refuses whoever lost the lease on `environment`, or never had one on it.
    pub(super) fn fence(
        &self,
        lease: &Lease,
        environment: &EnvironmentName,
    ) -> Result<(), StoreError> {
        let held = self.leases.get(environment);
        let has = held.is_some_and(|held| held.is(lease));
        if has && lease.environment == *environment {
            return Ok(());
        }
        Err(StoreError::Fenced {
            environment: environment.clone(),
        })
    }

    pub(super) fn put_row(
        &mut self,
        lease: &Lease,
        row: &EnvironmentRow,
    ) -> Result<(), StoreError> {
        self.fence(lease, &row.name)?;
        let row = self.following(row);
        self.rows.insert(row.name.clone(), row);
        Ok(())
    }

    pub(super) fn start(
        &mut self,
        lease: &Lease,
        run: &Run,
        started: &Entry,
    ) -> Result<(), StoreError> {
        self.fence(lease, &run.environment)?;
        let base = self.bases.entry(run.environment.clone()).or_default();
        if base.serial != run.plan().base.serial {
            return Err(StoreError::Moved {
                environment: run.environment.clone(),
                planned: run.plan().base.serial,
                head: base.serial,
            });
        }
        if self.runs.iter().any(|kept| kept.summary.id == run.id) {
            return Err(refused("starting a run", format!("`{}` is there", run.id)));
        }
        base.serial += 1;
        self.runs.push(Kept {
            summary: RunSummary::begin(run.about()),
            journal: Some(Unfinished {
                run: run.clone(),
                events: Vec::new(),
            }),
        });
        self.append(lease, &run.id, vec![started.clone()])
    }

    pub(super) fn append(
        &mut self,
        lease: &Lease,
        run: &RunId,
        entries: Vec<Entry>,
    ) -> Result<(), StoreError> {
        const DOING: &str = "appending to a journal";
        let place = self.runs.iter().position(|kept| kept.summary.id == *run);
        let missing = || refused(DOING, format!("there is no run `{run}`"));
        let place = place.ok_or_else(missing)?;
        let kept = self.runs.get(place).ok_or_else(missing)?;
        let environment = kept.summary.environment.clone();
        self.fence(lease, &environment)?;
        let kept = self.runs.get_mut(place).ok_or_else(missing)?;
        let journal = kept.journal.as_mut().ok_or_else(missing)?;
        let base = self.bases.entry(environment).or_default();
        for entry in entries {
            let step = entry
                .event
                .step()
                .and_then(|id| journal.run.plan().step(id));
            let address = step.map(|step: &Step| &step.address);
            kept.summary.add(entry.at, &entry.event, address);
            journal.events.push((entry.at, entry.event));
            match entry.change {
                Some(StateChange::Put(state)) => {
                    base.resources.insert(state.address.clone(), *state);
                }
                Some(StateChange::Remove(address)) => {
                    base.resources.remove(&address);
                }
                Some(StateChange::Move { from, state }) => {
                    base.resources.remove(&from);
                    base.resources.insert(state.address.clone(), *state);
                }
                None => {}
            }
        }
        Ok(())
    }

    pub(super) fn note(&mut self, lease: &Lease, summary: &RunSummary) -> Result<(), StoreError> {
        self.fence(lease, &summary.environment)?;
        let there = self.runs.iter_mut().find(|k| k.summary.id == summary.id);
        match there {
            Some(kept) if kept.journal.is_some() => Err(refused(
                "writing a run",
                format!("run `{}` has a journal", summary.id),
            )),
            Some(kept) => {
                kept.summary = summary.clone();
                Ok(())
            }
            None => {
                self.runs.push(Kept {
                    summary: summary.clone(),
                    journal: None,
                });
                Ok(())
            }
        }
    }

    pub(super) fn observe(
        &mut self,
        lease: &Lease,
        seen: &[Observation],
    ) -> Result<(), StoreError> {
        self.fence(lease, &lease.environment)?;
        for one in seen {
            self.fence(lease, &one.address.environment)?;
        }
        for one in seen {
            keep(
                self.observations.entry(one.address.clone()).or_default(),
                one,
            );
        }
        Ok(())
    }

    pub(super) fn push(&mut self, entry: &QueueEntry) {
        let there = self
            .queue
            .iter_mut()
            .find(|other| other.environment == entry.environment);
        let Some(there) = there else {
            self.queue.push(entry.clone());
            return;
        };
        let earlier = there.not_before.min(entry.not_before);
        let same = there.inputs == entry.inputs;
        *there = entry.clone();
        if same {
            there.not_before = earlier;
        }
    }

    pub(super) fn all_queued(&self) -> Vec<QueueEntry> {
        let mut all = self.queue.clone();
        all.sort_by_key(|entry| entry.not_before);
        all
    }

    pub(super) fn ack(&mut self, entry: &QueueEntry) {
        let same = |o: &QueueEntry| o.environment == entry.environment && o.inputs == entry.inputs;
        self.queue.retain(|other| !same(other));
    }
}

/// Whether the record of a run is not yet in git.
pub(super) fn is_open(journal: &Unfinished) -> bool {
    let recorded = |event: &(Timestamp, Event)| matches!(event.1, Event::Recorded { .. });
    !journal.events.iter().any(recorded)
}

/// Keeps the newest look, and those that differ from the one before.
fn keep(kept: &mut Vec<Observation>, one: &Observation) {
    let alike = |a: &Observation, b: &Observation| a.drifted == b.drifted && a.report == b.report;
    if let [.., before, newest] = kept.as_slice()
        && alike(before, newest)
    {
        kept.pop();
    }
    kept.push(one.clone());
    let repeated = match kept.as_slice() {
        [.., before, newest] => usize::from(alike(before, newest)),
        [_] | [] => 0,
    };
    let surplus = kept.len().saturating_sub(KEPT + repeated);
    kept.drain(..surplus);
}

fn refused(doing: &'static str, why: String) -> StoreError {
    StoreError::Database {
        doing,
        source: why.into(),
    }
}
