//! Writing records to git, once for each run, whenever the repository can be reached.

use std::sync::Arc;

use stratum_core::ids::{CommitId, RunId};
use stratum_core::journal::Event;
use stratum_core::ports::{Entry, Lease, Publication, Unfinished};
use stratum_core::record;

use crate::error::RuntimeError;
use crate::progress::Progress;
use crate::reconcile::Reconciler;

impl Reconciler {
    /// Publishes the record of a run that ended. What fails waits in the store and is tried again.
    pub(crate) async fn publish(self: &Arc<Self>, run: &RunId, lease: &Lease) {
        self.waits_for_git(run);
        match self.try_publish(run, lease).await {
            Ok(Some(commit)) => {
                self.is_recorded(run);
                (self.progress)(&Progress::Recorded {
                    run: run.clone(),
                    commit,
                });
            }
            Ok(None) => self.is_recorded(run),
            Err(error) => {
                let reason = error.sentence();
                tracing::warn!(%run, error = %reason, "the record waits to be published");
                let text = format!("the record of {run} waits: {reason}");
                (self.progress)(&Progress::Trouble(text));
            }
        }
    }

    async fn try_publish(
        self: &Arc<Self>,
        run: &RunId,
        lease: &Lease,
    ) -> Result<Option<CommitId>, RuntimeError> {
        let Some(stored) = self.ports.store.run(run).await? else {
            return Ok(None);
        };
        let branch = self.record_branch();
        let Some(publication) = publication(&stored, branch) else {
            return Ok(None);
        };
        let own = Arc::clone(self);
        let commit = self
            .blocking(move || Ok(own.ports.repository.publish(&publication)?))
            .await?;
        let entry = Entry {
            at: self.ports.clock.now(),
            event: Event::Recorded {
                commit: commit.clone(),
            },
            change: None,
        };
        self.ports.store.append(lease, run, vec![entry]).await?;
        Ok(Some(commit))
    }

    /// Publishes every record that waits.
    pub(crate) async fn publish_waiting(self: &Arc<Self>) {
        if !self.records_wait() {
            return;
        }
        let waiting = match self.ports.store.unfinished().await {
            Ok(waiting) => waiting,
            Err(error) => {
                return tracing::warn!(%error, "waiting records could not be read");
            }
        };
        for left in waiting {
            let ended = record::outcome(&left.run.plan, &left.events).is_some();
            if !ended {
                continue;
            }
            match self.lease(&left.run.environment).await {
                Ok(lease) => self.publish(&left.run.id, &lease).await,
                Err(error) => tracing::info!(%error, "the record is left to the lease's holder"),
            }
        }
    }
}

/// The record of a run that ended and is not yet in git.
fn publication(stored: &Unfinished, branch: stratum_core::ids::BranchName) -> Option<Publication> {
    let Unfinished { run, events } = stored;
    if events
        .iter()
        .any(|(_, event)| matches!(event, Event::Recorded { .. }))
    {
        return None;
    }
    let outcome = record::outcome(&run.plan, events)?;
    let line = record::line(run, &outcome);
    let markdown = record::markdown(run, &outcome, events);
    Some(Publication {
        run: run.id.clone(),
        branch,
        from: None,
        files: vec![(record::path(run), markdown.into_bytes())],
        message: line.clone(),
        at: outcome.ended_at,
        note: Some((run.revision.commit.clone(), line)),
    })
}
