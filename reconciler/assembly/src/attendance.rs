//! Whether somebody reconciles, and what of the branches nobody applied: what the state says is as
//! old as the last look.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use stratum_core::ids::{BranchName, CommitId};
use stratum_core::ports::{
    EnvironmentRow, HeldLease, Leases as _, Life, Repository as _, States as _, StoreError, who,
};
use stratum_repo::GitRepository;
use stratum_store::SqliteStore;

/// A process of which nobody can tell whether it lives said so within this time, or does not.
const SILENCE: SignedDuration = SignedDuration::from_secs(120);

/// Whether somebody reconciles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attendance {
    /// Whether a process reconciles; `null` where only its word within two minutes says so, as of
    /// one on another machine.
    pub alive: Option<bool>,
    /// Which, for people, where it holds a lease.
    pub process: Option<String>,
    /// When one last wrote how an environment is, where it is known that none lives (UTC).
    pub seen_at: Option<Timestamp>,
    /// Since when a process that lives here has said nothing, where that is too long: it hangs, or is
    /// stopped, and nobody else may take its place (UTC).
    pub silent_since: Option<Timestamp>,
}

impl Attendance {
    /// What the store knows of those who reconcile.
    pub async fn of(store: &SqliteStore) -> Result<Self, StoreError> {
        let held = store.leases().await?;
        let named = |life: Life| {
            let counts = |held: &&HeldLease| {
                held.life == life && (life == Life::Alive || spoke(held.renewed_at))
            };
            held.iter().find(counts).map(|held| who(&held.lease.holder))
        };
        let (here, elsewhere) = (named(Life::Alive), named(Life::Unknown));
        let attended_at = store.attended_at().await;
        let alive = match (attended_at.is_some() || here.is_some(), &elsewhere) {
            (true, _) => Some(true),
            (false, Some(_)) => None,
            (false, None) => Some(false),
        };
        let silent = attended_at.into_iter().filter(|at| !spoke(*at));
        Ok(Self {
            silent_since: silent.min(),
            alive,
            process: here.or(elsewhere),
            seen_at: match alive {
                Some(false) => seen(&store.environments().await?),
                Some(true) | None => None,
            },
        })
    }

    /// Whether it is known that nobody reconciles.
    pub fn is_nobody(&self) -> bool {
        self.alive == Some(false)
    }

    /// Whether somebody must see to it.
    pub fn is_trouble(&self) -> bool {
        self.is_nobody() || self.silent_since.is_some()
    }
}

/// When somebody last wrote something of these.
fn seen(rows: &[EnvironmentRow]) -> Option<Timestamp> {
    let times = rows
        .iter()
        .flat_map(|row| [Some(row.changed_at), row.observed_at]);
    times.flatten().max()
}

fn spoke(renewed_at: Timestamp) -> bool {
    Timestamp::now().duration_since(renewed_at) <= SILENCE
}

/// The commit that a branch is at, and of which nothing is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Behind {
    /// The branch.
    pub branch: BranchName,
    /// Its commit.
    pub commit: CommitId,
}

/// Where the branches are, each read once.
pub struct Branches<'r> {
    repository: &'r GitRepository,
    tips: BTreeMap<BranchName, Option<CommitId>>,
}

impl<'r> Branches<'r> {
    /// The branches of a repository; none is read yet.
    pub fn of(repository: &'r GitRepository) -> Self {
        let tips = BTreeMap::new();
        Self { repository, tips }
    }

    /// What of the branch of a settled environment is not applied; a commit that changes no file is
    /// nothing to apply.
    ///
    /// One that is not settled says itself what it should come to.
    pub fn behind(&mut self, row: &EnvironmentRow) -> Option<Behind> {
        let (branch, applied) = (row.follows.as_ref()?, row.revision.as_ref()?);
        let repository = self.repository;
        let tip = self.tips.entry(branch.clone()).or_insert_with(|| {
            let tip = repository.resolve(&format!("refs/heads/{branch}")).ok()?;
            let inputs = |commit| Some(repository.revision(commit).ok()?.inputs);
            (tip != *applied && (inputs(&tip).is_none() || inputs(&tip) != inputs(applied)))
                .then_some(tip)
        });
        tip.clone().map(|commit| Behind {
            branch: branch.clone(),
            commit,
        })
    }
}
