//! A clock that stands still until it is told to move, and numbers that follow from a seed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::ports::{Clock, Randomness};
use tokio::sync::watch;

/// A clock that a test moves by hand.
///
/// *Guarantees*: a sleep ends exactly when [`ManualClock::advance`] has gone past its end.
#[derive(Debug)]
pub struct ManualClock {
    start: Timestamp,
    passed: watch::Sender<Duration>,
    /// By how much the time of day was set back.
    back: watch::Sender<Duration>,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn at(start: Timestamp) -> Self {
        Self {
            start,
            passed: watch::Sender::new(Duration::ZERO),
            back: watch::Sender::new(Duration::ZERO),
        }
    }

    /// Moves the clock on, and wakes who slept long enough.
    pub fn advance(&self, by: Duration) {
        self.passed.send_modify(|passed| *passed += by);
    }

    /// Moves the time of day back; the monotonic time stays.
    pub fn set_back(&self, by: Duration) {
        self.back.send_modify(|back| *back += by);
    }

    /// How many sleeps are waiting.
    pub fn sleepers(&self) -> usize {
        self.passed.receiver_count()
    }
}

impl Default for ManualClock {
    /// A clock that shows the start of 1970.
    fn default() -> Self {
        Self::at(Timestamp::UNIX_EPOCH)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let (passed, back) = (*self.passed.borrow(), *self.back.borrow());
        let ahead = self.start.checked_add(passed).unwrap_or(Timestamp::MAX);
        ahead.checked_sub(back).unwrap_or(Timestamp::MIN)
    }

    fn monotonic(&self) -> Duration {
        *self.passed.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        let mut passed = self.passed.subscribe();
        let end = *passed.borrow() + duration;
        // The clock itself holds the sender, so this cannot fail while it is borrowed.
        let _reached = passed.wait_for(|passed| *passed >= end).await;
    }
}

/// Numbers that follow from a seed; the same seed gives the same numbers.
///
/// *Source*: SplitMix64.
#[derive(Debug)]
pub struct SeededRandomness(AtomicU64);

impl SeededRandomness {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Randomness for SeededRandomness {
    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleep_ends_when_the_clock_is_moved_far_enough() {
        let clock = std::sync::Arc::new(ManualClock::default());
        let sleeper = tokio::spawn({
            let clock = std::sync::Arc::clone(&clock);
            async move { clock.sleep(Duration::from_secs(10)).await }
        });
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
        assert_eq!(clock.now().as_second(), 10);
    }

    #[test]
    fn a_seed_gives_the_same_numbers() {
        let numbers = |seed| {
            let randomness = SeededRandomness::new(seed);
            [randomness.next(), randomness.next()]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        // Known answer of SplitMix64 for the seed 0.
        assert_eq!(numbers(0)[0], 0xe220_a839_7b1d_cdaf);
    }
}
