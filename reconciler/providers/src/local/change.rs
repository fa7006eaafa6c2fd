//! Puts something at a spot, and takes it away: only what was seen there is ever replaced.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, RenameFlags, Stat, Uid, chownat, fchmod, fchown, fstat, fsync,
    linkat, mkdirat, openat, renameat, renameat_with, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use stratum_core::ids::Token;

use super::entry::{Closely, Content, Entry, Wanted, look_at};
use super::folder::{self, FolderError, doing, errno};
use super::place::Spot;

/// The size of a hole at least.
const BLOCK: usize = 4096;

/// How often a write is tried again when its folder is removed under it by another resource.
const TRIES: u32 = 5;

/// Puts something at the spot, in place of what was seen there.
///
/// *Guarantees*: files and links are replaced in one rename, so that whoever looks sees the old or
/// the new; what came there since it was seen is never replaced ([`FolderError::Changed`]); it is
/// durable when it returns. May be called again after a crash inside: what that left behind has a
/// name that follows from `token`, and goes first.
pub(crate) fn put(
    spot: &Spot,
    wanted: &Wanted,
    seen: Option<&Entry>,
    token: &Token,
) -> Result<(), FolderError> {
    let mut tries = 0;
    loop {
        let folder = folder::open_or_make(spot)?;
        match put_in(spot, &folder, wanted, seen, token) {
            Err(FolderError::System {
                reason: Errno::NOENT,
                ..
            }) if tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

fn put_in(
    spot: &Spot,
    folder: &OwnedFd,
    wanted: &Wanted,
    seen: Option<&Entry>,
    token: &Token,
) -> Result<(), FolderError> {
    let temporary = temporary(token);
    let failed = doing("write", spot);
    clear(folder, &temporary).map_err(&failed)?;
    let made = match &wanted.content {
        Content::File(bytes) => write_file(folder, &temporary, bytes, wanted),
        Content::Link(target) => write_link(folder, &temporary, target, wanted),
        Content::Folder => return put_folder(spot, folder, wanted, seen),
        Content::Other => Err(Errno::NOTSUP),
    };
    if let Err(error) = made {
        let _left_for_the_next_try = clear(folder, &temporary);
        return Err(failed(error));
    }
    replace(spot, folder, &temporary, seen)?;
    fsync(folder).map_err(failed)
}

fn put_folder(
    spot: &Spot,
    folder: &OwnedFd,
    wanted: &Wanted,
    seen: Option<&Entry>,
) -> Result<(), FolderError> {
    // One that was made meanwhile for what lies in it is as good as made here.
    let expected = seen.is_some() || folder::is_marked(spot, &spot.absolute());
    match make_folder(spot, folder, wanted, expected) {
        Err(Errno::EXIST) if !folder::is_marked(spot, &spot.absolute()) => Err(changed(spot)),
        Err(Errno::EXIST) => put_folder(spot, folder, wanted, seen),
        made => made
            .and_then(|()| fsync(folder))
            .map_err(doing("write", spot)),
    }
}

/// Gives what was made its place, if that is still as it was seen.
fn replace(
    spot: &Spot,
    folder: &OwnedFd,
    new: &str,
    seen: Option<&Entry>,
) -> Result<(), FolderError> {
    let failed = doing("write", spot);
    let Some(seen) = seen else {
        return rename_to_nothing(folder, new, &spot.name).map_err(|error| {
            let _left_for_the_next_try = clear(folder, new);
            match error {
                Errno::EXIST => changed(spot),
                error => failed(error),
            }
        });
    };
    match renameat_with(folder, new, folder, &spot.name, RenameFlags::EXCHANGE) {
        Ok(()) => {}
        // Gone since it was seen: nothing is there to be replaced.
        Err(Errno::NOENT) => return replace(spot, folder, new, None),
        // A file system that cannot exchange: what comes in this very moment is not seen.
        Err(Errno::INVAL | Errno::NOSYS) => {
            return renameat(folder, new, folder, &spot.name).map_err(failed);
        }
        Err(error) => return Err(failed(error)),
    }
    // What was there lies under the other name now, where nobody else changes it.
    if is_as_seen(spot, folder, new, seen) {
        return clear(folder, new).map_err(failed);
    }
    renameat_with(folder, new, folder, &spot.name, RenameFlags::EXCHANGE).map_err(failed)?;
    let _left_for_the_next_try = clear(folder, new);
    Err(changed(spot))
}

/// Gives an entry a name that nothing has.
fn rename_to_nothing(folder: &OwnedFd, from: &str, to: &str) -> Result<(), Errno> {
    match renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
        // A file system without it: a second name is refused where there is one already.
        Err(Errno::INVAL | Errno::NOSYS) => {
            linkat(folder, from, folder, to, AtFlags::empty())?;
            clear(folder, from)
        }
        renamed => renamed,
    }
}

/// Whether what has this name now is what was seen at the spot.
fn is_as_seen(spot: &Spot, folder: &OwnedFd, name: &str, seen: &Entry) -> bool {
    let renamed = Spot {
        name: name.to_owned(),
        ..spot.clone()
    };
    let found = look_at(&renamed, folder, Closely::No).ok().flatten();
    found.is_some_and(|found| found.content == seen.content)
}

fn changed(spot: &Spot) -> FolderError {
    FolderError::Changed {
        path: spot.shown.clone(),
    }
}

fn write_file(folder: &OwnedFd, name: &str, bytes: &[u8], wanted: &Wanted) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, name, flags, Mode::from_raw_mode(0o600))?);
    let written = match wanted.more.as_ref().is_some_and(|more| more.holes) {
        true => write_with_holes(&mut file, bytes),
        false => file.write_all(bytes),
    };
    written.map_err(|error| errno(&error))?;
    give(&file, wanted)?;
    fchmod(&file, Mode::from_raw_mode(wanted.mode))?;
    if let Some(more) = &wanted.more {
        more.give(&file)?;
    }
    file.sync_all().map_err(|error| errno(&error))
}

/// Writes what is not zero only, block by block.
fn write_with_holes(file: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    file.set_len(bytes.len() as u64)?;
    for (index, block) in bytes.chunks(BLOCK).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            file.write_all_at(block, (index * BLOCK) as u64)?;
        }
    }
    Ok(())
}

fn write_link(folder: &OwnedFd, name: &str, target: &[u8], wanted: &Wanted) -> Result<(), Errno> {
    symlinkat(target, folder, name)?;
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let (uid, gid) = to_give(&stat, wanted);
    if uid.is_some() || gid.is_some() {
        chownat(folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    if let Some(more) = &wanted.more {
        more.give_to_link(folder, name)?;
    }
    Ok(())
}

fn make_folder(
    spot: &Spot,
    around: &OwnedFd,
    wanted: &Wanted,
    expected: bool,
) -> Result<(), Errno> {
    match mkdirat(around, &spot.name, Mode::from_raw_mode(0o700)) {
        Ok(()) => {}
        Err(Errno::EXIST) if expected => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(around, &spot.name, flags, Mode::empty())?;
    give(&made, wanted)?;
    fchmod(&made, Mode::from_raw_mode(wanted.mode))?;
    folder::unmark(spot, &spot.absolute()).map_err(|error| errno(&error))?;
    if let Some(more) = &wanted.more {
        more.give(&made)?;
    }
    fsync(&made)
}

fn give(file: &impl std::os::fd::AsFd, wanted: &Wanted) -> Result<(), Errno> {
    let (uid, gid) = to_give(&fstat(file)?, wanted);
    if uid.is_some() || gid.is_some() {
        fchown(file, uid, gid)?;
    }
    Ok(())
}

/// The parts of the owner that differ.
fn to_give(stat: &Stat, wanted: &Wanted) -> (Option<Uid>, Option<Gid>) {
    let uid = wanted.owner.uid.filter(|uid| *uid != stat.st_uid);
    let gid = wanted.owner.gid.filter(|gid| *gid != stat.st_gid);
    (uid.map(Uid::from_raw), gid.map(Gid::from_raw))
}

/// Takes away what was seen at the spot, and the folders that were made for it. What is gone
/// already is fine; what came there since is never taken away ([`FolderError::Changed`]).
pub(crate) fn take(spot: &Spot, seen: &Entry, token: &Token) -> Result<(), FolderError> {
    if let Some(folder) = folder::open(spot)? {
        match &seen.content {
            Content::Folder => take_folder(spot, &folder)?,
            Content::File(_) | Content::Link(_) | Content::Other => {
                take_entry(spot, &folder, seen, token)?;
            }
        }
    }
    folder::prune(spot)
}

fn take_folder(spot: &Spot, folder: &OwnedFd) -> Result<(), FolderError> {
    let failed = doing("remove", spot);
    match unlinkat(folder, &spot.name, AtFlags::REMOVEDIR) {
        Ok(()) => fsync(folder).map_err(failed),
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Err(FolderError::NotEmpty {
            path: spot.shown.clone(),
        }),
        Err(error) => Err(failed(error)),
    }
}

fn take_entry(
    spot: &Spot,
    folder: &OwnedFd,
    seen: &Entry,
    token: &Token,
) -> Result<(), FolderError> {
    let failed = doing("remove", spot);
    let aside = temporary(token);
    clear(folder, &aside).map_err(&failed)?;
    match rename_to_nothing(folder, &spot.name, &aside) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    if !is_as_seen(spot, folder, &aside, seen) {
        rename_to_nothing(folder, &aside, &spot.name).map_err(&failed)?;
        return Err(changed(spot));
    }
    clear(folder, &aside)
        .and_then(|()| fsync(folder))
        .map_err(failed)
}

/// Removes what a crash in [`put`] left behind.
pub(crate) fn sweep(spot: &Spot, token: &Token) -> Result<(), FolderError> {
    match folder::open(spot)? {
        Some(folder) => clear(&folder, &temporary(token)).map_err(doing("clean up beside", spot)),
        None => Ok(()),
    }
}

/// The name of the new entry before it is renamed.
fn temporary(token: &Token) -> String {
    format!(".stratum-{}", token.as_str())
}

fn clear(folder: &OwnedFd, name: &str) -> Result<(), Errno> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use stratum_core::ids::{RunId, StepId};
    use stratum_core::ports::Site;

    use super::super::entry::look;
    use super::super::owner::WantedOwner;
    use super::*;

    struct Ground {
        folder: tempfile::TempDir,
        token: Token,
    }

    impl Ground {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                token: Token::of(&RunId::new("run").unwrap(), StepId(0)),
            }
        }

        fn root(&self) -> std::path::PathBuf {
            self.folder.path().join("root")
        }

        fn spot(&self, path: &str) -> Spot {
            let site = Site {
                root: self.root(),
                roots: Vec::new(),
                own: self.folder.path().join("own"),
                user: None,
                isolation: None,
            };
            Spot::of(&site, path).unwrap()
        }

        fn read(&self, path: &str) -> String {
            std::fs::read_to_string(self.root().join(path)).unwrap()
        }

        fn write(&self, path: &str, text: &str) {
            std::fs::create_dir_all(self.root()).unwrap();
            std::fs::write(self.root().join(path), text).unwrap();
        }

        fn names(&self) -> Vec<String> {
            let entries = std::fs::read_dir(self.root()).unwrap();
            let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
            entries
                .map(|entry| name(entry).into_string().unwrap())
                .collect()
        }
    }

    fn file(text: &str) -> Wanted {
        Wanted {
            content: Content::File(text.as_bytes().to_vec().into()),
            mode: 0o644,
            owner: WantedOwner::default(),
            more: None,
        }
    }

    fn is_changed(done: Result<(), FolderError>) -> bool {
        matches!(done, Err(FolderError::Changed { .. }))
    }

    /// Everything happens between the look and the change.
    #[test]
    fn what_came_where_nothing_was_is_never_replaced() {
        let ground = Ground::new();
        let spot = ground.spot("a");
        assert_eq!(look(&spot).unwrap(), None);
        ground.write("a", "theirs");
        assert!(is_changed(put(&spot, &file("ours"), None, &ground.token)));
        assert_eq!(
            (ground.read("a"), ground.names()),
            ("theirs".to_owned(), vec!["a".to_owned()])
        );
        let link = Wanted {
            content: Content::Link(b"/x".to_vec()),
            ..file("")
        };
        assert!(is_changed(put(&spot, &link, None, &ground.token)));
        assert_eq!(
            (ground.read("a"), ground.names()),
            ("theirs".to_owned(), vec!["a".to_owned()])
        );
    }

    #[test]
    fn a_folder_that_came_meanwhile_is_not_taken_for_ours() {
        let ground = Ground::new();
        let spot = ground.spot("d");
        std::fs::create_dir_all(ground.root().join("d")).unwrap();
        let folder = Wanted {
            content: Content::Folder,
            mode: 0o700,
            ..file("")
        };
        assert!(is_changed(put(&spot, &folder, None, &ground.token)));
        let inner = ground.spot("e/x");
        put(&inner, &file("x"), None, &ground.token).unwrap();
        put(&ground.spot("e"), &folder, None, &ground.token).unwrap();
    }

    #[test]
    fn what_changed_since_it_was_seen_is_put_back() {
        let ground = Ground::new();
        let spot = ground.spot("a");
        ground.write("a", "seen");
        let seen = look(&spot).unwrap().unwrap();
        for theirs in ["theirs", ""] {
            ground.write("a", theirs);
            assert!(is_changed(put(
                &spot,
                &file("ours"),
                Some(&seen),
                &ground.token
            )));
            assert!(is_changed(take(&spot, &seen, &ground.token)));
            assert_eq!(
                (ground.read("a"), ground.names()),
                (theirs.to_owned(), vec!["a".to_owned()])
            );
        }
        std::fs::remove_file(ground.root().join("a")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", ground.root().join("a")).unwrap();
        assert!(is_changed(put(
            &spot,
            &file("ours"),
            Some(&seen),
            &ground.token
        )));
        assert!(is_changed(take(&spot, &seen, &ground.token)));
        let target = std::fs::read_link(ground.root().join("a")).unwrap();
        assert_eq!(target, Path::new("/etc/passwd"));
        std::fs::remove_file(ground.root().join("a")).unwrap();
        std::fs::create_dir(ground.root().join("a")).unwrap();
        ground.write("a/kept", "x");
        assert!(is_changed(put(
            &spot,
            &file("ours"),
            Some(&seen),
            &ground.token
        )));
        assert_eq!(ground.read("a/kept"), "x");
    }

    #[test]
    fn what_is_as_it_was_seen_is_replaced_and_taken_away() {
        let ground = Ground::new();
        let spot = ground.spot("a");
        ground.write("a", "seen");
        let seen = look(&spot).unwrap().unwrap();
        put(&spot, &file("ours"), Some(&seen), &ground.token).unwrap();
        assert_eq!(
            (ground.read("a"), ground.names().len()),
            ("ours".to_owned(), 1)
        );
        let seen = look(&spot).unwrap().unwrap();
        std::fs::remove_file(ground.root().join("a")).unwrap();
        put(&spot, &file("again"), Some(&seen), &ground.token).unwrap();
        let seen = look(&spot).unwrap().unwrap();
        take(&spot, &seen, &ground.token).unwrap();
        take(&spot, &seen, &ground.token).unwrap();
        assert!(ground.names().is_empty());
    }
}
