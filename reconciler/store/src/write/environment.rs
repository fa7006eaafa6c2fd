//! What is remembered of an environment.

use sqlx::SqliteConnection;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::Lease;

use crate::error::Failure;
use crate::write::lease::fence;

/// Write what is remembered of an environment.
pub(crate) struct Put {
    /// Who asks.
    pub(crate) lease: Lease,
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// Its row, as JSON.
    pub(crate) row: String,
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
