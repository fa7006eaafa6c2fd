//! When each key is looked at next, and why.
//!
//! ```text
//! wake(key, cause) ----+                       +--> begin() -> Visit { key, causes, attempts }
//! a timer comes due ---+--> waits in its queue -+         the look works
//! ended(key, Next) <-------------------------------------- Next { at, cause }, or until a change
//! ```
//!
//! *Guarantees*:
//! - A key is never in flight twice. A cause that comes meanwhile is kept, and leads to a look of
//!   its own afterwards; causes that wait are merged, and none is lost.
//! - Whatever a look answers, its next one for a reason of time is at least [`SHORTEST`] later; an
//!   error that repeats is tried again exponentially later, with jitter by key.
//! - Waiting is measured on a clock that never goes back. A time of day is honoured as well, so
//!   that a clock that jumps makes a key due early at most once, and late never.
//! - What people wait for goes before what is due by time, and neither starves the other. Keys of
//!   one queue are served in the order in which they came.
//! - Pure: time is an argument.

mod backoff;
mod entry;
mod next;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

pub use self::backoff::{SHORTEST, backoff};
use self::entry::Entry;
use self::next::Urgency;
pub use self::next::{Cause, Causes, Next, When};
use crate::ids::EnvironmentName;
use crate::ports::Retry;

/// What is looked at as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// An environment.
    Environment(EnvironmentName),
}

impl Key {
    /// The environment it is about.
    pub fn environment(&self) -> &EnvironmentName {
        match self {
            Self::Environment(name) => name,
        }
    }
}

/// A moment, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Time since some fixed moment; never goes back.
    pub monotonic: Duration,
    /// The time of day (UTC); may jump.
    pub wall: Timestamp,
}

/// How many looks are in flight at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// All of them; at least one.
    pub all: usize,
    /// Of these, so many at most for what is due by time only: the rest is kept free for people.
    pub background: usize,
}

/// One look that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// What is looked at.
    pub key: Key,
    /// Why.
    pub causes: Causes,
    /// How often it was tried without success before.
    pub attempts: u32,
}

/// What is to be kept for the time after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// How often it was tried without success.
    pub attempts: u32,
    /// How long until the next try.
    pub wait: Duration,
}

/// So many urgent looks begin in a row while others wait.
const IN_A_ROW: u32 = 4;

/// When each key is looked at next, and why.
#[derive(Debug)]
pub struct Schedule {
    entries: BTreeMap<Key, Entry>,
    room: Room,
    /// Keys that wait to be looked at, in the order in which they came.
    urgent: BTreeMap<u64, Key>,
    others: BTreeMap<u64, Key>,
    /// Keys that come due, by each clock.
    timers: BTreeSet<(Duration, Key)>,
    alarms: BTreeSet<(Timestamp, Key)>,
    in_flight: usize,
    background: usize,
    in_a_row: u32,
    came: u64,
}

impl Schedule {
    /// A schedule without keys.
    pub fn new(room: Room) -> Self {
        Self {
            entries: BTreeMap::new(),
            room,
            urgent: BTreeMap::new(),
            others: BTreeMap::new(),
            timers: BTreeSet::new(),
            alarms: BTreeSet::new(),
            in_flight: 0,
            background: 0,
            in_a_row: 0,
            came: 0,
        }
    }

    /// Something happened: the key is to be looked at now.
    pub fn wake(&mut self, key: &Key, cause: Cause) {
        self.change(key, |entry| entry.pending.add(cause));
    }

    /// The key is to be looked at then for `cause`, whatever was set before.
    pub fn set(&mut self, key: &Key, cause: Cause, when: When, now: Now) {
        self.change(key, |entry| entry.set(key, cause, when, now));
    }

    /// What an earlier process knew of tries without success.
    pub fn remember(&mut self, key: &Key, attempt: Attempt, now: Now) {
        self.change(key, |entry| entry.attempts = attempt.attempts);
        self.set(key, Cause::RetryDue, When::After(attempt.wait), now);
    }

    /// When the key was last looked at for `cause`: what is due again and again counts from there.
    pub fn served(&mut self, key: &Key, cause: Cause, ago: Duration, now: Now) {
        self.change(key, |entry| entry.serve(cause, now.monotonic, ago));
    }

    /// The next look that may begin now.
    pub fn begin(&mut self, now: Now) -> Option<Visit> {
        self.come_due(now);
        if self.in_flight >= self.room.all.max(1) {
            return None;
        }
        let may = self.background < self.room.background.max(1);
        let turn = self.in_a_row >= IN_A_ROW || self.urgent.is_empty();
        let urgent = !(may && turn && !self.others.is_empty());
        let queue = if urgent { &self.urgent } else { &self.others };
        let key = queue.values().next()?.clone();
        self.in_a_row = if urgent { self.in_a_row + 1 } else { 0 };
        self.in_flight += 1;
        self.background += usize::from(!urgent);
        let mut visit = None;
        self.change(&key, |entry| {
            visit = Some(entry.start(urgent, now.monotonic))
        });
        let (causes, attempts) = visit?;
        Some(Visit {
            key,
            causes,
            attempts,
        })
    }

    /// A look ended, and says when it wants to be looked at next. Answers what is to be kept for
    /// the time after a restart: `None` when nothing failed.
    pub fn ended(&mut self, key: &Key, next: &Next, now: Now) -> Option<Attempt> {
        if !self.land(key) {
            return None;
        }
        let mut attempt = None;
        let name = key.clone();
        self.change(key, |entry| attempt = entry.answer(&name, next, now));
        attempt
    }

    /// A look broke off by a panic: its own key is free again, and is tried again later.
    pub fn broke(&mut self, key: &Key, now: Now) -> Option<Attempt> {
        let next = Next::when_changed().failed(Retry::Later(SHORTEST));
        self.ended(key, &next, now)
    }

    /// How long until [`Schedule::begin`] may have something; `None`: not before something
    /// happens or a look ends.
    pub fn due(&mut self, now: Now) -> Option<Duration> {
        self.come_due(now);
        if self.in_flight >= self.room.all.max(1) {
            return None;
        }
        let background = self.background < self.room.background.max(1);
        if !self.urgent.is_empty() || (background && !self.others.is_empty()) {
            return Some(Duration::ZERO);
        }
        let timer = self.timers.first();
        let timer = timer.map(|(at, _)| at.saturating_sub(now.monotonic));
        let alarm = self
            .alarms
            .first()
            .map(|(at, _)| at.duration_since(now.wall));
        let alarm = alarm.map(|wait| Duration::try_from(wait).unwrap_or_default());
        timer.into_iter().chain(alarm).min()
    }

    /// The look of a key is over; `false` when there was none.
    fn land(&mut self, key: &Key) -> bool {
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        let Some(urgent) = entry.flight.take() else {
            return false;
        };
        self.in_flight = self.in_flight.saturating_sub(1);
        self.background = self.background.saturating_sub(usize::from(!urgent));
        true
    }

    /// What is due by either clock waits in its queue from now on.
    fn come_due(&mut self, now: Now) {
        while let Some((at, key)) = self.timers.first().cloned()
            && at <= now.monotonic
        {
            self.change(&key, |entry| entry.come_due(now));
        }
        while let Some((at, key)) = self.alarms.first().cloned()
            && at <= now.wall
        {
            self.change(&key, |entry| entry.come_due(now));
        }
    }

    /// Changes an entry, and keeps the queues and timers in step with it.
    fn change(&mut self, key: &Key, change: impl FnOnce(&mut Entry)) {
        let entry = self.entries.entry(key.clone()).or_default();
        if let Some(at) = entry.timer() {
            self.timers.remove(&(at, key.clone()));
        }
        if let Some(at) = entry.alarm() {
            self.alarms.remove(&(at, key.clone()));
        }
        change(entry);
        if let Some(at) = entry.timer() {
            self.timers.insert((at, key.clone()));
        }
        if let Some(at) = entry.alarm() {
            self.alarms.insert((at, key.clone()));
        }
        let wanted = entry.waits_as();
        if entry.place.map(|(urgency, _)| urgency) == wanted {
            return;
        }
        // It keeps the turn it came at when it only becomes more urgent.
        let came = match entry.place.take() {
            Some((urgency, came)) => {
                match urgency {
                    Urgency::People => self.urgent.remove(&came),
                    Urgency::Time => self.others.remove(&came),
                };
                came
            }
            None => {
                self.came += 1;
                self.came
            }
        };
        entry.place = wanted.map(|urgency| (urgency, came));
        match wanted {
            Some(Urgency::People) => drop(self.urgent.insert(came, key.clone())),
            Some(Urgency::Time) => drop(self.others.insert(came, key.clone())),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
