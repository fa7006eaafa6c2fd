//! Runs and their journals.

use std::collections::BTreeMap;

use serde::Deserialize;
use sqlx::SqliteConnection;
use stratum_core::ids::{Address, EnvironmentName, RunId, StepId};
use stratum_core::ports::{OpenRun, Unfinished};
use stratum_core::run::RunSummary;

use crate::error::{Failure, from_json, unreadable};
use crate::event::event_id;
use crate::pack::unpack;
use crate::rest::{Read, Rest};
use crate::steps::Steps;
use crate::time::from_nanoseconds;

/// The open runs after a run, oldest first; told from their summaries.
pub(crate) async fn open(
    connection: &mut SqliteConnection,
    after: Option<&RunId>,
    limit: u32,
) -> Result<Vec<OpenRun>, Failure> {
    let sql = "SELECT id, summary FROM runs WHERE open = 1 \
               AND key > coalesce((SELECT key FROM runs WHERE id = ?), 0) ORDER BY key LIMIT ?";
    let rows: Vec<(String, String)> = sqlx::query_as(sql)
        .bind(after.map(RunId::as_str))
        .bind(limit)
        .fetch_all(connection)
        .await?;
    let read = |(id, text): &(String, String)| {
        let summary: RunSummary = from_json(text, || format!("run `{id}`"))?;
        Ok(OpenRun {
            id: summary.id,
            environment: summary.environment,
            revision: summary.revision,
            outcome: summary.outcome,
        })
    };
    rows.iter().map(read).collect()
}

/// The open runs with all their events, oldest first. One that is wrapped and cannot be read is left
/// out.
pub(crate) async fn unfinished(
    connection: &mut SqliteConnection,
    rest: &Rest,
) -> Result<Vec<Unfinished>, Failure> {
    let sql = "SELECT key, id FROM runs WHERE open = 1 ORDER BY key";
    let open: Vec<(i64, String)> = sqlx::query_as(sql).fetch_all(&mut *connection).await?;
    let mut runs = Vec::with_capacity(open.len());
    for (key, id) in open {
        let read = events(connection, key, &id, rest).await?;
        runs.extend(read.and_then(|read| read.whole().ok()));
    }
    Ok(runs)
}

/// One run with its events, to go on with it; `None` when there is none, or when it has no journal.
pub(crate) async fn journal(
    connection: &mut SqliteConnection,
    id: &RunId,
    rest: &Rest,
) -> Result<Option<Unfinished>, Failure> {
    match found(connection, id, rest).await? {
        Some(read) => read.whole().map(Some),
        None => Ok(None),
    }
}

/// The same, to show it: what is wrapped and cannot be read is left out.
pub(crate) async fn run(
    connection: &mut SqliteConnection,
    id: &RunId,
    rest: &Rest,
) -> Result<Option<Unfinished>, Failure> {
    let read = found(connection, id, rest).await?;
    Ok(read.map(|read| read.value))
}

async fn found(
    connection: &mut SqliteConnection,
    id: &RunId,
    rest: &Rest,
) -> Result<Option<Read<Unfinished>>, Failure> {
    let sql = "SELECT key FROM runs WHERE id = ?";
    let key: Option<i64> = sqlx::query_scalar(sql)
        .bind(id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    match key {
        Some(key) => events(connection, key, id.as_str(), rest).await,
        None => Ok(None),
    }
}

async fn events(
    connection: &mut SqliteConnection,
    key: i64,
    id: &str,
    rest: &Rest,
) -> Result<Option<Read<Unfinished>>, Failure> {
    let Some(text) = plan(connection, key, id).await? else {
        return Ok(None);
    };
    let Read {
        value: run,
        mut sealed,
    } = rest.read_run(id, &text)?;
    let sql = "SELECT at, event FROM events WHERE id >= ? AND id < ? ORDER BY id";
    let rows: Vec<(i64, String)> = sqlx::query_as(sql)
        .bind(event_id(key, 0))
        .bind(event_id(key.saturating_add(1), 0))
        .fetch_all(connection)
        .await?;
    let mut journal = Vec::with_capacity(rows.len());
    for (number, (at, text)) in rows.iter().enumerate() {
        let what = || format!("event {number} of run `{id}`");
        let at = from_nanoseconds(*at).map_err(|error| unreadable(what(), error))?;
        let event = rest.read_event(id, text, what)?;
        sealed = sealed.or(event.sealed);
        journal.push((at, event.value));
    }
    let value = Unfinished {
        run,
        events: journal,
    };
    Ok(Some(Read { value, sealed }))
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

/// The last run of every environment, by name.
pub(crate) async fn last_of_each(
    connection: &mut SqliteConnection,
) -> Result<BTreeMap<String, RunSummary>, Failure> {
    // For each environment one step in the index, whatever the number of runs.
    let sql = "SELECT r.id, r.summary FROM environments e JOIN runs r ON r.key = \
               (SELECT max(key) FROM runs WHERE environment = e.name)";
    let rows: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(connection).await?;
    let read = |(id, text): &(String, String)| {
        let run: RunSummary = from_json(text, || format!("run `{id}`"))?;
        Ok((run.environment.to_string(), run))
    };
    rows.iter().map(read).collect()
}

/// The steps of a run, read from its plan; none when it has no plan any more.
pub(crate) async fn steps(
    connection: &mut SqliteConnection,
    key: i64,
    id: &RunId,
) -> Result<Steps, Failure> {
    let Some(text) = plan(connection, key, id.as_str()).await? else {
        return Ok(Steps::default());
    };
    let run: RunOutline = from_json(&text, || format!("the plan of run `{id}`"))?;
    let steps = run.plan.steps;
    Ok(steps
        .into_iter()
        .map(|step| (step.id, step.address))
        .collect())
}

#[derive(Deserialize)]
struct RunOutline {
    plan: PlanOutline,
}

#[derive(Deserialize)]
struct PlanOutline {
    steps: Vec<StepOutline>,
}

#[derive(Deserialize)]
struct StepOutline {
    id: StepId,
    address: Address,
}

/// The text of a run as it was started; `None` when it has no journal.
async fn plan(
    connection: &mut SqliteConnection,
    key: i64,
    id: &str,
) -> Result<Option<String>, Failure> {
    let body: Option<Vec<u8>> = sqlx::query_scalar("SELECT body FROM plans WHERE run = ?")
        .bind(key)
        .fetch_optional(connection)
        .await?;
    let Some(body) = body else {
        return Ok(None);
    };
    let what = || format!("the plan of run `{id}`");
    let text = unpack(&body).map_err(|error| unreadable(what(), error))?;
    Ok(Some(text))
}
