//! What lies at one spot.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;
use stratum_core::digest::Digest;
use zeroize::Zeroizing;

use super::folder::{self, FolderError, doing, errno};
use super::more::More;
use super::owner::{Owner, WantedOwner};
use super::place::Spot;

/// The largest file that is read and kept, in MiB.
pub(crate) const LIMIT: u64 = 64;

/// What lies at a spot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What it is.
    pub(crate) content: Content,
    /// Its mode: the lower twelve bits.
    pub(crate) mode: u32,
    /// Its owner.
    pub(crate) owner: Owner,
    /// What else it has, where that was looked at.
    pub(crate) more: Option<More>,
}

impl Entry {
    /// Whether this and `now` are the same in all that is kept of the first.
    pub(crate) fn is(&self, now: &Self) -> bool {
        let same_more = match (&self.more, &now.more) {
            (Some(before), Some(now)) => before.is_like(now),
            _ => true,
        };
        same_more && (&self.content, self.mode, self.owner) == (&now.content, now.mode, now.owner)
    }
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
    /// What else it should have; `None` leaves that to the system.
    pub(crate) more: Option<More>,
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
            more: entry.more,
            owner: WantedOwner {
                uid: Some(entry.owner.uid),
                gid: Some(entry.owner.gid),
            },
        }
    }
}

/// What lies at the spot; `None` when nothing does. Never follows a link.
pub(crate) fn look(spot: &Spot) -> Result<Option<Entry>, FolderError> {
    match folder::open(spot)? {
        Some(folder) => look_at(spot, &folder, Closely::No),
        None => Ok(None),
    }
}

/// The same, with all that it has.
pub(crate) fn look_closely(spot: &Spot) -> Result<Option<Entry>, FolderError> {
    match folder::open(spot)? {
        Some(folder) => look_at(spot, &folder, Closely::Yes),
        None => Ok(None),
    }
}

/// How many names the file at the spot has besides this one; 0 where that cannot be told.
#[allow(
    clippy::useless_conversion,
    reason = "on some processors the kernel counts names in 32 bits"
)]
pub(crate) fn other_names(spot: &Spot) -> u64 {
    let Ok(Some(folder)) = folder::open(spot) else {
        return 0;
    };
    let stat = statat(&folder, &spot.name, AtFlags::SYMLINK_NOFOLLOW).ok();
    let file = stat.filter(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    file.map_or(0, |stat| u64::from(stat.st_nlink).saturating_sub(1))
}

/// Whether all that an entry has is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Closely {
    Yes,
    No,
}

/// What has the last name of the spot in the folder.
pub(super) fn look_at(
    spot: &Spot,
    folder: &OwnedFd,
    closely: Closely,
) -> Result<Option<Entry>, FolderError> {
    let failed = doing("look at", spot);
    let stat = match statat(folder, &spot.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => read_file(spot, folder, closely),
        FileType::Directory if closely == Closely::Yes => read_folder(spot, folder),
        FileType::Directory => Ok(Some(entry(Content::Folder, &stat, None))),
        FileType::Symlink => {
            let target = readlinkat(folder, &spot.name, Vec::new()).map_err(failed)?;
            let more = (closely == Closely::Yes).then(|| More::of_link(&stat));
            Ok(Some(entry(Content::Link(target.into_bytes()), &stat, more)))
        }
        _ => Ok(Some(entry(Content::Other, &stat, None))),
    }
}

fn entry(content: Content, stat: &Stat, more: Option<More>) -> Entry {
    Entry {
        content,
        mode: stat.st_mode & 0o7777,
        owner: Owner {
            uid: stat.st_uid,
            gid: stat.st_gid,
        },
        more,
    }
}

fn read_folder(spot: &Spot, around: &OwnedFd) -> Result<Option<Entry>, FolderError> {
    let failed = doing("look at", spot);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(around, &spot.name, flags, Mode::empty()).map_err(&failed)?;
    let stat = fstat(&folder).map_err(&failed)?;
    let more = More::of(&folder, &stat).map_err(failed)?;
    Ok(Some(entry(Content::Folder, &stat, Some(more))))
}

fn read_file(
    spot: &Spot,
    folder: &OwnedFd,
    closely: Closely,
) -> Result<Option<Entry>, FolderError> {
    let failed = doing("read", spot);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(folder, &spot.name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let stat = fstat(&file).map_err(&failed)?;
    let more = match closely {
        Closely::Yes => Some(More::of(&file, &stat).map_err(&failed)?),
        Closely::No => None,
    };
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
    Ok(Some(entry(Content::File(bytes), &stat, more)))
}
