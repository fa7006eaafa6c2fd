//! Dropping what is over where there is much of it.

use std::sync::Arc;

use jiff::Timestamp;
use stratum_core::ports::{Journals as _, Keep, Retention as _, RunOutcome};
use stratum_core::run::RunSummary;
use stratum_core::settings::RetentionSettings;
use stratum_testkit::store::sample;
use tokio::task::JoinSet;

use crate::support::{environment, lease, open};

/// More than is dropped at once.
const MANY: usize = 2_500;

#[tokio::test]
async fn all_that_is_too_much_is_dropped_before_upkeep_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder.path().join("state.db")).await);
    let lease = lease(&*store, "a").await;
    let mut noting = JoinSet::new();
    for number in 0..MANY {
        let (store, lease) = (Arc::clone(&store), lease.clone());
        noting.spawn(async move {
            let run = sample::run(&environment("a"), &format!("r-{number}"), 0, 1).unwrap();
            let summary = RunSummary {
                outcome: Some(RunOutcome::Denied),
                ..RunSummary::begin(run.about())
            };
            store.note_run(&lease, &summary).await.unwrap();
        });
    }
    noting.join_all().await;
    let settings = RetentionSettings {
        history: 10,
        ..RetentionSettings::default()
    };
    let now = Timestamp::UNIX_EPOCH;
    let mut runs = 0;
    loop {
        let dropped = store.retain(&Keep { settings, now }).await.unwrap();
        runs += dropped.runs;
        if !dropped.more {
            break;
        }
    }
    assert_eq!(runs, MANY as u64 - 10);
    let left = store.history(None, MANY as u32).await.unwrap();
    assert_eq!(left.len(), 10);
    assert!(!store.is_upkeep_due().await.unwrap());
    store.close().await;
}
