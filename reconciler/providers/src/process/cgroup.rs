//! A cgroup (v2) for the processes of one program, where this user may make one.
//!
//! A process never leaves the cgroup it was started in unless a privileged one moves it. There is
//! none where the kernel, the container or the rights do not give one; then the other ways in
//! which [`super::Family`] knows its processes must do.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name that every one of ours begins with.
const PREFIX: &str = "stratum-";

/// Makes one below that of this process, and moves this process into it; what it starts is in it
/// from then on. `None` where that is not possible.
pub(crate) fn enter(name: &str) -> Option<PathBuf> {
    let own = own()?;
    sweep(&own);
    let made = own.join(format!("{PREFIX}{name}"));
    std::fs::create_dir(&made).ok()?;
    if move_self(&made) {
        return Some(made);
    }
    let _nothing_is_in_it = std::fs::remove_dir(&made);
    None
}

/// Removes what those that were killed left behind. One that is not a minute old may be about to be
/// used; one that is used cannot be removed.
fn sweep(around: &Path) {
    let entries = std::fs::read_dir(around).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_ours(&entry.path())) {
        let age = entry.metadata().and_then(|stat| stat.modified());
        let age = age.ok().and_then(|changed| changed.elapsed().ok());
        if age.is_some_and(|age| age > Duration::from_secs(60)) {
            remove(&entry.path());
        }
    }
}

/// Moves this process back, and removes the cgroup if nothing is left in it.
pub(crate) fn leave(cgroup: &Path) {
    if let Some(around) = cgroup.parent().filter(|_| is_ours(cgroup)) {
        move_self(around);
        remove(cgroup);
    }
}

/// Removes a cgroup in which nothing is left, with those below it.
pub(crate) fn remove(cgroup: &Path) {
    for folder in with_those_below(cgroup).iter().rev() {
        let _still_used = std::fs::remove_dir(folder);
    }
}

/// Moves this process into one that is there, so that it shares it with what runs there already.
pub(crate) fn join(cgroup: &Path) -> bool {
    is_ours(cgroup) && move_self(cgroup)
}

/// The processes in it, and in those that were made below it; none when it is not there.
pub(crate) fn pids(cgroup: &Path) -> Vec<i32> {
    let mut pids = Vec::new();
    for folder in with_those_below(cgroup) {
        let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    pids
}

/// The cgroup, and all below it, outermost first; none when it is not ours.
fn with_those_below(cgroup: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = is_ours(cgroup)
        .then(|| cgroup.to_owned())
        .into_iter()
        .collect();
    let mut index = 0;
    while let Some(folder) = folders.get(index) {
        let below = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let is_folder = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|t| t.is_dir());
        folders.extend(below.filter(is_folder).map(|entry| entry.path()));
        index += 1;
    }
    folders
}

fn is_ours(cgroup: &Path) -> bool {
    let name = cgroup.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(PREFIX))
}

fn move_self(cgroup: &Path) -> bool {
    std::fs::write(cgroup.join("cgroup.procs"), std::process::id().to_string()).is_ok()
}

/// The cgroup of this process. One of ours is left out: the next lies beside it, not in it.
fn own() -> Option<PathBuf> {
    let within = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let within = within.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut path = mount()?.join(within);
    while is_ours(&path) {
        path.pop();
    }
    path.is_dir().then_some(path)
}

/// Where the second version is mounted.
///
/// *Source*: proc(5), `mountinfo`: the fifth field is the mount point, the one behind ` - ` the
/// kind.
fn mount() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let is_second = right.split(' ').next() == Some("cgroup2");
        is_second.then(|| left.split(' ').nth(4).map(PathBuf::from))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_are_ever_touched() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("system.slice");
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("cgroup.procs"), "1\n2\n").unwrap();
        assert!(pids(&other).is_empty());
        remove(&other);
        leave(&other);
        assert!(other.exists());
        let ours = folder.path().join("stratum-1");
        std::fs::create_dir(&ours).unwrap();
        std::fs::write(ours.join("cgroup.procs"), "3\nx\n4\n").unwrap();
        assert_eq!(pids(&ours), [3, 4]);
    }
}
