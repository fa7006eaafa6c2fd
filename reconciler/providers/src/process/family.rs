//! All processes that belong to one start of a program, wherever they went.
//!
//! Each is known by at least one of these, and one that escapes from some is held by the others:
//!
//! - *the mark*: a random word in its environment, which children inherit;
//! - *the home*: for a service, the folder of what is known of it, in its environment too: by that
//!   it is found when all that was known of it is gone;
//! - *the parent*: whoever watches the program is the *subreaper* of all that comes of it, so
//!   what leaves group and session still has an ancestor here;
//! - *the group* of the program, in the session of its watcher;
//! - *the cgroup* (v2), where one can be made: nothing leaves it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::table::{self, Seen};
use super::{Identity, cgroup};
use crate::reexec::SUPERVISE_ARGUMENT;

/// The variable that holds the mark.
pub(crate) const MARK: &str = "STRATUM_RUN";

/// The variable that holds the home.
pub(crate) const HOME: &str = "STRATUM_SERVICE";

/// The time that killed processes get to be gone.
const LINGER: Duration = Duration::from_secs(5);

/// A new mark.
pub(crate) fn new_mark() -> String {
    let mark = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    mark.trim().to_owned()
}

/// The session of this process.
pub(crate) fn own_session() -> i32 {
    table::see(i32::try_from(std::process::id()).unwrap_or_default()).map_or(0, |own| own.session)
}

/// What the processes of one start are known by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Family {
    /// The mark; empty for one that was started before there were marks.
    #[serde(default)]
    pub(crate) mark: String,
    /// The folder of what is known of it; empty for what is no service.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) home: String,
    /// The program that was started.
    pub(crate) leader: Option<Identity>,
    /// Who watches it, and is not of the family.
    pub(crate) watcher: Option<Identity>,
    /// The session it was started in.
    #[serde(default)]
    pub(crate) session: i32,
    /// The cgroup it was started in.
    #[serde(default)]
    pub(crate) cgroup: Option<PathBuf>,
}

impl Family {
    /// Those that run now.
    pub(crate) fn members(&self) -> Vec<Identity> {
        let all = table::all();
        let held: BTreeSet<i32> = self
            .cgroup
            .iter()
            .flat_map(|one| cgroup::pids(one))
            .collect();
        let outside = self.outside();
        let mut found: BTreeSet<i32> = all
            .iter()
            .filter(|seen| held.contains(&seen.pid) || self.knows(seen))
            .map(|seen| seen.pid)
            .collect();
        match self.watcher.filter(|watcher| watcher.is_alive()) {
            Some(watcher) => _ = found.insert(watcher.pid),
            None => found.extend(self.lost_watcher(&all, &found)),
        }
        loop {
            let before = found.len();
            let of_found = |seen: &&Seen| found.contains(&seen.parent);
            let children: Vec<i32> = all.iter().filter(of_found).map(|seen| seen.pid).collect();
            found.extend(children);
            if found.len() == before {
                break;
            }
        }
        all.iter()
            .filter(|seen| seen.lives() && found.contains(&seen.pid))
            .filter(|seen| !outside.contains(&seen.pid))
            .map(Identity::seen)
            .collect()
    }

    /// Who watches those at home, where nobody knows any more who that is: it would start them again.
    fn lost_watcher(&self, all: &[Seen], found: &BTreeSet<i32>) -> Option<i32> {
        if self.home.is_empty() {
            return None;
        }
        let mut at_home = all.iter().filter(|seen| found.contains(&seen.pid));
        let parent = |seen: &Seen| Some(seen.parent).filter(|pid| !found.contains(pid));
        at_home.find_map(|seen| parent(seen).filter(|pid| table::runs_as(*pid, SUPERVISE_ARGUMENT)))
    }

    /// Those that are never of the family, whatever speaks for it.
    fn outside(&self) -> BTreeSet<i32> {
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        let watcher = self.watcher.map(|watcher| watcher.pid);
        watcher.into_iter().chain([own, 1]).collect()
    }

    fn knows(&self, seen: &Seen) -> bool {
        let given =
            |name, value: &str| !value.is_empty() && table::was_given(seen.pid, name, value);
        self.in_group(seen) || given(MARK, &self.mark) || given(HOME, &self.home)
    }

    fn in_group(&self, seen: &Seen) -> bool {
        let Some(leader) = self.leader else {
            return false;
        };
        if seen.pid == leader.pid {
            return leader.is_alive();
        }
        let of_boot = leader.boot == 0 || leader.boot == super::identity::boot();
        of_boot
            && seen.group == leader.pid
            && seen.session == self.session
            && seen.start >= leader.start
    }

    /// Whether any runs.
    pub(crate) fn lives(&self) -> bool {
        !self.members().is_empty()
    }

    /// Ends all of them: SIGTERM, a time of grace, SIGKILL. Answers whether they are gone.
    pub(crate) async fn end(&self, grace: Duration) -> bool {
        self.signal(Signal::TERM);
        let gone = self.gone_within(grace).await;
        gone || self.kill().await
    }

    /// Kills all of them, also those that are started meanwhile. Answers whether they are gone.
    pub(crate) async fn kill(&self) -> bool {
        let begun = Instant::now();
        loop {
            if self.signal(Signal::KILL) == 0 {
                return true;
            }
            if begun.elapsed() > LINGER {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn gone_within(&self, time: Duration) -> bool {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(5);
        while self.lives() {
            if begun.elapsed() >= time {
                return false;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
        true
    }

    /// Signals each of them, and answers how many there were.
    pub(crate) fn signal(&self, signal: Signal) -> usize {
        let members = self.members();
        for member in &members {
            member.signal(signal);
        }
        members.len()
    }
}
