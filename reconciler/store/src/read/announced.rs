//! What the forge was not told yet.

use jiff::Timestamp;
use sqlx::SqliteConnection;
use stratum_core::run::RunSummary;

use crate::error::{Failure, from_json};

/// How many of the newest runs are looked through: what is older was announced or is too old.
const LOOKED_THROUGH: u32 = 2_000;

/// Runs that ended at or after `since` and were not announced, oldest first.
pub(crate) async fn unannounced(
    connection: &mut SqliteConnection,
    since: Timestamp,
    limit: u32,
) -> Result<Vec<RunSummary>, Failure> {
    let sql = "SELECT id, summary FROM \
               (SELECT key, id, summary FROM runs ORDER BY key DESC LIMIT ?) \
               WHERE NOT EXISTS (SELECT 1 FROM announced WHERE run = id) ORDER BY key";
    let rows: Vec<(String, String)> = sqlx::query_as(sql)
        .bind(LOOKED_THROUGH)
        .fetch_all(connection)
        .await?;
    let mut runs = Vec::new();
    for (id, text) in rows {
        let run: RunSummary = from_json(&text, || format!("run `{id}`"))?;
        if run.outcome.is_some() && run.ended_at.is_some_and(|ended| ended >= since) {
            runs.push(run);
        }
    }
    runs.truncate(limit as usize);
    Ok(runs)
}
