//! A disk without room.

use std::path::Path;

use stratum_core::ports::{EvaluationCache, Journals, Store, StoreError};
use stratum_store::{Access, SqliteStore};

use crate::support::{environment, lease, start, step};

#[tokio::test]
async fn a_full_disk_stops_the_work_and_room_lets_it_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = SqliteStore::open_within(&path, Access::ReadWrite, 400 * 1024)
        .await
        .unwrap();
    let store = std::sync::Arc::new(store);
    let filler = store.clone();
    tokio::task::spawn_blocking(move || filler.put("filler", &noise(300 * 1024)))
        .await
        .unwrap();
    let lease = lease(&*store, "a").await;
    let run = start(&*store, &lease, "r-1", 10).await;
    let mut number = 0;
    let error = loop {
        match store.append(&lease, &run.id, step(&run, number)).await {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
        assert!(number < 10_000, "it never became full");
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    // Several at once, and again: each is told, and nothing half is left.
    let (one, two) = tokio::join!(
        store.append(&lease, &run.id, step(&run, number)),
        store.append(&lease, &run.id, step(&run, number + 1)),
    );
    assert!(matches!(one, Err(StoreError::Full { .. })), "{one:?}");
    assert!(matches!(two, Err(StoreError::Full { .. })), "{two:?}");
    check(&*store, &run.id, number).await;
    make_room(&path).await;
    store
        .append(&lease, &run.id, step(&run, number))
        .await
        .unwrap();
    check(&*store, &run.id, number + 1).await;
}

/// Bytes that packing does not make fewer.
fn noise(length: usize) -> Vec<u8> {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let next = |_| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 56) as u8
    };
    (0..length).map(next).collect()
}

async fn check(store: &dyn Store, run: &stratum_core::ids::RunId, steps: u32) {
    let kept = store.run(run).await.unwrap().unwrap();
    assert_eq!(kept.events.len(), 1 + 2 * steps as usize);
    let base = store.base(&environment("a")).await.unwrap();
    assert_eq!(base.resources.len(), steps as usize);
}

async fn make_room(path: &Path) {
    use sqlx::{ConnectOptions, Connection};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql("DELETE FROM evaluations")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}
