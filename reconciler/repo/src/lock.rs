//! Moving refs by compare-and-swap, under the locks that git uses.
//!
//! gix can do this too, but it writes a lock in two steps and locks the packed refs as well, so
//! that a process killed in between leaves a lock that nobody can tell from a living one. Here a
//! lock appears at once, whole and flushed, and says which commit of ours it is for.
//!
//! *Source*: gitrepository-layout(5); the lock of `refs/x` is `refs/x.lock`, and renaming it moves
//! the ref.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gix::refs::FullName;
use gix::{ObjectId, Repository};
use stratum_core::ports::RepositoryError;

use crate::durable;
use crate::failure::git as failed;
use crate::turn;

/// A lock of our own making that is older than this was left behind by a process that died: a
/// living one would have the turn, and git holds a lock for milliseconds.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// How often a folder is made again that git removes while it packs refs.
const FOLDER_TRIES: u32 = 5;

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

/// A lock that is held; dropping it gives it up.
struct Lock {
    path: PathBuf,
    renamed: bool,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.renamed {
            // What stays behind is recognised as ours later.
            let _already_gone = fs::remove_file(&self.path);
        }
    }
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
pub(crate) fn swap(repository: &Repository, moves: &[Move]) -> Result<Swap, RepositoryError> {
    let folder = repository.common_dir();
    let _turn = turn::take(folder)?;
    let mut locks = Vec::new();
    for change in moves {
        match lock(repository, folder, change)? {
            Ok(lock) => locks.push(lock),
            Err(busy) => return Ok(Swap::Busy(busy)),
        }
    }
    refresh(repository)?;
    for change in moves {
        if read(repository, &change.name)? != change.old {
            return Ok(Swap::Lost);
        }
    }
    for (change, lock) in moves.iter().zip(&mut locks) {
        let path = path_of(folder, change);
        // An empty folder that a deleted branch left; anything else there is not removed by this.
        let _no_empty_folder = fs::remove_dir(&path);
        let moving = failed(format!("move `{}`", change.name));
        fs::rename(&lock.path, path).map_err(moving)?;
        lock.renamed = true;
    }
    let refs = moves.iter().map(|change| path_of(folder, change));
    durable::sync_folders(folder, refs).map_err(failed("flush the refs to disk"))?;
    Ok(Swap::Moved)
}

/// Takes the lock of a ref, or answers the lock that another process holds.
fn lock(
    repository: &Repository,
    folder: &Path,
    change: &Move,
) -> Result<Result<Lock, PathBuf>, RepositoryError> {
    let mut path = path_of(folder, change).into_os_string();
    path.push(".lock");
    let path = PathBuf::from(path);
    if path.exists() {
        remove_ours(repository, &path);
    }
    match place(folder, &path, &format!("{}\n", change.new)) {
        Ok(()) => Ok(Ok(Lock {
            path,
            renamed: false,
        })),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Err(path)),
        Err(error) => Err(failed(format!("lock `{}`", change.name))(error)),
    }
}

/// Puts a file with `text` at `path`, at once and whole, unless one is there.
fn place(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    // The turn is ours, so this name is too; what is there under it, a link also, is not written to.
    let draft = folder.join("stratum-ref");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = File::create_new(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let mut linked = Ok(());
    for _ in 0..FOLDER_TRIES {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        linked = fs::hard_link(&draft, path);
        match &linked {
            Err(error) if error.kind() == ErrorKind::NotFound => (),
            Ok(()) | Err(_) => break,
        }
    }
    fs::remove_file(&draft)?;
    linked
}

/// Removes a lock that this program left behind when it was killed: it is old, and what it would
/// have written is a commit of a run. Any other lock is left to its owner.
fn remove_ours(repository: &Repository, lock: &Path) {
    let age = fs::metadata(lock).and_then(|lock| lock.modified());
    let old = age.is_ok_and(|at| {
        let age = SystemTime::now().duration_since(at);
        age.is_ok_and(|age| age > LEFT_BEHIND)
    });
    let ours = || {
        let id = fs::read_to_string(lock).ok()?;
        let id = ObjectId::from_hex(id.trim().as_bytes()).ok()?;
        let commit = crate::weighed::Weighed(repository).commit(id).ok()?;
        Some(crate::write::is_of_a_run(commit.message_raw_sloppy()))
    };
    if old && ours() == Some(true) {
        tracing::warn!(lock = %lock.display(), "removed a lock left behind by a process that died");
        let _already_gone = fs::remove_file(lock);
    }
}

fn path_of(folder: &Path, change: &Move) -> PathBuf {
    folder.join(change.name.to_string())
}
