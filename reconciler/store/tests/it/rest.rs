//! What the state holds at rest, wrapped and not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use stratum_core::digest::Digest;
use stratum_core::ports::{
    Journals, KeptSecret, KeyRow, Observations, SecretStore, Standing, States, StoreError,
};
use stratum_store::{SqliteStore, Wrapped};
use stratum_testkit::sealing::MemorySecrets;
use stratum_testkit::store::{conforms, sample};

use crate::conformance::stage;
use crate::support::{environment, lease, open, start, step};

async fn wrapped(path: &Path, secrets: &Arc<MemorySecrets>) -> SqliteStore {
    open(path).await.wrapped_by(Arc::clone(secrets) as _)
}

fn holds(path: &Path, text: &str) -> bool {
    ["", "-wal"].iter().any(|suffix| {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        let bytes = std::fs::read(file).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

#[tokio::test]
async fn a_wrapped_store_behaves_as_a_store_must() {
    let folder = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    let make = async || {
        number.set(number.get() + 1);
        let path = folder.path().join(format!("{}.db", number.get()));
        stage(&path, |store| {
            store.wrapped_by(Arc::new(MemorySecrets::default()))
        })
        .await
    };
    conforms(make).await.unwrap();
}

#[tokio::test]
async fn wrapped_rows_hold_no_value_and_say_what_they_are_without_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let secrets = Arc::new(MemorySecrets::default());
    let store = wrapped(&path, &secrets).await;
    let held = lease(&store, "a").await;
    let run = start(&store, &held, "r1", 1).await;
    store.append(&held, &run.id, step(&run, 0)).await.unwrap();
    let seen = sample::observation(&environment("a"), 0, 9, "value 0").unwrap();
    store.observe(&held, &[seen]).await.unwrap();
    let whole = store.base(&environment("a")).await.unwrap();
    assert!(whole.sealed.is_empty());
    assert!(!holds(&path, "value 0"), "a value lies there in the clear");

    secrets.set(Standing::Sealed("locked".to_owned()));
    let base = store.base(&environment("a")).await.unwrap();
    let (address, state) = base.resources.iter().next().unwrap();
    assert!(base.sealed.contains(address) && state.instance.attributes.is_empty());
    let shown = store.run(&run.id).await.unwrap().unwrap();
    assert_eq!(shown.run.plan().steps[0].address, *address);
    assert!(shown.run.plan().steps[0].planned.is_none());
    let refused = store.journal(&run.id).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Sealed { .. }),
        "nobody goes on with half a run"
    );
    store.close().await;
}

/// One open run that is wrapped keeps nobody from going on with the others.
#[tokio::test]
async fn a_wrapped_open_run_fails_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let secrets = Arc::new(MemorySecrets::default());
    let store = wrapped(&path, &secrets).await;
    let held = lease(&store, "a").await;
    start(&store, &held, "r1", 1).await;
    store.close().await;
    let plain = open(&path).await;
    let other = lease(&plain, "b").await;
    start(&plain, &other, "r2", 1).await;
    plain.close().await;

    secrets.set(Standing::Sealed("locked".to_owned()));
    let store = wrapped(&path, &secrets).await;
    let readable = store.unfinished().await.unwrap();
    let ids: Vec<_> = readable.iter().map(|one| one.run.id.as_str()).collect();
    assert_eq!(ids, ["r2"]);
    let open = store.open_runs(None, 10).await.unwrap();
    let ids: Vec<_> = open.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["r1", "r2"], "the wrapped one is known of");
    let sealed = store.journal(&open[0].id).await;
    assert!(
        matches!(sealed, Err(StoreError::Sealed { .. })),
        "{sealed:?}"
    );
    store.close().await;
}

#[tokio::test]
async fn an_old_state_is_wrapped_while_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).await;
    let held = lease(&store, "a").await;
    let run = start(&store, &held, "r1", 3).await;
    for number in 0..3 {
        store
            .append(&held, &run.id, step(&run, number))
            .await
            .unwrap();
    }
    let seen = sample::observation(&environment("a"), 0, 9, "value 0").unwrap();
    store.observe(&held, &[seen]).await.unwrap();
    let before = store.base(&environment("a")).await.unwrap();
    let (unfinished, observed) = (
        store.unfinished().await.unwrap(),
        store.observed(&environment("a")).await.unwrap(),
    );
    store.close().await;
    assert!(holds(&path, "value 0"));

    let store = wrapped(&path, &Arc::new(MemorySecrets::default())).await;
    let count = store.wrap_again().await.unwrap().rewritten;
    assert_eq!(count, 3 + 3 + 1 + 1, "resources, events, plan, observation");
    assert_eq!(store.wrap_again().await.unwrap(), Wrapped::default());
    assert_eq!(store.base(&environment("a")).await.unwrap(), before);
    let after = store.unfinished().await.unwrap();
    assert_eq!(after[0].run, unfinished[0].run);
    assert_eq!(after[0].events, unfinished[0].events);
    assert_eq!(store.observed(&environment("a")).await.unwrap(), observed);
    store.close().await;
    assert!(
        !holds(&path, "value 0"),
        "an old value is still in the file"
    );
}

/// What was found wrapped once is not looked at again, however much there is of it; what a process
/// without the key wrote meanwhile is.
#[tokio::test]
async fn a_start_looks_only_at_what_may_not_be_wrapped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let secrets = Arc::new(MemorySecrets::default());
    let store = wrapped(&path, &secrets).await;
    let held = lease(&store, "a").await;
    for number in 0..300 {
        let run = start(&store, &held, &format!("r{number}"), 1).await;
        store.append(&held, &run.id, step(&run, 0)).await.unwrap();
    }
    let first = store.wrap_again().await.unwrap();
    assert_eq!(first.rewritten, 0, "all was written under the key");
    assert_eq!(store.wrap_again().await.unwrap(), Wrapped::default());
    // Under the key, nothing of it is looked at again.
    let run = start(&store, &held, "under-the-key", 1).await;
    store.append(&held, &run.id, step(&run, 0)).await.unwrap();
    assert_eq!(store.wrap_again().await.unwrap(), Wrapped::default());
    store.close().await;

    let plain = open(&path).await;
    let held = lease(&plain, "a").await;
    let run = start(&plain, &held, "in-the-clear", 2).await;
    plain.append(&held, &run.id, step(&run, 1)).await.unwrap();
    let seen = sample::observation(&environment("a"), 0, 9, "value 9").unwrap();
    plain.observe(&held, &[seen]).await.unwrap();
    plain.close().await;
    assert!(holds(&path, "value 1"));

    let store = wrapped(&path, &secrets).await;
    let again = store.wrap_again().await.unwrap();
    assert_eq!(again.rewritten, 4, "plan, event, resource, observation");
    assert!(again.examined < 10, "{again:?}");
    assert_eq!(store.wrap_again().await.unwrap(), Wrapped::default());
    let kept = store.journal(&run.id).await.unwrap().unwrap();
    assert_eq!(kept.run, run);
    store.close().await;
    assert!(!holds(&path, "value 1"), "it is wrapped, and overwritten");
}

#[tokio::test]
async fn sealed_values_and_keys_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("state.db")).await;
    let name = environment("a");
    let kept = |version: u64| KeptSecret {
        path: "db".to_owned(),
        key: "password".to_owned(),
        version,
        digest: Digest::of_bytes(&version.to_le_bytes()),
        age: vec![version as u8],
    };
    let place = ("db".to_owned(), "password".to_owned());
    for version in [1, 2, 2, 1] {
        store.keep_secrets(&name, &[kept(version)]).await.unwrap();
        let now = BTreeMap::from([(place.clone(), version)]);
        store.in_force(&name, &now).await.unwrap();
    }
    let highest = store.highest(&name).await.unwrap();
    assert_eq!(highest.get(&place), Some(&2), "the mark never goes down");
    let digest = kept(1).digest;
    let found = store.kept_secret(&name, &digest).await.unwrap();
    assert_eq!(found, Some(kept(1)));
    let key = |id: &str, second| KeyRow {
        id: id.to_owned(),
        sealed: vec![1],
        made_at: sample::at(second),
        in_use: true,
    };
    store.put_keys(&[key("a", 1), key("b", 2)]).await.unwrap();
    let keys = store.keys().await.unwrap();
    assert_eq!(keys.len(), 2);
    assert!(!keys[0].in_use && keys[1].in_use);
    store.close().await;
}
