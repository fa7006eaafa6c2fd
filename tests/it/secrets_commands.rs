//! The commands of secrets as a person uses them: editor, terminal, drivers of git, import, rewrap.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::ground::{Answer, PROGRAM, git, run};
use crate::secrets::Scene;

const FILE: &str = "secrets/staging/payments/db.sealed.yaml";

impl Scene {
    fn sealed(&self) -> String {
        fs::read_to_string(self.ground.clone_folder().join(FILE)).unwrap()
    }

    pub(crate) fn open(&mut self, place: &str, key: &str) -> Answer {
        let identity = self.key("staging.identity");
        let words = ["secrets", "open", place, key, "--identity", &identity];
        self.clone(&words, "")
    }

    fn value(&mut self, key: &str) -> String {
        self.open("staging/payments/db", key).ends_with(0).out
    }

    /// A call of the program in the clone, ready to run.
    fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .current_dir(self.ground.clone_folder())
            .env("HOME", &self.home)
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("VISUAL")
            .env("STRATUM_SEALER", self.home.join("ada.sealer"))
            .env("STRATUM_IDENTITY", self.home.join("staging.identity"));
        command
    }

    /// `secrets edit` with a script as the editor; `$1` is the file, `$SEEN` a file for notes.
    fn edit(&self, script: &str) -> Command {
        let editor = self.home.join("editor");
        fs::write(&editor, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&editor, fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = self.command();
        command
            .args(["secrets", "edit", "staging/payments/db"])
            .env("EDITOR", &editor)
            .env("SEEN", self.home.join("seen"));
        command
    }

    /// The folder that the editor saw.
    fn seen(&self) -> String {
        let seen = fs::read_to_string(self.home.join("seen")).unwrap();
        fs::remove_file(self.home.join("seen")).unwrap();
        seen.trim().to_owned()
    }
}

/// What an editor notes: its folder with its mode.
const NOTE: &str = "stat -c '%a %n' \"$(dirname \"$1\")\" > $SEEN";

fn said(mut command: Command) -> Answer {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        side: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Fails unless the folder was private, and is gone.
fn private_and_gone(seen: &str) {
    let (mode, folder) = seen.split_once(' ').unwrap();
    assert_eq!(mode, "700", "{folder}");
    assert!(!Path::new(folder).exists(), "{folder} is left");
}

#[test]
fn editing_seals_what_changed_and_leaves_nothing_behind() {
    let mut scene = Scene::new();
    scene.seal("password", "one-password");
    scene.seal("program", "of-the-program");
    let before = scene.sealed();
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };

    let change = format!("{NOTE}\nsed -i 's/one-password/two-password/' \"$1\"; cp \"$1\" \"$1~\"");
    let answer = said(scene.edit(&change)).ends_with(0);
    assert_eq!(answer.out, "sealed staging/payments/db#password v2\n");
    private_and_gone(&scene.seen());
    let after = scene.sealed();
    let changed = lines(&before)
        .iter()
        .zip(lines(&after))
        .filter(|(a, b)| **a != *b)
        .count();
    assert_eq!(changed, 3, "version, age and signature of one value");
    assert_eq!(scene.value("password"), "two-password");

    // A new value, one taken out, and nothing.
    let more = "sed -i '/program/d' \"$1\"; echo 'extra: \"with: colon\"' >> \"$1\"";
    let answer = said(scene.edit(more)).ends_with(0);
    assert!(
        answer.out.contains("took out staging/payments/db#program"),
        "{}",
        answer.out
    );
    assert_eq!(scene.value("extra"), "with: colon");
    let before = scene.sealed();
    let answer = said(scene.edit("true")).ends_with(0);
    assert!(answer.side.contains("nothing changed"), "{}", answer.side);

    // The editor fails, is killed, or leaves what is not `key: value`.
    for script in [
        "sed -i s/two/three/ \"$1\"; exit 1",
        "kill -9 $$",
        "echo '- [' > \"$1\"",
    ] {
        let answer = said(scene.edit(&format!("{NOTE}\n{script}"))).ends_with(1);
        assert!(
            answer.side.contains("nothing changed"),
            "{script}: {}",
            answer.side
        );
        assert!(
            !answer.side.contains("-password"),
            "{script}: {}",
            answer.side
        );
        private_and_gone(&scene.seen());
        assert_eq!(scene.sealed(), before, "{script}");
    }

    // The command itself is told to end while the editor is open.
    for signal in ["-TERM", "-HUP"] {
        let mut child = scene
            .edit(&format!("{NOTE}\nexec sleep 60"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !fs::read_to_string(scene.home.join("seen")).is_ok_and(|seen| seen.ends_with('\n')) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(child.wait().unwrap().code(), Some(1), "{signal}");
        private_and_gone(&scene.seen());
        assert_eq!(scene.sealed(), before, "{signal}");
    }
}

/// Runs a command on a terminal, and types each answer when its question stands there.
/// What an editor does to the file is nothing that was done to the values.
#[test]
fn what_editors_do_to_a_file_changes_no_value() {
    let mut scene = Scene::new();
    let file = scene.home.join("pem");
    let pem = "-----BEGIN X-----\nabc=\n-----END X-----\n";
    fs::write(&file, pem).unwrap();
    let from = ["secrets", "seal", "staging/payments/db", "zz", "--file"];
    let words = [&from[..], &[file.to_str().unwrap()]].concat();
    scene.clone(&words, "").ends_with(0);
    let before = scene.sealed();
    for (script, what) in [
        ("sed -i 's/$/\\r/' \"$1\"", "lines of DOS"),
        (
            "printf '\\357\\273\\277' > \"$1.x\"; cat \"$1\" >> \"$1.x\"; cp \"$1.x\" \"$1\"; rm \"$1.x\"",
            "a mark",
        ),
        (
            "printf %s \"$(cat \"$1\")\" > \"$1.x\"; cp \"$1.x\" \"$1\"; rm \"$1.x\"",
            "no last line end",
        ),
        ("printf '\\n\\n' >> \"$1\"", "empty lines"),
        ("sed -i 's/^# .*//' \"$1\"", "no comments"),
    ] {
        said(scene.edit(script)).ends_with(0);
        assert_eq!(scene.sealed(), before, "{what}");
    }
    assert_eq!(scene.value("zz"), pem);
    for (script, what) in [
        ("printf 'zz: again\\n' >> \"$1\"", "a key twice"),
        ("printf 'new:\\n\\ttab: x\\n' >> \"$1\"", "a tab"),
    ] {
        let refused = said(scene.edit(script));
        assert_ne!(refused.code, 0, "{what}: {}", refused.out);
        assert_eq!(scene.sealed(), before, "{what}");
    }
}

fn typed(scene: &Scene, line: &str, answers: &[(&str, &str)]) -> (i32, String) {
    let mut child = Command::new("script")
        .args(["-qec", line, "/dev/null"])
        .current_dir(scene.ground.clone_folder())
        .env("HOME", &scene.home)
        .env("STRATUM_SEALER", scene.home.join("ada.sealer"))
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut typing, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut seen = Vec::new();
    let mut byte = [0];
    for (question, answer) in answers {
        let from = seen.len();
        while !String::from_utf8_lossy(&seen[from..]).contains(question) {
            assert_eq!(
                screen.read(&mut byte).unwrap(),
                1,
                "{}",
                String::from_utf8_lossy(&seen)
            );
            seen.push(byte[0]);
        }
        // The question is asked before the echo is switched off.
        std::thread::sleep(Duration::from_millis(500));
        typing.write_all(answer.as_bytes()).unwrap();
    }
    screen.read_to_end(&mut seen).unwrap();
    let code = child.wait().unwrap().code().unwrap();
    (code, String::from_utf8_lossy(&seen).into_owned())
}

#[test]
fn on_a_terminal_a_value_is_asked_for_twice_without_echo() {
    let mut scene = Scene::new();
    let line = format!("{PROGRAM} secrets seal staging/payments/db password");
    let first = "value of staging/payments/db#password:";
    let answers = [
        (first, "typed-password\n"),
        ("once more:", "typed-password\n"),
    ];
    let (code, seen) = typed(&scene, &line, &answers);
    assert_eq!(code, 0, "{seen}");
    assert!(!seen.contains("typed-password"), "it was shown: {seen}");
    assert_eq!(scene.value("password"), "typed-password");
    let answers = [(first, "another-password\n"), ("once more:", "mistyped\n")];
    let (code, seen) = typed(&scene, &line, &answers);
    assert_eq!(code, 1, "{seen}");
    assert!(seen.contains("the two were not the same"), "{seen}");
    assert_eq!(scene.value("password"), "typed-password");
}

#[test]
fn values_come_from_a_file_or_are_made() {
    let mut scene = Scene::new();
    let file = scene.home.join("key.pem");
    fs::write(&file, "-----BEGIN X-----\nabc\n-----END X-----\n").unwrap();
    let place = "staging/payments/db";
    let words = [
        "secrets",
        "seal",
        place,
        "pem",
        "--file",
        file.to_str().unwrap(),
    ];
    scene.clone(&words, "").ends_with(0);
    assert_eq!(scene.value("pem"), fs::read_to_string(&file).unwrap());
    for (recipe, length) in [("--generate", 32), ("--generate=40/hex", 40)] {
        let answer = scene
            .clone(&["secrets", "seal", place, "made", recipe], "")
            .ends_with(0);
        let made = scene.value("made");
        assert_eq!(made.len(), length);
        assert!(!answer.out.contains(&made) && !answer.side.contains(&made));
    }
    let huge = "x".repeat(200 << 10);
    for (input, why) in [
        ("", "the value is empty"),
        (huge.as_str(), "more than 196608 bytes"),
    ] {
        let answer = scene
            .clone(&["secrets", "seal", place, "bad"], input)
            .ends_with(1);
        assert!(answer.side.contains(why), "{}", answer.side);
    }
    let answer = scene
        .clone(&["secrets", "seal", place, "a key"], "x")
        .ends_with(1);
    assert!(
        answer.side.contains("`a key` cannot be the key"),
        "{}",
        answer.side
    );
}

/// Runs git in the clone, with the program on the PATH as its drivers want it.
fn with_drivers(scene: &Scene, arguments: &[&str]) -> Answer {
    let bin = scene.home.join("bin");
    if !bin.exists() {
        fs::create_dir(&bin).unwrap();
        symlink(PROGRAM, bin.join("stratum")).unwrap();
    }
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new("git");
    command
        .args(arguments)
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("HOME", &scene.home);
    run(&scene.ground.clone_folder(), &mut command)
}

#[test]
fn git_shows_versions_and_merges_value_by_value() {
    let mut scene = Scene::new();
    scene.clone(&["init", "--env", "staging"], "").ends_with(0);
    scene.seal("m", "base-m");
    scene.seal("password", "base-password");
    scene.ground.push("base");

    scene.seal("password", "changed-password");
    let shown = with_drivers(&scene, &["diff", "--", FILE]).ends_with(0).out;
    for (mark, version) in [("-password v1", "1"), ("+password v2", "2")] {
        assert!(shown.contains(mark), "{version}: {shown}");
    }
    assert!(
        shown.contains("sealed by ada") && shown.contains("for staging"),
        "{shown}"
    );
    let unfit = ["changed-password", "base-password", "age:", "sig:"];
    assert!(unfit.iter().all(|word| !shown.contains(word)), "{shown}");

    // Two branches: each adds a value at the same place, and changes one.
    let clone = scene.ground.clone_folder();
    git(&clone, &["checkout", "-q", "-b", "one"]);
    scene.seal("n1", "of-one");
    git(&clone, &["commit", "-q", "-am", "one"]);
    git(&clone, &["checkout", "-q", "-b", "two", "main"]);
    scene.seal("m", "m-of-two");
    scene.seal("n2", "of-two");
    git(&clone, &["commit", "-q", "-am", "two"]);
    let plain = [
        "-c",
        "merge.stratum.driver=false",
        "merge",
        "-q",
        "--no-edit",
        "one",
    ];
    assert_ne!(
        with_drivers(&scene, &plain).code,
        0,
        "without the driver it is a conflict"
    );
    git(&clone, &["merge", "--abort"]);
    with_drivers(&scene, &["merge", "-q", "--no-edit", "one"]).ends_with(0);
    let values = ["m", "n1", "n2", "password"].map(|key| scene.value(key));
    assert_eq!(values, ["m-of-two", "of-one", "of-two", "changed-password"]);
    scene.clone(&["secrets", "verify"], "").ends_with(0);

    // Both change one value: a conflict, which names it.
    git(&clone, &["checkout", "-q", "-b", "three", "one"]);
    scene.seal("m", "m-of-three");
    git(&clone, &["commit", "-q", "-am", "three"]);
    let answer = with_drivers(&scene, &["merge", "--no-edit", "two"]);
    assert_eq!(answer.code, 1, "{}{}", answer.out, answer.side);
    let said = format!("{}{}", answer.out, answer.side);
    assert!(said.contains("`m`") && said.contains(FILE), "{said}");
    let status = git(&clone, &["status", "--short"]);
    assert!(status.contains(&format!("UU {FILE}")), "{status}");
    assert_eq!(scene.value("m"), "m-of-three");
}

#[test]
fn recipients_change_and_what_they_could_read_is_named() {
    let mut scene = Scene::new();
    let bob = scene.key("bob.identity");
    let words = [
        "secrets",
        "keygen",
        "identity",
        "--out",
        &bob,
        "--trust",
        "--name",
        "bob",
        "--environment",
        "staging",
    ];
    scene.clone(&words, "").ends_with(0);
    scene.seal("password", "one-password");
    scene.seal("program", "of-the-program");
    scene.ground.push("bob reads");
    // He leaves: his key is not retired but taken out, and the values are rewrapped.
    let clone = scene.ground.clone_folder();
    fs::remove_file(clone.join("trust/recipients/bob.toml")).unwrap();
    let status = scene.clone(&["secrets", "status"], "").ends_with(0).out;
    assert_eq!(status.matches("[rewrap]").count(), 2, "{status}");
    let identity = scene.key("staging.identity");
    let words = ["secrets", "rewrap", "--identity", &identity];
    let answer = scene.clone(&words, "").ends_with(0);
    assert!(answer.out.contains("2 rewrapped"), "{}", answer.out);
    let answer = scene.clone(&words, "").ends_with(0);
    assert!(answer.out.contains("0 rewrapped"), "{}", answer.out);
    scene.ground.push("bob is gone");
    let words = [
        "secrets",
        "open",
        "staging/payments/db",
        "password",
        "--identity",
        &bob,
    ];
    let answer = scene.clone(&words, "").ends_with(1);
    assert!(
        answer.side.contains("no identity opens it"),
        "{}",
        answer.side
    );
    let change = "change this secret: bob could read it";
    let status = scene.clone(&["secrets", "status"], "").ends_with(0).out;
    assert_eq!(status.matches(change).count(), 2, "{status}");
    assert!(!status.contains("[rewrap]"), "{status}");
    // A new value is none that he could read.
    scene.seal("password", "two-password");
    let status = scene.clone(&["secrets", "status"], "").ends_with(0).out;
    assert_eq!(status.matches(change).count(), 1, "{status}");
    assert_eq!(scene.value("program"), "of-the-program");
    // A signature that cannot be read is listed too.
    let text = scene
        .sealed()
        .replacen("sig: A", "sig: *A", 1)
        .replacen("sig: *A", "sig: B", 1);
    fs::write(clone.join(FILE), text).unwrap();
    let status = scene
        .clone(&["secrets", "status", "--migration"], "")
        .ends_with(0)
        .out;
    assert!(status.contains("its signature cannot be read"), "{status}");
    assert!(!status.contains("nothing is left"), "{status}");
}

#[test]
fn sealing_after_a_revert_is_newer_than_what_was_reverted() {
    let mut scene = Scene::new();
    for value in ["one", "two", "three"] {
        scene.seal("password", value);
        scene.ground.push(value);
    }
    let clone = scene.ground.clone_folder();
    git(&clone, &["revert", "--no-edit", "HEAD", "HEAD~1"]);
    assert_eq!(scene.value("password"), "one");
    let words = ["secrets", "seal", "staging/payments/db", "password"];
    let answer = scene.clone(&words, "one").ends_with(0);
    assert!(answer.out.contains("#password v4"), "{}", answer.out);
}
