//! Folders of commits, decoded, and kept for whoever asks next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use gix::objs::tree::EntryKind;
use stratum_core::ids::ObjectId;
use stratum_core::ports::{TreeEntry, TreeError, TreeKind};

use crate::pool::Pool;
use crate::weighed::{Weighed, too_large};

/// How many entries of folders are kept decoded, at most twice as many.
const KEPT: usize = 200_000;

/// One folder, decoded.
#[derive(Default)]
pub(crate) struct Folder {
    /// Sorted by name.
    pub(crate) entries: Vec<TreeEntry>,
    /// Whether a name that is not UTF-8 was left out.
    pub(crate) unreadable: bool,
    /// Its size in bytes, as git keeps it.
    pub(crate) bytes: u64,
}

impl Folder {
    /// The entry of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&TreeEntry> {
        let place = self
            .entries
            .binary_search_by(|entry| entry.name.as_str().cmp(name));
        self.entries.get(place.ok()?)
    }
}

/// The decoded folders of one repository. A folder is what its id says, so it never changes.
///
/// *Guarantees*: what was asked for lately is there; what was not is forgotten, half of it at once.
pub(crate) struct Folders {
    pool: Arc<Pool>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    new: HashMap<ObjectId, Arc<Folder>>,
    old: HashMap<ObjectId, Arc<Folder>>,
    entries: usize,
}

impl Folders {
    /// The folders of the repository behind `pool`.
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self {
            pool,
            kept: Mutex::default(),
        }
    }

    /// The folder `id`; `path` is for the error only.
    pub(crate) fn get(&self, id: &ObjectId, path: &str) -> Result<Arc<Folder>, TreeError> {
        if let Some(folder) = self.kept().get(id) {
            return Ok(folder);
        }
        let folder = Arc::new(decode(&self.read(id, path)?, id, path)?);
        self.kept().put(id.clone(), Arc::clone(&folder));
        Ok(folder)
    }

    /// The bytes of an object that is not larger than its kind may be.
    pub(crate) fn read(&self, id: &ObjectId, path: &str) -> Result<Vec<u8>, TreeError> {
        let object_id = gix::ObjectId::from_hex(id.as_str().as_bytes()).map_err(failed(path))?;
        self.pool.with(|repository| {
            let object = Weighed(repository).object(object_id);
            Ok(object.map_err(failed(path))?.detach().data)
        })
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn get(&mut self, id: &ObjectId) -> Option<Arc<Folder>> {
        if let Some(folder) = self.new.get(id) {
            return Some(Arc::clone(folder));
        }
        let folder = self.old.remove(id)?;
        self.put(id.clone(), Arc::clone(&folder));
        Some(folder)
    }

    fn put(&mut self, id: ObjectId, folder: Arc<Folder>) {
        self.entries += folder.entries.len() + 1;
        self.new.insert(id, folder);
        if self.entries > KEPT {
            self.old = std::mem::take(&mut self.new);
            self.entries = 0;
        }
    }
}

/// Reads a folder, and refuses one that git would not have made: two entries of one name are one
/// file to one program and the other to another.
fn decode(bytes: &[u8], id: &ObjectId, path: &str) -> Result<Folder, TreeError> {
    let malformed = |what: String| TreeError::Malformed {
        path: path.to_owned(),
        what,
    };
    let mut folder = Folder {
        bytes: bytes.len() as u64,
        ..Folder::default()
    };
    let hash = gix::ObjectId::from_hex(id.as_str().as_bytes()).map_err(failed(path))?;
    let mut last: Option<(Vec<u8>, bool)> = None;
    for entry in gix::objs::TreeRefIter::from_bytes(bytes, hash.kind()) {
        let entry = entry.map_err(failed(path))?;
        let (bytes, is_folder) = (entry.filename.to_vec(), entry.mode.is_tree());
        let name = String::from_utf8_lossy(&bytes).into_owned();
        if refused(&bytes) {
            return Err(malformed(format!(
                "it has an entry `{}`",
                name.escape_debug()
            )));
        }
        if let Some((before, was_folder)) = &last
            && order(before, *was_folder) >= order(&bytes, is_folder)
        {
            return Err(malformed(format!(
                "its entries are not in order at `{}`",
                name.escape_debug()
            )));
        }
        match std::str::from_utf8(&bytes) {
            Ok(name) => folder.entries.push(TreeEntry {
                name: name.to_owned(),
                kind: kind(entry.mode.kind()),
                id: ObjectId::new(entry.oid.to_string()).map_err(failed(path))?,
            }),
            Err(_) => folder.unreadable = true,
        }
        last = Some((bytes, is_folder));
    }
    // Git sorts a folder as if its name ended in `/`, so a file may have its name further up.
    folder.entries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut pairs = folder.entries.array_windows();
    match pairs.find(|[a, b]| a.name == b.name) {
        Some([twice, _]) => Err(malformed(format!("it has two entries `{}`", twice.name))),
        None => Ok(folder),
    }
}

/// How git sorts: a folder as if its name ended in `/`.
fn order(name: &[u8], is_folder: bool) -> Vec<u8> {
    let mut key = name.to_vec();
    if is_folder {
        key.push(b'/');
    }
    key
}

/// Names that git refuses in a tree.
fn refused(name: &[u8]) -> bool {
    let odd = name.is_empty() || name == b"." || name == b".." || name.contains(&0);
    odd || name.contains(&b'/') || name.eq_ignore_ascii_case(b".git")
}

fn kind(kind: EntryKind) -> TreeKind {
    match kind {
        EntryKind::Blob => TreeKind::File,
        EntryKind::BlobExecutable => TreeKind::Executable,
        EntryKind::Tree => TreeKind::Folder,
        EntryKind::Link => TreeKind::Symlink,
        EntryKind::Commit => TreeKind::Submodule,
    }
}

fn failed<E>(path: &str) -> impl FnOnce(E) -> TreeError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let path = path.to_owned();
    move |source| {
        let source = source.into();
        match too_large(source.as_ref()) {
            Some(found) => TreeError::TooLarge {
                path,
                bytes: found.bytes,
                most: found.most,
            },
            None => TreeError::Read { path, source },
        }
    }
}
