//! A tree in memory.

use std::collections::BTreeMap;

use stratum_core::digest::Digest;
use stratum_core::ids::{IdError, ObjectId};
use stratum_core::ports::{Tree, TreeEntry, TreeError, TreeKind};
use thiserror::Error;

/// Why a tree could not be made.
#[derive(Debug, Error)]
pub enum MemoryTreeError {
    /// A path is empty, absolute, or has an empty, `.` or `..` part, or is both file and folder.
    #[error("`{0}` is not the path of a file in a tree")]
    Path(String),
    /// An id could not be made.
    #[error(transparent)]
    Id(#[from] IdError),
}

/// The files of a Revision, in memory.
///
/// *Guarantees*: ids follow from content, of folders too, as those of git do; they are not git's.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    folders: BTreeMap<String, Vec<TreeEntry>>,
    blobs: BTreeMap<String, Vec<u8>>,
}

type Files = BTreeMap<String, (TreeKind, Vec<u8>)>;

impl MemoryTree {
    /// A tree of regular files.
    pub fn new<P: Into<String>, B: Into<Vec<u8>>>(
        files: impl IntoIterator<Item = (P, B)>,
    ) -> Result<Self, MemoryTreeError> {
        let kinds = files
            .into_iter()
            .map(|(path, bytes)| (path, TreeKind::File, bytes));
        Self::with_kinds(kinds)
    }

    /// A tree of files, executables, symlinks (the bytes are the target) and submodules.
    pub fn with_kinds<P: Into<String>, B: Into<Vec<u8>>>(
        files: impl IntoIterator<Item = (P, TreeKind, B)>,
    ) -> Result<Self, MemoryTreeError> {
        let files: Files = files
            .into_iter()
            .map(|(path, kind, bytes)| (path.into(), (kind, bytes.into())))
            .collect();
        let mut tree = Self::default();
        for path in files.keys() {
            check(path, &files)?;
        }
        tree.fill("", &files)?;
        Ok(tree)
    }

    /// The id of the whole tree.
    pub fn id(&self) -> Result<ObjectId, MemoryTreeError> {
        Ok(id("tree", &listing(self.folders.get("")))?)
    }

    /// Fills the folder `folder`, and those in it; answers its id.
    fn fill(&mut self, folder: &str, files: &Files) -> Result<ObjectId, MemoryTreeError> {
        let mut entries: BTreeMap<String, TreeEntry> = BTreeMap::new();
        let prefix = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        for (path, (kind, bytes)) in files {
            let Some(below) = path.strip_prefix(&prefix) else {
                continue;
            };
            let (name, inner) = match below.split_once('/') {
                Some((name, _)) => (name, true),
                None => (below, false),
            };
            if entries.contains_key(name) {
                continue;
            }
            let (kind, id) = if inner {
                (
                    TreeKind::Folder,
                    self.fill(&format!("{prefix}{name}"), files)?,
                )
            } else {
                (*kind, self.keep(bytes)?)
            };
            let name = name.to_owned();
            entries.insert(name.clone(), TreeEntry { name, kind, id });
        }
        let entries: Vec<TreeEntry> = entries.into_values().collect();
        let own = id("tree", &listing(Some(&entries)))?;
        self.folders.insert(folder.to_owned(), entries);
        Ok(own)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<ObjectId, IdError> {
        let id = id("blob", bytes)?;
        self.blobs.insert(id.as_str().to_owned(), bytes.to_vec());
        Ok(id)
    }
}

fn check(path: &str, files: &Files) -> Result<(), MemoryTreeError> {
    let parts_are_names = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let mut folders = path.char_indices().filter(|(_, c)| *c == '/');
    let file_on_the_way =
        folders.any(|(end, _)| files.contains_key(path.get(..end).unwrap_or_default()));
    if parts_are_names && !file_on_the_way {
        Ok(())
    } else {
        Err(MemoryTreeError::Path(path.to_owned()))
    }
}

fn listing(entries: Option<&Vec<TreeEntry>>) -> Vec<u8> {
    let mut text = String::new();
    for entry in entries.into_iter().flatten() {
        text.push_str(&format!("{:?} {} {}\n", entry.kind, entry.id, entry.name));
    }
    text.into_bytes()
}

fn id(kind: &str, bytes: &[u8]) -> Result<ObjectId, IdError> {
    let mut hashed = format!("{kind} {}\0", bytes.len()).into_bytes();
    hashed.extend_from_slice(bytes);
    let digits = Digest::of_bytes(&hashed).to_string();
    ObjectId::new(digits.chars().take(40).collect::<String>())
}

impl Tree for MemoryTree {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, TreeError> {
        if path.is_empty() {
            let id =
                id("tree", &listing(self.folders.get(""))).map_err(|error| TreeError::Read {
                    path: String::new(),
                    source: Box::new(error),
                })?;
            let (name, kind) = (String::new(), TreeKind::Folder);
            return Ok(Some(TreeEntry { name, kind, id }));
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let entries = self.folders.get(folder).into_iter().flatten();
        Ok(entries
            .into_iter()
            .find(|entry| entry.name == name)
            .cloned())
    }

    fn list(&self, path: &str) -> Result<Vec<TreeEntry>, TreeError> {
        Ok(self.folders.get(path).cloned().unwrap_or_default())
    }

    fn blob(&self, id: &ObjectId, path: &str) -> Result<Vec<u8>, TreeError> {
        let found = self.blobs.get(id.as_str()).cloned();
        found.ok_or_else(|| TreeError::Read {
            path: path.to_owned(),
            source: format!("there is no object {id}").into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_lists_and_blobs_agree() {
        let tree = MemoryTree::new([("a/b/c.txt", "c"), ("a/d", "d"), ("e", "e")]).unwrap();
        let names = |path: &str| -> Vec<String> {
            tree.list(path)
                .unwrap()
                .into_iter()
                .map(|entry| entry.name)
                .collect()
        };
        assert_eq!(
            (names(""), names("a")),
            (vec!["a".into(), "e".into()], vec!["b".into(), "d".into()])
        );
        let entry = tree.entry("a/b/c.txt").unwrap().unwrap();
        assert_eq!(tree.blob(&entry.id, "").unwrap(), b"c");
        assert_eq!(tree.entry("a/b").unwrap().unwrap().kind, TreeKind::Folder);
        assert!(tree.entry("a/x").unwrap().is_none() && tree.list("e").unwrap().is_empty());
    }

    #[test]
    fn ids_of_folders_follow_from_what_lies_in_them() {
        let tree = |content: &str| MemoryTree::new([("a/b", content), ("c/d", "same")]).unwrap();
        let (one, two) = (tree("1"), tree("2"));
        let id = |tree: &MemoryTree, path| tree.entry(path).unwrap().unwrap().id;
        assert_ne!(id(&one, "a"), id(&two, "a"));
        assert_ne!(id(&one, ""), id(&two, ""));
        assert_eq!(id(&one, "c"), id(&two, "c"));
        assert_eq!(one.id().unwrap(), id(&one, ""));
    }

    #[test]
    fn paths_that_no_tree_has_are_refused() {
        for paths in [vec!["/a"], vec!["a//b"], vec!["../a"], vec!["a", "a/b"]] {
            let files = paths.iter().map(|path| (*path, ""));
            assert!(MemoryTree::new(files).is_err(), "{paths:?}");
        }
    }
}
