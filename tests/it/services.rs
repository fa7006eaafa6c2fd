//! Services, whatever becomes of whoever watches them.

use std::fs;
use std::time::{Duration, Instant};

use crate::ground::Ground;

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{what} never came true"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn runs(pid: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z"))
}

impl Ground {
    fn service(&self, command: &str) {
        self.write(
            "stratum.ncl",
            "{ name = \"t\", environments = { staging = { drift.every = \"1s\" } } }\n",
        );
        let text = format!(
            "{{ local_service.s = {{ command = {command} }}, local_file.k = {{ path = \"k\", content = \"k\" }} }}\n"
        );
        self.write("infra/staging.ncl", &text);
    }

    fn pid(&self, of: &str) -> u64 {
        let file = self
            .bare()
            .join("stratum/state.db.local/staging/services/s/status.json");
        let status: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        status[of]["pid"].as_u64().unwrap()
    }

    /// Takes the service away, so that nothing of it outlives the test.
    fn end(&self) {
        self.write(
            "infra/staging.ncl",
            "{ local_file.k = { path = \"k\", content = \"k\" } }\n",
        );
        self.push("end");
        self.once();
    }

    /// Kills the supervisor of the service, as when there is no memory left; gives its program.
    fn lose_the_watcher(&self) -> u64 {
        let (watcher, program) = (self.pid("supervisor"), self.pid("last"));
        let mut kill = std::process::Command::new("kill");
        kill.args(["-KILL", &watcher.to_string()]);
        assert!(kill.status().unwrap().success());
        eventually("the end of the watcher", || !runs(watcher));
        assert!(runs(program));
        program
    }
}

#[test]
fn a_service_that_crashes_again_and_again_is_tried_once_and_then_later() {
    let ground = Ground::new();
    ground.service("[\"sh\", \"-c\", \"sleep 1; exit 3\"]");
    ground.push("one");
    let root = ground.made("");
    let mut reconciler = std::process::Command::new(crate::ground::PROGRAM);
    reconciler
        .args(["reconcile", "--root", root.to_str().unwrap()])
        .current_dir(ground.bare());
    reconciler
        .env_remove("STRATUM_REPO")
        .stdout(std::process::Stdio::null());
    let mut reconciler = reconciler
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let condition = || {
        let status = ground.stratum(&["status", "--json"]).json();
        status["environments"][0]["condition"].clone()
    };
    eventually("it is not Ready", || condition() == "Stalled");
    // Several looks go by, and none of them tries it again.
    std::thread::sleep(Duration::from_secs(6));
    let history = ground.stratum(&["history", "--json"]).json();
    let runs = history["runs"].as_array().unwrap().len();
    assert!(runs <= 3, "{history}");
    reconciler.kill().and_then(|()| reconciler.wait()).unwrap();
    ground.end();
}

#[test]
fn a_service_without_its_watcher_is_stopped_when_a_push_takes_it_away() {
    let ground = Ground::new();
    ground.service("[\"sleep\", \"1000\"]");
    ground.push("one");
    ground.once().ends_with(0);
    let program = ground.lose_the_watcher();
    ground.write(
        "infra/staging.ncl",
        "{ local_file.k = { path = \"k\", content = \"k\" } }\n",
    );
    ground.push("two");
    ground.once().ends_with(0);
    assert!(!runs(program));
    assert!(
        !ground
            .bare()
            .join("stratum/state.db.local/staging/services")
            .exists()
    );
}

/// What was lost is found again and watched, in the real program and whatever the drift mode.
#[test]
fn a_service_that_lost_what_watched_it_is_ready_after_the_next_look() {
    let ground = Ground::new();
    ground.service("[\"sleep\", \"1000\"]");
    ground.push("one");
    ground.once().ends_with(0);
    let look = || {
        std::thread::sleep(Duration::from_millis(1_100));
        ground.once().ends_with(0);
        assert!(runs(ground.pid("supervisor")) && runs(ground.pid("last")));
    };
    // The watcher alone: the program is taken over as it is.
    let program = ground.lose_the_watcher();
    look();
    assert_eq!(ground.pid("last"), program);
    // Both.
    let program = ground.lose_the_watcher();
    kill(program);
    look();
    assert!(!runs(program));
    // What was written down, in each way.
    let folder = ground
        .bare()
        .join("stratum/state.db.local/staging/services/s");
    let harm: [&dyn Fn(); 4] = [
        &|| fs::write(folder.join("status.json"), "garbage").unwrap(),
        &|| fs::remove_file(folder.join("status.json")).unwrap(),
        &|| fs::remove_file(folder.join("lock")).unwrap(),
        &|| fs::remove_dir_all(&folder).unwrap(),
    ];
    for harm in harm {
        let (watcher, program) = (ground.pid("supervisor"), ground.pid("last"));
        harm();
        look();
        eventually("one of each", || {
            let same = ground.pid("last") == program;
            same || (!runs(watcher) && !runs(program))
        });
    }
    // And it goes, though nothing of it is known.
    let (watcher, program) = (ground.pid("supervisor"), ground.pid("last"));
    fs::remove_dir_all(&folder).unwrap();
    ground.write(
        "infra/staging.ncl",
        "{ local_file.k = { path = \"k\", content = \"k\" } }\n",
    );
    ground.push("two");
    ground.once().ends_with(0);
    assert!(!runs(watcher) && !runs(program));
}

#[test]
fn another_command_ends_what_lost_its_watcher() {
    let ground = Ground::new();
    ground.service("[\"sleep\", \"1000\"]");
    ground.push("one");
    ground.once().ends_with(0);
    let program = ground.lose_the_watcher();
    ground.service("[\"sleep\", \"1001\"]");
    ground.push("two");
    ground.once().ends_with(0);
    assert!(!runs(program) && runs(ground.pid("last")));
    ground.write(
        "infra/staging.ncl",
        "{ local_file.k = { path = \"k\", content = \"k\" } }\n",
    );
    ground.push("three");
    ground.once().ends_with(0);
}

fn kill(pid: u64) {
    let mut kill = std::process::Command::new("kill");
    kill.args(["-KILL", &pid.to_string()]);
    assert!(kill.status().unwrap().success());
    eventually("the end of a process", || !runs(pid));
}

/// As after a reboot: neither the program nor its supervisor is there.
#[test]
fn what_is_gone_with_its_watcher_is_started_by_one_run_in_every_drift_mode() {
    let ground = Ground::new();
    ground.service("[\"sleep\", \"1000\"]");
    ground.push("one");
    ground.once().ends_with(0);
    for mode in ["correct", "report", "ignore"] {
        let settings = format!(
            "{{ name = \"t\", environments.staging.drift = {{ mode = '{mode}, every = \"1s\" }} }}\n"
        );
        ground.write("stratum.ncl", &settings);
        ground.push(mode);
        ground.once().ends_with(0);
        let program = ground.lose_the_watcher();
        kill(program);
        let before = ground.stratum(&["history", "--json"]).json();
        std::thread::sleep(Duration::from_millis(1_200));
        ground.once().ends_with(0);
        let after = ground.stratum(&["history", "--json"]).json();
        let count = |history: &serde_json::Value| history["runs"].as_array().unwrap().len();
        assert_eq!(count(&after), count(&before) + 1, "{mode}");
        assert_eq!(after["runs"][0]["outcome"], "applied", "{mode}: {after}");
        assert!(runs(ground.pid("last")), "{mode}");
    }
    ground.end();
}

/// A program that is never to be started again is not started again by what puts things back, either.
#[test]
fn what_is_never_to_be_started_again_is_run_once() {
    let ground = Ground::new();
    ground.service("[\"sh\", \"-c\", \"echo x >> ran; sleep 0.3; exit 3\"], restart = \"never\"");
    ground.push("one");
    ground.once();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(1_300));
        ground.once().ends_with(1);
    }
    let ran = fs::read_to_string(ground.made("staging/ran")).unwrap();
    assert_eq!(ran, "x\n");
    ground.end();
}
