//! Moving the front of a branch.

use sqlx::SqliteConnection;
use stratum_core::ports::{Advance, FRONT};

use crate::error::Failure;

/// Where the front of a branch stands.
pub(crate) async fn front(
    connection: &mut SqliteConnection,
    branch: &str,
) -> Result<Option<Vec<u8>>, Failure> {
    let sql = "SELECT value FROM facts WHERE name = ?";
    let value = sqlx::query_scalar(sql).bind(format!("{FRONT}{branch}"));
    Ok(value.fetch_optional(connection).await?)
}

/// Moves it, if it stands where it is said to and those follow it that are known to.
pub(crate) async fn advance(
    connection: &mut SqliteConnection,
    advance: &Advance,
) -> Result<bool, Failure> {
    let branch = advance.branch.as_str();
    let stands = front(connection, branch).await?;
    let from = advance.from.as_ref().map(|from| from.as_str().as_bytes());
    if stands.as_deref() != from {
        return Ok(false);
    }
    let sql = "SELECT count(*) FROM environments WHERE json_extract(row, '$.follows') = ?";
    let followers: i64 = sqlx::query_scalar(sql)
        .bind(branch)
        .fetch_one(&mut *connection)
        .await?;
    if usize::try_from(followers) != Ok(advance.followers) {
        return Ok(false);
    }
    let sql = "UPDATE environments SET row = json_set(json_remove(row, '$.follows'), \
                 '$.revision', ?3, '$.desired_revision', ?3) \
               WHERE name = ?1 AND json_extract(row, '$.follows') = ?2";
    for environment in &advance.touched {
        sqlx::query(sql)
            .bind(environment.as_str())
            .bind(branch)
            .bind(advance.from.as_ref().map(|from| from.as_str()))
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)")
        .bind(format!("{FRONT}{branch}"))
        .bind(advance.to.as_str().as_bytes())
        .execute(connection)
        .await?;
    Ok(true)
}
