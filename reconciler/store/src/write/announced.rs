//! What the forge was told.

use sqlx::SqliteConnection;

use crate::error::Failure;

/// A run was announced.
pub(crate) struct Announce {
    /// The run.
    pub(crate) run: String,
    /// When (nanoseconds).
    pub(crate) at: i64,
}

/// What was announced this long ago (nanoseconds) is not asked for again.
const FORGOTTEN_AFTER: i64 = 30 * 24 * 3600 * 1_000_000_000;

/// Remembers it, and forgets what is long past.
pub(crate) async fn announce(
    connection: &mut SqliteConnection,
    announce: &Announce,
) -> Result<bool, Failure> {
    sqlx::query("INSERT INTO announced (run, at) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .bind(&announce.run)
        .bind(announce.at)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM announced WHERE at < ?")
        .bind(announce.at.saturating_sub(FORGOTTEN_AFTER))
        .execute(connection)
        .await?;
    Ok(true)
}
