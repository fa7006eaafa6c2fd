//! Secrets that were made here.

use sqlx::SqliteConnection;
use stratum_core::digest::Digest;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::MadeSecret;

use crate::error::{Failure, unreadable};
use crate::schema;

/// A row: path, key, version, digest, key of the state, wrapped bytes.
type Row = (String, String, i64, String, String, Vec<u8>);

/// The secrets of a path, by key and version.
pub(crate) async fn of_path(
    connection: &mut SqliteConnection,
    environment: &EnvironmentName,
    path: &str,
) -> Result<Vec<MadeSecret>, Failure> {
    if !schema::has(connection, "made_secrets").await? {
        return Ok(Vec::new());
    }
    let sql = "SELECT path, key, version, digest, wrapped_by, wrapped FROM made_secrets \
               WHERE environment = ? AND path = ? ORDER BY key, version";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(environment.as_str())
        .bind(path)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(read).collect()
}

/// The secret with this digest.
pub(crate) async fn one(
    connection: &mut SqliteConnection,
    environment: &EnvironmentName,
    digest: &Digest,
) -> Result<Option<MadeSecret>, Failure> {
    if !schema::has(connection, "made_secrets").await? {
        return Ok(None);
    }
    let sql = "SELECT path, key, version, digest, wrapped_by, wrapped FROM made_secrets \
               WHERE environment = ? AND digest = ? LIMIT 1";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(environment.as_str())
        .bind(digest.to_string())
        .fetch_optional(connection)
        .await?;
    row.map(read).transpose()
}

/// A secret that is not wrapped under the key in use: its row, its environment, and itself.
pub(crate) type Stale = (i64, EnvironmentName, MadeSecret);

/// The secrets that are not wrapped under `key`.
pub(crate) async fn stale(
    connection: &mut SqliteConnection,
    key: &str,
) -> Result<Vec<Stale>, Failure> {
    type Whole = (i64, String, String, String, i64, String, String, Vec<u8>);
    let sql = "SELECT id, environment, path, key, version, digest, wrapped_by, wrapped \
               FROM made_secrets WHERE wrapped_by <> ? ORDER BY id";
    let rows: Vec<Whole> = sqlx::query_as(sql).bind(key).fetch_all(connection).await?;
    let read = |(id, environment, path, key, version, digest, wrapped_by, wrapped): Whole| {
        let place = EnvironmentName::new(environment)
            .map_err(|error| unreadable(format!("the secret `{path}#{key}`"), error))?;
        let secret = read((path, key, version, digest, wrapped_by, wrapped))?;
        Ok((id, place, secret))
    };
    rows.into_iter().map(read).collect()
}

fn read((path, key, version, digest, wrapped_by, wrapped): Row) -> Result<MadeSecret, Failure> {
    let what = || format!("the secret `{path}#{key}`");
    let version = u64::try_from(version).map_err(|error| unreadable(what(), error))?;
    let digest = Digest::try_from(digest).map_err(|error| unreadable(what(), error))?;
    Ok(MadeSecret {
        path,
        key,
        version,
        digest,
        wrapped_by,
        wrapped,
    })
}
