//! Appending to journals: many calls, one set of statements.

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::SqliteConnection;
use stratum_core::ids::{Address, EnvironmentName, RunId};
use stratum_core::journal::Event;
use stratum_core::ports::{Entry, Lease, StateChange, StoreError};
use stratum_core::run::RunSummary;

use crate::error::{Failure, from_json, to_json};
use crate::event::event_id;
use crate::log::Veiled;
use crate::read;
use crate::rest::{Rest, Table};
use crate::time::to_nanoseconds;
use crate::write::Answer;
use crate::write::audit::{Journalled, Ledger};
use crate::write::lease::fenced;
use crate::write::mark;
use crate::write::run::number_addresses;

/// Append to a journal.
pub(crate) struct Append {
    /// Who asks.
    pub(crate) lease: Lease,
    /// The run.
    pub(crate) run: RunId,
    /// What is appended, in order.
    pub(crate) entries: Vec<Line>,
    /// The key that it is wrapped under, if there is one.
    pub(crate) under: Option<String>,
}

/// One event, ready to be written.
pub(crate) struct Line {
    at: Timestamp,
    event: Event,
    text: String,
    /// Addresses, and their new states as JSON; `None` when one is no longer there.
    change: Vec<(Address, Option<String>)>,
    /// The people behind it, for the audit log.
    pub(crate) people: Option<Veiled>,
}

impl Line {
    /// Takes the JSON forms, in the task of the caller, so that the writer need not.
    pub(crate) fn new(run: &RunId, entry: Entry, rest: &Rest) -> Result<Self, Failure> {
        let change = match entry.change {
            Some(StateChange::Put(state)) => {
                vec![(state.address.clone(), Some(rest.state(&state)?))]
            }
            Some(StateChange::Remove(address)) => vec![(address, None)],
            Some(StateChange::Move { from, state }) => {
                let put = (state.address.clone(), Some(rest.state(&state)?));
                vec![(from, None), put]
            }
            None => Vec::new(),
        };
        Ok(Self {
            at: entry.at,
            text: rest.event(run, &entry.event)?,
            event: entry.event,
            change,
            people: None,
        })
    }
}

/// A run as it stands in the transaction.
struct Head {
    key: i64,
    environment: EnvironmentName,
    events: i64,
    summary: RunSummary,
    /// The fencing number, while somebody holds the lease.
    number: Option<i64>,
}

/// What all calls together write.
#[derive(Default)]
struct Sheet<'a> {
    heads: BTreeMap<&'a RunId, Head>,
    /// Id, time and JSON of each event.
    events: Vec<(i64, i64, &'a str)>,
    /// The last change of each address.
    changes: BTreeMap<&'a Address, Option<&'a str>>,
    /// The first event that was written under each key, or under none.
    begun: BTreeMap<Option<&'a str>, i64>,
}

/// Appends all calls, in order; each is answered for itself.
pub(crate) async fn group(
    connection: &mut SqliteConnection,
    appends: &[&Append],
    ledger: &mut Ledger,
) -> Result<Vec<Answer>, Failure> {
    let mut sheet = Sheet::default();
    let mut answers = Vec::with_capacity(appends.len());
    for append in appends {
        answers.push(match sheet.add(connection, append, ledger).await {
            Ok(()) => Ok(true),
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(failure) => return Err(failure),
        });
    }
    if !sheet.events.is_empty() {
        sheet.write(connection).await?;
    }
    Ok(answers)
}

impl<'a> Sheet<'a> {
    async fn add(
        &mut self,
        connection: &mut SqliteConnection,
        append: &'a Append,
        ledger: &mut Ledger,
    ) -> Result<(), Failure> {
        let head = match self.heads.entry(&append.run) {
            btree_map::Entry::Occupied(entry) => entry.into_mut(),
            btree_map::Entry::Vacant(entry) => entry.insert(head(connection, &append.run).await?),
        };
        let number = u64::try_from(head.number.unwrap_or(-1)).ok();
        if number != Some(append.lease.number) || append.lease.environment != head.environment {
            return Err(fenced(&head.environment));
        }
        for line in &append.entries {
            if ledger.kept {
                head.log(connection, append, line, ledger).await?;
            }
            let id = event_id(head.key, head.events);
            self.events.push((id, to_nanoseconds(line.at), &line.text));
            let first = self.begun.entry(append.under.as_deref()).or_insert(id);
            *first = id.min(*first);
            head.events = head.events.saturating_add(1);
            head.fold(connection, line).await?;
            for (address, state) in &line.change {
                self.changes.insert(address, state.as_deref());
            }
        }
        Ok(())
    }

    async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let sql = "INSERT INTO events (id, at, event) \
                   SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)";
        sqlx::query(sql)
            .bind(to_json(&self.events)?)
            .execute(&mut *connection)
            .await?;
        self.put(connection).await?;
        self.remove(connection).await?;
        for (key, id) in &self.begun {
            mark::lower(connection, Table::Events, *id, *key).await?;
            // Which rows of resources these are is not worth asking: all of them are looked at.
            mark::lower(connection, Table::Resources, 0, *key).await?;
        }
        for head in self.heads.values() {
            head.write(connection).await?;
        }
        Ok(())
    }

    async fn put(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let states = self.changes.iter();
        let states: Vec<(_, _)> = states.filter_map(|(a, s)| s.map(|s| (a, s))).collect();
        if states.is_empty() {
            return Ok(());
        }
        let addresses: Vec<_> = states.iter().map(|(address, _)| address).collect();
        number_addresses(connection, &to_json(&addresses)?).await?;
        let sql = "INSERT INTO resources (address, state) \
                   SELECT a.id, new.value ->> 1 FROM json_each(?) AS new \
                   CROSS JOIN addresses a ON a.address = new.value ->> 0 WHERE true \
                   ON CONFLICT (address) DO UPDATE SET state = excluded.state";
        sqlx::query(sql)
            .bind(to_json(&states)?)
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn remove(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let changes = self.changes.iter();
        let gone: Vec<_> = changes.filter(|(_, s)| s.is_none()).map(|c| c.0).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let sql = "DELETE FROM resources WHERE address IN ( \
                     SELECT a.id FROM json_each(?) AS gone \
                     CROSS JOIN addresses a ON a.address = gone.value)";
        sqlx::query(sql)
            .bind(to_json(&gone)?)
            .execute(connection)
            .await?;
        Ok(())
    }
}

async fn head(connection: &mut SqliteConnection, run: &RunId) -> Result<Head, Failure> {
    let sql = "SELECT r.key, r.events, r.summary, iif(l.holder IS NULL, NULL, l.number) \
               FROM runs r LEFT JOIN leases l ON l.environment = r.environment WHERE r.id = ?";
    let row: Option<(i64, i64, String, Option<i64>)> = sqlx::query_as(sql)
        .bind(run.as_str())
        .fetch_optional(connection)
        .await?;
    let Some((key, events, summary, number)) = row else {
        return Err(Failure::Refused(StoreError::Database {
            doing: "appending to a journal",
            source: format!("there is no run `{run}`").into(),
        }));
    };
    let summary: RunSummary = from_json(&summary, || format!("run `{run}`"))?;
    Ok(Head {
        key,
        environment: summary.environment.clone(),
        events,
        summary,
        number,
    })
}

impl Head {
    /// Adds an event to the audit log. The plan is read for the addresses of its steps only when
    /// this process did not start the run.
    async fn log(
        &self,
        connection: &mut SqliteConnection,
        append: &Append,
        line: &Line,
        ledger: &mut Ledger,
    ) -> Result<(), Failure> {
        if line.event.step().is_some() && !ledger.steps.contains_key(&append.run) {
            let steps = read::run::steps(connection, self.key, &append.run).await?;
            ledger.steps.insert(append.run.clone(), Arc::new(steps));
        }
        ledger.event(&Journalled {
            at: line.at,
            environment: &self.environment,
            run: &append.run,
            number: u64::try_from(self.events).unwrap_or(0),
            event: &line.event,
            text: &line.text,
            people: line.people.as_ref(),
        })?;
        if matches!(
            line.event,
            Event::Applied | Event::RolledBack | Event::Stuck { .. }
        ) {
            ledger.steps.remove(&append.run);
        }
        Ok(())
    }

    /// Takes an event into the summary. The plan is read only for the first failure, which names
    /// its address.
    async fn fold(
        &mut self,
        connection: &mut SqliteConnection,
        line: &Line,
    ) -> Result<(), Failure> {
        let failed = matches!(line.event, Event::Failed { .. } | Event::Unknown { .. });
        let address = match line.event.step() {
            Some(step) if failed && self.summary.reason.is_empty() => {
                let steps = read::run::steps(connection, self.key, &self.summary.id).await?;
                steps.address(step).cloned()
            }
            Some(_) | None => None,
        };
        self.summary.add(line.at, &line.event, address.as_ref());
        Ok(())
    }

    async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        sqlx::query("UPDATE runs SET summary = ?, events = ?, open = ? WHERE key = ?")
            .bind(to_json(&self.summary)?)
            .bind(self.events)
            .bind(self.summary.record.is_none())
            .bind(self.key)
            .execute(connection)
            .await?;
        Ok(())
    }
}
