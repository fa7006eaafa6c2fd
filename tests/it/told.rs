//! What is in the way is said by whoever is asked, and `check` says what would be ignored.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use serde_json::Value;

use crate::ground::{Ground, PROGRAM, git, run, stratum};

fn applied() -> Ground {
    let ground = Ground::with_a_file();
    ground.push("one");
    ground.once().ends_with(0);
    ground
}

/// The check of `doctor` with this name.
fn doctor(ground: &Ground, name: &str) -> Value {
    let answer = ground.stratum(&["doctor", "--json"]);
    let checks = answer.json()["checks"].clone();
    let mut found = checks.as_array().unwrap().iter();
    let found = found.find(|check| check["name"] == name);
    let found = found.unwrap_or_else(|| panic!("{name}: {checks}")).clone();
    if found["health"] == "bad" {
        assert_eq!(answer.code, 1, "{found}");
    }
    found
}

#[test]
fn a_head_that_names_no_commit_is_said_by_status() {
    let ground = applied();
    let bare = ground.bare();
    git(&bare, &["symbolic-ref", "HEAD", "refs/heads/gone"]);
    let status = ground.stratum(&["status"]).ends_with(0).out;
    assert!(status.contains("HEAD names the branch `gone`"), "{status}");
    let way_out = "git symbolic-ref HEAD refs/heads/main";
    assert!(status.contains(way_out), "{status}");
    ground
        .stratum(&["status", "--detailed-exitcode"])
        .ends_with(2);
    git(&bare, &["symbolic-ref", "HEAD", "refs/heads/main"]);
    let json = ground.stratum(&["status", "--json"]).json();
    assert_eq!(json["troubles"], serde_json::json!([]));
}

#[test]
fn a_state_that_others_may_write_is_said_by_doctor_as_by_who_refuses_it() {
    let ground = applied();
    let folder = ground.bare().join("stratum");
    let own = folder.join("state.db");
    for (path, open, closed) in [(&folder, 0o777, 0o700), (&own, 0o666, 0o600)] {
        let mode = |mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(doctor(&ground, "state")["health"], "good");
        mode(open);
        let state = doctor(&ground, "state");
        assert_eq!(state["health"], "bad", "{state}");
        assert!(
            state["remedy"].as_str().unwrap().contains("chmod"),
            "{state}"
        );
        assert_ne!(ground.once().code, 0);
        mode(closed);
    }
    ground.once().ends_with(0);
}

/// Another user is told that it is about rights, by every command that reads the state.
#[test]
fn whoever_may_not_read_the_state_is_told_so() {
    use std::os::unix::process::CommandExt as _;
    let ground = applied();
    let top = ground.bare().parent().unwrap().to_owned();
    fs::set_permissions(&top, fs::Permissions::from_mode(0o755)).unwrap();
    // Only root becomes another user.
    if fs::metadata(&top).unwrap().uid() != 0 {
        return;
    }
    let ask = |words: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.arg("--repo").arg(ground.bare()).args(words);
        run(&top, command.env("HOME", &top).uid(65534).gid(65534))
    };
    for words in [&["status"][..], &["history"], &["get"]] {
        let asked = ask(words).ends_with(1);
        let said = asked.side;
        let (denied, who) = ("Permission denied", "as the user of the reconciler");
        assert!(
            said.contains(denied) && said.contains(who),
            "{words:?}: {said}"
        );
    }
    let doctor = ask(&["doctor"]).ends_with(1).out;
    assert!(doctor.contains("cannot be looked at"), "{doctor}");
}

#[test]
fn a_key_of_the_log_that_is_gone_is_said_by_doctor() {
    let ground = applied();
    let key = ground.bare().join("stratum/audit/keys/log.key");
    assert_eq!(doctor(&ground, "audit log")["health"], "good");
    let away = ground.bare().join("stratum/away");
    fs::rename(&key, &away).unwrap();
    let log = doctor(&ground, "audit log");
    assert_eq!(log["health"], "bad", "{log}");
    assert!(
        log["sentence"].as_str().unwrap().contains("put it back"),
        "{log}"
    );
    fs::rename(&away, &key).unwrap();
    assert_eq!(doctor(&ground, "audit log")["health"], "good");
}

#[test]
fn settings_that_would_be_ignored_or_refused_are_said_by_check_plan_and_doctor() {
    let ground = applied();
    let check = |settings: &str| {
        let settings = format!("{{ name = \"t\", {settings} }}\n");
        ground.write("stratum.ncl", &settings);
        stratum(&ground.clone_folder(), &["check"])
    };
    let asked = check("environments.staging = {}, records.branch = \"main\"").ends_with(0);
    assert!(
        asked.side.contains("HEAD is read from `main`"),
        "{}",
        asked.side
    );
    let asked = check("environments.staging = {}, records.branch = \"HEAD\"").ends_with(0);
    assert!(asked.out.contains("not to `HEAD`"), "{}", asked.out);
    let asked = check("environments.staging.root = \"srv/x\"").ends_with(0);
    assert!(asked.out.contains("is relative"), "{}", asked.out);
    let nobody = "environments.staging.user = \"no-such-user\"";
    let asked = check(nobody).ends_with(0);
    assert!(
        asked.side.contains("no user in `/etc/passwd`"),
        "{}",
        asked.side
    );
    ground.push("nobody");
    let plan = ground.stratum(&["plan"]);
    assert!(
        plan.side.contains("no user in `/etc/passwd`"),
        "{}",
        plan.side
    );
    assert_eq!(doctor(&ground, "users")["health"], "bad");
    let asked = check("environments.staging.user = \"root\"").ends_with(0);
    assert!(!asked.side.contains("/etc/passwd"), "{}", asked.side);
}
