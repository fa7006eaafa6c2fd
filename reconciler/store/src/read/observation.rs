//! Observations.

use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;
use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::observed::Report;
use stratum_core::ports::Observation;

use crate::error::{Failure, unreadable};
use crate::read::environment::addresses_of;
use crate::rest::Rest;
use crate::time::from_nanoseconds;

/// What makes two observations of one address differ.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The attributes that differ from what was applied.
    pub(crate) drifted: Vec<String>,
    /// What the provider reported.
    pub(crate) report: Report,
}

/// The newest observation of every resource of an environment, by address.
pub(crate) async fn observed(
    connection: &mut SqliteConnection,
    environment: &EnvironmentName,
    rest: &Rest,
) -> Result<Vec<Observation>, Failure> {
    let sql = "SELECT a.address, s.at, o.seen FROM addresses a \
               JOIN sightings s ON s.address = a.id \
               JOIN observations o ON o.id = s.observation \
               WHERE a.address >= ?1 AND a.address < ?2 ORDER BY a.address";
    newest(connection, sql, environment, rest).await
}

/// Those of [`observed`] that differed from what was applied; it costs what they are.
pub(crate) async fn drifted(
    connection: &mut SqliteConnection,
    environment: &EnvironmentName,
    rest: &Rest,
) -> Result<Vec<Observation>, Failure> {
    let sql = "SELECT a.address, s.at, o.seen \
               FROM observations o INDEXED BY observations_drifted \
               JOIN sightings s ON s.address = o.address AND s.observation = o.id \
               JOIN addresses a ON a.id = o.address \
               WHERE json_array_length(o.seen, '$.drifted') > 0 \
                 AND a.address >= ?1 AND a.address < ?2 ORDER BY a.address";
    newest(connection, sql, environment, rest).await
}

async fn newest(
    connection: &mut SqliteConnection,
    sql: &'static str,
    environment: &EnvironmentName,
    rest: &Rest,
) -> Result<Vec<Observation>, Failure> {
    let (from, until) = addresses_of(environment);
    let rows: Vec<(String, i64, String)> = sqlx::query_as(sql)
        .bind(from)
        .bind(until)
        .fetch_all(connection)
        .await?;
    let read = |(address, at, seen): &(String, i64, String)| observation(address, *at, seen, rest);
    rows.iter().map(read).collect()
}

/// The kept observations of one address, newest first: the newest look, and before it every look
/// that differed from the one before.
pub(crate) async fn observations(
    connection: &mut SqliteConnection,
    address: &Address,
    limit: u32,
    rest: &Rest,
) -> Result<Vec<Observation>, Failure> {
    let sql = "SELECT at, seen FROM ( \
                 SELECT o.id, 1 AS newest, s.at AS at, o.seen FROM addresses a \
                 JOIN sightings s ON s.address = a.id \
                 JOIN observations o ON o.id = s.observation \
                 WHERE a.address = ?1 AND s.at <> o.at \
                 UNION ALL \
                 SELECT o.id, 0, o.at, o.seen FROM addresses a \
                 JOIN observations o ON o.address = a.id WHERE a.address = ?1 \
               ) ORDER BY id DESC, newest DESC LIMIT ?2";
    let text = address.to_string();
    let rows: Vec<(i64, String)> = sqlx::query_as(sql)
        .bind(&text)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    let read = |(at, seen): &(i64, String)| observation(&text, *at, seen, rest);
    rows.iter().map(read).collect()
}

fn observation(address: &str, at: i64, seen: &str, rest: &Rest) -> Result<Observation, Failure> {
    let what = || format!("an observation of `{address}`");
    let seen: Seen = rest.read_seen(address, seen, what)?.value;
    Ok(Observation {
        address: address.parse().map_err(|error| unreadable(what(), error))?,
        at: from_nanoseconds(at).map_err(|error| unreadable(what(), error))?,
        drifted: seen.drifted,
        report: seen.report,
    })
}
