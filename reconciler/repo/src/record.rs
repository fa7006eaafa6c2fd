//! What is written for a record: a commit on its branch and one on the notes.

use gix::refs::FullName;
use gix::{ObjectId, Repository};
use stratum_core::ids::CommitId;
use stratum_core::ports::{Publication, RepositoryError};

use crate::compare;
use crate::failure::git as failed;
use crate::lock::{self, Move};
use crate::note;
use crate::write::{Writer, is_of_run};

/// How many commits are looked through for the run's once its files were found.
const SEARCH: usize = 10_000;
const BRANCHES: &str = "refs/heads/";

/// The commit of the run, and the refs that must be moved for it; none when all is there already.
pub(crate) struct Built {
    pub(crate) commit: ObjectId,
    pub(crate) moves: Vec<Move>,
}

/// Writes the objects, on top of where the refs stand now.
pub(crate) fn build(
    writer: &Writer<'_>,
    publication: &Publication,
) -> Result<Built, RepositoryError> {
    let writing = || failed("write the record");
    let repository = writer.repository;
    let name = full_name(&format!("{BRANCHES}{}", publication.branch))?;
    let tip = lock::read(repository, &name)?;
    let mut moves = Vec::new();
    let found = match publication.from {
        None => find(repository, tip, publication).map_err(writing())?,
        Some(_) => None,
    };
    let commit = match found {
        Some(commit) => commit,
        None => {
            refuse_in_the_way(repository, tip, &name)?;
            let parent = parent(repository, tip, publication.from.as_ref()).map_err(writing())?;
            let new = record(writer, parent, publication).map_err(writing())?;
            moves.push(Move {
                name,
                old: tip,
                new,
            });
            new
        }
    };
    moves.extend(noted(writer, publication)?);
    Ok(Built { commit, moves })
}

fn noted(writer: &Writer<'_>, publication: &Publication) -> Result<Option<Move>, RepositoryError> {
    let writing = || failed("write the note");
    let Some((commit, line)) = &publication.note else {
        return Ok(None);
    };
    let name = full_name(note::NOTES)?;
    let old = lock::read(writer.repository, &name)?;
    let commit = ObjectId::from_hex(commit.as_str().as_bytes()).map_err(writing())?;
    let new = note::add(writer, old, commit, line).map_err(writing())?;
    Ok(new.map(|new| Move { name, old, new }))
}

/// What the new commit follows: the tip, or where the branch begins that is not there or behind.
fn parent(
    repository: &Repository,
    tip: Option<ObjectId>,
    from: Option<&CommitId>,
) -> Result<Option<ObjectId>, gix::Error> {
    let Some(from) = from else { return Ok(tip) };
    let from = ObjectId::from_hex(from.as_str().as_bytes())?;
    let Some(tip) = tip else {
        return Ok(Some(from));
    };
    let own = compare::between(repository, Some(from), tip, 1)?;
    Ok(Some(if own.is_empty() { from } else { tip }))
}

fn record(
    writer: &Writer<'_>,
    tip: Option<ObjectId>,
    publication: &Publication,
) -> Result<ObjectId, gix::Error> {
    let base = match tip {
        Some(tip) => writer.repository.find_commit(tip)?.tree_id()?.detach(),
        None => ObjectId::empty_tree(writer.repository.object_hash()),
    };
    let tree = writer.add(base, &publication.files)?;
    writer.commit(tree, tip, &publication.message)
}

/// The commit of this run, where it is on the branch already.
///
/// The files name the run, so their absence answers at once; only a repeated call walks, and from
/// the tip, near which the commit is.
fn find(
    repository: &Repository,
    tip: Option<ObjectId>,
    publication: &Publication,
) -> Result<Option<ObjectId>, gix::Error> {
    let Some(tip) = tip else { return Ok(None) };
    let tree = repository.find_commit(tip)?.tree()?;
    for (path, _) in &publication.files {
        if tree.lookup_entry(path.split('/'))?.is_none() {
            return Ok(None);
        }
    }
    for commit in repository.rev_walk([tip]).all()?.take(SEARCH) {
        let id = commit?.id;
        if is_of_run(repository.find_commit(id)?.message_raw()?, &publication.run) {
            return Ok(Some(id));
        }
    }
    // The files are there under another commit: somebody rewrote the branch.
    Ok((!publication.files.is_empty()).then_some(tip))
}

/// A branch `a` keeps a branch `a/b` from being begun, and the other way round.
fn refuse_in_the_way(
    repository: &Repository,
    tip: Option<ObjectId>,
    name: &FullName,
) -> Result<(), RepositoryError> {
    if tip.is_some() {
        return Ok(());
    }
    let wanted = name.to_string();
    let listing = || failed("list the branches");
    let references = repository.references().map_err(listing())?;
    for reference in references.local_branches().map_err(listing())?.flatten() {
        let other = reference.name().as_bstr().to_string();
        let in_the_way =
            |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
        if in_the_way(&wanted, &other) || in_the_way(&other, &wanted) {
            return Err(RepositoryError::Unsupported {
                path: repository.common_dir().display().to_string(),
                reason: format!(
                    "has a branch `{}`, beside which git cannot have `{}`: \
                     rename it, or set `records.branch` to another branch",
                    other.trim_start_matches(BRANCHES),
                    wanted.trim_start_matches(BRANCHES)
                ),
            });
        }
    }
    Ok(())
}

fn full_name(name: &str) -> Result<FullName, RepositoryError> {
    FullName::try_from(name).map_err(failed(format!("use `{name}` as a ref")))
}
