//! What is said when nobody reconciles, and of what a command cannot see.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::ground::{Answer, Ground, PROGRAM, git, run, stratum};

/// A process that reconciles, ended when this goes.
struct Running(Child);

impl Running {
    fn of(ground: &Ground) -> Self {
        let child = Command::new(PROGRAM)
            .args(["reconcile", "--root", ground.made("").to_str().unwrap()])
            .current_dir(ground.bare())
            .env_remove("STRATUM_REPO")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "{what} never came true"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn applied() -> Ground {
    let ground = Ground::with_a_file();
    ground.push("one");
    ground.once().ends_with(0);
    ground
}

fn well(ground: &Ground) -> Answer {
    ground.stratum(&["status", "--detailed-exitcode"])
}

#[test]
fn that_nobody_reconciles_is_said_with_the_push_that_is_not_applied() {
    let ground = applied();
    let status = well(&ground).ends_with(2).out;
    assert!(status.contains("no process reconciles this"), "{status}");
    assert!(!status.contains("nothing of that is applied"), "{status}");
    ground.write(
        "infra/staging.ncl",
        "{ local_file.a = { path = \"a\", content = \"two\\n\" } }\n",
    );
    let pushed = ground.push("two");
    let status = ground.stratum(&["status"]).ends_with(0).out;
    let said = format!(
        "`main` is at {}, and nothing of that is applied",
        &pushed[..12]
    );
    assert!(status.contains(&said), "{status}");
    let json = ground.stratum(&["status", "--json"]).json();
    assert_eq!(json["reconciler"]["alive"], false);
    assert_eq!(json["environments"][0]["behind"]["commit"], pushed.as_str());
    let doctor = ground.stratum(&["doctor"]).out;
    let (no, behind) = ("no process reconciles this", said.as_str());
    assert!(doctor.contains(no) && doctor.contains(behind), "{doctor}");
    let running = Running::of(&ground);
    eventually("all is well", || well(&ground).code == 0);
    let json = ground.stratum(&["status", "--json"]).json();
    assert_eq!(json["reconciler"]["alive"], true);
    assert_eq!(json["environments"][0]["behind"], serde_json::Value::Null);
    // Ended as by a kill: nobody wrote that down.
    drop(running);
    well(&ground).ends_with(2);
}

#[test]
fn a_process_that_had_nothing_to_do_is_known_to_live_all_the_same() {
    let ground = applied();
    let _running = Running::of(&ground);
    eventually("it lives", || well(&ground).code == 0);
}

#[test]
fn a_process_that_hangs_is_known_by_its_silence_until_it_speaks() {
    let ground = applied();
    let running = Running::of(&ground);
    eventually("it lives", || well(&ground).code == 0);
    let pid = running.0.id().to_string();
    let signal = |name: &str| {
        let done = Command::new("kill").args([name, &pid]).status();
        assert!(done.unwrap().success());
    };
    signal("-STOP");
    // Ten minutes of silence, for whoever looks.
    let holders = fs::read_dir(ground.bare().join("stratum/state.db.holders")).unwrap();
    for holder in holders {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(holder.unwrap().path());
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(600);
        file.unwrap().set_modified(long_ago).unwrap();
    }
    let status = well(&ground).ends_with(2).out;
    assert!(
        status.contains("hangs or is stopped") && status.contains("lease break"),
        "{status}"
    );
    let doctor = ground.stratum(&["doctor"]).out;
    assert!(doctor.contains("hangs or is stopped"), "{doctor}");
    signal("-CONT");
    eventually("it speaks", || well(&ground).code == 0);
}

#[test]
fn a_commit_that_changes_no_file_is_nothing_that_waits() {
    let ground = applied();
    ground.push("nothing");
    let json = ground.stratum(&["status", "--json"]).json();
    assert_eq!(json["environments"][0]["behind"], serde_json::Value::Null);
}

#[test]
fn a_state_that_was_moved_away_is_missed() {
    let ground = Ground::with_a_file();
    ground.push("one");
    let before = ground.stratum(&["doctor"]).out;
    assert!(before.contains("the first reconcile makes it"), "{before}");
    ground.once().ends_with(0);
    let folder = ground.bare().join("stratum");
    for end in ["", "-wal", "-shm"] {
        let _absent = fs::remove_file(folder.join(format!("state.db{end}")));
    }
    let doctor = ground.stratum(&["doctor"]).ends_with(1).out;
    assert!(doctor.contains("and there was one"), "{doctor}");
    assert!(doctor.contains("1. end `stratum reconcile`"), "{doctor}");
}

#[test]
fn drift_that_is_only_reported_is_in_plan_and_status_with_the_way_back() {
    let ground = Ground::with_a_file();
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { staging = { drift.every = \"1s\" } } }\n",
    );
    ground.push("one");
    ground.once().ends_with(0);
    fs::write(ground.made("staging/a"), "by hand").unwrap();
    eventually("the drift is seen", || {
        ground.once().ends_with(0);
        let status = ground.stratum(&["status", "--json"]).json();
        status["environments"][0]["drifted"] == 1
    });
    for command in ["plan", "diff"] {
        let side = ground.stratum(&[command]).ends_with(0).side;
        assert!(side.contains("1 drifted in `staging`"), "{side}");
    }
    let status = ground.stratum(&["status"]).ends_with(0).out;
    assert!(status.contains("next: `stratum drift`"), "{status}");
    let drift = ground.stratum(&["drift"]).ends_with(0).out;
    assert!(drift.contains("to have it put back"), "{drift}");
    // And it is true: a push of the resource puts it back.
    ground.write(
        "infra/staging.ncl",
        "{ local_file.a = { path = \"a\", content = \"one\\n\", mode = \"0600\" } }\n",
    );
    ground.push("two");
    ground.once().ends_with(0);
    assert_eq!(
        fs::read_to_string(ground.made("staging/a")).unwrap(),
        "one\n"
    );
}

#[test]
fn a_missing_branch_hides_no_other_plan() {
    let ground = Ground::with_a_file();
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { live = { branch = \"live\" }, staging = {} } }\n",
    );
    ground.write("infra/live.ncl", "{}\n");
    ground.push("one");
    let plan = ground.stratum(&["plan"]).ends_with(1);
    assert!(plan.out.contains("1 to add"), "{}", plan.out);
    assert!(
        plan.side.contains("there is no plan for `live`"),
        "{}",
        plan.side
    );
    ground.stratum(&["plan", "--env", "live"]).ends_with(1);
}

#[test]
fn what_is_in_no_plan_is_said() {
    let ground = Ground::with_a_file();
    let clone = ground.clone_folder();
    git(&clone, &["add", "--all"]);
    git(&clone, &["commit", "-q", "-m", "one"]);
    let plan = stratum(&clone, &["plan"]).ends_with(0);
    assert!(!plan.side.contains("not committed"), "{}", plan.side);
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { staging = { roots = [\"/srv/not-given\"] } } }\n",
    );
    let plan = stratum(&clone, &["plan"]).ends_with(0);
    assert!(plan.side.contains("not committed"), "{}", plan.side);
    // What a reconciler of this machine would refuse.
    ground.push("roots");
    ground.stratum(&["plan"]).ends_with(0);
    git(&clone, &["push", "-q", "origin", "HEAD:main"]);
    ground.once().ends_with(1);
    let plan = ground.stratum(&["plan"]).ends_with(0);
    assert!(
        plan.side.contains("would refuse `staging`"),
        "{}",
        plan.side
    );
}

#[test]
fn commands_about_files_read_the_clone_that_they_stand_in() {
    let ground = applied();
    ground.write("infra/staging.ncl", "{ local_file.a = { pth = \"a\" } }\n");
    let ask = |arguments: &[&str], folder: &std::path::Path| {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env("STRATUM_REPO", ground.bare());
        run(folder, &mut command)
    };
    let clone = ground.clone_folder();
    let check = ask(&["check"], &clone).ends_with(1);
    assert!(check.out.contains("pth"), "{}", check.out);
    ask(&["check", "--rev", "HEAD"], &clone).ends_with(0);
    ask(&["fmt"], &clone).ends_with(0);
    ask(&["plan"], &clone).ends_with(0);
    // Elsewhere there is no work tree, and the hint says who named the folder.
    let side = ask(&["fmt"], &ground.bare()).ends_with(1).side;
    assert!(side.contains("`STRATUM_REPO` names it"), "{side}");
    // What is said on the command line holds.
    let bare = ground.bare();
    ask(&["check", "--repo", bare.to_str().unwrap()], &clone).ends_with(0);
}

#[test]
fn who_reconciles_a_clone_is_told_so_once() {
    let ground = Ground::with_a_file();
    ground.push("one");
    let clone = ground.clone_folder();
    let root = ground.made("");
    let once = ["reconcile", "--once", "--root", root.to_str().unwrap()];
    let side = stratum(&clone, &once).ends_with(0).side;
    assert!(side.contains("this is a clone"), "{side}");
    let side = stratum(&clone, &once).ends_with(0).side;
    assert!(!side.contains("this is a clone"), "{side}");
    assert!(!ground.once().side.contains("this is a clone"));
}

/// A file, and a service that starts as long as a flag is there.
fn serving(ground: &Ground) -> std::path::PathBuf {
    let flag = ground.made("flag");
    let script = format!("test -e {} && exec sleep 1000", flag.display());
    let text = format!(
        "{{ local_file.a = {{ path = \"a\", content = \"a\" }},\n  local_service.s = {{ command = [\"sh\", \
         \"-c\", \"{script}\"] }} }}\n"
    );
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { staging = { drift.every = \"1s\" } } }\n",
    );
    ground.write("infra/staging.ncl", &text);
    fs::create_dir_all(ground.made("")).unwrap();
    fs::write(&flag, "").unwrap();
    ground.push("one");
    ground.once().ends_with(0);
    flag
}

fn kill_the_program(ground: &Ground) {
    let services = "stratum/state.db.local/staging/services/s/status.json";
    let status = fs::read(ground.bare().join(services)).unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
    let program = status["last"]["pid"].as_u64().unwrap().to_string();
    let killed = Command::new("kill").args(["-KILL", &program]).status();
    assert!(killed.unwrap().success());
}

#[test]
fn a_service_that_crashes_is_nowhere_ready() {
    let ground = Ground::new();
    let flag = serving(&ground);
    fs::remove_file(&flag).unwrap();
    kill_the_program(&ground);
    eventually("it is seen to be down", || {
        ground.once();
        let status = ground.stratum(&["status", "--json"]).json();
        status["environments"][0]["condition"] == "Stalled"
    });
    let of = |resources: &serde_json::Value| {
        let mut all = resources.as_array().unwrap().iter();
        all.find(|one| one["address"] == "staging/local_service.s")
            .unwrap()
            .clone()
    };
    let get = ground.stratum(&["get", "--json"]).json();
    let seen = of(&get["resources"]);
    assert!(
        seen["condition"] == "Stalled" && seen["because"].is_string(),
        "{get}"
    );
    let tree = ground.stratum(&["tree", "--json"]).json();
    assert_eq!(
        of(&tree["environments"][0]["resources"])["condition"],
        "Stalled",
        "{tree}"
    );
    let show = ground.stratum(&["show", "staging/local_service.s"]).out;
    assert!(show.contains("  Stalled\n"), "{show}");
    // Nothing of it stays behind the test.
    ground.write(
        "infra/staging.ncl",
        "{ local_file.a = { path = \"a\", content = \"a\" } }\n",
    );
    ground.push("without it");
    ground.once().ends_with(0);
}

#[test]
fn small_mistakes_get_a_tip() {
    let ground = applied();
    let wrong = ground.stratum(&["audit", "list", "--kind", "nonsense"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.side.contains("secret-read"), "{}", wrong.side);
    let words = ["secrets", "seal", "staging/a", "k", "--generate", "20/hex"];
    let wrong = ground.stratum(&words).ends_with(1);
    assert!(wrong.side.contains("`--generate=20/hex`"), "{}", wrong.side);
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", limits.memory = 4000, environments = { staging = {} } }\n",
    );
    let clone = ground.clone_folder();
    let side = stratum(&clone, &["check"]).ends_with(0).side;
    assert!(
        side.contains("`limits.memory` asks for 4000, and 1024 hold here"),
        "{side}"
    );
    let side = stratum(&clone, &["check", "--bounds", "memory=4000"]).side;
    assert!(!side.contains("limits.memory"), "{side}");
    let init = ground.stratum(&["init", "--hooks"]).ends_with(0);
    assert!(!init.side.contains("git add"), "{}", init.side);
}

#[test]
fn the_record_of_a_run_is_named_with_its_repository() {
    let ground = applied();
    let history = ground.stratum(&["history", "--json"]).json();
    let run_id = history["runs"][0]["id"].as_str().unwrap().to_owned();
    let show = ground.stratum(&["show", &run_id]).ends_with(0).out;
    let command = show
        .split("`git ")
        .nth(1)
        .unwrap()
        .split('`')
        .next()
        .unwrap();
    let words: Vec<&str> = command.split(' ').collect();
    // As somebody would paste it, standing anywhere.
    let record = git(std::path::Path::new("/"), &words);
    assert!(record.contains("outcome: applied"), "{record}");
    // What the state forgot is found by its record.
    let folder = ground.bare().join("stratum");
    let other = folder.join("other.db");
    let other = ["--state", other.to_str().unwrap()];
    let root = ground.made("");
    let once = ["reconcile", "--once", "--root", root.to_str().unwrap()];
    ground.stratum(&[&once[..], &other].concat());
    let side = ground
        .stratum(&[&["show", run_id.as_str()][..], &other].concat())
        .ends_with(1)
        .side;
    assert!(side.contains("its record is in git"), "{side}");
}
