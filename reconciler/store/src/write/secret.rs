//! Sealed values, the keys that wrap, and rows that are wrapped again.

use sqlx::SqliteConnection;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{KeptSecret, KeyRow, SecretKey};

use crate::error::Failure;
use crate::rest::Table;
use crate::time::to_nanoseconds;
use crate::write::lease::stored;
use crate::write::mark;

/// How many sealed values of one key are kept, the newest first.
const KEPT: u32 = 20;

/// Keep sealed values.
pub(crate) struct Secrets {
    pub(crate) environment: EnvironmentName,
    pub(crate) secrets: Vec<KeptSecret>,
}

/// Say which versions are in force.
pub(crate) struct InForce {
    pub(crate) environment: EnvironmentName,
    pub(crate) versions: Vec<(SecretKey, u64)>,
}

/// Write keys.
pub(crate) struct Keys {
    pub(crate) keys: Vec<KeyRow>,
}

/// Put rows back that were wrapped again, unless they changed meanwhile.
pub(crate) struct Again {
    pub(crate) table: Table,
    /// The key.
    pub(crate) key: String,
    /// Where the mark of the table was seen.
    pub(crate) from: Option<i64>,
    pub(crate) rows: Vec<AgainRow>,
}

/// A row: its id, what stood there, and what stands there now.
pub(crate) struct AgainRow {
    pub(crate) id: i64,
    pub(crate) before: Vec<u8>,
    pub(crate) after: Vec<u8>,
}

/// Keeps what is not kept yet.
pub(crate) async fn keep(
    connection: &mut SqliteConnection,
    secrets: &Secrets,
) -> Result<bool, Failure> {
    let sql = "INSERT INTO secrets (environment, path, key, version, digest, age) \
               VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    for secret in &secrets.secrets {
        sqlx::query(sql)
            .bind(secrets.environment.as_str())
            .bind(&secret.path)
            .bind(&secret.key)
            .bind(stored(secret.version))
            .bind(secret.digest.to_string())
            .bind(&secret.age)
            .execute(&mut *connection)
            .await?;
    }
    Ok(true)
}

/// Raises the marks, and drops sealed values that are too old to be opened again.
pub(crate) async fn in_force(
    connection: &mut SqliteConnection,
    versions: &InForce,
) -> Result<bool, Failure> {
    let raise = "INSERT INTO secret_versions (environment, path, key, highest) \
                 VALUES (?, ?, ?, ?) ON CONFLICT (environment, path, key) \
                 DO UPDATE SET highest = max(highest, excluded.highest)";
    let drop = "DELETE FROM secrets WHERE id IN ( \
                  SELECT id FROM secrets WHERE environment = ? AND path = ? AND key = ? \
                  ORDER BY version DESC, id DESC LIMIT -1 OFFSET ?)";
    for ((path, key), version) in &versions.versions {
        let environment = versions.environment.as_str();
        sqlx::query(raise)
            .bind(environment)
            .bind(path)
            .bind(key)
            .bind(stored(*version))
            .execute(&mut *connection)
            .await?;
        sqlx::query(drop)
            .bind(environment)
            .bind(path)
            .bind(key)
            .bind(KEPT)
            .execute(&mut *connection)
            .await?;
    }
    Ok(true)
}

/// Writes keys; the last one that is in use is the only one.
pub(crate) async fn keys(connection: &mut SqliteConnection, keys: &Keys) -> Result<bool, Failure> {
    for key in &keys.keys {
        if key.in_use {
            sqlx::query("UPDATE keys SET in_use = 0")
                .execute(&mut *connection)
                .await?;
        }
        let sql = "INSERT INTO keys (id, made_at, in_use, sealed) VALUES (?, ?, ?, ?) \
                   ON CONFLICT (id) DO UPDATE SET in_use = excluded.in_use, \
                   sealed = excluded.sealed";
        sqlx::query(sql)
            .bind(&key.id)
            .bind(to_nanoseconds(key.made_at))
            .bind(key.in_use)
            .bind(&key.sealed)
            .execute(&mut *connection)
            .await?;
    }
    Ok(true)
}

/// Puts rows back; what stood there is overwritten in the file.
pub(crate) async fn again(
    connection: &mut SqliteConnection,
    again: &Again,
) -> Result<bool, Failure> {
    let sql = match again.table {
        Table::Resources => {
            "UPDATE resources SET state = CAST(?3 AS TEXT) \
             WHERE address = ?1 AND CAST(state AS BLOB) = ?2"
        }
        Table::Events => {
            "UPDATE events SET event = CAST(?3 AS TEXT) \
             WHERE id = ?1 AND CAST(event AS BLOB) = ?2"
        }
        Table::Observations => {
            "UPDATE observations SET seen = CAST(?3 AS TEXT) \
             WHERE id = ?1 AND CAST(seen AS BLOB) = ?2"
        }
        Table::Plans => "UPDATE plans SET body = ?3, wrapped_by = ?4 WHERE run = ?1 AND body = ?2",
    };
    for row in &again.rows {
        sqlx::query(sql)
            .bind(row.id)
            .bind(&row.before)
            .bind(&row.after)
            .bind(&again.key)
            .execute(&mut *connection)
            .await?;
    }
    mark::advance(connection, again.table, &again.key, again.from).await?;
    Ok(true)
}
