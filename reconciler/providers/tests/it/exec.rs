//! `local_exec`: what ran how often, whatever is killed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use stratum_core::ports::{Certainty, Located};
use stratum_core::value::Value;

use crate::kept::{HELPER, Place, Step, eventually, nothing, own, record, token};
use crate::service::runs;

const STEPS: u32 = 200;

fn count(root: &Path) -> usize {
    std::fs::read_dir(root.join("ran")).unwrap().count()
}

/// The reconciler is killed in the middle of 200 steps, and started again: each ran once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_step_runs_once_though_the_reconciler_is_killed() {
    let mut place = Place::new("t/local_exec.s0");
    std::fs::create_dir_all(place.root().join("ran")).unwrap();
    let mut reconciler = Command::new(HELPER)
        .args([
            "drive".as_ref(),
            place.root().as_os_str(),
            STEPS.to_string().as_ref(),
        ])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let root = place.root();
    eventually("half of the steps", || count(&root) > 40).await;
    reconciler.kill().unwrap();
    reconciler.wait().unwrap();
    let before = count(&place.root());
    let (mut done, mut again) = (0, 0);
    for number in 0..STEPS {
        place.address = format!("test/local_exec.s{number}").parse().unwrap();
        let step = Step {
            prior: None,
            planned: Some(record(
                r#"{"create": ["sh", "-c", "echo x >> ran/${STRATUM_ADDRESS##*.}"],
                    "timeout": "10m", "output": null}"#,
            )),
            checkpoint: nothing(),
            token: token(number),
        };
        match place.locate(&step).await.unwrap() {
            Located::Done(Some(_)) => done += 1,
            Located::NotDone => {
                again += 1;
                place.apply(&step).await.unwrap();
            }
            other => panic!("step {number}: {other:?}"),
        }
    }
    assert!(
        before < STEPS as usize && done > 0 && again > 0,
        "{before} {done} {again}"
    );
    for number in 0..STEPS {
        let ran = std::fs::read_to_string(place.root().join(format!("ran/s{number}"))).unwrap();
        assert_eq!(ran, "x\n", "step {number}");
    }
}

#[tokio::test]
async fn programs_get_inputs_variables_and_folder() {
    let place = Place::new("t/local_exec.a");
    std::fs::create_dir_all(place.root().join("d")).unwrap();
    let made = place
        .make(
            3,
            r#"{"create": ["sh", "-c", "printf '{\"in\": %s, \"who\": \"%s %s %s\", \"dir\": \"%s\"}' \"$(cat)\" \"$STRATUM_ADDRESS\" \"$STRATUM_TOKEN\" \"$MINE\" \"${PWD##*/}\""],
                "inputs": {"a": [1, "x"]}, "env": {"MINE": "m"}, "dir": "d"}"#,
        )
        .await
        .unwrap();
    let output = made.attributes["output"].as_record().unwrap();
    assert_eq!(output["in"], Value::record(record(r#"{"a": [1, "x"]}"#)));
    assert_eq!(
        output["who"],
        Value::text(format!("t/local_exec.a {} m", token(3).as_str()))
    );
    assert_eq!(output["dir"], Value::text("d"));
}

#[tokio::test]
async fn failures_say_what_the_program_said() {
    let place = Place::new("t/local_exec.a");
    let error = place
        .make(0, r#"{"create": ["sh", "-c", "echo no luck >&2; exit 7"]}"#)
        .await
        .unwrap_err();
    assert!(error.message.contains("exited with 7: no luck"), "{error}");
    assert_eq!(error.certainty, Certainty::Unknown);
    let error = place
        .make(1, r#"{"create": ["/no/such/program"]}"#)
        .await
        .unwrap_err();
    assert_eq!(error.certainty, Certainty::NothingHappened, "{error}");
    let error = place
        .make(2, r#"{"create": ["sleep", "60"], "timeout": "100ms"}"#)
        .await
        .unwrap_err();
    assert!(error.message.contains("ran longer than 100ms"), "{error}");
}

/// A failed command that lost its answer is not run again: doing it again gives its answer.
#[tokio::test]
async fn a_lost_failure_is_answered_without_running_again() {
    let place = Place::new("t/local_exec.a");
    let desired =
        record(r#"{"create": ["sh", "-c", "echo x >> ran; exit 1"], "delete": ["true"]}"#);
    let step = place.step(0, None, Some(&desired)).await.unwrap();
    place.apply(&step).await.unwrap_err();
    assert_eq!(place.locate(&step).await.unwrap(), Located::NotDone);
    let error = place.apply(&step).await.unwrap_err();
    assert!(error.message.contains("exited with 1"), "{error}");
    assert_eq!(
        std::fs::read_to_string(place.root().join("ran")).unwrap(),
        "x\n"
    );
}

fn started(root: &Path, name: &str) -> Option<Pid> {
    let folder = std::fs::read_dir(own(root).join("steps").join(name)).ok()?;
    let file = folder.filter_map(Result::ok).next()?.path();
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.contains("started"))?;
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    Pid::from_raw(i32::try_from(line["started"]["by"]["pid"].as_i64()?).ok()?)
}

/// Only when the process that runs the command is killed itself, nobody can tell.
#[tokio::test]
async fn without_read_a_killed_runner_cannot_be_told() {
    for (read, expected) in [
        ("", None),
        (
            r#", "read": ["sh", "-c", "test -e thing || exit 3; echo 1"]"#,
            Some(()),
        ),
    ] {
        let place = Place::new("t/local_exec.a");
        let desired = record(&format!(
            r#"{{"create": ["sh", "-c", "touch thing; sleep 30"]{read}}}"#
        ));
        let step = place.step(0, None, Some(&desired)).await.unwrap();
        let root = place.root();
        let killed = async {
            eventually("the thing", || root.join("thing").exists()).await;
            kill_process(started(&root, "a").unwrap(), Signal::KILL).unwrap();
        };
        let (applied, ()) = tokio::join!(place.apply(&step), killed);
        assert!(applied.unwrap_err().message.contains("was killed"));
        let located = place.locate(&step).await.unwrap();
        match expected {
            Some(()) => assert!(matches!(located, Located::Done(Some(_))), "{located:?}"),
            None => assert!(matches!(located, Located::CannotTell(_)), "{located:?}"),
        }
    }
}

/// Giving up ends the command and all it started.
#[tokio::test]
async fn a_call_that_is_given_up_ends_its_command() {
    let place = Place::new("t/local_exec.a");
    let desired = record(
        r#"{"create": ["sh", "-c", "sleep 60 & echo $! > pid; wait"], "delete": ["rm", "-f", "pid"]}"#,
    );
    let step = place.step(0, None, Some(&desired)).await.unwrap();
    let root = place.root();
    tokio::select! {
        applied = place.apply(&step) => panic!("{applied:?}"),
        () = eventually("the pid", || std::fs::read_to_string(root.join("pid")).is_ok_and(|t| t.ends_with('\n'))) => {}
    }
    let pid = std::fs::read_to_string(root.join("pid")).unwrap();
    assert_eq!(place.restore(&step).await.unwrap(), None);
    assert!(!root.join("pid").exists());
    let stat = format!("/proc/{}/stat", pid.trim());
    eventually("the end of the command", || {
        std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z"))
    })
    .await;
}

#[tokio::test]
async fn read_tells_drift_and_what_is_gone() {
    let place = Place::new("t/local_exec.a");
    let wanted = r#"{"create": ["sh", "-c", "cat > thing"], "update": ["sh", "-c", "cat > thing"],
        "read": ["sh", "-c", "test -e thing || exit 3; printf '{\"inputs\": %s}' \"$(cat thing)\""],
        "inputs": {"a": 1}}"#;
    let made = place.make(0, wanted).await.unwrap();
    std::fs::write(place.root().join("thing"), r#"{"a": 2}"#).unwrap();
    let drifted = place.read(&made).await.unwrap().unwrap();
    assert_eq!(
        drifted.attributes["inputs"],
        Value::record(record(r#"{"a": 2}"#))
    );
    let plan = place
        .plan(Some(&drifted), Some(&record(wanted)))
        .await
        .unwrap();
    assert!(plan.replace.is_empty() && plan.planned["output"] == Value::Unknown);
    std::fs::remove_file(place.root().join("thing")).unwrap();
    assert_eq!(place.read(&made).await.unwrap(), None);
}

#[tokio::test]
async fn files_of_old_steps_do_not_pile_up() {
    let place = Place::new("t/local_exec.a");
    for number in 0..20 {
        place.make(number, r#"{"create": ["true"]}"#).await.unwrap();
    }
    let files = std::fs::read_dir(place.site.own.join("steps/a"))
        .unwrap()
        .count();
    assert!(files <= 10, "{files}");
}

#[tokio::test]
async fn a_command_that_still_runs_is_waited_for() {
    let mut place = Place::new("t/local_exec.s0");
    std::fs::create_dir_all(place.root().join("ran")).unwrap();
    let mut reconciler = Command::new(HELPER)
        .args(["drive".as_ref(), place.root().as_os_str(), "1".as_ref()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let root = place.root();
    eventually("the start", || started(&root, "s0").is_some()).await;
    reconciler.kill().unwrap();
    reconciler.wait().unwrap();
    place.address = "test/local_exec.s0".parse().unwrap();
    place.timeout = Duration::from_secs(10);
    let step = Step {
        prior: None,
        planned: Some(record(r#"{"create": ["false"], "output": null}"#)),
        checkpoint: nothing(),
        token: token(0),
    };
    assert!(matches!(
        place.locate(&step).await.unwrap(),
        Located::Done(Some(_))
    ));
    assert_eq!(std::fs::read_to_string(root.join("ran/s0")).unwrap(), "x\n");
}

/// Also what left the group of the program and its session: a look leaves nothing running.
#[tokio::test]
async fn what_a_read_leaves_behind_is_ended() {
    let place = Place::new("t/local_exec.x");
    let asking = r#"{"create": ["true"], "delete": ["true"], "read": ["sh", "-c",
        "setsid sh -c 'echo $$ > away; exec sleep 1000' >/dev/null 2>&1 & while ! test -s away; do sleep 0.01; done; echo '{}'"]}"#;
    let made = place.make(0, asking).await.unwrap();
    place.read(&made).await.unwrap();
    let away = std::fs::read_to_string(place.root().join("away")).unwrap();
    let away = Pid::from_raw(away.trim().parse().unwrap()).unwrap();
    assert!(!runs(away), "it runs on");
}
