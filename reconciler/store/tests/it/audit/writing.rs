//! What is written, and what happens when it cannot be.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use stratum_core::audit::What;
use stratum_core::ports::{
    Audit, AuditError, Journals, Leases, NoteAlgorithm, NoteError, NoteKeys, NoteSignatures,
    NoteSigner, StoreError,
};
use stratum_core::secret::Secret;
use stratum_store::SqliteStore;
use stratum_testkit::audit::TwinSigner;
use tokio::runtime::Handle;

use super::{Desk, NOVEMBER, equals_journal, part, refused};
use crate::support::{lease, start, step};

#[tokio::test]
async fn every_event_and_lease_is_in_the_log_with_its_address() {
    let desk = Desk::new();
    let store = desk.open().await;
    let lease = lease(&store, "a").await;
    let run = start(&store, &lease, "r-1", 3).await;
    for number in 0..3 {
        store
            .append(&lease, &run.id, step(&run, number))
            .await
            .unwrap();
    }
    assert_eq!(equals_journal(&desk, &store).await, 7);
    let entries = desk.entries();
    assert!(matches!(
        &entries[0].entry.what,
        What::LeaseTaken { number: 1, .. }
    ));
    // The store dates a lease itself, so a part of another month may begin behind it.
    let applied = entries.iter().filter_map(|shown| match &shown.entry.what {
        What::Apply(event) => Some((event, &shown.entry.people)),
        _ => None,
    });
    let applied: Vec<_> = applied.collect();
    let (started, people) = applied[0];
    assert_eq!(started.event, "started");
    assert_eq!(people[0].name, "Ada <ada@example.org>");
    let done = applied.iter().find(|(event, _)| event.event == "done");
    let address = done.unwrap().0.address.as_ref().unwrap();
    assert_eq!(address.to_string(), "a/local_data.r0");
    store.close().await;
}

/// Several processes that meet a new state: it is made once, and so is the key of its log.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn starts_at_the_same_moment_make_one_state_and_one_key() {
    for _ in 0..10 {
        let desk = std::sync::Arc::new(Desk::new());
        let starts = (0..8).map(|_| {
            let desk = std::sync::Arc::clone(&desk);
            tokio::spawn(async move { desk.open().await })
        });
        let starts: Vec<_> = starts.collect();
        for start in starts {
            let store = start.await.unwrap();
            store.log(&[refused(NOVEMBER, 0)]).await.unwrap();
            store.bring_in().await.unwrap();
            store.close().await;
        }
        assert_eq!(desk.report().problem, None);
        assert_eq!(desk.entries().len(), 8);
    }
}

#[tokio::test]
async fn a_run_of_another_process_is_logged_with_its_addresses() {
    let desk = Desk::new();
    let store = desk.open().await;
    let old = lease(&store, "a").await;
    let run = start(&store, &old, "r-1", 3).await;
    store.close().await;
    drop(store);
    let store = desk.open().await;
    let new = lease(&store, "a").await;
    store.append(&new, &run.id, step(&run, 2)).await.unwrap();
    assert_eq!(equals_journal(&desk, &store).await, 3);
    let last = desk.entries().pop().unwrap();
    let What::Apply(done) = last.entry.what else {
        panic!("{last:?}")
    };
    assert_eq!(done.address.unwrap().to_string(), "a/local_data.r2");
    store.close().await;
}

#[tokio::test]
async fn a_refused_append_leaves_nothing_in_the_log() {
    let desk = Desk::new();
    let store = desk.open().await;
    let old = lease(&store, "a").await;
    let run = start(&store, &old, "r-1", 3).await;
    let new = lease(&store, "a").await;
    let (fenced, good) = tokio::join!(
        store.append(&old, &run.id, step(&run, 0)),
        store.append(&new, &run.id, step(&run, 1)),
    );
    assert!(
        matches!(fenced, Err(StoreError::Fenced { .. })),
        "{fenced:?}"
    );
    good.unwrap();
    assert_eq!(equals_journal(&desk, &store).await, 3);
    store.close().await;
}

#[tokio::test]
async fn what_cannot_be_logged_does_not_happen() {
    let desk = Desk::new();
    let store = desk.open().await;
    let lease = lease(&store, "a").await;
    let run = start(&store, &lease, "r-1", 3).await;
    store.bring_in().await.unwrap();
    // A file where a folder must be: what a folder that may not be written is to others than root.
    let tiles = part(&desk).join("tile/entries");
    let kept = desk.log().join("kept");
    fs::rename(&tiles, &kept).unwrap();
    fs::write(&tiles, "in the way").unwrap();
    store.append(&lease, &run.id, step(&run, 0)).await.unwrap();
    store.bring_in().await.unwrap_err();
    // The first is durable in the state; nothing more is begun.
    let second = store.append(&lease, &run.id, step(&run, 1)).await;
    assert!(
        matches!(second, Err(StoreError::Audit { .. })),
        "{second:?}"
    );
    let noted = Audit::log(&store, &[refused(NOVEMBER, 0)]).await;
    assert!(
        matches!(noted, Err(AuditError::Store(StoreError::Audit { .. }))),
        "{noted:?}"
    );
    let taken = store
        .acquire(
            &crate::support::environment("b"),
            std::time::Duration::from_secs(1),
        )
        .await;
    assert!(taken.is_err(), "{taken:?}");
    fs::remove_file(&tiles).unwrap();
    fs::rename(&kept, &tiles).unwrap();
    store.append(&lease, &run.id, step(&run, 1)).await.unwrap();
    assert_eq!(equals_journal(&desk, &store).await, 5);
    store.close().await;
}

#[tokio::test]
async fn two_processes_share_the_log() {
    let desk = Desk::new();
    let (first, second) = (desk.open().await, desk.open().await);
    for round in 0..6 {
        for (number, store) in [&first, &second].into_iter().enumerate() {
            Audit::log(store, &[refused(NOVEMBER, round * 10 + number)])
                .await
                .unwrap();
        }
        let (one, two) = tokio::join!(first.bring_in(), second.bring_in());
        one.unwrap();
        two.unwrap();
    }
    first.close().await;
    second.close().await;
    assert_eq!(desk.report().problem, None);
    assert_eq!(desk.entries().len(), 12);
    assert_eq!(desk.report().parts.len(), 1);
}

/// Has something new to say whenever it signs.
struct Talking {
    inner: TwinSigner,
    store: OnceLock<Arc<SqliteStore>>,
    runtime: Handle,
    signed: AtomicU64,
}

impl NoteSigner for Talking {
    fn generate(&self) -> Result<Secret, NoteError> {
        self.inner.generate()
    }
    fn public(&self, pair: &Secret) -> Result<NoteKeys, NoteError> {
        self.inner.public(pair)
    }
    fn sign(&self, pair: &Secret, text: &[u8]) -> Result<NoteSignatures, NoteError> {
        let number = self.signed.fetch_add(1, Ordering::SeqCst);
        if let Some(store) = self.store.get().filter(|_| number < 50) {
            let entry = [refused(NOVEMBER, 100 + number as usize)];
            let _closed_at_the_end = self.runtime.block_on(store.log(&entry));
        }
        self.inner.sign(pair, text)
    }
    fn verify(&self, algorithm: NoteAlgorithm, public: &[u8], text: &[u8], given: &[u8]) -> bool {
        self.inner.verify(algorithm, public, text, given)
    }
    fn generate_veil(&self) -> Result<Secret, NoteError> {
        self.inner.generate_veil()
    }
    fn veil(&self, key: &Secret, context: &[u8], text: &[u8]) -> Result<Vec<u8>, NoteError> {
        self.inner.veil(key, context, text)
    }
    fn unveil(&self, key: &Secret, context: &[u8], veiled: &[u8]) -> Result<Vec<u8>, NoteError> {
        self.inner.unveil(key, context, veiled)
    }
}

#[tokio::test]
async fn what_comes_while_entries_are_brought_in_waits_for_others() {
    let desk = Desk::new();
    let signer = Arc::new(Talking {
        inner: TwinSigner::new(),
        store: OnceLock::new(),
        runtime: Handle::current(),
        signed: AtomicU64::new(0),
    });
    let opened = SqliteStore::open_logged(&desk.path(), signer.clone()).await;
    let store = Arc::new(opened.unwrap());
    store.log(&[refused(NOVEMBER, 1)]).await.unwrap();
    let _ = signer.store.set(Arc::clone(&store));
    let before = signer.signed.load(Ordering::SeqCst);
    store.bring_in().await.unwrap();
    let signed = signer.signed.load(Ordering::SeqCst) - before;
    // The task beside it brings in what came before, about once a second.
    assert!(signed < 10, "signed {signed} times");
    store.bring_in().await.unwrap();
    store.close().await;
    // What came during the last time is in the state, and in the log with the next start.
    let again = SqliteStore::open_logged(&desk.path(), signer.clone()).await;
    again.unwrap().close().await;
    assert!(signer.signed.load(Ordering::SeqCst) >= before + 3);
}
