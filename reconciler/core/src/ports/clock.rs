//! Time and randomness, as ports, so that a simulation can own them.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// The clock.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time of day (UTC). May jump, forwards or backwards; use it for people and for records.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment. Never goes back; use it for waiting.
    fn monotonic(&self) -> Duration;

    /// Returns after `duration`. Dropping the future ends the wait.
    async fn sleep(&self, duration: Duration);
}

/// A source of random numbers, for ids and jitter. Not for keys.
pub trait Randomness: Send + Sync {
    /// The next number.
    fn next(&self) -> u64;
}
