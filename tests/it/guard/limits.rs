//! What a commit says about limits holds for nothing before it was judged, never beyond what the
//! operator gives, and nothing that evaluates outlives the reconciler.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{By, Guarded, begun};
use crate::ground::{PROGRAM, git, stratum};

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

const LITTLE: &str = "time=1s,environment-time=2s,memory=512";

/// A memory bomb: a list that doubles.
const BOMB: &str = "let rec f = fun n x => if n == 0 then x else f (n - 1) (x @ x) in\n\
                    { local_data.end.input = std.array.length (f 40 [1, 2, 3, 4]) }\n";

/// Each is refused for its own reason, and a third one is not kept from anything.
#[test]
fn two_hostile_environments_of_one_commit_keep_no_third_one() {
    let guarded = begun(&["ada"]);
    let settings = "{ name = \"t\", environments = { production = { labels = { protected = \"true\" } }, \
                    staging = {}, other = {}, third = {} } }\n";
    guarded.ground.write("stratum.ncl", settings);
    guarded.ground.write("infra/staging.ncl", ENDLESS);
    guarded.ground.write("infra/other.ncl", BOMB);
    guarded.file("third", "a", "well");
    guarded.push("ada", By::Ssh("ada"), "two that are hostile");
    assert_ne!(once(&guarded).code, 0);
    assert_eq!(guarded.world("third/a").as_deref(), Some("well\n"));
    assert!(guarded.reason("staging").contains("took longer than 1s"));
    assert_ne!(guarded.reason("other"), "");
    // What was there before stays.
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
}

/// Wherever it is read, it costs the limit, and is a finding with its file.
#[test]
fn what_never_ends_is_a_finding_in_the_index_and_in_a_plan_of_a_request() {
    for (text, why) in [(ENDLESS, "took longer than 1s"), (BOMB, "")] {
        let guarded = begun(&["ada"]);
        let clone = guarded.ground.clone_folder();
        guarded.ground.write("infra/staging.ncl", text);
        git(&clone, &["add", "--all"]);
        let staged = stratum(&clone, &["check", "--staged", "--bounds", LITTLE]).ends_with(1);
        let at_the_file = staged.out.contains("infra/staging.ncl") && staged.out.contains(why);
        assert!(at_the_file, "{}", staged.out);
        git(&clone, &["commit", "-q", "-m", "hostile"]);
        let base = ["plan", "--base", "HEAD~1", "--head", "HEAD"];
        let words = [&base[..], &["--env", "staging", "--bounds", LITTLE]].concat();
        let planned = stratum(&clone, &words);
        let said = format!("{}{}", planned.out, planned.side);
        assert!(
            planned.code == 1 && said.contains(why),
            "{}: {said}",
            planned.code
        );
        assert!(said.contains("infra/staging.ncl"), "{said}");
    }
}

/// Whoever asks for less than the evaluator itself needs gets what it needs.
#[test]
fn little_memory_is_enough_for_small_files() {
    let guarded = begun(&["ada"]);
    let clone = guarded.ground.clone_folder();
    for memory in ["64", "128", "192"] {
        let settings =
            format!("{{ name = \"t\", limits.memory = {memory}, environments.staging = {{}} }}\n");
        guarded.ground.write("stratum.ncl", &settings);
        let bounds = format!("memory={memory}");
        let checked = stratum(&clone, &["check", "--bounds", &bounds]);
        assert!(
            !checked.side.contains("evaluator") && checked.code < 2,
            "{}",
            checked.side
        );
        assert!(!checked.out.contains("STR0211"), "{}", checked.out);
    }
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
