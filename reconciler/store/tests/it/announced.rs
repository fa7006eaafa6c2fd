//! What the forge was not told yet outlives the process.

use jiff::{Timestamp, ToSpan as _};
use stratum_core::digest::Digest;
use stratum_core::ids::{CommitId, RunId};
use stratum_core::ports::{Announcements, ForgeTrouble, Journals, RunOutcome};
use stratum_core::run::{RunSummary, StepCounts, Trigger};
use stratum_store::SqliteStore;
use stratum_testkit::store::sample;

use crate::support::{environment, lease, open};

async fn note(store: &SqliteStore, id: &str, ended_at: Option<Timestamp>) {
    let held = lease(store, "a").await;
    let summary = RunSummary {
        id: RunId::new(id).unwrap(),
        environment: environment("a"),
        trigger: Trigger::Push,
        revision: CommitId::new("a".repeat(40)).unwrap(),
        plan_digest: Digest::of_bytes(b""),
        outcome: ended_at.map(|_| RunOutcome::Denied),
        reason: String::new(),
        started_at: sample::at(0),
        ended_at,
        steps: StepCounts::default(),
        record: None,
    };
    store.note_run(&held, &summary).await.unwrap();
}

async fn waiting(store: &SqliteStore, since: Timestamp) -> Vec<String> {
    let runs = store.unannounced(since, 10).await.unwrap();
    runs.into_iter().map(|run| run.id.to_string()).collect()
}

#[tokio::test]
async fn a_run_waits_until_it_is_announced_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).await;
    note(&store, "r1", Some(sample::at(10))).await;
    note(&store, "r2", Some(sample::at(20))).await;
    note(&store, "r3", None).await;
    assert_eq!(waiting(&store, sample::at(0)).await, ["r1", "r2"]);
    assert_eq!(waiting(&store, sample::at(15)).await, ["r2"]);
    let first = RunId::new("r1").unwrap();
    store.announced(&first, sample::at(30)).await.unwrap();
    store.announced(&first, sample::at(31)).await.unwrap();
    store.close().await;
    let again = open(&path).await;
    assert_eq!(waiting(&again, sample::at(0)).await, ["r2"]);
}

#[tokio::test]
async fn what_is_long_past_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("state.db")).await;
    note(&store, "r1", Some(sample::at(10))).await;
    let first = RunId::new("r1").unwrap();
    store.announced(&first, sample::at(30)).await.unwrap();
    let later = sample::at(30).checked_add((31 * 24).hours()).unwrap();
    let other = RunId::new("r2").unwrap();
    store.announced(&other, later).await.unwrap();
    // The mark of the first is gone, and its age is what keeps it from being said again.
    assert_eq!(waiting(&store, sample::at(0)).await, ["r1"]);
    assert!(waiting(&store, sample::at(11)).await.is_empty());
}

#[tokio::test]
async fn trouble_with_the_forge_is_kept_replaced_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).await;
    assert_eq!(store.trouble().await.unwrap(), None);
    let mut trouble = ForgeTrouble {
        since: sample::at(5),
        kind: "unreachable".to_owned(),
        reason: "no route".to_owned(),
        waiting: 1,
    };
    store.note_trouble(Some(&trouble)).await.unwrap();
    trouble.waiting = 2;
    store.note_trouble(Some(&trouble)).await.unwrap();
    store.close().await;
    let again = open(&path).await;
    assert_eq!(again.trouble().await.unwrap(), Some(trouble));
    again.note_trouble(None).await.unwrap();
    assert_eq!(again.trouble().await.unwrap(), None);
}
