//! When the refs are looked at: when they may have moved, and at the latest after the poll.

use std::time::Duration;

use stratum_core::ports::Retry;
use stratum_core::schedule::backoff;

/// When the refs are looked at.
#[derive(Default)]
pub(crate) struct Refs {
    /// Everybody is to be looked at.
    pub(crate) start: bool,
    /// They may have moved.
    moved: bool,
    seen: bool,
    /// The next look, and until when nothing is asked after a failure.
    next: Duration,
    not_before: Duration,
    failures: u32,
}

impl Refs {
    pub(crate) fn are_due(&mut self, now: Duration) -> bool {
        self.start |= !self.seen;
        now >= self.not_before && (self.moved || now >= self.next)
    }

    pub(crate) fn wait(&self, now: Duration) -> Duration {
        let wait = self.next.max(self.not_before).saturating_sub(now);
        let soon = self.not_before.saturating_sub(now);
        if self.moved { soon } else { wait }
    }

    /// Whether a wake would change anything.
    pub(crate) fn may_wake(&self) -> bool {
        !self.moved
    }

    pub(crate) fn start(&mut self) {
        self.start = true;
        self.next = self.not_before;
    }

    pub(crate) fn moved(&mut self) {
        self.moved = true;
    }

    pub(crate) fn seen(&mut self, now: Duration, poll: Duration) {
        *self = Self {
            seen: true,
            next: now.saturating_add(poll),
            ..Self::default()
        };
    }

    pub(crate) fn failed(&mut self, now: Duration, retry: Retry, poll: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.moved = false;
        let wait = match retry {
            Retry::Later(base) => backoff("refs", base, self.failures).min(poll.max(base)),
            Retry::WhenInputChanges | Retry::NeedsPerson => poll,
        };
        self.next = now.saturating_add(wait);
        self.not_before = now.saturating_add(wait.min(Duration::from_secs(1)));
    }
}
