//! Which commits one commit has and another has not.

use gix::traverse::commit::Simple;
use gix::traverse::commit::simple::{CommitTimeOrder, Sorting};
use gix::{ObjectId, Repository};

use crate::weighed::Weighed;

/// The commits reachable from `new` and not from `old`, newest first, at most `limit`.
///
/// An `old` that is not in the repository (rewritten history, collected since) hides nothing.
///
/// *Errors*: also when a commit on the way is larger than is read.
pub(crate) fn between(
    repository: &Repository,
    old: Option<ObjectId>,
    new: ObjectId,
    limit: usize,
) -> Result<Vec<ObjectId>, gix::Error> {
    let weighed = Weighed(repository);
    let hidden = old.filter(|old| weighed.commit(*old).is_ok());
    let walk = Simple::new([new], weighed)
        .sorting(Sorting::ByCommitTime(CommitTimeOrder::NewestFirst))?
        .hide(hidden)?;
    walk.take(limit).map(|commit| Ok(commit?.id)).collect()
}
