//! One stratum at a time on one git folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use stratum_core::ports::RepositoryError;

use crate::failure::git as failed;

/// How long it is between two tries to have the turn.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits for the turn; it ends when the answer is dropped, and when the process dies.
///
/// Stock git knows nothing of it: it keeps stratums from racing each other, and tells what a dead
/// one left behind from what a living one holds. Nothing is kept in the file, and nothing in it is
/// changed: whoever owns the folder could have put another file there. A link is refused.
pub(crate) fn take(folder: &Path) -> Result<File, RepositoryError> {
    let path = folder.join("stratum-turn");
    let waiting = || failed(format!("wait for `{}`", path.display()));
    let file = open(&path).map_err(waiting())?;
    file.lock().map_err(waiting())?;
    Ok(file)
}

/// The same for the mirror of a remote, for at most this long: whoever has the turn may wait for a
/// remote that does not answer.
///
/// *Errors*: [`RepositoryError::Remote`] when the time is over.
pub(crate) fn take_within(
    folder: &Path,
    doing: &str,
    patience: Duration,
) -> Result<File, RepositoryError> {
    let path = folder.join("stratum-turn");
    let waiting = || failed(format!("wait for `{}`", path.display()));
    let file = open(&path).map_err(waiting())?;
    let until = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(waiting()(error)),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(RepositoryError::Remote {
                    doing: doing.to_owned(),
                    reason: "another stratum on this machine waits for its answer".to_owned(),
                });
            }
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(std::io::Error::other("it is not a regular file")),
    }
}
