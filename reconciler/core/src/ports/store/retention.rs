//! Dropping what is no longer needed.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::ports::AuditError;
use crate::settings::RetentionSettings;

/// What is kept, and by which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// How much is kept.
    pub settings: RetentionSettings,
    /// The time that two witnesses agree on; see [`crate::retention::proven`].
    pub now: Timestamp,
}

/// What was dropped by one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Runs that settled and lost what would put their addresses back.
    pub checkpoints: u64,
    /// Runs that lost their plan and their events; what history shows of them stays.
    pub journals: u64,
    /// Runs that are no longer in the history.
    pub runs: u64,
    /// Observations.
    pub observations: u64,
    /// There is more to drop: call again when there is time.
    pub more: bool,
}

impl Dropped {
    /// Whether nothing was dropped.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How large one part of the state is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartSize {
    /// Which part, in a word such as `events`.
    pub part: String,
    /// How many bytes it takes on the disk.
    pub bytes: u64,
}

/// A reading of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// The time of day (UTC).
    pub now: Timestamp,
    /// How long this process has run since its last reading; zero for its first.
    pub passed: Duration,
}

/// Dropping what is no longer needed.
///
/// *Guarantees*: never dropped are open runs, the last run of an environment, the newest
/// observation of a resource that is there, states and leases. As [`super::Store`].
#[async_trait]
pub trait Retention: Send + Sync {
    /// Whether there may be something to drop: runs were begun since the last time, or an hour is
    /// over. Cheap, and writes nothing.
    async fn is_upkeep_due(&self) -> Result<bool, StoreError>;

    /// Drops a bounded amount of what is over, in transactions that keep nobody waiting long. What
    /// puts the addresses of a settled run back goes at once.
    async fn retain(&self, keep: &Keep) -> Result<Dropped, StoreError>;

    /// The time that this state has lived through, as a witness of the time of day: it grows only
    /// with the time for which a process ran, and is never later than a clock that was read. A new
    /// state begins with the newest time that stands in it, else with the first reading.
    async fn lived(&self, reading: ClockReading) -> Result<Timestamp, StoreError>;

    /// How large the state is, part by part, the largest first; costs a look at each page.
    async fn sizes(&self) -> Result<Vec<PartSize>, StoreError>;

    /// Whether the audit log has parts that ended more than a month before `now`.
    async fn has_old_entries(&self, now: Timestamp) -> Result<bool, AuditError>;

    /// Deletes the entries of every part of the audit log that ended more than `months` months
    /// before `now`, after the log says so; answers the parts. Their hashes stay, and all proofs
    /// hold.
    async fn prune_log(&self, now: Timestamp, months: u32) -> Result<Vec<String>, AuditError>;
}
