//! Who wrote a commit.

use std::fs;

use super::{By, Guarded, begun, program};
use crate::ground::git;

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
    guarded.denied("staging", "nobody's in `trust/`");
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
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
    guarded.denied("staging", "does not fit its content");
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
}

#[test]
fn a_verifier_that_the_configuration_names_is_never_run() {
    let guarded = begun(&["ada"]);
    let (script, mark) = (guarded.key("verifier"), guarded.key("was-run"));
    program(&script, &format!("touch {}", mark.display()));
    let text = script.to_str().unwrap();
    for key in ["gpg.program", "gpg.ssh.program", "gpg.x509.program"] {
        git(&guarded.ground.bare(), &["config", key, text]);
    }
    guarded.file("staging", "a", "two");
    guarded.push("eve", By::Nobody, "not signed");
    guarded.denied("staging", "not signed");
    assert!(!mark.exists());
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
}

#[test]
fn keys_that_expired_sign_nothing_new() {
    let guarded = Guarded::new(&["ada"]);
    guarded.person("ben", "expires = 2020-01-01T00:00:00Z\n");
    guarded.push("ada", By::Nobody, "first");
    guarded.once().ends_with(0);
    guarded.file("staging", "a", "two");
    guarded.push("ben", By::Ssh("ben"), "late");
    guarded.denied("staging", "whose keys expired on 2020-01-01");
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
}

#[test]
fn a_mail_address_that_is_not_the_signers_is_nobodys() {
    let guarded = begun(&["ada", "ben"]);
    guarded.file("staging", "a", "two");
    guarded.push("ben", By::Ssh("ada"), "as ben");
    guarded.denied("staging", "it is signed by `ada` and made by");
    let log = guarded.logged("refused").pop().unwrap();
    let reason = log["what"]["refused"]["reason"].as_str().unwrap();
    assert!(!reason.contains('@'), "no personal data: {reason}");
    assert_eq!(log["people"][0]["name"], "ben <ben@example.org>");
}

#[test]
fn where_signatures_are_only_warned_of_a_commit_of_nobody_is_applied_with_a_warning() {
    let guarded = Guarded::new(&["ada"]);
    guarded.ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { staging = {} }, signatures = 'warn }\n",
    );
    guarded.push("ada", By::Nobody, "first");
    guarded.once().ends_with(0);
    guarded.file("staging", "a", "two");
    let commit = guarded.push("eve", By::Nobody, "not signed");
    let answer = guarded.once().ends_with(0);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
    let said = format!("{}{}", answer.out, answer.side);
    let warning = format!(
        "the commit {} by eve <eve@example.org>: it is not signed",
        &commit[..12]
    );
    assert!(
        said.contains("STR0907") && said.contains(&warning),
        "{said}"
    );
    let why = guarded.ground.stratum(&["explain", "staging"]).ends_with(0);
    assert!(
        why.out.contains("not verified: it is not signed"),
        "{}",
        why.out
    );
}
