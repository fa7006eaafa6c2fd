//! What a file or folder has besides content, mode and owner, so that it can be put back whole:
//! extended attributes (access control lists are among them), its times, and holes.
//!
//! What only root may set is kept by root only. That a file has other names (hard links) is not
//! kept: every change makes a new file, and so does putting it back.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, Stat, Timespec, Timestamps, XattrFlags, fgetxattr, flistxattr, fremovexattr,
    fsetxattr, futimens, utimensat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

/// What is kept at most of the names, and of one value: the kernel's own limits.
const LARGEST: usize = 64 * 1024;

/// The namespaces that a user who is not root may set.
const OF_ANYBODY: [&str; 2] = ["user.", "system.posix_acl_"];

/// What a file or folder has besides content, mode and owner.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct More {
    /// Its extended attributes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, Vec<u8>>,
    /// When it was read and changed last: seconds and nanoseconds.
    read: (i64, i64),
    changed: (i64, i64),
    /// It takes less room than its size.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) holes: bool,
}

impl More {
    /// What an open file or folder has.
    pub(crate) fn of(file: &impl AsFd, stat: &Stat) -> Result<Self, Errno> {
        let mut attributes = BTreeMap::new();
        for name in names(file)?.into_iter().filter(|name| is_kept(name)) {
            let mut value = vec![0; LARGEST];
            match fgetxattr(file, name.as_str(), value.as_mut_slice()) {
                Ok(size) => {
                    value.truncate(size);
                    attributes.insert(name, value);
                }
                // Taken away meanwhile, or one that nobody may read.
                Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::NOTSUP) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            attributes,
            ..Self::of_link(stat)
        })
    }

    /// What a link has.
    pub(crate) fn of_link(stat: &Stat) -> Self {
        let nanoseconds = |value: u64| i64::try_from(value).unwrap_or_default();
        let room = u64::try_from(stat.st_blocks).unwrap_or_default() * 512;
        Self {
            attributes: BTreeMap::new(),
            read: (stat.st_atime, nanoseconds(stat.st_atime_nsec)),
            changed: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
            holes: room < u64::try_from(stat.st_size).unwrap_or_default(),
        }
    }

    /// Gives it all to an open file or folder, and takes away what it has besides. The last thing
    /// that is done to it.
    pub(crate) fn give(&self, file: &impl AsFd) -> Result<(), Errno> {
        for name in names(file)? {
            if is_kept(&name) && !self.attributes.contains_key(&name) {
                fremovexattr(file, name.as_str())?;
            }
        }
        for (name, value) in &self.attributes {
            fsetxattr(file, name.as_str(), value, XattrFlags::empty())?;
        }
        futimens(file, &self.times())
    }

    /// Gives a link its times.
    pub(crate) fn give_to_link(&self, folder: &OwnedFd, name: &str) -> Result<(), Errno> {
        utimensat(folder, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Whether another is the same but for when it was read.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (&self.attributes, self.changed) == (&other.attributes, other.changed)
    }

    fn times(&self) -> Timestamps {
        let time = |(seconds, nanoseconds)| Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds,
        };
        Timestamps {
            last_access: time(self.read),
            last_modification: time(self.changed),
        }
    }
}

fn names(file: &impl AsFd) -> Result<Vec<String>, Errno> {
    let mut list = vec![0; LARGEST];
    let size = match flistxattr(file, list.as_mut_slice()) {
        Ok(size) => size,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error),
    };
    list.truncate(size);
    let names = list
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    Ok(names
        .filter_map(|name| String::from_utf8(name.to_vec()).ok())
        .collect())
}

/// Labels of security modules follow from where a file lies, and are theirs to set.
fn is_kept(name: &str) -> bool {
    let of_anybody = OF_ANYBODY.iter().any(|space| name.starts_with(space));
    let of_root = name.starts_with("trusted.") || name == "security.capability";
    of_anybody || (of_root && geteuid().is_root())
}
