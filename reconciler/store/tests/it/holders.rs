//! Who holds a lease, and whether that process lives: with real processes that are killed, and in
//! other pid namespaces.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use stratum_core::ports::{Break, LeaseError, Leases, Life};

use crate::support::{CHILD, child, child_path, environment, open};

const TTL: Duration = Duration::from_secs(3600);

/// Holds a lease until it is killed.
#[test]
#[ignore = "the child of the tests below"]
fn endless() {
    let Some(path) = child_path() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(&path).await;
        let lease = store.acquire(&environment("a"), TTL).await.unwrap();
        println!("\nholds {}", lease.number);
        std::future::pending::<()>().await;
    });
}

fn wait_until_it_holds(process: &mut Child) {
    let out = BufReader::new(process.stdout.take().unwrap());
    let mut lines = out.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("holds ")));
}

fn end(mut process: Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

#[tokio::test]
async fn a_lease_is_taken_over_at_once_when_its_holder_was_killed_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).await;
    let mut process = child("holders::endless", &path);
    wait_until_it_holds(&mut process);
    let held = store.acquire(&environment("a"), TTL).await;
    assert!(matches!(held, Err(LeaseError::Held { .. })), "{held:?}");
    let told = store.leases().await.unwrap();
    assert_eq!(told[0].life, Life::Alive);
    end(process);
    assert_eq!(store.leases().await.unwrap()[0].life, Life::Dead);
    let taken = store.acquire(&environment("a"), TTL).await.unwrap();
    assert_eq!(taken.number, 2);
    store.close().await;
    drop(store);
    // Whoever comes next takes away what the dead one left; this one holds a lease, and is known.
    let next = open(&path).await;
    next.holder().await.unwrap();
    let holders = path.with_file_name("state.db.holders");
    let left = std::fs::read_dir(holders).unwrap().count();
    assert_eq!(left, 2);
}

#[tokio::test]
async fn a_dead_holder_of_several_leases_is_known_until_all_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let dead = open(&path).await;
    for name in ["a", "b"] {
        dead.acquire(&environment(name), TTL).await.unwrap();
    }
    drop(dead);
    let one = open(&path).await;
    one.acquire(&environment("a"), TTL).await.unwrap();
    drop(one);
    let other = open(&path).await;
    for name in ["a", "b"] {
        let taken = other.acquire(&environment(name), TTL).await;
        assert!(taken.is_ok(), "{name}: {taken:?}");
    }
}

/// In a pid namespace of its own, and under the same name of the machine, a process has a number that
/// says nothing here. It lives all the same.
#[tokio::test]
async fn a_holder_in_another_pid_namespace_lives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).await;
    let namespace = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let ability = Command::new("unshare").args(namespace).arg("true").output();
    if !ability.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: no pid namespace can be made here");
        return;
    }
    let mut process = Command::new("unshare")
        .args(namespace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "holders::endless", "--ignored", "--nocapture"])
        .env(CHILD, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until_it_holds(&mut process);
    let held = store.acquire(&environment("a"), TTL).await;
    assert!(matches!(held, Err(LeaseError::Held { .. })), "{held:?}");
    end(process);
    // The kernel ends what is in the namespace after its first process.
    for _ in 0..100 {
        if store.acquire(&environment("a"), TTL).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it was never taken over");
}

#[tokio::test]
async fn a_holder_of_the_form_of_before_is_judged_by_its_age() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let old = open(&path).await.known_as("box 6f0c 12 4711");
    old.acquire(&environment("a"), TTL).await.unwrap();
    let store = open(&path).await;
    let held = store.acquire(&environment("a"), TTL).await;
    assert!(matches!(held, Err(LeaseError::Held { .. })), "{held:?}");
    let how = Break {
        reason: "it is gone".to_owned(),
        people: Vec::new(),
        force: false,
    };
    store.break_lease(&environment("a"), &how).await.unwrap();
    store.acquire(&environment("a"), TTL).await.unwrap();
}
