use std::collections::BTreeSet;
use std::path::Path;

use stratum_core::ports::Repository;
use stratum_repo::GitRepository;

use crate::scene::{RECORDS, Scene, git, id, mirror, open, path_of, record, try_git};

const RUNS: usize = 6;

fn files(bare: &Path) -> BTreeSet<String> {
    git(bare, &["ls-tree", "-r", "--name-only", RECORDS])
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Publishes, coming back after a lost race as the runtime does.
fn publish_patiently(repository: &GitRepository, run: &str, noted: &Path) {
    let record = record(run, Some(id(noted, "main")));
    let done = (0..5).any(|_| repository.publish(&record).is_ok());
    assert!(done, "{run} was never published");
}

/// Pushes commits onto the records branch with stock git until it got `RUNS` of them in.
fn push_by_hand(scene: &Scene, bare: &Path) {
    let clone = scene.path("hand");
    git(
        bare,
        &[
            "clone",
            "--no-hardlinks",
            "-q",
            "-b",
            RECORDS,
            bare.to_str().unwrap(),
            "../hand",
        ],
    );
    let mut pushed = 0;
    for n in 0.. {
        git(&clone, &["fetch", "-q"]);
        git(
            &clone,
            &["reset", "-q", "--hard", &format!("origin/{RECORDS}")],
        );
        std::fs::write(clone.join(format!("hand-{pushed}")), "x").unwrap();
        git(&clone, &["add", "."]);
        git(&clone, &["commit", "-q", "-m", "by hand"]);
        pushed += usize::from(
            try_git(&clone, &["push", "-q", "origin", RECORDS])
                .status
                .success(),
        );
        assert!(n < 500, "stock git never got a turn");
        if pushed == RUNS {
            return;
        }
    }
}

#[test]
fn two_publishers_and_a_push_lose_nothing() {
    let scene = Scene::new();
    let (bare, _) = scene.pair();
    open(&bare).publish(&record("run-0", None)).unwrap();
    std::thread::scope(|scope| {
        for who in ["a", "b"] {
            let bare = &bare;
            scope.spawn(move || {
                let repository = open(bare);
                for n in 0..RUNS {
                    publish_patiently(&repository, &format!("run-{who}{n}"), bare);
                }
            });
        }
        scope.spawn(|| push_by_hand(&scene, &bare));
    });
    check(&bare);
}

#[test]
fn two_mirrors_and_a_push_lose_nothing_at_the_remote() {
    let scene = Scene::new();
    let (bare, _) = scene.pair();
    open(&bare).publish(&record("run-0", None)).unwrap();
    std::thread::scope(|scope| {
        for who in ["a", "b"] {
            let (bare, folder) = (&bare, scene.path(who));
            scope.spawn(move || {
                let repository = mirror(bare, folder);
                for n in 0..RUNS {
                    publish_patiently(&repository, &format!("run-{who}{n}"), bare);
                }
            });
        }
        scope.spawn(|| push_by_hand(&scene, &bare));
    });
    check(&bare);
}

/// Everything is there, once, on a branch that was only ever added to.
fn check(bare: &Path) {
    let files = files(bare);
    for who in ["a", "b"] {
        for n in 0..RUNS {
            assert!(
                files.contains(&path_of(&format!("run-{who}{n}"))),
                "{who}{n} is missing"
            );
            assert!(files.contains(&format!("hand-{n}")), "hand-{n} is missing");
        }
    }
    assert_eq!(
        git(bare, &["rev-list", "--count", RECORDS]),
        (1 + 3 * RUNS).to_string()
    );
    let note = git(bare, &["notes", "--ref=stratum", "show", "main"]);
    assert_eq!(note.lines().collect::<BTreeSet<_>>().len(), 2 * RUNS);
    assert_eq!(note.lines().count(), 2 * RUNS);
    git(bare, &["fsck", "--strict"]);
}

#[test]
fn the_same_run_published_twice_at_once_is_there_once() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let run = record("run-1", Some(id(&clone, "HEAD")));
    let commits: BTreeSet<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| open(&bare).publish(&run).unwrap()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(commits.len(), 1);
    assert_eq!(git(&bare, &["rev-list", "--count", RECORDS]), "1");
}
