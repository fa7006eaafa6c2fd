//! Commits that are kept alive by refs of ours, so that no garbage collection takes them away.
//!
//! The rules of the commit that is applied judge the next one. Where history is rewritten, nothing
//! else may lead to it any more. The refs are in no branch, tag or note: they are not mirrored, not
//! pushed, and mean nothing to people.

use std::collections::BTreeSet;

use gix::Repository;
use gix::refs::transaction::{Change, PreviousValue, RefEdit, RefLog};
use gix::refs::{FullName, Target};
use stratum_core::ids::CommitId;
use stratum_core::ports::RepositoryError;

use crate::failure::git as failed;
use crate::lock::refresh;
use crate::open::GitRepository;
use crate::read::find;
use crate::record::refuse_in_the_way;
use crate::turn;

/// Where the refs are: each is named by its commit.
pub(crate) const KEPT: &str = "refs/stratum/applied/";

impl GitRepository {
    /// Makes these the commits that are kept, and lets go of the others.
    ///
    /// One that is not in the repository is passed over: it cannot be kept any more.
    pub(crate) fn keep_commits(&self, commits: &BTreeSet<CommitId>) -> Result<(), RepositoryError> {
        let _turn = turn::take(self.git_dir())?;
        self.pool.with(|repository| {
            let kept = kept(repository)?;
            let new = commits.iter().filter(|commit| !kept.contains(*commit));
            let there = new.filter(|commit| find(repository, commit).is_ok());
            let mut edits: Vec<RefEdit> = there.map(begun).collect::<Result<_, _>>()?;
            for commit in kept.difference(commits) {
                edits.push(dropped(commit)?);
            }
            if edits.is_empty() {
                return Ok(());
            }
            let begun = edits
                .iter()
                .filter(|edit| edit.change.new_value().is_some());
            let begun = begun.map(|edit| edit.name.clone()).next();
            repository
                .edit_references(edits)
                .map(drop)
                .or_else(|error| {
                    begun.map_or(Ok(()), |name| refuse_in_the_way(repository, None, &name))?;
                    Err(failed("keep the applied commits")(error))
                })
        })
    }
}

fn kept(repository: &Repository) -> Result<BTreeSet<CommitId>, RepositoryError> {
    let listing = || failed("list the commits that are kept");
    refresh(repository)?;
    let platform = repository.references().map_err(listing())?;
    let mut kept = BTreeSet::new();
    for reference in platform.prefixed(KEPT).map_err(listing())?.flatten() {
        let name = reference.name().as_bstr().to_string();
        let id = name.strip_prefix(KEPT).unwrap_or_default();
        kept.extend(CommitId::new(id).ok());
    }
    Ok(kept)
}

fn begun(commit: &CommitId) -> Result<RefEdit, RepositoryError> {
    let id = gix::ObjectId::from_hex(commit.as_str().as_bytes());
    let change = Change::Update {
        log: Default::default(),
        expected: PreviousValue::Any,
        new: Target::Object(id.map_err(failed("keep a commit"))?),
    };
    edit(commit, change)
}

fn dropped(commit: &CommitId) -> Result<RefEdit, RepositoryError> {
    let change = Change::Delete {
        expected: PreviousValue::Any,
        log: RefLog::AndReference,
    };
    edit(commit, change)
}

fn edit(commit: &CommitId, change: Change) -> Result<RefEdit, RepositoryError> {
    let name = FullName::try_from(format!("{KEPT}{commit}")).map_err(failed("keep a commit"))?;
    Ok(RefEdit {
        change,
        name,
        deref: false,
    })
}
