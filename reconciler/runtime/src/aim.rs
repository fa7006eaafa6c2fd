//! What each environment should come to, as refs and settings say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stratum_core::finding::Finding;
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::ports::Tips;

use crate::head::{Head, Target};

/// What one environment should come to.
#[derive(Clone)]
pub(crate) enum Aim {
    /// A commit.
    Commit(Target),
    /// Nowhere, and why: its branch is not there.
    Nowhere(String),
    /// The settings do not name it.
    Unnamed,
    /// The settings cannot be used.
    Unreadable(CommitId, Arc<Vec<Finding>>),
}

impl Aim {
    /// Whether it says the same as `other`.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Commit(own), Self::Commit(other)) => {
                own.commit == other.commit
                    && own.branch == other.branch
                    && Arc::ptr_eq(&own.settings, &other.settings)
            }
            (Self::Nowhere(own), Self::Nowhere(other)) => own == other,
            (Self::Unnamed, Self::Unnamed) => true,
            (Self::Unreadable(own, _), Self::Unreadable(other, _)) => own == other,
            _ => false,
        }
    }
}

/// In what an aim is another than before.
pub(crate) enum Moved {
    /// In nothing.
    No,
    /// Its branch went on, from this commit to that of the target, and nothing else.
    Commit(CommitId, Target),
    /// In something else.
    Otherwise,
}

/// The aims of all environments that are named, or known from before.
#[derive(Default)]
pub(crate) struct Aims(BTreeMap<EnvironmentName, Option<Aim>>);

impl Aims {
    /// An environment of which an earlier process knew.
    pub(crate) fn remember(&mut self, environment: EnvironmentName) {
        self.0.entry(environment).or_default();
    }

    pub(crate) fn environments(&self) -> impl Iterator<Item = &EnvironmentName> {
        self.0.keys()
    }

    pub(crate) fn of(&self, environment: &EnvironmentName) -> Aim {
        let aim = self.0.get(environment).cloned().flatten();
        aim.unwrap_or(Aim::Unnamed)
    }

    /// Takes in an aim; answers in what it is another than before.
    pub(crate) fn take_in(&mut self, environment: &EnvironmentName, aim: Aim) -> Moved {
        let before = self.0.entry(environment.clone()).or_default();
        let moved = match (before.as_ref(), &aim) {
            (Some(before), aim) if before.is(aim) => Moved::No,
            (Some(Aim::Commit(old)), Aim::Commit(new)) if old.differs_in_commit(new) => {
                Moved::Commit(old.commit.clone(), new.clone())
            }
            _ => Moved::Otherwise,
        };
        *before = Some(aim);
        moved
    }

    /// What every environment should come to by these refs.
    pub(crate) fn at(&self, head: &Head, tips: &Tips) -> Vec<(EnvironmentName, Aim)> {
        let Some(settings) = &head.settings.value else {
            let findings = Arc::new(head.settings.findings.clone());
            let unreadable = Aim::Unreadable(head.commit.clone(), findings);
            let known = self
                .0
                .keys()
                .cloned()
                .map(|name| (name, unreadable.clone()));
            let known: Vec<_> = known.collect();
            return match known.is_empty() {
                true => vec![(EnvironmentName::repository(), unreadable)],
                false => known,
            };
        };
        let named = head.environments.iter().map(|name| {
            let aim = match head.target(name, settings, tips) {
                Ok(target) => Aim::Commit(target),
                Err(reason) => Aim::Nowhere(reason),
            };
            (name.clone(), aim)
        });
        let mut aims: Vec<_> = named.collect();
        let there: BTreeSet<_> = head.environments.iter().collect();
        let unnamed = self.0.keys().filter(|name| !there.contains(name));
        aims.extend(unnamed.map(|name| (name.clone(), Aim::Unnamed)));
        aims
    }
}
