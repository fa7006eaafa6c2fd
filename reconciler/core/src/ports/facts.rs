//! Small facts that outlive the process and belong to no environment, by name.

use async_trait::async_trait;

use crate::ports::StoreError;

/// One fact to write: its name, and its value, or `None` to forget it.
pub type FactChange = (String, Option<Vec<u8>>);

/// Keeps small facts by name: where the records stand, what waits to be written to git.
///
/// *Guarantees*: changes that are given together happen together, and are durable when the call
/// returns. A fact holds no secret.
#[async_trait]
pub trait Facts: Send + Sync {
    /// The facts whose names begin with `prefix`, by name.
    async fn facts(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// Writes and forgets.
    async fn put_facts(&self, changes: Vec<FactChange>) -> Result<(), StoreError>;
}
