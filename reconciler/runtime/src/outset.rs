//! The outset of a run, or of its refusal: its id, its time, and what it is about.

use std::sync::Arc;

use jiff::Timestamp;
use stratum_core::ids::RunId;
use stratum_core::ports::{Clock, EnvironmentRow, Randomness, Repository};
use stratum_core::run::{Outset, Trigger};

use crate::blocking::Blocking;
use crate::error::RuntimeError;
use crate::head::Target;
use crate::lease::OwnLeases;
use crate::look::Look;
use crate::ports::Ports;

/// Says what begins now.
pub(crate) struct Outsets {
    repository: Arc<dyn Repository>,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    blocking: Blocking,
    leases: Arc<OwnLeases>,
}

impl Outsets {
    pub(crate) fn new(ports: &Ports, blocking: Blocking, leases: &Arc<OwnLeases>) -> Self {
        Self {
            repository: Arc::clone(&ports.repository),
            clock: Arc::clone(&ports.clock),
            randomness: Arc::clone(&ports.randomness),
            blocking,
            leases: Arc::clone(leases),
        }
    }

    fn now(&self) -> (RunId, Timestamp) {
        let now = self.clock.now();
        (RunId::at(now, self.randomness.next() as u32), now)
    }

    pub(crate) async fn of(&self, look: &Look) -> Result<Outset, RuntimeError> {
        let lease = self.leases.of(&look.target.environment).await?;
        let repository = Arc::clone(&self.repository);
        let previous = look.row.revision.clone();
        let commit = look.target.commit.clone();
        let between = previous.clone();
        let skipped = match &between {
            Some(_) => {
                let between = move || Ok(repository.between(between.as_ref(), &commit, 50)?);
                self.blocking.run(between).await?
            }
            None => Vec::new(),
        };
        let skipped = skipped.into_iter().map(|revision| revision.commit);
        let (id, started_at) = self.now();
        Ok(Outset {
            id,
            environment: look.target.environment.clone(),
            trigger: look.trigger,
            revision: look.revision.clone(),
            previous,
            skipped: skipped
                .filter(|commit| *commit != look.target.commit)
                .collect(),
            lease: lease.number,
            started_at,
            on_failure: look.target.own().on_failure,
        })
    }

    /// Of a commit that was not read.
    pub(crate) async fn unread(
        &self,
        target: &Target,
        row: &EnvironmentRow,
    ) -> Result<Outset, RuntimeError> {
        let lease = self.leases.of(&target.environment).await?;
        let (repository, commit) = (Arc::clone(&self.repository), target.commit.clone());
        let revision = self.blocking.run(move || Ok(repository.revision(&commit)?));
        let revision = revision.await?;
        let (id, started_at) = self.now();
        Ok(Outset {
            id,
            environment: target.environment.clone(),
            trigger: Trigger::Push,
            revision,
            previous: row.revision.clone(),
            skipped: Vec::new(),
            lease: lease.number,
            started_at,
            on_failure: target.own().on_failure,
        })
    }
}
