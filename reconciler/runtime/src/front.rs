//! Cost follows the change: a push is one walk over two trees, and those environments that nothing
//! of it touches come along with the front of their branch, by one row for all of them.
//!
//! *Guarantees*: whoever comes along was judged: the commits since, once, by the rules of the base,
//! for each kind of environment that policy can tell apart. Whatever is not certain is looked at
//! one by one, as if there were no front.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};

use stratum_core::condition::Condition;
use stratum_core::ids::{BranchName, CommitId, EnvironmentName};
use stratum_core::ports::{Advance, Changed, EnvironmentRow};
use stratum_core::rules::Rules;
use stratum_core::touched::Index;

use crate::admission::Admission;
use crate::error::RuntimeError;
use crate::head::Target;
use crate::reconcile::Reconciler;

/// So many environments are judged one by one where policy looks at their names.
const ONE_BY_ONE: usize = 50;

/// The fronts, and who follows them, as far as this process knows.
#[derive(Default)]
pub(crate) struct Front {
    commits: BTreeMap<BranchName, CommitId>,
    branches: BTreeMap<EnvironmentName, BranchName>,
    followers: BTreeMap<BranchName, BTreeSet<EnvironmentName>>,
    index: Index,
}

/// The environments of one branch that go from one commit to another.
struct Group {
    branch: BranchName,
    from: CommitId,
    to: CommitId,
    targets: BTreeMap<EnvironmentName, Target>,
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

impl Reconciler {
    fn front(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads where the fronts stand and who follows them.
    pub(crate) async fn find_fronts(&self, rows: &[EnvironmentRow]) -> Result<(), RuntimeError> {
        let commits = self.ports.store.fronts().await?;
        let mut front = self.front();
        let branches = std::mem::take(&mut front.branches);
        *front = Front {
            commits: commits.into_iter().collect(),
            branches,
            ..Front::default()
        };
        rows.iter().for_each(|row| front.take(row));
        Ok(())
    }

    /// Where nobody follows a front, or there is none, it begins where the branch is.
    pub(crate) async fn begin_fronts(
        &self,
        targets: impl Iterator<Item = Target>,
    ) -> Result<(), RuntimeError> {
        for target in targets {
            let Some(branch) = target.branch else {
                continue;
            };
            let (stands, followers) = {
                let front = self.front();
                let stands = front.commits.get(&branch).cloned();
                (stands, front.followers(&branch))
            };
            if !followers.is_empty() || stands.as_ref() == Some(&target.commit) {
                continue;
            }
            let group = Group {
                branch,
                from: target.commit.clone(),
                to: target.commit,
                targets: BTreeMap::new(),
            };
            self.move_front(&group, stands, 0, BTreeSet::new()).await?;
        }
        Ok(())
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

    /// Brings the fronts to where the refs are, as far as that is certain; answers the environments
    /// that are to be looked at. `moved`: from which commit, and where to.
    pub(crate) async fn come_along(
        self: &Arc<Self>,
        moved: Vec<(CommitId, Target)>,
    ) -> BTreeSet<EnvironmentName> {
        let mut looked: BTreeSet<_> = moved.iter().map(|(_, t)| t.environment.clone()).collect();
        for group in groups(moved) {
            match self.advance(&group).await {
                Ok(rest) => looked.retain(|name| !rest.contains(name)),
                Err(error) => {
                    let error = error.sentence();
                    tracing::info!(%error, "every environment is looked at by itself");
                }
            }
        }
        looked
    }

    /// Moves one front; answers those that came along with it.
    async fn advance(
        self: &Arc<Self>,
        group: &Group,
    ) -> Result<BTreeSet<EnvironmentName>, RuntimeError> {
        let (stands, followers) = {
            let front = self.front();
            let stands = front.commits.get(&group.branch).cloned();
            (stands, front.followers(&group.branch))
        };
        if followers.is_empty() {
            // Nobody is moved by it.
            self.move_front(group, stands, 0, BTreeSet::new()).await?;
            return Ok(BTreeSet::new());
        }
        if stands.as_ref() != Some(&group.from) {
            return Ok(BTreeSet::new());
        }
        let Some(touched) = self.touched(group, &followers).await? else {
            return Ok(BTreeSet::new());
        };
        let rest: BTreeSet<_> = followers.difference(&touched).cloned().collect();
        if rest.is_empty() || !self.admits_all(group, &rest).await? {
            return Ok(BTreeSet::new());
        }
        let moved = self.move_front(group, stands, followers.len(), touched);
        Ok(if moved.await? { rest } else { BTreeSet::new() })
    }

    /// The followers that the change touches, and those that do not go there; `None`: all.
    async fn touched(
        self: &Arc<Self>,
        group: &Group,
        followers: &BTreeSet<EnvironmentName>,
    ) -> Result<Option<BTreeSet<EnvironmentName>>, RuntimeError> {
        let (own, from, to) = (Arc::clone(self), group.from.clone(), group.to.clone());
        let changed = self.blocking(move || Ok(own.ports.repository.changed(&from, &to)?));
        let Changed::Paths(paths) = changed.await? else {
            return Ok(None);
        };
        let touched = self.front().index.touched(&paths);
        Ok(touched.map(|mut touched| {
            touched.retain(|name| followers.contains(name));
            let elsewhere = followers.iter();
            touched.extend(
                elsewhere
                    .filter(|name| !group.targets.contains_key(*name))
                    .cloned(),
            );
            touched
        }))
    }

    async fn move_front(
        &self,
        group: &Group,
        from: Option<CommitId>,
        followers: usize,
        touched: BTreeSet<EnvironmentName>,
    ) -> Result<bool, RuntimeError> {
        let advance = Advance {
            branch: group.branch.clone(),
            from,
            to: group.to.clone(),
            followers,
            touched: touched.iter().cloned().collect(),
        };
        if !self.ports.store.advance(&advance).await? {
            // Another process wrote meanwhile.
            let rows = self.ports.store.environments().await?;
            self.find_fronts(&rows).await?;
            return Ok(false);
        }
        let mut front = self.front();
        front.commits.insert(group.branch.clone(), group.to.clone());
        if let Some(followers) = front.followers.get_mut(&group.branch) {
            followers.retain(|name| !touched.contains(name));
        }
        touched.iter().for_each(|name| front.index.remove(name));
        drop(front);
        self.records.applied_moved();
        Ok(true)
    }

    /// Whether policy admits the commit in every one of these environments, where nothing changes.
    async fn admits_all(
        self: &Arc<Self>,
        group: &Group,
        rest: &BTreeSet<EnvironmentName>,
    ) -> Result<bool, RuntimeError> {
        let mut rules: Option<Arc<Rules>> = None;
        let mut asked = BTreeSet::new();
        for name in rest {
            let Some(target) = group.targets.get(name) else {
                return Ok(false);
            };
            let kind = match &rules {
                Some(rules) => match kind(rules, target, rest.len()) {
                    Some(kind) => kind,
                    None => return Ok(false),
                },
                // The first one is asked whatever it is, and brings the rules.
                None => (name.to_string(), String::new()),
            };
            if asked.contains(&kind) {
                continue;
            }
            let Some(mut row) = self.ports.store.environment(name).await? else {
                return Ok(false);
            };
            let Admission::Admitted(admitted) = self.admit(target, &mut row).await? else {
                return Ok(false);
            };
            let input = admitted.input;
            // An approval counts once, so who needs one is looked at by itself.
            let approvals = self.admits(&input).await?;
            if approvals.is_none_or(|approvals| !approvals.is_empty()) {
                return Ok(false);
            }
            if rules.is_none() {
                asked.extend(self::kind(&input.rules, target, rest.len()));
                rules = Some(Arc::clone(&input.rules));
            }
            asked.insert(kind);
        }
        Ok(true)
    }
}

/// What policy can tell an environment by: its labels, and its name where a policy names it.
/// `None`: policy may look at any part of a name, and there are too many to ask for each.
fn kind(rules: &Rules, target: &Target, count: usize) -> Option<(String, String)> {
    let texts = rules.policies.iter().map(|file| file.text.as_ref());
    let name = target.environment.as_str();
    let quoted = format!("\"{name}\"");
    let (mut named, mut vague) = (false, false);
    for text in texts {
        named |= text.contains(&quoted);
        vague |= text.contains(" like ");
    }
    if vague && count > ONE_BY_ONE {
        return None;
    }
    let own = rules.settings.environments.get(&target.environment);
    let own = own.cloned().unwrap_or_else(|| target.own());
    let labels = format!("{:?}", own.labels);
    let name = if named || vague { name } else { "" };
    Some((name.to_owned(), labels))
}

fn groups(moved: Vec<(CommitId, Target)>) -> Vec<Group> {
    let mut groups: BTreeMap<(BranchName, CommitId, CommitId), Group> = BTreeMap::new();
    for (from, target) in moved {
        let Some(branch) = target.branch.clone() else {
            continue;
        };
        let key = (branch.clone(), from.clone(), target.commit.clone());
        let group = groups.entry(key).or_insert_with(|| Group {
            branch,
            from,
            to: target.commit.clone(),
            targets: BTreeMap::new(),
        });
        group.targets.insert(target.environment.clone(), target);
    }
    groups.into_values().collect()
}
