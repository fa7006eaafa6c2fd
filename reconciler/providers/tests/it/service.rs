//! `local_service`: kept running, healthy, and gone when it should be.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use stratum_core::ports::Certainty;
use stratum_core::value::Value;

use crate::kept::{Place, eventually, own, record};

pub(crate) fn status(root: &Path) -> serde_json::Value {
    let text = std::fs::read(own(root).join("services/web/status.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

pub(crate) fn pid(value: &serde_json::Value) -> Option<Pid> {
    Pid::from_raw(i32::try_from(value["pid"].as_i64()?).ok()?)
}

pub(crate) fn runs(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z"))
}

#[tokio::test]
async fn a_program_that_dies_is_started_again() {
    let place = Place::new("t/local_service.web");
    let made = place
        .make(0, r#"{"command": ["sleep", "1000"]}"#)
        .await
        .unwrap();
    let root = place.root();
    let first = pid(&status(&root)["phase"]["running"]).unwrap();
    kill_process(first, Signal::KILL).unwrap();
    eventually("another program", || {
        pid(&status(&root)["phase"]["running"]).is_some_and(|now| now != first && runs(now))
    })
    .await;
    assert_eq!(place.read(&made).await.unwrap().unwrap(), made);
    let second = pid(&status(&root)["phase"]["running"]).unwrap();
    place.delete(1, &made).await;
    assert!(!runs(second) && place.read(&made).await.unwrap().is_none());
    assert!(!own(&root).join("services/web").exists());
}

#[tokio::test]
async fn what_is_not_healthy_fails_with_its_last_words_and_is_put_back() {
    let place = Place::new("t/local_service.web");
    let first = place
        .make(0, r#"{"command": ["sleep", "1000"]}"#)
        .await
        .unwrap();
    let broken = record(
        r#"{"command": ["sh", "-c", "echo no config >&2; exec sleep 1000"],
            "health": {"tcp": "127.0.0.1:1", "every": "10ms", "within": "200ms"}}"#,
    );
    let step = place.step(1, Some(&first), Some(&broken)).await.unwrap();
    assert_eq!(step.planned.as_ref().unwrap()["started_at"], Value::Unknown);
    let error = place.apply(&step).await.unwrap_err();
    assert!(error.message.contains("refused the connection"), "{error}");
    assert!(
        error.message.contains("no config") && error.certainty == Certainty::Unknown,
        "{error}"
    );
    let back = place.restore(&step).await.unwrap().unwrap();
    assert_eq!(back.attributes["command"], first.attributes["command"]);
    let command = status(&place.root())["settings"]["command"].clone();
    assert_eq!(command, serde_json::json!(["sleep", "1000"]));
    place.delete(2, &back).await;
}

#[tokio::test]
async fn a_program_that_ends_or_is_not_there_is_an_error() {
    for (command, said) in [
        (r#"["/no/such/program"]"#, "could not be started"),
        (r#"["sh", "-c", "exit 3"]"#, "exited with 3"),
    ] {
        let place = Place::new("t/local_service.web");
        let wanted = record(&format!(r#"{{"command": {command}, "restart": "never"}}"#));
        let step = place.step(0, None, Some(&wanted)).await.unwrap();
        let error = place.apply(&step).await.unwrap_err();
        assert!(error.message.contains(said), "{error}");
        assert_eq!(place.restore(&step).await.unwrap(), None);
    }
}

/// A change of the health check alone restarts nothing.
#[tokio::test]
async fn a_new_health_check_is_tried_without_a_restart() {
    let place = Place::new("t/local_service.web");
    let first = place
        .make(0, r#"{"command": ["sleep", "1000"]}"#)
        .await
        .unwrap();
    let program = pid(&status(&place.root())["phase"]["running"]).unwrap();
    let desired = record(r#"{"command": ["sleep", "1000"], "health": {"command": ["true"]}}"#);
    let step = place.step(1, Some(&first), Some(&desired)).await.unwrap();
    let made = place.apply(&step).await.unwrap().unwrap();
    assert_eq!(
        made.attributes["started_at"],
        first.attributes["started_at"]
    );
    assert_eq!(
        pid(&status(&place.root())["phase"]["running"]),
        Some(program)
    );
    place.delete(2, &made).await;
}

#[tokio::test]
async fn logs_and_variables_reach_their_place() {
    let place = Place::new("t/local_service.web");
    let made = place
        .make(0, r#"{"command": ["sh", "-c", "echo $WORD $STRATUM_ADDRESS; exec sleep 1000"], "env": {"WORD": "treasure"}}"#)
        .await
        .unwrap();
    let folder = place.site.own.join("services/web");
    let log = folder.join("stdout.log");
    eventually("the log", || {
        std::fs::read_to_string(&log).is_ok_and(|t| t == "treasure t/local_service.web\n")
    })
    .await;
    let status = std::fs::read_to_string(folder.join("status.json")).unwrap();
    assert!(
        !status.contains("treasure"),
        "variables lie in a file: {status}"
    );
    place.delete(1, &made).await;
}
