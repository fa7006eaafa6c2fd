//! Small facts by name.

use sqlx::SqliteConnection;
use stratum_core::ports::FactChange;

use crate::error::Failure;

/// Write and forget facts.
pub(crate) struct Put {
    /// Name and value; `None` forgets.
    pub(crate) changes: Vec<FactChange>,
}

/// Writes them all.
pub(crate) async fn put(connection: &mut SqliteConnection, put: &Put) -> Result<bool, Failure> {
    for (name, value) in &put.changes {
        match value {
            Some(value) => {
                sqlx::query("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)")
                    .bind(name)
                    .bind(value)
                    .execute(&mut *connection)
                    .await?
            }
            None => {
                sqlx::query("DELETE FROM facts WHERE name = ?")
                    .bind(name)
                    .execute(&mut *connection)
                    .await?
            }
        };
    }
    Ok(true)
}
