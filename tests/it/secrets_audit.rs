//! What the audit log says about secrets, and the data key of a reconciler that runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::ground::PROGRAM;
use crate::secrets::Scene;

impl Scene {
    /// The entries of the log, oldest first.
    fn log(&mut self) -> Vec<Value> {
        let out = self.bare(&["audit", "list", "--json"]).ends_with(0).out;
        let entries = out.lines().map(|line| serde_json::from_str(line).unwrap());
        let mut entries: Vec<Value> = entries.collect();
        entries.sort_by_key(|entry| {
            let place = entry["entry"].as_str().unwrap();
            let (part, index) = place.rsplit_once('/').unwrap();
            (part.to_owned(), index.parse::<u64>().unwrap())
        });
        entries
    }

    fn begin(&self, more: &[&str]) -> Reconciler {
        let root = self.ground.made("");
        let child = Command::new(PROGRAM)
            .args(["reconcile", "--root", root.to_str().unwrap()])
            .args(more)
            .current_dir(self.ground.bare())
            .env("HOME", &self.home)
            .env_remove("STRATUM_IDENTITY")
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Reconciler(child.unwrap())
    }

    fn until(&mut self, what: &str, test: &mut dyn FnMut(&mut Self) -> bool) {
        for _ in 0..600 {
            if test(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("never: {what}");
    }
}

/// A running reconciler, ended with the test.
struct Reconciler(Child);

impl Reconciler {
    fn end(mut self) {
        let pid = self.0.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(told.success());
        self.0.wait().unwrap();
    }
}

impl Drop for Reconciler {
    fn drop(&mut self) {
        let _it_may_have_ended = self.0.kill();
        let _it_may_have_ended = self.0.wait();
    }
}

fn kinds<'a>(log: &'a [Value], kind: &str) -> Vec<&'a Value> {
    log.iter().filter(|entry| entry["kind"] == kind).collect()
}

/// The recipient of an identity file.
fn recipient(file: &str) -> String {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.contains("age1pq1")).unwrap();
    line.split_whitespace().last().unwrap().to_owned()
}

#[test]
fn each_unsealing_and_each_reading_is_in_the_log() {
    let mut scene = Scene::new();
    scene.seal("password", "one-password");
    scene.seal("program", "of-the-program");
    scene.seal("password", "two-password");
    scene.ground.push("first");
    scene.once().ends_with(0);
    let identity = scene.key("staging.identity");
    let log = scene.log();
    let unsealed = kinds(&log, "unsealed");
    assert_eq!(unsealed.len(), 1);
    let what = &unsealed[0]["what"]["unsealed"];
    assert_eq!(what["how"], "file");
    assert_eq!(what["recipient"], recipient(&identity));
    assert_eq!(unsealed[0]["principal"], "reconciler");

    // Each reading has the real version and digest, and stands before the end of what it is for.
    let verified = scene.clone(&["secrets", "verify", "--json"], "").json();
    let values = verified["values"].as_array().unwrap();
    let at = |entry: &Value| log.iter().position(|one| one == entry).unwrap();
    for (key, version, purpose) in [
        ("password", 2, "staging/local_file.conf"),
        ("program", 1, "staging/local_exec.told"),
    ] {
        let value = values.iter().find(|value| value["key"] == key).unwrap();
        let reads = kinds(&log, "secret-read");
        let of_it = |entry: &&&Value| entry["what"]["secret-read"]["key"] == key;
        let read = reads.iter().find(of_it).unwrap();
        let what = &read["what"]["secret-read"];
        assert_eq!(what["version"], version);
        assert_eq!(what["sealed"], value["digest"]);
        assert_eq!(what["path"], "secrets/staging/payments/db");
        assert_eq!(what["purpose"], purpose);
        let done = kinds(&log, "apply").into_iter().find(|entry| {
            let event = &entry["what"]["apply"];
            event["event"] == "done" && event["address"] == purpose
        });
        assert!(
            at(read) < at(done.unwrap()),
            "{key} was read before it was logged"
        );
    }
    let text = serde_json::to_string(&log).unwrap();
    for secret in ["one-password", "two-password", "of-the-program"] {
        assert!(!text.contains(secret));
    }
    scene.bare(&["audit", "verify"]).ends_with(0);
}

#[test]
fn who_unsealed_it_over_the_socket_is_in_the_log() {
    let mut scene = Scene::new();
    scene.seal("password", "one-password");
    scene.seal("program", "of-the-program");
    scene.ground.push("first");
    let identity = scene.key("staging.identity");
    let prefix = scene.key("share");
    let words = ["secrets", "split", "--shares", "3", "--threshold", "2"];
    let words = [&words[..], &["--identity", &identity, "--out", &prefix]].concat();
    scene.clone(&words, "").ends_with(0);

    let reconciler = scene.begin(&[]);
    scene.until("the socket is there", &mut |scene| {
        scene
            .bare(&["secrets", "unseal", "--share", &format!("{prefix}-1.share")])
            .code
            == 0
    });
    // A share of another set is refused, and says so.
    let other = scene.key("other");
    let words = ["secrets", "keygen", "identity", "--out", &other];
    scene.clone(&words, "").ends_with(0);
    let words = [
        "secrets",
        "split",
        "--shares",
        "2",
        "--threshold",
        "2",
        "--identity",
        &other,
    ];
    scene.clone(&words, "").ends_with(0);
    let words = ["secrets", "unseal", "--share", &format!("{other}-1.share")];
    let answer = scene.bare(&words).ends_with(1);
    assert!(answer.side.contains("is of the set"), "{}", answer.side);
    assert_eq!(kinds(&scene.log(), "unsealed").len(), 0);
    let words = ["secrets", "unseal", "--share", &format!("{prefix}-3.share")];
    let answer = scene.bare(&words).ends_with(0);
    assert_eq!(answer.out, "unsealed\n");
    reconciler.end();

    let reconciler = scene.begin(&[]);
    scene.until("it is unsealed with the whole identity", &mut |scene| {
        let answer = scene.bare(&["secrets", "unseal", "--identity", &identity]);
        answer.out == "unsealed\n"
    });
    reconciler.end();
    let log = scene.log();
    let unsealed = kinds(&log, "unsealed");
    let how: Vec<_> = unsealed
        .iter()
        .map(|entry| &entry["what"]["unsealed"]["how"])
        .collect();
    assert_eq!(how, ["shares", "socket"]);
    for entry in unsealed {
        assert_eq!(entry["what"]["unsealed"]["recipient"], recipient(&identity));
        assert_eq!(entry["principal"], "operator");
        let who = entry["people"][0]["name"].as_str().unwrap();
        assert!(who.starts_with("user "), "{entry}");
    }
}

/// The ids of the data keys that what the state holds is wrapped under, and how often each stands
/// in the file at all.
fn wrapping(state: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for name in ["state.db", "state.db-wal"] {
        let bytes = fs::read(state.join(name)).unwrap_or_default();
        let mark = b"\"key\":\"";
        for at in 0..bytes.len().saturating_sub(mark.len() + 17) {
            let rest = &bytes[at..];
            if rest.starts_with(mark) && rest[mark.len() + 16] == b'"' {
                let id = &rest[mark.len()..mark.len() + 16];
                if id.iter().all(u8::is_ascii_hexdigit) {
                    found.insert(String::from_utf8_lossy(id).into_owned());
                }
            }
        }
    }
    found
}

#[test]
fn the_data_key_is_changed_under_a_running_reconciler() {
    let mut scene = Scene::new();
    scene.seal("password", "one-password");
    scene.seal("program", "of-the-program");
    scene.ground.push("first");
    let identity = scene.key("staging.identity");
    let state = scene.ground.bare().join("stratum");
    let reconciler = scene.begin(&["--identity", &identity]);
    scene.until("it applied", &mut |scene| {
        scene.ground.made("staging/conf").exists()
            && scene.bare(&["status", "--json"]).json()["environments"][0]["condition"] == "Ready"
    });
    let before = wrapping(&state);
    assert_eq!(before.len(), 1, "{before:?}");
    let pid = reconciler.0.id();

    scene.bare(&["secrets", "rotate-state-key"]).ends_with(0);
    scene.until("every row is under the new key", &mut |_| {
        let now = wrapping(&state);
        now.len() == 1 && now.is_disjoint(&before)
    });
    let after = wrapping(&state);
    // It goes on as before: the same process applies the next revision, and reads what is old.
    scene.seal("password", "two-password");
    scene.ground.push("second");
    scene.until("it applied the next one", &mut |scene| {
        scene.conf() == "pw=two-password"
    });
    fs::write(scene.ground.made("staging/conf"), "drifted").unwrap();
    scene.until("it corrected drift", &mut |scene| {
        scene.conf() == "pw=two-password"
    });
    assert_eq!(reconciler.0.id(), pid);
    assert_eq!(wrapping(&state), after);
    reconciler.end();
    assert_eq!(wrapping(&state), after, "once more, as it lies on the disk");
    scene.once().ends_with(0);
    let words = ["show", "staging/local_file.conf", "--json"];
    assert!(scene.bare(&words).ends_with(0).out.contains("conf"));
}
