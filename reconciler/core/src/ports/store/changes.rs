//! Noticing what other processes did.

use async_trait::async_trait;

use super::StoreError;

/// Wakes whoever waits for other processes.
#[async_trait]
pub trait Changes: Send + Sync {
    /// Returns when another process committed something since the last return, or since the store
    /// was opened; commits of this store wake nobody. It may return for nothing. Dropping it loses
    /// nothing: what was committed meanwhile is told by the next call.
    async fn changed(&self) -> Result<(), StoreError>;
}
