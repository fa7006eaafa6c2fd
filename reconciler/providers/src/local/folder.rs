//! Folders below a root: opened one by one without following links, made when they are missing,
//! and removed again when the last thing stratum put there is gone.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fsync, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;
use stratum_core::digest::Digest;
use stratum_core::ports::{ApplyError, ProviderError, Retry};
use thiserror::Error;

use super::attributes::{broken, refused};
use super::place::{PlaceError, Spot};
use crate::private::Nook;

/// Why something below a root could not be looked at or changed.
#[derive(Debug, Error)]
pub(crate) enum FolderError {
    /// The path is refused.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A part of the path is a link, or no folder.
    #[error(
        "`{part}`, on the way to `{path}`, is {what}: write a path that goes through folders only"
    )]
    Way {
        /// The path.
        path: String,
        /// The part in the way.
        part: String,
        /// What it is.
        what: &'static str,
    },
    /// A declared root is not there.
    #[error("the root `{root}` is not there: make it first")]
    Root {
        /// The root.
        root: String,
    },
    /// Something else is at the path.
    #[error("`{path}` is there already and is {what}: remove it, or adopt it with `meta.adopt`")]
    There {
        /// The path.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// Somebody else changed it meanwhile.
    #[error("`{path}` changed since it was planned, and was left alone")]
    Changed {
        /// The path.
        path: String,
    },
    /// It is neither as before the step nor as planned.
    #[error("`{path}` is neither as it was nor as planned, and was left alone")]
    Strange {
        /// The path.
        path: String,
    },
    /// Its content is a secret that was not opened.
    #[error("the secret that `{path}` should hold was not opened")]
    Unopened {
        /// The path.
        path: String,
    },
    /// A folder that should go still holds something.
    #[error("the folder `{path}` is not empty: it is only removed when it is")]
    NotEmpty {
        /// The path.
        path: String,
    },
    /// It is larger than what is kept.
    #[error("`{path}` is larger than {limit} MiB, which is the most that is read and kept")]
    Large {
        /// The path.
        path: String,
        /// The limit.
        limit: u64,
    },
    /// The owner is unknown or cannot be given.
    #[error("the owner of `{path}` cannot be set: {why}")]
    Owner {
        /// The path.
        path: String,
        /// Why.
        why: String,
    },
    /// What was kept cannot be read.
    #[error("what was kept of `{path}` cannot be read")]
    Kept {
        /// The path.
        path: String,
    },
    /// The system said no.
    #[error("could not {doing} `{path}`: {reason}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// The path.
        path: String,
        /// What it said, for people.
        reason: Errno,
    },
}

/// The error of a call that only looks.
pub(crate) fn unreadable(error: FolderError) -> ProviderError {
    match retry(&error) {
        Retry::WhenInputChanges => ProviderError::input(error.to_string()),
        Retry::NeedsPerson => ProviderError::person(error.to_string()),
        Retry::Later(_) => ProviderError::later(error.to_string()),
    }
}

/// The error of a call that changes the world.
pub(crate) fn failed(error: FolderError) -> ApplyError {
    let message = error.to_string();
    match &error {
        FolderError::System { .. } | FolderError::Kept { .. } => broken(message),
        FolderError::Place(_)
        | FolderError::Way { .. }
        | FolderError::Root { .. }
        | FolderError::There { .. }
        | FolderError::Changed { .. }
        | FolderError::Strange { .. }
        | FolderError::NotEmpty { .. }
        | FolderError::Large { .. }
        | FolderError::Unopened { .. }
        | FolderError::Owner { .. } => refused(message, retry(&error)),
    }
}

fn retry(error: &FolderError) -> Retry {
    match error {
        FolderError::Place(_) | FolderError::Way { .. } => Retry::WhenInputChanges,
        FolderError::Changed { .. } | FolderError::System { .. } => {
            Retry::Later(std::time::Duration::from_secs(10))
        }
        FolderError::Root { .. }
        | FolderError::There { .. }
        | FolderError::Strange { .. }
        | FolderError::NotEmpty { .. }
        | FolderError::Large { .. }
        | FolderError::Unopened { .. }
        | FolderError::Owner { .. }
        | FolderError::Kept { .. } => Retry::NeedsPerson,
    }
}

/// For `map_err` on calls of the system.
pub(crate) fn doing<'a>(
    what: &'static str,
    spot: &'a Spot,
) -> impl Fn(Errno) -> FolderError + use<'a> {
    move |reason| FolderError::System {
        doing: what,
        path: spot.shown.clone(),
        reason,
    }
}

/// The number of an error of the standard library.
pub(crate) fn errno(error: &io::Error) -> Errno {
    error
        .raw_os_error()
        .map_or(Errno::IO, Errno::from_raw_os_error)
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens the folder that holds the spot; `None` when it is not there.
pub(crate) fn open(spot: &Spot) -> Result<Option<OwnedFd>, FolderError> {
    open_to(spot, spot.folders.len(), false)
}

/// Opens the folder that holds the spot, and makes it and those around it when they are missing.
pub(crate) fn open_or_make(spot: &Spot) -> Result<OwnedFd, FolderError> {
    let opened = open_to(spot, spot.folders.len(), true)?;
    opened.ok_or_else(|| doing("open the folder of", spot)(Errno::NOENT))
}

fn open_to(spot: &Spot, depth: usize, make: bool) -> Result<Option<OwnedFd>, FolderError> {
    let Some(mut folder) = open_base(spot, make)? else {
        return Ok(None);
    };
    for (index, part) in spot.folders.iter().take(depth).enumerate() {
        folder = match openat(&folder, part, FOLDER, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::NOENT) if make => make_folder(spot, &folder, index)?,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(in_the_way(spot, &folder, part)),
            Err(error) => return Err(doing("open the folder of", spot)(error)),
        };
    }
    Ok(Some(folder))
}

fn open_base(spot: &Spot, make: bool) -> Result<Option<OwnedFd>, FolderError> {
    if make && spot.base == spot.home && !spot.base.is_dir() {
        std::fs::create_dir_all(&spot.base)
            .map_err(|error| doing("make the root of", spot)(errno(&error)))?;
    }
    match File::open(&spot.base) {
        Ok(folder) => Ok(Some(folder.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound && make => Err(FolderError::Root {
            root: spot.base.display().to_string(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(doing("open the root of", spot)(errno(&error))),
    }
}

fn in_the_way(spot: &Spot, folder: &OwnedFd, part: &str) -> FolderError {
    let kind = statat(folder, part, AtFlags::SYMLINK_NOFOLLOW)
        .map(|stat| FileType::from_raw_mode(stat.st_mode));
    FolderError::Way {
        path: spot.shown.clone(),
        part: part.to_owned(),
        what: match kind {
            Ok(FileType::Symlink) => "a symlink, which is never followed",
            _ => "not a folder",
        },
    }
}

/// Makes the folder `index` of the spot, marked as made for what lies in it.
fn make_folder(spot: &Spot, around: &OwnedFd, index: usize) -> Result<OwnedFd, FolderError> {
    let made = doing("make the folder of", spot);
    let part = spot
        .folders
        .get(index)
        .map(String::as_str)
        .unwrap_or_default();
    mark(spot, &spot.folder(index + 1)).map_err(|error| made(errno(&error)))?;
    match mkdirat(around, part, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(made(error)),
    }
    fsync(around).map_err(&made)?;
    openat(around, part, FOLDER, Mode::empty()).map_err(&made)
}

/// Removes the folders around the spot that were made for what lay in them, as far as they are
/// empty. May be called any number of times.
pub(crate) fn prune(spot: &Spot) -> Result<(), FolderError> {
    let failed = doing("remove the empty folder of", spot);
    for depth in (1..=spot.folders.len()).rev() {
        let path = spot.folder(depth);
        let (Some(part), true) = (spot.folders.get(depth - 1), is_marked(spot, &path)) else {
            return Ok(());
        };
        if let Some(around) = open_to(spot, depth - 1, false)? {
            match unlinkat(&around, part.as_str(), AtFlags::REMOVEDIR) {
                Ok(()) => fsync(&around).map_err(&failed)?,
                Err(Errno::NOENT) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(()),
                Err(error) => return Err(failed(error)),
            }
        }
        unmark(spot, &path).map_err(|error| failed(errno(&error)))?;
    }
    Ok(())
}

/// The private folder of the marks, and the name of this one.
fn mark_of(spot: &Spot, folder: &Path) -> (Nook, String) {
    let digest = Digest::of_bytes(folder.as_os_str().as_encoded_bytes());
    let nook = Nook {
        base: spot.own.clone(),
        names: vec!["folders".to_owned()],
    };
    (nook, digest.short())
}

/// Marks a folder as made for what lies in it, so that it goes with the last of it.
pub(crate) fn mark(spot: &Spot, folder: &Path) -> io::Result<()> {
    let (nook, name) = mark_of(spot, folder);
    nook.make()?
        .write(&name, folder.as_os_str().as_encoded_bytes())
}

/// Whether a folder was made for what lies in it.
pub(crate) fn is_marked(spot: &Spot, folder: &Path) -> bool {
    let (nook, name) = mark_of(spot, folder);
    let marks = nook.open().ok().flatten();
    marks.is_some_and(|marks| marks.holds(&name))
}

/// Forgets that a folder was made for what lies in it.
pub(crate) fn unmark(spot: &Spot, folder: &Path) -> io::Result<()> {
    let (nook, name) = mark_of(spot, folder);
    match nook.open()? {
        Some(marks) => marks.remove(&name),
        None => Ok(()),
    }
}
