use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stratum_core::ports::Repository;

use crate::scene::{RECORDS, Scene, git, id, open, path_of, publish, record, try_git};

const VICTIM: &str = "STRATUM_TEST_VICTIM";
const RUNS: usize = 400;
const PATIENCE: Duration = Duration::from_secs(20);

/// Is killed when it goes out of scope.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What is killed: publishes one run after the other, in a process of its own.
#[test]
#[ignore = "run by the test below, in a process that is killed"]
fn victim() {
    let Some(bare) = std::env::var_os(VICTIM).map(PathBuf::from) else {
        return;
    };
    let repository = open(&bare);
    let until = Instant::now() + PATIENCE;
    for n in count(&bare)..RUNS {
        let record = record(&format!("run-{n}"), Some(id(&bare, "main")));
        while repository.publish(&record).is_err() {
            assert!(Instant::now() < until, "it never became possible");
        }
    }
}

fn count(bare: &Path) -> usize {
    let counted = try_git(bare, &["rev-list", "--count", RECORDS]);
    String::from_utf8(counted.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap_or(0)
}

#[test]
fn a_publisher_killed_anywhere_leaves_nothing_or_all() {
    let scene = Scene::new();
    let (bare, _) = scene.pair();
    for round in 0..6 {
        let before = count(&bare);
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::victim", "--ignored"])
            .env(VICTIM, &bare)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let victim = Victim(child);
        let begun = Instant::now();
        while count(&bare) < before + 2 {
            assert!(begun.elapsed() < PATIENCE, "nothing was published");
        }
        std::thread::sleep(Duration::from_millis(round * 3));
        drop(victim);
        git(&bare, &["fsck", "--strict"]);
    }
    let runs = count(&bare);
    assert!(runs < RUNS, "it was killed before the end");
    // Who comes after can go on, and repeats what it is not sure of.
    let repository = open(&bare);
    let until = Instant::now() + PATIENCE;
    let last = record(
        &format!("run-{}", runs.saturating_sub(1)),
        Some(id(&bare, "main")),
    );
    while repository.publish(&last).is_err() {
        assert!(Instant::now() < until, "it never became possible again");
    }
    assert_eq!(count(&bare), runs, "it was there already");
    publish(&repository, &record("run-after", Some(id(&bare, "main"))));
    let files = git(&bare, &["ls-tree", "-r", "--name-only", RECORDS]);
    for n in 0..runs {
        assert!(
            files.contains(&path_of(&format!("run-{n}"))),
            "run-{n} is missing"
        );
    }
    assert_eq!(files.lines().count(), runs + 1);
}
