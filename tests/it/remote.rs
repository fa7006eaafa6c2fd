//! A remote that takes the call and never answers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::ground::{Answer, Ground, PROGRAM, run};

/// Far less than a fetch or a push may take, and far more than a loaded machine needs.
const SOON: Duration = Duration::from_secs(60);

/// A repository behind an `ssh` that hangs where it is told to.
struct Remote {
    ground: Ground,
    top: PathBuf,
}

impl Remote {
    fn new() -> Self {
        let ground = Ground::new();
        ground.write(
            "stratum.ncl",
            "{ name = \"t\", environments.staging.drift = { mode = 'correct, every = \"1s\" } }\n",
        );
        ground.write(
            "infra/staging.ncl",
            "{ local_file.a = { path = \"a\", content = \"one\" } }\n",
        );
        ground.push("one");
        let top = ground.clone_folder().parent().unwrap().to_owned();
        let remote = Self { ground, top };
        let ssh = format!(
            "#!/bin/sh\nfor last; do :; done\ncase $last in\n  *upload*) hang={0}/silent-fetch ;;\n  \
             *) hang={0}/silent-push ;;\nesac\n[ -e $hang ] && exec sleep 601.{1}\nexec sh -c \"$last\"\n",
            remote.top.display(),
            std::process::id(),
        );
        let path = remote.top.join("ssh");
        fs::write(&path, ssh).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        remote
    }

    fn silent(&self, what: &str) {
        fs::write(self.top.join(format!("silent-{what}")), "").unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        let address = format!("ssh://git@example.org{}", self.ground.bare().display());
        command
            .args(["--repo", &address, "--state"])
            .arg(self.top.join("own/state.db"))
            .args(arguments)
            .current_dir(&self.top)
            .env("HOME", self.top.join("home"))
            .env_remove("XDG_STATE_HOME")
            .env("GIT_SSH_COMMAND", self.top.join("ssh"))
            .env("GIT_SSH_VARIANT", "ssh");
        command
    }

    fn ask(&self, arguments: &[&str]) -> Answer {
        run(&self.top, &mut self.command(arguments))
    }

    fn start(&self) -> Child {
        let root = self.ground.made("");
        let mut command = self.command(&["reconcile", "--root", root.to_str().unwrap()]);
        let silent = [Stdio::null(), Stdio::null(), Stdio::null()];
        let [input, output, error] = silent;
        command.stdin(input).stdout(output).stderr(error);
        command.spawn().unwrap()
    }

    /// Tells it to end, and answers how long that took.
    fn end(&self, mut child: Child) -> Duration {
        let begun = Instant::now();
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        eventually("it ends", || child.try_wait().unwrap().is_some());
        begun.elapsed()
    }

    /// Whether an `ssh` of this test still hangs.
    fn hangs(&self) -> bool {
        let name = format!("sleep 601.{}", std::process::id());
        let top = self.top.display().to_string();
        let found = Command::new("pgrep").args(["-f", &name]).output().unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        found.lines().any(|id| {
            let folder = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&folder).contains(&top)
        })
    }

    fn made(&self) -> String {
        fs::read_to_string(self.ground.made("staging/a")).unwrap_or_default()
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < SOON, "{what} never came true");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn status_and_doctor_say_that_the_remote_does_not_answer() {
    let remote = Remote::new();
    let root = remote.ground.made("");
    let once = ["reconcile", "--once", "--root", root.to_str().unwrap()];
    remote.ask(&once).ends_with(0);
    // The mirror lies beside the state that was named.
    assert!(remote.top.join("own/state.db.mirror.git/HEAD").exists());
    assert!(!remote.top.join("home").exists());
    remote.silent("fetch");
    let begun = Instant::now();
    let status = remote.ask(&["status"]).ends_with(0);
    assert!(begun.elapsed() < SOON);
    assert!(
        status.out.contains("did not end within 2 seconds"),
        "{}",
        status.out
    );
    assert!(status.out.contains("Ready"), "{}", status.out);
    remote.ask(&["status", "--detailed-exitcode"]).ends_with(2);
    let doctor = remote.ask(&["doctor"]).ends_with(1).out;
    assert!(doctor.contains("git ls-remote"), "{doctor}");
    assert!(!remote.hangs());
}

#[test]
fn drift_is_put_right_while_the_remote_does_not_answer() {
    let remote = Remote::new();
    let child = remote.start();
    eventually("it is applied", || remote.made() == "one");
    remote.silent("fetch");
    // The next look at the refs hangs, and status waits for nobody's turn.
    eventually("a fetch hangs", || remote.hangs());
    fs::write(remote.ground.made("staging/a"), "drifted").unwrap();
    eventually("it is put right", || remote.made() == "one");
    let status = remote.ask(&["status"]).ends_with(0).out;
    assert!(status.contains("could not be reached"), "{status}");
    assert!(remote.end(child) < SOON);
    eventually("nothing hangs", || !remote.hangs());
}

#[test]
fn who_is_told_to_end_waits_for_no_push() {
    let remote = Remote::new();
    remote.silent("push");
    let child = remote.start();
    eventually("it is applied", || remote.made() == "one");
    eventually("the push hangs", || remote.hangs());
    assert!(remote.end(child) < SOON);
    assert!(!remote.hangs());
    // The record is written by the next one.
    fs::remove_file(remote.top.join("silent-push")).unwrap();
    let root = remote.ground.made("");
    let once = ["reconcile", "--once", "--root", root.to_str().unwrap()];
    remote.ask(&once).ends_with(0);
    let records = ["rev-parse", "refs/heads/stratum/records"];
    crate::ground::git(&remote.ground.bare(), &records);
}

/// What is applied is kept alive in the mirror, whatever the remote rewrites and collects.
#[test]
fn a_remote_that_collected_what_is_applied_is_followed() {
    use crate::ground::git;
    let remote = Remote::new();
    let root = remote.ground.made("");
    let once = ["reconcile", "--once", "--root", root.to_str().unwrap()];
    remote.ask(&once).ends_with(0);
    let (clone, bare) = (remote.ground.clone_folder(), remote.ground.bare());
    let applied = git(&clone, &["rev-parse", "HEAD"]);
    remote.ground.write(
        "infra/staging.ncl",
        "{ local_file.a = { path = \"a\", content = \"other\" } }\n",
    );
    git(&clone, &["add", "--all"]);
    git(&clone, &["commit", "-q", "--amend", "-m", "other"]);
    git(&clone, &["push", "-q", "-f", "origin", "HEAD:main"]);
    let mirror = remote.top.join("own/state.db.mirror.git");
    for folder in [&bare, &mirror] {
        git(folder, &["reflog", "expire", "--expire=now", "--all"]);
        git(folder, &["gc", "-q", "--prune=now"]);
    }
    remote.ask(&once).ends_with(0);
    assert_eq!(remote.made(), "other");
    git(&mirror, &["gc", "-q", "--prune=now"]);
    assert_ne!(applied, git(&mirror, &["rev-parse", "main"]));
}
