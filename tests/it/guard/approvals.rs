//! Approvals: tags that name a plan.

use super::{By, Guarded, begun, waiting};
use crate::ground::git;

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
fn plan_explain_and_status_ask_for_the_same_approval() {
    for drift in ["", "drift = { every = \"1h\" }, "] {
        let guarded = Guarded::new(&["ada", "ben"]);
        let settings = |before: &str| {
            let text = format!(
                "{before}{{ name = \"t\", environments = {{ staging = {{}}, production = {{ {drift}labels \
                 = {{ protected = \"true\" }} }} }} }}\n"
            );
            guarded.ground.write("stratum.ncl", &text);
        };
        settings("");
        guarded.push("ada", By::Nobody, "first");
        guarded.once().ends_with(0);
        let changes: [&dyn Fn(); 3] = [
            &|| guarded.file("production", "p", "one"),
            &|| settings("# a comment\n"),
            &|| guarded.person("carla", ""),
        ];
        for change in changes {
            change();
            guarded.push("ada", By::Ssh("ada"), "more");
            guarded.once().ends_with(4);
            assert_eq!(guarded.ballot("production").len(), 64);
        }
    }
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
fn an_approval_that_is_used_is_in_the_audit_log_with_its_tag() {
    let guarded = waiting();
    let tag = format!("stratum/approve/{}", guarded.ballot("production"));
    guarded.say("ben", By::Ssh("ben"), &tag, "fine");
    guarded.once().ends_with(0);
    let used = guarded.logged("approval-used").pop().unwrap();
    let object = git(&guarded.ground.clone_folder(), &["rev-parse", &tag]);
    assert_eq!(used["what"]["approval-used"]["tag"], tag);
    assert_eq!(used["what"]["approval-used"]["object"], object);
    assert_eq!(used["people"][0]["name"], "ben");
    assert_eq!(used["environment"], "production");
    let verdicts = guarded.logged("verdict");
    let last = verdicts
        .iter()
        .rfind(|entry| entry["environment"] == "production")
        .unwrap();
    assert_eq!(last["what"]["verdict"]["decision"], "allow");
    let signer = &last["principal"]["author"]["key"];
    assert!(signer.as_str().unwrap().starts_with("SHA256:"), "{last}");
}

#[test]
fn each_tag_that_does_not_count_is_in_the_audit_log_once() {
    let guarded = waiting();
    let tag = format!("stratum/approve/{}", guarded.ballot("production"));
    guarded.ssh_key("eve");
    guarded.say("eve", By::Ssh("eve"), &tag, "let me in");
    guarded.denied("production", "which is nobody's in `trust/`");
    let refused = guarded.logged("refused");
    let approvals = refused
        .iter()
        .filter(|entry| entry["what"]["refused"]["action"] == "approve");
    assert_eq!(approvals.count(), 1, "{refused:?}");
}
