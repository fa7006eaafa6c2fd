//! States that an older program wrote, brought to the newest format in place.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use stratum_core::journal::Event;
use stratum_core::ports::{Entry, Journals, Keep, Observations, Retention, RunOutcome, States};
use stratum_core::settings::RetentionSettings;
use stratum_store::{Access, SqliteStore};
use stratum_testkit::store::sample;

use crate::support::{environment, lease, open, start};

/// The state of `fixtures/<name>`, as it was left, in a folder of its own.
fn state(name: &str) -> (tempfile::TempDir, PathBuf) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    let folder = tempfile::tempdir().unwrap();
    for file in ["state.db", "state.db-wal"] {
        let Ok(packed) = fs::File::open(from.join(format!("{file}.gz"))) else {
            continue;
        };
        let mut bytes = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
        let path = folder.path().join(file);
        fs::write(&path, bytes).unwrap();
        private(&path);
    }
    let path = folder.path().join("state.db");
    (folder, path)
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn copy(path: &Path) -> PathBuf {
    path.with_file_name("state.db.format-6")
}

/// What the older program left is read as it was.
async fn is_as_it_was(store: &SqliteStore) {
    let rows = store.environments().await.unwrap();
    let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["dev", "live"]);
    let base = store.base(&environment("dev")).await.unwrap();
    let names: Vec<_> = base.resources.keys().map(ToString::to_string).collect();
    assert_eq!(
        names,
        ["dev/local_data.a", "dev/local_data.b", "dev/local_data.c"]
    );
    let history = store.history(None, 10).await.unwrap();
    let first = history.last().unwrap();
    assert_eq!(first.outcome, Some(RunOutcome::Applied));
    let kept = store.run(&first.id).await.unwrap().unwrap();
    assert_eq!(kept.run.plan().steps.len(), 3);
    assert!(matches!(kept.events[0].1, Event::Started { .. }));
    let motd = "live/local_file.motd".parse().unwrap();
    let seen = store.observations(&motd, 10).await.unwrap();
    assert!(!seen.is_empty());
}

#[tokio::test]
async fn a_state_of_format_6_is_read_as_it_is_and_brought_to_the_newest_format() {
    let (folder, path) = state("format-6");
    let before = fs::read(&path).unwrap();
    let reading = SqliteStore::open(&path, Access::ReadOnly).await.unwrap();
    is_as_it_was(&reading).await;
    assert_eq!(reading.history(None, 10).await.unwrap().len(), 4);
    reading.close().await;
    assert_eq!(
        fs::read(&path).unwrap(),
        before,
        "who reads changes nothing"
    );

    let store = open(&path).await;
    is_as_it_was(&store).await;
    store.verify().await.unwrap();
    assert_eq!(store.history(None, 10).await.unwrap().len(), 4);
    store.close().await;
    let copied = SqliteStore::open(&copy(&path), Access::ReadOnly)
        .await
        .unwrap();
    is_as_it_was(&copied).await;
    copied.close().await;
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(copy(&path)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "a copy is as private as the state");
    drop(folder);
}

#[tokio::test]
async fn a_state_whose_program_was_killed_loses_nothing_by_the_new_format() {
    let (_folder, path) = state("format-6-killed");
    let store = open(&path).await;
    is_as_it_was(&store).await;
    let open_runs = store.open_runs(None, 10).await.unwrap();
    assert_eq!(open_runs.len(), 1, "its record is not yet in git");
    assert_eq!(open_runs[0].outcome, Some(RunOutcome::Applied));
    let unfinished = store.unfinished().await.unwrap();
    assert_eq!(unfinished[0].run.id, open_runs[0].id);
    store.close().await;
}

fn keep() -> Keep {
    Keep {
        settings: RetentionSettings::default(),
        now: sample::at(0),
    }
}

async fn end(store: &SqliteStore, id: &str, event: Event) {
    let held = lease(store, "dev").await;
    let run = start(store, &held, id, 0).await;
    let entry = Entry {
        at: sample::at(2),
        event,
        change: None,
    };
    store.append(&held, &run.id, vec![entry]).await.unwrap();
}

#[tokio::test]
async fn the_copy_is_kept_until_a_run_ended_well() {
    let (_folder, path) = state("format-6");
    let store = open(&path).await;
    store.retain(&keep()).await.unwrap();
    assert!(copy(&path).exists(), "nothing was run yet");
    end(&store, "r-1", Event::RolledBack).await;
    store.retain(&keep()).await.unwrap();
    assert!(copy(&path).exists(), "a run that failed shows nothing");
    end(&store, "r-2", Event::Applied).await;
    store.retain(&keep()).await.unwrap();
    assert!(!copy(&path).exists());
    store.close().await;
}

#[tokio::test]
async fn a_state_that_was_brought_to_the_newest_format_gives_room_back() {
    let (_folder, path) = state("format-6");
    let store = open(&path).await;
    for number in 0..60 {
        end(&store, &format!("r-{number}"), Event::Applied).await;
    }
    store.close().await;
    let before = fs::metadata(&path).unwrap().len();
    let store = open(&path).await;
    let settings = RetentionSettings {
        journals: 1,
        history: 1,
        ..RetentionSettings::default()
    };
    let keep = Keep {
        settings,
        now: sample::at(0),
    };
    // They are open, and open runs are never dropped.
    let dropped = store.retain(&keep).await.unwrap();
    assert_eq!((dropped.journals, dropped.runs), (2, 2), "{dropped:?}");
    store.close().await;
    assert!(fs::metadata(&path).unwrap().len() < before);
}
