//! How long the entries of the audit log are kept: `audit.months` of what was applied.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stratum_core::ids::CommitId;
use stratum_core::ports::{LoadError, Loader, Repository, RepositoryError, Store as _};
use stratum_core::settings::AuditSettings;
use stratum_runtime::Ports;
use stratum_store::SqliteStore;

use crate::failure::CommandError;

/// How often a reconciler that goes on looks for entries whose time is over.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Deletes entries whose time is over.
#[derive(Clone)]
pub(crate) struct Retention {
    store: Arc<SqliteStore>,
    repository: Arc<dyn Repository>,
    loader: Arc<dyn Loader>,
}

impl Retention {
    /// Over the log beside this state, by the settings that these ports read.
    pub(crate) fn new(store: &Arc<SqliteStore>, ports: &Ports) -> Self {
        Self {
            store: Arc::clone(store),
            repository: Arc::clone(&ports.repository),
            loader: Arc::clone(&ports.loader),
        }
    }

    /// Deletes, after the log says so; answers the parts.
    ///
    /// *Guarantees*: a commit that was pushed and not accepted shortens nothing: what counts is the
    /// longest time that any environment's applied commit names. Where one cannot be read, nothing
    /// is deleted.
    pub(crate) async fn prune(&self, now: Timestamp) -> Result<Vec<String>, CommandError> {
        if !self.store.has_old_entries(now).await? {
            return Ok(Vec::new());
        }
        let rows = self.store.environments().await?;
        let applied: Vec<CommitId> = rows.into_iter().filter_map(|row| row.revision).collect();
        let own = self.clone();
        let months = tokio::task::spawn_blocking(move || own.months(&applied)).await;
        match months.unwrap_or(Ok(None)) {
            Ok(Some(months)) => Ok(self.store.prune_log(now, months).await?),
            Ok(None) => {
                tracing::warn!("the applied settings cannot be read: the audit log keeps it all");
                Ok(Vec::new())
            }
            Err(error) => {
                tracing::warn!(%error, "the audit log keeps everything");
                Ok(Vec::new())
            }
        }
    }

    /// The longest time of these commits; `None` when the settings of one cannot be used.
    fn months(&self, applied: &[CommitId]) -> Result<Option<u32>, Unread> {
        let mut longest = None;
        for commit in applied {
            let tree = self.repository.tree(commit)?;
            let Some(settings) = self.loader.settings(tree.as_ref())?.value else {
                return Ok(None);
            };
            longest = longest.max(Some(settings.audit.months));
        }
        Ok(longest.or(Some(AuditSettings::default().months)))
    }

    /// Goes on deleting, once a day, for as long as the process lives.
    pub(crate) fn watch(self) {
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                match self.prune(Timestamp::now()).await {
                    Ok(parts) => parts
                        .iter()
                        .for_each(|part| tracing::info!("{}", over(part))),
                    Err(error) => tracing::warn!(error = error.message(), "nothing was deleted"),
                }
            }
        });
    }
}

/// What is said of a part whose entries were deleted.
pub(crate) fn over(part: &str) -> String {
    format!("the time of part {part} of the audit log is over; its entries are deleted")
}

/// Why the settings of a commit were not read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("the applied commit cannot be read")]
    Repository(#[from] RepositoryError),
    #[error("its settings cannot be read")]
    Load(#[from] LoadError),
}
