//! A disk that is really full: a small file system of its own, where the tests may mount one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ground::{Answer, Ground, stratum};

/// A file system in memory, unmounted when it is dropped.
struct Disk(PathBuf);

impl Disk {
    /// `None`, and a line that says so, where mounting is not allowed.
    fn mount(folder: &Path, kilobytes: u64) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let disk = Self(folder.to_owned());
        let options = format!("size={kilobytes}k");
        let arguments = ["-t", "tmpfs", "-o", &options, "stratum-test"];
        if disk.call("mount", &arguments) {
            return Some(disk);
        }
        eprintln!("skipped: a small file system can be mounted by root only");
        std::mem::forget(disk);
        None
    }

    fn resize(&self, kilobytes: u64) {
        self.set(&format!("size={kilobytes}k"));
    }

    fn set(&self, option: &str) {
        let options = format!("remount,{option}");
        assert!(self.call("mount", &["-o", &options]));
    }

    fn call(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new(program);
        let output = command.args(arguments).arg(&self.0).output();
        output.is_ok_and(|output| output.status.success())
    }

    /// Kilobytes that are in use.
    fn used(&self) -> u64 {
        let output = Command::new("df")
            .args(["--output=used", "-k"])
            .arg(&self.0)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().last().unwrap().trim().parse().unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.call("umount", &[]);
    }
}

/// A repository whose state, or a part of it, lies on a small disk; its first push is applied.
struct Tight {
    /// First, so that it is unmounted before its folder goes.
    disk: Disk,
    ground: Ground,
    state: String,
    root: String,
}

impl Tight {
    /// With the disk at `folder` among what the reconciler makes; `None` where none can be mounted.
    fn new(folder: &str, kilobytes: u64, state: &str) -> Option<Self> {
        let ground = Ground::with_a_file();
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let tight = Self {
            disk: Disk::mount(&ground.made(folder), kilobytes)?,
            state: text(ground.made(state)),
            root: text(ground.made("")),
            ground,
        };
        tight.ground.push("one");
        tight.once().ends_with(0);
        Some(tight)
    }

    fn call(&self, arguments: &[&str]) -> Answer {
        let state = ["--state", &self.state];
        stratum(&self.ground.bare(), &[&state[..], arguments].concat())
    }

    fn once(&self) -> Answer {
        self.call(&["reconcile", "--once", "--root", &self.root])
    }

    /// What the commands of a [`chain`] left.
    fn effects(&self) -> String {
        fs::read_to_string(self.ground.made("effects")).unwrap_or_default()
    }
}

/// Whoever asks is told why nothing moves, while the rows are as old as the last room.
#[test]
fn a_full_disk_is_said_by_status() {
    let Some(tight) = Tight::new("state", 8 << 10, "state/state.db") else {
        return;
    };
    let troubles = || tight.call(&["status", "--json"]).json()["troubles"].clone();
    assert_eq!(troubles(), serde_json::json!([]));
    let fill = tight.ground.made("state/fill");
    // It ends with an error, for there is no more room.
    let _full = fs::write(&fill, vec![7; 9 << 20]);
    let said = troubles();
    assert_eq!(said[0]["about"], "disk", "{said}");
    let status = tight.call(&["status"]).ends_with(0).out;
    assert!(
        status.contains("the disk is full where the state is"),
        "{status}"
    );
    tight.call(&["status", "--detailed-exitcode"]).ends_with(2);
    fs::remove_file(&fill).unwrap();
    assert_eq!(troubles(), serde_json::json!([]));
}

/// A repository that may only be read: what is applied waits to be recorded, and that is said.
#[test]
fn where_the_repository_may_only_be_read_what_waits_is_said() {
    let ground = Ground::with_a_file();
    ground.push("one");
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let (state, root) = (text(ground.made("own/state.db")), text(ground.made("")));
    let Some(disk) = Disk::mount(&ground.made("repository"), 32 << 10) else {
        return;
    };
    let copy = ground.made("repository/bare.git");
    let mut command = Command::new("cp");
    assert!(
        command
            .arg("-a")
            .arg(ground.bare())
            .arg(&copy)
            .status()
            .unwrap()
            .success()
    );
    disk.set("ro");
    let call = |words: &[&str]| stratum(&copy, &[&["--state", &state][..], words].concat());
    let once = || call(&["reconcile", "--once", "--root", &root]);
    once();
    assert!(ground.made("staging/a").exists());
    let said = call(&["status"]).out;
    assert!(said.contains("Ready") && said.contains("wait"), "{said}");
    call(&["doctor"]).ends_with(1);
    disk.set("rw");
    once().ends_with(0);
    let status = call(&["status", "--json"]).json();
    assert_eq!(status["records"], serde_json::Value::Null, "{status}");
}

const STEPS: usize = 30;

/// Commands in a chain, each with an input of `noise` words that packing does not make smaller, and
/// each of which leaves a line when it runs, after a pause.
fn chain(ground: &Ground, noise: usize, pause: &str) -> String {
    let effects = ground.made("effects");
    let mut seed = 7_u64;
    let mut text = "{\n  local_exec = {\n".to_owned();
    for step in 0..STEPS {
        let noise: String = (0..noise)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                format!("{:016x}", seed ^ (seed >> 29))
            })
            .collect();
        let before = match step {
            0 => String::new(),
            step => format!("\"local_exec.s{}\"", step - 1),
        };
        text.push_str(&format!(
            "    s{step} = {{\n      inputs = {{ noise = \"{noise}\" }},\n      \
             create = [\"sh\", \"-c\", \"sleep {pause}; echo s{step} >> {}\"],\n      delete = [\"true\"],\n      \
             meta = {{ depends_on = [{before}] }},\n    }},\n",
            effects.display()
        ));
    }
    text + "  },\n}\n"
}

#[test]
fn a_disk_that_is_really_full_stops_the_apply_and_room_lets_it_go_on() {
    let Some(tight) = Tight::new("disk", 64 * 1024, "disk/state.db") else {
        return;
    };
    let Tight { ground, disk, .. } = &tight;
    ground.write("infra/staging.ncl", &chain(ground, 1000, "0"));
    // Evaluated by a plan that keeps nothing; what is kept by the reconciler must have room too.
    ground.push("two");
    let used = disk.used();
    let mut room = 800;
    let full = loop {
        disk.resize(used + room);
        let answer = tight.once();
        if !tight.effects().is_empty() || room > 20_000 {
            break answer;
        }
        room += 100;
    };
    let done = tight.effects().lines().count();
    assert!(
        0 < done && done < STEPS,
        "{done} steps with {room} kB\n{}",
        full.out
    );
    let said = format!("{}{}", full.out, full.side);
    assert!(
        said.contains("the disk that holds the state is full"),
        "{said}"
    );
    assert_ne!(full.code, 0);

    // Nothing is begun while there is no room.
    tight.once();
    assert!(
        tight.effects().lines().count() <= done + 1,
        "{}",
        tight.effects()
    );
    disk.resize(64 * 1024);
    tight.once().ends_with(0);
    assert_eq!(
        tight.effects(),
        whole_chain(),
        "each command ran once, in order"
    );
}

/// What the chain left, when each command ran once.
fn whole_chain() -> String {
    (0..STEPS).map(|step| format!("s{step}\n")).collect()
}

#[test]
fn an_audit_log_whose_disk_is_full_lets_nothing_more_begin() {
    let Some(tight) = Tight::new("state/audit", 4096, "state/state.db") else {
        return;
    };
    let Tight { ground, disk, .. } = &tight;
    tight.call(&["audit", "verify"]).ends_with(0);

    ground.write("infra/staging.ncl", &chain(ground, 1, "0.2"));
    ground.push("two");
    disk.resize(disk.used());
    let full = tight.once();
    assert_ne!(full.code, 0);
    let said = format!("{}{}", full.out, full.side);
    assert!(
        said.contains("No space left on device") && said.contains("audit"),
        "{said}"
    );
    // What was begun before it was noticed is in the state; nothing more was begun.
    let done = tight.effects().lines().count();
    assert!(done < STEPS, "{done} steps: {said}");
    let again = tight.once();
    assert_ne!(again.code, 0);
    assert_eq!(
        tight.effects().lines().count(),
        done,
        "{}{}",
        again.out,
        again.side
    );
    assert!(
        again.side.contains("No space left on device"),
        "{}",
        again.side
    );

    disk.resize(4096);
    tight.once().ends_with(0);
    assert_eq!(
        tight.effects(),
        whole_chain(),
        "each command ran once, in order"
    );
    tight.call(&["audit", "verify"]).ends_with(0);
    let applied = tight.call(&["audit", "list", "--json", "--kind", "apply"]);
    let done = applied.out.matches("\"event\":\"done\"").count();
    // With the file that was made first, and then taken away.
    assert_eq!(done, STEPS + 2, "every event is in the log, once");
}

#[test]
fn where_the_log_may_only_be_read_nothing_is_applied() {
    let Some(tight) = Tight::new("state/audit", 4096, "state/state.db") else {
        return;
    };
    let Tight { ground, disk, .. } = &tight;
    ground.write(
        "infra/staging.ncl",
        "{ local_file.b = { path = \"b\", content = \"b\" } }\n",
    );
    ground.push("two");
    disk.set("ro");
    let refused = tight.once();
    assert_ne!(refused.code, 0);
    assert!(
        refused.side.contains("Read-only file system"),
        "{}",
        refused.side
    );
    assert!(refused.side.contains("audit"), "{}", refused.side);
    assert!(!ground.made("staging/b").exists(), "nothing was applied");
    // Reading is not writing.
    tight.call(&["audit", "verify"]).ends_with(0);
    disk.set("rw");
    tight.once().ends_with(0);
    assert!(ground.made("staging/b").exists());
}
