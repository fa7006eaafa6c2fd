//! A process by its id and start time, so that a reused id is not taken for it.

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

/// A process by its id and start time.
///
/// *Units*: `start` is in clock ticks since the machine started. *Source*: proc(5), `stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The id of the process; for those made here, of its group too.
    pub(crate) pid: i32,
    /// When it started.
    pub(crate) start: u64,
}

impl Identity {
    /// The process that has this id now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let start = start_time(pid)?;
        Some(Self { pid, start })
    }

    /// Whether it still runs. A zombie does not run.
    pub(crate) fn is_alive(self) -> bool {
        start_time(self.pid) == Some(self.start)
    }

    /// Sends a signal to the process, if it still runs.
    pub(crate) fn signal(self, signal: Signal) {
        if let (true, Some(pid)) = (self.is_alive(), Pid::from_raw(self.pid)) {
            let _gone_meanwhile = rustix::process::kill_process(pid, signal);
        }
    }
}

/// The start time of a living process.
fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_lives_and_a_wrong_start_does_not() {
        let own = Identity::of(std::process::id()).unwrap();
        assert!(own.is_alive() && own.start > 0);
        let other = Identity {
            start: own.start + 1,
            ..own
        };
        assert!(!other.is_alive());
    }
}
