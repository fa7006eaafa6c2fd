//! What is written, and what happens when it cannot be.

use std::fs;

use stratum_core::audit::What;
use stratum_core::ports::{Audit, AuditError, Journals, Leases, StoreError};

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
