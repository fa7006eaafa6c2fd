//! Runs and their journals.

use sqlx::SqliteConnection;
use stratum_core::ids::{Address, EnvironmentName, RunId, StepId};
use stratum_core::ports::Unfinished;
use stratum_core::run::RunSummary;

use crate::error::{Failure, from_json, unreadable};
use crate::event::event_id;
use crate::time::from_nanoseconds;

/// The runs that have not ended, or whose record is not yet in git, oldest first.
pub(crate) async fn unfinished(
    connection: &mut SqliteConnection,
) -> Result<Vec<Unfinished>, Failure> {
    let sql = "SELECT key, id FROM runs WHERE open = 1 ORDER BY key";
    let open: Vec<(i64, String)> = sqlx::query_as(sql).fetch_all(&mut *connection).await?;
    let mut runs = Vec::with_capacity(open.len());
    for (key, id) in open {
        runs.extend(journal(connection, key, &id).await?);
    }
    Ok(runs)
}

/// One run with its events; `None` when there is none, or when it has no journal.
pub(crate) async fn run(
    connection: &mut SqliteConnection,
    id: &RunId,
) -> Result<Option<Unfinished>, Failure> {
    let sql = "SELECT key FROM runs WHERE id = ?";
    let key: Option<i64> = sqlx::query_scalar(sql)
        .bind(id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    match key {
        Some(key) => journal(connection, key, id.as_str()).await,
        None => Ok(None),
    }
}

async fn journal(
    connection: &mut SqliteConnection,
    key: i64,
    id: &str,
) -> Result<Option<Unfinished>, Failure> {
    let body: Option<String> = sqlx::query_scalar("SELECT body FROM plans WHERE run = ?")
        .bind(key)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(body) = body else {
        return Ok(None);
    };
    let sql = "SELECT at, event FROM events WHERE id >= ? AND id < ? ORDER BY id";
    let rows: Vec<(i64, String)> = sqlx::query_as(sql)
        .bind(event_id(key, 0))
        .bind(event_id(key.saturating_add(1), 0))
        .fetch_all(connection)
        .await?;
    let mut events = Vec::with_capacity(rows.len());
    for (number, (at, text)) in rows.iter().enumerate() {
        let what = || format!("event {number} of run `{id}`");
        let at = from_nanoseconds(*at).map_err(|error| unreadable(what(), error))?;
        events.push((at, from_json(text, what)?));
    }
    let run = from_json(&body, || format!("the plan of run `{id}`"))?;
    Ok(Some(Unfinished { run, events }))
}

/// The last runs, newest first.
pub(crate) async fn history(
    connection: &mut SqliteConnection,
    environment: Option<&EnvironmentName>,
    limit: u32,
) -> Result<Vec<RunSummary>, Failure> {
    let query = match environment {
        Some(environment) => sqlx::query_as(
            "SELECT id, summary FROM runs WHERE environment = ? ORDER BY key DESC LIMIT ?",
        )
        .bind(environment.as_str()),
        None => sqlx::query_as("SELECT id, summary FROM runs ORDER BY key DESC LIMIT ?"),
    };
    let rows: Vec<(String, String)> = query.bind(limit).fetch_all(connection).await?;
    let read = |(id, text): &(String, String)| from_json(text, || format!("run `{id}`"));
    rows.iter().map(read).collect()
}

/// The address of one step of a run, read from its plan.
pub(crate) async fn address(
    connection: &mut SqliteConnection,
    key: i64,
    step: StepId,
) -> Result<Option<Address>, Failure> {
    let sql = "SELECT json_extract(body, '$.plan.steps[' || ? || '].address') \
               FROM plans WHERE run = ?";
    let text: Option<Option<String>> = sqlx::query_scalar(sql)
        .bind(i64::from(step.0))
        .bind(key)
        .fetch_optional(connection)
        .await?;
    Ok(text.flatten().and_then(|text| text.parse().ok()))
}
