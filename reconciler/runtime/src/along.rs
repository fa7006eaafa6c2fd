//! Cost follows the change: a push is one walk over two trees, and those environments that nothing
//! of it touches come along with the front of their branch, by one row for all of them.
//!
//! *Guarantees*: whoever comes along was judged: the commits since, once, by the rules of the base,
//! for each kind of environment that policy can tell apart. Whatever is not certain is looked at
//! one by one, as if there were no front.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stratum_core::ids::{BranchName, CommitId, EnvironmentName};
use stratum_core::ports::{Advance, Changed, EnvironmentRow, Repository, Store};
use stratum_core::rules::Rules;

use crate::admission::Admissions;
use crate::blocking::Blocking;
use crate::error::RuntimeError;
use crate::front::KnownFronts;
use crate::head::Target;
use crate::publish::Records;

/// So many environments are judged one by one where policy looks at their names.
const ONE_BY_ONE: usize = 50;

/// Moves the fronts.
pub(crate) struct Along {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) repository: Arc<dyn Repository>,
    pub(crate) blocking: Blocking,
    pub(crate) fronts: Arc<KnownFronts>,
    pub(crate) admissions: Arc<Admissions>,
    pub(crate) records: Arc<Records>,
}

/// The environments of one branch that go from one commit to another.
struct Group {
    branch: BranchName,
    from: CommitId,
    to: CommitId,
    targets: BTreeMap<EnvironmentName, Target>,
}

impl Along {
    /// Reads where the fronts stand and who follows them.
    pub(crate) async fn find_fronts(&self, rows: &[EnvironmentRow]) -> Result<(), RuntimeError> {
        let commits = self.store.fronts().await?;
        self.fronts.find(commits, rows);
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
            let (stands, followers) = self.fronts.stands(&branch);
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

    /// Brings the fronts to where the refs are, as far as that is certain; answers the environments
    /// that are to be looked at. `moved`: from which commit, and where to.
    pub(crate) async fn come_along(
        &self,
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
    async fn advance(&self, group: &Group) -> Result<BTreeSet<EnvironmentName>, RuntimeError> {
        let (stands, followers) = self.fronts.stands(&group.branch);
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
        &self,
        group: &Group,
        followers: &BTreeSet<EnvironmentName>,
    ) -> Result<Option<BTreeSet<EnvironmentName>>, RuntimeError> {
        let (repository, from, to) = (
            Arc::clone(&self.repository),
            group.from.clone(),
            group.to.clone(),
        );
        let changed = self
            .blocking
            .run(move || Ok(repository.changed(&from, &to)?));
        let Changed::Paths(paths) = changed.await? else {
            return Ok(None);
        };
        let touched = self.fronts.touched(&paths);
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
        if !self.store.advance(&advance).await? {
            // Another process wrote meanwhile.
            let rows = self.store.environments().await?;
            self.find_fronts(&rows).await?;
            return Ok(false);
        }
        self.fronts.moved(&group.branch, &group.to, &touched);
        self.records.applied_moved();
        Ok(true)
    }

    /// Whether policy admits the commit in every one of these environments, where nothing changes.
    async fn admits_all(
        &self,
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
            let Some(mut row) = self.store.environment(name).await? else {
                return Ok(false);
            };
            let Ok(admitted) = self.admissions.admit(target, &mut row).await? else {
                return Ok(false);
            };
            let input = admitted.input;
            // An approval counts once, so who needs one is looked at by itself.
            let approvals = self.admissions.admits(&input).await?;
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
