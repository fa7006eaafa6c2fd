//! What is known of one key.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::next::{Cause, Causes, Next, Urgency, When};
use super::{Attempt, Key, Now, SHORTEST, backoff};
use crate::ports::Retry;

/// What is known of one key.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Why it waits to be looked at.
    pub(super) pending: Causes,
    /// Which queue it stands in, and since when.
    pub(super) place: Option<(Urgency, u64)>,
    /// In flight, and whether it has the room of an urgent look.
    pub(super) flight: Option<bool>,
    /// Tries without success.
    pub(super) attempts: u32,
    /// When a look last began for what is due again and again.
    served: BTreeMap<Cause, Last>,
    timers: BTreeMap<Cause, Duration>,
    alarms: BTreeMap<Cause, Timestamp>,
    /// What was set while it was in flight: the answer of that look does not undo it.
    meanwhile: BTreeMap<Cause, Duration>,
}

/// When a look last began: so long before that moment.
#[derive(Debug, Clone, Copy)]
struct Last {
    at: Duration,
    before: Duration,
}

impl Entry {
    /// Makes a cause due then, whatever was set before.
    pub(super) fn set(&mut self, key: &Key, cause: Cause, when: When, now: Now) {
        self.plan(key, cause, when, now, now.monotonic);
        if self.flight.is_some()
            && let Some(at) = self.timers.get(&cause)
        {
            self.meanwhile.insert(cause, *at);
        }
    }

    /// It was looked at for `cause` so long before.
    pub(super) fn serve(&mut self, cause: Cause, at: Duration, before: Duration) {
        self.served.insert(cause, Last { at, before });
    }

    /// Nothing is due by time any more.
    fn quiet(&mut self) {
        self.timers.clear();
        self.alarms.clear();
        self.meanwhile.clear();
    }

    /// The first moment at which something is due, on the clock that never goes back; while it is
    /// in flight there is none, since the answer decides anew.
    pub(super) fn timer(&self) -> Option<Duration> {
        let timers = self.timers.values().min().copied();
        timers.filter(|_| self.flight.is_none())
    }

    /// The same, by the time of day.
    pub(super) fn alarm(&self) -> Option<Timestamp> {
        let alarms = self.alarms.values().min().copied();
        alarms.filter(|_| self.flight.is_none())
    }

    /// What it waits as; a key in flight waits for its end first.
    pub(super) fn waits_as(&self) -> Option<Urgency> {
        match self.flight {
            Some(_) => None,
            None => self.pending.urgency(),
        }
    }

    pub(super) fn come_due(&mut self, now: Now) {
        let timers = self.timers.iter().filter(|(_, at)| **at <= now.monotonic);
        let alarms = self.alarms.iter().filter(|(_, at)| **at <= now.wall);
        let due = timers.map(|(cause, _)| *cause);
        let due: Vec<Cause> = due.chain(alarms.map(|(cause, _)| *cause)).collect();
        for cause in due {
            self.timers.remove(&cause);
            self.alarms.remove(&cause);
            self.pending.add(cause);
        }
    }

    pub(super) fn start(&mut self, urgent: bool, at: Duration) -> (Causes, u32) {
        let causes = std::mem::take(&mut self.pending);
        self.flight = Some(urgent);
        for cause in causes.iter() {
            self.serve(cause, at, Duration::ZERO);
        }
        // What is new is not slowed down by what failed before it.
        if causes.has(Cause::RefMoved) || causes.has(Cause::Word) {
            self.attempts = 0;
            self.timers.remove(&Cause::RetryDue);
        }
        (causes, self.attempts)
    }

    /// Takes in what a look answered: only what it names is due by time from now on.
    pub(super) fn answer(&mut self, key: &Key, next: &Next, now: Now) -> Option<Attempt> {
        let meanwhile = std::mem::take(&mut self.meanwhile);
        let waits = self.timers.get(&Cause::RetryDue).copied();
        self.quiet();
        let soonest = now.monotonic.saturating_add(SHORTEST);
        for (cause, when) in &next.at {
            self.plan(key, *cause, *when, now, soonest);
        }
        let attempt = self.try_again(key, next.failed, waits, now);
        for (cause, at) in meanwhile {
            let timer = self.timers.entry(cause).or_insert(at);
            *timer = at.min(*timer);
        }
        attempt
    }

    /// A look that was for something else, while a try waits, neither counts as one nor puts it off.
    fn try_again(
        &mut self,
        key: &Key,
        failed: Option<Retry>,
        waits: Option<Duration>,
        now: Now,
    ) -> Option<Attempt> {
        if let (Some(Retry::Later(_)), Some(at)) = (failed, waits) {
            self.timers.insert(Cause::RetryDue, at);
            return Some(Attempt {
                attempts: self.attempts,
                wait: at.saturating_sub(now.monotonic),
            });
        }
        match failed {
            None => {
                self.attempts = 0;
                None
            }
            Some(Retry::WhenInputChanges | Retry::NeedsPerson) => {
                self.attempts = self.attempts.saturating_add(1);
                None
            }
            Some(Retry::Later(base)) => {
                self.attempts = self.attempts.saturating_add(1);
                let wait = backoff::backoff(key.environment().as_str(), base, self.attempts);
                let at = now.monotonic.saturating_add(wait);
                self.timers.insert(Cause::RetryDue, at);
                let attempts = self.attempts;
                Some(Attempt { attempts, wait })
            }
        }
    }

    fn plan(&mut self, key: &Key, cause: Cause, when: When, now: Now, soonest: Duration) {
        self.alarms.remove(&cause);
        let at = match when {
            When::After(wait) => now.monotonic.saturating_add(wait),
            When::Every(every) => {
                let (at, before) = match self.served.get(&cause) {
                    Some(last) => (last.at, last.before),
                    None => (now.monotonic, Duration::ZERO),
                };
                at.saturating_add(backoff::period(key, every).saturating_sub(before))
            }
            When::At(at) => {
                let wait = Duration::try_from(at.duration_since(now.wall)).unwrap_or_default();
                // By the time of day too, but for what is past or nearly: that would spin.
                if wait > SHORTEST {
                    self.alarms.insert(cause, at);
                }
                now.monotonic.saturating_add(wait)
            }
        };
        self.timers.insert(cause, at.max(soonest));
    }
}
