//! Which commits one commit has and another has not.

use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;
use gix::{ObjectId, Repository};

/// The commits reachable from `new` and not from `old`, newest first, at most `limit`.
///
/// An `old` that is not in the repository (rewritten history, collected since) hides nothing.
pub(crate) fn between(
    repository: &Repository,
    old: Option<ObjectId>,
    new: ObjectId,
    limit: usize,
) -> Result<Vec<ObjectId>, gix::Error> {
    let hidden = old.filter(|old| repository.find_commit(*old).is_ok());
    let walk = repository
        .rev_walk([new])
        .with_hidden(hidden)
        .sorting(Sorting::ByCommitTime(CommitTimeOrder::NewestFirst))
        .all()?;
    walk.take(limit).map(|commit| Ok(commit?.id)).collect()
}
