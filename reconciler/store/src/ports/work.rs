//! The port of the queue.

use async_trait::async_trait;
use stratum_core::ports::{QueueEntry, StoreError, Work};

use crate::read;
use crate::store::{SqliteStore, look};
use crate::write::Write;
use crate::write::queue::{Ack, Push};

#[async_trait]
impl Work for SqliteStore {
    async fn push(&self, entry: &QueueEntry) -> Result<(), StoreError> {
        let push = self.ready(Push::new(entry), "writing the queue")?;
        self.write(Write::Push(push)).await?;
        Ok(())
    }

    async fn queue(&self) -> Result<Vec<QueueEntry>, StoreError> {
        look!(self.reader, "reading the queue", read::queue::all)
    }

    async fn ack(&self, entry: &QueueEntry) -> Result<(), StoreError> {
        self.write(Write::Ack(Ack::new(entry))).await?;
        Ok(())
    }
}
