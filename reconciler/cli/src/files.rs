//! Files as git has them, as a tree: those of the work tree, of the index, or of a commit.
//!
//! *Guarantees*: the same rules as for commits: symlinks and submodules are named and never
//! followed, and files that git ignores are not there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use stratum_core::digest::Digest;
use stratum_core::ids::ObjectId;
use stratum_core::ports::{Tree, TreeEntry, TreeError, TreeKind};

use crate::failure::CommandError;
use crate::git;
use crate::objects::Objects;

/// The files of a work tree, an index or a commit.
pub(crate) struct Files {
    top: PathBuf,
    objects: Objects,
    entries: BTreeMap<String, Place>,
    /// Paths by the id that was given out for them.
    given: Mutex<BTreeMap<ObjectId, Place>>,
}

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
enum Place {
    /// On disk, at this path below the top.
    Disk(String),
    /// In the object database, under this id.
    Object(TreeKind, ObjectId),
}

impl Files {
    /// What the work tree that holds `folder` has now: tracked files and new ones, without those
    /// that git ignores.
    pub(crate) fn of_work_tree(folder: &Path) -> Result<Self, CommandError> {
        let top = top(folder)?;
        let arguments = [
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ];
        let listed = git::run(&top, &arguments)?;
        let entries = split(&listed)
            .filter(|path| fs::symlink_metadata(top.join(path)).is_ok())
            .map(|path| (path.clone(), Place::Disk(path)))
            .collect();
        Ok(Self::new(top, entries))
    }

    /// What the next commit of the work tree that holds `folder` would have.
    ///
    /// *Errors*: also when a merge is not resolved yet.
    pub(crate) fn of_index(folder: &Path) -> Result<Self, CommandError> {
        let top = top(folder)?;
        let listed = git::run(&top, &["ls-files", "-z", "--stage"])?;
        let entries = split(&listed)
            .map(|line| staged(&line))
            .collect::<Result<_, _>>()?;
        Ok(Self::new(top, entries))
    }

    /// What a commit has, also one that is only being pushed and that nothing but git can see.
    pub(crate) fn of_commit(folder: &Path, commit: &str) -> Result<Self, CommandError> {
        let listed = git::run(
            folder,
            &["ls-tree", "-r", "-z", "--full-tree", commit, "--"],
        )?;
        let entries = split(&listed)
            .map(|line| committed(&line))
            .collect::<Result<_, _>>()?;
        Ok(Self::new(folder.to_owned(), entries))
    }

    fn new(top: PathBuf, entries: BTreeMap<String, Place>) -> Self {
        Self {
            objects: Objects::new(&top),
            top,
            entries,
            given: Mutex::default(),
        }
    }

    fn describe(&self, path: &str, name: &str, place: &Place) -> Result<TreeEntry, TreeError> {
        let (kind, id) = match place {
            Place::Object(kind, id) => (*kind, id.clone()),
            Place::Disk(_) => self.on_disk(path)?,
        };
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.insert(id.clone(), place.clone());
        Ok(TreeEntry {
            name: name.to_owned(),
            kind,
            id,
        })
    }

    fn on_disk(&self, path: &str) -> Result<(TreeKind, ObjectId), TreeError> {
        let full = self.top.join(path);
        let metadata = fs::symlink_metadata(&full).map_err(|error| unreadable(path, error))?;
        let kind = if metadata.is_symlink() {
            TreeKind::Symlink
        } else if metadata.is_dir() {
            TreeKind::Submodule
        } else if metadata.permissions().mode() & 0o111 != 0 {
            TreeKind::Executable
        } else {
            TreeKind::File
        };
        let bytes = match kind {
            TreeKind::File | TreeKind::Executable => {
                fs::read(&full).map_err(|error| unreadable(path, error))?
            }
            TreeKind::Symlink | TreeKind::Submodule | TreeKind::Folder => path.as_bytes().to_vec(),
        };
        Ok((kind, id_of(path, &bytes)?))
    }

    /// The id of a folder: over the paths in it, and over size and time of those on disk.
    fn folder_id(&self, folder: &str) -> Result<ObjectId, TreeError> {
        let mut text = String::new();
        for (path, place) in self.below(folder) {
            text.push_str(path);
            match place {
                Place::Object(_, id) => text.push_str(id.as_str()),
                Place::Disk(path) => {
                    let metadata = fs::symlink_metadata(self.top.join(path));
                    let stamp = metadata.map(|data| (data.len(), data.modified().ok()));
                    text.push_str(&format!("{stamp:?}"));
                }
            }
            text.push('\0');
        }
        id_of(folder, text.as_bytes())
    }

    fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a String, &'a Place)> {
        let prefix = match folder {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        self.entries
            .range(prefix.clone()..)
            .take_while(move |(path, _)| path.starts_with(&prefix))
    }
}

impl Tree for Files {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, TreeError> {
        let name = path.rsplit('/').next().unwrap_or(path);
        if let Some(place) = self.entries.get(path) {
            return self.describe(path, name, place).map(Some);
        }
        if self.below(path).next().is_none() {
            return Ok(None);
        }
        Ok(Some(TreeEntry {
            name: name.to_owned(),
            kind: TreeKind::Folder,
            id: self.folder_id(path)?,
        }))
    }

    fn list(&self, path: &str) -> Result<Vec<TreeEntry>, TreeError> {
        let start = if path.is_empty() { 0 } else { path.len() + 1 };
        let mut names: Vec<&str> = self
            .below(path)
            .filter_map(|(path, _)| path.get(start..)?.split('/').next())
            .collect();
        names.dedup();
        names
            .into_iter()
            .map(|name| match path {
                "" => name.to_owned(),
                path => format!("{path}/{name}"),
            })
            .filter_map(|path| self.entry(&path).transpose())
            .collect()
    }

    fn blob(&self, id: &ObjectId, path: &str) -> Result<Vec<u8>, TreeError> {
        let place = {
            let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
            given.get(id).cloned()
        };
        match place {
            Some(Place::Disk(place)) => {
                let bytes = fs::read(self.top.join(&place));
                bytes.map_err(|error| unreadable(path, error))
            }
            Some(Place::Object(_, id)) => match self.objects.read(id.as_str(), u64::MAX) {
                Ok(object) => Ok(object.bytes),
                Err(error) => Err(unreadable(path, error)),
            },
            None => Err(unreadable(
                path,
                io::Error::other("no such entry was listed"),
            )),
        }
    }
}

/// The top of the work tree that holds `folder`.
pub(crate) fn top(folder: &Path) -> Result<PathBuf, CommandError> {
    let top = git::text(folder, &["rev-parse", "--show-toplevel"])?;
    Ok(PathBuf::from(top))
}

/// Paths that are not UTF-8 are left out: the loader would refuse them, and git allows them.
fn split(listed: &[u8]) -> impl Iterator<Item = String> + '_ {
    listed
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .filter_map(|part| String::from_utf8(part.to_vec()).ok())
}

/// One line of `git ls-files --stage`: `mode id stage<TAB>path`.
fn staged(line: &str) -> Result<(String, Place), CommandError> {
    let odd = || CommandError::machine(format!("`git ls-files --stage` answered `{line}`"));
    let (head, path) = line.split_once('\t').ok_or_else(odd)?;
    let mut parts = head.split(' ');
    let (mode, id, stage) = (parts.next(), parts.next(), parts.next());
    if stage != Some("0") {
        let message = format!("`{path}` has a merge conflict that is not resolved");
        return Err(CommandError::given(message).hint("resolve it, then `git add` it"));
    }
    let place = object(mode, id).ok_or_else(odd)?;
    Ok((path.to_owned(), place))
}

/// One line of `git ls-tree`: `mode type id<TAB>path`.
fn committed(line: &str) -> Result<(String, Place), CommandError> {
    let odd = || CommandError::machine(format!("`git ls-tree` answered `{line}`"));
    let (head, path) = line.split_once('\t').ok_or_else(odd)?;
    let mut parts = head.split(' ');
    let (mode, id) = (parts.next(), parts.nth(1));
    let place = object(mode, id).ok_or_else(odd)?;
    Ok((path.to_owned(), place))
}

fn object(mode: Option<&str>, id: Option<&str>) -> Option<Place> {
    let kind = match mode? {
        "100644" | "100664" => TreeKind::File,
        "100755" => TreeKind::Executable,
        "120000" => TreeKind::Symlink,
        "160000" => TreeKind::Submodule,
        _ => return None,
    };
    Some(Place::Object(kind, ObjectId::new(id?).ok()?))
}

fn id_of(path: &str, bytes: &[u8]) -> Result<ObjectId, TreeError> {
    let text = Digest::of_bytes(bytes).to_string();
    ObjectId::new(text).map_err(|error| unreadable(path, io::Error::other(error)))
}

fn unreadable(path: &str, source: io::Error) -> TreeError {
    TreeError::Read {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        git::run(folder.path(), &["init", "-q"]).unwrap();
        fs::create_dir_all(folder.path().join("infra/deep")).unwrap();
        for (path, text) in [
            ("stratum.ncl", "{}"),
            ("infra/a.ncl", "1"),
            ("infra/deep/b.ncl", "2"),
            (".gitignore", "*.log\n"),
            ("noise.log", "x"),
        ] {
            fs::write(folder.path().join(path), text).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        folder
    }

    fn read(files: &Files, path: &str) -> String {
        let entry = files.entry(path).unwrap().unwrap();
        String::from_utf8(files.blob(&entry.id, path).unwrap()).unwrap()
    }

    #[test]
    fn the_work_tree_has_new_files_but_not_ignored_ones_and_follows_no_link() {
        let folder = repository();
        let files = Files::of_work_tree(folder.path()).unwrap();
        let names: Vec<_> = files
            .list("")
            .unwrap()
            .into_iter()
            .map(|e| (e.name, e.kind))
            .collect();
        let expected = [
            (".gitignore", TreeKind::File),
            ("infra", TreeKind::Folder),
            ("link", TreeKind::Symlink),
            ("stratum.ncl", TreeKind::File),
        ];
        assert_eq!(names, expected.map(|(name, kind)| (name.to_owned(), kind)));
        assert_eq!(read(&files, "infra/deep/b.ncl"), "2");
        assert_eq!(files.entry("nowhere").unwrap(), None);
        let listed = files.list("infra").unwrap();
        assert_eq!(listed.len(), 2);
    }

    #[test]
    fn the_index_has_what_was_added_and_not_what_changed_since() {
        let folder = repository();
        git::run(folder.path(), &["add", "infra/a.ncl"]).unwrap();
        fs::write(folder.path().join("infra/a.ncl"), "changed").unwrap();
        let files = Files::of_index(folder.path()).unwrap();
        assert_eq!(read(&files, "infra/a.ncl"), "1");
        assert_eq!(files.entry("stratum.ncl").unwrap(), None);
        let files = Files::of_work_tree(folder.path()).unwrap();
        assert_eq!(read(&files, "infra/a.ncl"), "changed");
    }
}
