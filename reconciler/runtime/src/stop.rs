//! Being told to stop.

use stratum_core::ports::Stopping;
use tokio::sync::watch;

/// Tells the loop to begin nothing more; what is in flight is waited for.
#[derive(Debug, Clone)]
pub struct Stop {
    sender: watch::Sender<bool>,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            sender: watch::Sender::new(false),
        }
    }
}

impl Stop {
    /// Tells it. May be called any number of times.
    pub fn stop(&self) {
        self.sender.send_replace(true);
    }

    /// Whether it was told.
    pub fn is_stopped(&self) -> bool {
        *self.sender.borrow()
    }

    /// Returns once it was told.
    pub async fn stopped(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _sender_lives = receiver.wait_for(|stopped| *stopped).await;
    }
}

impl Stopping for Stop {
    fn is_stopping(&self) -> bool {
        self.is_stopped()
    }
}
