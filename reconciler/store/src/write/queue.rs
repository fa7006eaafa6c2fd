//! The queue.

use sqlx::SqliteConnection;
use stratum_core::ids::EnvironmentName;

use crate::error::Failure;

/// Put an entry into the queue.
pub(crate) struct Push {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// The tree of its inputs.
    pub(crate) inputs: String,
    /// Not before this (nanoseconds).
    pub(crate) not_before: i64,
    /// The entry, as JSON.
    pub(crate) entry: String,
}

/// Take an entry out of the queue.
pub(crate) struct Ack {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// The inputs it had.
    pub(crate) inputs: String,
}

/// Replaces the entry of the environment; the same inputs keep the earlier time.
pub(crate) async fn push(connection: &mut SqliteConnection, push: &Push) -> Result<bool, Failure> {
    let sql = "INSERT INTO queue (environment, inputs, not_before, entry) VALUES (?, ?, ?, ?) \
               ON CONFLICT (environment) DO UPDATE SET \
               not_before = iif(inputs = excluded.inputs, \
                                min(not_before, excluded.not_before), excluded.not_before), \
               inputs = excluded.inputs, entry = excluded.entry";
    sqlx::query(sql)
        .bind(push.environment.as_str())
        .bind(&push.inputs)
        .bind(push.not_before)
        .bind(&push.entry)
        .execute(connection)
        .await?;
    Ok(true)
}

/// Takes the entry out, if it still has these inputs.
pub(crate) async fn ack(connection: &mut SqliteConnection, ack: &Ack) -> Result<bool, Failure> {
    sqlx::query("DELETE FROM queue WHERE environment = ? AND inputs = ?")
        .bind(ack.environment.as_str())
        .bind(&ack.inputs)
        .execute(connection)
        .await?;
    Ok(true)
}
