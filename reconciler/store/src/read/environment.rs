//! Environments, their leases and their resources.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::SqliteConnection;
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::ports::{Base, EnvironmentRow, FRONT, Lease};

use crate::error::{Failure, from_json, unreadable};
use crate::lease::Held;
use crate::read::facts;
use crate::rest::{Read, Rest};
use crate::time::from_nanoseconds;

/// How much one row answers: rows are handed from one thread to another one by one, and that costs
/// more than reading what is in them. JSON has no line ends and no tabs of its own.
const TOGETHER: u32 = 500;

/// What is remembered of every environment, by name.
pub(crate) async fn environments(
    connection: &mut SqliteConnection,
) -> Result<Vec<EnvironmentRow>, Failure> {
    let sql = "SELECT group_concat(row, char(10)), max(name) FROM ( \
                 SELECT name, row FROM environments WHERE row IS NOT NULL AND name > ? \
                 ORDER BY name LIMIT ?)";
    let fronts = fronts(connection).await?;
    let (mut after, mut rows) = (String::new(), Vec::new());
    loop {
        let found: (Option<String>, Option<String>) = sqlx::query_as(sql)
            .bind(&after)
            .bind(TOGETHER)
            .fetch_one(&mut *connection)
            .await?;
        let (Some(lines), Some(last)) = found else {
            return Ok(rows);
        };
        for line in lines.lines() {
            let row = from_json(line, || format!("an environment up to `{last}`"))?;
            rows.push(at_front(row, &fronts));
        }
        after = last;
    }
}

/// What is remembered of one environment.
pub(crate) async fn environment(
    connection: &mut SqliteConnection,
    environment: &EnvironmentName,
) -> Result<Option<EnvironmentRow>, Failure> {
    let sql = "SELECT row FROM environments WHERE name = ? AND row IS NOT NULL";
    let row: Option<String> = sqlx::query_scalar(sql)
        .bind(environment.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let row: EnvironmentRow = from_json(&row, || format!("environment `{environment}`"))?;
    Ok(Some(match row.follows {
        Some(_) => at_front(row, &fronts(connection).await?),
        None => row,
    }))
}

/// The commits of the fronts, by branch.
async fn fronts(connection: &mut SqliteConnection) -> Result<BTreeMap<String, CommitId>, Failure> {
    let facts = facts::facts(connection, FRONT).await?;
    let front = |(name, value): (String, Vec<u8>)| {
        let branch = name.strip_prefix(FRONT)?.to_owned();
        Some((branch, CommitId::new(String::from_utf8(value).ok()?).ok()?))
    };
    Ok(facts.into_iter().filter_map(front).collect())
}

/// An environment that follows a front is where that is.
fn at_front(mut row: EnvironmentRow, fronts: &BTreeMap<String, CommitId>) -> EnvironmentRow {
    let branch = row.follows.as_ref();
    if let Some(commit) = branch.and_then(|branch| fronts.get(branch.as_str())) {
        row.revision = Some(commit.clone());
        row.desired_revision = Some(commit.clone());
    }
    row
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

/// The leases that are held, by environment, and when each was renewed.
pub(crate) async fn leases(
    connection: &mut SqliteConnection,
) -> Result<Vec<(Lease, Timestamp)>, Failure> {
    let sql = "SELECT environment, number, holder, renewed_at FROM leases \
               WHERE holder IS NOT NULL ORDER BY environment";
    let rows: Vec<(String, i64, String, i64)> = sqlx::query_as(sql).fetch_all(connection).await?;
    let read = |(environment, number, holder, renewed_at): (String, i64, String, i64)| {
        let what = format!("the lease of `{environment}`");
        let lease = Lease {
            environment: EnvironmentName::new(environment)
                .map_err(|error| unreadable(what.clone(), error))?,
            number: u64::try_from(number).map_err(|error| unreadable(what.clone(), error))?,
            holder,
        };
        let renewed_at = from_nanoseconds(renewed_at).map_err(|error| unreadable(what, error))?;
        Ok((lease, renewed_at))
    };
    rows.into_iter().map(read).collect()
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
    let mut base = Base {
        serial: serial(connection, environment).await?,
        ..Base::default()
    };
    let sql = "SELECT group_concat(line, char(10)), max(address) FROM ( \
                 SELECT a.address, a.address || char(9) || r.state AS line FROM addresses a \
                 JOIN resources r ON r.address = a.id \
                 WHERE a.address > ?1 AND a.address < ?2 ORDER BY a.address LIMIT ?3)";
    let (mut after, until) = addresses_of(environment);
    loop {
        let found: (Option<String>, Option<String>) = sqlx::query_as(sql)
            .bind(&after)
            .bind(&until)
            .bind(TOGETHER)
            .fetch_one(&mut *connection)
            .await?;
        let (Some(lines), Some(last)) = found else {
            return Ok(base);
        };
        for line in lines.lines() {
            let (address, state) = line.split_once('\t').unwrap_or((line, ""));
            let Read { value, sealed } = rest.read_state(address, state)?;
            base.sealed.extend(sealed.map(|_| value.address.clone()));
            base.resources.insert(value.address.clone(), value);
        }
        after = last;
    }
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

/// How many resources every environment has, in one look at all of them.
pub(crate) async fn all_counts(
    connection: &mut SqliteConnection,
) -> Result<BTreeMap<String, Counts>, Failure> {
    let mut found: BTreeMap<String, Counts> = BTreeMap::new();
    let number = |number: i64| usize::try_from(number).unwrap_or(0);
    let resources: Vec<(String, i64)> = sqlx::query_as("SELECT name, count FROM environments")
        .fetch_all(&mut *connection)
        .await?;
    for (name, count) in resources {
        found.entry(name).or_default().resources = number(count);
    }
    let sql = "SELECT substr(a.address, 1, instr(a.address, '/') - 1) AS name, COUNT(*) \
                 FROM resources r INDEXED BY resources_unknown \
                 JOIN addresses a ON a.id = r.address \
                 WHERE json_extract(r.state, '$.unknown') IS NOT NULL GROUP BY name";
    let unknown: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(&mut *connection).await?;
    for (name, count) in unknown {
        found.entry(name).or_default().unknown = number(count);
    }
    let sql = "SELECT substr(a.address, 1, instr(a.address, '/') - 1) AS name, COUNT(*) \
                 FROM observations o INDEXED BY observations_drifted \
                 JOIN sightings s ON s.address = o.address AND s.observation = o.id \
                 JOIN resources r ON r.address = o.address \
                 JOIN addresses a ON a.id = o.address \
                 WHERE json_array_length(o.seen, '$.drifted') > 0 GROUP BY name";
    let drifted: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(connection).await?;
    for (name, count) in drifted {
        found.entry(name).or_default().drifted = number(count);
    }
    Ok(found)
}

/// The range that holds the addresses of an environment: from `name/` up to the next character.
pub(crate) fn addresses_of(environment: &EnvironmentName) -> (String, String) {
    (format!("{environment}/"), format!("{environment}0"))
}
