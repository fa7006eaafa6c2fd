//! Folders that belong to this program alone: what it must remember lies there.
//!
//! *Guarantees*: the outermost one is opened without following a link, belongs to the user of this
//! process, and lets nobody else in (0700); so nobody else can put anything into those below it.
//! Everything below is reached by name from an open folder, never by a path, and no link is
//! followed there either. Files are 0600.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fchmod, fstat, mkdirat, openat, renameat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

/// The largest file that is read.
const LARGEST: u64 = 16 * 1024 * 1024;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

const PRIVATE: Mode = Mode::RWXU;
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Where a private folder lies: the outermost one, and the names below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Nook {
    /// The outermost folder; absolute.
    pub(crate) base: PathBuf,
    /// The folders below it.
    pub(crate) names: Vec<String>,
}

impl Nook {
    /// Its path, for people.
    pub(crate) fn path(&self) -> PathBuf {
        let mut path = self.base.clone();
        path.extend(&self.names);
        path
    }

    /// The folder; `None` when it is not there.
    pub(crate) fn open(&self) -> io::Result<Option<Private>> {
        let Some(mut folder) = Private::outermost(&self.base)? else {
            return Ok(None);
        };
        for name in &self.names {
            folder = match folder.below(name)? {
                Some(folder) => folder,
                None => return Ok(None),
            };
        }
        Ok(Some(folder))
    }

    /// The folder, made when it is not there.
    pub(crate) fn make(&self) -> io::Result<Private> {
        let mut folder = Private::make_outermost(&self.base)?;
        for name in &self.names {
            folder = folder.make_below(name)?;
        }
        Ok(folder)
    }

    /// Removes the folder with all that lies in it, and those around it that are empty then.
    pub(crate) fn forget(&self) -> io::Result<()> {
        if self.open()?.is_some() {
            std::fs::remove_dir_all(self.path())?;
        }
        let mut around = self.clone();
        while around.names.pop().is_some()
            && !around.names.is_empty()
            && std::fs::remove_dir(around.path()).is_ok()
        {}
        Ok(())
    }
}

/// An open private folder.
#[derive(Debug)]
pub(crate) struct Private(OwnedFd);

impl Private {
    fn outermost(path: &Path) -> io::Result<Option<Self>> {
        let opened = rustix::fs::open(path, FOLDER, Mode::empty());
        let Some(folder) = there(opened, path)? else {
            return Ok(None);
        };
        let stat = fstat(&folder)?;
        if stat.st_uid != geteuid().as_raw() {
            return Err(refused(path, "belongs to another user"));
        }
        if stat.st_mode & 0o077 != 0 {
            fchmod(&folder, PRIVATE)?;
        }
        Ok(Some(Self(folder)))
    }

    fn make_outermost(path: &Path) -> io::Result<Self> {
        if let Some(folder) = Self::outermost(path)? {
            return Ok(folder);
        }
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE.as_raw_mode())
            .create(path)?;
        Self::outermost(path)?.ok_or_else(|| refused(path, "was taken away"))
    }

    /// The folder of this name; `None` when it is not there.
    pub(crate) fn below(&self, name: &str) -> io::Result<Option<Self>> {
        let opened = openat(&self.0, name, FOLDER, Mode::empty());
        Ok(there(opened, Path::new(name))?.map(Self))
    }

    fn make_below(&self, name: &str) -> io::Result<Self> {
        match mkdirat(&self.0, name, PRIVATE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let folder = self.below(name)?;
        folder.ok_or_else(|| refused(Path::new(name), "was taken away"))
    }

    /// What the file holds; `None` when it is not there.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.file(name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// The file, to read; `None` when it is not there.
    pub(crate) fn file(&self, name: &str) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&self.0, name, flags, Mode::empty());
        Ok(there(opened, Path::new(name))?.map(File::from))
    }

    /// The file, to read and append to; made when it is not there.
    pub(crate) fn appended(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR
            | OFlags::APPEND
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::CLOEXEC;
        let file = File::from(openat(&self.0, name, flags, PRIVATE_FILE)?);
        fchmod(&file, PRIVATE_FILE)?;
        Ok(file)
    }

    /// Replaces the file in one rename. Not durable.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = format!("{name}.new");
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let written = openat(&self.0, &new, flags, PRIVATE_FILE)
            .map_err(io::Error::from)
            .and_then(|file| File::from(file).write_all(bytes))
            .and_then(|()| Ok(renameat(&self.0, &new, &self.0, name)?));
        if written.is_err() {
            let _was_not_made = self.remove(&new);
        }
        written
    }

    /// Writes over the start of a file that is there; what follows stays. Needs no room.
    pub(crate) fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&self.0, name, flags, Mode::empty());
        match there(opened, Path::new(name))? {
            Some(file) => File::from(file).write_all(bytes),
            None => Ok(()),
        }
    }

    /// Gives a file another name, in place of what has it.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to)?)
    }

    /// Whether something has this name.
    pub(crate) fn holds(&self, name: &str) -> bool {
        rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Removes a file; fine when it is not there.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of its files, with the time each was changed.
    pub(crate) fn files(&self) -> io::Result<Vec<(i64, String)>> {
        let mut files = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            let stat = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW);
            if let Ok(stat) = stat
                && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            {
                files.push((changed(&stat), name.to_owned()));
            }
        }
        Ok(files)
    }

    /// Makes the names in it durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }
}

impl AsFd for Private {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// When a file was changed, in nanoseconds.
fn changed(stat: &rustix::fs::Stat) -> i64 {
    let nanoseconds = i64::try_from(stat.st_mtime_nsec).unwrap_or_default();
    stat.st_mtime
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}

/// What was opened; `None` when it is not there.
fn there(opened: Result<OwnedFd, Errno>, path: &Path) -> io::Result<Option<OwnedFd>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::LOOP | Errno::MLINK) => Err(refused(path, "is a link")),
        Err(Errno::NOTDIR) => Err(refused(path, "is no folder")),
        Err(error) => Err(error.into()),
    }
}

fn refused(path: &Path, why: &str) -> io::Error {
    io::Error::other(format!("`{}` {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn nook(folder: &Path) -> Nook {
        Nook {
            base: folder.join("own/shop"),
            names: vec!["steps".to_owned(), "a".to_owned()],
        }
    }

    #[test]
    fn nobody_else_gets_in_whatever_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let nook = nook(folder.path());
        std::fs::create_dir_all(&nook.base).unwrap();
        std::fs::set_permissions(&nook.base, std::fs::Permissions::from_mode(0o777)).unwrap();
        let made = nook.make().unwrap();
        made.write("x", b"y").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&nook.base), 0o700);
        assert_eq!(mode(&nook.path().join("x")), 0o600);
        assert_eq!(made.read("x").unwrap().unwrap(), b"y");
        nook.forget().unwrap();
        assert!(!nook.base.join("steps").exists() && nook.base.exists());
    }

    #[test]
    fn links_are_not_followed_at_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        let (nook, other) = (nook(folder.path()), folder.path().join("other"));
        std::fs::create_dir_all(other.join("a")).unwrap();
        std::fs::write(other.join("victim"), "kept").unwrap();
        std::fs::create_dir_all(folder.path().join("own")).unwrap();
        symlink(&other, &nook.base).unwrap();
        assert!(nook.make().is_err() && nook.open().is_err());
        std::fs::remove_file(&nook.base).unwrap();
        std::fs::create_dir(&nook.base).unwrap();
        symlink(&other, nook.base.join("steps")).unwrap();
        assert!(nook.make().is_err() && nook.open().is_err());
        std::fs::remove_file(nook.base.join("steps")).unwrap();
        let made = nook.make().unwrap();
        for name in ["file", "file.new"] {
            symlink(other.join("victim"), nook.path().join(name)).unwrap();
        }
        assert!(made.read("file").is_err() && made.appended("file").is_err());
        assert!(made.write("file", b"lost").is_err());
        let kept = std::fs::read_to_string(other.join("victim")).unwrap();
        assert_eq!(kept, "kept");
    }

    #[test]
    fn what_another_user_owns_is_refused() {
        if !geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let nook = nook(folder.path());
        std::fs::create_dir_all(&nook.base).unwrap();
        std::os::unix::fs::chown(&nook.base, Some(54321), None).unwrap();
        assert!(nook.open().is_err() && nook.make().is_err());
    }
}
