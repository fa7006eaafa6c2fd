//! What a commit says about limits holds for nothing before it was judged, never beyond what the
//! operator gives, and nothing that evaluates outlives the reconciler.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{By, Guarded, begun};
use crate::ground::{PROGRAM, stratum};

const ENDLESS: &str = "let rec f = fun x => f (x + 1) in { local_data.end.input = f 0 }\n";

/// Wants everything, and needs it without end.
fn wants_all(guarded: &Guarded) {
    guarded.ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { production = { labels = { protected = \"true\" } }, \
         staging = {} }, limits = { memory = 1000000, time = \"100h\" } }\n",
    );
    guarded.ground.write("infra/staging.ncl", ENDLESS);
}

/// Looks once, with little time for one evaluation.
fn once(guarded: &Guarded) -> crate::ground::Answer {
    let root = guarded.ground.made("");
    let root = root.to_str().unwrap();
    let words = ["reconcile", "--once", "--root", root, "--bounds"];
    let words = [&words[..], &["time=1s,environment-time=2s"]].concat();
    stratum(&guarded.ground.bare(), &words)
}

#[test]
fn limits_of_a_commit_that_nobody_is_behind_are_not_even_read() {
    let guarded = begun(&["ada"]);
    let first = guarded.git("ada", By::Nobody, &["rev-parse", "HEAD"]);
    wants_all(&guarded);
    guarded.push("eve", By::Nobody, "everything, please");
    guarded.denied("staging", "(verified-authors)");
    // The next good commit on top of the first one is taken.
    guarded.back_to(&first);
    guarded.file("staging", "a", "two");
    guarded.push("ada", By::Ssh("ada"), "two");
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
}

#[test]
fn limits_of_somebody_who_may_are_within_those_of_the_operator() {
    let guarded = begun(&["ada"]);
    wants_all(&guarded);
    guarded.push("ada", By::Ssh("ada"), "everything, please");
    let answer = once(&guarded);
    assert_ne!(answer.code, 0);
    assert!(guarded.reason("staging").contains("took longer than 1s"));
    // And no longer where settings said so before.
    guarded.file("staging", "a", "three");
    guarded.push("ada", By::Ssh("ada"), "only the limits");
    once(&guarded);
    guarded.ground.write("infra/staging.ncl", ENDLESS);
    guarded.push("ada", By::Ssh("ada"), "with the limits of before");
    assert_ne!(once(&guarded).code, 0);
    assert!(guarded.reason("staging").contains("took longer than 1s"));
    guarded.file("staging", "a", "four");
    guarded.push("ada", By::Ssh("ada"), "mended");
    guarded.once();
    assert_eq!(guarded.world("staging/a").as_deref(), Some("four\n"));
}

#[test]
fn what_evaluates_ends_with_the_reconciler_however_that_ends() {
    let guarded = begun(&["ada"]);
    for signal in ["KILL", "TERM"] {
        let mut reconciler = living(&guarded);
        guarded
            .ground
            .write("infra/staging.ncl", &format!("# {signal}\n{ENDLESS}"));
        guarded.push("ada", By::Ssh("ada"), signal);
        // One that waits for work uses no time.
        let busy = || {
            evaluating(reconciler.id())
                .into_iter()
                .find(|one| one.1 > 50)
        };
        let child = wait(busy).expect("nothing evaluates").0;
        let pid = reconciler.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.unwrap().success());
        wait(|| reconciler.try_wait().unwrap()).unwrap_or_else(|| {
            reconciler.kill().unwrap();
            panic!("SIG{signal} did not end it")
        });
        let gone = || {
            fs::metadata(format!("/proc/{child}"))
                .is_err()
                .then_some(())
        };
        wait(gone).unwrap_or_else(|| panic!("its child lives on after SIG{signal}"));
    }
}

/// A reconciler that lives on, and gives evaluations ten minutes.
fn living(guarded: &Guarded) -> Child {
    Command::new(PROGRAM)
        .current_dir(guarded.ground.bare())
        .args([
            "reconcile",
            "--bounds",
            "time=10m,environment-time=10m",
            "--root",
        ])
        .arg(guarded.ground.made(""))
        .env_remove("STRATUM_STATE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The evaluating children of a process, with hundredths of a second that each used.
fn evaluating(parent: u32) -> Vec<(String, u64)> {
    let all = fs::read_dir("/proc").unwrap();
    all.filter_map(|entry| {
        let path = entry.unwrap().path();
        let words = fs::read(path.join("cmdline")).ok()?;
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        let (_, numbers) = stat.rsplit_once(") ")?;
        let numbers: Vec<&str> = numbers.split(' ').collect();
        let is_child = numbers[1] == parent.to_string();
        let evaluates = String::from_utf8_lossy(&words).contains("__evaluate");
        let name = path.file_name()?.to_str()?.to_owned();
        (is_child && evaluates).then(|| (name, numbers[11].parse().unwrap()))
    })
    .collect()
}

/// Waits for something, as long as a busy machine may need.
fn wait<T>(mut what: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if let Some(found) = what() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}
