//! What the forge was not told yet.

use jiff::Timestamp;
use sqlx::SqliteConnection;
use stratum_core::ports::ForgeTrouble;
use stratum_core::run::RunSummary;

use crate::error::{Failure, from_json};
use crate::schema;

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

/// What keeps the forge from being told, as it was noted last.
pub(crate) async fn trouble(
    connection: &mut SqliteConnection,
) -> Result<Option<ForgeTrouble>, Failure> {
    if !schema::has(connection, "forge_trouble").await? {
        return Ok(None);
    }
    let text: Option<String> = sqlx::query_scalar("SELECT trouble FROM forge_trouble")
        .fetch_optional(connection)
        .await?;
    text.map(|text| from_json(&text, || "the trouble with the forge".to_owned()))
        .transpose()
}
