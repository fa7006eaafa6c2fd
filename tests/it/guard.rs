//! Policies, signatures and signed tags, with stock git, ssh-keygen and gpg.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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

    /// Why an environment is not Ready.
    fn reason(&self, environment: &str) -> String {
        let status = self.ground.stratum(&["status", "--json"]).json();
        let all = status["environments"].as_array().unwrap().clone();
        let one = all.iter().find(|one| one["name"] == environment).unwrap();
        one["reason"].as_str().unwrap().to_owned()
    }

    /// What an approval of the waiting plan must name.
    fn ballot(&self, environment: &str) -> String {
        let reason = self.reason(environment);
        let (_, rest) = reason.split_once("git tag -s stratum/approve/").unwrap();
        rest.split(' ').next().unwrap().to_owned()
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

#[test]
fn unsigned_commits_are_denied_once_trust_has_keys() {
    let guarded = begun(&["ada"]);
    guarded.file("staging", "a", "two");
    guarded.push("ada", By::Ssh("ada"), "signed");
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));

    guarded.file("staging", "a", "three");
    guarded.push("ada", By::Nobody, "not signed");
    guarded.once().ends_with(4);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
    let reason = guarded.reason("staging");
    assert!(reason.contains("(verified-authors)"), "{reason}");
    assert!(reason.contains("it is not signed"), "{reason}");
    let why = guarded
        .ground
        .stratum(&["explain", "staging/local_file.a"])
        .ends_with(0);
    assert!(
        why.out.contains("git rebase --force-rebase --gpg-sign"),
        "{}",
        why.out
    );
    let record = guarded.record("staging");
    assert!(record.contains("outcome: denied"), "{record}");
    assert!(record.contains("verified-authors"), "{record}");

    // A signed commit on top does not make up for it.
    guarded.push("ada", By::Ssh("ada"), "signed again");
    guarded.once().ends_with(4);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
}

#[test]
fn a_commit_cannot_bring_its_own_author_into_trust() {
    let guarded = begun(&["ada"]);
    guarded.person("eve", "");
    guarded.push("eve", By::Ssh("eve"), "hello");
    guarded.once().ends_with(4);
    guarded.file("staging", "a", "eve");
    guarded.push("eve", By::Ssh("eve"), "mine now");
    guarded.once().ends_with(4);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
    let reason = guarded.reason("staging");
    assert!(reason.contains("nobody's in `trust/`"), "{reason}");
    // Nor does a new environment, which came to no revision yet, take the new trust.
    guarded.ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { staging = {}, fresh = {} }, signatures = 'off }\n",
    );
    guarded.file("fresh", "f", "eve");
    guarded.push("eve", By::Ssh("eve"), "a way round");
    guarded.once().ends_with(4);
    assert_eq!(guarded.world("fresh/f"), None);
}

#[test]
fn a_signature_over_a_changed_commit_is_none() {
    let guarded = begun(&["ada"]);
    guarded.file("staging", "a", "two");
    let signed = guarded.push("ada", By::Ssh("ada"), "fine words");
    let clone = guarded.ground.clone_folder();
    let object = git(&clone, &["cat-file", "commit", &signed]);
    let path = guarded.keys.path().join("changed");
    fs::write(&path, object.replace("fine words", "other words") + "\n").unwrap();
    let arguments = ["hash-object", "-t", "commit", "-w", path.to_str().unwrap()];
    let changed = git(&clone, &arguments);
    let refspec = format!("{changed}:refs/heads/main");
    git(&clone, &["push", "-q", "-f", "origin", &refspec]);
    guarded.once().ends_with(4);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
    let reason = guarded.reason("staging");
    assert!(reason.contains("does not fit its content"), "{reason}");
}

#[test]
fn a_verifier_that_the_configuration_names_is_never_run() {
    let guarded = begun(&["ada"]);
    let (script, mark) = (guarded.key("verifier"), guarded.key("was-run"));
    fs::write(
        &script,
        format!("#!/bin/sh\ntouch {}\nexit 0\n", mark.display()),
    )
    .unwrap();
    make_executable(&script);
    let text = script.to_str().unwrap();
    for key in ["gpg.program", "gpg.ssh.program", "gpg.x509.program"] {
        git(&guarded.ground.bare(), &["config", key, text]);
    }
    guarded.file("staging", "a", "two");
    guarded.push("eve", By::Nobody, "not signed");
    guarded.once().ends_with(4);
    assert!(!mark.exists());
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
}

#[cfg(unix)]
fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn keys_that_expired_sign_nothing_new() {
    let guarded = Guarded::new(&["ada"]);
    guarded.person("ben", "expires = 2020-01-01T00:00:00Z\n");
    guarded.push("ada", By::Nobody, "first");
    guarded.once().ends_with(0);
    guarded.file("staging", "a", "two");
    guarded.push("ben", By::Ssh("ben"), "late");
    guarded.once().ends_with(4);
    let reason = guarded.reason("staging");
    assert!(
        reason.contains("whose keys expired on 2020-01-01"),
        "{reason}"
    );
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
}

#[test]
fn openpgp_keys_sign_commits_and_tags() {
    if !has("gpg") {
        return;
    }
    let guarded = Guarded::new(&["ada"]);
    let home = guarded.keys.path().join("gnupg");
    fs::create_dir(&home).unwrap();
    let gpg = |arguments: &[&str]| {
        let mut command = Command::new("gpg");
        command
            .env("GNUPGHOME", &home)
            .arg("--batch")
            .args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let quick = "Carla <carla@example.org>";
    gpg(&[
        "--passphrase",
        "",
        "--quick-gen-key",
        quick,
        "ed25519",
        "sign",
        "never",
    ]);
    gpg(&[
        "--passphrase",
        "",
        "--quick-gen-key",
        "Dan <dan@example.org>",
        "rsa3072",
        "sign",
        "1d",
    ]);
    for (name, dated) in [("carla", ""), ("dan", "")] {
        let public = gpg(&["--armor", "--export", &format!("{name}@example.org")]);
        let text =
            format!("email = [\"{name}@example.org\"]\nopenpgp = ['''\n{public}''']\n{dated}");
        guarded
            .ground
            .write(&format!("trust/people/{name}.toml"), &text);
    }
    guarded.push("ada", By::Nobody, "first");
    guarded.once().ends_with(0);
    guarded.file("production", "p", "one");
    guarded.push("carla", By::Gpg("carla"), "by carla");
    guarded.once().ends_with(4);
    let ballot = guarded.ballot("production");
    guarded.say(
        "dan",
        By::Gpg("dan"),
        &format!("stratum/approve/{ballot}"),
        "fine",
    );
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("production/p").as_deref(), Some("one\n"));
    let record = guarded.record("production");
    assert!(record.contains("carla"), "{record}");
    assert!(record.contains("dan"), "{record}");
    let _best_effort = Command::new("gpgconf")
        .env("GNUPGHOME", &home)
        .args(["--kill", "all"])
        .output();
}

#[test]
fn an_approval_by_someone_else_lets_a_waiting_plan_through() {
    let guarded = waiting();
    let ballot = guarded.ballot("production");
    let again = guarded.once().ends_with(4);
    let why = guarded
        .ground
        .stratum(&["explain", "production"])
        .ends_with(0);
    for part in [
        "What policy says now: needs-approval",
        "create `production/local_file.p`: needs-approval",
        "(protected-needs-approval)",
        "signed by ada with ssh SHA256:",
        "an approval by ben: `git tag -s stratum/approve/",
    ] {
        assert!(why.out.contains(part), "{part}: {}", why.out);
    }
    let plan = guarded
        .ground
        .stratum(&["plan", "--env", "production"])
        .ends_with(4);
    assert!(
        plan.out.contains("to approve it: `git tag -s"),
        "{}",
        plan.out
    );
    assert!(
        again.out.contains(&ballot),
        "the digest of a plan is stable: {}",
        again.out
    );
    guarded.say(
        "ben",
        By::Ssh("ben"),
        &format!("stratum/approve/{ballot}"),
        "looks right",
    );
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("production/p").as_deref(), Some("one\n"));
    assert!(guarded.record("production").contains("ben"));

    // It was for that plan: the next one needs another.
    guarded.file("production", "p", "two");
    guarded.push("ada", By::Ssh("ada"), "more");
    guarded.once().ends_with(4);
    assert_ne!(guarded.ballot("production"), ballot);
    assert_eq!(guarded.world("production/p").as_deref(), Some("one\n"));
}

#[test]
fn approvals_that_do_not_count_are_named_with_the_reason() {
    let guarded = waiting();
    let ballot = guarded.ballot("production");
    let tag = format!("stratum/approve/{ballot}");
    let other = format!("stratum/approve/{}", "0".repeat(64));
    let denied = |why: &str| {
        guarded.once().ends_with(4);
        let reason = guarded.reason("production");
        assert!(reason.contains(why), "{why}: {reason}");
        assert_eq!(guarded.world("production/p"), None);
    };
    guarded.say("ada", By::Ssh("ada"), &tag, "mine");
    denied("nobody approves a plan that they wrote a part of (no-own-approval)");
    guarded.say("ben", By::Nobody, &tag, "not signed");
    denied("it is not signed");
    guarded.ssh_key("eve");
    guarded.say("eve", By::Ssh("eve"), &tag, "let me in");
    denied("nobody's in `trust/`");
    guarded.say("ben", By::Ssh("ben"), &tag, "once\n\nExpires: 2020-01-01");
    denied("it has expired");
    guarded.say("ben", By::Ssh("ben"), &tag, "once\n\nExpires: soon");
    denied("`Expires: soon` is no day");
    // A tag that was signed for another plan, under the name of this one.
    guarded.say("ben", By::Ssh("ben"), &other, "another");
    let clone = guarded.ground.clone_folder();
    let object = git(&clone, &["rev-parse", &other]);
    git(
        &clone,
        &[
            "push",
            "-q",
            "-f",
            "origin",
            &format!("{object}:refs/tags/{tag}"),
        ],
    );
    denied("it was signed under the name");
    git(
        &clone,
        &["push", "-q", "origin", &format!(":refs/tags/{tag}")],
    );
    denied("it names another plan");
    git(
        &clone,
        &[
            "push",
            "-q",
            "-f",
            "origin",
            &format!("HEAD:refs/tags/{tag}"),
        ],
    );
    denied("a lightweight tag");
    guarded.say("ben", By::Ssh("ben"), &tag, "now\n\nExpires: 2999-12-31");
    guarded.once().ends_with(0);
}

#[test]
fn trust_over_a_protected_environment_changes_after_an_approval_of_that_very_change() {
    let guarded = begun(&["ada", "ben"]);
    guarded.person("carla", "");
    guarded.push("ada", By::Ssh("ada"), "carla joins");
    guarded.once().ends_with(4);
    let first = guarded.ballot("production");
    // Another change of trust has the same empty plan, and another ballot.
    guarded.person("eve", "");
    guarded.push("ada", By::Ssh("ada"), "and eve");
    guarded.once().ends_with(4);
    let second = guarded.ballot("production");
    assert_ne!(first, second);
    guarded.say(
        "ben",
        By::Ssh("ben"),
        &format!("stratum/approve/{first}"),
        "carla only",
    );
    guarded.once().ends_with(4);
    guarded.say(
        "ben",
        By::Ssh("ben"),
        &format!("stratum/approve/{second}"),
        "both",
    );
    guarded.once().ends_with(0);
}

#[test]
fn a_word_suspends_and_resumes() {
    let guarded = begun(&["ada"]);
    guarded.say("ada", By::Ssh("ada"), "stratum/suspend/staging", "wait");
    guarded.file("staging", "a", "two");
    guarded.push("ada", By::Ssh("ada"), "two");
    guarded.once().ends_with(0);
    let reason = guarded.reason("staging");
    assert_eq!(reason, "suspended by ada (`stratum/suspend/staging`)");
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    guarded.say("ada", By::Ssh("ada"), "stratum/resume/staging", "go on");
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
}

#[test]
fn a_word_has_a_held_revision_tried_again() {
    let guarded = begun(&["ada"]);
    let flag = guarded.key("flag");
    let text = format!(
        "{{ local_exec.a = {{ create = [\"test\", \"-e\", \"{}\"], delete = [\"true\"] }} }}\n",
        flag.display()
    );
    guarded.ground.write("infra/staging.ncl", &text);
    guarded.push("ada", By::Ssh("ada"), "fails");
    guarded.once().ends_with(1);
    guarded.once().ends_with(1);
    fs::write(&flag, "").unwrap();
    let history = guarded.ground.stratum(&["history", "--json"]).json();
    let runs = history["runs"].as_array().unwrap().clone();
    let run = runs
        .iter()
        .find(|run| run["outcome"] == "rolled-back")
        .unwrap();
    let tag = format!("stratum/retry/{}", run["id"].as_str().unwrap());
    guarded.ssh_key("eve");
    guarded.say("eve", By::Ssh("eve"), &tag, "again");
    guarded.once().ends_with(1);
    guarded.say("ada", By::Ssh("ada"), &tag, "again");
    guarded.once().ends_with(0);
}

#[test]
fn policies_that_cannot_be_used_change_nothing() {
    let guarded = begun(&["ada"]);
    let head = "@id(\"own\")\n@reason(\"ours\")\n";
    let cases = [
        (
            "permit (principal, action resource);\n".to_owned(),
            "STR0901",
        ),
        (
            format!(
                "{head}forbid (principal, action == Action::\"delete\", resource)\nwhen {{ resource.colour == \"red\" }};\n"
            ),
            "STR0902",
        ),
        (
            "forbid (principal, action, resource);\n".to_owned(),
            "STR0903",
        ),
    ];
    for (text, code) in cases {
        guarded.ground.write("policies/own.cedar", &text);
        guarded.file("staging", "a", "two");
        let clone = guarded.ground.clone_folder();
        let checked = crate::ground::stratum(&clone, &["check", "--json"])
            .ends_with(1)
            .json();
        let finding = &checked["findings"][0];
        assert_eq!(finding["code"], code, "{finding}");
        assert_eq!(finding["file"], "policies/own.cedar");
        guarded.push("ada", By::Ssh("ada"), "policies");
        guarded.once().ends_with(1);
        assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
    }
    // One that fails when it is asked denies, although Cedar would skip it.
    let text = format!(
        "{head}forbid (principal, action in Action::\"apply\", resource)\n\
         when {{ context.plan.resources + 9223372036854775807 < 0 }};\n"
    );
    guarded.ground.write("policies/own.cedar", &text);
    guarded.push("ada", By::Ssh("ada"), "overflow");
    // The change that brings it is judged by the rules before it; protected production waits.
    guarded.once().ends_with(4);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
    guarded.file("staging", "a", "three");
    guarded.push("ada", By::Ssh("ada"), "three");
    guarded.once().ends_with(4);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
    let reason = guarded.reason("staging");
    assert!(
        reason.contains("could not be evaluated, which denies"),
        "{reason}"
    );
}

#[test]
fn a_policy_test_that_fails_is_found_by_check() {
    let guarded = begun(&["ada"]);
    guarded.ground.write(
        "policies/tests/own.toml",
        "[groups]\noperators = [\"ben\"]\n[[case]]\nname = \"deleting is free\"\naction = \"delete\"\n\
         principal = { author = \"ada\" }\ncontext = { reversibility = \"irreversible\" }\n\
         expect = \"allow\"\n",
    );
    let clone = guarded.ground.clone_folder();
    let checked = crate::ground::stratum(&clone, &["check"]).ends_with(1);
    assert!(checked.out.contains("STR0905"), "{}", checked.out);
    assert!(
        checked
            .out
            .contains("needs-approval by `irreversible-needs-approval`"),
        "{}",
        checked.out
    );
}
