//! Flushing to disk what gix wrote; gix itself does not.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use gix::ObjectId;

/// How many files are flushed at the same time.
const THREADS: usize = 16;

/// Flushes loose objects and the folders that name them. An object that is not loose is in a pack,
/// which git flushed when it made it.
pub(crate) fn sync_objects(objects: &Path, ids: &[ObjectId]) -> io::Result<()> {
    let paths: Vec<PathBuf> = ids.iter().filter_map(|id| loose(objects, id)).collect();
    sync_files(paths.iter().cloned())?;
    sync_folders(objects, paths.into_iter())
}

/// Flushes the files that are there, many at once: a file system that is asked at the same time
/// answers all with one commit of its journal, instead of one commit for each.
pub(crate) fn sync_files(paths: impl Iterator<Item = PathBuf>) -> io::Result<()> {
    let paths: Vec<PathBuf> = paths.collect();
    let share = paths.len().div_ceil(THREADS).max(1);
    std::thread::scope(|scope| {
        let shares = paths.chunks(share);
        let threads: Vec<_> = shares
            .map(|share| scope.spawn(|| share.iter().try_for_each(|path| sync(path))))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
        })
    })
}

fn sync(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
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
