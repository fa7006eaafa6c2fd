//! A push costs what it touches: the others come along with the front of their branch.

use std::collections::BTreeMap;
use std::time::Duration;

use stratum_core::condition::Condition;
use stratum_core::ids::{Address, CommitId, EnvironmentName};
use stratum_core::ports::{Fronts as _, States as _};
use stratum_core::settings::EnvironmentSettings;
use stratum_testkit::script::{Content, thing};

use crate::desk::{Desk, Process};
use crate::killing::Kill;

/// Forty environments with one thing each.
const MANY: usize = 40;

fn name(number: usize) -> EnvironmentName {
    EnvironmentName::new(format!("e{number:02}")).unwrap()
}

/// All environments, each with the value that is given, or `same`.
fn content(values: &[(usize, &str)]) -> Content {
    let values: BTreeMap<usize, &str> = values.iter().copied().collect();
    let mut content = Content::of(Vec::new());
    content.settings.environments.clear();
    content.resources.clear();
    for number in 0..MANY {
        let environment = name(number);
        let value = values.get(&number).copied().unwrap_or("same");
        let mut one = thing("a", value, &[]);
        one.address = format!("{environment}/memory_thing.a")
            .parse::<Address>()
            .unwrap();
        let own = EnvironmentSettings::default();
        content
            .settings
            .environments
            .insert(environment.clone(), own);
        content.resources.insert(environment, vec![one]);
    }
    content
}

fn running(process: &Process) -> tokio::task::JoinHandle<()> {
    let reconciler = process.reconciler.clone();
    tokio::spawn(async move { reconciler.run().await.unwrap() })
}

async fn until(done: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it did not come to pass within a minute");
}

/// Whether every environment is at this commit.
async fn all_at(desk: &Desk, commit: &CommitId) -> bool {
    let rows = desk.store.environments().await.unwrap();
    let at = rows
        .iter()
        .filter(|row| row.revision.as_ref() == Some(commit));
    rows.len() == MANY && at.count() == MANY
}

fn value(desk: &Desk, number: usize) -> String {
    let address: Address = format!("{}/memory_thing.a", name(number)).parse().unwrap();
    let things = desk.world.things();
    let value = things.get(&address).and_then(|record| record.get("value"));
    value
        .and_then(|value| value.as_text())
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_push_looks_at_what_it_touches_and_the_others_are_at_it_too() {
    let desk = Desk::new(1);
    let first = desk.script.push(content(&[]));
    let process = desk.start();
    let task = running(&process);
    until(async || all_at(&desk, &first).await).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    for (number, value_) in [(3, "1"), (7, "2"), (3, "3"), (39, "4")] {
        let (loads, writes) = (desk.script.loads(), process.store.writes());
        let commit = desk.script.push(content(&[(number, value_)]));
        until(async || all_at(&desk, &commit).await).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(value(&desk, number), value_);
        let (loads, writes) = (desk.script.loads() - loads, process.store.writes() - writes);
        // The one before goes back to what it was, so two are touched.
        assert!(loads <= 4, "{loads} evaluations for {number}");
        // Each lease may be renewed meanwhile.
        assert!(writes <= MANY as u64 + 20, "{writes} writes for {number}");
    }
    let before = desk.script.loads();
    let nothing = desk.script.push(content(&[(39, "4")]));
    until(async || all_at(&desk, &nothing).await).await;
    assert_eq!(desk.script.loads(), before);
    process.stop.stop();
    task.await.unwrap();
    // What is written down says the same to the next process, which finds nothing to do.
    desk.once().await;
    assert!(all_at(&desk, &nothing).await);
    assert_eq!(desk.script.loads(), before);
    let fronts = desk.store.fronts().await.unwrap();
    assert_eq!(fronts.len(), 1);
    assert_eq!(fronts[0].1, nothing);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_settings_is_everybodys() {
    let desk = Desk::new(1);
    let first = desk.script.push(content(&[]));
    let process = desk.start();
    let task = running(&process);
    until(async || all_at(&desk, &first).await).await;
    let mut other = content(&[]);
    let own = other.settings.environments.get_mut(&name(5)).unwrap();
    own.suspended = true;
    let second = desk.script.push(other);
    until(async || {
        let row = desk.store.environment(&name(5)).await.unwrap().unwrap();
        row.condition == Condition::Suspended
    })
    .await;
    until(async || {
        let rows = desk.store.environments().await.unwrap();
        let mut others = rows.iter().filter(|row| row.name != name(5));
        others.all(|row| row.revision.as_ref() == Some(&second))
    })
    .await;
    // It goes on from where it was, and comes to the front again.
    let third = desk.script.push(content(&[(5, "9")]));
    until(async || all_at(&desk, &third).await).await;
    assert_eq!(value(&desk, 5), "9");
    process.stop.stop();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pushes_that_come_while_others_are_applied_lose_nobody() {
    let desk = Desk::new(7);
    let first = desk.script.push(content(&[]));
    let process = desk.start();
    let task = running(&process);
    until(async || all_at(&desk, &first).await).await;
    let mut values = BTreeMap::new();
    let mut last = first;
    for round in 0..60 {
        let number = (round * 17) % MANY;
        let text = format!("v{round}");
        values.insert(number, text);
        let given: Vec<(usize, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
        last = desk.script.push(content(&given));
        tokio::time::sleep(Duration::from_millis(round as u64 * 7 % 90)).await;
    }
    until(async || all_at(&desk, &last).await).await;
    for number in 0..MANY {
        let wanted = values.get(&number).map_or("same", String::as_str);
        assert_eq!(value(&desk, number), wanted, "{number}");
    }
    process.stop.stop();
    task.await.unwrap();
}

/// One look by a new process at everything, and how often it read the row of one environment.
async fn once_again(desk: &Desk) -> u64 {
    let process = desk.start();
    let store = process.store.clone();
    let reports = process.once().await.unwrap().unwrap();
    assert_eq!(reports.len(), MANY, "everybody is told of");
    store.rows()
}

#[tokio::test(start_paused = true)]
async fn a_process_that_begins_looks_at_nobody_who_cannot_be_otherwise() {
    let desk = Desk::new(1);
    desk.script.push(content(&[]));
    desk.once().await;
    let (loads, reads) = (desk.script.loads(), desk.world.calls().len());
    let process = desk.start();
    let store = process.store.clone();
    let reports = process.once().await.unwrap().unwrap();
    assert_eq!(reports.len(), MANY);
    assert!(reports.iter().all(|one| one.condition == Condition::Ready));
    assert_eq!(
        (store.rows(), store.writes()),
        (0, 0),
        "rows read one by one, and writes"
    );
    assert_eq!(
        (desk.script.loads(), desk.world.calls().len()),
        (loads, reads)
    );
    // One that moved on is one that is looked at.
    desk.script.push(content(&[(3, "1")]));
    assert!(once_again(&desk).await < 10, "only one was touched");
    assert_eq!(value(&desk, 3), "1");
    assert_eq!(once_again(&desk).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_begins_looks_at_whom_time_or_a_failure_made_due() {
    let desk = Desk::new(1);
    desk.script.push(content(&[]));
    desk.once().await;
    let reads = desk.world.calls().len();
    tokio::time::sleep(Duration::from_secs(7200)).await;
    assert!(once_again(&desk).await >= MANY as u64, "drift is due");
    assert!(desk.world.calls().len() >= reads + MANY);
    assert_eq!(once_again(&desk).await, 0);
    // A run that was begun and has not ended.
    desk.script.push(content(&[(7, "1")]));
    let killed = desk.start_killed_at(Some(Kill::After(4)));
    assert!(killed.once().await.is_none());
    once_again(&desk).await;
    assert_eq!(value(&desk, 7), "1");
    assert_eq!(once_again(&desk).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_begins_hears_what_settings_and_tags_say_of_the_settled() {
    let desk = Desk::new(1);
    desk.script.push(content(&[]));
    desk.once().await;
    assert_eq!(once_again(&desk).await, 0);
    desk.script.tag("stratum/suspend/e05");
    let looked = once_again(&desk).await;
    assert!(looked > 0 && looked < 10, "{looked}: one was spoken of");
    // What runs may have stopped with the machine.
    *desk.stopped.lock().unwrap() = Some(Default::default());
    desk.script.push(content(&[(9, "1")]));
    desk.once().await;
    assert!(once_again(&desk).await > 0);
}

#[tokio::test(start_paused = true)]
async fn environments_that_come_later_look_for_the_oldest_pin_once() {
    let first = |count: usize| {
        let mut content = content(&[]);
        let settings = &mut content.settings.environments;
        settings.retain(|environment, _| *environment < name(count));
        content
            .resources
            .retain(|environment, _| *environment < name(count));
        content
    };
    let reads = async |count: usize| {
        let desk = Desk::new(1);
        desk.script.push(first(1));
        desk.once().await;
        desk.script.push(first(count));
        let process = desk.start();
        let reports = process.reconciler.run_once().await.unwrap();
        assert!(reports.iter().all(|one| one.condition == Condition::Ready));
        assert_eq!(reports.len(), count);
        process.store.all()
    };
    assert_eq!(reads(MANY).await, reads(2).await);
}
