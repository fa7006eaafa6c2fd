//! Several things at once: pushes during an apply, two processes, branches that move and go.

use std::sync::atomic::Ordering;
use std::time::Duration;

use stratum_core::condition::Condition;
use stratum_core::ids::{Address, BranchName};
use stratum_core::ports::{Journals as _, Leases as _, RunOutcome, States as _, StoreError};
use stratum_testkit::script::{Content, environment, thing};
use stratum_testkit::world::{Fault, Operation};

use crate::desk::Desk;

const TTL: Duration = Duration::from_secs(60);

fn one(value: &str) -> Content {
    Content::of(vec![thing("a", value, &[])])
}

/// Lets simulated time pass until `done`, at most an hour.
async fn until(done: impl AsyncFn() -> bool) {
    for _ in 0..3600 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("it did not come to pass within an hour");
}

#[tokio::test(start_paused = true)]
async fn pushes_during_an_apply_are_skipped_to_the_newest_and_that_is_recorded() {
    let desk = Desk::new(1);
    desk.script.push(one("0"));
    let process = desk.start();
    let running = tokio::spawn({
        let reconciler = process.reconciler.clone();
        async move { reconciler.run().await }
    });
    until(async || desk.values().get("a").is_some_and(|value| value == "0")).await;
    // The next apply takes its time: its answer is lost, and ten minutes pass.
    let address: Address = "e/memory_thing.a".parse().unwrap();
    desk.world.inject(&address, Operation::Apply, Fault::Hang);
    desk.script.push(one("1"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let skipped = desk.script.push(one("2"));
    desk.script.push(one("3"));
    until(async || desk.values()["a"] == "3").await;
    process.stop.stop();
    running.await.unwrap().unwrap();
    let values: Vec<_> = desk
        .world
        .effects()
        .into_iter()
        .map(|e| e.after.unwrap()["value"].clone())
        .collect();
    assert!(
        !values.contains(&stratum_core::value::Value::text("2")),
        "{values:?}"
    );
    let last = desk.script.published().pop().unwrap();
    let text = String::from_utf8(last.files[0].1.clone()).unwrap();
    assert!(text.contains(skipped.short()), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_a_dead_process_is_taken_over_and_it_can_write_nothing_more() {
    let desk = Desk::new(1);
    desk.script.push(one("1"));
    desk.look().await;
    let other = desk.store.another();
    let taken = other.acquire(&environment(), TTL).await.unwrap();
    other.dies();
    desk.script.push(one("2"));
    assert_eq!(desk.look().await.condition, Condition::Ready);
    let row = desk.row().await;
    assert!(other.put_environment(&taken, &row).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_living_holder_costs_no_looks_and_is_taken_over_from_when_it_ends() {
    let desk = Desk::new(1);
    let other = desk.store.another();
    let taken = other.acquire(&environment(), TTL).await.unwrap();
    desk.script.push(one("1"));
    let process = desk.start();
    let running = tokio::spawn({
        let reconciler = process.reconciler.clone();
        async move { reconciler.run().await }
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = process.store.writes();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let writes = process.store.writes() - before;
    // Leases are renewed three times a minute; a look every two seconds would be hundreds.
    assert!(writes <= 40, "{writes} writes in ten minutes");
    other.release(&[taken]).await.unwrap();
    until(async || desk.values().get("a").is_some_and(|value| value == "1")).await;
    process.stop.stop();
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_lost_in_the_middle_stops_the_apply_and_the_new_holder_ends_it() {
    let desk = Desk::new(1);
    desk.script.push(Content::of(vec![
        thing("a", "1", &[]),
        thing("b", "1", &["a"]),
    ]));
    let address: Address = "e/memory_thing.a".parse().unwrap();
    desk.world.inject(&address, Operation::Apply, Fault::Hang);
    let first = desk.start();
    let running = tokio::spawn({
        let reconciler = first.reconciler.clone();
        async move { reconciler.run_once().await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = desk.start();
    let reports = second.reconciler.run_once().await.unwrap();
    assert_eq!(
        reports[0].condition,
        Condition::Ready,
        "{}",
        reports[0].reason
    );
    desk.assert_state_is_world().await;
    // The first finds out when it wants to write, and says so.
    let reports = running.await.unwrap().unwrap();
    let [report] = reports.as_slice() else {
        panic!("{reports:?}")
    };
    assert_eq!(report.condition, Condition::Stalled);
    assert_eq!(report.outcome, None);
    assert!(report.reason.contains("was lost"), "{}", report.reason);
    desk.assert_state_is_world().await;
    assert_eq!(desk.world.doubled(), []);
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_goes_stalls_and_one_that_comes_back_goes_on() {
    let desk = Desk::new(1);
    let live = BranchName::new("live").unwrap();
    let content = one("1").set(|own| own.branch = Some(BranchName::new("live").unwrap()));
    desk.script.push(content.clone());
    desk.script.push_to(&live, content.clone());
    assert_eq!(desk.look().await.condition, Condition::Ready);
    desk.script.delete_branch(&live);
    let report = desk.look().await;
    assert_eq!(report.condition, Condition::Stalled);
    assert!(report.reason.contains("`live`"), "{}", report.reason);
    assert_eq!(desk.values()["a"], "1");
    desk.script.push_to(&live, content);
    assert_eq!(desk.look().await.condition, Condition::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_comes_back_at_the_same_commit_wakes_the_loop() {
    let desk = Desk::new(1);
    let live = BranchName::new("live").unwrap();
    let content = one("1").set(|own| own.branch = Some(BranchName::new("live").unwrap()));
    desk.script.push(content.clone());
    let commit = desk.script.push_to(&live, content);
    let process = desk.start();
    let running = tokio::spawn({
        let reconciler = process.reconciler.clone();
        async move { reconciler.run().await }
    });
    let is = async |condition| desk.row().await.condition == condition;
    until(async || desk.values().len() == 1).await;
    until(async || is(Condition::Ready).await).await;
    desk.script.delete_branch(&live);
    until(async || is(Condition::Stalled).await).await;
    desk.script.move_branch(&live, &commit);
    until(async || is(Condition::Ready).await).await;
    process.stop.stop();
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_force_push_brings_the_old_content_back() {
    let desk = Desk::new(1);
    let first = desk.script.push(one("1"));
    desk.look().await;
    desk.script.push(one("2"));
    desk.look().await;
    desk.script.reset(&first);
    assert_eq!(desk.look().await.outcome, Some(RunOutcome::Applied));
    assert_eq!(desk.values()["a"], "1");
}

#[tokio::test(start_paused = true)]
async fn a_remote_that_is_down_for_an_hour_is_waited_for() {
    let desk = Desk::new(1);
    desk.script.push(one("1"));
    let process = desk.start();
    let running = tokio::spawn({
        let reconciler = process.reconciler.clone();
        async move { reconciler.run().await }
    });
    until(async || desk.values().len() == 1).await;
    desk.script.remote_down(true);
    desk.script.push(one("2"));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(desk.values()["a"], "1");
    desk.script.remote_down(false);
    until(async || desk.values()["a"] == "2").await;
    until(async || desk.store.unfinished().await.unwrap().is_empty()).await;
    process.stop.stop();
    running.await.unwrap().unwrap();
    assert_eq!(desk.script.published().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_loses_nothing() {
    let desk = Desk::new(1);
    let things = (0..40).map(|i| thing(&format!("t{i}"), "1", &[])).collect();
    desk.script.push(Content::of(things));
    let slow: Address = "e/memory_thing.t3".parse().unwrap();
    desk.world.inject(&slow, Operation::Checkpoint, Fault::Hang);
    let process = desk.start();
    let running = tokio::spawn({
        let reconciler = process.reconciler.clone();
        async move { reconciler.run().await }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    process.stop.stop();
    running.await.unwrap().unwrap();
    desk.assert_state_is_world().await;
    let report = desk.look().await;
    assert_eq!(desk.world.doubled(), []);
    assert_eq!(report.condition, Condition::Ready, "{}", report.reason);
    assert_eq!(desk.values().len(), 40);
    desk.assert_state_is_world().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_a_step_is_prepared_lets_it_not_begin() {
    let desk = Desk::new(1);
    desk.script.push(Content::of(vec![
        thing("a", "1", &[]),
        thing("b", "1", &[]),
    ]));
    let process = desk.start();
    // The stop comes after both were asked for what puts them back, and before either is begun.
    let (asked, stop) = (desk.world.clone(), process.stop.clone());
    let stopping = tokio::spawn(async move {
        let prepared = |(_, operation): &(_, Operation)| *operation == Operation::Checkpoint;
        while !asked.calls().iter().any(prepared) {
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
        stop.stop();
    });
    process.reconciler.run().await.unwrap();
    stopping.await.unwrap();
    assert_eq!(desk.world.effects(), []);
    assert_eq!(desk.look().await.condition, Condition::Ready);
    assert_eq!(desk.values().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_cuts_no_call() {
    let desk = Desk::new(1);
    desk.script.push(one("1"));
    let address: Address = "e/memory_thing.a".parse().unwrap();
    desk.world.inject(&address, Operation::Apply, Fault::Hang);
    let process = desk.start();
    let running = tokio::spawn({
        let reconciler = process.reconciler.clone();
        async move { reconciler.run().await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(desk.in_flight(), 1);
    // The next write is that of the renewal, a third of a lease later.
    desk.store.fail_next(StoreError::Full {
        doing: "renewing leases",
    });
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(desk.in_flight(), 1, "the call goes on");
    // It is renewed the next time, and nobody takes it.
    process.store.inner.cannot_be_told();
    let other = desk.store.another();
    assert!(other.acquire(&environment(), TTL).await.is_err());
    process.stop.stop();
    running.await.unwrap().unwrap();
}

/// An environment that corrects what somebody else writes again after each look but the first, five
/// times; answers how often it was put right.
async fn fought(desk: &Desk) -> u32 {
    desk.script.push(correcting("1"));
    desk.look().await;
    let mut corrections = 0;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(400)).await;
        let address: Address = "e/memory_thing.a".parse().unwrap();
        let mut thing = desk.world.thing(&address).unwrap();
        thing.insert(
            "value".to_owned(),
            stratum_core::value::Value::text("theirs"),
        );
        desk.world.meddle(&address, Some(thing));
        desk.look().await;
        corrections += u32::from(desk.values()["a"] == "1");
    }
    corrections
}

fn correcting(value: &str) -> Content {
    use stratum_core::settings::{DriftMode, DriftSettings};
    one(value).set(|own| {
        own.drift = Some(DriftSettings {
            mode: DriftMode::Correct,
            every: Duration::from_secs(300),
        })
    })
}

#[tokio::test(start_paused = true)]
async fn two_writers_that_fight_are_reported() {
    let desk = Desk::new(1);
    assert_eq!(fought(&desk).await, 3);
    let row = desk.row().await;
    assert_eq!(row.condition, Condition::Stalled);
    assert!(
        row.reason.contains("someone else keeps changing `value`"),
        "{}",
        row.reason
    );
    // The other writer stopped: when its time is over, it is put right, and all is well.
    tokio::time::sleep(Duration::from_secs(1_900)).await;
    desk.look().await;
    assert_eq!(desk.values()["a"], "1");
    assert_eq!(desk.row().await.condition, Condition::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_push_of_the_resource_puts_right_what_was_fought_over() {
    let desk = Desk::new(1);
    fought(&desk).await;
    assert_eq!(desk.row().await.condition, Condition::Stalled);
    desk.script.push(correcting("2"));
    desk.look().await;
    assert_eq!(desk.values()["a"], "2");
    assert_eq!(desk.row().await.condition, Condition::Ready);
}

#[tokio::test(start_paused = true)]
async fn dropping_what_is_old_keeps_no_push_waiting() {
    let desk = Desk::new(1);
    let one = |value: &str| Content::of(vec![thing("a", value, &[])]);
    desk.script.push(one("1"));
    let process = desk.start();
    process.store.drops_for_ever.store(true, Ordering::SeqCst);
    let running = tokio::spawn({
        let reconciler = process.reconciler.clone();
        async move { reconciler.run().await }
    });
    let is = async |value: &str| {
        let there = async || desk.values().get("a").is_some_and(|there| there == value);
        until(there).await;
    };
    is("1").await;
    // It is asked about once a minute whether something is to be dropped.
    tokio::time::sleep(Duration::from_secs(300)).await;
    desk.script.push(one("2"));
    is("2").await;
    process.stop.stop();
    running.await.unwrap().unwrap();
}
