//! Environments, their leases and their resources.

use sqlx::SqliteConnection;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Base, EnvironmentRow};

use crate::error::{Failure, from_json, unreadable};
use crate::lease::Held;
use crate::rest::{Read, Rest};
use crate::time::from_nanoseconds;

/// What is remembered of every environment, by name.
pub(crate) async fn environments(
    connection: &mut SqliteConnection,
) -> Result<Vec<EnvironmentRow>, Failure> {
    let sql = "SELECT name, row FROM environments WHERE row IS NOT NULL ORDER BY name";
    let rows: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(connection).await?;
    let read = |(name, row): &(String, String)| from_json(row, || format!("environment `{name}`"));
    rows.iter().map(read).collect()
}

/// The lease of an environment, if it ever had one.
pub(crate) async fn lease(
    connection: &mut SqliteConnection,
    environment: &EnvironmentName,
) -> Result<Option<Held>, Failure> {
    let sql = "SELECT number, holder, renewed_at FROM leases WHERE environment = ?";
    let row: Option<(i64, Option<String>, i64)> = sqlx::query_as(sql)
        .bind(environment.as_str())
        .fetch_optional(connection)
        .await?;
    let Some((number, holder, renewed_at)) = row else {
        return Ok(None);
    };
    let what = || format!("the lease of `{environment}`");
    Ok(Some(Held {
        number: u64::try_from(number).map_err(|error| unreadable(what(), error))?,
        holder,
        renewed_at: from_nanoseconds(renewed_at).map_err(|error| unreadable(what(), error))?,
    }))
}

/// The serial of an environment; 0 when it is new.
pub(crate) async fn serial(
    connection: &mut SqliteConnection,
    environment: &EnvironmentName,
) -> Result<u64, Failure> {
    let sql = "SELECT serial FROM environments WHERE name = ?";
    let serial: Option<i64> = sqlx::query_scalar(sql)
        .bind(environment.as_str())
        .fetch_optional(connection)
        .await?;
    u64::try_from(serial.unwrap_or(0))
        .map_err(|error| unreadable(format!("environment `{environment}`"), error))
}

/// The serial and the resources of an environment.
pub(crate) async fn base(
    connection: &mut SqliteConnection,
    environment: &EnvironmentName,
    rest: &Rest,
) -> Result<Base, Failure> {
    let serial = serial(connection, environment).await?;
    let sql = "SELECT a.address, r.state FROM addresses a \
               JOIN resources r ON r.address = a.id \
               WHERE a.address >= ?1 AND a.address < ?2";
    let (from, until) = addresses_of(environment);
    let rows: Vec<(String, String)> = sqlx::query_as(sql)
        .bind(from)
        .bind(until)
        .fetch_all(connection)
        .await?;
    let mut base = Base {
        serial,
        ..Base::default()
    };
    for (address, state) in &rows {
        let Read { value, sealed } = rest.read_state(address, state)?;
        base.sealed.extend(sealed.map(|_| value.address.clone()));
        base.resources.insert(value.address.clone(), value);
    }
    Ok(base)
}

/// How many resources an environment has, without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Resources in the state.
    pub resources: usize,
    /// Those that differed from what was applied when they were last looked at.
    pub drifted: usize,
    /// Those of which nobody knows what became of them.
    pub unknown: usize,
}

/// How many resources an environment has.
pub(crate) async fn counts(
    connection: &mut SqliteConnection,
    environment: &EnvironmentName,
) -> Result<Counts, Failure> {
    let sql = "SELECT \
                 COALESCE((SELECT count FROM environments WHERE name = ?3), 0), \
                 (SELECT COUNT(*) FROM resources r INDEXED BY resources_unknown \
                   JOIN addresses a ON a.id = r.address \
                   WHERE json_extract(r.state, '$.unknown') IS NOT NULL \
                     AND a.address >= ?1 AND a.address < ?2), \
                 (SELECT COUNT(*) FROM observations o INDEXED BY observations_drifted \
                   JOIN sightings s ON s.address = o.address AND s.observation = o.id \
                   JOIN resources r ON r.address = o.address \
                   JOIN addresses a ON a.id = o.address \
                   WHERE json_array_length(o.seen, '$.drifted') > 0 \
                     AND a.address >= ?1 AND a.address < ?2)";
    let (from, until) = addresses_of(environment);
    let (resources, unknown, drifted): (i64, i64, i64) = sqlx::query_as(sql)
        .bind(from)
        .bind(until)
        .bind(environment.as_str())
        .fetch_one(connection)
        .await?;
    let count = |number: i64| usize::try_from(number).unwrap_or(0);
    Ok(Counts {
        resources: count(resources),
        drifted: count(drifted),
        unknown: count(unknown),
    })
}

/// The range that holds the addresses of an environment: from `name/` up to the next character.
pub(crate) fn addresses_of(environment: &EnvironmentName) -> (String, String) {
    (format!("{environment}/"), format!("{environment}0"))
}
