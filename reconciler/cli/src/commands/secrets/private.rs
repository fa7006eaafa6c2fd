//! A folder for values in the clear, which goes away whatever becomes of this process.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How the folders are named: `stratum-edit-<process>-<its start>-<random>`.
const NAME: &str = "stratum-edit-";

/// A folder for its owner only, wiped and removed when it is dropped.
///
/// *Guarantees*: it lies in memory where the system has one. When this process is killed, another one
/// that waits for that removes it; and should both be killed, the next command removes it.
pub(super) struct PrivateFolder {
    path: PathBuf,
    watcher: Option<Child>,
}

impl PrivateFolder {
    /// Makes one.
    pub(super) fn new() -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let process = std::process::id();
        let started = started(process).unwrap_or_default();
        let path = around().join(format!("{NAME}{process}-{started}-{random}"));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let mut folder = Self {
            path,
            watcher: None,
        };
        folder.watcher = Some(watch(&folder.path)?);
        Ok(folder)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        wipe(&self.path);
        if let Some(mut watcher) = self.watcher.take() {
            // Without its input it ends by itself.
            drop(watcher.stdin.take());
            let _it_has_ended = watcher.wait();
        }
    }
}

/// Starts what removes the folder as soon as this process is gone: nothing else holds the other end
/// of its input. Signals to the terminal's group do not reach it.
fn watch(path: &Path) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", "read -r _; rm -rf -- \"$1\"", "sh"])
        .arg(path)
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// Removes what killed processes of this user left.
pub(super) fn clean() {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(around()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(NAME)) else {
            continue;
        };
        let mine = fs::symlink_metadata(entry.path())
            .is_ok_and(|found| found.is_dir() && found.uid() == own);
        if mine && !is_used(rest) {
            wipe(&entry.path());
        }
    }
}

/// Whether the process that a folder is named after still runs. Folders of another form are those of
/// earlier versions, which may be in use.
fn is_used(rest: &str) -> bool {
    let mut parts = rest.split('-');
    let (Some(process), Some(begun), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return true;
    };
    let Ok(process) = process.parse() else {
        return true;
    };
    started(process).is_some_and(|now| now == begun)
}

/// When a process was started, in ticks since the boot; `None` when there is none.
///
/// *Source*: proc_pid_stat(5), field 22; the name before it may hold anything, but for its last `)`.
fn started(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19).map(str::to_owned)
}

fn around() -> PathBuf {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => memory.to_owned(),
        false => std::env::temp_dir(),
    }
}

/// Writes over every file of a folder, and removes it.
fn wipe(path: &Path) {
    // Whatever the editor left: copies, swap files, backups.
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let found = fs::symlink_metadata(entry.path()).ok();
        let Some(found) = found.filter(fs::Metadata::is_file) else {
            continue;
        };
        let zeros = vec![0; usize::try_from(found.len()).unwrap_or(0)];
        let _what_cannot_be_written_is_removed = fs::OpenOptions::new()
            .write(true)
            .open(entry.path())
            .and_then(|mut file| file.write_all(&zeros).and_then(|()| file.sync_all()));
    }
    let _nothing_more_can_be_done = fs::remove_dir_all(path);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn the_private_folder_is_for_its_owner_and_goes() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = PrivateFolder::new().unwrap();
        let path = folder.path().to_owned();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::write(path.join("left.swp"), "hunter2").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn the_folder_goes_when_its_process_is_killed() {
        let mut folder = PrivateFolder::new().unwrap();
        fs::write(folder.path.join("values.yaml"), "hunter2").unwrap();
        let mut watcher = folder.watcher.take().unwrap();
        // All that a kill leaves of a process is that its descriptors are closed.
        drop(watcher.stdin.take());
        let begun = Instant::now();
        while folder.path.exists() && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!folder.path.exists());
        watcher.wait().unwrap();
    }

    #[test]
    fn what_the_dead_left_is_removed_and_what_the_living_use_is_not() {
        let living = PrivateFolder::new().unwrap();
        let dead = around().join(format!("{NAME}4194999-1-{}", std::process::id()));
        // A process of the same number that was started at another time.
        let reused = around().join(format!("{NAME}{0}-1-{0}", std::process::id()));
        for path in [&dead, &reused] {
            fs::create_dir_all(path).unwrap();
            fs::write(path.join("values.yaml"), "hunter2").unwrap();
        }
        let link = around().join(format!("{NAME}4194998-1-{}", std::process::id()));
        let kept = tempfile::tempdir().unwrap();
        fs::write(kept.path().join("file"), "stays").unwrap();
        std::os::unix::fs::symlink(kept.path(), &link).unwrap();
        clean();
        assert!(!dead.exists() && !reused.exists() && living.path().exists());
        assert_eq!(fs::read(kept.path().join("file")).unwrap(), b"stays");
        fs::remove_file(link).unwrap();
    }
}
