//! The store: what it is opened from, and what of it is no port.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{AtRest, Clock, ForgeTrouble, NoteSigner, StoreError};
use stratum_core::run::RunSummary;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::error::Failure;
use crate::lease::Held;
use crate::log::{Expected, Keeper, log_folder};
use crate::open::{self, Access};
use crate::presence::Presence;
use crate::read;
use crate::read::environment::Counts;
use crate::reader::Reader;
use crate::rest::Rest;
use crate::write::Write;
use crate::writer::Writer;

/// The state store, queue and cache of evaluations in one SQLite file.
pub struct SqliteStore {
    pub(crate) reader: Arc<Reader>,
    /// `None`: opened for reading only.
    writer: Option<Writer>,
    /// `None`: nothing is written to an audit log.
    pub(crate) log: Option<Arc<Keeper>>,
    runtime: Handle,
    pub(crate) rest: Rest,
    /// What tells others that this process lives, once it has held a lease.
    pub(crate) presence: Mutex<Option<Presence>>,
    /// `None`: the clock of this machine.
    clock: Option<Arc<dyn Clock>>,
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
                open::own(&path)?;
                let header = open::check(&reader).await?;
                if header.is_old() {
                    open::migrate(&reader, header.format, bytes).await?;
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
            presence: Mutex::default(),
            clock: None,
        })
    }

    /// The same, with a clock of its own: what tests and simulations move.
    pub fn timed_by(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The same, as a holder of leases of which nobody can tell whether it lives: what another
    /// machine looks like, for tests.
    pub fn known_as(mut self, holder: &str) -> Self {
        self.presence = Mutex::new(Some(Presence::elsewhere(holder)));
        self
    }

    /// The time of the store.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock
            .as_ref()
            .map_or_else(Timestamp::now, |clock| clock.now())
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
        self.presence.lock().await.take();
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

    /// How many resources every environment has, by name; one look at all of them.
    pub async fn all_counts(&self) -> Result<BTreeMap<String, Counts>, StoreError> {
        look!(
            self.reader,
            "counting the resources",
            read::environment::all_counts
        )
    }

    /// The last run of every environment, by name; one look at all of them.
    pub async fn last_runs(&self) -> Result<BTreeMap<String, RunSummary>, StoreError> {
        look!(self.reader, "reading the history", read::run::last_of_each)
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

    pub(crate) async fn lease(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<Held>, StoreError> {
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

    /// The key that rows were wrapped under which were made between reading `before` and now; `None`
    /// when it changed meanwhile, or there is none.
    pub(crate) fn under(&self, before: Option<String>) -> Option<String> {
        let now = self.rest.key();
        before.filter(|before| now.as_ref() == Some(before))
    }

    pub(crate) fn ready<T>(
        &self,
        made: Result<T, Failure>,
        doing: &'static str,
    ) -> Result<T, StoreError> {
        made.map_err(|failure| failure.outside(self.reader.path(), doing))
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.reader.path())
            .field("logged", &self.log.is_some())
            .finish_non_exhaustive()
    }
}

pub(crate) use look;
