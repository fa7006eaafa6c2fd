use std::path::Path;
use std::time::{Duration, Instant};

use stratum_core::ports::{Repository, Wake};
use stratum_repo::RefWatcher;

use crate::scene::{Scene, commit, git, mirror, open, publish, record};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

/// Waits until the tips satisfy `condition`; only wake-ups make it look.
async fn until(watcher: &RefWatcher, path: &Path, condition: impl Fn(&Path) -> bool) -> Duration {
    let begun = Instant::now();
    while !condition(path) {
        watcher.wait(LONG).await;
        assert!(begun.elapsed() < LONG, "no wake-up came");
    }
    begun.elapsed()
}

/// Lets the events of what was done before pass.
async fn settle(watcher: &RefWatcher) {
    loop {
        let begun = Instant::now();
        watcher.wait(SHORT).await;
        if begun.elapsed() >= SHORT {
            return;
        }
    }
}

fn has(branch: &str) -> impl Fn(&Path) -> bool + '_ {
    move |path| {
        open(path)
            .tips()
            .unwrap()
            .branches
            .keys()
            .any(|name| name.as_str() == branch)
    }
}

#[tokio::test]
async fn a_push_wakes() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let watcher = RefWatcher::new(&open(&bare));
    for n in 0..3 {
        settle(&watcher).await;
        let next = commit(&clone, "a", &n.to_string(), "next");
        git(&clone, &["push", "-q", "origin", "main"]);
        until(&watcher, &bare, |path| {
            open(path).resolve("main").unwrap() == next
        })
        .await;
    }
}

#[tokio::test]
async fn new_nested_branches_and_packed_refs_wake() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let watcher = RefWatcher::new(&open(&bare));
    settle(&watcher).await;
    for n in 0..5 {
        let name = format!("feature/{n}/deep/x");
        git(&clone, &["push", "-q", "origin", &format!("main:{name}")]);
        until(&watcher, &bare, has(&name)).await;
    }
    settle(&watcher).await;
    git(&bare, &["pack-refs", "--all"]);
    watcher.wait(LONG).await;
    settle(&watcher).await;
    // Deleting a packed branch rewrites the packed refs and nothing else.
    git(&clone, &["push", "-q", "origin", ":feature/1/deep/x"]);
    until(&watcher, &bare, |path| !has("feature/1/deep/x")(path)).await;
    // HEAD is another branch.
    settle(&watcher).await;
    git(
        &bare,
        &["symbolic-ref", "HEAD", "refs/heads/feature/2/deep/x"],
    );
    let head = |path: &Path| open(path).tips().unwrap().head.unwrap().to_string();
    until(&watcher, &bare, |path| head(path) == "feature/2/deep/x").await;
}

#[tokio::test]
async fn a_change_between_two_waits_is_not_lost_and_a_dropped_wait_takes_none() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let watcher = RefWatcher::new(&open(&bare));
    settle(&watcher).await;
    git(&clone, &["push", "-q", "origin", "main:other"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Begun, and dropped in the middle of the debounce.
    tokio::select! {
        biased;
        () = watcher.wait(LONG) => panic!("it debounces"),
        () = std::future::ready(()) => (),
    }
    let begun = Instant::now();
    watcher.wait(LONG).await;
    assert!(begun.elapsed() < LONG / 2);
}

#[tokio::test]
async fn reading_wakes_nobody_and_the_limit_holds() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let repository = open(&bare);
    let watcher = RefWatcher::new(&repository);
    settle(&watcher).await;
    repository.tips().unwrap();
    repository.resolve("HEAD").unwrap();
    git(&clone, &["ls-remote", "-q", "origin"]);
    std::fs::create_dir_all(repository.state_folder()).unwrap();
    std::fs::write(repository.state_folder().join("state.sqlite"), "x").unwrap();
    std::fs::write(bare.join("objects/x"), "x").unwrap();
    let begun = Instant::now();
    watcher.wait(SHORT).await;
    assert!(
        begun.elapsed() >= SHORT,
        "woken after {:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_work_tree_of_its_own_is_watched_in_the_common_folder() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    git(&path, &["worktree", "add", "-q", "../tree", "-b", "side"]);
    let tree = scene.path("tree");
    let watcher = RefWatcher::new(&open(&tree));
    settle(&watcher).await;
    let next = commit(&path, "a", "a", "on main");
    until(&watcher, &tree, |path| {
        open(path).resolve("main").unwrap() == next
    })
    .await;
    settle(&watcher).await;
    git(&tree, &["checkout", "-q", "-b", "third"]);
    let head = |path: &Path| open(path).tips().unwrap().head.unwrap().to_string();
    until(&watcher, &tree, |path| head(path) == "third").await;
}

#[tokio::test]
async fn a_mirror_waits_for_the_poll_or_a_poke() {
    let scene = Scene::new();
    let (bare, _) = scene.pair();
    let repository = mirror(&bare, scene.path("mirror"));
    let watcher = RefWatcher::new(&repository);
    publish(&repository, &record("run-1", None));
    let begun = Instant::now();
    watcher.wait(SHORT).await;
    assert!(begun.elapsed() >= SHORT);
    watcher.poke();
    watcher.wait(LONG).await;
    assert!(begun.elapsed() < LONG);
}
