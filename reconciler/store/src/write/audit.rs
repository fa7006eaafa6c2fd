//! Entries of the audit log, in the transaction of what they are about.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::SqliteConnection;
use stratum_core::audit::{ApplyEvent, Principal, What};
use stratum_core::digest::Digest;
use stratum_core::ids::{Address, EnvironmentName, RunId};
use stratum_core::journal::Event;
use stratum_core::ports::{AuditError, Lease};

use crate::error::Failure;
use crate::log::{FORM, Head, Leaf, Veiled, bundle};
use crate::pack::pack_bytes;
use crate::steps::Steps;
use crate::write::lease::stored;

/// A reason is cut to about this many bytes.
const REASON: usize = 4 * 1024;

/// Append entries.
pub(crate) struct Note {
    /// The entries, in their stored form.
    pub(crate) entries: Vec<Vec<u8>>,
}

/// Entries are in the tree now.
pub(crate) struct Integrated {
    /// The last row that is.
    pub(crate) last: i64,
    /// How far the tree is.
    pub(crate) head: Head,
}

/// What one transaction adds to the log.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Whether there is a log.
    pub(crate) kept: bool,
    /// A bundle of entries.
    entries: Vec<u8>,
    /// The steps of runs that go on.
    pub(crate) steps: HashMap<RunId, Arc<Steps>>,
}

impl Ledger {
    /// An empty one; with `kept` false nothing is added to it.
    pub(crate) fn new(kept: bool) -> Self {
        Self {
            kept,
            ..Self::default()
        }
    }

    /// Forgets what a transaction that failed would have added.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// How much the transaction adds so far.
    pub(crate) fn mark(&self) -> usize {
        self.entries.len()
    }

    /// Forgets what was added after the mark was taken.
    pub(crate) fn back_to(&mut self, mark: usize) {
        self.entries.truncate(mark);
    }

    /// Whether the transaction adds something.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn add(&mut self, leaf: &Leaf) -> Result<(), Failure> {
        let bytes = leaf.bytes().map_err(unfit)?;
        bundle(&mut self.entries, &bytes);
        Ok(())
    }

    /// Adds entries that are ready.
    pub(crate) fn note(&mut self, note: &Note) {
        note.entries
            .iter()
            .for_each(|entry| bundle(&mut self.entries, entry));
    }

    /// Adds the taking of a lease.
    pub(crate) fn lease(&mut self, lease: &Lease, at: Timestamp) -> Result<(), Failure> {
        if !self.kept {
            return Ok(());
        }
        self.add(&Leaf {
            v: FORM,
            at,
            environment: Some(lease.environment.clone()),
            run: None,
            principal: Principal::Reconciler,
            what: What::LeaseTaken {
                number: lease.number,
                holder: lease.holder.clone(),
            },
            people: None,
        })
    }

    /// Adds an event of a run.
    pub(crate) fn event(&mut self, line: &Journalled<'_>) -> Result<(), Failure> {
        let address = line.event.step().and_then(|step| {
            let steps = self.steps.get(line.run)?;
            steps.address(step).cloned()
        });
        let what = What::Apply(apply_event(line, address));
        self.add(&Leaf {
            v: FORM,
            at: line.at,
            environment: Some(line.environment.clone()),
            run: Some(line.run.clone()),
            principal: Principal::Reconciler,
            what,
            people: line.people.cloned(),
        })
    }

    /// Writes all of it.
    pub(crate) async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        sqlx::query("INSERT INTO audit_waiting (entries) VALUES (?)")
            .bind(pack_bytes(&self.entries))
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// An event with its place in the journal.
pub(crate) struct Journalled<'e> {
    pub(crate) at: Timestamp,
    pub(crate) environment: &'e EnvironmentName,
    pub(crate) run: &'e RunId,
    pub(crate) number: u64,
    pub(crate) event: &'e Event,
    /// The event as it is stored.
    pub(crate) text: &'e str,
    pub(crate) people: Option<&'e Veiled>,
}

fn apply_event(line: &Journalled<'_>, address: Option<Address>) -> ApplyEvent {
    let (mut plan, mut commit, mut reason) = (None, None, None);
    match line.event {
        Event::Started {
            plan_digest,
            revision,
            ..
        } => (plan, commit) = (Some(*plan_digest), Some(revision.clone())),
        Event::Failed { error: why, .. }
        | Event::Unknown { reason: why, .. }
        | Event::RestoreFailed { error: why, .. } => reason = Some(cut(why)),
        Event::Stuck { left } => {
            let names: Vec<_> = left.iter().map(|left| left.address.to_string()).collect();
            reason = Some(cut(&names.join(", ")));
        }
        Event::Recorded { commit: record } => commit = Some(record.clone()),
        // A digest of a state could be guessed back to a weak secret in it: it stays in the journal.
        Event::Begun { .. }
        | Event::Done { .. }
        | Event::RestoreBegun { .. }
        | Event::Restored { .. }
        | Event::Applied
        | Event::RolledBack => {}
    }
    ApplyEvent {
        event: line.event.name().to_owned(),
        number: line.number,
        digest: Digest::of_bytes(line.text.as_bytes()),
        step: line.event.step(),
        address,
        plan,
        commit,
        reason,
    }
}

fn cut(text: &str) -> String {
    if text.len() <= REASON {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(REASON);
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// An entry that the log does not take. Not a refusal: the transaction may hold a part of it.
fn unfit(error: AuditError) -> Failure {
    Failure::Database(sqlx::Error::Encode(Box::new(error)))
}

/// Writes how far the tree is, and drops the rows that are in it.
pub(crate) async fn integrated(
    connection: &mut SqliteConnection,
    done: &Integrated,
) -> Result<bool, Failure> {
    sqlx::query("DELETE FROM audit_waiting WHERE id <= ?")
        .bind(done.last)
        .execute(&mut *connection)
        .await?;
    let sql = "INSERT INTO audit_head (id, part, size, root) VALUES (1, ?, ?, ?) \
               ON CONFLICT (id) DO UPDATE SET part = excluded.part, size = excluded.size, \
               root = excluded.root";
    sqlx::query(sql)
        .bind(&done.head.part)
        .bind(stored(done.head.size))
        .bind(done.head.root.as_slice())
        .execute(connection)
        .await?;
    Ok(true)
}
