//! The queue.

use sqlx::SqliteConnection;
use stratum_core::ports::QueueEntry;

use crate::error::{Failure, from_json, unreadable};
use crate::time::from_nanoseconds;

/// All entries, oldest first.
pub(crate) async fn all(connection: &mut SqliteConnection) -> Result<Vec<QueueEntry>, Failure> {
    let sql = "SELECT environment, not_before, entry FROM queue ORDER BY not_before, rowid";
    let rows: Vec<(String, i64, String)> = sqlx::query_as(sql).fetch_all(connection).await?;
    rows.iter().map(entry).collect()
}

fn entry(row: &(String, i64, String)) -> Result<QueueEntry, Failure> {
    let (environment, not_before, text) = row;
    let what = || format!("the queue entry of `{environment}`");
    let mut entry: QueueEntry = from_json(text, what)?;
    entry.not_before = from_nanoseconds(*not_before).map_err(|error| unreadable(what(), error))?;
    Ok(entry)
}
