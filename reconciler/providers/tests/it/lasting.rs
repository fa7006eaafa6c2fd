//! Long life: nothing grows, nothing is left, nothing escapes.

use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::kept::{Place, eventually, own};
use crate::lost::escaped;
use crate::service::{pid, runs, status};

/// The sizes of the logs of the service.
fn logs(place: &Place) -> u64 {
    let folder = own(&place.root()).join("services/web");
    let sizes = std::fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        entry.metadata().map_or(0, |stat| stat.len())
    });
    sizes.sum()
}

#[tokio::test]
async fn the_log_of_a_program_that_never_stops_is_bounded() {
    let place = Place::new("t/local_service.web");
    let made = place
        .make(
            0,
            r#"{"command": ["sh", "-c", "yes 'a long line of text' & exec yes >&2"]}"#,
        )
        .await
        .unwrap();
    eventually("a log that was put aside", || {
        own(&place.root())
            .join("services/web/stdout.log.1")
            .exists()
    })
    .await;
    for _ in 0..10 {
        assert!(logs(&place) <= 33 * 1024 * 1024);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    place.delete(1, &made).await;
}

#[tokio::test]
async fn a_grandchild_in_a_session_of_its_own_goes_with_the_service() {
    for (service, why) in [
        (
            "setsid sh -c 'echo $$ > away; exec sleep 1000' & exec sleep 1000",
            "a session of its own",
        ),
        (
            "setsid sh -c 'trap \"\" TERM; echo $$ > away; while :; do sleep 0.1; done' & exec sleep 1000",
            "deaf to SIGTERM",
        ),
        (
            "(setsid env -i /bin/sh -c '/bin/echo $$ > away; exec /bin/sleep 1000' &) & exec sleep 1000",
            "without the mark, and orphaned",
        ),
    ] {
        let place = Place::new("t/local_service.web");
        let text = serde_json::json!({ "command": ["sh", "-c", service] }).to_string();
        let made = place.make(0, &text).await.unwrap();
        let away = escaped(&place).await;
        // One that ignores SIGTERM costs the whole grace: the first kill is enough here.
        if why.starts_with("deaf") {
            kill_process(away, Signal::KILL).unwrap();
        }
        place.delete(1, &made).await;
        assert!(!runs(away), "{why}");
    }
}

/// What a crashed program left behind is gone before it is started again.
#[tokio::test]
async fn a_restart_finds_nothing_of_the_run_before() {
    let place = Place::new("t/local_service.web");
    let service = "setsid sh -c 'echo $$ > away; exec sleep 1000' & sleep 0.3; exit 1";
    let text = serde_json::json!({ "command": ["sh", "-c", service] }).to_string();
    let step = place.make(0, &text).await;
    let first = escaped(&place).await;
    eventually("the end of what was left", || !runs(first)).await;
    if let Ok(made) = step {
        place.delete(1, &made).await;
    }
}

#[tokio::test]
async fn orphans_of_a_service_are_collected() {
    let place = Place::new("t/local_service.web");
    let service = "while :; do (setsid true &) ; sleep 0.02; done";
    let text = serde_json::json!({ "command": ["sh", "-c", service] }).to_string();
    let made = place.make(0, &text).await.unwrap();
    let watcher = pid(&status(&place.root())["supervisor"]).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let children = format!("/proc/{0}/task/{0}/children", watcher.as_raw_nonzero());
    let count = std::fs::read_to_string(&children)
        .unwrap()
        .split(' ')
        .count();
    assert!(count < 10, "{count} children wait to be collected");
    let open = std::fs::read_dir(format!("/proc/{}/fd", watcher.as_raw_nonzero()));
    assert!(open.unwrap().count() < 40);
    place.delete(1, &made).await;
}

/// A command that takes too long is ended with all that came of it.
#[tokio::test]
async fn what_left_the_group_of_a_command_goes_with_it() {
    let place = Place::new("t/local_exec.a");
    let command = "setsid sh -c 'echo $$ > away; exec sleep 1000' & sleep 1000";
    let text = serde_json::json!({ "create": ["sh", "-c", command], "timeout": "700ms" });
    let failed = place.make(0, &text.to_string()).await.unwrap_err();
    assert!(failed.message.contains("ran longer than"), "{failed}");
    let away = escaped(&place).await;
    eventually("its end", || !runs(away)).await;
}

#[tokio::test]
async fn no_cgroup_is_left() {
    let place = Place::new("t/local_service.web");
    let made = place
        .make(0, r#"{"command": ["sleep", "1000"]}"#)
        .await
        .unwrap();
    let cgroup = status(&place.root())["family"]["cgroup"].clone();
    place.delete(1, &made).await;
    if let Some(cgroup) = cgroup.as_str() {
        assert!(!std::path::Path::new(cgroup).exists(), "{cgroup}");
    }
}

/// Descriptors of this process, and threads and children of it.
fn held() -> [usize; 2] {
    ["/proc/self/fd", "/proc/self/task"].map(|path| std::fs::read_dir(path).unwrap().count())
}

#[tokio::test]
async fn two_hundred_looks_cost_nothing_that_stays() {
    let place = Place::new("t/local_service.web");
    let made = place
        .make(0, r#"{"command": ["sleep", "1000"]}"#)
        .await
        .unwrap();
    let watcher = pid(&status(&place.root())["supervisor"]).unwrap();
    let open = format!("/proc/{}/fd", watcher.as_raw_nonzero());
    let open = || std::fs::read_dir(&open).unwrap().count();
    let look = async || {
        assert!(place.read(&made).await.unwrap().is_some());
    };
    look().await;
    let (before, of_watcher) = (held(), open());
    for _ in 0..200 {
        look().await;
    }
    // Other tests of this process have some, and end.
    let mut after = held();
    for _ in 0..100 {
        if after[0] < before[0] + 60 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        after = held();
    }
    assert!(after[0] < before[0] + 60, "{before:?} {after:?}");
    assert!(open() <= of_watcher + 2);
    place.delete(1, &made).await;
}

/// The way of old daemons: the program ends at once, and its grandchild goes on.
#[tokio::test]
async fn what_forks_twice_is_ended_with_the_service() {
    let place = Place::new("t/local_service.web");
    let daemon = "setsid sh -c '(echo $$ >/dev/null; setsid sh -c \"echo \\$\\$ > away; exec sleep 1000\" &) ; exit 0'; exec sleep 1000";
    let text = serde_json::json!({ "command": ["sh", "-c", daemon] }).to_string();
    let made = place.make(0, &text).await.unwrap();
    let away = escaped(&place).await;
    assert!(runs(away));
    place.delete(1, &made).await;
    assert!(!runs(away));
}

/// As much as a program can say in a moment is no more than the log may hold, and its end is there.
#[tokio::test]
async fn a_burst_is_bounded_and_its_last_words_are_kept() {
    let place = Place::new("t/local_service.web");
    let said = "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo the last word; touch said; exec sleep 1000";
    let text = serde_json::json!({ "command": ["sh", "-c", said] }).to_string();
    let made = place.make(0, &text).await.unwrap();
    eventually("all is said", || place.root().join("said").exists()).await;
    let log = own(&place.root()).join("services/web/stdout.log");
    let ends = || {
        let bytes = std::fs::read(&log).unwrap_or_default();
        bytes.ends_with(b"the last word\n")
    };
    eventually("the last word", ends).await;
    assert!(logs(&place) <= 33 * 1024 * 1024);
    place.delete(1, &made).await;
}
