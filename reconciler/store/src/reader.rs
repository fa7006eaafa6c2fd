//! Connections that only read.
//!
//! *Guarantees*: a reader never blocks a writer and never changes the file or its log. While
//! nobody has the file open for writing there is no log (`-wal`), and the file is read as it lies
//! there, without locks and without leaving files behind; if it turns out that a writer came
//! meanwhile, the read is done again.
//!
//! INVARIANT: a file that is read without locks is closed before this process opens it to write.
//! Closing it later would take the locks of the writing connection away, as POSIX has it
//! (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use stratum_core::ports::StoreError;
use tokio::sync::{RwLock, RwLockReadGuard};

use crate::error::Failure;

/// So many connections are kept: looks are made at once, and each reads several things at once.
const KEPT: usize = 16;

/// Opens connections that only read, and keeps some for the next reads.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    idle: Mutex<Vec<Idle>>,
    /// This process has the file open to write it, or is about to. Who reads without locks holds
    /// this for reading.
    writing: RwLock<bool>,
}

/// A connection that waits for the next read.
#[derive(Debug)]
struct Idle {
    connection: SqliteConnection,
    /// The file as it was, when it is read without locks.
    unlocked: Option<Stamp>,
}

/// One read: everything in it sees the same state.
pub(crate) struct View<'r> {
    reader: &'r Reader,
    connection: SqliteConnection,
    /// The file as it was, when it is read without locks.
    unlocked: Option<(Stamp, RwLockReadGuard<'r, bool>)>,
}

/// What tells that a file was not touched.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Reader {
    /// A reader of the file at `path` (absolute).
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            idle: Mutex::default(),
            writing: RwLock::new(false),
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until nothing of this process reads the file without locks; from then on nothing does.
    pub(crate) async fn before_writing(&self) {
        let mut writing = self.writing.write().await;
        self.close().await;
        *writing = true;
    }

    /// Begins a read.
    pub(crate) async fn view(&self) -> Result<View<'_>, StoreError> {
        const DOING: &str = "opening the state to read it";
        let writing = self.writing.read().await;
        let stamp = Stamp::of(&self.path)?;
        let alone = !*writing && !with_suffix(&self.path, "-wal").exists();
        let unlocked = alone.then_some(stamp);
        let opened = match self.idle_as(unlocked.as_ref()).await {
            Some(connection) => Ok(connection),
            None => self.connect(alone).await,
        };
        let mut connection = opened.map_err(|failure| failure.outside(&self.path, DOING))?;
        begin(&mut connection)
            .await
            .map_err(|failure| failure.outside(&self.path, DOING))?;
        Ok(View {
            reader: self,
            connection,
            unlocked: unlocked.map(|stamp| (stamp, writing)),
        })
    }

    /// Closes the connections that were kept.
    pub(crate) async fn close(&self) {
        while let Some(idle) = self.take_idle() {
            close(idle.connection).await;
        }
    }

    async fn connect(&self, unlocked: bool) -> Result<SqliteConnection, Failure> {
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .read_only(true)
            .immutable(unlocked)
            .busy_timeout(Duration::from_secs(10))
            .thread_name(|_| "state-reader".to_owned())
            .disable_statement_logging();
        Ok(options.connect().await?)
    }

    /// A connection that was kept and reads the file as it is now; others are closed.
    async fn idle_as(&self, unlocked: Option<&Stamp>) -> Option<SqliteConnection> {
        while let Some(idle) = self.take_idle() {
            if idle.unlocked.as_ref() == unlocked {
                return Some(idle.connection);
            }
            close(idle.connection).await;
        }
        None
    }

    fn take_idle(&self) -> Option<Idle> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    /// Keeps a connection for the next read; answers it when enough are kept.
    fn keep_idle(&self, connection: Idle) -> Option<Idle> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= KEPT {
            return Some(connection);
        }
        idle.push(connection);
        None
    }
}

impl View<'_> {
    /// The connection.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Ends the read; `false` when a writer came meanwhile and it must be done again.
    pub(crate) async fn stands(mut self) -> bool {
        let path = &self.reader.path;
        let ended = sqlx::query("COMMIT").execute(&mut self.connection).await;
        let stands = self.unlocked.as_ref().is_none_or(|(before, _)| {
            let alone = !with_suffix(path, "-wal").exists();
            alone && Stamp::of(path).is_ok_and(|now| now == *before)
        });
        let idle = Idle {
            connection: self.connection,
            unlocked: self.unlocked.as_ref().map(|(stamp, _)| stamp.clone()),
        };
        let surplus = match ended {
            Ok(_) if stands => self.reader.keep_idle(idle),
            Ok(_) | Err(_) => Some(idle),
        };
        if let Some(surplus) = surplus {
            close(surplus.connection).await;
        }
        stands
    }
}

impl Stamp {
    fn of(path: &Path) -> Result<Self, StoreError> {
        match fs::metadata(path) {
            Ok(data) => Ok(Self {
                length: data.len(),
                modified: data.modified().ok(),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(StoreError::Missing {
                    path: path.display().to_string(),
                })
            }
            Err(source) => Err(StoreError::Database {
                doing: "looking at the file of the state",
                source: Box::new(source),
            }),
        }
    }
}

async fn begin(connection: &mut SqliteConnection) -> Result<(), Failure> {
    sqlx::query("BEGIN").execute(connection).await?;
    Ok(())
}

/// Closes a connection that only read: whatever goes wrong with that loses nothing.
async fn close(connection: SqliteConnection) {
    if let Err(error) = sqlx::Connection::close(connection).await {
        tracing::debug!(%error, "a reading connection did not close");
    }
}

/// The path of a file that SQLite keeps beside the state.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open;

    async fn write(connection: &mut SqliteConnection) {
        sqlx::query("INSERT INTO addresses (address) VALUES ('a/b.c')")
            .execute(connection)
            .await
            .unwrap();
    }

    async fn at_rest() -> (tempfile::TempDir, Reader) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        open::create(&path).await.unwrap();
        (folder, Reader::new(path))
    }

    #[tokio::test]
    async fn a_read_without_locks_stands_when_nobody_wrote() {
        let (_folder, reader) = at_rest().await;
        let view = reader.view().await.unwrap();
        assert!(view.unlocked.is_some() && view.stands().await);
    }

    #[tokio::test]
    async fn reads_at_once_keep_their_connections() {
        let (_folder, reader) = at_rest().await;
        reader.before_writing().await;
        let idle = || reader.idle.lock().unwrap().len();
        let mut views = Vec::new();
        for _ in 0..=KEPT {
            views.push(reader.view().await.unwrap());
        }
        for view in views {
            assert!(view.stands().await);
        }
        assert_eq!(idle(), KEPT, "no more than are needed");
        let again = (reader.view().await.unwrap(), reader.view().await.unwrap());
        assert_eq!(idle(), KEPT - 2, "none was opened anew");
        assert!(again.0.stands().await && again.1.stands().await);
        reader.close().await;
        assert_eq!(idle(), 0);
    }

    #[tokio::test]
    async fn nothing_is_read_without_locks_once_this_process_writes() {
        let (_folder, reader) = at_rest().await;
        assert!(reader.view().await.unwrap().stands().await);
        let view = reader.view().await.unwrap();
        let short = Duration::from_millis(20);
        let early = tokio::time::timeout(short, reader.before_writing()).await;
        assert!(early.is_err(), "a read was going on");
        assert!(view.stands().await);
        assert!(
            reader
                .take_idle()
                .is_some_and(|idle| idle.unlocked.is_some())
        );
        reader.before_writing().await;
        let view = reader.view().await.unwrap();
        assert!(view.unlocked.is_none() && view.stands().await);
    }

    #[tokio::test]
    async fn a_kept_read_without_locks_is_not_used_after_a_write() {
        let (_folder, reader) = at_rest().await;
        let count = async || {
            let mut view = reader.view().await.unwrap();
            let sql = "SELECT count(*) FROM addresses";
            let count: i64 = sqlx::query_scalar(sql)
                .fetch_one(view.connection())
                .await
                .unwrap();
            assert!(view.unlocked.is_some() && view.stands().await);
            count
        };
        assert_eq!(count().await, 0);
        let mut writer = open::writer(reader.path(), u64::MAX).await.unwrap();
        write(&mut writer).await;
        sqlx::Connection::close(writer).await.unwrap();
        assert_eq!(count().await, 1);
    }

    #[tokio::test]
    async fn a_read_without_locks_is_void_when_a_writer_came() {
        let (_folder, reader) = at_rest().await;
        let view = reader.view().await.unwrap();
        let mut writer = open::writer(reader.path(), u64::MAX).await.unwrap();
        write(&mut writer).await;
        assert!(!view.stands().await);
        let view = reader.view().await.unwrap();
        assert!(view.unlocked.is_none() && view.stands().await);
    }

    #[tokio::test]
    async fn a_read_without_locks_is_void_when_a_writer_came_and_went() {
        let (_folder, reader) = at_rest().await;
        let view = reader.view().await.unwrap();
        let mut writer = open::writer(reader.path(), u64::MAX).await.unwrap();
        write(&mut writer).await;
        sqlx::Connection::close(writer).await.unwrap();
        assert!(!with_suffix(reader.path(), "-wal").exists());
        assert!(!view.stands().await);
    }
}
