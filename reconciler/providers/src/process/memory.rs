//! Files in memory that a program inherits, and that nobody else can open.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fchown, fcntl_add_seals, memfd_create};

use super::User;

/// One file for each content, with the variable that names it.
pub(super) fn files<'a>(
    contents: &'a BTreeMap<String, String>,
    user: Option<&User>,
) -> std::io::Result<Vec<(&'a String, OwnedFd)>> {
    let file =
        |(name, content): (&'a String, &'a String)| Ok((name, file(content.as_bytes(), user)?));
    contents.iter().map(file).collect()
}

/// A file with this content, which belongs to the user.
pub(super) fn file(content: &[u8], user: Option<&User>) -> std::io::Result<OwnedFd> {
    // Without `CLOEXEC`: it is there to be inherited.
    let flags = MemfdFlags::ALLOW_SEALING;
    let file = std::fs::File::from(memfd_create("stratum-secret", flags)?);
    (&file).write_all(content)?;
    if let Some(user) = user {
        fchown(&file, Some(user.uid()), Some(user.gid()))?;
    }
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&file, seals)?;
    Ok(OwnedFd::from(file))
}
