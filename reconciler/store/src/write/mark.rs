//! Up to which row a table is wrapped.
//!
//! INVARIANT: where the mark of a table stands at n under key k, every row up to n is wrapped under
//! k or holds nothing that is wrapped. Who writes a row otherwise puts the mark down in the same
//! transaction ([`lower`]); who wraps rows again moves it on ([`advance`]).

use sqlx::SqliteConnection;

use crate::error::Failure;
use crate::read;
use crate::rest::Table;

/// The whole table, and what is added to it under the key of the mark.
pub(crate) const ALL: i64 = i64::MAX;

/// A row of a table with this id, or one after it, was written under `key`, or under none.
pub(crate) async fn lower(
    connection: &mut SqliteConnection,
    table: Table,
    id: i64,
    key: Option<&str>,
) -> Result<(), Failure> {
    let sql = "UPDATE wrapped SET up_to = ?2 WHERE part = ?1 AND up_to > ?2 AND key IS NOT ?3";
    sqlx::query(sql)
        .bind(table.name())
        .bind(id.saturating_sub(1))
        .bind(key)
        .execute(connection)
        .await?;
    Ok(())
}

/// Moves the mark on to the first row after `from` that is not wrapped under `key`, if it still
/// stands where it was seen (`None`: it was not there, or of another key).
pub(crate) async fn advance(
    connection: &mut SqliteConnection,
    table: Table,
    key: &str,
    from: Option<i64>,
) -> Result<(), Failure> {
    if read::secret::mark(connection, table, key).await? != from {
        return Ok(());
    }
    let stale = read::secret::stale(connection, table, key, from.unwrap_or(-1), 1).await?;
    let up_to = stale.first().map_or(ALL, |row| row.0.saturating_sub(1));
    let sql = "INSERT INTO wrapped (part, key, up_to) VALUES (?, ?, ?) \
               ON CONFLICT (part) DO UPDATE SET key = excluded.key, up_to = excluded.up_to";
    sqlx::query(sql)
        .bind(table.name())
        .bind(key)
        .bind(up_to)
        .execute(connection)
        .await?;
    Ok(())
}
