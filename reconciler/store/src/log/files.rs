//! Files that are there as a whole or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::crash;
use crate::reader::with_suffix;

/// Writes a file under another name, flushes it, and gives it its own. Its name is durable once
/// [`flush_folder`] was called for its folder. Only its owner may read it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = with_suffix(path, ".new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&draft)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    drop(file);
    crash::chance();
    fs::rename(&draft, path)
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
