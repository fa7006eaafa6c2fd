//! The port of announcements: which runs the forge was not told about yet.

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::ids::RunId;
use stratum_core::ports::{Announcements, StoreError};
use stratum_core::run::RunSummary;

use crate::store::SqliteStore;
use crate::time::to_nanoseconds;
use crate::write::Write;
use crate::write::announced::Announce;

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
}
