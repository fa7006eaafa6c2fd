//! What is remembered of an environment.

use sqlx::SqliteConnection;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{EnvironmentRow, Lease};

use crate::error::{Failure, to_json};
use crate::write::lease::fence;

/// Write what is remembered of an environment.
pub(crate) struct Put {
    /// Who asks.
    lease: Lease,
    /// The environment.
    environment: EnvironmentName,
    /// Its row, as JSON.
    row: String,
}

impl Put {
    /// Takes the JSON form, in the task of the caller.
    pub(crate) fn new(lease: &Lease, row: &EnvironmentRow) -> Result<Self, Failure> {
        Ok(Self {
            lease: lease.clone(),
            environment: row.name.clone(),
            row: to_json(row)?,
        })
    }
}

/// Writes the row; its serial stays.
pub(crate) async fn put(connection: &mut SqliteConnection, put: &Put) -> Result<bool, Failure> {
    fence(connection, &put.lease, &put.environment).await?;
    let sql = "INSERT INTO environments (name, row) VALUES (?, ?) \
               ON CONFLICT (name) DO UPDATE SET row = excluded.row";
    sqlx::query(sql)
        .bind(put.environment.as_str())
        .bind(&put.row)
        .execute(connection)
        .await?;
    Ok(true)
}
