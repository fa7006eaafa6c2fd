//! Where the fronts stand and who follows them, as far as this process knows.
//!
//! Those environments that nothing of a push touches come along with the front of their branch, by
//! one row for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use stratum_core::condition::Condition;
use stratum_core::ids::{BranchName, CommitId, EnvironmentName};
use stratum_core::ports::EnvironmentRow;
use stratum_core::touched::Index;

use crate::head::Target;

#[derive(Default)]
struct Front {
    commits: BTreeMap<BranchName, CommitId>,
    branches: BTreeMap<EnvironmentName, BranchName>,
    followers: BTreeMap<BranchName, BTreeSet<EnvironmentName>>,
    index: Index,
}

impl Front {
    /// Takes in a row as it is written or read.
    fn take(&mut self, row: &EnvironmentRow) {
        for followers in self.followers.values_mut() {
            followers.remove(&row.name);
        }
        match &row.follows {
            Some(branch) => {
                let followers = self.followers.entry(branch.clone()).or_default();
                followers.insert(row.name.clone());
                self.index.put(&row.name, &row.closure);
            }
            None => self.index.remove(&row.name),
        }
    }

    fn followers(&self, branch: &BranchName) -> BTreeSet<EnvironmentName> {
        self.followers.get(branch).cloned().unwrap_or_default()
    }
}

/// The fronts, and who follows them, as far as this process knows.
#[derive(Default)]
pub(crate) struct KnownFronts(Mutex<Front>);

impl KnownFronts {
    fn front(&self) -> MutexGuard<'_, Front> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the store says.
    pub(crate) fn find(&self, commits: Vec<(BranchName, CommitId)>, rows: &[EnvironmentRow]) {
        let mut front = self.front();
        let branches = std::mem::take(&mut front.branches);
        *front = Front {
            commits: commits.into_iter().collect(),
            branches,
            ..Front::default()
        };
        rows.iter().for_each(|row| front.take(row));
    }

    /// Where a front stands, and who follows it.
    pub(crate) fn stands(
        &self,
        branch: &BranchName,
    ) -> (Option<CommitId>, BTreeSet<EnvironmentName>) {
        let front = self.front();
        (front.commits.get(branch).cloned(), front.followers(branch))
    }

    /// Whom a change of these paths touches; `None`: anybody.
    pub(crate) fn touched(&self, paths: &BTreeSet<String>) -> Option<BTreeSet<EnvironmentName>> {
        self.front().index.touched(paths)
    }

    /// A front was moved, and these do not follow it any more.
    pub(crate) fn moved(
        &self,
        branch: &BranchName,
        to: &CommitId,
        touched: &BTreeSet<EnvironmentName>,
    ) {
        let mut front = self.front();
        front.commits.insert(branch.clone(), to.clone());
        if let Some(followers) = front.followers.get_mut(branch) {
            followers.retain(|name| !touched.contains(name));
        }
        touched.iter().for_each(|name| front.index.remove(name));
    }

    /// Notes the branch that an environment is read from.
    pub(crate) fn is_read_from(&self, target: &Target) {
        let mut front = self.front();
        match &target.branch {
            Some(branch) if front.branches.get(&target.environment) == Some(branch) => {}
            Some(branch) => {
                let name = target.environment.clone();
                front.branches.insert(name, branch.clone());
            }
            None => drop(front.branches.remove(&target.environment)),
        }
    }

    /// The branch that a row may follow: it is settled where the front of its branch stands.
    pub(crate) fn follows(&self, row: &EnvironmentRow) -> Option<BranchName> {
        let settled = row.condition == Condition::Ready
            && row.revision.is_some()
            && row.revision == row.desired_revision
            && row.inputs.is_some()
            && row.hold.is_none()
            && row.sealed.is_none();
        let front = self.front();
        let branch = front.branches.get(&row.name).filter(|_| settled)?;
        let there = front.commits.get(branch) == row.revision.as_ref();
        there.then(|| branch.clone())
    }

    /// A row was written.
    pub(crate) fn was_written(&self, row: &EnvironmentRow) {
        self.front().take(row);
    }

    /// Where the front stands that an environment follows, if it is that of the target's branch.
    pub(crate) fn front_of(&self, target: &Target) -> Option<CommitId> {
        let front = self.front();
        let branch = target.branch.as_ref()?;
        let followers = front.followers.get(branch)?;
        let follows = followers.contains(&target.environment);
        front.commits.get(branch).filter(|_| follows).cloned()
    }

    /// Whether an environment is where the front of its branch is, and that is this commit.
    pub(crate) fn is_settled_at(&self, target: &Target) -> bool {
        self.front_of(target).as_ref() == Some(&target.commit)
    }
}
