//! How a service is, from what its supervisor wrote down and from what runs. Pure but for the
//! table of processes.

use std::time::Duration;

use crate::process::{Identity, Phase, REMEMBERED, STEADY, Status, since_boot};

/// So many failures ([`REMEMBERED`]) within this time are no accident.
const WINDOW: Duration = Duration::from_secs(600);

/// How a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Life {
    /// It runs and is watched.
    Runs(Status),
    /// It ended well, and that is all it was to do.
    Done(Status),
    /// It is there, and is not as it should be: a clause says why.
    Down(Option<Status>, String),
    /// There is nothing of it.
    Gone,
}

/// How a service is whose supervisor lives.
pub(crate) fn watched(status: Status) -> Life {
    let why = match &status.phase {
        Phase::Running(program) => unsteady(&status, *program),
        Phase::Waiting(how) => Some(format!("its program {how}{}", restarted(&status))),
        Phase::Done => return Life::Done(status),
        Phase::Ended(how) | Phase::NeverRan(how) => Some(format!("its program {how}")),
    };
    match why {
        Some(why) => Life::Down(Some(status), why),
        None => Life::Runs(status),
    }
}

/// How a service is that nobody watches.
pub(crate) fn unwatched(status: Status) -> Life {
    let watcher = "the process that supervises it is gone";
    let why = match &status.phase {
        Phase::Done => return Life::Done(status),
        Phase::Ended(how) | Phase::NeverRan(how) => format!("its program {how}"),
        Phase::Running(_) | Phase::Waiting(_) if status.family().lives() => {
            format!("its program runs, and {watcher}")
        }
        Phase::Running(_) | Phase::Waiting(_) => format!("its program does not run, and {watcher}"),
    };
    Life::Down(Some(status), why)
}

/// Why a program that runs is not taken for one that works; `None` when it is.
fn unsteady(status: &Status, program: Option<Identity>) -> Option<String> {
    let ended = status.ended.as_deref().unwrap_or("ended");
    let Some(program) = program.filter(|program| program.is_alive()) else {
        return Some("its program ended a moment ago".to_owned());
    };
    let age = program.age();
    if status.restarts > 0 && age < STEADY {
        let restarted = restarted(status);
        return Some(format!(
            "its program {ended}{restarted}, and runs again for {} s",
            age.as_secs()
        ));
    }
    let first = status
        .failures
        .first()
        .map(|first| Duration::from_secs(*first));
    let often = status.failures.len() >= REMEMBERED
        && first.is_some_and(|first| since_boot().saturating_sub(first) < WINDOW);
    often.then(|| {
        let minutes = WINDOW.as_secs() / 60;
        format!("its program failed {REMEMBERED} times within {minutes} minutes, and {ended} last")
    })
}

fn restarted(status: &Status) -> String {
    match status.restarts {
        0 => String::new(),
        1 => " (restarted once)".to_owned(),
        times => format!(" (restarted {times} times)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(phase: &str, more: &str) -> Status {
        let text = format!(
            r#"{{"token": "t", "supervisor": null, "started_at": "", "last": null, "restarts": 0,
                "settings": {{"command": ["x"], "dir": null, "restart": "always", "env": ""}},
                "phase": {phase}{more}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn why(life: Life) -> String {
        match life {
            Life::Down(_, why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_ended_well_is_done_watched_or_not() {
        for look in [watched, unwatched] {
            assert!(matches!(look(status(r#""done""#, "")), Life::Done(_)));
            let ended = why(look(status(r#"{"ended": "exited with 3"}"#, "")));
            assert_eq!(ended, "its program exited with 3");
        }
    }

    #[test]
    fn a_program_that_just_came_back_is_not_yet_taken_for_well() {
        let own = Identity::of(std::process::id()).unwrap();
        let running = format!(r#"{{"running": {}}}"#, serde_json::to_string(&own).unwrap());
        assert!(matches!(watched(status(&running, "")), Life::Runs(_)));
        let mut again = status(&running, r#", "ended": "exited with 1""#);
        again.restarts = 3;
        let said = why(watched(again));
        assert!(
            said.starts_with("its program exited with 1 (restarted 3 times)"),
            "{said}"
        );
    }

    #[test]
    fn a_program_that_fails_every_minute_is_in_a_loop_and_an_old_failure_is_forgotten() {
        // As if it ran for an hour: the first process of the machine.
        let Some(first) = Identity::of(1).filter(|first| first.age() > STEADY) else {
            return;
        };
        let running = format!(
            r#"{{"running": {}}}"#,
            serde_json::to_string(&first).unwrap()
        );
        let mut looping = status(&running, "");
        let now = since_boot().as_secs();
        looping.failures = vec![now; REMEMBERED];
        assert!(why(watched(looping.clone())).contains("failed 5 times within 10 minutes"));
        looping.failures.pop();
        assert!(matches!(watched(looping), Life::Runs(_)));
    }

    #[test]
    fn what_runs_unwatched_is_told_from_what_does_not_run() {
        let own = Identity::of(std::process::id()).unwrap();
        let dead = Identity {
            start: own.start + 1,
            ..own
        };
        let running = format!(
            r#"{{"running": {}}}"#,
            serde_json::to_string(&dead).unwrap()
        );
        let mut lost = status(&running, "");
        lost.last = Some(dead);
        assert!(why(unwatched(lost.clone())).contains("does not run"));
        let mut sleeper = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        lost.last = Identity::of(sleeper.id());
        assert!(why(unwatched(lost)).contains("runs, and the process"));
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
}
