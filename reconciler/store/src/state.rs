//! The port of the state: each method as one read or one write.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::audit::{AuditEntry, Named, Role};
use stratum_core::ids::{Address, EnvironmentName, RunId};
use stratum_core::ports::{
    Audit, AuditError, Base, Entry, EnvironmentRow, Lease, LeaseError, Observation, QueueEntry,
    Store, StoreError, Unfinished,
};
use stratum_core::run::{Run, RunSummary};

use crate::error::{Failure, to_json};
use crate::log::{self, Leaf};
use crate::pack::pack;
use crate::read;
use crate::rest::Rest;
use crate::steps::{ByDepth, Steps};
use crate::store::{SqliteStore, look};
use crate::time::to_nanoseconds;
use crate::write::append::{Append, Line};
use crate::write::audit::Note;
use crate::write::lease::{Release, Renew, Take};
use crate::write::observation::Observe;
use crate::write::queue::{Ack, Push};
use crate::write::run::{Note as RunNote, Start};
use crate::write::{Write, environment};

#[async_trait]
impl Store for SqliteStore {
    async fn acquire(
        &self,
        environment: &EnvironmentName,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
        alive: &(dyn for<'h> Fn(&'h str) -> Option<bool> + Sync),
    ) -> Result<Lease, LeaseError> {
        loop {
            let before = self.lease(environment).await?;
            if let Some(other) = before.as_ref().and_then(|h| h.in_the_way(now, ttl, alive)) {
                return Err(LeaseError::Held {
                    environment: environment.clone(),
                    holder: other.to_owned(),
                });
            }
            let number = before.as_ref().map_or(0, |held| held.number);
            let lease = Lease {
                environment: environment.clone(),
                number: number.saturating_add(1),
                holder: holder.to_owned(),
            };
            let take = Take {
                lease: lease.clone(),
                before,
                at: now,
            };
            if self.write(Write::Take(take)).await? {
                return Ok(lease);
            }
        }
    }

    async fn renew(&self, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        let (lease, at) = (lease.clone(), to_nanoseconds(now));
        self.write(Write::Renew(Renew { lease, at })).await?;
        Ok(())
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.write(Write::Release(Release { lease })).await?;
        Ok(())
    }

    async fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreError> {
        look!(
            self.reader,
            "reading the environments",
            read::environment::environments
        )
    }

    async fn environment(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<EnvironmentRow>, StoreError> {
        look!(
            self.reader,
            "reading an environment",
            read::environment::environment,
            environment
        )
    }

    async fn put_environment(&self, lease: &Lease, row: &EnvironmentRow) -> Result<(), StoreError> {
        let text = self.ready(to_json(row), "writing what is remembered of an environment")?;
        let following = self.ready(
            following(row),
            "writing what is remembered of an environment",
        )?;
        let put = environment::Put {
            following,
            lease: lease.clone(),
            environment: row.name.clone(),
            row: text,
        };
        self.write(Write::Environment(put)).await?;
        Ok(())
    }

    async fn base(&self, environment: &EnvironmentName) -> Result<Base, StoreError> {
        look!(
            self.reader,
            "reading the resources",
            read::environment::base,
            environment,
            &self.rest
        )
    }

    async fn start(&self, lease: &Lease, run: &Run, started: &Entry) -> Result<(), StoreError> {
        let mut start = self.ready(start_of(lease, run, started, &self.rest), "starting a run")?;
        if let Some(log) = &self.log {
            let author = Named {
                role: Role::Author,
                name: run.revision.author.clone(),
            };
            let veiled = log::people(started.at, &[author], &log.veils);
            let veiled = veiled.map_err(|error| StoreError::Database {
                doing: "starting a run",
                source: Box::new(error),
            })?;
            start
                .started
                .entries
                .iter_mut()
                .for_each(|line| line.people.clone_from(&veiled));
        }
        self.write(Write::Start(Box::new(start))).await?;
        Ok(())
    }

    async fn append(
        &self,
        lease: &Lease,
        run: &RunId,
        entries: Vec<Entry>,
    ) -> Result<(), StoreError> {
        let line = |entry| Line::new(run, entry, &self.rest);
        let lines: Result<Vec<Line>, Failure> = entries.into_iter().map(line).collect();
        let append = Append {
            lease: lease.clone(),
            run: run.clone(),
            entries: self.ready(lines, "appending to a journal")?,
        };
        self.write(Write::Append(append)).await?;
        Ok(())
    }

    async fn note_run(&self, lease: &Lease, summary: &RunSummary) -> Result<(), StoreError> {
        let note = RunNote {
            lease: lease.clone(),
            id: summary.id.clone(),
            environment: summary.environment.clone(),
            summary: self.ready(to_json(summary), "writing a run")?,
        };
        self.write(Write::Note(note)).await?;
        Ok(())
    }

    async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        look!(
            self.reader,
            "reading the unfinished runs",
            read::run::unfinished,
            &self.rest
        )
    }

    async fn run(&self, run: &RunId) -> Result<Option<Unfinished>, StoreError> {
        look!(
            self.reader,
            "reading a run",
            read::run::run,
            run,
            &self.rest
        )
    }

    async fn history(
        &self,
        environment: Option<&EnvironmentName>,
        limit: u32,
    ) -> Result<Vec<RunSummary>, StoreError> {
        look!(
            self.reader,
            "reading the history",
            read::run::history,
            environment,
            limit
        )
    }

    async fn observe(&self, lease: &Lease, seen: &[Observation]) -> Result<(), StoreError> {
        let observe = self.ready(
            Observe::new(lease, seen, &self.rest),
            "keeping observations",
        )?;
        self.write(Write::Observe(observe)).await?;
        Ok(())
    }

    async fn observed(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Vec<Observation>, StoreError> {
        look!(
            self.reader,
            "reading the observations",
            read::observation::observed,
            environment,
            &self.rest
        )
    }

    async fn drifted(&self, environment: &EnvironmentName) -> Result<Vec<Observation>, StoreError> {
        look!(
            self.reader,
            "reading the observations",
            read::observation::drifted,
            environment,
            &self.rest
        )
    }

    async fn observations(
        &self,
        address: &Address,
        limit: u32,
    ) -> Result<Vec<Observation>, StoreError> {
        look!(
            self.reader,
            "reading the observations",
            read::observation::observations,
            address,
            limit,
            &self.rest
        )
    }

    async fn push(&self, entry: &QueueEntry) -> Result<(), StoreError> {
        let push = Push {
            environment: entry.environment.clone(),
            inputs: entry.inputs.clone(),
            not_before: to_nanoseconds(entry.not_before),
            entry: self.ready(to_json(entry), "writing the queue")?,
        };
        self.write(Write::Push(push)).await?;
        Ok(())
    }

    async fn due(&self, now: Timestamp) -> Result<Vec<QueueEntry>, StoreError> {
        let now = to_nanoseconds(now);
        look!(self.reader, "reading the queue", read::queue::due, now)
    }

    async fn queue(&self) -> Result<Vec<QueueEntry>, StoreError> {
        look!(self.reader, "reading the queue", read::queue::due, i64::MAX)
    }

    async fn ack(&self, entry: &QueueEntry) -> Result<(), StoreError> {
        let ack = Ack {
            environment: entry.environment.clone(),
            inputs: entry.inputs.clone(),
        };
        self.write(Write::Ack(ack)).await?;
        Ok(())
    }
}

#[async_trait]
impl Audit for SqliteStore {
    async fn log(&self, entries: &[AuditEntry]) -> Result<(), AuditError> {
        let Some(log) = &self.log else {
            return Err(AuditError::Store(StoreError::Database {
                doing: "writing the audit log",
                source: "the state was opened without it".into(),
            }));
        };
        let leaves = entries
            .iter()
            .map(|entry| Leaf::of(entry, &log.veils)?.bytes());
        let entries: Result<Vec<Vec<u8>>, AuditError> = leaves.collect();
        let entries = entries?;
        if !entries.is_empty() {
            self.write(Write::Audit(Note { entries })).await?;
        }
        Ok(())
    }
}

/// The row as it is written where the front that it follows is elsewhere.
fn following(row: &EnvironmentRow) -> Result<Option<environment::Following>, Failure> {
    let (Some(branch), Some(commit)) = (&row.follows, &row.revision) else {
        return Ok(None);
    };
    let otherwise = EnvironmentRow {
        follows: None,
        ..row.clone()
    };
    Ok(Some(environment::Following {
        branch: branch.to_string(),
        commit: commit.to_string(),
        otherwise: to_json(&otherwise)?,
    }))
}

fn start_of(lease: &Lease, run: &Run, started: &Entry, rest: &Rest) -> Result<Start, Failure> {
    Ok(Start {
        environment: run.environment.clone(),
        planned: run.plan.base.serial,
        body: pack(&rest.run(run)?),
        summary: to_json(&RunSummary::begin(run))?,
        addresses: to_json(&ByDepth::of(&run.plan))?,
        steps: Arc::new(Steps::of(&run.plan)),
        started: Append {
            lease: lease.clone(),
            run: run.id.clone(),
            entries: vec![Line::new(&run.id, started.clone(), rest)?],
        },
    })
}
