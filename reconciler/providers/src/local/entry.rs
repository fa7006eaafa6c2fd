//! What lies at one spot: looked at, put there, taken away.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fchmod, fchown, fstat, fsync,
    mkdirat, openat, readlinkat, renameat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use stratum_core::digest::Digest;
use stratum_core::ids::Token;
use zeroize::Zeroizing;

use super::folder::{self, FolderError, doing, errno};
use super::owner::{Owner, WantedOwner};
use super::place::Spot;

/// The largest file that is read and kept, in MiB.
pub(crate) const LIMIT: u64 = 64;

/// How often a write is tried again when its folder is removed under it by another resource.
const TRIES: u32 = 5;

/// What lies at a spot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What it is.
    pub(crate) content: Content,
    /// Its mode: the lower twelve bits.
    pub(crate) mode: u32,
    /// Its owner.
    pub(crate) owner: Owner,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// A file with these bytes.
    File(Zeroizing<Vec<u8>>),
    /// A folder.
    Folder,
    /// A link to this.
    Link(Vec<u8>),
    /// Something else: a socket, a device.
    Other,
}

impl Content {
    /// What it is, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "a file with other content",
            Self::Folder => "a folder",
            Self::Link(_) => "a symlink",
            Self::Other => "neither file, folder nor symlink",
        }
    }

    /// The digest of its bytes, if it has any.
    pub(crate) fn digest(&self) -> Option<Digest> {
        match self {
            Self::File(bytes) => Some(Digest::of_bytes(bytes)),
            Self::Link(bytes) => Some(Digest::of_bytes(bytes)),
            Self::Folder | Self::Other => None,
        }
    }
}

/// What should lie at a spot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// What it is.
    pub(crate) content: Content,
    /// Its mode; not used for links.
    pub(crate) mode: u32,
    /// Its owner.
    pub(crate) owner: WantedOwner,
}

impl Wanted {
    /// Whether `entry` is as wanted.
    pub(crate) fn fits(&self, entry: &Entry) -> bool {
        let link = matches!(self.content, Content::Link(_));
        self.content == entry.content
            && (link || self.mode == entry.mode)
            && self.owner.fits(entry.owner)
    }
}

impl From<Entry> for Wanted {
    fn from(entry: Entry) -> Self {
        Self {
            content: entry.content,
            mode: entry.mode,
            owner: WantedOwner {
                uid: Some(entry.owner.uid),
                gid: Some(entry.owner.gid),
            },
        }
    }
}

/// What lies at the spot; `None` when nothing does. Never follows a link.
pub(crate) fn look(spot: &Spot) -> Result<Option<Entry>, FolderError> {
    let Some(folder) = folder::open(spot)? else {
        return Ok(None);
    };
    let failed = doing("look at", spot);
    let stat = match statat(&folder, &spot.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let content = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return read_file(spot, &folder),
        FileType::Directory => Content::Folder,
        FileType::Symlink => {
            let target = readlinkat(&folder, &spot.name, Vec::new()).map_err(failed)?;
            Content::Link(target.into_bytes())
        }
        _ => Content::Other,
    };
    Ok(Some(entry(content, &stat)))
}

fn entry(content: Content, stat: &Stat) -> Entry {
    Entry {
        content,
        mode: stat.st_mode & 0o7777,
        owner: Owner {
            uid: stat.st_uid,
            gid: stat.st_gid,
        },
    }
}

fn read_file(spot: &Spot, folder: &OwnedFd) -> Result<Option<Entry>, FolderError> {
    let failed = doing("read", spot);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(folder, &spot.name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let stat = fstat(&file).map_err(&failed)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(stat.st_size)
            .unwrap_or_default()
            .min(1 << 20),
    ));
    File::from(file)
        .take(LIMIT * 1024 * 1024 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(errno(&error)))?;
    if bytes.len() as u64 > LIMIT * 1024 * 1024 {
        return Err(FolderError::Large {
            path: spot.shown.clone(),
            limit: LIMIT,
        });
    }
    Ok(Some(entry(Content::File(bytes), &stat)))
}

/// Puts something at the spot, in place of what is there.
///
/// *Guarantees*: files and links are replaced in one rename, so that whoever looks sees the old or
/// the new; it is durable when it returns. May be called again after a crash inside: what that
/// left behind has a name that follows from `token`, and goes first.
pub(crate) fn put(spot: &Spot, wanted: &Wanted, token: &Token) -> Result<(), FolderError> {
    let mut tries = 0;
    loop {
        let folder = folder::open_or_make(spot)?;
        match put_in(spot, &folder, wanted, token) {
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
    token: &Token,
) -> Result<(), FolderError> {
    let temporary = temporary(token);
    let failed = doing("write", spot);
    clear(folder, &temporary).map_err(&failed)?;
    let put = match &wanted.content {
        Content::File(bytes) => write_file(folder, &temporary, bytes, wanted),
        Content::Link(target) => write_link(folder, &temporary, target, wanted),
        Content::Folder => make_folder(spot, folder, wanted),
        Content::Other => Err(Errno::NOTSUP),
    };
    let renamed = match (&wanted.content, put) {
        (Content::Folder | Content::Other, put) => put,
        (Content::File(_) | Content::Link(_), put) => {
            put.and_then(|()| renameat(folder, &temporary, folder, &spot.name))
        }
    };
    if renamed.is_err() {
        let _left_for_the_next_try = clear(folder, &temporary);
    }
    renamed.and_then(|()| fsync(folder)).map_err(failed)
}

fn write_file(folder: &OwnedFd, name: &str, bytes: &[u8], wanted: &Wanted) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, name, flags, Mode::from_raw_mode(0o600))?);
    file.write_all(bytes).map_err(|error| errno(&error))?;
    give(&file, wanted)?;
    fchmod(&file, Mode::from_raw_mode(wanted.mode))?;
    file.sync_all().map_err(|error| errno(&error))
}

fn write_link(folder: &OwnedFd, name: &str, target: &[u8], wanted: &Wanted) -> Result<(), Errno> {
    symlinkat(target, folder, name)?;
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let (uid, gid) = to_give(&stat, wanted);
    if uid.is_some() || gid.is_some() {
        chownat(folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn make_folder(spot: &Spot, around: &OwnedFd, wanted: &Wanted) -> Result<(), Errno> {
    match mkdirat(around, &spot.name, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(around, &spot.name, flags, Mode::empty())?;
    give(&made, wanted)?;
    fchmod(&made, Mode::from_raw_mode(wanted.mode))?;
    folder::unmark(spot, &spot.absolute()).map_err(|error| errno(&error))?;
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

/// Takes away what lies at the spot, and the folders that were made for it. What is gone already
/// is fine.
pub(crate) fn take(spot: &Spot, content: &Content) -> Result<(), FolderError> {
    if let Some(folder) = folder::open(spot)? {
        let flags = match content {
            Content::Folder => AtFlags::REMOVEDIR,
            Content::File(_) | Content::Link(_) | Content::Other => AtFlags::empty(),
        };
        let failed = doing("remove", spot);
        match unlinkat(&folder, &spot.name, flags) {
            Ok(()) => fsync(&folder).map_err(failed)?,
            Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                return Err(FolderError::NotEmpty {
                    path: spot.shown.clone(),
                });
            }
            Err(error) => return Err(failed(error)),
        }
    }
    folder::prune(spot)
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
