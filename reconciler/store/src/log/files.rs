//! Files that are there as a whole or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::crash;
use crate::presence::random;
use crate::reader::with_suffix;

/// What the name of a file ends with until the file is whole.
const DRAFT: &str = ".new";

/// Whether a file was never whole: what a crash left, and nobody reads.
pub(crate) fn is_draft(path: &Path) -> bool {
    path.as_os_str()
        .as_encoded_bytes()
        .ends_with(DRAFT.as_bytes())
}

/// Writes a file under another name, flushes it, and gives it its own. Its name is durable once
/// [`flush_folder`] was called for its folder. Only its owner may read it.
///
/// *Assumes*: nobody else writes it meanwhile.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_through(path, &with_suffix(path, DRAFT), bytes)
}

/// The same, where others may write it too: the last one wins.
pub(crate) fn write_shared(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_through(path, &own_draft(path), bytes)
}

/// A name that no other process gives, in whatever namespace it lives.
fn own_draft(path: &Path) -> PathBuf {
    with_suffix(path, &format!(".{:016x}{DRAFT}", random()))
}

fn write_through(path: &Path, draft: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(draft)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    drop(file);
    crash::chance();
    fs::rename(draft, path)
}

/// Writes a file that must not be there yet; `false`, and nothing written, when it is.
///
/// *Guarantees*: of several threads and processes that try at once, one wins; the others see its
/// file whole.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let draft = own_draft(path);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&draft)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the names of the files in a folder durable.
pub(crate) fn flush_folder(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// Makes a folder and those above it, for its owner only.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path)
}

/// Removes a folder with all that is in it, if it is there.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(path))
}

/// Reads a file; `None` when it is not there.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
