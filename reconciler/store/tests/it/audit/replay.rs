//! The log of random plans whose steps wait for one another says the same as the journal.

use proptest::prelude::*;
use stratum_core::audit::What;
use stratum_core::ids::StepId;
use stratum_core::journal::Event;
use stratum_core::ports::{Entry, Journals, Lease};
use stratum_core::run::Run;
use stratum_store::SqliteStore;
use stratum_testkit::store::sample;

use super::{Desk, equals_journal};
use crate::support::{environment, lease};

/// A plan, and what is done with it: each step waits for some of those before it, and some fail.
#[derive(Debug, Clone)]
struct Story {
    requires: Vec<Vec<usize>>,
    fails: Option<usize>,
    /// After this many steps the process ends, and another one goes on.
    restart: usize,
}

fn story() -> impl Strategy<Value = Story> {
    (2_usize..12).prop_flat_map(|steps| {
        let edges = prop::collection::vec(prop::collection::vec(0_usize..steps, 0..3), steps);
        (edges, prop::option::of(0..steps), 0..=steps).prop_map(|(edges, fails, restart)| Story {
            requires: below(edges),
            fails,
            restart,
        })
    })
}

/// Only edges to earlier steps: no step waits for itself.
fn below(edges: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
    let earlier = |(step, required): (usize, Vec<usize>)| {
        required.into_iter().filter(|one| *one < step).collect()
    };
    edges.into_iter().enumerate().map(earlier).collect()
}

fn planned(story: &Story, serial: u64) -> Run {
    let steps = story.requires.len() as u32;
    let name = environment("a");
    let mut plan = sample::plan(&name, serial, steps).unwrap();
    for (step, required) in plan.steps.iter_mut().zip(&story.requires) {
        step.requires = required.iter().map(|one| StepId(*one as u32)).collect();
    }
    sample::run_of(&name, "r-1", &plan).unwrap()
}

/// What is appended for one step.
fn events(story: &Story, run: &Run, step: usize) -> Vec<Entry> {
    let number = step as u32;
    let begun = sample::begun(&run.id, number);
    if story.fails == Some(step) {
        return vec![begun, sample::failed(number, "no room")];
    }
    let state = sample::state(&run.environment, number, "x").unwrap();
    vec![begun, sample::done(number, state)]
}

async fn live(story: &Story, desk: &Desk) -> (SqliteStore, Run) {
    let mut store = desk.open().await;
    let mut held: Lease = lease(&store, "a").await;
    let run = planned(story, 0);
    let started = sample::started(&run);
    store.start(&held, &run, &started).await.unwrap();
    for step in 0..story.requires.len() {
        if step == story.restart {
            store.close().await;
            store = desk.open().await;
            held = lease(&store, "a").await;
        }
        let entries = events(story, &run, step);
        store.append(&held, &run.id, entries).await.unwrap();
    }
    let end = sample::entry(9, Event::RolledBack);
    store.append(&held, &run.id, vec![end]).await.unwrap();
    (store, run)
}

/// The log names for each event the address that the plan gives its step.
async fn tells_the_same(story: &Story) {
    let desk = Desk::new();
    let (store, run) = live(story, &desk).await;
    equals_journal(&desk, &store).await;
    let journal = store.run(&run.id).await.unwrap().unwrap();
    let address = |step: StepId| {
        let step = run.plan().steps.iter().find(|one| one.id == step).unwrap();
        step.address.to_string()
    };
    let wanted: Vec<_> = journal
        .events
        .iter()
        .map(|(_, event)| (event.step().map(address), event.name().to_owned()))
        .collect();
    let logged: Vec<_> = desk
        .entries()
        .into_iter()
        .filter_map(|shown| match shown.entry.what {
            What::Apply(event) => Some((event.address.map(|one| one.to_string()), event.event)),
            _ => None,
        })
        .collect();
    assert_eq!(logged, wanted);
    let report = desk.report();
    assert!(report.parts.iter().all(|part| part.doubtful == 0));
    store.close().await;
}

fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_log_replays_to_the_addresses_and_events_of_the_journal(story in story()) {
        block_on(tells_the_same(&story));
    }
}

/// The smallest plan that showed it: `b` waits for `a`, and `c` for nothing.
#[test]
fn a_step_that_waits_is_logged_as_itself() {
    let story = Story {
        requires: vec![vec![], vec![0], vec![]],
        fails: None,
        restart: 2,
    };
    block_on(tells_the_same(&story));
}
