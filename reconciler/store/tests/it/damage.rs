//! Files that must not be touched.

use std::fs;
use std::path::Path;

use stratum_core::ports::{Journals, States, StoreError};
use stratum_store::{Access, SqliteStore};

use crate::support::{lease, open, start, step};

/// Every file in the folder with its bytes, except what readers share (`-shm`).
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let named = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let mut files: Vec<_> = named
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .filter(|(name, _)| !name.ends_with("-shm"))
        .collect();
    files.sort();
    files
}

/// Opens the file in both ways; both must refuse and leave every byte as it was.
async fn refusals(path: &Path) -> Vec<StoreError> {
    let before = files(path.parent().unwrap());
    let mut errors = Vec::new();
    for access in [Access::ReadWrite, Access::ReadOnly] {
        errors.push(SqliteStore::open(path, access).await.unwrap_err());
    }
    assert!(
        before == files(path.parent().unwrap()),
        "a byte was changed"
    );
    errors
}

async fn filled(path: &Path) {
    let store = open(path).await;
    let lease = lease(&store, "a").await;
    let run = start(&store, &lease, "r-1", 200).await;
    for number in 0..200 {
        store
            .append(&lease, &run.id, step(&run, number))
            .await
            .unwrap();
    }
    store.close().await;
}

async fn raw(path: &Path, sql: &'static str) {
    use sqlx::{ConnectOptions, Connection};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    filled(&path).await;
    raw(&path, "PRAGMA user_version = 99").await;
    for error in refusals(&path).await {
        assert!(
            matches!(
                error,
                StoreError::Newer {
                    found: 99,
                    known: 2..99,
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_newer_version_that_is_only_in_the_log_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("state.db"), tempfile::tempdir().unwrap());
    let store = open(&path).await;
    lease(&store, "a").await;
    raw(&path, "PRAGMA user_version = 99").await;
    let name = copy.path().join("state.db");
    for suffix in ["", "-wal"] {
        let from = format!("{}{suffix}", path.display());
        fs::copy(from, format!("{}{suffix}", name.display())).unwrap();
    }
    store.close().await;
    for error in refusals(&name).await {
        assert!(
            matches!(error, StoreError::Newer { found: 99, .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let foreign = "it is not an SQLite database";
    for (content, why) in [
        (&b""[..], "it is empty"),
        (b"short", foreign),
        (&[b'x'; 5_000], foreign),
    ] {
        fs::write(&path, content).unwrap();
        for error in refusals(&path).await {
            assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
            assert!(error.to_string().ends_with(why), "{error}");
        }
    }
    fs::remove_file(&path).unwrap();
    raw_new(&path).await;
    for error in refusals(&path).await {
        assert!(error.to_string().contains("another program"), "{error:?}");
    }
}

async fn raw_new(path: &Path) {
    fs::write(path, b"").unwrap();
    raw(path, "CREATE TABLE photos (id INTEGER)").await;
}

#[tokio::test]
async fn a_file_that_was_cut_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    filled(&path).await;
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    for error in refusals(&path).await {
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn damage_within_is_named_when_it_is_met_and_found_by_a_check() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    filled(&path).await;
    let healthy = SqliteStore::open(&path, Access::ReadOnly).await.unwrap();
    healthy.verify().await.unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0x5a);
    fs::write(&path, &bytes).unwrap();
    let before = files(folder.path());
    let store = SqliteStore::open(&path, Access::ReadOnly).await.unwrap();
    let checked = store.verify().await;
    assert!(
        matches!(checked, Err(StoreError::Damaged { .. })),
        "{checked:?}"
    );
    let run = stratum_core::ids::RunId::new("r-1").unwrap();
    let read = store.run(&run).await;
    assert!(matches!(read, Err(StoreError::Damaged { .. })), "{read:?}");
    assert!(before == files(folder.path()));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    filled(&path).await;
    raw(&path, "UPDATE resources SET state = '{}' WHERE address = 3").await;
    let store = SqliteStore::open(&path, Access::ReadOnly).await.unwrap();
    let error = store
        .base(&crate::support::environment("a"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("a/local_data.r2"), "{error}");
}

#[tokio::test]
async fn counts_follow_the_resources_without_reading_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    filled(&path).await;
    raw(
        &path,
        "UPDATE resources SET state = json_set(state, '$.unknown', 'cut off') WHERE address = 3",
    )
    .await;
    raw(&path, "DELETE FROM resources WHERE address = 4").await;
    let store = SqliteStore::open(&path, Access::ReadOnly).await.unwrap();
    let environment = crate::support::environment("a");
    let counts = store.counts(&environment).await.unwrap();
    let base = store.base(&environment).await.unwrap();
    assert_eq!(
        (counts.resources, counts.unknown, counts.drifted),
        (199, 1, 0)
    );
    assert_eq!(base.resources.len(), 199);
}
