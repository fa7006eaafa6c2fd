//! The clock and the random numbers of this machine.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::ports::{Clock, Randomness};

/// The clock of this machine.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl SystemClock {
    /// The clock; its monotonic time counts from now.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Random numbers of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn next(&self) -> u64 {
        getrandom::u64().unwrap_or_else(|error| {
            // Ids also carry the time; a source that fails must not stop a rollback.
            tracing::warn!(%error, "the operating system gives no random numbers");
            Timestamp::now().as_nanosecond() as u64
        })
    }
}
