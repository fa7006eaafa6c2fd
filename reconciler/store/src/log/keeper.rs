//! Keeps the log: what waits in the state is brought into the tree a moment later, beside the
//! work; when that fails, nothing more is begun until it succeeds.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use stratum_core::audit::What;
use stratum_core::ports::{NoteSigner, StoreError};
use tokio::sync::Notify;

use crate::error::Failure;
use crate::log::integrate::{Head, ahead, integrate, lock, settled};
use crate::log::keys::LogKey;
use crate::log::leaf;
use crate::log::part::LogError;
use crate::log::prune::{overdue, prune};
use crate::log::veil::Veils;
use crate::pack::unpack_bytes;
use crate::read;
use crate::read::audit::Waiting;
use crate::reader::Reader;
use crate::write::Write;
use crate::write::audit::Integrated;
use crate::writer::Writer;

/// How long entries wait to be brought in together.
const WAIT: Duration = Duration::from_secs(1);
/// When this many transactions wait, they wait no longer.
const MANY: u64 = 256;
/// The most bytes that are brought in at once.
const AT_ONCE: i64 = 16 * 1024 * 1024;

/// The log of one state.
pub(crate) struct Keeper {
    folder: PathBuf,
    signer: Arc<dyn NoteSigner>,
    pub(crate) veils: Veils,
    reader: Arc<Reader>,
    writer: Writer,
    /// Entries came.
    came: Arc<Notify>,
    waiting: AtomicU64,
    closed: AtomicBool,
    /// Why the last attempt failed.
    trouble: Mutex<Option<Trouble>>,
    /// One attempt at a time.
    busy: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Trouble {
    reason: String,
    passes: bool,
}

impl Keeper {
    /// Makes sure that the log is as the state knows it, and starts the task that brings in.
    pub(crate) async fn start(
        folder: PathBuf,
        signer: Arc<dyn NoteSigner>,
        reader: Arc<Reader>,
        writer: Writer,
    ) -> Result<Arc<Self>, StoreError> {
        let keys = folder.join("keys");
        let keeper = Arc::new(Self {
            veils: Veils::new(folder.join("people"), Arc::clone(&signer)),
            folder,
            signer,
            reader,
            writer,
            came: Arc::new(Notify::new()),
            waiting: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            trouble: Mutex::default(),
            busy: tokio::sync::Mutex::new(()),
        });
        let Waiting { head, rows, .. } = keeper.waiting_rows().await?;
        if !keeper.is_settled(head.clone(), rows.is_empty()).await? {
            keeper.look_closer(keys, head).await?;
        }
        tokio::spawn(serve(Arc::downgrade(&keeper), Arc::clone(&keeper.came)));
        Ok(keeper)
    }

    /// Whether nothing waits, and the log is as the state knows it.
    async fn is_settled(&self, head: Option<Head>, none_waits: bool) -> Result<bool, StoreError> {
        let Some(head) = head.filter(|_| none_waits) else {
            return Ok(false);
        };
        let folder = self.folder.clone();
        let looked = off_the_loop(move || Ok(settled(&folder, &head))).await;
        looked.map_err(|error| self.refusal(&Trouble::of(&error)))
    }

    /// Makes sure that the log can be signed and is not less than the state knows, and brings in
    /// what an earlier process left waiting.
    async fn look_closer(&self, keys: PathBuf, head: Option<Head>) -> Result<(), StoreError> {
        let signer = Arc::clone(&self.signer);
        let opened = off_the_loop(move || Ok(LogKey::open(&keys, signer.as_ref())?)).await;
        opened.map_err(|error| self.refusal(&Trouble::of(&error)))?;
        let (folder, signer) = (self.folder.clone(), Arc::clone(&self.signer));
        let check = move || ahead(&folder, signer.as_ref(), head.as_ref()).map(drop);
        let checked = off_the_loop(check).await;
        checked.map_err(|error| self.refusal(&Trouble::of(&error)))?;
        self.bring_in().await
    }

    /// Entries were written by a transaction.
    pub(crate) fn wake(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.came.notify_one();
    }

    /// Whether more may be written: not while what was written cannot be brought in.
    pub(crate) async fn ready(&self) -> Result<(), StoreError> {
        match self.trouble() {
            Some(_) => self.bring_in().await,
            None => Ok(()),
        }
    }

    /// Brings in all that waits now. What comes meanwhile waits for the next time, so that many come
    /// together however fast they come.
    pub(crate) async fn bring_in(&self) -> Result<(), StoreError> {
        let _one = self.busy.lock().await;
        self.waiting.store(0, Ordering::Relaxed);
        let done = self.attempt().await;
        let trouble = done.as_ref().err().map(Trouble::of_either);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        done.map_err(|failed| match failed {
            Failed::Store(error) => error,
            Failed::Log(error) => self.refusal(&Trouble::of(&error)),
        })
    }

    async fn attempt(&self) -> Result<(), Failed> {
        let folder = self.folder.clone();
        // Held from reading what waits until it is dropped: no other process comes in between.
        let _lock = off_the_loop(move || lock(&folder)).await?;
        let mut until = None;
        loop {
            let Waiting { head, rows, newest } = self.waiting_rows().await?;
            let until = *until.get_or_insert(newest);
            let Some(last) = rows.last().map(|(id, _)| *id) else {
                return Ok(());
            };
            let (folder, signer) = (self.folder.clone(), Arc::clone(&self.signer));
            let work = move || {
                let bundles: Result<Vec<Vec<u8>>, LogError> = rows
                    .iter()
                    .map(|(_, packed)| unpacked(&folder, packed))
                    .collect();
                let bundles = bundles?;
                let entries = bundles.iter().filter_map(|bundle| leaf::entries(bundle));
                let entries: Vec<&[u8]> = entries.flatten().collect();
                integrate(&folder, signer.as_ref(), head.as_ref(), &entries)
            };
            let Some(head) = off_the_loop(work).await? else {
                return Ok(());
            };
            let integrated = Write::Integrated(Integrated { last, head });
            self.writer.write(integrated).await?;
            if Some(last) >= until {
                return Ok(());
            }
        }
    }

    async fn waiting_rows(&self) -> Result<Waiting, StoreError> {
        loop {
            let mut view = self.reader.view().await?;
            let answer = read::audit::waiting(view.connection(), AT_ONCE).await;
            if view.stands().await {
                let doing = "reading the entries that wait for the audit log";
                return answer
                    .map_err(|failure: Failure| failure.outside(self.reader.path(), doing));
            }
        }
    }

    /// The parts whose time is over, with what the log must say first.
    pub(crate) async fn overdue(
        &self,
        now: Timestamp,
        months: u32,
    ) -> Result<Vec<(String, What)>, StoreError> {
        let (folder, signer) = (self.folder.clone(), Arc::clone(&self.signer));
        let found = off_the_loop(move || overdue(&folder, signer.as_ref(), now, months)).await;
        found.map_err(|error| self.refusal(&Trouble::of(&error)))
    }

    /// Deletes the entries of a part.
    pub(crate) async fn prune(&self, part: String) -> Result<(), StoreError> {
        let folder = self.folder.clone();
        let done = off_the_loop(move || prune(&folder, &part)).await;
        done.map_err(|error| self.refusal(&Trouble::of(&error)))
    }

    /// Ends the task, and brings in what waits.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.came.notify_one();
        if let Err(error) = self.bring_in().await {
            tracing::warn!(%error, "entries of the audit log wait in the state for the next start");
        }
    }

    fn can_wait(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < MANY && !self.is_closed()
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn trouble(&self) -> Option<Trouble> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
    }

    fn refusal(&self, trouble: &Trouble) -> StoreError {
        StoreError::Audit {
            folder: self.folder.display().to_string(),
            reason: trouble.reason.clone(),
            passes: trouble.passes,
        }
    }
}

/// Brings in what came, a moment after it came, until the log is closed or dropped.
async fn serve(keeper: Weak<Keeper>, came: Arc<Notify>) {
    loop {
        came.notified().await;
        let many = async {
            while keeper.upgrade().is_some_and(|keeper| keeper.can_wait()) {
                came.notified().await;
            }
        };
        // Either is fine: this only decides how many come together.
        let _ = tokio::time::timeout(WAIT, many).await;
        let Some(keeper) = keeper.upgrade().filter(|keeper| !keeper.is_closed()) else {
            return;
        };
        if let Err(error) = keeper.bring_in().await {
            tracing::warn!(%error, "nothing more is begun until the audit log can be written");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.came.notify_one();
    }
}

/// Why an attempt failed.
enum Failed {
    Store(StoreError),
    Log(LogError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<LogError> for Failed {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl Trouble {
    fn of(error: &LogError) -> Self {
        Self {
            reason: sentence(error),
            passes: error.passes(),
        }
    }

    fn of_either(failed: &Failed) -> Self {
        match failed {
            Failed::Log(error) => Self::of(error),
            Failed::Store(error) => Self {
                reason: error.to_string(),
                passes: true,
            },
        }
    }
}

/// An error with all that is behind it.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

fn unpacked(folder: &std::path::Path, packed: &[u8]) -> Result<Vec<u8>, LogError> {
    unpack_bytes(packed).map_err(|error| LogError::altered(folder, sentence(&error)))
}

async fn off_the_loop<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| {
        Err(LogError::File {
            path: PathBuf::new(),
            source: std::io::Error::other("the task was ended"),
        })
    })
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}
