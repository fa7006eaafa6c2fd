//! Runs short pieces of blocking work off the event loop, one at a time for each resource.
//!
//! Dropping the future of a call does not stop a thread in the middle of a rename. The lane makes
//! the next call on the same resource wait until that thread is done, so a restore never races
//! with what is left of the apply it puts back.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use stratum_core::ids::Address;
use tokio::sync::Mutex;

/// The number of lanes. Resources that share one merely wait for each other.
const COUNT: usize = 128;

/// The lanes.
#[derive(Debug)]
pub(crate) struct Lanes(Vec<Arc<Mutex<()>>>);

impl Default for Lanes {
    fn default() -> Self {
        Self((0..COUNT).map(|_| Arc::default()).collect())
    }
}

impl Lanes {
    /// Runs `work` when the lane of `address` is free. `None` when it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        address: &Address,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let mut hasher = DefaultHasher::new();
        address.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % COUNT as u64).unwrap_or_default();
        let lane = Arc::clone(self.0.get(index)?);
        let guard = lane.lock_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(guard);
            result
        });
        done.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_that_was_given_up_still_ends_before_the_next() {
        let lanes = Lanes::default();
        let address: Address = "e/local_file.a".parse().unwrap();
        let (done, seen) = std::sync::mpsc::channel();
        let slow = lanes.run(&address, move || {
            std::thread::sleep(Duration::from_millis(200));
            done.send(()).unwrap();
        });
        let given_up = tokio::time::timeout(Duration::from_millis(20), slow).await;
        assert!(given_up.is_err());
        let first_is_done = lanes.run(&address, move || seen.try_recv().is_ok()).await;
        assert_eq!(first_is_done, Some(true));
    }
}
