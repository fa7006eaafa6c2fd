//! The port of runs and their journals.

use std::sync::Arc;

use async_trait::async_trait;
use stratum_core::audit::{Named, Role};
use stratum_core::ids::{EnvironmentName, RunId};
use stratum_core::ports::{Entry, Journals, Lease, OpenRun, StoreError, Unfinished};
use stratum_core::run::{Run, RunSummary};

use crate::error::{Failure, to_json};
use crate::log;
use crate::pack::pack;
use crate::read;
use crate::rest::Rest;
use crate::steps::{ByDepth, Steps};
use crate::store::{SqliteStore, look};
use crate::write::Write;
use crate::write::append::{Append, Line};
use crate::write::run::{Note as RunNote, Start};

#[async_trait]
impl Journals for SqliteStore {
    async fn start(&self, lease: &Lease, run: &Run, started: &Entry) -> Result<(), StoreError> {
        let key = self.rest.key();
        let mut start = self.ready(start_of(lease, run, started, &self.rest), "starting a run")?;
        start.started.under = self.under(key);
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
        let key = self.rest.key();
        let line = |entry| Line::new(run, entry, &self.rest);
        let lines: Result<Vec<Line>, Failure> = entries.into_iter().map(line).collect();
        let append = Append {
            lease: lease.clone(),
            run: run.clone(),
            entries: self.ready(lines, "appending to a journal")?,
            under: self.under(key),
        };
        self.write(Write::Append(append)).await?;
        Ok(())
    }

    async fn note_run(&self, lease: &Lease, summary: &RunSummary) -> Result<(), StoreError> {
        let note = self.ready(RunNote::new(lease, summary), "writing a run")?;
        self.write(Write::Note(note)).await?;
        Ok(())
    }

    async fn open_runs(
        &self,
        after: Option<&RunId>,
        limit: u32,
    ) -> Result<Vec<OpenRun>, StoreError> {
        look!(
            self.reader,
            "reading the open runs",
            read::run::open,
            after,
            limit
        )
    }

    async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        look!(
            self.reader,
            "reading the unfinished runs",
            read::run::unfinished,
            &self.rest
        )
    }

    async fn journal(&self, run: &RunId) -> Result<Option<Unfinished>, StoreError> {
        look!(
            self.reader,
            "reading a run",
            read::run::journal,
            run,
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
}

fn start_of(lease: &Lease, run: &Run, started: &Entry, rest: &Rest) -> Result<Start, Failure> {
    Ok(Start {
        environment: run.environment.clone(),
        planned: run.plan().base.serial,
        body: pack(&rest.run(run)?),
        summary: to_json(&RunSummary::begin(run.about()))?,
        addresses: to_json(&ByDepth::of(run.plan()))?,
        steps: Arc::new(Steps::of(run.plan())),
        started: Append {
            lease: lease.clone(),
            run: run.id.clone(),
            under: None,
            entries: vec![Line::new(&run.id, started.clone(), rest)?],
        },
    })
}
