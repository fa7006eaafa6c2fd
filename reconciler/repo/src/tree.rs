//! The files of one commit, read from git objects.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use stratum_core::ids::ObjectId;
use stratum_core::ports::{Tree, TreeEntry, TreeError, TreeKind};

use crate::folder::{Folder, Folders};

/// The deepest folder that is read.
const DEPTH: usize = 32;
/// The most bytes that one look reads of one commit, each folder once and each file as often as it
/// is read.
const TOTAL: u64 = 512 << 20;

/// The files of one commit.
///
/// *Guarantees*: nothing larger than its kind may be is read, nothing deeper than 32 folders, and
/// not more than 512 MiB in all; a folder that git would not have made is refused as a whole.
pub(crate) struct GitTree {
    folders: Arc<Folders>,
    root: TreeEntry,
    seen: Mutex<HashMap<ObjectId, Arc<Folder>>>,
    total: AtomicU64,
}

impl GitTree {
    /// The files under the tree `root`.
    pub(crate) fn new(folders: Arc<Folders>, root: ObjectId) -> Self {
        Self {
            folders,
            root: TreeEntry {
                name: String::new(),
                kind: TreeKind::Folder,
                id: root,
            },
            seen: Mutex::default(),
            total: AtomicU64::new(0),
        }
    }

    fn folder(&self, id: &ObjectId, path: &str) -> Result<Arc<Folder>, TreeError> {
        let seen = || self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = seen().get(id) {
            return Ok(Arc::clone(folder));
        }
        let folder = self.folders.get(id, path)?;
        self.count(folder.bytes)?;
        seen().insert(id.clone(), Arc::clone(&folder));
        Ok(folder)
    }

    fn count(&self, bytes: u64) -> Result<(), TreeError> {
        let before = self.total.fetch_add(bytes, Ordering::Relaxed);
        let bytes = before.saturating_add(bytes);
        match bytes > TOTAL {
            true => Err(TreeError::TooLarge {
                path: "all that is read of the commit".to_owned(),
                bytes,
                most: TOTAL,
            }),
            false => Ok(()),
        }
    }
}

impl Tree for GitTree {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, TreeError> {
        if path.is_empty() {
            return Ok(Some(self.root.clone()));
        }
        if path.split('/').count() > DEPTH {
            return Err(TreeError::Malformed {
                path: path.to_owned(),
                what: format!("it lies deeper than {DEPTH} folders"),
            });
        }
        let mut here = self.root.clone();
        for name in path.split('/') {
            if here.kind != TreeKind::Folder {
                return Ok(None);
            }
            let folder = self.folder(&here.id, path)?;
            match folder.find(name) {
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
        let bytes = self.folders.read(id, path)?;
        self.count(bytes.len() as u64)?;
        Ok(bytes)
    }
}
