//! Kept evaluations.

use std::sync::Arc;

use stratum_core::ports::EvaluationCache;
use stratum_store::{Access, SqliteStore};

use crate::support::open;

#[tokio::test]
async fn what_was_kept_is_found_by_threads_of_every_sort() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder.path().join("state.db")).await);
    let (blocking, plain) = (store.clone(), store.clone());
    tokio::task::spawn_blocking(move || {
        assert_eq!(blocking.get("a"), None);
        blocking.put("a", &[0, 255, 10]);
        assert_eq!(blocking.get("a"), Some(vec![0, 255, 10]));
        blocking.put("a", b"newer");
    })
    .await
    .unwrap();
    let (done, waiting) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || done.send(plain.get("a")).unwrap());
    assert_eq!(waiting.await.unwrap(), Some(b"newer".to_vec()));
}

#[tokio::test]
async fn a_reader_finds_what_was_kept_and_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = Arc::new(open(&path).await);
    let writer = store.clone();
    tokio::task::spawn_blocking(move || writer.put("a", b"kept"))
        .await
        .unwrap();
    let reader = SqliteStore::open(&path, Access::ReadOnly).await.unwrap();
    tokio::task::spawn_blocking(move || {
        assert_eq!(reader.get("a"), Some(b"kept".to_vec()));
        reader.put("b", b"lost");
        assert_eq!(reader.get("b"), None);
    })
    .await
    .unwrap();
}

#[test]
fn a_cache_whose_runtime_has_ended_forgets_and_does_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(open(&folder.path().join("state.db")));
    store.put("a", b"kept");
    assert_eq!(store.get("a"), Some(b"kept".to_vec()));
    drop(runtime);
    store.put("b", b"lost");
    assert_eq!(store.get("a"), None);
}
