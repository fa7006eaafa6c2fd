//! A provider that breaks its contract, sentence by sentence: the step fails with the sentence, what
//! it left is tainted, and the world is put back.

use std::sync::Arc;

use stratum_core::condition::Condition;
use stratum_core::ids::Address;
use stratum_core::journal::Event;
use stratum_core::ports::{Journals, Observations, Provider, Retry, RunOutcome, Site, States};
use stratum_core::resource::Resource;
use stratum_core::value::{Path, Reference, Value};
use stratum_runtime::{Providers, discover};
use stratum_testkit::script::{Content, environment, thing};
use stratum_testkit::world::{Fault, Lie, MemoryProvider, Operation};

use crate::desk::Desk;
use crate::killing::Kill;

/// How every sentence begins.
const BROKE: &str = "broke its contract";

fn a() -> Address {
    "e/memory_thing.a".parse().unwrap()
}

fn b() -> Address {
    "e/memory_thing.b".parse().unwrap()
}

/// `b`, whose value is the id of `a`.
fn b_of_a() -> Resource {
    let mut resource = thing("b", "", &[]);
    let reference = Reference {
        resource: "memory_thing.a".parse().unwrap(),
        path: Path::of("id"),
    };
    resource
        .attributes
        .insert("value".to_owned(), Value::reference(reference));
    resource
}

/// The events of the last run.
async fn events(desk: &Desk) -> Vec<Event> {
    let runs = desk.store.history(Some(&environment()), 1).await.unwrap();
    let run = desk.store.run(&runs[0].id).await.unwrap().unwrap();
    run.events.into_iter().map(|(_, event)| event).collect()
}

/// The sentence with which the first step failed.
fn sentence(events: &[Event]) -> (String, Option<Retry>) {
    let failed = events.iter().find_map(|event| match event {
        Event::Failed { error, retry, .. } => Some((error.clone(), *retry)),
        _ => None,
    });
    failed.unwrap()
}

/// Nothing that is kept of the environment names the secret.
async fn assert_no_secret(desk: &Desk, what: &str) {
    let base = desk.store.base(&environment()).await.unwrap();
    let observed = desk.store.observed(&environment()).await.unwrap();
    let kept = serde_json::to_string(&(&base.resources, &observed)).unwrap();
    assert!(!kept.contains("password"), "{what}: {kept}");
    for record in desk.script.published() {
        let text = String::from_utf8_lossy(&record.files[0].1).into_owned();
        assert!(!text.contains("password"), "{what}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_the_contract_fails_the_step_and_is_put_back() {
    let lies = Lie::OF_WHAT_IS_THERE.into_iter();
    for lie in lies.chain([Lie::FailsWithSecret]) {
        for created in [false, true] {
            let what = format!("{lie:?}, created: {created}");
            let desk = Desk::new(1);
            if !created {
                desk.script.push(Content::of(vec![thing("a", "1", &[])]));
                desk.look().await;
            }
            let before = desk.world.things();
            desk.world.inject(&a(), Operation::Apply, Fault::Lie(lie));
            desk.script.push(Content::of(vec![
                thing("a", "2", &[]),
                thing("b", "2", &["a"]),
            ]));
            let report = desk.look().await;
            assert_eq!(report.outcome, Some(RunOutcome::RolledBack), "{what}");
            assert_eq!(desk.world.things(), before, "{what}");
            desk.assert_state_is_world().await;
            assert_no_secret(&desk, &what).await;
            if lie != Lie::FailsWithSecret {
                let (sentence, retry) = sentence(&events(&desk).await);
                assert!(sentence.contains(BROKE), "{what}: {sentence}");
                assert_eq!(retry, Some(Retry::NeedsPerson), "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_lie_left_is_tainted_until_it_is_put_back() {
    for lie in Lie::OF_WHAT_IS_THERE {
        let desk = Desk::new(1);
        desk.world.inject(&a(), Operation::Apply, Fault::Lie(lie));
        desk.world
            .inject(&a(), Operation::Restore, Fault::FailUnknown);
        desk.script.push(Content::of(vec![thing("a", "1", &[])]));
        let report = desk.look().await;
        assert_eq!(report.outcome, Some(RunOutcome::Stuck), "{lie:?}");
        let base = desk.store.base(&environment()).await.unwrap();
        let row = &base.resources[&a()];
        assert!(row.tainted || row.unsure, "{lie:?}: {row:?}");
        assert!(
            row.instance.attributes.values().all(Value::is_data),
            "{lie:?}: {row:?}"
        );
        assert_no_secret(&desk, &format!("{lie:?}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_left_something_is_put_back() {
    let desk = Desk::new(1);
    desk.script.push(Content::of(vec![thing("a", "1", &[])]));
    desk.look().await;
    let before = desk.world.things();
    desk.world
        .inject(&a(), Operation::Apply, Fault::Lie(Lie::StillThere));
    desk.script.push(Content::of(vec![thing("c", "1", &[])]));
    let report = desk.look().await;
    assert_eq!(
        report.outcome,
        Some(RunOutcome::RolledBack),
        "{}",
        report.reason
    );
    let (sentence, _) = sentence(&events(&desk).await);
    assert!(sentence.contains("still there"), "{sentence}");
    assert_eq!(desk.world.things(), before);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_breaks_the_contract_is_no_plan() {
    for lie in [
        Lie::Other,
        Lie::Secret,
        Lie::DeepSecret,
        Lie::Join,
        Lie::Reference,
    ] {
        let desk = Desk::new(1);
        desk.world.inject(&a(), Operation::Plan, Fault::Lie(lie));
        desk.script.push(Content::of(vec![thing("a", "1", &[])]));
        let report = desk.look().await;
        assert_eq!(report.condition, Condition::Stalled, "{lie:?}");
        assert!(report.reason.contains(BROKE), "{lie:?}: {}", report.reason);
        assert!(desk.world.effects().is_empty(), "{lie:?}");
        assert_no_secret(&desk, &format!("{lie:?}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_final_plan_is_the_one_that_was_reviewed() {
    for (lie, word) in [
        (Lie::Other, BROKE),
        (Lie::Secret, BROKE),
        (Lie::Reference, BROKE),
        (Lie::Replaces, "would need a replacement"),
    ] {
        let desk = Desk::new(1);
        desk.world.inject(&b(), Operation::Plan, Fault::Fine);
        desk.world.inject(&b(), Operation::Plan, Fault::Lie(lie));
        desk.script
            .push(Content::of(vec![thing("a", "1", &[]), b_of_a()]));
        let report = desk.look().await;
        assert_eq!(report.outcome, Some(RunOutcome::RolledBack), "{lie:?}");
        let (sentence, _) = sentence(&events(&desk).await);
        assert!(sentence.contains(word), "{lie:?}: {sentence}");
        let effects = desk.world.effects();
        assert!(
            effects.iter().all(|effect| effect.address == a()),
            "{lie:?}"
        );
        assert!(desk.world.things().is_empty(), "{lie:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_put_back_is_stuck_with_the_sentence() {
    for lie in Lie::OF_WHAT_IS_THERE {
        let desk = Desk::new(1);
        desk.script.push(Content::of(vec![thing("a", "1", &[])]));
        desk.look().await;
        desk.world.inject(&a(), Operation::Apply, Fault::FailAfter);
        desk.world.inject(&a(), Operation::Restore, Fault::Lie(lie));
        desk.script.push(Content::of(vec![thing("a", "2", &[])]));
        let report = desk.look().await;
        assert_eq!(report.outcome, Some(RunOutcome::Stuck), "{lie:?}");
        let events = events(&desk).await;
        let error = events.iter().find_map(|event| match event {
            Event::RestoreFailed { error, .. } => Some(error.clone()),
            _ => None,
        });
        assert!(error.unwrap().contains(BROKE), "{lie:?}");
        let base = desk.store.base(&environment()).await.unwrap();
        assert!(base.resources[&a()].unsure, "{lie:?}");
        assert_no_secret(&desk, &format!("{lie:?}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_read_against_the_contract_is_not_read() {
    for lie in [
        Lie::Secret,
        Lie::DeepSecret,
        Lie::Join,
        Lie::Unknown,
        Lie::Reference,
    ] {
        let desk = Desk::new(1);
        desk.script.push(Content::of(vec![thing("a", "1", &[])]));
        desk.look().await;
        let before = desk.world.things();
        desk.world.inject(&a(), Operation::Read, Fault::Lie(lie));
        desk.script.push(Content::of(vec![thing("a", "2", &[])]));
        let process = desk.start();
        process.reconciler.run_once().await.unwrap();
        let plan = process.plans.lock().unwrap().last().cloned().unwrap();
        let blocked = plan.blocked.first().unwrap();
        assert!(
            blocked.reason.contains(BROKE),
            "{lie:?}: {}",
            blocked.reason
        );
        assert_eq!(blocked.retry, Some(Retry::NeedsPerson), "{lie:?}");
        assert_eq!(desk.world.things(), before, "{lie:?}");
        assert_no_secret(&desk, &format!("{lie:?}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_located_after_a_crash_is_checked_like_an_answer() {
    for lie in Lie::OF_WHAT_IS_THERE {
        let mut met = false;
        for write in 0..12 {
            let desk = Desk::new(1);
            desk.script.push(Content::of(vec![thing("a", "1", &[])]));
            let killed = desk.start_killed_at(Some(Kill::Before(write))).once().await;
            if killed.is_some() || desk.world.things().is_empty() {
                continue;
            }
            desk.world.inject(&a(), Operation::Locate, Fault::Lie(lie));
            desk.look().await;
            let located = desk.world.calls().contains(&(a(), Operation::Locate));
            if !located {
                continue;
            }
            met = true;
            let events = events(&desk).await;
            assert!(events.contains(&Event::RolledBack), "{lie:?} at {write}");
            let (sentence, _) = sentence(&events);
            assert!(sentence.contains(BROKE), "{lie:?}: {sentence}");
            assert!(desk.world.things().is_empty(), "{lie:?}");
            assert_no_secret(&desk, &format!("{lie:?}")).await;
        }
        assert!(met, "{lie:?}: no death left an answer to be found out");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_adopted_brings_in_no_secret() {
    for lie in [
        Lie::Secret,
        Lie::DeepSecret,
        Lie::Join,
        Lie::Unknown,
        Lie::Reference,
    ] {
        let desk = Desk::new(1);
        let there = [("id", "x"), ("value", "1")].map(|(k, v)| (k.to_owned(), Value::text(v)));
        desk.world.meddle(&b(), Some(there.into()));
        let mut adopted = thing("a", "1", &[]);
        adopted.meta.adopt = Some("x".to_owned());
        desk.world.inject(&a(), Operation::Import, Fault::Lie(lie));
        desk.script.push(Content::of(vec![adopted]));
        let report = desk.look().await;
        assert_eq!(report.outcome, Some(RunOutcome::RolledBack), "{lie:?}");
        let (sentence, _) = sentence(&events(&desk).await);
        assert!(sentence.contains(BROKE), "{lie:?}: {sentence}");
        assert_no_secret(&desk, &format!("{lie:?}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_twice_is_no_list() {
    let desk = Desk::new(1);
    desk.script.push(Content::of(vec![thing("a", "1", &[])]));
    desk.look().await;
    let base = desk.store.base(&environment()).await.unwrap();
    let known: Vec<_> = base
        .resources
        .into_iter()
        .map(|(address, state)| (address, state.instance))
        .collect();
    let r#type = a().r#type().clone();
    let memory: Arc<dyn Provider> = Arc::new(MemoryProvider::new(desk.world.clone()).unwrap());
    let providers = Providers::new([memory]);
    let site = Site {
        root: "/".into(),
        roots: Vec::new(),
        own: "/nowhere".into(),
        user: None,
        isolation: None,
    };
    let clock = desk.clock.as_ref();
    let list = || discover(&providers, clock, &r#type, &site, &known, 10);
    let listed = list().await.unwrap();
    assert_eq!(listed.there.len(), 1);
    assert_eq!(listed.there[0].known, Some(a()));
    desk.world
        .inject(&a(), Operation::List, Fault::Lie(Lie::Twice));
    let said = list().await.unwrap_err();
    assert!(said.message.contains(BROKE), "{said:?}");
    assert_eq!(said.retry, Retry::NeedsPerson);
}
