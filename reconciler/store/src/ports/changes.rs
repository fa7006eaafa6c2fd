//! The port of what other processes do.

use std::time::Duration;

use async_trait::async_trait;
use stratum_core::ports::{Changes, StoreError};

use crate::store::SqliteStore;

/// How often it is asked whether another process committed something: asking costs microseconds.
const EVERY: Duration = Duration::from_secs(1);

#[async_trait]
impl Changes for SqliteStore {
    async fn changed(&self) -> Result<(), StoreError> {
        while !self.others_committed().await? {
            tokio::time::sleep(EVERY).await;
        }
        Ok(())
    }
}

impl SqliteStore {
    /// Whether another process committed something since this was asked last.
    async fn others_committed(&self) -> Result<bool, StoreError> {
        match self.shared_writer() {
            Some(writer) => {
                let answer = writer.others_committed().await;
                self.ready(answer, "looking for what others wrote")
            }
            None => self.reader.was_touched(),
        }
    }
}
