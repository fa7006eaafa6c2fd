//! What became of a run is told once, whatever the forge does.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::digest::Digest;
use stratum_core::ids::RunId;
use stratum_core::ports::{Announcements, ForgeTrouble, RunOutcome, StoreError};
use stratum_core::run::{RunSummary, StepCounts, Trigger};
use stratum_forge::announce::{Announcer, Around};
use stratum_testkit::clock::ManualClock;
use stratum_testkit::store::MemoryStore;

use crate::fake::{Fake, Fault, PULL, pull};
use crate::samples::{commit, environment};

/// Runs that ended, and those that were told.
#[derive(Default)]
struct Book {
    runs: Vec<RunSummary>,
    told: Mutex<BTreeSet<RunId>>,
    trouble: Mutex<Option<ForgeTrouble>>,
}

#[async_trait]
impl Announcements for Book {
    async fn unannounced(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<RunSummary>, StoreError> {
        let told = self.told.lock().unwrap();
        let waits = |run: &&RunSummary| {
            run.ended_at.is_some_and(|at| at >= since) && !told.contains(&run.id)
        };
        let waiting = self.runs.iter().filter(waits).take(limit as usize);
        Ok(waiting.cloned().collect())
    }

    async fn announced(&self, run: &RunId, _at: Timestamp) -> Result<(), StoreError> {
        self.told.lock().unwrap().insert(run.clone());
        Ok(())
    }

    async fn trouble(&self) -> Result<Option<ForgeTrouble>, StoreError> {
        Ok(self.trouble.lock().unwrap().clone())
    }

    async fn note_trouble(&self, trouble: Option<&ForgeTrouble>) -> Result<(), StoreError> {
        *self.trouble.lock().unwrap() = trouble.cloned();
        Ok(())
    }
}

fn run(id: &str, outcome: RunOutcome, trigger: Trigger) -> RunSummary {
    RunSummary {
        id: RunId::new(id).unwrap(),
        environment: environment("production"),
        trigger,
        revision: commit('c'),
        plan_digest: Digest::of_bytes(b""),
        outcome: Some(outcome),
        reason: "`production/local_file.a`: no room, says @root <b>".to_owned(),
        started_at: at(0),
        ended_at: Some(at(10)),
        steps: StepCounts::default(),
        record: Some(commit('d')),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

struct Scene {
    fake: Fake,
    clock: Arc<ManualClock>,
    announcer: Arc<Announcer>,
    book: Arc<Book>,
}

impl Scene {
    fn trouble(&self) -> Option<ForgeTrouble> {
        self.book.trouble.lock().unwrap().clone()
    }

    /// GitHub answers so, to the next request.
    fn refuses(&self, status: u16, message: &'static str) {
        self.fake
            .fails([Fault::Refuse(status, Vec::new(), message)]);
    }

    fn last_status(&self) -> serde_json::Value {
        self.fake.inner().statuses.last().unwrap().1.clone()
    }
}

async fn scene(runs: Vec<RunSummary>) -> Scene {
    let fake = Fake::start().await;
    let pulls = vec![pull(PULL, commit('b').as_str(), true)];
    fake.inner().pulls.insert(commit('c').to_string(), pulls);
    let clock = Arc::new(ManualClock::at(at(20)));
    let mut settings = fake.settings();
    settings.patience = std::time::Duration::ZERO;
    let book = Arc::new(Book {
        runs,
        ..Book::default()
    });
    let announcer = Announcer::new(Around {
        forge: Arc::new(stratum_forge::github::GitHub::new(settings).unwrap()),
        store: Arc::new(MemoryStore::new()),
        announcements: Arc::clone(&book) as Arc<dyn Announcements>,
        clock: Arc::clone(&clock) as Arc<dyn stratum_core::ports::Clock>,
    });
    Scene {
        fake,
        clock,
        announcer,
        book,
    }
}

#[tokio::test]
async fn a_run_is_told_once_as_status_and_comment() {
    let scene = scene(vec![run("r1", RunOutcome::RolledBack, Trigger::Push)]).await;
    scene.announcer.tell_all().await.unwrap();
    scene.announcer.tell_all().await.unwrap();
    assert_eq!(scene.announcer.waiting(), 0);
    let (told, status) = scene.fake.inner().statuses[0].clone();
    assert_eq!(told, commit('c').as_str());
    assert_eq!(status["context"], "stratum/production");
    assert_eq!(status["state"], "failure");
    assert_eq!(scene.fake.inner().statuses.len(), 1);
    let bodies = scene.fake.bodies();
    assert_eq!(bodies.len(), 1);
    assert!(
        bodies[0].contains("rolled back") && bodies[0].contains("no room"),
        "{}",
        bodies[0]
    );
    assert!(
        !bodies[0].contains("@root") && !bodies[0].contains("<b>"),
        "{}",
        bodies[0]
    );
}

#[tokio::test]
async fn what_could_not_be_told_is_told_later() {
    let scene = scene(vec![run("r1", RunOutcome::Applied, Trigger::Push)]).await;
    scene.fake.fails([Fault::Refuse(503, Vec::new(), "")]);
    scene.announcer.tell_all().await.unwrap();
    assert_eq!(
        (scene.announcer.waiting(), scene.fake.bodies().len()),
        (1, 0)
    );
    // It is not asked again before its time.
    scene.announcer.tell_all().await.unwrap();
    assert_eq!(scene.fake.count("POST"), 1);
    scene.clock.advance(std::time::Duration::from_secs(20));
    scene.announcer.tell_all().await.unwrap();
    assert_eq!(
        (scene.announcer.waiting(), scene.fake.bodies().len()),
        (0, 1)
    );
}

#[tokio::test]
async fn a_missing_right_keeps_one_run_waiting_and_no_other() {
    let mut other = run("r2", RunOutcome::Denied, Trigger::Push);
    other.environment = environment("staging");
    let scene = scene(vec![run("r1", RunOutcome::Applied, Trigger::Push), other]).await;
    let denied = "Resource not accessible by personal access token";
    scene.fake.fails([Fault::Refuse(403, Vec::new(), denied)]);
    scene.announcer.tell_all().await.unwrap();
    assert_eq!(scene.announcer.waiting(), 1);
    let statuses = scene.fake.inner().statuses.clone();
    assert_eq!(statuses[0].1["context"], "stratum/staging");
}

#[tokio::test]
async fn drift_is_told_at_the_commit_and_not_on_the_pull_request() {
    let scene = scene(vec![run("r1", RunOutcome::Applied, Trigger::Drift)]).await;
    scene.announcer.tell_all().await.unwrap();
    assert_eq!(scene.fake.inner().statuses.len(), 1);
    assert!(scene.fake.bodies().is_empty());
}

#[tokio::test]
async fn a_run_that_begins_is_pending_and_files_with_errors_are_a_failure_said_once() {
    let scene = scene(Vec::new()).await;
    let (place, at) = (environment("production"), commit('c'));
    scene.announcer.begun(&place, &at).await;
    let status = scene.last_status();
    assert_eq!(
        (&status["state"], &status["context"]),
        (&"pending".into(), &"stratum/production".into())
    );
    for reason in [
        "its files have errors",
        "its files have errors",
        "no such branch",
    ] {
        scene.announcer.stalled(&place, &at, reason).await;
    }
    let said: Vec<_> = scene
        .fake
        .inner()
        .statuses
        .iter()
        .map(|(_, status)| (status["state"].clone(), status["description"].clone()))
        .collect();
    let expected = [
        ("pending", "it is being applied"),
        ("failure", "its files have errors"),
        ("failure", "no such branch"),
    ];
    assert_eq!(
        said,
        expected.map(|(state, words)| (state.into(), words.into()))
    );
}

#[tokio::test]
async fn trouble_is_noted_with_its_beginning_and_ends_with_the_first_success() {
    let scene = scene(vec![run("r1", RunOutcome::Applied, Trigger::Push)]).await;
    scene.refuses(503, "");
    scene.announcer.tell_all().await.unwrap();
    let first = scene.trouble().unwrap();
    assert_eq!((first.kind.as_str(), first.waiting), ("trouble", 1));
    scene.clock.advance(std::time::Duration::from_secs(20));
    scene.refuses(403, "Resource not accessible by personal access token");
    scene.announcer.tell_all().await.unwrap();
    let second = scene.trouble().unwrap();
    assert_eq!(
        (second.kind.as_str(), second.since),
        ("forbidden", first.since)
    );
    assert!(
        second.reason.contains("statuses: write"),
        "{}",
        second.reason
    );
    // Nothing is due: what was noted stands.
    scene.announcer.tell_all().await.unwrap();
    assert_eq!(scene.trouble(), Some(second));
    scene.clock.advance(std::time::Duration::from_secs(3600));
    scene.announcer.tell_all().await.unwrap();
    assert_eq!((scene.trouble(), scene.announcer.waiting()), (None, 0));
}

#[tokio::test]
async fn a_stall_that_was_not_heard_is_trouble_until_it_is() {
    let scene = scene(Vec::new()).await;
    let (place, at) = (environment("production"), commit('c'));
    scene.refuses(502, "");
    scene
        .announcer
        .stalled(&place, &at, "its files have errors")
        .await;
    scene.announcer.tell_all().await.unwrap();
    assert_eq!(scene.trouble().unwrap().kind, "trouble");
    scene
        .announcer
        .stalled(&place, &at, "its files have errors")
        .await;
    assert_eq!(scene.trouble(), None);
    assert_eq!(scene.last_status()["state"], "failure");
}
