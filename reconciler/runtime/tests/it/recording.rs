//! Records: written together, beside the work, and not lost when they cannot be written.

use std::time::Duration;

use stratum_core::ports::{Facts as _, Journals as _, RunOutcome};
use stratum_core::waiting::{LAST, LOST, Last, Lost, WAITS, Waits};
use stratum_testkit::script::{Content, thing};

use crate::desk::Desk;

fn one(value: &str) -> Content {
    Content::of(vec![thing("a", value, &[])])
}

async fn fact<T: serde::de::DeserializeOwned>(desk: &Desk, name: &str) -> Option<T> {
    let facts = desk.store.facts(name).await.unwrap();
    let value = facts.first().map(|(_, value)| value.clone())?;
    Some(serde_json::from_slice(&value).unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_record_of_a_refusal_is_written_when_the_repository_can_be_written_again() {
    let desk = Desk::new(1);
    desk.script.push(one("1"));
    desk.look().await;
    // Refused, because the environment would become empty.
    desk.script.push(Content::of(Vec::new()));
    desk.script.lose_races(1_000);
    assert_eq!(desk.look().await.outcome, Some(RunOutcome::Denied));
    assert_eq!(desk.script.published().len(), 1, "the refusal waits");
    let waits: Waits = fact(&desk, WAITS).await.unwrap();
    assert_eq!(waits.count, 1);
    assert!(waits.reason.contains("moved by others"), "{}", waits.reason);

    // Another process, later: nothing new, but the record is written.
    desk.script.lose_races(0);
    desk.look().await;
    let published = desk.script.published();
    assert_eq!(published.len(), 2);
    let text = String::from_utf8(published[1].files[0].1.clone()).unwrap();
    assert!(text.contains("outcome: denied"), "{text}");
    let history = desk.store.history(None, 1).await.unwrap();
    assert!(history[0].record.is_some());
    assert_eq!(fact::<Waits>(&desk, WAITS).await, None);
    assert!(desk.store.facts("records/kept/").await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_waits_delays_no_look_and_is_said_once() {
    let desk = Desk::new(1);
    desk.script.push(one("1"));
    desk.script.lose_races(u32::MAX);
    let process = desk.start();
    let running = tokio::spawn({
        let reconciler = process.reconciler.clone();
        async move { reconciler.run().await }
    });
    let applied = async |value: &str| {
        let begun = tokio::time::Instant::now();
        while desk.values().get("a").is_none_or(|there| there != value) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        begun.elapsed()
    };
    applied("1").await;
    for value in ["2", "3", "4"] {
        tokio::time::sleep(Duration::from_secs(100)).await;
        desk.script.push(one(value));
        let took = applied(value).await;
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    let offers = desk.script.offers();
    assert!(offers < 60, "offered {offers} times in five minutes");
    let first: Waits = fact(&desk, WAITS).await.unwrap();
    desk.script.lose_races(0);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(desk.script.published().len(), 4);
    assert_eq!(fact::<Waits>(&desk, WAITS).await, None);
    assert!(first.since <= stratum_core::ports::Clock::now(desk.clock.as_ref()));
    process.stop.stop();
    running.await.unwrap().unwrap();
    assert!(desk.store.unfinished().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_branch_of_records_that_someone_replaced_is_noticed_and_its_return_too() {
    let desk = Desk::new(1);
    desk.script.push(one("1"));
    desk.look().await;
    let last: Last = fact(&desk, LAST).await.unwrap();
    assert_eq!(last.branch.as_str(), "stratum/records");
    desk.script.delete_branch(&last.branch);
    desk.script.push(one("2"));
    desk.look().await;
    let lost: Lost = fact(&desk, LOST).await.unwrap();
    assert_eq!(lost.commit, last.commit);
    assert!(lost.sentence().contains("rewritten by someone else"));
    assert_eq!(lost.found, None);
    assert_eq!(
        desk.script.published().len(),
        2,
        "records are written all the same"
    );
    // It stays said, also after others, until the commit is back.
    desk.script.push(one("3"));
    desk.look().await;
    let still: Lost = fact(&desk, LOST).await.unwrap();
    assert_eq!(still, lost);
    desk.script.move_branch(&last.branch, &last.commit);
    desk.script.push(one("4"));
    desk.look().await;
    let now: Option<Lost> = fact(&desk, LOST).await;
    assert_ne!(now.map(|lost| lost.commit), Some(last.commit));
}
