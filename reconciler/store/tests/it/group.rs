//! Group commit, and two processes (here: two stores) on one file.

use std::sync::Arc;

use stratum_core::ports::{Journals, LeaseError, Leases, States, Store, StoreError};
use stratum_testkit::store::sample;

use crate::support::{environment, lease, open, start, step};

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_share_transactions_and_keep_the_order_of_each_caller() {
    const CALLERS: u32 = 40;
    const STEPS: u32 = 5;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = Arc::new(open(&path).await);
    let lease = Arc::new(lease(&*store, "a").await);
    let run = Arc::new(start(&*store, &lease, "r-1", CALLERS * STEPS).await);
    let before = store.transactions();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (store, lease, run) = (store.clone(), lease.clone(), run.clone());
            tokio::spawn(async move {
                for number in 0..STEPS {
                    let entries = step(&run, caller * STEPS + number);
                    store.append(&lease, &run.id, entries).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let transactions = store.transactions() - before;
    assert!(
        transactions <= u64::from(CALLERS * STEPS) / 4,
        "{transactions} transactions for {} appends",
        CALLERS * STEPS
    );
    let kept = store.run(&run.id).await.unwrap().unwrap();
    let steps: Vec<u32> = kept.events[1..]
        .iter()
        .map(|(_, event)| event.step().unwrap().0)
        .collect();
    assert_eq!(steps.len(), (CALLERS * STEPS * 2) as usize);
    for caller in 0..CALLERS {
        let own = caller * STEPS..(caller + 1) * STEPS;
        let order: Vec<u32> = steps.iter().copied().filter(|s| own.contains(s)).collect();
        let wanted: Vec<u32> = own.flat_map(|number| [number, number]).collect();
        assert_eq!(order, wanted);
    }
    let base = store.base(&environment("a")).await.unwrap();
    assert_eq!(base.resources.len(), (CALLERS * STEPS) as usize);
}

#[tokio::test]
async fn what_is_refused_in_a_shared_transaction_harms_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("state.db")).await;
    let (old, other) = (lease(&store, "a").await, lease(&store, "b").await);
    let run_a = start(&store, &old, "r-a", 3).await;
    let run_b = start(&store, &other, "r-b", 3).await;
    let new = lease(&store, "a").await;
    let (fenced, good, twice, also) = tokio::join!(
        store.append(&old, &run_a.id, step(&run_a, 0)),
        store.append(&other, &run_b.id, step(&run_b, 0)),
        // The id is taken: the database itself refuses, and the whole transaction with it.
        start_again(&store, &other),
        store.append(&new, &run_a.id, step(&run_a, 1)),
    );
    assert!(
        matches!(fenced, Err(StoreError::Fenced { .. })),
        "{fenced:?}"
    );
    assert!(
        matches!(twice, Err(StoreError::Database { .. })),
        "{twice:?}"
    );
    good.unwrap();
    also.unwrap();
    let events = |kept: Option<stratum_core::ports::Unfinished>| kept.unwrap().events.len();
    assert_eq!(events(store.run(&run_a.id).await.unwrap()), 3);
    assert_eq!(events(store.run(&run_b.id).await.unwrap()), 3);
}

async fn start_again(
    store: &dyn Store,
    lease: &stratum_core::ports::Lease,
) -> Result<(), StoreError> {
    let run = sample::run(&lease.environment, "r-b", 1, 1).unwrap();
    store.start(lease, &run, &sample::started(&run)).await
}

#[tokio::test]
async fn a_caller_that_gives_up_waiting_does_not_undo_its_append() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder.path().join("state.db")).await);
    let lease = lease(&*store, "a").await;
    let run = start(&*store, &lease, "r-1", 2).await;
    {
        let append = store.append(&lease, &run.id, step(&run, 0));
        let mut append = std::pin::pin!(append);
        // Polled once: it is with the writer now.
        let polled = std::future::poll_fn(|context| {
            std::task::Poll::Ready(append.as_mut().poll(context).is_pending())
        });
        assert!(polled.await);
    }
    store.append(&lease, &run.id, step(&run, 1)).await.unwrap();
    let kept = store.run(&run.id).await.unwrap().unwrap();
    assert_eq!(kept.events.len(), 5);
}

#[tokio::test]
async fn two_processes_share_the_file_and_the_lease_decides() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let (first, second) = (open(&path).await, open(&path).await);
    let old = lease(&first, "a").await;
    let run = start(&first, &old, "r-1", 2).await;
    let held = second
        .acquire(&environment("a"), std::time::Duration::from_secs(30))
        .await;
    assert!(matches!(held, Err(LeaseError::Held { .. })), "{held:?}");
    first.append(&old, &run.id, step(&run, 0)).await.unwrap();
    let new = lease(&second, "a").await;
    assert!(new.number > old.number);
    let late = first.append(&old, &run.id, step(&run, 1)).await;
    assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
    second.append(&new, &run.id, step(&run, 1)).await.unwrap();
    assert_eq!(first.run(&run.id).await.unwrap().unwrap().events.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_that_want_one_lease_get_different_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let stores = [open(&path).await, open(&path).await];
    let (one, two) = tokio::join!(
        async {
            let mut numbers = Vec::new();
            for _ in 0..20 {
                numbers.push(lease(&stores[0], "a").await.number);
            }
            numbers
        },
        async {
            let mut numbers = Vec::new();
            for _ in 0..20 {
                numbers.push(lease(&stores[1], "a").await.number);
            }
            numbers
        }
    );
    let mut numbers = [one, two].concat();
    numbers.sort_unstable();
    let wanted: Vec<u64> = (1..=40).collect();
    assert_eq!(numbers, wanted);
}
