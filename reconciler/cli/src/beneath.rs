//! Writes files below a folder, and never anywhere else.
//!
//! *Guarantees*: no link on the way is followed, whoever put it there and whenever; nothing below a
//! `.git` is touched, however it is spelled. A file is replaced in one rename, and durable when a
//! call returns.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use stratum_core::kinds::sealed_place::is_git;

/// How a folder is opened.
const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

/// Replaces the file at `path` below `top`, or makes it and the folders on the way.
pub(crate) fn write(top: &Path, path: &str, bytes: &[u8]) -> io::Result<()> {
    let (folder, name) = folder(top, path, true)?;
    refuse_link(&folder, name, path)?;
    let new = format!(".{}.{}.new", name.to_string_lossy(), std::process::id());
    let there = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).ok();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let _one_of_a_call_that_was_killed = rustix::fs::unlinkat(&folder, &new, AtFlags::empty());
    let mut file = File::from(rustix::fs::openat(
        &folder,
        &new,
        flags,
        Mode::from_raw_mode(0o666),
    )?);
    if let Some(there) = there {
        let mode = Mode::from_raw_mode(there.st_mode & 0o777);
        let _it_is_as_new_files_are = rustix::fs::fchmod(&file, mode);
    }
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| Ok(rustix::fs::renameat(&folder, &new, &folder, name)?));
    if written.is_err() {
        let _nothing_to_remove = rustix::fs::unlinkat(&folder, &new, AtFlags::empty());
    }
    written?;
    Ok(rustix::fs::fsync(&folder)?)
}

/// Makes the file at `path` below `top` and the folders on the way; `false` when it is there already.
pub(crate) fn write_new(top: &Path, path: &str, bytes: &[u8]) -> io::Result<bool> {
    let (folder, name) = folder(top, path, true)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(0o666)) {
        Ok(file) => File::from(file).write_all(bytes).map(|()| true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The text of the file at `path` below `top`; `None` when there is none.
pub(crate) fn read(top: &Path, path: &str) -> io::Result<Option<String>> {
    let (folder, name) = match folder(top, path, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    refuse_link(&folder, name, path)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(&folder, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(file) => {
            let mut text = String::new();
            File::from(file).read_to_string(&mut text)?;
            Ok(Some(text))
        }
    }
}

/// The folder that holds `path`, and the name in it.
fn folder<'a>(top: &Path, path: &'a str, make: bool) -> io::Result<(OwnedFd, &'a OsStr)> {
    let mut folder =
        rustix::fs::openat(CWD, top, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?;
    let mut parts = Path::new(path).components().peekable();
    let mut shown = String::new();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else {
            return Err(io::Error::other(format!("`{path}` leads out of the clone")));
        };
        if is_git(&name.to_string_lossy()) {
            return Err(io::Error::other(format!(
                "`{path}` lies in git's own folder"
            )));
        }
        if parts.peek().is_none() {
            return Ok((folder, name));
        }
        shown = format!("{shown}{}/", name.to_string_lossy());
        if make {
            match rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        folder = match rustix::fs::openat(folder.as_fd(), name, FOLDER, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::LOOP | Errno::NOTDIR) => {
                let text = format!(
                    "`{}` is a link or a file, not a folder",
                    shown.trim_end_matches('/')
                );
                return Err(io::Error::other(text));
            }
            Err(error) => return Err(error.into()),
        };
    }
    Err(io::Error::other("the path is empty"))
}

fn refuse_link(folder: &OwnedFd, name: &OsStr, path: &str) -> io::Result<()> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile => {
            Err(io::Error::other(format!("`{path}` is not a regular file")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn files_are_made_replaced_and_read_below_the_top() {
        let top = tempfile::tempdir().unwrap();
        assert_eq!(read(top.path(), "a/b/c").unwrap(), None);
        write(top.path(), "a/b/c", b"one").unwrap();
        write(top.path(), "a/b/c", b"two").unwrap();
        assert_eq!(read(top.path(), "a/b/c").unwrap().as_deref(), Some("two"));
        assert_eq!(fs::read_dir(top.path().join("a/b")).unwrap().count(), 1);
        assert!(write_new(top.path(), "a/new", b"first").unwrap());
        assert!(!write_new(top.path(), "a/new", b"second").unwrap());
        assert_eq!(fs::read(top.path().join("a/new")).unwrap(), b"first");
    }

    #[test]
    fn no_link_on_the_way_is_followed() {
        let (top, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(top.path().join("secrets")).unwrap();
        symlink(other.path(), top.path().join("secrets/staging")).unwrap();
        symlink(other.path().join("file"), top.path().join("secrets/file")).unwrap();
        fs::write(other.path().join("file"), "theirs").unwrap();
        for path in [
            "secrets/staging/app",
            "secrets/staging/deep/app",
            "secrets/file",
            "secrets/staging",
        ] {
            assert!(write(top.path(), path, b"x").is_err(), "{path}");
        }
        assert!(read(top.path(), "secrets/staging/file").is_err());
        assert!(read(top.path(), "secrets/file").is_err());
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
        assert_eq!(fs::read(other.path().join("file")).unwrap(), b"theirs");
        assert!(
            fs::symlink_metadata(top.path().join("secrets/file"))
                .unwrap()
                .is_symlink()
        );
    }

    #[test]
    fn nothing_outside_and_nothing_of_git_is_written() {
        let top = tempfile::tempdir().unwrap();
        for path in [
            "../x",
            "/tmp/x",
            "a/../../x",
            "",
            ".git/x",
            "a/.GIT/x",
            "a/.git./x",
            "GIT~1/x",
            "a/.g\u{200c}it/x",
            "a/.git::$INDEX/x",
            ".git",
        ] {
            assert!(write(top.path(), path, b"x").is_err(), "{path}");
        }
        assert_eq!(
            fs::read_dir(top.path()).unwrap().count(),
            1,
            "only the folder `a`"
        );
        write(top.path(), ".github/x", b"x").unwrap();
        write(top.path(), "a/git", b"x").unwrap();
    }
}
