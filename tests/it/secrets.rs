//! Secrets from `git push` to the file that holds one, and nowhere else.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::canaries::{CANARIES, Seen, Watch, files, leaks};
use crate::ground::{Answer, Ground, PROGRAM};

/// A repository with keys, a service's file and a command that is given a secret.
pub(crate) struct Scene {
    pub(crate) ground: Ground,
    pub(crate) home: PathBuf,
    /// Everything that any command said.
    pub(crate) said: String,
    /// Whether the reconciler logs in JSON, everything that it has to say.
    logged: bool,
    /// What was seen of processes meanwhile.
    processes: Seen,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let ground = Ground::new();
        let home = ground.clone_folder().parent().unwrap().join("home");
        fs::create_dir(&home).unwrap();
        ground.write(
            "stratum.ncl",
            "{ name = \"t\", environments = { staging = { drift = { mode = 'correct, every = \"1s\" } } } }\n",
        );
        ground.write(
            "infra/staging.ncl",
            "let stratum = import \"stratum.ncl\" in\n{\n  local_file.conf = { path = \"conf\", \
             content = stratum.fmt [\"pw=\", stratum.secret \"payments/db\" \"password\"] },\n  \
             local_exec.told = { create = [\"sh\", \"-c\", \"echo told $PW; sleep 0.3; true\"], \
             delete = [\"true\"], env = { PW = stratum.secret \"payments/db\" \"program\" } },\n}\n",
        );
        let mut scene = Self {
            ground,
            home,
            said: String::new(),
            logged: false,
            processes: Seen::default(),
        };
        let identity = scene.key("staging.identity");
        let sealer = scene.key("ada.sealer");
        let words = [
            "secrets", "keygen", "identity", "--out", &identity, "--trust", "--name", "staging",
        ];
        scene
            .clone(&[&words[..], &["--environment", "staging"]].concat(), "")
            .ends_with(0);
        scene
            .clone(
                &[
                    "secrets", "keygen", "sealer", "--name", "ada", "--out", &sealer, "--trust",
                ],
                "",
            )
            .ends_with(0);
        scene
    }

    pub(crate) fn key(&self, name: &str) -> String {
        self.home.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn run(&mut self, folder: &Path, arguments: &[&str], input: &str) -> Answer {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(folder)
            .env("HOME", &self.home)
            .env_remove("XDG_CONFIG_HOME")
            .env("STRATUM_SEALER", self.home.join("ada.sealer"))
            .env("STRATUM_LOG", "trace")
            .env("RUST_LOG", "trace")
            .env(
                "STRATUM_LOG_FORM",
                if self.logged { "json" } else { "text" },
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "STRATUM_REPO",
            "STRATUM_STATE",
        ] {
            command.env_remove(name);
        }
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let watch = Watch::start();
        let output = child.wait_with_output().unwrap();
        self.processes.merge(watch.end());
        let answer = Answer {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            side: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        self.said.push_str(&answer.out);
        self.said.push_str(&answer.side);
        answer
    }

    pub(crate) fn clone(&mut self, arguments: &[&str], input: &str) -> Answer {
        let folder = self.ground.clone_folder();
        self.run(&folder, arguments, input)
    }

    pub(crate) fn seal(&mut self, key: &str, value: &str) {
        self.clone(&["secrets", "seal", "staging/payments/db", key], value)
            .ends_with(0);
    }

    pub(crate) fn once(&mut self) -> Answer {
        let (root, identity) = (self.ground.made(""), self.key("staging.identity"));
        let root = root.to_str().unwrap().to_owned();
        let words = [
            "-vv",
            "reconcile",
            "--once",
            "--root",
            &root,
            "--identity",
            &identity,
        ];
        let bare = self.ground.bare();
        self.run(&bare, &words, "")
    }

    pub(crate) fn bare(&mut self, arguments: &[&str]) -> Answer {
        let bare = self.ground.bare();
        self.run(&bare, arguments, "")
    }

    pub(crate) fn conf(&self) -> String {
        fs::read_to_string(self.ground.made("staging/conf")).unwrap()
    }
}

#[test]
fn secrets_are_where_they_belong_and_nowhere_else() {
    let mut scene = Scene::new();
    scene.seal("password", CANARIES[0]);
    scene.seal("program", CANARIES[2]);
    scene.clone(&["check"], "").ends_with(0);
    scene.ground.push("first");
    scene.once().ends_with(0);
    assert_eq!(scene.conf(), format!("pw={}", CANARIES[0]));
    scene.logged = true;

    scene.seal("password", CANARIES[1]);
    scene.ground.push("changed");
    // Who has no identity is told so, and sees no plan that would not be.
    for words in [&["plan", "--detailed-exitcode"][..], &["diff"]] {
        let answer = scene.bare(words).ends_with(1);
        let side = &answer.side;
        assert!(side.contains("no identity that opens it"), "{side}");
        assert!(side.contains("`--identity FILE`"), "{side}");
    }
    let identity = scene.key("staging.identity");
    let plan = scene
        .bare(&["plan", "--json", "--identity", &identity])
        .ends_with(0);
    assert!(plan.out.contains("sealed"), "{}", plan.out);
    assert!(plan.out.contains("\"blocked\":[]"), "{}", plan.out);
    let diff = scene.bare(&["diff", "--identity", &identity]).ends_with(0);
    assert!(diff.out.contains("local_file.conf"), "{}", diff.out);
    scene.once().ends_with(0);
    assert_eq!(scene.conf(), format!("pw={}", CANARIES[1]));

    // Drift of the file that holds it is corrected, and shown as a digest.
    fs::write(
        scene.ground.made("staging/conf"),
        format!("pw={}-drifted", CANARIES[1]),
    )
    .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    scene.once().ends_with(0);
    assert_eq!(scene.conf(), format!("pw={}", CANARIES[1]));

    // A later step fails: the old secret comes back.
    let broken = fs::read_to_string(scene.ground.clone_folder().join("infra/staging.ncl")).unwrap();
    let broken = broken.replace(
        "\n}\n",
        "\n  local_exec.broken = { create = [\"sh\", \"-c\", \"echo $PW >&2; exit 1\"], \
         delete = [\"true\"], \
         env = { PW = stratum.secret \"payments/db\" \"program\" }, \
         meta = { depends_on = [\"local_file.conf\"] } },\n}\n",
    );
    scene.ground.write("infra/staging.ncl", &broken);
    scene.seal("password", CANARIES[0]);
    scene.ground.push("broken");
    scene.once().ends_with(1);
    assert_eq!(
        scene.conf(),
        format!("pw={}", CANARIES[1]),
        "the rollback put it back"
    );

    for words in [
        &["status", "--json"][..],
        &["get", "--json"],
        &["history", "--json"],
        &["show", "staging/local_file.conf"],
        &["show", "staging/local_exec.told", "--json"],
        &["drift"],
        &["plan", "--json"],
        &["plan", "--json", "--identity", &identity],
        &["diff", "--identity", &identity],
        &["secrets", "status", "--json"],
        &["secrets", "verify", "--json"],
        &["audit", "list", "--json"],
        &["events", "--json"],
        &["why", "staging/local_file.conf"],
        &["diff"],
    ] {
        scene.bare(words);
        scene.clone(words, "");
    }
    let mut places = Vec::new();
    files(&scene.ground.bare(), &mut places);
    files(&scene.ground.clone_folder(), &mut places);
    files(&scene.ground.made(""), &mut places);
    let mut found = leaks("what was said", scene.said.as_bytes());
    let logged = scene.said.matches("\"level\":\"").count();
    assert!(logged > 10, "little was logged: {logged} lines");
    found.extend(scene.processes.leaks.clone());
    assert!(
        scene.processes.needed > 0,
        "no process was seen that had one"
    );
    let looked = |part: &str| {
        places
            .iter()
            .any(|(path, _)| path.to_string_lossy().contains(part))
    };
    for part in ["stratum/state.db", "stratum/audit/"] {
        assert!(looked(part), "nothing was found under {part}");
    }
    for (path, bytes) in places {
        if path != scene.ground.made("staging/conf") {
            found.extend(leaks(&path.display().to_string(), &bytes));
        }
    }
    // What git packs is compressed: every object, those that nothing refers to as well.
    for folder in [scene.ground.bare(), scene.ground.clone_folder()] {
        let objects = Command::new("git")
            .args(["cat-file", "--batch-all-objects", "--batch"])
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(objects.status.success() && objects.stdout.len() > 10_000);
        found.extend(leaks(
            &format!("an object of {}", folder.display()),
            &objects.stdout,
        ));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn what_is_wrong_with_a_sealed_value_is_said_and_the_last_good_one_stays() {
    let mut scene = Scene::new();
    scene.seal("password", "one-password");
    scene.seal("program", "of-the-program");
    scene.ground.push("first");
    scene.once().ends_with(0);
    let file = scene
        .ground
        .clone_folder()
        .join("secrets/staging/payments/db.sealed.yaml");
    let good = fs::read_to_string(&file).unwrap();
    scene.seal("password", "two-password");
    let newer = fs::read_to_string(&file).unwrap();
    scene.ground.push("second");
    scene.once().ends_with(0);

    let flipped = newer.replacen("sig: A", "sig: B", 1);
    let age = newer.lines().find(|line| line.contains("age: ")).unwrap();
    let cut = newer.replacen(age, &age[..age.len() - 200], 1);
    let twice = format!("{newer}  password:\n    v: 3\n    age: YQ==\n    sig: YQ==\n");
    let swapped = newer
        .replace("  password:", "  x:")
        .replace("  program:", "  password:")
        .replace("  x:", "  program:");
    for (what, text, code) in [
        ("an older version", good.as_str(), "STR0706"),
        ("a flipped bit", flipped.as_str(), "STR070"),
        ("a cut value", cut.as_str(), "STR070"),
        ("two keys of one name", twice.as_str(), "STR0702"),
        ("values under each other's key", swapped.as_str(), "STR0703"),
        ("a plaintext", "password: hunter2\n", "STR0701"),
    ] {
        fs::write(&file, text).unwrap();
        scene.ground.push(what);
        let answer = scene.once();
        assert_ne!(answer.code, 0, "{what}: {}", answer.out);
        let said = format!("{}{}", answer.out, answer.side);
        assert!(said.contains(code), "{what}: {said}");
        assert!(
            said.contains("secrets/staging/payments/db.sealed.yaml"),
            "{what}: {said}"
        );
        assert_eq!(scene.conf(), "pw=two-password", "{what}");
    }
    fs::write(&file, newer).unwrap();
    scene.ground.push("good again");
    scene.once().ends_with(0);
}

#[test]
fn a_sealed_reconciler_does_what_needs_no_secret_and_shares_bring_it_to_life() {
    let mut scene = Scene::new();
    scene.seal("password", "one-password");
    scene.seal("program", "of-the-program");
    scene.ground.write("infra/more.ncl", "{}\n");
    scene.ground.push("first");
    let identity = scene.key("staging.identity");
    let shares = scene.key("share");
    let words = [
        "secrets",
        "split",
        "--shares",
        "3",
        "--threshold",
        "2",
        "--identity",
        &identity,
    ];
    scene
        .clone(&[&words[..], &["--out", &shares]].concat(), "")
        .ends_with(0);

    let root = scene.ground.made("");
    let mut child = Command::new(PROGRAM)
        .args(["reconcile", "--root", root.to_str().unwrap()])
        .current_dir(scene.ground.bare())
        .env("HOME", &scene.home)
        .env_remove("STRATUM_IDENTITY")
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut until = |what: &str, test: &mut dyn FnMut(&mut Scene) -> bool| {
        for _ in 0..300 {
            if test(&mut scene) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("never: {what}");
    };
    until("it says that it is sealed", &mut |scene| {
        let status = scene.bare(&["status", "--json"]);
        status.code == 0 && status.json()["environments"][0]["sealed"].is_string()
    });
    let share = |number: u32| format!("{shares}-{number}.share");
    until("the first share is heard", &mut |scene| {
        scene
            .bare(&["secrets", "unseal", "--share", &share(3)])
            .code
            == 0
    });
    until("the second opens it", &mut |scene| {
        let answer = scene.bare(&["secrets", "unseal", "--share", &share(1)]);
        answer.out.contains("unsealed") || answer.side.contains("unsealed")
    });
    until("it applies what needs a secret", &mut |scene| {
        scene.ground.made("staging/conf").exists()
            && scene.bare(&["status", "--json"]).json()["environments"][0]["condition"] == "Ready"
    });
    until("its key is rotated while it runs", &mut |scene| {
        scene.bare(&["secrets", "rotate-state-key"]).code == 0
    });
    assert!(told_to_stop(&child), "the reconciler was told to stop");
    child.wait().unwrap();
    scene.once().ends_with(0);
}

/// Tells a child to stop, as a person would.
fn told_to_stop(child: &std::process::Child) -> bool {
    Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .is_ok_and(|status| status.success())
}
