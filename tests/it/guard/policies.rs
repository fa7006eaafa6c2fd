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
    let told = |guarded: &super::Guarded| {
        guarded.once().ends_with(1);
        let reason = guarded.reason("staging");
        assert!(
            reason.contains("is no longer in the repository"),
            "{reason}"
        );
        assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
    };
    told(&guarded);
    told(&guarded);
    // The way out: it is pushed again, under any name.
    let again = format!("{base}:refs/heads/kept");
    guarded.git("ada", By::Nobody, &["push", "-q", "origin", &again]);
    guarded.once().ends_with(4);
    let reason = guarded.reason("staging");
    assert!(reason.contains("(rewound-needs-approval)"), "{reason}");
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

/// A policy that nobody could change again is found before it holds: by `check`, by the hook of the
/// server, and where it was pushed all the same.
#[test]
fn policies_that_nobody_could_change_again_are_refused() {
    let guarded = begun(&["ada", "ben"]);
    let head = "@id(\"stop\")\n@reason(\"stop\")\n";
    for text in [
        format!("{head}forbid (principal, action, resource);\n"),
        format!(
            "{head}forbid (principal is Author, action in [Action::\"apply\", Action::\"advance\"], \
             resource)\nwhen {{ context.approvals - 9223372036854775807 - 2 > 0 }};\n"
        ),
    ] {
        guarded.ground.write("policies/x.cedar", &text);
        let clone = guarded.ground.clone_folder();
        let checked = crate::ground::stratum(&clone, &["check", "--json"]).ends_with(1);
        let codes: Vec<_> = checked.json()["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["code"].as_str().unwrap().to_owned())
            .collect();
        assert!(codes.contains(&"STR0909".to_owned()), "{codes:?}");
        guarded.push("ada", By::Ssh("ada"), "lock");
        guarded.denied("staging", "STR0909");
        fs::remove_file(clone.join("policies/x.cedar")).unwrap();
        guarded.file("staging", "a", "two");
        guarded.push("ada", By::Ssh("ada"), "unlock");
        guarded.once();
        assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
    }
}

/// The same by more approvals than there are people, and by a person who is not there.
#[test]
fn what_needs_people_who_are_not_there_is_refused() {
    let head = "@id(\"many\")\n@reason(\"many\")\n";
    let who = "forbid (principal is Author, \
               action in [Action::\"apply\", Action::\"advance\"], resource)";
    let many = format!("{head}{who}\nunless {{ context.approvals > 9 }};\n");
    let nobody = format!("{head}{who}\nunless {{ principal == Author::\"zoe\" }};\n");
    for (path, text) in [("policies/x.cedar", many), ("policies/x.cedar", nobody)] {
        let guarded = begun(&["ada", "ben"]);
        guarded.ground.write(path, &text);
        let clone = guarded.ground.clone_folder();
        let checked = crate::ground::stratum(&clone, &["check"]);
        assert!(checked.out.contains("STR0909"), "{text}: {}", checked.out);
        guarded.push("ada", By::Ssh("ada"), "lock");
        guarded.denied("staging", "STR0909");
        fs::remove_file(clone.join(path)).unwrap();
        guarded.file("staging", "a", "two");
        guarded.push("ada", By::Ssh("ada"), "unlock");
        guarded.once();
        assert_eq!(
            guarded.world("staging/a").as_deref(),
            Some("two\n"),
            "{text}"
        );
    }
}

/// Trust whose only keys are over: where signatures are required, nobody could change it again.
#[test]
fn trust_with_none_but_expired_keys_is_refused() {
    let guarded = begun(&["ada"]);
    let clone = guarded.ground.clone_folder();
    let settings = fs::read_to_string(clone.join("stratum.ncl")).unwrap();
    let required = settings.replacen("{ name", "{ signatures = 'required, name", 1);
    guarded.ground.write("stratum.ncl", &required);
    guarded.person("ada", "expires = \"2020-01-01T00:00:00Z\"\n");
    let checked = crate::ground::stratum(&clone, &["check"]);
    assert!(checked.out.contains("STR0909"), "{}", checked.out);
    guarded.push("ada", By::Ssh("ada"), "only expired keys");
    assert_ne!(guarded.once().code, 0);
    // Nothing of that holds: the same person leads out by the next push.
    guarded.person("ada", "");
    guarded.file("staging", "a", "two");
    guarded.push("ada", By::Ssh("ada"), "a key that counts");
    guarded.once();
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
}

/// Policies that allow their own change at an hour that does not come: whoever has the machine leads
/// out, and the audit log says so.
#[test]
fn the_machine_of_the_reconciler_is_the_way_back() {
    let guarded = begun(&["ada", "ben"]);
    let far = (hour_now() + 12) % 24;
    let text = format!(
        "@id(\"rarely\")\n@reason(\"rarely\")\nforbid (principal, action, resource)\n\
         unless {{ context.hour == {far} }};\n"
    );
    guarded.ground.write("policies/x.cedar", &text);
    guarded.push("ada", By::Ssh("ada"), "rarely");
    guarded.once();
    guarded.approve("ben", "staging");
    guarded.once();
    fs::remove_file(guarded.ground.clone_folder().join("policies/x.cedar")).unwrap();
    guarded.file("staging", "a", "two");
    guarded.push("ada", By::Ssh("ada"), "back");
    guarded.denied("staging", "rarely");
    let root = guarded.ground.made("");
    let out = [
        "reconcile",
        "--once",
        "--root",
        root.to_str().unwrap(),
        "--without-policies",
        "staging",
    ];
    // The policies that ship go on to hold.
    guarded.ground.stratum(&out);
    guarded.approve("ben", "staging");
    guarded.ground.stratum(&out);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
    let entries = guarded.logged("refused");
    let told = entries.iter().any(|entry| {
        let refused = &entry["what"]["refused"];
        refused["action"] == "policies" && entry["environment"] == "staging"
    });
    assert!(told, "{entries:?}");
}

/// The hour of the day, UTC.
fn hour_now() -> u64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs() / 3600 % 24
}

/// What nothing reads under `policies/`, and folders that are links, would look like rules and be none.
#[test]
fn rules_that_nothing_reads_are_refused() {
    let guarded = begun(&["ada"]);
    let clone = guarded.ground.clone_folder();
    let text = "@id(\"x\")\n@reason(\"y\")\nforbid (principal, action, resource);\n";
    for path in [
        "policies/X.CEDAR",
        "policies/sub/x.cedar",
        "policies/x.cedar.txt",
        "policies/tests/x.cedar",
    ] {
        guarded.ground.write(path, text);
        guarded.push("ada", By::Ssh("ada"), path);
        guarded.denied("staging", "STR0908");
        fs::remove_dir_all(clone.join("policies")).unwrap();
    }
    for folder in ["policies", "trust"] {
        let kept = clone.join(folder);
        let _there_is_none = fs::remove_dir_all(&kept);
        std::os::unix::fs::symlink("/etc", &kept).unwrap();
        guarded.push("ada", By::Ssh("ada"), folder);
        guarded.denied("staging", "STR0109");
        guarded.file("staging", "a", "eve");
        guarded.push("eve", By::Nobody, "nobody looks");
        guarded.once().ends_with(4);
        assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
        guarded.back_to("HEAD~2");
    }
}
