//! Opening the file: checks before anything is touched, creation, migration.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use stratum_core::ports::StoreError;

use crate::error::{Failure, damaged, unreadable};
use crate::presence::random;
use crate::reader::{Reader, with_suffix};
use crate::schema::{self, Header};

/// Stands in the name of a state that is being made, before 16 digits.
const DRAFT: &str = ".new-";

/// A draft that is older, and that nobody holds, is left from a process that ended.
const LEFT: Duration = Duration::from_secs(60);

/// What a process wants to do with the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and write; creates what is not there.
    ReadWrite,
    /// Only read; creates nothing, blocks nobody.
    ReadOnly,
}

/// Small pages: an append of a few hundred bytes rewrites whole pages.
const PAGE_BYTES: u32 = 1024;
/// The most pages SQLite can hold. *Source*: <https://www.sqlite.org/limits.html>, item 13.
const MOST_PAGES: u64 = 4_294_967_294;
/// The log is folded into the file when it has this many pages.
const LOG_PAGES: u32 = 8 * 1024;
/// A log that grew beyond this is cut when it is folded.
const LOG_BYTES: u32 = 16 * 1024 * 1024;

/// Checks the file with a connection that only reads: nothing is written, whatever is found.
pub(crate) async fn check(reader: &Reader) -> Result<Header, StoreError> {
    let path = reader.path();
    if fs::metadata(path).is_ok_and(|data| data.len() == 0) {
        return Err(damaged(path, "it is empty"));
    }
    loop {
        let mut view = reader.view().await?;
        let header = schema::header(view.connection()).await;
        if view.stands().await {
            let header = header.map_err(|failure| failure.outside(path, "reading its format"))?;
            return judge(path, header);
        }
    }
}

fn judge(path: &Path, header: Header) -> Result<Header, StoreError> {
    if header.application != schema::APPLICATION {
        return Err(damaged(path, "it is a database of another program"));
    }
    if header.format > schema::KNOWN {
        return Err(StoreError::Newer {
            path: path.display().to_string(),
            found: header.format,
            known: schema::KNOWN,
        });
    }
    Ok(header)
}

/// Looks at every page, row and index.
pub(crate) async fn verify(connection: &mut SqliteConnection) -> Result<(), Failure> {
    let lines: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(5)")
        .fetch_all(connection)
        .await?;
    match lines.as_slice() {
        [line] if line == "ok" => Ok(()),
        lines => Err(unreadable("the file".to_owned(), lines.join("; "))),
    }
}

/// Creates the file if there is none, as a whole or not at all.
///
/// Only its owner may read it. It is made under another name and then linked to its own: whoever comes second finds it made.
pub(crate) async fn create(path: &Path) -> Result<(), StoreError> {
    if path.exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        private_folder(folder).map_err(|error| io_failure(error, "creating its folder"))?;
    }
    sweep(path);
    let draft = with_suffix(path, &format!("{DRAFT}{:016x}", random()));
    let made = fill(&draft).await.and_then(|()| publish(&draft, path));
    discard(&draft);
    made
}

/// Makes a folder that only its owner may enter, where there is none.
fn private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

/// Refuses to write a state that another user could have laid there: through a link, in a file of
/// another, in a folder of another or that everybody may write.
///
/// *Errors*: [`StoreError::Unsafe`].
pub(crate) fn own(path: &Path) -> Result<(), StoreError> {
    safe_for(path, rustix::process::geteuid().as_raw())
}

/// Whether a state could be another's than its owner's, whoever asks: what its reconciler refuses.
///
/// *Errors*: [`StoreError::Unsafe`].
pub fn is_safe(path: &Path) -> Result<(), StoreError> {
    let found = fs::metadata(path);
    let found = found.map_err(|error| io_failure(error, "looking whose the state is"))?;
    safe_for(path, found.uid())
}

fn safe_for(path: &Path, own: u32) -> Result<(), StoreError> {
    let unsafe_for = |path: &Path, what: String| StoreError::Unsafe {
        path: path.display().to_string(),
        what,
    };
    let look = |path: &Path, follow: bool| {
        let found = match follow {
            true => fs::metadata(path),
            false => fs::symlink_metadata(path),
        };
        found.map_err(|error| io_failure(error, "looking whose the state is"))
    };
    for file in ["", "-wal", "-shm"].map(|suffix| with_suffix(path, suffix)) {
        if !file.exists() && !file.is_symlink() {
            continue;
        }
        let found = look(&file, false)?;
        if !found.is_file() {
            return Err(unsafe_for(&file, "it is a link, or no file".to_owned()));
        }
        if found.uid() != own {
            let what = format!(
                "it belongs to user {}, and whoever reconciles is user {own}",
                found.uid()
            );
            return Err(unsafe_for(&file, what));
        }
        if found.mode() & 0o022 != 0 {
            let what = "others than its owner may write it".to_owned();
            return Err(unsafe_for(&file, what));
        }
    }
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    for found in [look(folder, false)?, look(folder, true)?] {
        if found.uid() != own && found.uid() != 0 {
            let what = format!(
                "it belongs to user {}, and whoever reconciles is user {own}",
                found.uid()
            );
            return Err(unsafe_for(folder, what));
        }
        if found.is_dir() && found.mode() & 0o1002 == 0o002 {
            let what = "everybody may put files there".to_owned();
            return Err(unsafe_for(folder, what));
        }
    }
    Ok(())
}

/// Takes away drafts of processes that are gone: whoever makes one keeps a lock on it.
fn sweep(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return;
    };
    let prefix = format!("{}{DRAFT}", name.to_string_lossy());
    // What cannot be looked at stays, and is in nobody's way.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        // One that was made a moment ago may not be locked yet.
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if id.is_some_and(|id| id.len() == 16)
            && age().is_some_and(|age| age > LEFT)
            && fs::File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok())
        {
            discard(&entry.path());
        }
    }
}

fn discard(draft: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        remove(&with_suffix(draft, suffix));
    }
}

async fn fill(draft: &Path) -> Result<(), StoreError> {
    const DOING: &str = "creating the state";
    let outside = |failure: Failure| failure.outside(draft, DOING);
    // The state may hold what only its owner should read; SQLite gives its log the same mode.
    let mut private = fs::OpenOptions::new();
    let private = private.write(true).create_new(true).mode(0o600).open(draft);
    let locked = private.and_then(|file| file.lock().map(|()| file));
    let _lock = locked.map_err(|error| io_failure(error, DOING))?;
    let options = options(draft)
        .page_size(PAGE_BYTES)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal);
    let opened = options.connect().await;
    let mut connection = opened.map_err(|error| outside(error.into()))?;
    schema::migrate(&mut connection).await.map_err(outside)?;
    let closed = connection.close().await;
    closed.map_err(|error| outside(error.into()))
}

fn publish(draft: &Path, path: &Path) -> Result<(), StoreError> {
    match fs::hard_link(draft, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(io_failure(error, "creating the state")),
    }
    let folder = path.parent().map(fs::File::open);
    match folder {
        Some(Ok(folder)) => folder
            .sync_all()
            .map_err(|error| io_failure(error, "creating the state")),
        Some(Err(error)) => Err(io_failure(error, "creating the state")),
        None => Ok(()),
    }
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, path = %path.display(), "a draft is left behind"),
    }
}

/// Brings the file to the newest format, after a copy of it was made that is as it was; see
/// [`copy_of`].
pub(crate) async fn migrate(reader: &Reader, format: i64, bytes: u64) -> Result<(), StoreError> {
    reader.before_writing().await;
    let path = reader.path();
    let copy = copy_of(path, format);
    keep_copy(path, &copy, bytes).await?;
    let mut connection = writer(path, bytes).await?;
    let noted = note_copy(&mut connection, &copy, format).await;
    noted.map_err(|failure| failure.outside(path, "noting where its copy is"))?;
    // Room that nothing needs can be given back from now on. A disk that is too full for it now
    // keeps nobody from going on.
    for sql in ["PRAGMA auto_vacuum = INCREMENTAL", "VACUUM"] {
        if let Err(error) = sqlx::query(sql).execute(&mut connection).await {
            tracing::warn!(%error, "the state cannot give room back");
        }
    }
    let closed = connection.close().await;
    closed.map_err(|error| Failure::from(error).outside(reader.path(), "closing the state"))
}

/// Where the copy of a state lies that was of this format.
pub(crate) fn copy_of(path: &Path, format: i64) -> PathBuf {
    with_suffix(path, &format!(".format-{format}"))
}

/// Makes the copy, as a whole or not at all; one that is there is replaced.
async fn keep_copy(path: &Path, copy: &Path, bytes: u64) -> Result<(), StoreError> {
    const DOING: &str = "keeping a copy of the state before it is brought to a newer format";
    let draft = with_suffix(copy, ".new");
    remove(&draft);
    let mut private = fs::OpenOptions::new();
    let private = private.write(true).create_new(true).mode(0o600);
    let file = private
        .open(&draft)
        .map_err(|error| io_failure(error, DOING))?;
    let outside = |error: sqlx::Error| Failure::from(error).outside(path, DOING);
    let mut connection = connect(path, bytes).await.map_err(outside)?;
    let made = sqlx::query("VACUUM main INTO ?")
        .bind(draft.display().to_string())
        .execute(&mut connection)
        .await;
    let closed = connection.close().await;
    made.map(drop).and(closed).map_err(|error| {
        remove(&draft);
        outside(error)
    })?;
    file.sync_all()
        .and_then(|()| fs::rename(&draft, copy))
        .map_err(|error| io_failure(error, DOING))
}

async fn note_copy(
    connection: &mut SqliteConnection,
    copy: &Path,
    format: i64,
) -> Result<(), Failure> {
    let sql = "INSERT OR REPLACE INTO copies (path, format, run) \
               VALUES (?, ?, coalesce((SELECT max(key) FROM runs), 0))";
    sqlx::query(sql)
        .bind(copy.display().to_string())
        .bind(format)
        .execute(connection)
        .await?;
    Ok(())
}

async fn connect(path: &Path, bytes: u64) -> Result<SqliteConnection, sqlx::Error> {
    let pages = (bytes / u64::from(PAGE_BYTES)).min(MOST_PAGES);
    let options = options(path).pragma("max_page_count", pages.to_string());
    options.connect().await
}

/// Opens the connection that writes, and brings the file to the newest format. The file will not
/// grow beyond `bytes`.
pub(crate) async fn writer(path: &Path, bytes: u64) -> Result<SqliteConnection, StoreError> {
    const DOING: &str = "opening the state to write it";
    let opened = connect(path, bytes).await;
    let mut connection = opened.map_err(|error| Failure::from(error).outside(path, DOING))?;
    schema::migrate(&mut connection)
        .await
        .map_err(|failure| failure.outside(path, "bringing it to the newest format"))?;
    Ok(connection)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10))
        // The pages a statement may have to put back are few, and not worth a file.
        .pragma("temp_store", "MEMORY")
        // What was written anew, wrapped perhaps, must not lie there as it was before.
        .pragma("secure_delete", "ON")
        .pragma("wal_autocheckpoint", LOG_PAGES.to_string())
        .pragma("journal_size_limit", LOG_BYTES.to_string())
        .thread_name(|_| "state-writer".to_owned())
        .disable_statement_logging()
}

/// The path from the root: SQLite must not take it for a URI, and a later change of the working
/// directory must not change which file is meant.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(path).map_err(|error| io_failure(error, "finding the state"))
}

fn io_failure(error: io::Error, doing: &'static str) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full { doing },
        _ => StoreError::Database {
            doing,
            source: Box::new(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No kill of a process shows whether the machine may die: this is what makes it so.
    #[tokio::test]
    async fn a_commit_waits_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        create(&path).await.unwrap();
        let mut connection = writer(&path, u64::MAX).await.unwrap();
        let sql = "SELECT journal_mode, synchronous, foreign_keys, page_size \
                   FROM pragma_journal_mode, pragma_synchronous, pragma_foreign_keys, \
                        pragma_page_size";
        let found: (String, i64, i64, i64) = sqlx::query_as(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        let full = 2;
        let wanted = ("wal".to_owned(), full, 1, i64::from(PAGE_BYTES));
        assert_eq!(found, wanted);
    }
}
