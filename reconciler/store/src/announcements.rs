//! The port of announcements: which runs the forge was not told about yet.

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::ids::RunId;
use stratum_core::ports::{Announcements, ForgeTrouble, StoreError};
use stratum_core::run::RunSummary;

use crate::error::to_json;
use crate::store::SqliteStore;
use crate::time::to_nanoseconds;
use crate::write::Write;
use crate::write::announced::{Announce, Trouble};

#[async_trait]
impl Announcements for SqliteStore {
    async fn unannounced(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<RunSummary>, StoreError> {
        self.unannounced_runs(since, limit).await
    }

    async fn announced(&self, run: &RunId, at: Timestamp) -> Result<(), StoreError> {
        let (run, at) = (run.to_string(), to_nanoseconds(at));
        self.write(Write::Announce(Announce { run, at })).await?;
        Ok(())
    }

    async fn trouble(&self) -> Result<Option<ForgeTrouble>, StoreError> {
        self.forge_trouble().await
    }

    async fn note_trouble(&self, trouble: Option<&ForgeTrouble>) -> Result<(), StoreError> {
        let text = trouble.map(to_json).transpose();
        let text = self.ready(text, "noting how the forge is reached")?;
        self.write(Write::Trouble(Trouble { text })).await?;
        Ok(())
    }
}
