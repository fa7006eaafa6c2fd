//! Every step fails, every answer is lost, and the process dies at every write.

use stratum_core::ids::Address;
use stratum_core::ports::RunOutcome;
use stratum_core::resource::Resource;
use stratum_core::value::Value;
use stratum_testkit::script::{Content, thing};
use stratum_testkit::world::{Fault, Operation};

use crate::desk::Desk;
use crate::killing::Kill;

/// Fifty things in ten layers of five, each depending on two of the layer before.
fn layers(value: &str) -> Vec<Resource> {
    let name = |layer: usize, index: usize| format!("l{layer}n{index}");
    let mut things = Vec::new();
    for layer in 0..10 {
        for index in 0..5 {
            let below = [
                name(layer.max(1) - 1, index),
                name(layer.max(1) - 1, (index + 1) % 5),
            ];
            let depends_on: Vec<&str> = if layer == 0 {
                vec![]
            } else {
                below.iter().map(String::as_str).collect()
            };
            things.push(thing(&name(layer, index), value, &depends_on));
        }
    }
    things
}

#[tokio::test(start_paused = true)]
async fn whatever_step_fails_and_however_the_world_is_as_before() {
    for fault in [
        Fault::FailBefore,
        Fault::FailUnknown,
        Fault::FailAfter,
        Fault::LoseAnswer,
        Fault::Hang,
    ] {
        for resource in layers("1") {
            let desk = Desk::new(1);
            desk.script.push(Content::of(layers("1")));
            desk.world
                .inject(&resource.address, Operation::Apply, fault.clone());
            let report = desk.look().await;
            let what = format!("{fault:?} at {}: {}", resource.address, report.reason);
            assert_eq!(report.outcome, Some(RunOutcome::RolledBack), "{what}");
            assert!(desk.world.things().is_empty(), "{what}");
            desk.assert_state_is_world().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_restored_is_named() {
    for resource in layers("1") {
        let desk = Desk::new(1);
        desk.script.push(Content::of(layers("1")));
        let last: Address = "e/memory_thing.l9n4".parse().unwrap();
        desk.world.inject(&last, Operation::Apply, Fault::FailAfter);
        desk.world
            .inject(&resource.address, Operation::Restore, Fault::FailBefore);
        let report = desk.look().await;
        // Of the last layer, some may not have begun when the last one failed.
        if resource.address.name().as_str().starts_with("l9") && desk.world.things().is_empty() {
            assert_eq!(report.outcome, Some(RunOutcome::RolledBack));
            continue;
        }
        assert_eq!(report.outcome, Some(RunOutcome::Stuck));
        let record = desk.script.published().pop().unwrap();
        let text = String::from_utf8(record.files[0].1.clone()).unwrap();
        for address in desk.world.things().keys() {
            assert!(
                text.contains(&format!("| `{}` |", address.local)),
                "{address}: {text}"
            );
        }
        assert!(desk.world.things().contains_key(&resource.address));
    }
}

/// What a plan is made of, so that it creates, updates, replaces and deletes.
fn before() -> Vec<Resource> {
    let mut replaced = thing("replaced", "1", &["updated"]);
    replaced
        .attributes
        .insert("fixed".to_owned(), Value::text("1"));
    vec![
        thing("updated", "1", &[]),
        replaced,
        thing("deleted", "1", &["updated"]),
    ]
}

fn after() -> Vec<Resource> {
    let mut replaced = thing("replaced", "1", &["updated"]);
    replaced
        .attributes
        .insert("fixed".to_owned(), Value::text("2"));
    vec![
        thing("updated", "2", &[]),
        replaced,
        thing("created", "1", &["replaced"]),
    ]
}

/// Counts the writes of an undisturbed run, then dies before and after each of them.
async fn die_everywhere(disturb: impl Fn(&Desk), check: impl AsyncFn(&Desk, Kill)) {
    let prepared = async || {
        let desk = Desk::new(1);
        desk.script.push(Content::of(before()));
        desk.look().await;
        desk.script.push(Content::of(after()));
        disturb(&desk);
        desk
    };
    let desk = prepared().await;
    let process = desk.start();
    process.reconciler.run_once().await.unwrap();
    let writes = process.store.writes();
    assert!(writes > 8, "only {writes} writes");
    for kill in (0..writes).flat_map(|n| [Kill::Before(n), Kill::After(n)]) {
        let desk = prepared().await;
        let killed = desk.start_killed_at(Some(kill)).once().await;
        assert!(killed.is_none(), "{kill:?} did not kill");
        // Killed a second time, at the same distance from its start.
        let _ends_or_dies_again = desk.start_killed_at(Some(kill)).once().await;
        desk.once().await;
        check(&desk, kill).await;
    }
}

#[tokio::test(start_paused = true)]
async fn death_at_every_write_of_an_apply_is_recovered() {
    die_everywhere(
        |_| {},
        async |desk, kill| {
            let names: Vec<String> = desk.values().into_keys().collect();
            assert_eq!(names, ["created", "replaced", "updated"], "{kill:?}");
            desk.assert_state_is_world().await;
            assert_eq!(desk.world.doubled(), [], "{kill:?}");
            assert_eq!(desk.script.published().len(), 2, "{kill:?}");
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn death_at_every_write_of_a_rollback_is_recovered() {
    let created: Address = "e/memory_thing.created".parse().unwrap();
    die_everywhere(
        // Twice, because an apply that was cut off before its answer is tried again.
        |desk| {
            (0..3).for_each(|_| {
                desk.world
                    .inject(&created, Operation::Apply, Fault::FailUnknown)
            })
        },
        async |desk, kill| {
            let values = desk.values();
            let names: Vec<&str> = values.keys().map(String::as_str).collect();
            assert_eq!(names, ["deleted", "replaced", "updated"], "{kill:?}");
            assert_eq!(values["updated"], "1", "{kill:?}");
            desk.assert_state_is_world().await;
            assert_eq!(desk.script.published().len(), 2, "{kill:?}");
            assert!(desk.row().await.hold.is_some(), "{kill:?}");
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_tell_waits_and_an_adopt_resolves_it() {
    let desk = Desk::new(1);
    let things = || {
        vec![
            thing("a", "1", &[]),
            thing("b", "1", &["a"]),
            thing("c", "1", &[]),
        ]
    };
    desk.script.push(Content::of(things()));
    let a: Address = "e/memory_thing.a".parse().unwrap();
    desk.world.inject(&a, Operation::Apply, Fault::LoseAnswer);
    let process = desk.start();
    let looking = tokio::time::timeout(std::time::Duration::from_secs(1), process.once());
    assert!(looking.await.is_err(), "the answer was not lost");
    desk.world.inject(&a, Operation::Locate, Fault::CannotTell);
    let report = desk.look().await;
    assert_eq!(
        report.condition,
        stratum_core::condition::Condition::Stalled
    );
    assert!(
        report.reason.contains("`e/memory_thing.a`"),
        "{}",
        report.reason
    );
    assert!(desk.values().contains_key("c"), "the rest went on");
    assert!(!desk.values().contains_key("b"), "what depends on it waits");

    let mut adopting = things();
    let made = desk.world.thing(&a).unwrap();
    adopting[0].meta.adopt = made["id"].as_text().map(str::to_owned);
    desk.script.push(Content::of(adopting));
    let report = desk.look().await;
    assert_eq!(
        report.outcome,
        Some(RunOutcome::Applied),
        "{}",
        report.reason
    );
    assert_eq!(desk.values().len(), 3);
    assert_eq!(desk.world.doubled(), []);
}
