//! What was read of commits for judging, kept for the next environment that stands on the same.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use stratum_core::ids::CommitId;
use stratum_core::rules::Rules;
use stratum_core::signed::{Authored, SignedCommit};

use super::Brought;

/// So many of each kind are kept.
const KEPT: usize = 64;
/// Whoever signed is asked again after this many seconds: keys expire.
const SIGNED: i64 = 60;

/// The commits of a range, newest first, and who they are proven to be from.
pub(super) type Range = Arc<(Vec<SignedCommit>, Vec<Authored>)>;

/// Rules, findings and signatures by the commits they are of: a commit never changes.
#[derive(Default)]
pub struct Known {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    rules: VecDeque<(CommitId, Arc<Rules>)>,
    brought: VecDeque<((CommitId, Option<CommitId>), Brought)>,
    ranges: VecDeque<((CommitId, CommitId, i64), Range)>,
}

impl Known {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn rules(&self, commit: &CommitId) -> Option<Arc<Rules>> {
        find(&self.inner().rules, commit)
    }

    pub(super) fn keep_rules(&self, rules: &Arc<Rules>) {
        let commit = rules.commit.clone();
        keep(&mut self.inner().rules, commit, Arc::clone(rules));
    }

    pub(super) fn brought(&self, commit: &CommitId, base: Option<&CommitId>) -> Option<Brought> {
        find(&self.inner().brought, &(commit.clone(), base.cloned()))
    }

    pub(super) fn keep_brought(
        &self,
        commit: &CommitId,
        base: Option<CommitId>,
        brought: &Brought,
    ) {
        keep(
            &mut self.inner().brought,
            (commit.clone(), base),
            brought.clone(),
        );
    }

    pub(super) fn range(&self, base: &CommitId, tip: &CommitId, now: Timestamp) -> Option<Range> {
        find(&self.inner().ranges, &key(base, tip, now))
    }

    pub(super) fn keep_range(&self, base: &CommitId, tip: &CommitId, now: Timestamp, range: Range) {
        keep(&mut self.inner().ranges, key(base, tip, now), range);
    }
}

fn key(base: &CommitId, tip: &CommitId, now: Timestamp) -> (CommitId, CommitId, i64) {
    (
        base.clone(),
        tip.clone(),
        now.as_second().div_euclid(SIGNED),
    )
}

fn find<K: PartialEq, V: Clone>(kept: &VecDeque<(K, V)>, key: &K) -> Option<V> {
    let found = kept.iter().rev().find(|(known, _)| known == key);
    found.map(|(_, value)| value.clone())
}

fn keep<K: PartialEq, V>(kept: &mut VecDeque<(K, V)>, key: K, value: V) {
    kept.retain(|(known, _)| *known != key);
    if kept.len() >= KEPT {
        kept.pop_front();
    }
    kept.push_back((key, value));
}
