//! Policies of a repository.

use std::fs;

use super::{By, begun};
use crate::ground::git;

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
        let answer = guarded.denied("staging", &format!("[{code}]"));
        assert!(answer.out.contains("policies/own.cedar:"), "{}", answer.out);
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
    guarded.denied("staging", "could not be evaluated, which denies");
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

#[test]
fn trust_that_cannot_be_read_is_denied_and_nothing_changes() {
    let guarded = begun(&["ada"]);
    let path = "trust/people/ada.toml";
    let good = fs::read_to_string(guarded.ground.clone_folder().join(path)).unwrap();
    guarded
        .ground
        .write(path, &good.replace("ssh-ed25519 ", "ssh-ed25519 x"));
    guarded.file("staging", "a", "two");
    guarded.push("ada", By::Ssh("ada"), "a key that is none");
    guarded.denied("staging", "a key under `ssh` of `ada` cannot be used");
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
}

#[test]
fn rules_that_are_gone_judge_nothing_which_is_a_denial() {
    let guarded = begun(&["ada"]);
    let base = git(&guarded.ground.bare(), &["rev-parse", "main"]);
    guarded.file("staging", "a", "two");
    guarded.git("ada", By::Nobody, &["checkout", "-q", "--orphan", "anew"]);
    guarded.git("ada", By::Nobody, &["add", "--all"]);
    guarded.git(
        "ada",
        By::Ssh("ada"),
        &["commit", "-q", "-S", "-m", "history anew"],
    );
    guarded.git(
        "ada",
        By::Nobody,
        &["push", "-q", "-f", "origin", "HEAD:main"],
    );
    let bare = guarded.ground.bare();
    // Our own refs keep it, until somebody takes them away too.
    let refs = git(
        &bare,
        &["for-each-ref", "--format=%(refname)", "refs/stratum"],
    );
    for name in refs.lines() {
        git(&bare, &["update-ref", "-d", name]);
    }
    git(&bare, &["reflog", "expire", "--expire=now", "--all"]);
    git(&bare, &["gc", "-q", "--prune=now"]);
    let kind = std::process::Command::new("git")
        .args(["cat-file", "-e", &base])
        .current_dir(&bare)
        .status();
    assert!(!kind.unwrap().success(), "the base is still there");
    guarded.denied("staging", "is no longer in the repository");
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
}

#[test]
fn the_first_use_pins_the_trust_and_says_so() {
    let guarded = begun(&["ada"]);
    let commit = git(&guarded.ground.bare(), &["rev-parse", "main"]);
    let pinned = guarded.logged("trust-pinned");
    assert_eq!(pinned.len(), 2, "one for each environment: {pinned:?}");
    let pin = &pinned[0]["what"]["trust-pinned"];
    assert_eq!(pin["revision"], commit);
    assert_eq!(pin["trust"], pinned[1]["what"]["trust-pinned"]["trust"]);
    guarded.file("staging", "a", "two");
    guarded.push("ada", By::Ssh("ada"), "two");
    guarded.once().ends_with(0);
    assert_eq!(guarded.logged("trust-pinned").len(), 2, "only once");
}
