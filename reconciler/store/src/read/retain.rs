//! What is old, and what else is asked before something is dropped.

use jiff::Timestamp;
use sqlx::SqliteConnection;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Keep, PartSize};
use stratum_core::retention::days_before;

use crate::error::Failure;
use crate::read::environment::addresses_of;
use crate::time::{from_nanoseconds, to_nanoseconds};
use crate::write::retain::Forget;

/// So many plans with their events are kept, of all environments together.
pub(crate) const MOST_JOURNALS: i64 = 20_000;
/// So many runs are in the history, of all environments together.
pub(crate) const MOST_RUNS: i64 = 200_000;
/// Upkeep is due so long after the last one (nanoseconds), even when nothing happened.
const HOUR: i64 = 3600 * 1_000_000_000;

/// What may be dropped: keys of runs, the oldest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Old {
    /// Settled runs that still have what puts their addresses back.
    pub(crate) checkpoints: Vec<i64>,
    /// Runs whose plan and events are over.
    pub(crate) journals: Vec<i64>,
    /// Runs that are over.
    pub(crate) runs: Vec<i64>,
    /// There is more than was asked for.
    pub(crate) more: bool,
}

/// How upkeep stands: whether runs were begun since the last one or an hour is over.
pub(crate) async fn is_due(connection: &mut SqliteConnection, now: i64) -> Result<bool, Failure> {
    let sql = "SELECT at, run < coalesce((SELECT max(key) FROM runs), 0) FROM upkeep";
    let (at, came): (i64, bool) = sqlx::query_as(sql).fetch_one(connection).await?;
    // A clock that was set back must not put it off for years.
    Ok(came || now < at || now.saturating_sub(at) >= HOUR)
}

/// What may be dropped now, at most about `limit` of each kind.
pub(crate) async fn old(
    connection: &mut SqliteConnection,
    keep: &Keep,
    limit: u32,
) -> Result<Old, Failure> {
    let sql = "SELECT key FROM runs INDEXED BY runs_with_checkpoints \
               WHERE kept = 2 AND open = 0 ORDER BY key LIMIT ?";
    let checkpoints = sqlx::query_scalar(sql).bind(limit);
    let mut old = Old {
        checkpoints: checkpoints.fetch_all(&mut *connection).await?,
        ..Old::default()
    };
    old.more = old.checkpoints.len() >= limit as usize;
    for environment in environments(connection).await? {
        let limit = limit as usize;
        if old.journals.len() < limit {
            let (found, more) = journals(connection, &environment, keep).await?;
            old.journals.extend(found);
            old.more |= more;
        }
        if old.runs.len() < limit {
            let (found, more) = runs(connection, &environment, keep).await?;
            old.runs.extend(found);
            old.more |= more;
        }
        old.more |= old.journals.len() >= limit || old.runs.len() >= limit;
    }
    surplus(connection, &mut old).await?;
    Ok(old)
}

/// The environments that have runs; costs what they are, not what their runs are.
async fn environments(connection: &mut SqliteConnection) -> Result<Vec<String>, Failure> {
    let sql = "WITH RECURSIVE found (name) AS ( \
                 SELECT min(environment) FROM runs UNION ALL \
                 SELECT (SELECT min(environment) FROM runs WHERE environment > name) \
                 FROM found WHERE name IS NOT NULL \
               ) SELECT name FROM found WHERE name IS NOT NULL";
    Ok(sqlx::query_scalar(sql).fetch_all(connection).await?)
}

/// How many rows of one environment are looked at in one go.
const PAGE: u32 = 1_000;

/// Key and time of a run.
type Timed = (i64, Option<i64>);

async fn journals(
    connection: &mut SqliteConnection,
    environment: &str,
    keep: &Keep,
) -> Result<(Vec<i64>, bool), Failure> {
    let surplus = "SELECT key, NULL FROM runs WHERE environment = ?1 AND kept > 0 AND open = 0 \
                   AND key <= (SELECT key FROM runs WHERE environment = ?1 AND kept > 0 \
                               ORDER BY key DESC LIMIT 1 OFFSET ?2) ORDER BY key LIMIT ?3";
    let oldest = "SELECT key, (SELECT at FROM events WHERE id = key * 4294967296) FROM runs \
                  WHERE environment = ?1 AND kept > 0 AND open = 0 AND ?2 >= 0 \
                  ORDER BY key LIMIT ?3";
    let settings = keep.settings;
    let before = to_nanoseconds(days_before(keep.now, settings.journal_days));
    let queries = [surplus, oldest];
    over(connection, environment, queries, settings.journals, before).await
}

async fn runs(
    connection: &mut SqliteConnection,
    environment: &str,
    keep: &Keep,
) -> Result<(Vec<i64>, bool), Failure> {
    let surplus = "SELECT key, NULL FROM runs WHERE environment = ?1 AND open = 0 \
                   AND key <= (SELECT key FROM runs WHERE environment = ?1 \
                               ORDER BY key DESC LIMIT 1 OFFSET ?2) ORDER BY key LIMIT ?3";
    let oldest = "SELECT key, CAST(strftime('%s', summary ->> '$.started_at') AS INTEGER) \
                  * 1000000000 FROM runs \
                  WHERE environment = ?1 AND open = 0 AND ?2 >= 0 ORDER BY key LIMIT ?3";
    let settings = keep.settings;
    let before = to_nanoseconds(days_before(keep.now, settings.history_days));
    let queries = [surplus, oldest];
    over(connection, environment, queries, settings.history, before).await
}

/// Runs of an environment that are too many or too old, but for those that are still spoken of; and
/// whether there are more of them than one page holds.
async fn over(
    connection: &mut SqliteConnection,
    environment: &str,
    [surplus, oldest]: [&'static str; 2],
    count: u32,
    before: i64,
) -> Result<(Vec<i64>, bool), Failure> {
    let (mut found, mut more) = (Vec::new(), false);
    for sql in [surplus, oldest] {
        let rows: Vec<Timed> = sqlx::query_as(sql)
            .bind(environment)
            .bind(count)
            .bind(PAGE)
            .fetch_all(&mut *connection)
            .await?;
        // They come in the order in which they were begun: the first that is young ends it.
        let old = rows
            .iter()
            .take_while(|(_, at)| at.is_none_or(|at| at < before));
        let count = found.len();
        found.extend(old.map(|(key, _)| *key));
        more |= found.len().saturating_sub(count) >= PAGE as usize;
    }
    if found.is_empty() {
        return Ok((found, more));
    }
    let spoken_of = spoken_of(connection, environment).await?;
    found.retain(|key| !spoken_of.contains(key));
    found.sort_unstable();
    found.dedup();
    Ok((found, more))
}

/// The runs of an environment that something else names: its last one, and the one it is held by.
async fn spoken_of(
    connection: &mut SqliteConnection,
    environment: &str,
) -> Result<Vec<i64>, Failure> {
    let sql = "SELECT max(key) FROM runs WHERE environment = ?1 UNION \
               SELECT r.key FROM environments e JOIN runs r \
               ON r.id IN (e.row ->> '$.last_run', e.row ->> '$.hold.run') WHERE e.name = ?1";
    let keys: Vec<Option<i64>> = sqlx::query_scalar(sql)
        .bind(environment)
        .fetch_all(connection)
        .await?;
    Ok(keys.into_iter().flatten().collect())
}

/// What is too much of all environments together.
async fn surplus(connection: &mut SqliteConnection, old: &mut Old) -> Result<(), Failure> {
    let count = "SELECT count(*) FROM runs INDEXED BY runs_with_journal WHERE kept > 0";
    let journals: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut *connection)
        .await?;
    if journals > MOST_JOURNALS {
        let sql = "SELECT key FROM runs WHERE kept > 0 AND open = 0 \
                   AND key < (SELECT max(key) FROM runs newer \
                              WHERE newer.environment = runs.environment) ORDER BY key LIMIT ?";
        let more = journals.saturating_sub(MOST_JOURNALS).min(i64::from(PAGE));
        let keys: Vec<i64> = sqlx::query_scalar(sql)
            .bind(more)
            .fetch_all(&mut *connection)
            .await?;
        old.more |= keys.len() >= PAGE as usize;
        old.journals.extend(keys);
    }
    let count = "SELECT count(*) FROM runs";
    let runs: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut *connection)
        .await?;
    if runs > MOST_RUNS {
        let sql = "SELECT key FROM runs WHERE open = 0 \
                   AND key < (SELECT max(key) FROM runs newer \
                              WHERE newer.environment = runs.environment) ORDER BY key LIMIT ?";
        let more = runs.saturating_sub(MOST_RUNS).min(i64::from(PAGE));
        let keys: Vec<i64> = sqlx::query_scalar(sql)
            .bind(more)
            .fetch_all(connection)
            .await?;
        old.more |= keys.len() >= PAGE as usize;
        old.runs.extend(keys);
    }
    for keys in [&mut old.journals, &mut old.runs] {
        keys.sort_unstable();
        keys.dedup();
    }
    Ok(())
}

/// Observations of one environment that are too many or too old, but for the newest of each
/// resource.
pub(crate) async fn old_observations(
    connection: &mut SqliteConnection,
    forget: &Forget,
) -> Result<Vec<i64>, Failure> {
    let sql = "SELECT o.id FROM addresses a CROSS JOIN observations o ON o.address = a.id \
               JOIN sightings s ON s.address = a.id \
               WHERE a.address >= ?1 AND a.address < ?2 AND o.id <> s.observation \
                 AND (o.at < ?3 OR o.id <= (SELECT k.id FROM observations k \
                      WHERE k.address = a.id ORDER BY k.id DESC LIMIT 1 OFFSET ?4)) LIMIT ?5";
    let (from, until) = addresses_of(&forget.environment);
    Ok(sqlx::query_scalar(sql)
        .bind(from)
        .bind(until)
        .bind(forget.before)
        .bind(forget.count)
        .bind(forget.limit)
        .fetch_all(connection)
        .await?)
}

/// Addresses of one environment that were seen, are no longer there, and were last seen long ago.
pub(crate) async fn gone(
    connection: &mut SqliteConnection,
    forget: &Forget,
) -> Result<Vec<i64>, Failure> {
    let sql = "SELECT a.id FROM addresses a JOIN sightings s ON s.address = a.id \
               WHERE a.address >= ?1 AND a.address < ?2 AND s.at < ?3 \
                 AND NOT EXISTS (SELECT 1 FROM resources r WHERE r.address = a.id) LIMIT ?4";
    let (from, until) = addresses_of(&forget.environment);
    Ok(sqlx::query_scalar(sql)
        .bind(from)
        .bind(until)
        .bind(forget.gone_before)
        .bind(forget.limit)
        .fetch_all(connection)
        .await?)
}

/// Whether an environment has observations to drop.
pub(crate) async fn has_old_observations(
    connection: &mut SqliteConnection,
    forget: &Forget,
) -> Result<bool, Failure> {
    let old = old_observations(connection, forget).await?;
    Ok(!old.is_empty() || !gone(connection, forget).await?.is_empty())
}

/// The environments that have observations.
pub(crate) async fn observed(
    connection: &mut SqliteConnection,
) -> Result<Vec<EnvironmentName>, Failure> {
    let sql = "WITH RECURSIVE found (name) AS ( \
                 SELECT min(address) FROM addresses UNION ALL \
                 SELECT (SELECT min(address) FROM addresses \
                         WHERE address > substr(name, 1, instr(name, '/') - 1) || '0') \
                 FROM found WHERE name IS NOT NULL \
               ) SELECT substr(name, 1, instr(name, '/') - 1) FROM found WHERE name IS NOT NULL";
    let names: Vec<String> = sqlx::query_scalar(sql).fetch_all(connection).await?;
    Ok(names
        .into_iter()
        .filter_map(|name| EnvironmentName::new(name).ok())
        .collect())
}

/// The time that was lived through, as it was last written.
pub(crate) async fn lived(connection: &mut SqliteConnection) -> Result<Option<Timestamp>, Failure> {
    let lived: Option<i64> = sqlx::query_scalar("SELECT lived FROM upkeep")
        .fetch_one(connection)
        .await?;
    Ok(lived.and_then(|at| from_nanoseconds(at).ok()))
}

/// Copies of older formats that are no longer needed: a run that came later ended well.
pub(crate) async fn surplus_copies(
    connection: &mut SqliteConnection,
) -> Result<Vec<String>, Failure> {
    let sql = "SELECT path FROM copies WHERE EXISTS ( \
                 SELECT 1 FROM runs WHERE key > copies.run \
                 AND summary ->> '$.outcome' = 'applied')";
    Ok(sqlx::query_scalar(sql).fetch_all(connection).await?)
}

/// How large each table is, with its indexes.
pub(crate) async fn sizes(connection: &mut SqliteConnection) -> Result<Vec<PartSize>, Failure> {
    let sql = "SELECT coalesce(s.tbl_name, 'schema'), sum(d.pgsize) FROM dbstat d \
               LEFT JOIN sqlite_schema s ON s.name = d.name \
               WHERE d.aggregate = TRUE GROUP BY 1 ORDER BY 2 DESC";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(&mut *connection).await?;
    let free = "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size";
    let free: i64 = sqlx::query_scalar(free).fetch_one(&mut *connection).await?;
    let read = |(part, bytes): (String, i64)| PartSize {
        part,
        bytes: u64::try_from(bytes).unwrap_or(0),
    };
    let mut sizes: Vec<PartSize> = rows.into_iter().map(read).collect();
    if free > 0 {
        sizes.push(read(("free".to_owned(), free)));
    }
    Ok(sizes)
}
