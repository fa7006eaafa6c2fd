//! What is seen of the machine's files in a mount namespace.

use std::ffi::OsString;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};

use super::{Cell, TOOLS};

/// Folders for what is passing: each program has its own, empty ones.
const PASSING: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Arranges the mounts of this process's own namespace.
///
/// *Guarantees*: nothing can be written but what the cell names and folders for what is passing;
/// what it hides is empty, also where a place that it names lies in there.
///
/// *Errors*: one clause, with what the machine refused.
pub(super) fn arrange(cell: &Cell) -> Result<(), String> {
    let writable = kept(&cell.writable)?;
    for (place, options) in mounts()? {
        let own = writable.iter().any(|(kept, _)| place.starts_with(kept));
        // What cannot be reached from here cannot be written from here.
        if !own && !place.starts_with("/proc") && place.symlink_metadata().is_ok() {
            mount(&["-o", &format!("remount,bind,ro{options}")], &place)?;
        }
    }
    let covered = cover(cell)?;
    for (place, open) in &writable {
        bring_back(place, open)?;
    }
    for place in covered {
        mount(&["-o", "remount,bind,ro,nosuid,nodev"], &place)?;
    }
    Ok(())
}

/// Runs mount(8).
fn mount(words: &[&str], place: &Path) -> Result<(), String> {
    let output = Command::new("mount")
        .args(["--no-mtab", "--no-canonicalize"])
        .args(words)
        .arg(place)
        .env_clear()
        .env("PATH", TOOLS)
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("could not run `mount`: {error}")),
    }
}

/// The places that are there, each a mount of its own and open.
fn kept(places: &[PathBuf]) -> Result<Vec<(PathBuf, OwnedFd)>, String> {
    let real = places.iter().filter_map(|place| place.canonicalize().ok());
    real.map(|place| {
        let itself = place.to_string_lossy();
        mount(&["--rbind", &itself], &place)?;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let open = rustix::fs::open(&place, flags, Mode::empty());
        let open =
            open.map_err(|error| format!("could not open `{}`: {error}", place.display()))?;
        Ok((place, open))
    })
    .collect()
}

/// Lays empty folders over all that is hidden; answers those that nobody needs to write to.
fn cover(cell: &Cell) -> Result<Vec<PathBuf>, String> {
    let mut hidden = cell.hidden.clone();
    // Who has no network has no sockets of the machine's services either.
    hidden.push(if cell.network { "/run/user" } else { "/run" }.into());
    let hidden = hidden.into_iter().map(|place| (place, false));
    let passing = PASSING.map(|place| (PathBuf::from(place), true));
    let mut all: Vec<(PathBuf, bool)> = hidden
        .chain(passing)
        .filter_map(|(place, passing)| Some((place.canonicalize().ok()?, passing)))
        .collect();
    all.sort();
    all.dedup_by(|one, other| one.0 == other.0);
    let mut covered = Vec::new();
    for (place, passing) in all {
        // It may be gone since a folder around it was covered.
        let Ok(there) = place.metadata() else {
            continue;
        };
        if place == Path::new("/") {
            return Err("`/` cannot be hidden".to_owned());
        }
        if !there.is_dir() {
            mount(&["--bind", "/dev/null"], &place)?;
            continue;
        }
        let mode = if passing { "1777" } else { "0755" };
        let options = format!("nosuid,nodev,mode={mode}");
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], &place)?;
        if !passing {
            covered.push(place);
        }
    }
    Ok(covered)
}

/// Puts a place back where something was laid over it.
fn bring_back(place: &Path, open: &OwnedFd) -> Result<(), String> {
    // The first process here is this one.
    let from = format!("/proc/1/fd/{}", open.as_raw_fd());
    let same = |one: std::io::Result<std::fs::Metadata>| one.ok().map(|one| (one.dev(), one.ino()));
    if same(place.metadata()) == same(std::fs::metadata(&from)) {
        return Ok(());
    }
    let made = match std::fs::metadata(&from).is_ok_and(|there| there.is_dir()) {
        true => std::fs::create_dir_all(place),
        false => {
            let around = place.parent().map_or(Ok(()), std::fs::create_dir_all);
            around.and_then(|()| std::fs::write(place, ""))
        }
    };
    made.map_err(|error| format!("could not make `{}`: {error}", place.display()))?;
    mount(&["--rbind", &from], place)
}

/// The mounts of this process, with the options that each has already, each after a comma: where the
/// users are not the machine's, they cannot be taken back.
///
/// *Source*: proc_pid_mountinfo(5).
fn mounts() -> Result<Vec<(PathBuf, String)>, String> {
    let text = std::fs::read("/proc/self/mountinfo");
    let text = text.map_err(|error| format!("could not read its mounts: {error}"))?;
    Ok(text
        .split(|byte| *byte == b'\n')
        .filter_map(entry)
        .collect())
}

fn entry(line: &[u8]) -> Option<(PathBuf, String)> {
    let mut fields = line.split(|byte| *byte == b' ').skip(4);
    let (place, options) = (fields.next()?, fields.next()?);
    let options = String::from_utf8_lossy(options).into_owned();
    let kept = [
        "nosuid",
        "nodev",
        "noexec",
        "noatime",
        "nodiratime",
        "relatime",
    ];
    let kept = options.split(',').filter(|option| kept.contains(option));
    let options = kept.map(|option| format!(",{option}")).collect();
    Some((OsString::from_vec(unescaped(place)).into(), options))
}

/// Three octal digits after a backslash are one byte.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| *first == b'\\');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_their_options() {
        let line =
            b"36 35 98:0 /a /mnt/two\\040words\\134x ro,nosuid,noatime shared:1 - ext4 /dev/a rw";
        let (place, options) = entry(line).unwrap();
        assert_eq!(place, Path::new("/mnt/two words\\x"));
        assert_eq!(options, ",nosuid,noatime");
        assert_eq!(entry(b""), None);
        let all = mounts().unwrap();
        assert!(all.iter().any(|(place, _)| place == Path::new("/")));
    }
}
