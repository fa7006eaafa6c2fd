//! One stratum at a time on one git folder.

use std::fs::File;
use std::path::Path;

use stratum_core::ports::RepositoryError;

use crate::failure::git as failed;

/// Waits for the turn; it ends when the answer is dropped, and when the process dies.
///
/// Stock git knows nothing of it: it keeps stratums from racing each other, and tells what a dead
/// one left behind from what a living one holds. Nothing is kept in the file.
pub(crate) fn take(folder: &Path) -> Result<File, RepositoryError> {
    let path = folder.join("stratum-turn");
    let waiting = || failed(format!("wait for `{}`", path.display()));
    let file = File::create(&path).map_err(waiting())?;
    file.lock().map_err(waiting())?;
    Ok(file)
}
