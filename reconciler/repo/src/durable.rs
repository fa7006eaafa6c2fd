//! Flushing to disk what gix wrote; gix itself does not.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use gix::ObjectId;

/// Flushes loose objects and the folders that name them. An object that is not loose is in a pack,
/// which git flushed when it made it.
pub(crate) fn sync_objects(objects: &Path, ids: &[ObjectId]) -> io::Result<()> {
    let paths: Vec<PathBuf> = ids.iter().filter_map(|id| loose(objects, id)).collect();
    sync_files(paths.iter().cloned())?;
    sync_folders(objects, paths.into_iter())
}

/// Flushes the files that are there.
pub(crate) fn sync_files(paths: impl Iterator<Item = PathBuf>) -> io::Result<()> {
    for path in paths {
        match File::open(path) {
            Ok(file) => file.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Flushes every folder from `top` down to the files.
pub(crate) fn sync_folders(top: &Path, files: impl Iterator<Item = PathBuf>) -> io::Result<()> {
    let mut folders = BTreeSet::new();
    for file in files {
        let above = file.ancestors().skip(1);
        folders.extend(
            above
                .take_while(|above| above.starts_with(top))
                .map(Path::to_owned),
        );
    }
    sync_files(folders.into_iter())
}

fn loose(objects: &Path, id: &ObjectId) -> Option<PathBuf> {
    let hex = id.to_string();
    let (folder, name) = hex.split_at_checked(2)?;
    Some(objects.join(folder).join(name))
}
