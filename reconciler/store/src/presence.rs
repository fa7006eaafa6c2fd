//! Whether a holder of leases lives: it holds a lock on a file of its own for as long as it does,
//! and the kernel lets go of it when the process ends, however it ends.
//!
//! *Shape*: the folder `<state>.holders` beside the state; in it one empty file for each process
//! that holds leases. The name of a holder is `host boot pid lock-…`: what people read, the boot of
//! its kernel, and the name of its file.
//!
//! *Guarantees*: no number of a process is asked for, so neither another pid namespace, nor another
//! machine of the same name, nor a number that was given again can fool it. A file appears under
//! its name only when it is locked.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;
use stratum_core::ports::Life;

use crate::reader::with_suffix;

/// How the name of a file begins.
const PREFIX: &str = "lock-";

/// File systems that one kernel alone has mounted: what is not locked there is locked nowhere.
/// *Source*: statfs(2), linux/magic.h.
const LOCAL: [u64; 9] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlayfs
    0xf2f5_2010, // f2fs
    0x2fc1_2fc1, // zfs
    0xca45_1a4e, // bcachefs
];

/// That this process lives.
#[derive(Debug)]
pub(crate) struct Presence {
    name: String,
    /// The file, open: the lock belongs to it, and its time is the last word. `None`: there is none.
    file: Option<File>,
}

impl Presence {
    /// Says that this process lives, to whoever looks at the state at `state`.
    pub(crate) fn claim(state: &Path) -> io::Result<Self> {
        let folder = folder(state);
        let made = DirBuilder::new().mode(0o700).create(&folder);
        if let Err(error) = made
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        let id = format!("{PREFIX}{:016x}", random());
        let (draft, path) = (folder.join(format!("new-{id}")), folder.join(&id));
        let file = options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        file.lock()?;
        fs::rename(&draft, &path)?;
        let pid = std::process::id();
        Ok(Self {
            name: format!("{} {} {pid} {id}", host(), boot()),
            file: Some(file),
        })
    }

    /// A holder of which nobody can tell whether it lives.
    pub(crate) fn elsewhere(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            file: None,
        }
    }

    /// Says that this process does not hang.
    pub(crate) fn speak(&self) {
        if let Some(file) = &self.file {
            // Where that fails it is taken for silent, and no more follows from it than words.
            let _ = file.set_modified(SystemTime::now());
        }
    }

    /// The name of the holder.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Takes away the files of holders that are gone and hold nothing; those named in `kept` hold leases.
///
/// One that is gone and holds a lease stays to be known by, so that its lease is free at once.
pub(crate) fn sweep(state: &Path, kept: &[String]) {
    let ids: Vec<&str> = kept
        .iter()
        .filter_map(|name| name.split(' ').nth(3))
        .collect();
    // What cannot be read or taken away is an empty file.
    for entry in fs::read_dir(folder(state)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        let file = options().read(true).open(entry.path());
        if !ids.contains(&name) && file.is_ok_and(|file| file.try_lock_shared().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a holder lives.
pub(crate) fn life(state: &Path, holder: &str) -> Life {
    let Some((their_boot, path)) = parsed(state, holder) else {
        return Life::Unknown;
    };
    let Ok(file) = options().read(true).open(path) else {
        return Life::Unknown;
    };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Life::Alive,
        // It is let go again when the file is closed. Others that look meanwhile share it.
        Ok(()) if their_boot == boot() || is_local(&file) => Life::Dead,
        // The kernel over there may keep its locks to itself.
        Ok(()) | Err(TryLockError::Error(_)) => Life::Unknown,
    }
}

/// When a process of this machine that may hold leases, and that lives, spoke last; of several the
/// latest. `None`: none lives.
pub(crate) fn last_word(state: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder(state)).into_iter().flatten().flatten();
    let own = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    let spoke = own.filter_map(|entry| {
        let file = options().read(true).open(entry.path()).ok()?;
        let lives = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        lives.then(|| file.metadata().and_then(|data| data.modified()).ok())?
    });
    spoke.max()
}

/// The boot of a holder, and its file; `None` when its name has another form.
fn parsed<'h>(state: &Path, holder: &'h str) -> Option<(&'h str, PathBuf)> {
    let mut words = holder.split(' ');
    let (_host, boot, _pid) = (words.next()?, words.next()?, words.next()?);
    let id = words.next()?;
    let digits = id.strip_prefix(PREFIX)?;
    let valid = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (valid && words.next().is_none()).then(|| (boot, folder(state).join(id)))
}

fn folder(state: &Path) -> PathBuf {
    with_suffix(state, ".holders")
}

/// Links are not followed, and a child gets nothing of it.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options
}

/// Whether the file lies on a file system that one kernel alone has mounted.
fn is_local(file: &File) -> bool {
    let told = rustix::fs::fstatfs(file).map(|found| found.f_type as u64 & 0xffff_ffff);
    told.is_ok_and(|kind| LOCAL.contains(&kind))
}

/// A number that no other process has, nor this one twice. *Source*: the keys of a `RandomState` come from the system.
pub(crate) fn random() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

fn host() -> String {
    first_word("/proc/sys/kernel/hostname")
}

fn boot() -> String {
    first_word("/proc/sys/kernel/random/boot_id")
}

fn first_word(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        (folder, path)
    }

    #[test]
    fn a_process_lives_for_as_long_as_it_holds_its_lock() {
        let (_folder, state) = state();
        let own = Presence::claim(&state).unwrap();
        let name = own.name().to_owned();
        assert_eq!(life(&state, &name), Life::Alive);
        assert!(last_word(&state).is_some());
        sweep(&state, &[]);
        assert_eq!(life(&state, &name), Life::Alive, "one that lives stays");
        // As a kill would: the lock goes, the file stays.
        drop(own);
        assert_eq!(life(&state, &name), Life::Dead);
        assert!(
            last_word(&state).is_none(),
            "a file that nobody locks is nobody"
        );
        sweep(&state, &[]);
        assert_eq!(
            life(&state, &name),
            Life::Unknown,
            "nothing is left to tell"
        );
    }

    #[test]
    fn another_boot_of_the_same_machine_is_dead_and_one_that_lives_is_not() {
        let (_folder, state) = state();
        let own = Presence::claim(&state).unwrap();
        let elsewhere = own.name().replace(&boot(), "another-boot");
        assert_eq!(life(&state, &elsewhere), Life::Alive);
        drop(own);
        // The folder of a test lies on a local file system: its locks are all there are.
        assert_eq!(life(&state, &elsewhere), Life::Dead);
    }

    #[test]
    fn what_is_gone_and_holds_nothing_is_swept_away() {
        let (_folder, state) = state();
        let made = |_| Presence::claim(&state).unwrap();
        let [alive, holding, idle] = [0, 1, 2].map(made);
        let names = [&alive, &holding, &idle].map(|own| own.name().to_owned());
        drop((holding, idle));
        sweep(&state, &names[1..2]);
        let lives = names.each_ref().map(|name| life(&state, name));
        assert_eq!(lives, [Life::Alive, Life::Dead, Life::Unknown]);
    }

    #[test]
    fn a_name_of_another_form_tells_nothing_and_reaches_no_other_file() {
        let (_folder, state) = state();
        for name in [
            "box b 12 99",
            "nonsense",
            "box b 12 lock-../../state.db",
            "box b 12 lock-0000000000000000",
            "box b 12 lock-0000000000000000 more",
        ] {
            assert_eq!(life(&state, name), Life::Unknown, "{name}");
        }
    }

    #[test]
    fn a_link_is_not_followed() {
        let (folder, state) = state();
        drop(Presence::claim(&state).unwrap());
        let victim = folder.path().join("victim");
        fs::write(&victim, "").unwrap();
        let id = "lock-00000000000000aa";
        std::os::unix::fs::symlink(&victim, super::folder(&state).join(id)).unwrap();
        assert_eq!(life(&state, &format!("h {} 1 {id}", boot())), Life::Unknown);
    }
}
