//! Where work is done that would keep the event loop from other tasks.

use crate::error::RuntimeError;

/// Does blocking work, off the event loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocking {
    /// On the event loop all the same, so that a simulation in one thread is deterministic.
    pub(crate) inline: bool,
}

impl Blocking {
    /// Does the work and waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        if self.inline {
            return work();
        }
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| RuntimeError::TaskEnded)?
    }
}
