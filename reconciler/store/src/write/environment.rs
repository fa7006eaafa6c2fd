//! What is remembered of an environment.

use sqlx::SqliteConnection;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::Lease;

use crate::error::Failure;
use crate::write::fronts;
use crate::write::lease::fence;

/// Write what is remembered of an environment.
pub(crate) struct Put {
    /// Who asks.
    pub(crate) lease: Lease,
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// Its row, as JSON.
    pub(crate) row: String,
    /// The front it follows and where that must stand, with the row as it is otherwise.
    pub(crate) following: Option<Following>,
}

/// What a row says that follows a front.
pub(crate) struct Following {
    /// The branch.
    pub(crate) branch: String,
    /// The commit that the front must be at.
    pub(crate) commit: String,
    /// The row where it is elsewhere.
    pub(crate) otherwise: String,
}

/// Writes the row; its serial stays.
pub(crate) async fn put(connection: &mut SqliteConnection, put: &Put) -> Result<bool, Failure> {
    fence(connection, &put.lease, &put.environment).await?;
    let mut row = &put.row;
    if let Some(following) = &put.following {
        let front = fronts::front(connection, &following.branch).await?;
        if front.as_deref() != Some(following.commit.as_bytes()) {
            row = &following.otherwise;
        }
    }
    let sql = "INSERT INTO environments (name, row) VALUES (?, ?) \
               ON CONFLICT (name) DO UPDATE SET row = excluded.row";
    sqlx::query(sql)
        .bind(put.environment.as_str())
        .bind(row)
        .execute(connection)
        .await?;
    Ok(true)
}
