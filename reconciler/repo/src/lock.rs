//! Moving refs by compare-and-swap.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gix::actor::SignatureRef;
use gix::lock::acquire::Fail;
use gix::refs::transaction::{PreviousValue, RefEdit};
use gix::refs::{FullName, Target};
use gix::{ObjectId, Repository};
use stratum_core::ports::RepositoryError;

use crate::durable;
use crate::failure::git as failed;

/// How long another process's lock is waited for.
const PATIENCE: Duration = Duration::from_millis(100);
/// A lock of our own making that is older than this was left behind by a process that died; one is
/// held for a few milliseconds.
const LEFT_BEHIND: Duration = Duration::from_secs(30);

/// One ref, from where it was seen to where it goes.
#[derive(Debug, Clone)]
pub(crate) struct Move {
    /// The full name.
    pub(crate) name: FullName,
    /// Where it was seen; `None` when it was not there.
    pub(crate) old: Option<ObjectId>,
    /// Where it goes.
    pub(crate) new: ObjectId,
}

/// What became of a swap.
#[derive(Debug)]
pub(crate) enum Swap {
    /// All refs were moved.
    Moved,
    /// None was moved: one is no longer where it was seen.
    Lost,
    /// None was moved: another process holds this lock.
    Busy(PathBuf),
}

/// Reads the packed refs again where there are any.
///
/// The cache of gix goes by the time of the file, which two quick writes can share.
pub(crate) fn refresh(repository: &Repository) -> Result<(), RepositoryError> {
    match repository.refs.force_refresh_packed_buffer() {
        Err(error) if !error.is_not_found() && repository.refs.packed_refs_path().exists() => {
            Err(failed("read the packed refs")(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Where a ref stands.
pub(crate) fn read(
    repository: &Repository,
    name: &FullName,
) -> Result<Option<ObjectId>, RepositoryError> {
    let reading = || failed(format!("read `{name}`"));
    let found = repository
        .try_find_reference(name.as_ref())
        .map_err(reading())?;
    let id = found.map(|mut reference| reference.follow_to_object().map(|id| id.detach()));
    id.transpose().map_err(reading())
}

/// Moves all refs or none, each only from where it was seen.
///
/// *Guarantees*: durable when it returns `Moved`. What a process killed in the middle leaves is
/// either nothing or refs that were moved one after the other, in the order given.
pub(crate) fn swap(
    repository: &Repository,
    moves: &[Move],
    committer: SignatureRef<'_>,
) -> Result<Swap, RepositoryError> {
    let folder = repository.common_dir();
    let edits = moves.iter().map(edit);
    let patience = Fail::AfterDurationWithBackoff(PATIENCE);
    let prepared = match repository
        .refs
        .transaction()
        .prepare(edits, patience, patience)
    {
        Ok(prepared) => prepared,
        Err(error) => return why(repository, moves, error),
    };
    let locks = moves.iter().map(|change| lock_of(folder, change));
    durable::sync_files(locks).map_err(failed("flush the refs to disk"))?;
    prepared
        .commit(committer)
        .map_err(failed("move the refs"))?;
    let refs = moves.iter().map(|change| path_of(folder, change));
    durable::sync_folders(folder, refs).map_err(failed("flush the refs to disk"))?;
    Ok(Swap::Moved)
}

fn edit(change: &Move) -> RefEdit {
    let expected = match change.old {
        Some(old) => PreviousValue::MustExistAndMatch(Target::Object(old)),
        None => PreviousValue::MustNotExist,
    };
    RefEdit::update(change.name.clone(), change.new, expected, "stratum: record")
}

/// Tells a lost race and a lock from a failure, by looking instead of by reading the message.
fn why(
    repository: &Repository,
    moves: &[Move],
    error: gix::Error,
) -> Result<Swap, RepositoryError> {
    let folder = repository.common_dir();
    for change in moves {
        if read(repository, &change.name)? != change.old {
            return Ok(Swap::Lost);
        }
    }
    let packed = folder.join("packed-refs.lock");
    let locks = moves.iter().map(|change| lock_of(folder, change));
    match locks.chain([packed]).find(|lock| lock.exists()) {
        Some(lock) => {
            remove_ours(repository, &lock);
            Ok(Swap::Busy(lock))
        }
        None => Err(failed("lock the refs")(error)),
    }
}

/// Removes a lock that this program left behind when it was killed: it is old, and what it would
/// have written is a commit with the trailer of a run. Any other lock is left to its owner.
fn remove_ours(repository: &Repository, lock: &Path) {
    let age = std::fs::metadata(lock).and_then(|lock| lock.modified());
    let old = age.is_ok_and(|at| {
        SystemTime::now()
            .duration_since(at)
            .is_ok_and(|age| age > LEFT_BEHIND)
    });
    let ours = || {
        let id = std::fs::read_to_string(lock).ok()?;
        let id = ObjectId::from_hex(id.trim().as_bytes()).ok()?;
        let commit = repository.find_commit(id).ok()?;
        Some(crate::publish::is_of_a_run(commit.message_raw_sloppy()))
    };
    if old && ours() == Some(true) {
        tracing::warn!(lock = %lock.display(), "removed a lock left behind by a process that died");
        // Who else removes it at the same time is right as well.
        let _already_gone = std::fs::remove_file(lock);
    }
}

fn path_of(folder: &Path, change: &Move) -> PathBuf {
    folder.join(change.name.to_string())
}

fn lock_of(folder: &Path, change: &Move) -> PathBuf {
    let mut path = path_of(folder, change).into_os_string();
    path.push(".lock");
    path.into()
}
