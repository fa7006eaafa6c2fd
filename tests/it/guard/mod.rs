//! Policies, signatures and signed tags, with stock git, ssh-keygen and gpg.

mod approvals;
mod commits;
mod limits;
mod memory;
mod obey;
mod offers;
mod openpgp;
mod policies;
mod reviewed;
mod words;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::ground::{Answer, Ground, git};

/// A ground with people who have keys.
struct Guarded {
    ground: Ground,
    keys: tempfile::TempDir,
}

/// What signs.
#[derive(Clone, Copy)]
enum By<'a> {
    /// Nobody.
    Nobody,
    /// The SSH key of this person.
    Ssh(&'a str),
    /// The OpenPGP key of this person.
    Gpg(&'a str),
}

impl Guarded {
    /// A repository with `trust/` for the people, one protected environment and one that is not.
    fn new(people: &[&str]) -> Self {
        let guarded = Self {
            ground: Ground::new(),
            keys: tempfile::tempdir().unwrap(),
        };
        guarded.ground.write(
            "stratum.ncl",
            "{ name = \"t\", environments = { production = { labels = { protected = \"true\" } }, \
             staging = {} } }\n",
        );
        guarded.ground.write("infra/production.ncl", "{}\n");
        guarded.file("staging", "a", "one");
        for name in people {
            guarded.person(name, "");
        }
        guarded
    }

    /// Makes an SSH key for the person, and names it in trust.
    fn person(&self, name: &str, more: &str) {
        let public = self.ssh_key(name);
        let text = format!(
            "email = [\"{name}@example.org\"]\nssh = [\"{}\"]\n{more}",
            public.trim()
        );
        self.ground
            .write(&format!("trust/people/{name}.toml"), &text);
    }

    fn ssh_key(&self, name: &str) -> String {
        let path = self.key(name);
        if !path.exists() {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]);
            let output = command.arg(&path).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        fs::read_to_string(path.with_extension("pub")).unwrap()
    }

    fn key(&self, name: &str) -> PathBuf {
        self.keys.path().join(name)
    }

    /// One file of an environment.
    fn file(&self, environment: &str, name: &str, content: &str) {
        self.ground.write(
            &format!("infra/{environment}.ncl"),
            &format!(
                "{{ local_file.{name} = {{ path = \"{name}\", content = \"{content}\\n\" }} }}\n"
            ),
        );
    }

    fn world(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.ground.made(path)).ok()
    }

    /// Runs git as somebody, with their key.
    fn git(&self, who: &str, by: By<'_>, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command
            .current_dir(self.ground.clone_folder())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GNUPGHOME", self.keys.path().join("gnupg"));
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), who);
            command.env(format!("GIT_{role}_EMAIL"), format!("{who}@example.org"));
        }
        match by {
            By::Nobody => {}
            By::Ssh(name) => {
                let key = self.key(name);
                command.args(["-c", "gpg.format=ssh", "-c"]);
                command.arg(format!("user.signingkey={}", key.display()));
            }
            By::Gpg(name) => {
                command.args(["-c", &format!("user.signingkey={name}@example.org")]);
            }
        }
        let output = command.args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Commits everything and pushes it.
    fn push(&self, who: &str, by: By<'_>, message: &str) -> String {
        self.git(who, By::Nobody, &["add", "--all"]);
        let mut arguments = vec!["commit", "-q", "--allow-empty", "-m", message];
        if !matches!(by, By::Nobody) {
            arguments.push("-S");
        }
        self.git(who, by, &arguments);
        self.git(who, By::Nobody, &["push", "-q", "origin", "HEAD:main"]);
        self.git(who, By::Nobody, &["rev-parse", "HEAD"])
    }

    /// Says a word: a tag that is signed, and pushed.
    fn say(&self, who: &str, by: By<'_>, tag: &str, message: &str) {
        let sign = if matches!(by, By::Nobody) { "-a" } else { "-s" };
        self.git(who, by, &["tag", "-f", sign, tag, "-m", message]);
        self.git(who, By::Nobody, &["push", "-q", "-f", "origin", tag]);
    }

    fn once(&self) -> Answer {
        self.ground.once()
    }

    /// Denied, with the reason in the status, in the answer of `explain`, in the record, and in the
    /// audit log; nothing else changed.
    fn denied(&self, environment: &str, why: &str) -> Answer {
        let answer = self.once().ends_with(4);
        let reason = self.reason(environment);
        assert!(reason.contains(why), "status: {why}: {reason}");
        let explained = self.ground.stratum(&["explain", environment]);
        assert!(
            explained.out.contains(why),
            "explain: {why}: {}",
            explained.out
        );
        let record = self.record(environment);
        assert!(record.contains("outcome: denied"), "{record}");
        let plain = record.replace("&lt;", "<").replace("\\|", "|");
        assert!(plain.contains(why), "record: {why}: {record}");
        let refused = self.logged("refused");
        let said = |entry: &Value| {
            entry["what"]["refused"]["reason"]
                .as_str()
                .map(str::to_owned)
        };
        let reasons: Vec<String> = refused.iter().filter_map(said).collect();
        assert!(
            reasons.iter().any(|reason| reason.contains(why)),
            "audit log: {why}: {reasons:?}"
        );
        answer
    }

    /// The entries of one kind in the audit log, which holds.
    fn logged(&self, kind: &str) -> Vec<Value> {
        self.ground.stratum(&["audit", "verify"]).ends_with(0);
        let listed = self
            .ground
            .stratum(&["audit", "list", "--json", "--kind", kind]);
        let lines = listed.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Takes the clone back to a commit, for another try on top of it.
    fn back_to(&self, commit: &str) {
        self.git("ada", By::Nobody, &["reset", "-q", "--hard", commit]);
        self.git(
            "ada",
            By::Nobody,
            &["push", "-q", "-f", "origin", "HEAD:main"],
        );
    }

    /// Why an environment is not Ready.
    fn reason(&self, environment: &str) -> String {
        self.status(environment, "reason")
    }

    /// How an environment is.
    fn condition(&self, environment: &str) -> String {
        self.status(environment, "condition").to_lowercase()
    }

    fn status(&self, environment: &str, what: &str) -> String {
        let status = self.ground.stratum(&["status", "--json"]).json();
        let all = status["environments"].as_array().unwrap().clone();
        let one = all.iter().find(|one| one["name"] == environment).unwrap();
        one[what].as_str().unwrap().to_owned()
    }

    /// What an approval of the waiting plan must name: everything that names one says the same.
    fn ballot(&self, environment: &str) -> String {
        let ballot = asked_for(&self.reason(environment)).remove(0);
        let explained = self.ground.stratum(&["explain", environment]);
        let planned = self
            .ground
            .stratum(&["plan", "--env", environment, "--json"]);
        let asked = asked_for(&explained.out);
        let same = asked.iter().all(|one| *one == ballot);
        assert!(same && !asked.is_empty(), "{ballot}: {}", explained.out);
        let named = format!("\"ballot\":\"{ballot}\"");
        assert!(planned.out.contains(&named), "{ballot}: {}", planned.out);
        ballot
    }

    /// Approves what waits in an environment, with the person's key.
    fn approve(&self, who: &str, environment: &str) {
        let tag = format!("stratum/approve/{}", self.ballot(environment));
        self.say(who, By::Ssh(who), &tag, "yes");
    }

    /// The record of the last run of an environment.
    fn record(&self, environment: &str) -> String {
        let history = self.ground.stratum(&["history", "--json"]).json();
        let runs = history["runs"].as_array().unwrap().clone();
        let run = runs
            .iter()
            .find(|run| run["environment"] == environment)
            .unwrap();
        let commit = run["record"].as_str().unwrap();
        git(&self.ground.bare(), &["show", "--format=", commit])
    }
}

/// The approvals that a text asks for.
fn asked_for(text: &str) -> Vec<String> {
    let parts = text.split("git tag -s stratum/approve/").skip(1);
    let digest = |part: &str| part.chars().take_while(char::is_ascii_hexdigit).collect();
    parts.map(digest).collect()
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: `{program}` is not installed");
    }
    found
}

/// A first commit that is taken as it is, with nothing in production.
fn begun(people: &[&str]) -> Guarded {
    let guarded = Guarded::new(people);
    guarded.push("ada", By::Nobody, "first");
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
    guarded
}

/// Something in production that waits for an approval of what ada wrote.
fn waiting() -> Guarded {
    let guarded = begun(&["ada", "ben"]);
    guarded.file("production", "p", "one");
    guarded.push("ada", By::Ssh("ada"), "to production");
    let answer = guarded.once().ends_with(4);
    assert!(
        answer.out.contains("needs approval by ben"),
        "{}",
        answer.out
    );
    assert_eq!(guarded.world("production/p"), None);
    guarded
}

/// Writes a program of one line.
fn program(path: &std::path::Path, line: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, format!("#!/bin/sh\n{line}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
