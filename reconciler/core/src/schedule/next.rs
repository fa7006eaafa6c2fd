//! Why a key is looked at, and what a look answers.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::ports::Retry;

/// Why a key is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The process began, or what it may read became more: every key is looked at.
    Start,
    /// The ref that it is read from moved.
    RefMoved,
    /// A person said something by a signed tag.
    Word,
    /// A window of time begins or ends.
    Window,
    /// A provider noticed something.
    ProviderEvent,
    /// Something failed that may pass by itself.
    RetryDue,
    /// Something must be renewed before it ends.
    RenewalDue,
    /// The world is to be compared with what was applied.
    DriftDue,
}

/// Whom a look is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Somebody waits for it.
    People,
    /// It is due by time.
    Time,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 8] = [
        Self::Start,
        Self::RefMoved,
        Self::Word,
        Self::Window,
        Self::ProviderEvent,
        Self::RetryDue,
        Self::RenewalDue,
        Self::DriftDue,
    ];

    fn urgency(self) -> Urgency {
        match self {
            Self::RefMoved | Self::Word | Self::ProviderEvent | Self::RenewalDue => Urgency::People,
            Self::Start | Self::Window | Self::RetryDue | Self::DriftDue => Urgency::Time,
        }
    }

    fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// A set of causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Causes(u8);

impl Causes {
    /// Only this one.
    pub fn of(cause: Cause) -> Self {
        Self(cause.bit())
    }

    /// Whether this one is among them.
    pub fn has(self, cause: Cause) -> bool {
        self.0 & cause.bit() != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All of them, in order.
    pub fn iter(self) -> impl Iterator<Item = Cause> {
        Cause::ALL.into_iter().filter(move |cause| self.has(*cause))
    }

    pub(super) fn add(&mut self, cause: Cause) {
        self.0 |= cause.bit();
    }

    pub(super) fn urgency(self) -> Option<Urgency> {
        let mut found = self.iter().map(Cause::urgency).peekable();
        found.peek()?;
        match found.any(|urgency| urgency == Urgency::People) {
            true => Some(Urgency::People),
            false => Some(Urgency::Time),
        }
    }
}

impl FromIterator<Cause> for Causes {
    fn from_iter<T: IntoIterator<Item = Cause>>(causes: T) -> Self {
        let mut all = Self::default();
        causes.into_iter().for_each(|cause| all.add(cause));
        all
    }
}

/// When something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So much later.
    After(Duration),
    /// Again and again, so long after the last look for the same cause; with jitter by key.
    Every(Duration),
    /// At this time of day (UTC), or when so much time has passed as there was until then.
    At(Timestamp),
}

/// When a look wants to be looked at next, and why. What it does not name is not due by time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Next {
    pub(super) at: BTreeMap<Cause, When>,
    pub(super) failed: Option<Retry>,
}

impl Next {
    /// Not before something changes.
    pub fn when_changed() -> Self {
        Self::default()
    }

    /// Also then, for this.
    #[must_use]
    pub fn and(mut self, cause: Cause, when: When) -> Self {
        self.at.insert(cause, when);
        self
    }

    /// Something failed, and that decides when it is tried again.
    #[must_use]
    pub fn failed(mut self, retry: Retry) -> Self {
        self.failed = Some(retry);
        self
    }

    /// What failed, if anything did.
    pub fn failure(&self) -> Option<Retry> {
        self.failed
    }
}
