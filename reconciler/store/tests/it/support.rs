//! Stores, leases and child processes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Break, Entry, Lease, LeaseError, Store};
use stratum_core::run::Run;
use stratum_store::{Access, SqliteStore};
use stratum_testkit::store::sample;

/// Names the file a child process works on.
pub(crate) const CHILD: &str = "STRATUM_STORE_CHILD";

pub(crate) fn environment(name: &str) -> EnvironmentName {
    EnvironmentName::new(name).unwrap()
}

pub(crate) async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Access::ReadWrite).await.unwrap()
}

/// The lease, whoever has it.
pub(crate) async fn lease(store: &dyn Store, name: &str) -> Lease {
    let (name, ttl) = (environment(name), Duration::from_secs(30));
    let how = Break {
        reason: "a test wants it".to_owned(),
        people: Vec::new(),
        force: true,
    };
    loop {
        match store.acquire(&name, ttl).await {
            Ok(lease) => return lease,
            Err(LeaseError::Held { .. }) => drop(store.break_lease(&name, &how).await),
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Starts a run on the state as it is.
pub(crate) async fn start(store: &dyn Store, lease: &Lease, id: &str, steps: u32) -> Run {
    let serial = store.base(&lease.environment).await.unwrap().serial;
    let run = sample::run(&lease.environment, id, serial, steps).unwrap();
    store
        .start(lease, &run, &sample::started(&run))
        .await
        .unwrap();
    run
}

/// Step `number` begins and is done.
pub(crate) fn step(run: &Run, number: u32) -> Vec<Entry> {
    let state = sample::state(&run.environment, number, &format!("value {number}")).unwrap();
    vec![sample::begun(&run.id, number), sample::done(number, state)]
}

/// Runs the ignored test `name` of this binary in a process of its own.
pub(crate) fn child(name: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            name,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// The file this child process works on; `None` in a process that is no child.
pub(crate) fn child_path() -> Option<std::path::PathBuf> {
    std::env::var_os(CHILD).map(Into::into)
}
