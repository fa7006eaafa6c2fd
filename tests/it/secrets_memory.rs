//! What processes with secrets keep to themselves: no core dumps, keys in locked memory.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::ground::PROGRAM;
use crate::secrets::Scene;

/// A reconciler that was given its identity, and that a shell allowed core dumps of any size.
fn reconciler(scene: &Scene) -> Child {
    let root = scene.ground.made("");
    let line = format!(
        "ulimit -c unlimited; exec {PROGRAM} reconcile --root {} --identity {}",
        root.display(),
        scene.key("staging.identity")
    );
    Command::new("sh")
        .args(["-c", &line])
        .current_dir(scene.ground.bare())
        .env("HOME", &scene.home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until the reconciler has opened a secret.
fn until_applied(scene: &mut Scene) {
    for _ in 0..600 {
        if scene.ground.made("staging/conf").exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("it never opened a secret");
}

/// Sends the signal until the process ends: a program of Rust takes the first SIGSEGV that no access
/// caused for nothing, and dies of the next.
fn kill(child: &mut Child, signal: &str) -> ExitStatus {
    let pid = child.id().to_string();
    for _ in 0..100 {
        let _it_may_have_ended = Command::new("kill").args([signal, &pid]).status();
        std::thread::sleep(Duration::from_millis(100));
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
    }
    panic!("{signal} does not end it");
}

/// The value of a line of `/proc/<pid>/<file>`, its words joined by one space.
fn proc(child: &Child, file: &str, line: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap();
    let found = text.lines().find_map(|one| one.strip_prefix(line));
    let words = found.unwrap_or_else(|| panic!("no `{line}` in {text}"));
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a process that may dump core, and crashes, does so on this machine.
fn dumps_at_all(folder: &Path) -> bool {
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -c unlimited; exec sleep 60"])
        .current_dir(folder)
        .spawn()
        .unwrap();
    while proc(&child, "status", "Name:") != "sleep" {
        std::thread::sleep(Duration::from_millis(10));
    }
    kill(&mut child, "-SEGV").core_dumped()
}

#[test]
fn a_reconciler_that_crashes_leaves_no_core_and_its_keys_are_locked() {
    let mut scene = Scene::new();
    scene.seal("password", "one-password");
    scene.seal("program", "of-the-program");
    scene.ground.push("first");
    if !dumps_at_all(&scene.home) {
        eprintln!("this machine dumps no process at all: that part proves nothing here");
    }
    for signal in ["-SEGV", "-ABRT"] {
        let mut child = reconciler(&scene);
        until_applied(&mut scene);
        assert_eq!(proc(&child, "limits", "Max core file size"), "0 0 bytes");
        let locked = proc(&child, "status", "VmLck:");
        let locked: u64 = locked.trim_end_matches(" kB").parse().unwrap();
        assert!(locked >= 12, "seed, X25519 key and data key: {locked} kB");
        let ended = kill(&mut child, signal);
        assert!(ended.signal().is_some(), "{ended}");
        assert!(!ended.core_dumped(), "{signal}: a core was dumped");
        let cores = fs::read_dir(scene.ground.bare()).unwrap().flatten();
        let cores = cores.filter(|one| one.file_name().to_string_lossy().starts_with("core"));
        assert_eq!(cores.count(), 0, "{signal}");
        fs::remove_file(scene.ground.made("staging/conf")).unwrap();
        scene.seal("password", &format!("password-after{signal}"));
        scene.ground.push("again");
    }
}

#[test]
fn where_memory_cannot_be_locked_it_is_said_once() {
    let mut scene = Scene::new();
    scene.seal("password", "one-password");
    let line = format!(
        "ulimit -l 0 || exit 77; exec setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock \
         {PROGRAM} secrets open staging/payments/db password --identity {}",
        scene.key("staging.identity")
    );
    let output = Command::new("sh")
        .args(["-c", &line])
        .current_dir(scene.ground.clone_folder())
        .env("HOME", &scene.home)
        .env_remove("STRATUM_LOG")
        .output()
        .unwrap();
    let side = String::from_utf8_lossy(&output.stderr);
    if matches!(output.status.code(), Some(77 | 127)) {
        eprintln!("skipped: the limit cannot be lowered here, or there is no setpriv: {side}");
        return;
    }
    assert!(output.status.success(), "{side}");
    assert_eq!(output.stdout, b"one-password");
    let said = side.matches("RLIMIT_MEMLOCK").count();
    assert_eq!(said, 1, "{side}");
}
