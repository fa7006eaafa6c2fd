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

/// How the forge is reached.
pub(crate) struct Trouble {
    /// What keeps it from being told, as JSON; `None`: nothing.
    pub(crate) text: Option<String>,
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

/// Notes what keeps the forge from being told, in place of what was noted.
pub(crate) async fn trouble(
    connection: &mut SqliteConnection,
    trouble: &Trouble,
) -> Result<bool, Failure> {
    let Some(text) = &trouble.text else {
        sqlx::query("DELETE FROM forge_trouble")
            .execute(connection)
            .await?;
        return Ok(true);
    };
    sqlx::query("INSERT OR REPLACE INTO forge_trouble (id, trouble) VALUES (1, ?)")
        .bind(text)
        .execute(connection)
        .await?;
    Ok(true)
}
