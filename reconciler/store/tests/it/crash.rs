//! Processes that are killed at any moment.

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use stratum_core::ids::RunId;
use stratum_core::journal::Event;
use stratum_core::ports::{Journals, Store};

use crate::support::{child, child_path, environment, lease, open, start, step};

const STEPS: u32 = 100_000;
const KILLS: u64 = 25;

/// Appends from several tasks until it is killed; says which step is durable.
#[test]
#[ignore = "the child of the test below"]
fn endless() {
    let Some(path) = child_path() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = std::sync::Arc::new(open(&path).await);
        let lease = std::sync::Arc::new(lease(&*store, "a").await);
        let id = format!("r-{}", lease.number);
        let run = start(&*store, &lease, &id, 8).await;
        let run = std::sync::Arc::new(run);
        let next = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        // The harness has begun a line of its own.
        say(&format!("\nrun {id}"));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (store, lease, run, next) =
                (store.clone(), lease.clone(), run.clone(), next.clone());
            tasks.spawn(async move {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if number == STEPS {
                        return;
                    }
                    let appended = store.append(&lease, &run.id, step(&run, number)).await;
                    appended.unwrap();
                    say(&format!("durable {number}"));
                }
            });
        }
        tasks.join_all().await;
    });
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// What a child said before it was killed.
struct Told {
    run: Option<RunId>,
    durable: Vec<u32>,
}

/// When a child is killed: this long after it was started, or after it began its run.
enum Moment {
    AfterStart(Duration),
    AfterRun(Duration),
}

fn killed(path: &std::path::Path, moment: Moment) -> Told {
    let mut process = child("crash::endless", path);
    let out = process.stdout.take().unwrap();
    let (begins, begun) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let mut told = Told {
            run: None,
            durable: Vec::new(),
        };
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if let Some(id) = line.strip_prefix("run ") {
                told.run = Some(RunId::new(id).unwrap());
                begins.send(()).unwrap();
            }
            let number = line.strip_prefix("durable ").map(str::parse::<u32>);
            told.durable.extend(number.transpose().unwrap());
        }
        told
    });
    let wait = match moment {
        Moment::AfterStart(wait) => wait,
        Moment::AfterRun(wait) => {
            begun.recv_timeout(Duration::from_secs(60)).unwrap();
            wait
        }
    };
    std::thread::sleep(wait);
    process.kill().unwrap();
    process.wait().unwrap();
    reading.join().unwrap()
}

#[tokio::test]
async fn what_was_durable_is_there_after_every_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut checked = 0;
    let mut seed = std::process::id() as u64;
    for kill in 0..KILLS {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let random = Duration::from_micros((seed >> 33) % 150_000);
        let told = match kill % 2 {
            0 => killed(&path, Moment::AfterRun(random)),
            _ => killed(&path, Moment::AfterStart(random)),
        };
        let store = open(&path).await;
        store.verify().await.unwrap();
        if let Some(run) = &told.run {
            check(&store, run, &told.durable).await;
            checked += told.durable.len();
        }
        store.close().await;
    }
    assert!(
        checked > 200,
        "only {checked} appends in all: the test shows nothing"
    );
}

async fn check(store: &dyn Store, run: &RunId, durable: &[u32]) {
    let kept = store.run(run).await.unwrap().unwrap();
    let mut done = Vec::new();
    let mut events = kept.events.iter().map(|(_, event)| event);
    assert!(matches!(events.next(), Some(Event::Started { .. })));
    while let Some(begun) = events.next() {
        let Event::Begun { step, .. } = begun else {
            panic!("{begun:?}");
        };
        let pair = events.next();
        assert!(
            matches!(pair, Some(Event::Done { step: done, .. }) if done == step),
            "an append is there in half: {begun:?}, then {pair:?}"
        );
        done.push(step.0);
    }
    let missing: Vec<_> = durable.iter().filter(|step| !done.contains(step)).collect();
    assert!(missing.is_empty(), "{missing:?} were durable and are lost");
    let base = store.base(&environment("a")).await.unwrap();
    let resources = base.resources.keys().map(ToString::to_string);
    let resources: std::collections::BTreeSet<_> = resources.collect();
    for step in done {
        assert!(resources.contains(&format!("a/local_data.r{step}")));
    }
    let summary = store.history(None, 1).await.unwrap();
    assert_eq!(summary[0].steps.done * 2 + 1, kept.events.len() as u64);
}
