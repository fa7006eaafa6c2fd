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
use crate::style::one_line;

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
        let arguments = ["ls-files", "-z", "-t", "--stage"];
        let mut entries = BTreeMap::new();
        let (tracked, mut unnamed) = split(&git::run(&top, &arguments)?);
        for line in tracked {
            let (tag, line) = line.split_once(' ').unwrap_or_default();
            let (head, path) = line.split_once('\t').unwrap_or_default();
            if fs::symlink_metadata(top.join(path)).is_ok() {
                entries.insert(path.to_owned(), Place::Disk(path.to_owned()));
            } else if tag == "S" {
                // Left out of a sparse checkout: it is there all the same.
                let mut parts = head.split(' ');
                let place = object(parts.next(), parts.next());
                entries.extend(place.map(|place| (path.to_owned(), place)));
            }
        }
        let arguments = ["ls-files", "-z", "--others", "--exclude-standard"];
        let (others, odd) = split(&git::run(&top, &arguments)?);
        entries.extend(others.map(|path| (path.clone(), Place::Disk(path))));
        unnamed.extend(odd);
        Self::new(top, entries).naming(&unnamed)
    }

    /// Whether a file is one that a sparse checkout leaves out.
    pub(crate) fn is_left_out(&self, path: &str) -> bool {
        matches!(self.entries.get(path), Some(Place::Object(..)))
    }

    /// What the next commit of the work tree that holds `folder` would have.
    ///
    /// *Errors*: also when a merge is not resolved yet.
    pub(crate) fn of_index(folder: &Path) -> Result<Self, CommandError> {
        let top = top(folder)?;
        let (listed, unnamed) = split(&git::run(&top, &["ls-files", "-z", "--stage"])?);
        let mut entries: BTreeMap<String, Place> =
            listed.map(|line| staged(&line)).collect::<Result<_, _>>()?;
        if entries.values().any(is_empty) {
            // Some may only be announced (`git add -N`), and then they are no part of the commit.
            let tree = git::text(&top, &["write-tree", "--missing-ok"])?;
            let (listed, _) = split(&git::run(&top, &list_of(&tree))?);
            let committed: BTreeMap<String, Place> = listed
                .map(|line| committed(&line))
                .collect::<Result<_, _>>()?;
            entries.retain(|path, place| !is_empty(place) || committed.contains_key(path));
        }
        Self::new(top, entries).naming(&unnamed)
    }

    /// What a commit has, also one that is only being pushed and that nothing but git can see.
    pub(crate) fn of_commit(folder: &Path, commit: &str) -> Result<Self, CommandError> {
        let (listed, unnamed) = split(&git::run(folder, &list_of(commit))?);
        let entries = listed
            .map(|line| committed(&line))
            .collect::<Result<_, _>>()?;
        Self::new(folder.to_owned(), entries).naming(&unnamed)
    }

    /// Refuses names that are not UTF-8 where stratum reads: they would be left out in silence.
    fn naming(self, unnamed: &[Vec<u8>]) -> Result<Self, CommandError> {
        let name = |line: &[u8]| {
            let at = line
                .iter()
                .position(|byte| *byte == b'\t')
                .map_or(0, |at| at + 1);
            String::from_utf8_lossy(line.get(at..).unwrap_or_default()).into_owned()
        };
        let ours = |name: &String| READ.iter().any(|folder| name.starts_with(folder));
        match unnamed.iter().map(|line| name(line)).find(ours) {
            None => Ok(self),
            Some(name) => Err(CommandError::given(format!(
                "the name of a file is not UTF-8, so it cannot be read: `{}`",
                one_line(&name)
            ))
            .hint("`git mv` gives it another name; `git ls-files -z` shows the bytes of this one")),
        }
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
    git::top(folder)
}

/// The folders in which stratum reads every file.
const READ: &[&str] = &[
    "infra/",
    "secrets/",
    "trust/",
    "policies/",
    "pipelines/",
    "forms/",
    "knowledge/",
];

/// The arguments that list a tree.
fn list_of(tree: &str) -> [&str; 6] {
    ["ls-tree", "-r", "-z", "--full-tree", tree, "--"]
}

/// Whether the object is the one without bytes.
///
/// *Source*: git, `object-file.c`, the ids of the empty blob.
fn is_empty(place: &Place) -> bool {
    const EMPTY: [&str; 2] = [
        "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
        "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
    ];
    matches!(place, Place::Object(_, id) if EMPTY.contains(&id.as_str()))
}

/// The parts that are UTF-8, and those that are not: git allows any name.
fn split(listed: &[u8]) -> (std::vec::IntoIter<String>, Vec<Vec<u8>>) {
    let parts = listed.split(|byte| *byte == 0);
    let (mut named, mut unnamed) = (Vec::new(), Vec::new());
    for part in parts.filter(|part| !part.is_empty()) {
        match String::from_utf8(part.to_vec()) {
            Ok(part) => named.push(part),
            Err(error) => unnamed.push(error.into_bytes()),
        }
    }
    (named.into_iter(), unnamed)
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
    fn what_is_only_announced_is_no_part_of_the_index_and_empty_files_are() {
        let folder = repository();
        let top = folder.path();
        fs::write(top.join("infra/empty.ncl"), "").unwrap();
        fs::write(top.join("infra/gone.ncl"), "x").unwrap();
        git::run(top, &["add", "-N", "infra/a.ncl", "infra/gone.ncl"]).unwrap();
        git::run(top, &["add", "infra/empty.ncl", "infra/deep/b.ncl"]).unwrap();
        fs::remove_file(top.join("infra/gone.ncl")).unwrap();
        let files = Files::of_index(top).unwrap();
        let names: Vec<_> = files
            .list("infra")
            .unwrap()
            .into_iter()
            .map(|e| e.name)
            .collect();
        assert_eq!(names, ["deep", "empty.ncl"]);
    }

    #[test]
    fn what_a_sparse_checkout_leaves_out_is_there() {
        let folder = repository();
        let top = folder.path();
        for (name, value) in [("user.name", "Ada"), ("user.email", "a@example.org")] {
            git::run(top, &["config", name, value]).unwrap();
        }
        git::run(top, &["add", "--all"]).unwrap();
        git::run(top, &["commit", "-q", "-m", "one"]).unwrap();
        git::run(top, &["sparse-checkout", "set", "docs"]).unwrap();
        assert!(!top.join("infra").exists());
        let files = Files::of_work_tree(top).unwrap();
        assert_eq!(read(&files, "infra/deep/b.ncl"), "2");
        assert!(files.is_left_out("infra/a.ncl") && !files.is_left_out("stratum.ncl"));
        // What was deleted is gone.
        fs::remove_file(top.join("stratum.ncl")).unwrap();
        let files = Files::of_work_tree(top).unwrap();
        assert_eq!(files.entry("stratum.ncl").unwrap(), None);
    }

    #[test]
    fn a_name_that_is_not_text_is_said_where_files_are_read() {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = repository();
        let top = folder.path();
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9.ncl");
        fs::write(top.join(name), "elsewhere").unwrap();
        assert!(Files::of_work_tree(top).is_ok());
        fs::write(top.join("infra").join(name), "lost").unwrap();
        let error = Files::of_work_tree(top).err().unwrap();
        assert!(
            error
                .render(&crate::style::Theme::PLAIN)
                .contains("infra/caf")
        );
        git::run(top, &["add", "--all"]).unwrap();
        assert!(Files::of_index(top).is_err());
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
