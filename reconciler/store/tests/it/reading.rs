//! Reading only.

use std::fs;
use std::path::Path;

use stratum_core::ports::{Journals, States, StoreError, Work};
use stratum_store::{Access, SqliteStore};
use stratum_testkit::store::sample;

use crate::support::{environment, lease, open, start, step};

async fn reader(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Access::ReadOnly).await.unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn nothing_to_read_is_said_and_nothing_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let error = SqliteStore::open(&path, Access::ReadOnly)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error:?}");
    assert!(names(folder.path()).is_empty());
}

#[tokio::test]
async fn only_its_owner_may_read_the_state_and_its_log() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).await;
    lease(&store, "a").await;
    let names = names(folder.path());
    let holders = "state.db.holders";
    assert_eq!(names, ["state.db", "state.db-shm", "state.db-wal", holders]);
    for name in names {
        let mode = fs::metadata(folder.path().join(&name)).unwrap().mode();
        let own = if name == holders { 0o700 } else { 0o600 };
        assert_eq!(mode & 0o777, own, "{name}");
    }
}

#[tokio::test]
async fn a_state_at_rest_is_read_without_leaving_anything_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a state#1?.db");
    let store = open(&path).await;
    let lease = lease(&store, "a").await;
    start(&store, &lease, "r-1", 3).await;
    store.close().await;
    let at_rest = ["a state#1?.db", "a state#1?.db.holders"];
    assert_eq!(names(folder.path()), at_rest);
    let before = fs::read(&path).unwrap();
    let store = reader(&path).await;
    assert_eq!(store.unfinished().await.unwrap().len(), 1);
    assert_eq!(store.history(None, 9).await.unwrap().len(), 1);
    let entry = sample::queued(&environment("a"), "x", 1).unwrap();
    assert!(store.push(&entry).await.is_err());
    store.close().await;
    assert_eq!(names(folder.path()), at_rest);
    assert!(before == fs::read(&path).unwrap());
}

#[tokio::test]
async fn a_reader_sees_each_append_of_a_writer_that_came_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    open(&path).await.close().await;
    let reader = reader(&path).await;
    assert!(reader.unfinished().await.unwrap().is_empty());
    let writer = open(&path).await;
    let lease = lease(&writer, "a").await;
    let run = start(&writer, &lease, "r-1", 20).await;
    for number in 0..20 {
        writer
            .append(&lease, &run.id, step(&run, number))
            .await
            .unwrap();
        let seen = reader.run(&run.id).await.unwrap().unwrap().events.len();
        assert_eq!(seen, 3 + 2 * number as usize);
    }
    writer.close().await;
    assert_eq!(reader.run(&run.id).await.unwrap().unwrap().events.len(), 41);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_whole_transactions_while_a_writer_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let writer = open(&path).await;
    let lease = lease(&writer, "a").await;
    let run = start(&writer, &lease, "r-1", 300).await;
    let (reader, id) = (reader(&path).await, run.id.clone());
    let watching = tokio::spawn(async move {
        let mut looks = 0;
        loop {
            let events = reader.run(&id).await.unwrap().unwrap().events.len();
            let state = reader.base(&environment("a")).await.unwrap();
            assert_eq!(events % 2, 1, "an append was seen in half");
            // Read later, so it may be further.
            assert!(state.resources.len() >= (events - 1) / 2);
            looks += 1;
            if events == 601 {
                return looks;
            }
        }
    });
    for number in 0..300 {
        writer
            .append(&lease, &run.id, step(&run, number))
            .await
            .unwrap();
    }
    assert!(watching.await.unwrap() > 1);
}

#[tokio::test]
async fn a_log_left_by_a_crash_is_read_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).await;
    let lease = lease(&store, "a").await;
    let run = start(&store, &lease, "r-1", 3).await;
    store.append(&lease, &run.id, step(&run, 0)).await.unwrap();
    let crashed = tempfile::tempdir().unwrap();
    for name in ["state.db", "state.db-wal"] {
        fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    store.close().await;
    let path = crashed.path().join("state.db");
    let bytes = || {
        let log = crashed.path().join("state.db-wal");
        (fs::read(&path).unwrap(), fs::read(log).unwrap())
    };
    let before = bytes();
    let reader = reader(&path).await;
    assert_eq!(reader.run(&run.id).await.unwrap().unwrap().events.len(), 3);
    reader.close().await;
    assert!(before == bytes(), "the reader changed the state or its log");
    let writer = open(&path).await;
    assert_eq!(writer.run(&run.id).await.unwrap().unwrap().events.len(), 3);
}
