//! The file of the state: shared by two processes, and written by an older stratum.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::ground::{Ground, PROGRAM, run};

fn wait_for(path: &Path) {
    let started = Instant::now();
    while !path.exists() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{path:?} did not come"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_second_look_beside_a_reconciler_at_work_says_who_works_and_ends_with_1() {
    let ground = Ground::new();
    let (begun, gate) = (ground.made("begun"), ground.made("gate"));
    fs::create_dir_all(ground.made("")).unwrap();
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { staging = {} } }\n",
    );
    let script = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.05; done",
        begun.display(),
        gate.display()
    );
    ground.write(
        "infra/staging.ncl",
        &format!(
            "{{ local_exec.slow = {{ inputs = {{}}, create = [\"sh\", \"-c\", \"{script}\"], \
             delete = [\"true\"] }} }}\n"
        ),
    );
    let commit = ground.push("slow");
    let mut first = Command::new(PROGRAM)
        .args(["reconcile", "--once", "--repo"])
        .arg(ground.bare())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&begun);
    let second = ground.stratum(&["reconcile", "--once"]).ends_with(1);
    let who = format!("is being reconciled by process {} on ", first.id());
    assert!(second.side.contains(&who), "{}", second.side);
    // What the second did not do it does not call done, and the first is not disturbed.
    let status = ground.stratum(&["--json", "status"]).json();
    assert_eq!(status["environments"][0]["condition"], "Reconciling");
    fs::write(&gate, "").unwrap();
    assert!(first.wait().unwrap().success());
    ground.stratum(&["reconcile", "--once"]).ends_with(0);
    let status = ground.stratum(&["--json", "status"]).json();
    assert_eq!(status["environments"][0]["revision"], commit.as_str());
}

/// Takes away what later formats added, as a file of the first format does not have it.
const AGE: &str = "import sqlite3, sys
state = sqlite3.connect(sys.argv[1])
for index in ['runs_with_checkpoints', 'runs_with_journal', 'environments_follow']:
    state.execute(f'DROP INDEX {index}')
state.execute('ALTER TABLE runs DROP COLUMN kept')
state.execute('ALTER TABLE plans DROP COLUMN wrapped_by')
for table in sys.argv[2:]:
    state.execute(f'DROP TABLE {table}')
state.execute('PRAGMA user_version = 1')
state.commit()
state.execute('PRAGMA wal_checkpoint(TRUNCATE)')
state.close()
";

#[test]
fn a_state_of_the_first_format_is_read_as_it_is_and_brought_up_by_the_next_reconcile() {
    let ground = Ground::with_a_file();
    ground.push("one");
    ground.once().ends_with(0);
    let path = ground.bare().join("stratum/state.db");
    let later = [
        "secrets",
        "secret_versions",
        "keys",
        "audit_waiting",
        "audit_head",
        "announced",
        "forge_trouble",
        "made_secrets",
        "facts",
        "wrapped",
        "upkeep",
        "copies",
    ];
    let mut age = Command::new("python3");
    age.args(["-c", AGE]).arg(&path).args(later);
    run(&ground.bare(), &mut age).ends_with(0);
    let before = fs::read(&path).unwrap();
    let run_id = ground.stratum(&["--json", "history"]).json()["runs"][0]["id"].clone();
    let run_id = run_id.as_str().unwrap();
    for arguments in [
        &["status"][..],
        &["get"],
        &["history"],
        &["drift"],
        &["tree"],
        &["events"],
        &["audit", "list"],
        &["audit", "verify"],
        &["plan"],
        &["diff"],
        &["explain", "staging"],
        &["trace", "staging/local_file.a"],
        &["show", "staging/local_file.a"],
        &["show", run_id],
        &["doctor"],
    ] {
        let answer = ground.stratum(arguments);
        assert_eq!(
            answer.code, 0,
            "{arguments:?}: {}{}",
            answer.out, answer.side
        );
        assert!(
            !answer.side.contains("table"),
            "{arguments:?}: {}",
            answer.side
        );
    }
    assert!(
        fs::read(&path).unwrap() == before,
        "a command that reads wrote"
    );
    ground.once().ends_with(0);
    assert!(fs::read(&path).unwrap() != before, "it was not brought up");
    ground.stratum(&["audit", "verify"]).ends_with(0);
}

/// The lease of a process that works is not broken by mistake, and is with `--force`: then it can
/// write nothing more, and the log says who took it and why.
#[test]
fn a_lease_is_broken_by_a_person_with_a_reason() {
    let ground = Ground::new();
    let (begun, gate) = (ground.made("begun"), ground.made("gate"));
    fs::create_dir_all(ground.made("")).unwrap();
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { staging = {} } }\n",
    );
    let script = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.05; done",
        begun.display(),
        gate.display()
    );
    ground.write(
        "infra/staging.ncl",
        &format!(
            "{{ local_exec.slow = {{ inputs = {{}}, create = [\"sh\", \"-c\", \"{script}\"], \
             delete = [\"true\"] }} }}\n"
        ),
    );
    ground.push("slow");
    let mut first = Command::new(PROGRAM)
        .args(["reconcile", "--once", "--repo"])
        .arg(ground.bare())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&begun);
    let leases = ground.stratum(&["--json", "lease", "list"]).json();
    assert_eq!(leases["leases"][0]["life"], "alive", "{leases}");
    let broken = ["lease", "break", "staging", "--reason", "it hangs"];
    let refused = ground.stratum(&broken).ends_with(1);
    assert!(refused.side.contains("--force"), "{}", refused.side);
    let forced = [&broken[..], &["--force"]].concat();
    ground.stratum(&forced).ends_with(0);
    fs::write(&gate, "").unwrap();
    assert!(!first.wait().unwrap().success(), "it lost its lease");
    let said = ground
        .stratum(&["audit", "list", "--kind", "lease-broken"])
        .ends_with(0);
    assert!(
        said.out.contains("it hangs") && said.out.contains("alive"),
        "{}",
        said.out
    );
    ground
        .stratum(&["lease", "break", "staging", "--reason", "x"])
        .ends_with(1);
    let none = ground.stratum(&["lease", "list"]).ends_with(0);
    assert!(none.out.contains("nobody holds a lease"), "{}", none.out);
    ground.stratum(&["reconcile", "--once"]).ends_with(0);
}
