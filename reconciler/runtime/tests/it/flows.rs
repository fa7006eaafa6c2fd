//! The ordinary life: a push, another, a bad one, a revert.

use stratum_core::condition::Condition;
use stratum_core::ports::{Journals as _, RunOutcome};
use stratum_testkit::script::{Content, thing};
use stratum_testkit::world::{Fault, Operation};

use crate::desk::Desk;

#[tokio::test(start_paused = true)]
async fn a_push_is_applied_and_recorded_once_and_then_nothing_is_done() {
    let desk = Desk::new(1);
    desk.script.push(Content::of(vec![
        thing("a", "1", &[]),
        thing("b", "2", &["a"]),
    ]));
    let report = desk.look().await;
    assert_eq!(
        (report.condition, report.outcome),
        (Condition::Ready, Some(RunOutcome::Applied))
    );
    desk.assert_state_is_world().await;
    assert_eq!(desk.script.published().len(), 1);
    let text = String::from_utf8(desk.script.published()[0].files[0].1.clone()).unwrap();
    assert!(
        text.contains("outcome: applied") && text.contains("memory_thing.a"),
        "{text}"
    );

    let (loads, calls) = (desk.script.loads(), desk.world.calls().len());
    let process = desk.start();
    process.reconciler.run_once().await.unwrap();
    assert_eq!(process.store.writes(), 0);
    assert_eq!(
        (desk.script.loads(), desk.world.calls().len()),
        (loads, calls)
    );
}

#[tokio::test(start_paused = true)]
async fn only_what_changes_is_touched() {
    let desk = Desk::new(1);
    let things = |value: &str| {
        (0..20)
            .map(|i| thing(&format!("t{i}"), if i == 7 { value } else { "same" }, &[]))
            .collect()
    };
    desk.script.push(Content::of(things("1")));
    desk.look().await;
    desk.world.forget();
    desk.script.push(Content::of(things("2")));
    desk.look().await;
    let effects = desk.world.effects();
    assert_eq!(effects.len(), 1);
    let read = desk
        .world
        .calls()
        .into_iter()
        .filter(|(_, o)| *o == Operation::Read)
        .count();
    assert_eq!(read, 1);
}

#[tokio::test(start_paused = true)]
async fn a_bad_push_is_rolled_back_held_and_cleared_by_a_revert() {
    let desk = Desk::new(1);
    let good = Content::of(vec![thing("a", "1", &[]), thing("b", "1", &["a"])]);
    desk.script.push(good.clone());
    desk.look().await;
    let before = desk.world.things();
    desk.script.push(Content::of(vec![
        thing("a", "2", &[]),
        thing("b", "2", &["a"]),
    ]));
    let address = "e/memory_thing.b".parse().unwrap();
    desk.world
        .inject(&address, Operation::Apply, Fault::FailAfter);
    let report = desk.look().await;
    assert_eq!(report.outcome, Some(RunOutcome::RolledBack));
    assert_eq!(desk.world.things(), before);
    desk.assert_state_is_world().await;

    // Held: a new process does not try it again.
    desk.world.forget();
    let report = desk.look().await;
    assert_eq!(
        (report.condition, desk.world.effects().len()),
        (Condition::Stalled, 0)
    );
    assert!(report.reason.contains("rolled back"), "{}", report.reason);

    desk.script.push(good);
    let report = desk.look().await;
    assert_eq!(
        (report.condition, desk.row().await.hold),
        (Condition::Ready, None)
    );
    assert_eq!(desk.script.published().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_record_waits_while_the_remote_is_down() {
    let desk = Desk::new(1);
    desk.script.push(Content::of(vec![thing("a", "1", &[])]));
    desk.script.lose_races(1);
    desk.look().await;
    // The pass that follows the apply tries again at once.
    assert_eq!(desk.script.published().len(), 1);
    assert!(desk.store.unfinished().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn suspended_watches_and_applies_nothing() {
    let desk = Desk::new(1);
    let content = Content::of(vec![thing("a", "1", &[])]);
    desk.script
        .push(content.clone().set(|own| own.suspended = true));
    assert_eq!(desk.look().await.condition, Condition::Suspended);
    assert!(desk.world.things().is_empty());
    desk.script.push(content);
    assert_eq!(desk.look().await.condition, Condition::Ready);
}

#[tokio::test(start_paused = true)]
async fn an_emptied_environment_needs_a_word() {
    let desk = Desk::new(1);
    desk.script.push(Content::of(vec![thing("a", "1", &[])]));
    desk.look().await;
    desk.script.push(Content::of(vec![]));
    let report = desk.look().await;
    assert_eq!(report.outcome, Some(RunOutcome::Denied));
    assert!(
        report.reason.contains("all of its 1 resources"),
        "{}",
        report.reason
    );
    // The word and what it allows do not come in one push.
    let word = |things| Content::of(things).set(|own| own.empty = true);
    desk.script.push(word(vec![]));
    assert_eq!(desk.look().await.outcome, Some(RunOutcome::Denied));
    desk.script.push(word(vec![thing("a", "1", &[])]));
    assert_eq!(desk.look().await.condition, Condition::Ready);
    desk.script.push(word(vec![]));
    let report = desk.look().await;
    assert_eq!(
        report.outcome,
        Some(RunOutcome::Applied),
        "{}",
        report.reason
    );
    assert!(desk.world.things().is_empty());
}
