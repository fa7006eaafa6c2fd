//! Secrets that were made here.

use sqlx::SqliteConnection;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::MadeSecret;

use crate::error::Failure;
use crate::write::lease::stored;

/// Keep secrets.
pub(crate) struct Made {
    pub(crate) environment: EnvironmentName,
    pub(crate) secrets: Vec<MadeSecret>,
}

/// Forget those of a path, but for some versions.
pub(crate) struct Forget {
    pub(crate) environment: EnvironmentName,
    pub(crate) path: String,
    pub(crate) versions: Vec<u64>,
}

/// Put one back that was wrapped again, unless it changed meanwhile.
pub(crate) struct Rewrapped {
    pub(crate) id: i64,
    pub(crate) before: Vec<u8>,
    pub(crate) after: Vec<u8>,
    pub(crate) wrapped_by: String,
}

/// Keeps what is not kept yet: the first of a place and version stays.
pub(crate) async fn keep(connection: &mut SqliteConnection, made: &Made) -> Result<bool, Failure> {
    let sql = "INSERT INTO made_secrets \
               (environment, path, key, version, digest, wrapped_by, wrapped) \
               VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    for secret in &made.secrets {
        sqlx::query(sql)
            .bind(made.environment.as_str())
            .bind(&secret.path)
            .bind(&secret.key)
            .bind(stored(secret.version))
            .bind(secret.digest.to_string())
            .bind(&secret.wrapped_by)
            .bind(&secret.wrapped)
            .execute(&mut *connection)
            .await?;
    }
    Ok(true)
}

/// Forgets what is not of these versions; what stood there is overwritten in the file.
pub(crate) async fn forget(
    connection: &mut SqliteConnection,
    forget: &Forget,
) -> Result<bool, Failure> {
    let versions: Vec<i64> = forget.versions.iter().copied().map(stored).collect();
    let versions = serde_json::to_string(&versions).map_err(Failure::Value)?;
    let sql = "DELETE FROM made_secrets WHERE environment = ? AND path = ? \
               AND version NOT IN (SELECT value FROM json_each(?))";
    sqlx::query(sql)
        .bind(forget.environment.as_str())
        .bind(&forget.path)
        .bind(versions)
        .execute(connection)
        .await?;
    Ok(true)
}

/// Puts one back.
pub(crate) async fn rewrapped(
    connection: &mut SqliteConnection,
    row: &Rewrapped,
) -> Result<bool, Failure> {
    let sql = "UPDATE made_secrets SET wrapped = ?, wrapped_by = ? WHERE id = ? AND wrapped = ?";
    sqlx::query(sql)
        .bind(&row.after)
        .bind(&row.wrapped_by)
        .bind(row.id)
        .bind(&row.before)
        .execute(connection)
        .await?;
    Ok(true)
}
