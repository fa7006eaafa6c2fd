//! Runs: how they start, and those without a journal.

use std::sync::Arc;

use sqlx::SqliteConnection;
use stratum_core::ids::{EnvironmentName, RunId};
use stratum_core::ports::{Lease, StoreError};
use stratum_core::run::RunSummary;

use crate::error::{Failure, to_json};
use crate::read;
use crate::rest::Table;
use crate::steps::Steps;
use crate::write::append::{self, Append};
use crate::write::audit::Ledger;
use crate::write::lease::{fence, stored};
use crate::write::mark;

/// Start a run.
pub(crate) struct Start {
    /// The environment it changes.
    pub(crate) environment: EnvironmentName,
    /// The serial its plan was made on.
    pub(crate) planned: u64,
    /// The run, as packed JSON.
    pub(crate) body: Vec<u8>,
    /// Its summary, as JSON.
    pub(crate) summary: String,
    /// The addresses of its steps in the order in which they are numbered, as JSON.
    pub(crate) addresses: String,
    /// The address of each step.
    pub(crate) steps: Arc<Steps>,
    /// Its first event.
    pub(crate) started: Append,
}

/// Write a run that has no journal.
pub(crate) struct Note {
    /// Who asks.
    lease: Lease,
    /// The run.
    id: RunId,
    /// Its environment.
    environment: EnvironmentName,
    /// Its summary, as JSON.
    summary: String,
}

impl Note {
    /// Takes the JSON form, in the task of the caller.
    pub(crate) fn new(lease: &Lease, summary: &RunSummary) -> Result<Self, Failure> {
        Ok(Self {
            lease: lease.clone(),
            id: summary.id.clone(),
            environment: summary.environment.clone(),
            summary: to_json(summary)?,
        })
    }
}

/// Writes the run, its plan and its first event, and moves the head on by one.
pub(crate) async fn start(
    connection: &mut SqliteConnection,
    start: &Start,
    ledger: &mut Ledger,
) -> Result<bool, Failure> {
    fence(connection, &start.started.lease, &start.environment).await?;
    let head = read::environment::serial(connection, &start.environment).await?;
    if head != start.planned {
        return Err(Failure::Refused(StoreError::Moved {
            environment: start.environment.clone(),
            planned: start.planned,
            head,
        }));
    }
    insert(connection, start).await?;
    number_addresses(connection, &start.addresses).await?;
    sqlx::query(
        "INSERT INTO environments (name, serial) VALUES (?1, ?2) \
         ON CONFLICT (name) DO UPDATE SET serial = excluded.serial",
    )
    .bind(start.environment.as_str())
    .bind(stored(head.saturating_add(1)))
    .execute(&mut *connection)
    .await?;
    let run = start.started.run.clone();
    ledger.steps.insert(run, Arc::clone(&start.steps));
    append::group(connection, &[&start.started], ledger).await?;
    Ok(true)
}

async fn insert(connection: &mut SqliteConnection, start: &Start) -> Result<(), Failure> {
    let sql = "INSERT INTO runs (id, environment, summary, events, open) VALUES (?, ?, ?, 0, 1)";
    let key = sqlx::query(sql)
        .bind(start.started.run.as_str())
        .bind(start.environment.as_str())
        .bind(&start.summary)
        .execute(&mut *connection)
        .await?
        .last_insert_rowid();
    let under = start.started.under.as_deref();
    sqlx::query("INSERT INTO plans (run, body, wrapped_by) VALUES (?, ?, ?)")
        .bind(key)
        .bind(&start.body)
        .bind(under)
        .execute(&mut *connection)
        .await?;
    mark::lower(connection, Table::Plans, key, under).await
}

/// Gives a number to every address (a JSON list) that has none, in this order.
pub(crate) async fn number_addresses(
    connection: &mut SqliteConnection,
    addresses: &str,
) -> Result<(), Failure> {
    sqlx::query("INSERT OR IGNORE INTO addresses (address) SELECT value FROM json_each(?)")
        .bind(addresses)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes the summary of a run without a journal, again if need be.
pub(crate) async fn note(connection: &mut SqliteConnection, note: &Note) -> Result<bool, Failure> {
    fence(connection, &note.lease, &note.environment).await?;
    let sql = "INSERT INTO runs (id, environment, summary, events, open, kept) \
               VALUES (?, ?, ?, 0, 0, 0) \
               ON CONFLICT (id) DO UPDATE SET summary = excluded.summary WHERE events = 0";
    let written = sqlx::query(sql)
        .bind(note.id.as_str())
        .bind(note.environment.as_str())
        .bind(&note.summary)
        .execute(connection)
        .await?;
    if written.rows_affected() == 1 {
        return Ok(true);
    }
    Err(Failure::Refused(StoreError::Database {
        doing: "writing a run",
        source: format!("run `{}` has a journal", note.id).into(),
    }))
}
