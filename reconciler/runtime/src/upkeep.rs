//! Dropping what is over, beside the looks: what the state keeps, and the entries of the audit log.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use stratum_core::ids::CommitId;
use stratum_core::ports::{
    AuditError, Clock, ClockReading, Keep, Loader, Repository, Store, StoreError,
};
use stratum_core::retention::{is_doubted, proven};
use stratum_core::settings::RetentionSettings;

use crate::blocking::Blocking;
use crate::error::RuntimeError;
use crate::ports::Ports;
use crate::stop::Stop;

/// Who goes on asks so often whether upkeep is due.
const PAUSE: Duration = Duration::from_secs(60);

/// How often whoever goes on drops at a time where there is more than one call drops.
const ROUNDS: u32 = 50;

/// How long things are kept, by all settings that are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Applied {
    retention: RetentionSettings,
    /// Months of the audit log.
    months: u32,
    /// When the newest of the commits was made.
    newest: Timestamp,
}

/// Why nothing was dropped.
enum Kept {
    Failed(RuntimeError),
    /// The settings of an applied commit cannot be used.
    NoSettings,
}

impl From<RuntimeError> for Kept {
    fn from(error: RuntimeError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Kept {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<AuditError> for Kept {
    fn from(error: AuditError) -> Self {
        Self::Failed(error.into())
    }
}

/// Drops what is over.
pub(crate) struct Upkeep {
    store: Arc<dyn Store>,
    repository: Arc<dyn Repository>,
    loader: Arc<dyn Loader>,
    clock: Arc<dyn Clock>,
    blocking: Blocking,
    stop: Stop,
    /// What the monotonic clock said when the time of day was last read.
    clock_read: Mutex<Option<Duration>>,
}

impl Upkeep {
    pub(crate) fn new(ports: &Ports, blocking: Blocking, stop: &Stop) -> Self {
        Self {
            store: Arc::clone(&ports.store),
            repository: Arc::clone(&ports.repository),
            loader: Arc::clone(&ports.loader),
            clock: Arc::clone(&ports.clock),
            blocking,
            stop: stop.clone(),
            clock_read: Mutex::default(),
        }
    }

    /// Drops what is over whenever upkeep is due, until it is dropped itself. No look waits for it: it
    /// drops little at a time, and others write in between.
    pub(crate) async fn keep_up(&self) {
        loop {
            self.once(ROUNDS).await;
            self.clock.sleep(PAUSE).await;
        }
    }

    /// Drops what is over, if upkeep is due, in so many calls at most; otherwise costs next to nothing
    /// and writes nothing. What goes wrong is said and tried again later.
    ///
    /// *Guarantees*: a commit that was pushed and not accepted shortens nothing: what counts is the
    /// longest time that any environment's applied commit names, and where one of them cannot be
    /// read, nothing is dropped. Neither does a clock that nothing else bears out.
    pub(crate) async fn once(&self, rounds: u32) {
        match self.drop_old(rounds).await {
            Ok(()) => {}
            Err(Kept::NoSettings) => {
                tracing::warn!("the applied settings cannot be used, so nothing old is dropped");
            }
            Err(Kept::Failed(error)) => {
                tracing::warn!(error = %error.sentence(), "nothing old is dropped");
            }
        }
    }

    async fn drop_old(&self, rounds: u32) -> Result<(), Kept> {
        let store = &self.store;
        if !store.is_upkeep_due().await? {
            return Ok(());
        }
        let rows = store.environments().await?;
        let commits: BTreeSet<CommitId> = rows.into_iter().filter_map(|row| row.revision).collect();
        let (repository, loader) = (Arc::clone(&self.repository), Arc::clone(&self.loader));
        let reading = move || applied(repository.as_ref(), loader.as_ref(), &commits);
        let applied = self.blocking.run(reading).await?;
        let applied = applied.ok_or(Kept::NoSettings)?;
        let now = self.agreed(applied.newest).await?;
        let keep = Keep {
            settings: applied.retention,
            now,
        };
        for _ in 0..rounds {
            let dropped = store.retain(&keep).await?;
            tracing::debug!(?dropped, "dropped what is old");
            if !dropped.more || self.stop.is_stopped() {
                break;
            }
        }
        self.prune_log(now, applied.months).await
    }

    /// The time that the clock and another witness agree on.
    async fn agreed(&self, newest: Timestamp) -> Result<Timestamp, StoreError> {
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        let passed = {
            let mut read = self
                .clock_read
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let before = read.replace(monotonic);
            before.map_or_else(Default::default, |before| monotonic.saturating_sub(before))
        };
        let lived = self.store.lived(ClockReading { now, passed }).await?;
        let agreed = proven(now, Some(lived), Some(newest));
        if is_doubted(now, agreed) {
            tracing::warn!(
                clock = %now, until = %agreed,
                "the clock is further ahead than anything else bears out: less counts as old"
            );
        }
        Ok(agreed)
    }

    async fn prune_log(&self, now: Timestamp, months: u32) -> Result<(), Kept> {
        let store = &self.store;
        if !store.has_old_entries(now).await? {
            return Ok(());
        }
        for part in store.prune_log(now, months).await? {
            tracing::warn!(
                "the time of part {part} of the audit log is over; its entries are deleted"
            );
        }
        Ok(())
    }
}

/// What these commits say; `None` when the settings of one cannot be used.
fn applied(
    repository: &dyn Repository,
    loader: &dyn Loader,
    commits: &BTreeSet<CommitId>,
) -> Result<Option<Applied>, RuntimeError> {
    let mut applied: Option<Applied> = None;
    for commit in commits {
        let newest = repository.revision(commit)?.committed_at;
        let tree = repository.tree(commit)?;
        let Some(settings) = loader.settings(tree.as_ref())?.value else {
            return Ok(None);
        };
        let own = Applied {
            retention: settings.retention,
            months: settings.audit.months,
            newest,
        };
        applied = Some(applied.map_or(own, |other| other.longest(own)));
    }
    // Where nothing was applied yet, there is a default, and no other clock.
    Ok(Some(applied.unwrap_or(Applied {
        retention: RetentionSettings::default(),
        months: stratum_core::settings::AuditSettings::default().months,
        newest: Timestamp::MIN,
    })))
}

impl Applied {
    fn longest(self, other: Self) -> Self {
        Self {
            retention: self.retention.longest(other.retention),
            months: self.months.max(other.months),
            newest: self.newest.max(other.newest),
        }
    }
}
