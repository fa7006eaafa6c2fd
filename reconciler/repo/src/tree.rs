//! The files of one commit, read from git objects.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use gix::objs::tree::EntryKind;
use stratum_core::ids::ObjectId;
use stratum_core::ports::{Tree, TreeEntry, TreeError, TreeKind};

use crate::pool::Pool;

/// One folder, decoded.
#[derive(Default)]
struct Folder {
    /// Sorted by name.
    entries: Vec<TreeEntry>,
    /// Whether a name that is not UTF-8 was left out.
    unreadable: bool,
}

/// The files of one commit. Folders that were looked at are kept decoded.
pub(crate) struct GitTree {
    pool: Arc<Pool>,
    root: TreeEntry,
    folders: Mutex<HashMap<ObjectId, Arc<Folder>>>,
}

impl GitTree {
    /// The files under the tree `root`.
    pub(crate) fn new(pool: Arc<Pool>, root: ObjectId) -> Self {
        Self {
            pool,
            root: TreeEntry {
                name: String::new(),
                kind: TreeKind::Folder,
                id: root,
            },
            folders: Mutex::new(HashMap::new()),
        }
    }

    fn folder(&self, id: &ObjectId, path: &str) -> Result<Arc<Folder>, TreeError> {
        let known = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = known.get(id) {
            return Ok(Arc::clone(folder));
        }
        drop(known);
        let folder = Arc::new(decode(&self.read(id, path)?, id).map_err(failed(path))?);
        let mut known = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(id.clone(), Arc::clone(&folder));
        Ok(folder)
    }

    fn read(&self, id: &ObjectId, path: &str) -> Result<Vec<u8>, TreeError> {
        let object_id = gix::ObjectId::from_hex(id.as_str().as_bytes()).map_err(failed(path))?;
        self.pool.with(|repository| {
            let object = repository.find_object(object_id).map_err(failed(path))?;
            Ok(object.detach().data)
        })
    }
}

impl Tree for GitTree {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, TreeError> {
        if path.is_empty() {
            return Ok(Some(self.root.clone()));
        }
        let mut here = self.root.clone();
        for name in path.split('/') {
            if here.kind != TreeKind::Folder {
                return Ok(None);
            }
            let folder = self.folder(&here.id, path)?;
            let place = folder
                .entries
                .binary_search_by(|entry| entry.name.as_str().cmp(name));
            match place.ok().and_then(|place| folder.entries.get(place)) {
                Some(entry) => here = entry.clone(),
                None => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    fn list(&self, path: &str) -> Result<Vec<TreeEntry>, TreeError> {
        let entry = match self.entry(path)? {
            Some(entry) if entry.kind == TreeKind::Folder => entry,
            Some(_) | None => return Ok(Vec::new()),
        };
        let folder = self.folder(&entry.id, path)?;
        if folder.unreadable {
            return Err(TreeError::Name {
                path: path.to_owned(),
            });
        }
        Ok(folder.entries.clone())
    }

    fn blob(&self, id: &ObjectId, path: &str) -> Result<Vec<u8>, TreeError> {
        self.read(id, path)
    }
}

fn decode(bytes: &[u8], id: &ObjectId) -> Result<Folder, Box<dyn std::error::Error + Send + Sync>> {
    let mut folder = Folder::default();
    let hash = gix::ObjectId::from_hex(id.as_str().as_bytes())?.kind();
    for entry in gix::objs::TreeRefIter::from_bytes(bytes, hash) {
        let entry = entry?;
        match std::str::from_utf8(entry.filename) {
            Ok(name) => folder.entries.push(TreeEntry {
                name: name.to_owned(),
                kind: kind(entry.mode.kind()),
                id: ObjectId::new(entry.oid.to_string())?,
            }),
            Err(_) => folder.unreadable = true,
        }
    }
    // Git sorts a folder as if its name ended in `/`.
    folder.entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(folder)
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
    move |source| TreeError::Read {
        path,
        source: source.into(),
    }
}
