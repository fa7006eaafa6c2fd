//! Plans that were reviewed: the one that is applied must be the one that was seen.

use super::{By, Guarded};

/// An environment that takes only reviewed plans, with a file in it.
fn reviewing() -> Guarded {
    let guarded = Guarded::new(&["ada", "ben"]);
    let settings = |labels: &str| {
        format!(
            "{{ name = \"t\", environments = {{ staging = {{ labels = {{ {labels} }} }} }} }}\n"
        )
    };
    guarded.ground.write("stratum.ncl", &settings(""));
    guarded.push("ada", By::Nobody, "first");
    guarded.once().ends_with(0);
    guarded
        .ground
        .write("stratum.ncl", &settings("reviewed = \"required\""));
    guarded.push("ada", By::Ssh("ada"), "from now on reviewed");
    guarded.once().ends_with(4);
    guarded.approve("ben", "staging");
    guarded.once().ends_with(0);
    guarded
}

/// Commits, and puts it on a branch for review; answers the digest that the reviewer sees.
fn proposed(guarded: &Guarded, branch: &str) -> String {
    guarded.git("ada", By::Nobody, &["add", "--all"]);
    guarded.git("ada", By::Ssh("ada"), &["commit", "-q", "-S", "-m", branch]);
    let refspec = format!("HEAD:refs/heads/{branch}");
    guarded.git("ada", By::Nobody, &["push", "-q", "-f", "origin", &refspec]);
    let arguments = ["plan", "--env", "staging", "--head", branch, "--json"];
    let plan = guarded.ground.stratum(&arguments).ends_with(4).json();
    plan["digest"].as_str().unwrap().to_owned()
}

/// Says in the commit which plan was reviewed, and pushes it to be applied.
fn merged(guarded: &Guarded, digest: &str) {
    let trailer = format!("Stratum-Plan: {digest}");
    let arguments = [
        "commit", "-q", "-S", "--amend", "-m", "reviewed", "-m", &trailer,
    ];
    guarded.git("ada", By::Ssh("ada"), &arguments);
    guarded.git("ada", By::Nobody, &["push", "-q", "origin", "HEAD:main"]);
}

#[test]
fn only_the_plan_that_was_reviewed_is_applied() {
    let guarded = reviewing();
    guarded.file("staging", "a", "two");
    let digest = proposed(&guarded, "change");
    // Without the review it is denied, and so it is with the digest of another plan.
    let base = guarded.git("ada", By::Nobody, &["rev-parse", "HEAD~"]);
    guarded.git("ada", By::Nobody, &["push", "-q", "origin", "HEAD:main"]);
    guarded.denied("staging", "(reviewed-plan)");
    merged_anew(&guarded, &base, &"0".repeat(64));
    guarded.denied("staging", "(reviewed-plan)");
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
    merged_anew(&guarded, &base, &digest);
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
}

/// As [`merged`], in the place of what was pushed before.
fn merged_anew(guarded: &Guarded, base: &str, digest: &str) {
    let refspec = format!("{base}:refs/heads/main");
    guarded.git("ada", By::Nobody, &["push", "-q", "-f", "origin", &refspec]);
    merged(guarded, digest);
}

#[test]
fn the_command_that_says_so_is_shown_and_works() {
    let guarded = reviewing();
    guarded.file("staging", "a", "two");
    guarded.push("ada", By::Ssh("ada"), "two");
    guarded.denied("staging", "(reviewed-plan)");
    let plan = guarded.ground.stratum(&["plan"]).ends_with(4).out;
    let (_, command) = plan
        .split_once("to say that you reviewed it: `git ")
        .unwrap();
    let (command, _) = command.split_once('`').unwrap();
    let explained = guarded.ground.stratum(&["explain", "staging"]).out;
    assert!(explained.contains(command), "{explained}");
    assert!(!explained.contains("no approval would"), "{explained}");
    // As a shell would take it apart, and signed as everything here.
    let (words, trailer) = command.split_once(" --trailer ").unwrap();
    let mut words: Vec<&str> = words.split(' ').collect();
    words.extend(["-S", "--trailer", trailer.trim_matches('"')]);
    guarded.git("ada", By::Ssh("ada"), &words);
    guarded.git("ada", By::Nobody, &["push", "-q", "origin", "HEAD:main"]);
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
}

#[test]
fn a_base_that_moved_since_the_review_needs_another_review() {
    let guarded = reviewing();
    guarded.git("ada", By::Nobody, &["checkout", "-q", "-b", "change"]);
    guarded.file("staging", "a", "two");
    let seen = proposed(&guarded, "change");
    // Another change comes first.
    guarded.git("ada", By::Nobody, &["checkout", "-q", "-"]);
    guarded.ground.write(
        "infra/staging/more.ncl",
        "{ local_file.b = { path = \"b\", content = \"b\" } }\n",
    );
    let digest = proposed(&guarded, "other");
    merged(&guarded, &digest);
    guarded.once().ends_with(0);
    let applied = guarded.world("staging/b");
    assert_eq!(applied.as_deref(), Some("b"));
    // The reviewed change, on top of it.
    guarded.git("ada", By::Ssh("ada"), &["cherry-pick", "-S", "change"]);
    merged(&guarded, &seen);
    guarded.denied("staging", "the plan must be the one that was reviewed");
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
    let base = guarded.git("ada", By::Nobody, &["rev-parse", "HEAD~"]);
    let arguments = ["plan", "--env", "staging", "--json"];
    let plan = guarded.ground.stratum(&arguments).ends_with(4).json();
    let now = plan["digest"].as_str().unwrap();
    assert_ne!(now, seen);
    merged_anew(&guarded, &base, now);
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
}

#[test]
fn an_approval_is_a_review_too_and_counts_for_that_plan_alone() {
    let guarded = reviewing();
    guarded.file("staging", "a", "two");
    guarded.push("ada", By::Ssh("ada"), "two");
    guarded.once().ends_with(4);
    let tag = format!("stratum/approve/{}", guarded.ballot("staging"));
    guarded.file("staging", "a", "three");
    guarded.push("ada", By::Ssh("ada"), "three");
    guarded.say("ben", By::Ssh("ben"), &tag, "seen");
    guarded.denied("staging", "it names another plan");
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
    let tag = format!("stratum/approve/{}", guarded.ballot("staging"));
    guarded.say("ben", By::Ssh("ben"), &tag, "seen");
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("three\n"));
}
