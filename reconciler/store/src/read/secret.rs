//! Sealed values, the keys that wrap, and rows that are not wrapped under the key in use.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;
use stratum_core::digest::Digest;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{KeptSecret, KeyRow, SecretKey};

use crate::error::{Failure, unreadable};
use crate::rest::Table;
use crate::schema;
use crate::time::from_nanoseconds;

/// The highest version of each value that was ever in force.
pub(crate) async fn highest(
    connection: &mut SqliteConnection,
    environment: &EnvironmentName,
) -> Result<BTreeMap<SecretKey, u64>, Failure> {
    if !schema::has(connection, "secret_versions").await? {
        return Ok(BTreeMap::new());
    }
    let sql = "SELECT path, key, highest FROM secret_versions WHERE environment = ?";
    let rows: Vec<(String, String, i64)> = sqlx::query_as(sql)
        .bind(environment.as_str())
        .fetch_all(connection)
        .await?;
    let marks = rows.into_iter().map(|(path, key, highest)| {
        let highest = whole(highest, || format!("the version of `{path}#{key}`"))?;
        Ok(((path, key), highest))
    });
    marks.collect()
}

/// One kept sealed value.
pub(crate) async fn kept(
    connection: &mut SqliteConnection,
    environment: &EnvironmentName,
    digest: &Digest,
) -> Result<Option<KeptSecret>, Failure> {
    if !schema::has(connection, "secrets").await? {
        return Ok(None);
    }
    let sql = "SELECT path, key, version, age FROM secrets \
               WHERE environment = ? AND digest = ? LIMIT 1";
    let row: Option<(String, String, i64, Vec<u8>)> = sqlx::query_as(sql)
        .bind(environment.as_str())
        .bind(digest.to_string())
        .fetch_optional(connection)
        .await?;
    let Some((path, key, version, age)) = row else {
        return Ok(None);
    };
    let version = whole(version, || format!("the version of `{path}#{key}`"))?;
    Ok(Some(KeptSecret {
        path,
        key,
        version,
        digest: *digest,
        age,
    }))
}

fn whole(number: i64, what: impl FnOnce() -> String) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|error| unreadable(what(), error))
}

/// The keys, oldest first.
pub(crate) async fn keys(connection: &mut SqliteConnection) -> Result<Vec<KeyRow>, Failure> {
    let sql = "SELECT id, made_at, in_use, sealed FROM keys ORDER BY made_at, id";
    let rows: Vec<(String, i64, bool, Vec<u8>)> = sqlx::query_as(sql).fetch_all(connection).await?;
    let read = |(id, made_at, in_use, sealed): (String, i64, bool, Vec<u8>)| {
        let made_at = from_nanoseconds(made_at);
        let made_at = made_at.map_err(|error| unreadable(format!("the key `{id}`"), error))?;
        Ok(KeyRow {
            id,
            sealed,
            made_at,
            in_use,
        })
    };
    rows.into_iter().map(read).collect()
}

/// Up to which row a table is wrapped under `key`; `None` when that was never begun.
pub(crate) async fn mark(
    connection: &mut SqliteConnection,
    table: Table,
    key: &str,
) -> Result<Option<i64>, Failure> {
    let sql = "SELECT up_to FROM wrapped WHERE part = ? AND key = ?";
    Ok(sqlx::query_scalar(sql)
        .bind(table.name())
        .bind(key)
        .fetch_optional(connection)
        .await?)
}

/// A row that is not wrapped under the key in use: its id, what it is bound to, and its bytes.
pub(crate) type Stale = (i64, String, Vec<u8>);

/// Rows of a table that are not wrapped under `key`, after the row `after`, at most `limit`.
pub(crate) async fn stale(
    connection: &mut SqliteConnection,
    table: Table,
    key: &str,
    after: i64,
    limit: u32,
) -> Result<Vec<Stale>, Failure> {
    let mark = format!("\"key\":\"{key}\"");
    let sql = match table {
        Table::Resources => {
            "SELECT r.address, a.address, CAST(r.state AS BLOB) FROM resources r \
             JOIN addresses a ON a.id = r.address \
             WHERE r.address > ?1 AND instr(r.state, ?2) = 0 ORDER BY r.address LIMIT ?3"
        }
        Table::Events => {
            "SELECT e.id, r.id, CAST(e.event AS BLOB) FROM events e \
             JOIN runs r ON r.key = e.id / 4294967296 \
             WHERE e.id > ?1 AND instr(e.event, '\"event\":\"begun\"') > 0 \
               AND instr(e.event, ?2) = 0 ORDER BY e.id LIMIT ?3"
        }
        Table::Observations => {
            "SELECT o.id, a.address, CAST(o.seen AS BLOB) FROM observations o \
             JOIN addresses a ON a.id = o.address \
             WHERE o.id > ?1 AND instr(o.seen, ?2) = 0 ORDER BY o.id LIMIT ?3"
        }
        Table::Plans => {
            "SELECT p.run, r.id, p.body FROM plans p JOIN runs r ON r.key = p.run \
             WHERE p.run > ?1 AND p.wrapped_by IS NOT ?4 ORDER BY p.run LIMIT ?3"
        }
    };
    Ok(sqlx::query_as(sql)
        .bind(after)
        .bind(mark)
        .bind(limit)
        .bind(key)
        .fetch_all(connection)
        .await?)
}
