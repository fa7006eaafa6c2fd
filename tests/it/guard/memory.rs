//! What was said, used and taken back is remembered: approvals, rewinds, and how it began.

use std::fs;

use super::{By, Guarded, begun, waiting};

fn two_protected() -> Guarded {
    let guarded = Guarded::new(&["ada", "ben"]);
    let protected = "{ labels = { protected = \"true\" } }";
    let settings = format!(
        "{{ name = \"t\", environments = {{ production = {protected}, other = {protected}, \
         staging = {{}} }} }}\n"
    );
    guarded.ground.write("stratum.ncl", &settings);
    guarded.ground.write("infra/other.ncl", "{}\n");
    guarded.push("ada", By::Nobody, "first");
    guarded.once().ends_with(0);
    guarded
}

#[test]
fn an_approval_is_for_one_environment_and_not_for_the_same_in_another() {
    let guarded = two_protected();
    guarded.file("production", "p", "one");
    guarded.file("other", "p", "one");
    guarded.push("ada", By::Ssh("ada"), "the same in both");
    guarded.once().ends_with(4);
    assert_ne!(guarded.ballot("production"), guarded.ballot("other"));
    guarded.approve("ben", "production");
    guarded.once().ends_with(4);
    assert_eq!(guarded.world("production/p").as_deref(), Some("one\n"));
    assert_eq!(guarded.world("other/p"), None);
}

#[test]
fn what_was_approved_once_is_not_approved_by_saying_it_again() {
    let guarded = waiting();
    let old = guarded.ballot("production");
    guarded.approve("ben", "production");
    guarded.once().ends_with(0);
    guarded.ground.write("infra/production.ncl", "{}\n");
    guarded.ground.write(
        "infra/production.ncl",
        "{ local_file.q = { path = \"q\", content = \"q\\n\" } }\n",
    );
    guarded.push("ada", By::Ssh("ada"), "q for p");
    guarded.once().ends_with(4);
    guarded.approve("ben", "production");
    guarded.once().ends_with(0);
    // The change of before again; a new tag for the ballot of before, under another name, and
    // without an end.
    guarded.file("production", "p", "one");
    guarded.push("ada", By::Ssh("ada"), "p again");
    guarded.once().ends_with(4);
    let tag = format!("stratum/approve/{old}+again");
    guarded.say("ben", By::Ssh("ben"), &tag, "yes\n\nExpires: 2999-12-31");
    guarded.once().ends_with(4);
    assert_eq!(guarded.world("production/p"), None);
    assert_ne!(guarded.ballot("production"), old);
}

#[test]
fn one_approval_covers_a_change_of_rules_everywhere_and_only_that_change() {
    let guarded = two_protected();
    let policy = |hour: u8| {
        format!(
            "@id(\"night\")\n@reason(\"at night\")\nforbid (principal, action == \
             Action::\"delete\", resource) when {{ context.hour == {hour} && 1 == 2 }};\n"
        )
    };
    guarded.ground.write("policies/night.cedar", &policy(3));
    guarded.push("ada", By::Ssh("ada"), "nothing is deleted at night");
    guarded.once().ends_with(4);
    let staging = guarded.reason("staging");
    assert!(staging.contains("(rules-need-approval)"), "{staging}");
    let ballots = ["production", "other", "staging"].map(|name| guarded.ballot(name));
    assert!(
        ballots.iter().all(|ballot| *ballot == ballots[0]),
        "{ballots:?}"
    );
    // Who wrote it does not approve it, and another content is another change.
    guarded.approve("ada", "staging");
    guarded.once().ends_with(4);
    guarded.ground.write("policies/night.cedar", &policy(4));
    guarded.push("ada", By::Ssh("ada"), "another hour");
    let tag = format!("stratum/approve/{}", ballots[0]);
    guarded.say("ben", By::Ssh("ben"), &tag, "at three");
    guarded.once().ends_with(4);
    guarded.approve("ben", "staging");
    guarded.once().ends_with(0);
    let status = guarded.ground.stratum(&["status", "--json"]).json();
    assert_eq!(status["environments"].as_array().unwrap().len(), 3);
}

#[test]
fn another_line_of_history_is_a_way_back_too() {
    let guarded = waiting();
    let one = guarded.git("ada", By::Nobody, &["rev-parse", "HEAD~1"]);
    guarded.approve("ben", "production");
    guarded.once().ends_with(0);
    guarded.back_to(&one);
    guarded.file("production", "p", "from the side");
    guarded.push("ben", By::Ssh("ben"), "beside what was applied");
    guarded.denied("production", "(protected-goes-not-back)");
    assert_eq!(guarded.world("production/p").as_deref(), Some("one\n"));
}

#[test]
fn who_wrote_what_is_taken_back_does_not_approve_that_where_nothing_is_protected_either() {
    let guarded = begun(&["ada", "ben"]);
    guarded.file("staging", "a", "of ada");
    let one = guarded.push("ada", By::Ssh("ada"), "of ada");
    guarded.once().ends_with(0);
    guarded.file("staging", "a", "of ben");
    guarded.push("ben", By::Ssh("ben"), "of ben");
    guarded.once().ends_with(0);
    guarded.back_to(&one);
    guarded.once().ends_with(4);
    let reason = guarded.reason("staging");
    assert!(reason.contains("(rewound-needs-approval)"), "{reason}");
    let tag = format!("stratum/approve/{}", guarded.ballot("staging"));
    for who in ["ben", "ada"] {
        guarded.say(who, By::Ssh(who), &format!("{tag}+{who}"), "back");
        guarded.once().ends_with(4);
        assert_eq!(
            guarded.world("staging/a").as_deref(),
            Some("of ben\n"),
            "{who}"
        );
    }
}

#[test]
fn settings_that_were_admitted_are_not_taken_back_by_a_rewind() {
    let guarded = begun(&["ada"]);
    let first = guarded.git("ada", By::Nobody, &["rev-parse", "HEAD"]);
    guarded.ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { production = { labels = { protected = \"true\" } }, \
         staging = { suspended = true } } }\n",
    );
    let waits = guarded.push("ada", By::Ssh("ada"), "staging waits");
    guarded.once();
    assert_eq!(guarded.condition("staging"), "suspended");
    guarded.back_to(&first);
    guarded.file("staging", "a", "eve");
    guarded.push("eve", By::Nobody, "as it was");
    guarded.once();
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
    guarded.back_to(&waits);
    guarded.file("staging", "a", "two");
    guarded.push("ada", By::Ssh("ada"), "while it waits");
    guarded.once();
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
    assert_eq!(guarded.condition("staging"), "suspended");
}

/// Nobody signed the first commit; it was taken as it was, and stays.
#[test]
fn an_unsigned_first_commit_stays_after_a_suspension() {
    let guarded = begun(&["ada"]);
    guarded.say("ada", By::Ssh("ada"), "stratum/suspend/staging", "wait");
    guarded.once().ends_with(0);
    assert!(guarded.reason("staging").contains("suspended by ada"));
    fs::write(guarded.ground.made("staging/a"), "by hand\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    guarded.say("ada", By::Ssh("ada"), "stratum/resume/staging", "go on");
    guarded.once().ends_with(0);
    assert_eq!(guarded.condition("staging"), "ready");
    guarded.file("staging", "a", "two");
    guarded.push("ada", By::Ssh("ada"), "two");
    guarded.once().ends_with(0);
}
