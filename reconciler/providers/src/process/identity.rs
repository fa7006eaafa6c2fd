//! A process by its id, its start and the boot it was seen in, so that a reused id is never taken
//! for it.

use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use stratum_core::digest::Digest;

use super::table::{Seen, see};

/// Clock ticks in a second, as the kernel shows them: the same on every machine.
const TICKS: u64 = 100;

/// A process by its id, its start and the boot it was seen in.
///
/// *Units*: `start` is in clock ticks since the machine started. *Source*: proc(5), `stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The id of the process; for those made here, of its group too.
    pub(crate) pid: i32,
    /// When it started.
    pub(crate) start: u64,
    /// The boot and the space of process ids in which the id means anything; 0 where that was not
    /// written down.
    #[serde(default)]
    pub(crate) boot: u64,
}

impl Identity {
    /// The process that has this id now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let seen = see(i32::try_from(pid).ok()?)?;
        seen.lives().then(|| Self::seen(&seen))
    }

    /// The process of a row of the table.
    pub(crate) fn seen(seen: &Seen) -> Self {
        Self {
            pid: seen.pid,
            start: seen.start,
            boot: boot(),
        }
    }

    /// Whether it still runs. A zombie does not run, and nothing of another boot does.
    pub(crate) fn is_alive(self) -> bool {
        self.is_of_this_boot()
            && see(self.pid).is_some_and(|seen| seen.lives() && seen.start == self.start)
    }

    fn is_of_this_boot(self) -> bool {
        self.boot == 0 || self.boot == boot()
    }

    /// How long it runs, also when the clock was set meanwhile.
    pub(crate) fn age(self) -> Duration {
        let start = Duration::from_millis(self.start.saturating_mul(1000) / TICKS);
        since_boot().saturating_sub(start)
    }

    /// What refers to the process for as long as it is kept; `None` when it does not run.
    pub(crate) fn open(self) -> Option<OwnedFd> {
        let pid = Pid::from_raw(self.pid)?;
        let opened = pidfd_open(pid, PidfdFlags::NONBLOCK)
            .or_else(|_| pidfd_open(pid, PidfdFlags::empty()))
            .ok()?;
        // Only now: from here on the id cannot become another process's.
        self.is_alive().then_some(opened)
    }

    /// Sends a signal to this very process, if it still runs.
    pub(crate) fn signal(self, signal: Signal) {
        if let Some(process) = self.open() {
            let _gone_meanwhile = pidfd_send_signal(process, signal);
        }
    }
}

/// The time since the machine started.
pub(crate) fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(now.tv_nsec.unsigned_abs())
}

/// This boot of the machine, and the space of process ids this process lives in.
pub(crate) fn boot() -> u64 {
    static BOOT: OnceLock<u64> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let space = space.as_os_str().as_encoded_bytes();
        let digest = Digest::of_bytes(&[id.as_slice(), space].concat()).to_string();
        let digits = digest.rsplit(':').next().and_then(|text| text.get(..12));
        // Not 0, which means that it is not known.
        digits
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .unwrap_or_default()
            .max(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_lives_and_a_wrong_start_or_boot_does_not() {
        let own = Identity::of(std::process::id()).unwrap();
        assert!(own.is_alive() && own.start > 0 && own.open().is_some());
        let later = Identity {
            start: own.start + 1,
            ..own
        };
        let rebooted = Identity {
            boot: own.boot ^ 2,
            ..own
        };
        let unknown = Identity { boot: 0, ..own };
        assert!(!later.is_alive() && later.open().is_none());
        assert!(!rebooted.is_alive() && rebooted.open().is_none());
        assert!(unknown.is_alive());
        assert!(own.age() < Duration::from_secs(3600));
    }

    #[test]
    fn a_status_of_a_version_before_is_read() {
        let old: Identity = serde_json::from_str(r#"{"pid": 1, "start": 2}"#).unwrap();
        assert_eq!((old.pid, old.start, old.boot), (1, 2, 0));
    }
}
