//! The port of small facts.

use async_trait::async_trait;
use stratum_core::ports::{FactChange, Facts, StoreError};

use crate::read;
use crate::store::{SqliteStore, look};
use crate::write::Write;
use crate::write::facts::Put;

#[async_trait]
impl Facts for SqliteStore {
    async fn facts(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        look!(self.reader, "reading facts", read::facts::facts, prefix)
    }

    async fn put_facts(&self, changes: Vec<FactChange>) -> Result<(), StoreError> {
        if !changes.is_empty() {
            self.write(Write::Facts(Put { changes })).await?;
        }
        Ok(())
    }
}
