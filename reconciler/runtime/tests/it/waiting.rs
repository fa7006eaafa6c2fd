//! When things are looked at: bounded in every condition, and never later than it must be.

use std::sync::atomic::Ordering;
use std::time::Duration;

use stratum_core::condition::Condition;
use stratum_core::finding::{Finding, codes};
use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::ports::{
    Facts as _, Journals as _, Leases as _, Observations as _, RunOutcome, StoreError,
};
use stratum_core::remembered::{AGAIN, Again};
use stratum_core::settings::{DriftMode, DriftSettings, OnFailure};
use stratum_core::value::Value;
use stratum_testkit::script::{Content, environment, thing};
use stratum_testkit::world::{Fault, Operation};

use crate::desk::{Desk, Process};
use crate::killing::Kill;

const HOUR: Duration = Duration::from_secs(3600);

fn a() -> Address {
    "e/memory_thing.a".parse().unwrap()
}

fn content(values: &[(&str, &str)]) -> Content {
    let things = values.iter().map(|(name, value)| thing(name, value, &[]));
    Content::of(things.collect())
}

fn drift(content: Content, mode: DriftMode, seconds: u64) -> Content {
    let every = Duration::from_secs(seconds);
    content.set(|own| own.drift = Some(DriftSettings { mode, every }))
}

/// The same content for `e`, and one thing in an environment `f`.
fn with_f(mut content: Content, value: &str) -> Content {
    let name = EnvironmentName::new("f").unwrap();
    let mut other = thing("z", value, &[]);
    other.address = "f/memory_thing.z".parse().unwrap();
    content
        .settings
        .environments
        .insert(name.clone(), Default::default());
    content.resources.insert(name, vec![other]);
    content
}

/// A fault that stays.
fn always(desk: &Desk, address: &Address, operation: Operation, fault: &Fault) {
    (0..5000).for_each(|_| desk.world.inject(address, operation, fault.clone()));
}

fn meddle(desk: &Desk, address: &Address) {
    let mut there = desk.world.thing(address).unwrap();
    there.insert("value".to_owned(), Value::text("by hand"));
    desk.world.meddle(address, Some(there));
}

struct Running {
    process: Process,
    task: tokio::task::JoinHandle<Result<(), stratum_runtime::RuntimeError>>,
}

fn run(desk: &Desk) -> Running {
    let process = desk.start();
    let reconciler = process.reconciler.clone();
    let task = tokio::spawn(async move { reconciler.run().await });
    Running { process, task }
}

impl Running {
    async fn stop(self) {
        self.process.stop.stop();
        self.task.await.unwrap().unwrap();
    }
}

/// What an hour costs.
#[derive(Debug)]
struct Cost {
    loads: u64,
    calls: usize,
    runs: usize,
    fetches: u64,
    writes: u64,
    bases: u64,
}

async fn cost(desk: &Desk) -> Cost {
    let running = run(desk);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = (
        desk.script.loads(),
        desk.world.calls().len(),
        desk.script.fetches(),
    );
    let runs = desk.store.history(None, 100_000).await.unwrap().len();
    let (writes, bases) = (
        running.process.store.writes(),
        running.process.store.bases(),
    );
    tokio::time::sleep(HOUR).await;
    let cost = Cost {
        loads: desk.script.loads() - before.0,
        calls: desk.world.calls().len() - before.1,
        runs: desk.store.history(None, 100_000).await.unwrap().len() - runs,
        fetches: desk.script.fetches() - before.2,
        writes: running.process.store.writes() - writes,
        bases: running.process.store.bases() - bases,
    };
    running.stop().await;
    cost
}

/// Nobody is asked more often than the settings say: the poll is 30 s, drift 5 min; of the writes,
/// each lease that is renewed every 20 s makes 180. What an environment holds is read by a look at it
/// only, and not by each of the 120 turns.
fn assert_calm(what: &str, cost: &Cost) {
    assert_eq!(cost.runs, 0, "{what}: {cost:?}");
    assert!(cost.loads <= 13, "{what}: {cost:?}");
    assert!(cost.calls <= 13 * 12, "{what}: {cost:?}");
    assert!((100..=125).contains(&cost.fetches), "{what}: {cost:?}");
    assert!(cost.writes <= 2 * 180 + 70, "{what}: {cost:?}");
    assert!(cost.bases <= 13 * 3, "{what}: {cost:?}");
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_every_condition_costs_what_the_settings_say() {
    let good = || content(&[("a", "1"), ("b", "1")]);
    let ready = Desk::new(1);
    ready.script.push(good());
    assert_calm("ready", &cost(&ready).await);

    let broken = Desk::new(1);
    broken.script.push(good());
    broken.look().await;
    let mut bad = content(&[("a", "2")]);
    let finding = Finding::error(&codes::UNPLANNABLE, "a word is missing");
    bad.findings.insert(environment(), vec![finding]);
    broken.script.push(bad);
    assert_calm("broken files", &cost(&broken).await);
    assert_eq!(broken.row().await.condition, Condition::Stalled);

    let denied = Desk::new(1);
    denied.script.push(good());
    denied.look().await;
    denied.script.push(content(&[]));
    assert_calm("denied", &cost(&denied).await);

    let suspended = Desk::new(1);
    suspended
        .script
        .push(good().set(|own| own.suspended = true));
    assert_calm("suspended", &cost(&suspended).await);

    let unnamed = Desk::new(1);
    unnamed.script.push(with_f(good(), "1"));
    unnamed.once().await;
    unnamed.script.push(good());
    assert_calm("no longer named", &cost(&unnamed).await);

    let held = Desk::new(1);
    held.script.push(good());
    held.look().await;
    always(&held, &a(), Operation::Apply, &Fault::FailAfter);
    held.script.push(content(&[("a", "2"), ("b", "2")]));
    assert_calm("held", &cost(&held).await);
    assert!(held.row().await.hold.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_start_without_the_remote_asks_for_it_no_more_often_than_a_poll() {
    let desk = Desk::new(1);
    desk.script.push(content(&[("a", "1")]));
    desk.script.remote_down(true);
    let running = run(&desk);
    tokio::time::sleep(HOUR).await;
    let fetches = desk.script.fetches();
    assert!((100..=130).contains(&fetches), "{fetches} fetches");
    desk.script.remote_down(false);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(desk.values()["a"], "1");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_got_stuck_is_not_made_again_whatever_it_does_on_failure() {
    for on_failure in [OnFailure::Halt, OnFailure::Continue, OnFailure::Rollback] {
        let desk = Desk::new(1);
        desk.script.push(content(&[("a", "1"), ("b", "1")]));
        desk.look().await;
        always(&desk, &a(), Operation::Apply, &Fault::FailAfter);
        always(&desk, &a(), Operation::Restore, &Fault::FailBefore);
        let bad = content(&[("a", "2"), ("b", "2")]);
        desk.script.push(bad.set(|own| own.on_failure = on_failure));
        assert_calm(&format!("{on_failure:?}"), &cost(&desk).await);
        let row = desk.row().await;
        assert!(row.hold.as_ref().is_some_and(|hold| hold.stuck), "{row:?}");
        assert_eq!(desk.store.history(None, 100).await.unwrap().len(), 2);
        // A fix is another input, and is applied.
        desk.world.calm();
        desk.script.push(content(&[("a", "3"), ("b", "3")]));
        let report = desk.look().await;
        assert_eq!(report.condition, Condition::Ready, "{}", report.reason);
        assert_eq!(desk.row().await.hold, None);
        desk.assert_state_is_world().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_correction_that_fails_is_not_a_push_that_failed() {
    let desk = Desk::new(1);
    let good = || drift(content(&[("a", "1"), ("b", "1")]), DriftMode::Correct, 1);
    let pushed = desk.script.push(good());
    desk.look().await;
    let b: Address = "e/memory_thing.b".parse().unwrap();
    always(&desk, &a(), Operation::Apply, &Fault::FailBefore);
    meddle(&desk, &a());
    let running = run(&desk);
    tokio::time::sleep(Duration::from_secs(30)).await;
    meddle(&desk, &b);
    tokio::time::sleep(Duration::from_secs(90)).await;
    // The revision stays applied, nothing is held, it says what is in the way, and the drift of
    // others is corrected.
    let row = desk.row().await;
    assert_eq!(
        (row.hold.as_ref(), row.revision.as_ref()),
        (None, Some(&pushed))
    );
    assert_eq!(row.condition, Condition::Stalled);
    assert!(
        row.reason.contains("could not be corrected"),
        "{}",
        row.reason
    );
    assert!(row.reason.contains("e/memory_thing.a"), "{}", row.reason);
    let runs = desk.store.history(None, 1000).await.unwrap();
    let lines = runs
        .iter()
        .map(|run| format!("{:?}: {}", run.outcome, run.reason));
    let lines: Vec<String> = lines.collect();
    assert_eq!(desk.values()["b"], "1", "{lines:#?}");
    assert_eq!(desk.values()["a"], "by hand");
    let runs = desk.store.history(None, 1000).await.unwrap().len();
    assert!(runs <= 8, "{runs} runs within two minutes");
    tokio::time::sleep(HOUR).await;
    let runs = desk.store.history(None, 1000).await.unwrap().len();
    assert!(runs <= 30, "{runs} runs within an hour");
    // When it is out of the way, it is corrected by itself.
    desk.world.calm();
    tokio::time::sleep(Duration::from_secs(900)).await;
    assert_eq!(desk.values()["a"], "1");
    assert_eq!(desk.row().await.condition, Condition::Ready);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_and_cannot_be_made_again_is_not_forgotten() {
    for fault in [Fault::FailBefore, Fault::FailAfter] {
        let desk = Desk::new(1);
        desk.script.push(drift(
            content(&[("a", "1"), ("z", "1")]),
            DriftMode::Correct,
            1,
        ));
        desk.look().await;
        let z: Address = "e/memory_thing.z".parse().unwrap();
        always(&desk, &a(), Operation::Apply, &fault);
        desk.world.meddle(&a(), None);
        meddle(&desk, &z);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let report = desk.look().await;
        assert_eq!(
            report.condition,
            Condition::Stalled,
            "{fault:?}: {}",
            report.reason
        );
        assert!(
            desk.state().await.contains_key(&a()),
            "{fault:?}: it is out of the state"
        );
        let drifted = desk.store.drifted(&environment()).await.unwrap();
        assert_eq!(drifted.len(), 1, "{fault:?}: {drifted:?}");
        assert_eq!(desk.values()["z"], "1", "{fault:?}");
        desk.world.calm();
        tokio::time::sleep(Duration::from_secs(10)).await;
        let report = desk.look().await;
        assert_eq!(
            report.condition,
            Condition::Ready,
            "{fault:?}: {}",
            report.reason
        );
        assert_eq!(desk.values()["a"], "1");
        desk.assert_state_is_world().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_concerns_its_own_environment_only() {
    let desk = Desk::new(1);
    *desk.panics.lock().unwrap() = EnvironmentName::new("f").ok();
    desk.script.push(with_f(content(&[("a", "1")]), "1"));
    let running = run(&desk);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(desk.values()["a"], "1");
    // A long apply of `e` goes on alone while `f` panics again and again.
    desk.world.inject(&a(), Operation::Apply, Fault::Hang);
    desk.script.push(with_f(content(&[("a", "2")]), "1"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    desk.script.push(with_f(content(&[("a", "3")]), "1"));
    tokio::time::sleep(Duration::from_secs(1200)).await;
    assert_eq!(desk.values()["a"], "3");
    assert_eq!(desk.world.doubled(), []);
    *desk.panics.lock().unwrap() = None;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(desk.values().get("z").map(String::as_str), Some("1"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_environment_of_another_process_stops_no_other() {
    let desk = Desk::new(1);
    let other = desk.store.another();
    let ttl = Duration::from_secs(60);
    other.acquire(&environment(), ttl).await.unwrap();
    desk.script.push(with_f(content(&[("a", "1")]), "1"));
    let reports = desk.once().await;
    assert_eq!(reports.len(), 2);
    assert_eq!(
        reports[1].condition,
        Condition::Ready,
        "{}",
        reports[1].reason
    );
    assert!(
        reports[0].reason.contains("reconciled by"),
        "{}",
        reports[0].reason
    );
}

#[tokio::test(start_paused = true)]
async fn what_only_a_person_can_mend_ends_neither_the_loop_nor_other_environments() {
    let desk = Desk::new(1);
    desk.script.push(with_f(content(&[("a", "1")]), "1"));
    let running = run(&desk);
    tokio::time::sleep(Duration::from_secs(5)).await;
    desk.store.fail_next(StoreError::Damaged {
        path: "state.db".to_owned(),
        what: "a page".to_owned(),
    });
    desk.script.push(with_f(content(&[("a", "2")]), "2"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!running.task.is_finished());
    let values = desk.values();
    assert!(values["a"] == "2" || values["z"] == "2", "{values:?}");
    desk.script.push(with_f(content(&[("a", "3")]), "3"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        (desk.values()["a"].as_str(), desk.values()["z"].as_str()),
        ("3", "3")
    );
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_kept_while_the_process_lives_also_when_there_is_nothing_to_do() {
    let desk = Desk::new(1);
    desk.script.push(content(&[("a", "1")]));
    let running = run(&desk);
    // Not a moment at which one that is renewed too rarely happens to be fresh.
    tokio::time::sleep(HOUR + Duration::from_secs(150)).await;
    // As another machine sees it: it goes by what the process says itself.
    running.process.store.inner.cannot_be_told();
    let other = desk.store.another();
    let ttl = Duration::from_secs(60);
    let taken = other.acquire(&environment(), ttl).await;
    assert!(taken.is_err(), "{taken:?}");
    running.stop().await;
    let taken = other.acquire(&environment(), ttl).await;
    assert!(taken.is_ok(), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_went_back_between_two_runs_loses_no_hold() {
    for number in 0..40 {
        for kill in [Kill::Before(number), Kill::After(number)] {
            let desk = Desk::new(1);
            desk.script.push(content(&[("a", "1"), ("b", "1")]));
            desk.look().await;
            desk.clock.jump(-86_400);
            always(&desk, &a(), Operation::Apply, &Fault::FailBefore);
            desk.script.push(content(&[("a", "2"), ("b", "2")]));
            desk.start_killed_at(Some(kill)).once().await;
            let report = desk.look().await;
            let row = desk.row().await;
            assert!(row.hold.is_some(), "{kill:?}: {}", report.reason);
            let runs = desk.store.history(None, 100).await.unwrap();
            let rolled_back =
                |run: &&stratum_core::run::RunSummary| run.outcome == Some(RunOutcome::RolledBack);
            assert_eq!(runs.iter().filter(rolled_back).count(), 1, "{kill:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_by_years_neither_stops_the_looks_nor_makes_them_spin() {
    let years = 30 * 365 * 86_400;
    for jump in [years, -years] {
        let desk = Desk::new(1);
        desk.script
            .push(drift(content(&[("a", "1")]), DriftMode::Correct, 60));
        let running = run(&desk);
        tokio::time::sleep(Duration::from_secs(90)).await;
        desk.clock.jump(jump);
        let before = desk.world.calls().len();
        tokio::time::sleep(HOUR).await;
        let calls = desk.world.calls().len() - before;
        assert!((50..=200).contains(&calls), "{calls} calls in an hour");
        meddle(&desk, &a());
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(desk.values()["a"], "1");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_should_run_is_started_whatever_the_drift_mode() {
    for mode in [DriftMode::Correct, DriftMode::Report, DriftMode::Ignore] {
        let desk = Desk::new(1);
        *desk.stopped.lock().unwrap() = Some(Default::default());
        desk.script
            .push(drift(content(&[("a", "1"), ("b", "1")]), mode, 60));
        desk.look().await;
        let stop = |address: Address| {
            let mut stopped = desk.stopped.lock().unwrap();
            stopped.as_mut().unwrap().insert(address)
        };
        let down = || !desk.stopped.lock().unwrap().as_ref().unwrap().is_empty();
        // As after a reboot: at the first look of a new process.
        stop(a());
        let report = desk.look().await;
        assert!(!down(), "{mode:?}: {}", report.reason);
        assert_eq!(report.condition, Condition::Ready, "{mode:?}");
        // While it runs: within the time between two looks.
        let running = run(&desk);
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop(a());
        tokio::time::sleep(Duration::from_secs(70)).await;
        assert!(!down(), "{mode:?}");
        // Until it can be started it is not Ready.
        always(&desk, &a(), Operation::Apply, &Fault::FailBefore);
        stop(a());
        tokio::time::sleep(Duration::from_secs(70)).await;
        let row = desk.row().await;
        assert_eq!(row.condition, Condition::Stalled, "{mode:?}");
        assert_eq!(row.hold, None, "{mode:?}");
        let before = desk.store.history(None, 1000).await.unwrap().len();
        tokio::time::sleep(HOUR).await;
        assert_eq!(desk.row().await.condition, Condition::Stalled, "{mode:?}");
        let runs = desk.store.history(None, 1000).await.unwrap().len() - before;
        assert!((3..=12).contains(&runs), "{mode:?}: {runs} runs in an hour");
        // A push tries at once, and what was in the way before it is forgotten.
        desk.world.calm();
        desk.script
            .push(drift(content(&[("a", "2"), ("b", "1")]), mode, 60));
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert!(!down(), "{mode:?}");
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(desk.row().await.condition, Condition::Ready, "{mode:?}");
        always(&desk, &a(), Operation::Apply, &Fault::FailBefore);
        stop(a());
        tokio::time::sleep(Duration::from_secs(100)).await;
        desk.world.calm();
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(!down(), "{mode:?}");
        assert_eq!(desk.row().await.condition, Condition::Ready, "{mode:?}");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_planned_for_now_is_planned_when_it_can_be() {
    for operation in [Operation::Read, Operation::Plan] {
        let desk = Desk::new(1);
        desk.script.push(drift(
            content(&[("a", "1"), ("b", "1")]),
            DriftMode::Ignore,
            300,
        ));
        desk.look().await;
        let first = desk.row().await.revision;
        always(&desk, &a(), operation, &Fault::FailBefore);
        let pushed = desk.script.push(drift(
            content(&[("a", "2"), ("b", "1")]),
            DriftMode::Ignore,
            300,
        ));
        let running = run(&desk);
        tokio::time::sleep(Duration::from_secs(600)).await;
        let row = desk.row().await;
        assert_eq!(row.revision, first, "{operation:?}: it is not there yet");
        assert_eq!(row.condition, Condition::Stalled, "{operation:?}");
        assert_eq!(desk.values()["a"], "1");
        let calls = desk.world.calls().len();
        tokio::time::sleep(HOUR).await;
        let calls = desk.world.calls().len() - calls;
        assert!(calls <= 60, "{operation:?}: {calls} calls in an hour");
        desk.world.calm();
        tokio::time::sleep(Duration::from_secs(400)).await;
        let row = desk.row().await;
        assert_eq!(row.revision, Some(pushed), "{operation:?}: {}", row.reason);
        assert_eq!(
            (row.condition, desk.values()["a"].as_str()),
            (Condition::Ready, "2")
        );
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_failed_for_what_may_pass_is_made_again_by_itself() {
    let desk = Desk::new(1);
    desk.script.push(content(&[("a", "1")]));
    desk.look().await;
    always(&desk, &a(), Operation::Checkpoint, &Fault::FailBefore);
    desk.script.push(content(&[("a", "2")]));
    let running = run(&desk);
    tokio::time::sleep(HOUR).await;
    let row = desk.row().await;
    assert!(
        row.hold.as_ref().is_some_and(|hold| hold.passes.is_some()),
        "{row:?}"
    );
    let runs = desk.store.history(None, 100).await.unwrap().len();
    assert!((3..=14).contains(&runs), "{runs} runs in an hour");
    desk.world.calm();
    tokio::time::sleep(Duration::from_secs(900)).await;
    assert_eq!(desk.values()["a"], "2");
    assert_eq!(desk.row().await.hold, None);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_way_of_a_correction_survives_a_restart_and_is_counted() {
    let desk = Desk::new(1);
    desk.script
        .push(drift(content(&[("a", "1")]), DriftMode::Correct, 60));
    desk.look().await;
    always(&desk, &a(), Operation::Apply, &Fault::FailBefore);
    meddle(&desk, &a());
    let running = run(&desk);
    tokio::time::sleep(Duration::from_secs(900)).await;
    running.stop().await;
    let obstacles = desk.row().await.remembered.obstacles;
    assert!(
        obstacles[&a()].contains("could not be corrected"),
        "{obstacles:?}"
    );
    let times = async || {
        let facts = desk.store.facts(AGAIN).await.unwrap();
        let again: Again = serde_json::from_slice(&facts[0].1).unwrap();
        (again.times, again.since)
    };
    let (before, since) = times().await;
    assert!(before > 3, "{before} times");
    // The next process neither tries at once what just failed, nor counts anew.
    let applied = async || desk.store.history(None, 1000).await.unwrap().len();
    let runs = applied().await;
    let running = run(&desk);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(applied().await, runs);
    assert!(!desk.row().await.remembered.obstacles.is_empty());
    let (after, still) = times().await;
    assert_eq!((after > before, still), (true, since));
    desk.world.calm();
    tokio::time::sleep(Duration::from_secs(900)).await;
    let row = desk.row().await;
    assert_eq!(row.condition, Condition::Ready, "{}", row.reason);
    assert!(row.remembered.obstacles.is_empty());
    assert_eq!(desk.store.facts(AGAIN).await.unwrap(), []);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn health_is_asked_between_pushes_whatever_the_drift_mode() {
    for mode in [DriftMode::Correct, DriftMode::Report, DriftMode::Ignore] {
        let desk = Desk::new(1);
        let mut checked = thing("a", "1", &[]);
        let check = serde_json::from_str(r#"{"command": ["true"]}"#).unwrap();
        checked.meta.health = Some(check);
        let content = Content::of(vec![checked, thing("b", "1", &[])]);
        desk.script.push(drift(content, mode, 60));
        let running = run(&desk);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let condition = async || desk.row().await.condition;
        assert_eq!(condition().await, Condition::Ready, "{mode:?}");
        desk.ill.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(90)).await;
        let row = desk.row().await;
        assert_eq!(row.condition, Condition::Stalled, "{mode:?}");
        assert!(row.reason.contains("e/memory_thing.a"), "{}", row.reason);
        desk.ill.store(false, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(condition().await, Condition::Ready, "{mode:?}");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_gets_no_more_calls_at_once_than_it_takes_and_environments_take_turns() {
    let names: Vec<String> = (0..30).map(|number| format!("t{number}")).collect();
    let things: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let lives = async |at_once| {
        let desk = Desk::new(1);
        *desk.at_once.lock().unwrap() = at_once;
        desk.script.push(with_f(content(&things), "1"));
        desk.once().await;
        assert_eq!(desk.values().len(), 31);
        let effects = desk.world.effects();
        let z = effects
            .iter()
            .position(|effect| effect.address.environment.as_str() == "f");
        (desk.busiest.load(Ordering::SeqCst), z.unwrap())
    };
    assert!(lives(None).await.0 > 2);
    let (busiest, place) = lives(Some(2)).await;
    assert_eq!(busiest, 2);
    assert!(place < 15, "`f` came after {place} of `e`");
}

#[tokio::test(start_paused = true)]
async fn a_word_that_changes_nothing_is_no_reason_to_look_at_the_world() {
    let desk = Desk::new(1);
    desk.script.push(content(&[("a", "1")]));
    desk.look().await;
    let calls = desk.world.calls().len();
    // Whoever begins looks at whom a tag names, and finds that nobody signed it.
    desk.script.tag("stratum/suspend/e");
    assert_eq!(desk.look().await.condition, Condition::Ready);
    assert_eq!(desk.world.calls().len(), calls);
}
