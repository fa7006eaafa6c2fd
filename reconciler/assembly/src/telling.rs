//! What the reconciler does is told to the forge, off its loop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stratum_core::finding::any_error;
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::ports::{Announcements, Forge, Store, StoreError};
use stratum_forge::announce::{Announcer, Around};
use stratum_forge::github::GitHub;
use stratum_runtime::Progress;
use stratum_store::SqliteStore;
use tokio::sync::mpsc;

use crate::clock::SystemClock;

/// How long the forge may take after a single look; a quarter of it for one thing.
pub const TELLING: Duration = Duration::from_secs(60);

/// What waits on its way to the announcer.
const TOLD_AT_ONCE: usize = 256;

/// Who tells the forge, where one is named.
pub async fn announcer(
    forge: Option<&Arc<GitHub>>,
    store: &Arc<SqliteStore>,
) -> Result<Option<Arc<Announcer>>, StoreError> {
    let Some(forge) = forge else {
        // No forge is told any more, so nothing keeps it from being told.
        if store.trouble().await?.is_some() {
            store.note_trouble(None).await?;
        }
        return Ok(None);
    };
    Ok(Some(Announcer::new(Around {
        forge: Arc::clone(forge) as Arc<dyn Forge>,
        store: Arc::clone(store) as Arc<dyn Store>,
        announcements: Arc::clone(store) as Arc<dyn Announcements>,
        clock: Arc::new(SystemClock::new()),
    })))
}

/// After a single look the forge is told at once, as far as it answers; the rest is told by the
/// next reconciler.
pub async fn tell_once(announcer: Option<&Announcer>) {
    let Some(announcer) = announcer else { return };
    match tokio::time::timeout(TELLING, announcer.tell_all()).await {
        Ok(Ok(_)) if announcer.waiting() == 0 => {}
        Ok(Ok(_)) | Err(_) => {
            tracing::warn!(
                waiting = announcer.waiting(),
                "the forge was not told everything; the next reconciler tells it"
            );
        }
        Ok(Err(error)) => tracing::warn!(%error, "what the forge was not told cannot be read"),
    }
}

/// Tells the announcer what the loop says, off the loop.
pub fn telling(announcer: Arc<Announcer>) -> mpsc::Sender<Telling> {
    let (sender, mut receiver) = mpsc::channel(TOLD_AT_ONCE);
    tokio::spawn(async move {
        while let Some(telling) = receiver.recv().await {
            match telling {
                Telling::Ended => announcer.wake(),
                Telling::Begun(environment, commit) => {
                    announcer.begun(&environment, &commit).await;
                }
                Telling::Stalled(environment, commit, reason) => {
                    announcer.stalled(&environment, &commit, &reason).await;
                }
            }
        }
    });
    sender
}

/// What the announcer is told.
pub enum Telling {
    /// A run of this commit began.
    Begun(EnvironmentName, CommitId),
    /// This commit is not carried out, and why.
    Stalled(EnvironmentName, CommitId, String),
    /// A run ended, or was recorded: how is in the store.
    Ended,
}

/// Passes on what people on the forge wait for. A full channel loses a "pending" and nothing else:
/// how a run ended is in the store.
pub fn tell(
    told: &mpsc::Sender<Telling>,
    planned: &Mutex<BTreeMap<EnvironmentName, CommitId>>,
    progress: &Progress,
) {
    let mut planned = planned.lock().unwrap_or_else(PoisonError::into_inner);
    let telling = match progress {
        Progress::Planned { plan, .. } => {
            planned.insert(plan.environment.clone(), plan.revision.clone());
            return;
        }
        Progress::Started { environment, .. } => match planned.remove(environment) {
            Some(commit) => Telling::Begun(environment.clone(), commit),
            None => return,
        },
        Progress::Ended(report) if report.run.is_some() => Telling::Ended,
        Progress::Recorded { .. } => Telling::Ended,
        Progress::Ended(report) if any_error(&report.findings) => {
            let Some(commit) = report.commit.clone() else {
                return;
            };
            let environment = report.environment.clone();
            Telling::Stalled(environment, commit, report.reason.clone())
        }
        Progress::Ended(_)
        | Progress::Looking { .. }
        | Progress::Step { .. }
        | Progress::Turned
        | Progress::News(_)
        | Progress::RecordsWait(_)
        | Progress::CommitsUnkept(_)
        | Progress::Trouble(_) => return,
    };
    let _full = told.try_send(telling);
}
