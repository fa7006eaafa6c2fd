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
