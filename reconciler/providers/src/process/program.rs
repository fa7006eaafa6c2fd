//! The program that is watched, and the orphans that come to its watcher.

use std::os::fd::OwnedFd;
use std::process::ExitStatus;

use rustix::process::{Pid, WaitOptions, waitpid};
use tokio::io::unix::AsyncFd;
use tokio::process::Child;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Identity, table};

/// A program that is watched.
pub(super) enum Program {
    /// One that this process started.
    Started(Child),
    /// One that lost its watcher: how it ends is seen by nobody.
    Adopted(Identity, AsyncFd<OwnedFd>),
}

impl Program {
    /// Takes a running program over; `None` when it does not run.
    pub(super) fn adopt(program: Identity) -> Option<Self> {
        #[allow(
            deprecated,
            reason = "an owned descriptor stays open as long as it is registered"
        )]
        let opened = AsyncFd::new(program.open()?).ok()?;
        Some(Self::Adopted(program, opened))
    }

    /// Which one it is.
    pub(super) fn identity(&self) -> Option<Identity> {
        match self {
            Self::Started(child) => child.id().and_then(Identity::of),
            Self::Adopted(program, _) => Some(*program),
        }
    }

    /// Its id, also when it ended and nobody asked how yet; `None` after that.
    pub(super) fn pid(&self) -> Option<i32> {
        match self {
            Self::Started(child) => child.id().and_then(|pid| i32::try_from(pid).ok()),
            Self::Adopted(program, _) => Some(program.pid),
        }
    }

    /// Waits for its end; `None` when nobody saw how that was. May be dropped and called again.
    pub(super) async fn wait(&mut self) -> Option<ExitStatus> {
        match self {
            Self::Started(child) => child.wait().await.ok(),
            Self::Adopted(_, opened) => {
                // Readable once the process ended.
                let _ready = opened.readable().await;
                None
            }
        }
    }
}

/// Processes whose parents died: they become children of this process, and must be collected.
pub(super) struct Orphans(Signal);

impl Orphans {
    /// Must be called inside a runtime.
    pub(super) fn new() -> std::io::Result<Self> {
        signal(SignalKind::child()).map(Self)
    }

    /// Answers when a child ended.
    pub(super) async fn come(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }

    /// Collects all children that ended, but for the program itself: how that ended is asked by
    /// [`Program::wait`] alone.
    pub(super) fn collect(&self, program: Option<i32>) {
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        for child in children(own) {
            if let (true, Some(pid)) = (Some(child) != program, Pid::from_raw(child)) {
                let _still_runs = waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
    }
}

fn children(own: i32) -> Vec<i32> {
    match std::fs::read_to_string(format!("/proc/self/task/{own}/children")) {
        Ok(list) => list.split(' ').filter_map(|pid| pid.parse().ok()).collect(),
        Err(_) => {
            let of_own = |seen: &table::Seen| seen.parent == own;
            let all = table::all().into_iter().filter(of_own);
            all.map(|seen| seen.pid).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn how_the_program_ended_is_not_lost_to_the_collection_of_orphans() {
        let orphans = Orphans::new().unwrap();
        let child = tokio::process::Command::new("sh")
            .args(["-c", "exit 3"])
            .spawn()
            .unwrap();
        let mut program = Program::Started(child);
        let pid = program.pid().unwrap();
        while table::see(pid).is_some_and(|seen| seen.lives()) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        orphans.collect(program.pid());
        let ended = program.wait().await.and_then(|status| status.code());
        assert_eq!(ended, Some(3));
        assert_eq!(program.pid(), None);
    }
}
