//! The store: each method of the port as one read or one write.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::audit::{AuditEntry, Named, Principal, Role, What};
use stratum_core::ids::{Address, EnvironmentName, RunId};
use stratum_core::plan::Plan;
use stratum_core::ports::{
    AtRest, Audit, AuditError, Base, Entry, EnvironmentRow, ForgeTrouble, Lease, LeaseError,
    NoteSigner, Observation, QueueEntry, Store, StoreError, Unfinished,
};
use stratum_core::run::{Run, RunSummary};
use tokio::runtime::Handle;

use crate::error::{Failure, to_json};
use crate::lease::Held;
use crate::log::{self, Expected, Keeper, Leaf, log_folder};
use crate::open::{self, Access};
use crate::pack::pack;
use crate::read;
use crate::read::environment::Counts;
use crate::reader::Reader;
use crate::rest::Rest;
use crate::time::to_nanoseconds;
use crate::write::append::{Append, Line};
use crate::write::audit::Note;
use crate::write::lease::{Release, Renew, Take};
use crate::write::observation::Observe;
use crate::write::queue::{Ack, Push};
use crate::write::run::{Note as RunNote, Start};
use crate::write::{Write, environment};
use crate::writer::Writer;

/// The state store, queue and cache of evaluations in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    pub(crate) reader: Arc<Reader>,
    /// `None`: opened for reading only.
    writer: Option<Writer>,
    /// `None`: nothing is written to an audit log.
    log: Option<Arc<Keeper>>,
    runtime: Handle,
    pub(crate) rest: Rest,
}

/// Reads with one of the functions of [`read`], again if a writer came in between.
macro_rules! look {
    ($reader:expr, $doing:literal, $query:path $(, $argument:expr)*) => {
        loop {
            let mut view = $reader.view().await?;
            let answer = $query(view.connection() $(, $argument)*).await;
            if view.stands().await {
                break answer.map_err(|failure| failure.outside($reader.path(), $doing));
            }
        }
    };
}

impl SqliteStore {
    /// Opens the state at `path`; must be called within a tokio runtime, which does the work.
    ///
    /// *Errors*: [`StoreError::Newer`] and [`StoreError::Damaged`] leave the file as it was;
    /// [`StoreError::Missing`] when there is nothing to read.
    pub async fn open(path: &Path, access: Access) -> Result<Self, StoreError> {
        Self::open_within(path, access, u64::MAX).await
    }

    /// As [`SqliteStore::open`]; what would make the file larger than `bytes` is refused with
    /// [`StoreError::Full`], as if the disk were full.
    pub async fn open_within(path: &Path, access: Access, bytes: u64) -> Result<Self, StoreError> {
        Self::open_with(path, access, bytes, None).await
    }

    /// Opens the state for reading and writing with the audit log beside it, which is made when
    /// there is none and signed with `signer`.
    ///
    /// *Guarantees*: from then on every event of a journal and every lease is in the log by the
    /// transaction that writes it. While the log cannot be written, they are refused.
    ///
    /// *Errors*: as [`SqliteStore::open`]; [`StoreError::Audit`] when the log cannot be written, or
    /// is not as the state knows it.
    pub async fn open_logged(path: &Path, signer: Arc<dyn NoteSigner>) -> Result<Self, StoreError> {
        Self::open_with(path, Access::ReadWrite, u64::MAX, Some(signer)).await
    }

    async fn open_with(
        path: &Path,
        access: Access,
        bytes: u64,
        signer: Option<Arc<dyn NoteSigner>>,
    ) -> Result<Self, StoreError> {
        let path = open::absolute(path)?;
        let reader = Arc::new(Reader::new(path.clone()));
        let writer = match access {
            Access::ReadOnly => {
                open::check(&reader).await?;
                None
            }
            Access::ReadWrite => {
                open::create(&path).await?;
                if open::check(&reader).await?.is_old() {
                    open::migrate(&reader, bytes).await?;
                }
                Some(Writer::start(Arc::clone(&reader), bytes, signer.is_some()))
            }
        };
        let log = match (signer, &writer) {
            (Some(signer), Some(writer)) => {
                let (folder, reader) = (log_folder(&path), Arc::clone(&reader));
                Some(Keeper::start(folder, signer, reader, writer.clone()).await?)
            }
            (Some(_) | None, _) => None,
        };
        Ok(Self {
            reader,
            writer,
            log,
            runtime: Handle::current(),
            rest: Rest::default(),
        })
    }

    /// The same, with what it holds wrapped by `at_rest` while that has a key.
    pub fn wrapped_by(mut self, at_rest: Arc<dyn AtRest>) -> Self {
        self.rest = Rest::new(at_rest);
        self
    }

    /// Finishes what is being written, folds the log into the file and closes it. Writes that come
    /// later fail. A store that is dropped without this loses nothing either.
    pub async fn close(&self) {
        if let Some(log) = &self.log {
            log.close().await;
        }
        self.reader.close().await;
        if let Some(writer) = &self.writer {
            writer.close().await;
        }
    }

    /// Looks at every page of the file: what `doctor` calls. Takes a second for a gigabyte or so.
    ///
    /// *Errors*: [`StoreError::Damaged`] with what is damaged.
    pub async fn verify(&self) -> Result<(), StoreError> {
        look!(self.reader, "checking the state", open::verify)
    }

    /// How many resources an environment has; cheap, whatever their number.
    pub async fn counts(&self, environment: &EnvironmentName) -> Result<Counts, StoreError> {
        look!(
            self.reader,
            "counting the resources",
            read::environment::counts,
            environment
        )
    }

    /// Who holds the lease of an environment, if anyone does.
    pub async fn holder(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<String>, StoreError> {
        let held = look!(
            self.reader,
            "reading the lease",
            read::environment::lease,
            environment
        );
        held.map(|held| held.and_then(|held| held.holder))
    }

    /// What the state knows of its audit log, and how many transactions have entries that are not
    /// yet in its tree.
    pub async fn expected_log(&self) -> Result<(Expected, u64), StoreError> {
        let (head, waiting) = look!(self.reader, "reading the audit log", read::audit::known)?;
        let expected = Expected {
            head,
            ..Expected::default()
        };
        Ok((expected, waiting))
    }

    /// Whether the audit log has entries that are more than a month old.
    pub async fn has_old_entries(&self, now: Timestamp) -> Result<bool, AuditError> {
        match &self.log {
            Some(log) => Ok(!log.overdue(now, 1).await?.is_empty()),
            None => Ok(false),
        }
    }

    /// Deletes the entries of every part of the audit log whose month lies more than `months` months
    /// back, after the log says so; answers the parts. Their hashes stay, and all proofs hold.
    pub async fn prune_log(&self, now: Timestamp, months: u32) -> Result<Vec<String>, AuditError> {
        let Some(log) = &self.log else {
            return Ok(Vec::new());
        };
        let overdue = log.overdue(now, months).await?;
        if overdue.is_empty() {
            return Ok(Vec::new());
        }
        let entry = |what: &What| AuditEntry {
            at: now,
            environment: None,
            run: None,
            principal: Principal::Reconciler,
            what: what.clone(),
            people: Vec::new(),
        };
        let entries: Vec<_> = overdue.iter().map(|(_, what)| entry(what)).collect();
        self.log(&entries).await?;
        self.bring_in().await?;
        let mut pruned = Vec::new();
        for (part, _) in overdue {
            log.prune(part.clone()).await?;
            pruned.push(part);
        }
        Ok(pruned)
    }

    /// Brings the entries that wait into the tree of the audit log, now.
    pub async fn bring_in(&self) -> Result<(), StoreError> {
        match &self.log {
            Some(log) => log.bring_in().await,
            None => Ok(()),
        }
    }

    /// Whether an audit log is written beside it.
    pub fn audits(&self) -> bool {
        self.log.is_some()
    }

    /// How many transactions were written since it was opened.
    pub fn transactions(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::transactions)
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn shared_reader(&self) -> Arc<Reader> {
        Arc::clone(&self.reader)
    }

    pub(crate) fn shared_writer(&self) -> Option<Writer> {
        self.writer.clone()
    }

    pub(crate) async fn forge_trouble(&self) -> Result<Option<ForgeTrouble>, StoreError> {
        look!(
            self.reader,
            "reading how the forge is reached",
            read::announced::trouble
        )
    }

    pub(crate) async fn unannounced_runs(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<RunSummary>, StoreError> {
        look!(
            self.reader,
            "reading what was not announced",
            read::announced::unannounced,
            since,
            limit
        )
    }

    pub(crate) async fn evaluation(
        reader: &Reader,
        key: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        look!(
            reader,
            "reading a kept evaluation",
            read::evaluation::evaluation,
            key
        )
    }

    async fn lease(&self, environment: &EnvironmentName) -> Result<Option<Held>, StoreError> {
        look!(
            self.reader,
            "reading a lease",
            read::environment::lease,
            environment
        )
    }

    pub(crate) async fn write(&self, write: Write) -> Result<bool, StoreError> {
        let log = self.log.as_ref().filter(|_| write.is_logged());
        if let Some(log) = log {
            log.ready().await?;
        }
        match &self.writer {
            Some(writer) => {
                let answer = writer.write(write).await;
                if let (Some(log), Ok(_)) = (log, &answer) {
                    log.wake();
                }
                answer
            }
            None => Err(StoreError::Database {
                doing: crate::write::doing(&write),
                source: "the state was opened for reading only".into(),
            }),
        }
    }

    pub(crate) fn ready<T>(
        &self,
        made: Result<T, Failure>,
        doing: &'static str,
    ) -> Result<T, StoreError> {
        made.map_err(|failure| failure.outside(self.reader.path(), doing))
    }
}

pub(crate) use look;

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

    async fn put_environment(&self, lease: &Lease, row: &EnvironmentRow) -> Result<(), StoreError> {
        let text = self.ready(to_json(row), "writing what is remembered of an environment")?;
        let put = environment::Put {
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

fn start_of(lease: &Lease, run: &Run, started: &Entry, rest: &Rest) -> Result<Start, Failure> {
    let addresses = by_depth(&run.plan);
    Ok(Start {
        environment: run.environment.clone(),
        planned: run.plan.base.serial,
        body: pack(&rest.run(run)?),
        summary: to_json(&RunSummary::begin(run))?,
        addresses: to_json(&addresses)?,
        steps: addresses.into_iter().cloned().collect(),
        started: Append {
            lease: lease.clone(),
            run: run.id.clone(),
            entries: vec![Line::new(&run.id, started.clone(), rest)?],
        },
    })
}

/// The addresses of a plan, those first whose steps wait for the fewest others in a row: about the
/// order in which they are done, so that what is appended together lies together.
fn by_depth(plan: &Plan) -> Vec<&Address> {
    let mut depths: Vec<usize> = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let required = step.requires.iter();
        let below = required.filter_map(|id| depths.get(id.index()));
        depths.push(below.max().map_or(0, |depth| depth.saturating_add(1)));
    }
    let mut steps: Vec<_> = depths.into_iter().zip(&plan.steps).collect();
    steps.sort_by_key(|(depth, _)| *depth);
    steps.into_iter().map(|(_, step)| &step.address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_core::ids::StepId;
    use stratum_testkit::store::sample;

    #[test]
    fn steps_lie_in_the_order_in_which_they_are_done() {
        let environment = EnvironmentName::new("e").unwrap();
        let run = sample::run(&environment, "r", 0, 5).unwrap();
        let mut plan = (*run.plan).clone();
        for (step, required) in [(1, vec![0]), (2, vec![1]), (4, vec![0, 3])] {
            plan.steps[step].requires = required.into_iter().map(StepId).collect();
        }
        let names: Vec<String> = by_depth(&plan).iter().map(ToString::to_string).collect();
        let order = [0, 3, 1, 4, 2].map(|step| plan.steps[step].address.to_string());
        assert_eq!(names, order);
    }
}
