//! Kept evaluations.

use sqlx::SqliteConnection;

use crate::error::Failure;

/// The value kept under `key`.
pub(crate) async fn evaluation(
    connection: &mut SqliteConnection,
    key: &str,
) -> Result<Option<Vec<u8>>, Failure> {
    let sql = "SELECT value FROM evaluations WHERE key = ?";
    let value = sqlx::query_scalar(sql).bind(key);
    Ok(value.fetch_optional(connection).await?)
}
