//! The queue.

use sqlx::SqliteConnection;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::QueueEntry;

use crate::error::{Failure, to_json};
use crate::time::to_nanoseconds;

/// Put an entry into the queue.
pub(crate) struct Push {
    /// The environment.
    environment: EnvironmentName,
    /// The tree of its inputs.
    inputs: String,
    /// Not before this (nanoseconds).
    not_before: i64,
    /// The entry, as JSON.
    entry: String,
}

/// Take an entry out of the queue.
pub(crate) struct Ack {
    /// The environment.
    environment: EnvironmentName,
    /// The inputs it had.
    inputs: String,
}

impl Push {
    /// Takes the JSON form, in the task of the caller.
    pub(crate) fn new(entry: &QueueEntry) -> Result<Self, Failure> {
        Ok(Self {
            environment: entry.environment.clone(),
            inputs: entry.inputs.clone(),
            not_before: to_nanoseconds(entry.not_before),
            entry: to_json(entry)?,
        })
    }
}

impl Ack {
    /// For this entry.
    pub(crate) fn new(entry: &QueueEntry) -> Self {
        Self {
            environment: entry.environment.clone(),
            inputs: entry.inputs.clone(),
        }
    }
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
