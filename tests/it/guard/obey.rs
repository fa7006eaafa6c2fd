//! Judged first, obeyed after: what a commit says holds for nothing before its authors and its
//! rules were judged by what held before.

use std::fs;

use super::{By, Guarded, begun, waiting};
use crate::ground::git;

/// A first commit whose settings come from other files.
fn imported(main: &str, more: &[(&str, &str)]) -> Guarded {
    let guarded = Guarded::new(&["ada", "ben"]);
    guarded
        .ground
        .write("stratum.ncl", "import \"settings/main.ncl\"\n");
    guarded.ground.write("settings/main.ncl", main);
    for (path, text) in more {
        guarded.ground.write(path, text);
    }
    guarded.push("ada", By::Nobody, "first");
    guarded.once().ends_with(0);
    guarded
}

fn settings(protected: &str, more: &str) -> String {
    format!(
        "{{ name = \"t\", environments = {{ production = {{ labels = {{ protected = \
         \"{protected}\" }} }}, staging = {{}} }}{more} }}\n"
    )
}

#[test]
fn settings_that_are_imported_are_settings() {
    let true_ = settings("true", "");
    let inner = "let inner = import \"inner.ncl\" in inner\n";
    let cases = [
        ("settings/main.ncl", imported(&true_, &[])),
        (
            "settings/inner.ncl",
            imported(inner, &[("settings/inner.ncl", &true_)]),
        ),
    ];
    for (path, guarded) in cases {
        for new in [
            settings("false", ""),
            settings("true", ", signatures = 'off"),
        ] {
            guarded.ground.write(path, &new);
            guarded.push("ada", By::Ssh("ada"), "only a file that is imported");
            guarded.denied("production", "(protected-rules-need-approval)");
            guarded.file("production", "p", "never approved");
            guarded.push("ada", By::Ssh("ada"), "production");
            guarded.once().ends_with(4);
            assert_eq!(guarded.world("production/p"), None, "{path}: {new}");
            guarded.push("eve", By::Nobody, "not signed");
            guarded.denied("production", "(verified-authors)");
            guarded.back_to("HEAD~3");
        }
    }
}

#[test]
fn an_approval_of_rules_covers_what_they_import() {
    let guarded = imported(&settings("true", ""), &[]);
    let new = settings("true", ", limits = { memory = 900 }");
    guarded.ground.write("settings/main.ncl", &new);
    guarded.push("ada", By::Ssh("ada"), "a limit");
    guarded.once().ends_with(4);
    let ballot = guarded.ballot("production");
    // The same words of the person, and other settings behind them.
    guarded
        .ground
        .write("settings/main.ncl", &settings("false", ""));
    guarded.push("ada", By::Ssh("ada"), "and something else");
    guarded.say(
        "ben",
        By::Ssh("ben"),
        &format!("stratum/approve/{ballot}"),
        "a limit, yes",
    );
    guarded.once().ends_with(4);
    assert_ne!(guarded.ballot("production"), ballot);
}

#[test]
fn records_go_where_the_base_says_and_never_where_something_is_read() {
    let guarded = begun(&["ada"]);
    let first = guarded.git("ada", By::Nobody, &["rev-parse", "HEAD"]);
    let branches = |guarded: &Guarded| {
        git(
            &guarded.ground.bare(),
            &["for-each-ref", "--format=%(refname)", "refs/heads"],
        )
    };
    for name in ["release", "main", "HEAD", "-u", "refs/heads/x"] {
        let text = format!(
            "{{ name = \"t\", environments = {{ staging = {{}} }}, records = {{ branch = \
             \"{name}\" }} }}\n"
        );
        guarded.ground.write("stratum.ncl", &text);
        let pushed = guarded.push("eve", By::Nobody, "records, please");
        guarded.once().ends_with(4);
        assert_eq!(
            branches(&guarded),
            "refs/heads/main\nrefs/heads/stratum/records",
            "{name}"
        );
        assert_eq!(git(&guarded.ground.bare(), &["rev-parse", "main"]), pushed);
        guarded.back_to(&first);
    }
    // Somebody who may: but not where something is read from.
    for name in ["main", "HEAD", "-u"] {
        let text = format!(
            "{{ name = \"t\", environments = {{ staging = {{}} }}, records = {{ branch = \
             \"{name}\" }} }}\n"
        );
        guarded.ground.write("stratum.ncl", &text);
        guarded.file(
            "staging",
            "a",
            &format!("for {}", name.trim_start_matches('-')),
        );
        let pushed = guarded.push("ada", By::Ssh("ada"), "records");
        guarded.once();
        assert_eq!(
            branches(&guarded),
            "refs/heads/main\nrefs/heads/stratum/records",
            "{name}"
        );
        assert_eq!(git(&guarded.ground.bare(), &["rev-parse", "main"]), pushed);
    }
}

#[test]
fn an_approval_counts_once() {
    let guarded = waiting();
    let approve = |guarded: &Guarded, why: &str| {
        let ballot = guarded.ballot("production");
        guarded.say(
            "ben",
            By::Ssh("ben"),
            &format!("stratum/approve/{ballot}"),
            why,
        );
        guarded.once().ends_with(0);
    };
    approve(&guarded, "create");
    assert_eq!(guarded.world("production/p").as_deref(), Some("one\n"));
    let more = "{ local_file.q = { path = \"q\", content = \"q\\n\" } }\n";
    guarded.ground.write("infra/production.ncl", more);
    guarded.push("ada", By::Ssh("ada"), "q for p");
    guarded.once().ends_with(4);
    approve(&guarded, "the other");
    assert_eq!(guarded.world("production/p"), None);
    // The same change again, with every tag of before still there.
    guarded.file("production", "p", "one");
    guarded.push("ada", By::Ssh("ada"), "p again");
    guarded.denied("production", "needs approval by ben");
    assert_eq!(guarded.world("production/p"), None);
    guarded.once().ends_with(4);
    assert_eq!(guarded.world("production/p"), None);
    approve(&guarded, "and again, now that it was asked for");
    assert_eq!(guarded.world("production/p").as_deref(), Some("one\n"));
}

/// Production is read from a branch of its own; HEAD has the settings.
fn released() -> Guarded {
    let guarded = Guarded::new(&["ada", "ben"]);
    guarded.ground.write("stratum.ncl", &on_release(""));
    guarded.push("ada", By::Nobody, "first");
    let release = ["push", "-q", "origin", "HEAD:release"];
    guarded.git("ada", By::Nobody, &release);
    guarded.once().ends_with(0);
    guarded.file("production", "p", "one");
    guarded.git("ada", By::Nobody, &["add", "--all"]);
    guarded.git("ada", By::Ssh("ada"), &["commit", "-q", "-S", "-m", "one"]);
    guarded.git("ada", By::Nobody, &release);
    guarded.once().ends_with(4);
    let ballot = guarded.ballot("production");
    guarded.say(
        "ben",
        By::Ssh("ben"),
        &format!("stratum/approve/{ballot}"),
        "yes",
    );
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("production/p").as_deref(), Some("one\n"));
    guarded
}

fn on_release(more: &str) -> String {
    format!(
        "{{ name = \"t\", environments = {{ production = {{ branch = \"release\", labels = {{ \
         protected = \"true\" }}{more} }} }} }}\n"
    )
}

#[test]
fn settings_of_a_head_that_was_not_admitted_govern_nothing() {
    let guarded = released();
    let first = guarded.git("ada", By::Nobody, &["rev-parse", "HEAD"]);
    let path = guarded.ground.made("production/p");
    let bad = [
        on_release(", suspended = true"),
        on_release(", drift = { mode = 'correct, every = \"1s\" }"),
        "{ name = \"t\", environments = { other = {} } }\n".to_owned(),
        on_release("").replace("branch = \"release\"", "branch = \"main\""),
        on_release(", root = \"elsewhere\""),
        "{ name = \"t\", environments = {\n".to_owned(),
    ];
    for text in bad {
        guarded.ground.write("stratum.ncl", &text);
        guarded.file("production", "p", "eve");
        guarded.push("eve", By::Nobody, "settings, please");
        fs::write(&path, "by hand\n").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        guarded.once();
        let content = fs::read_to_string(&path).unwrap();
        assert_eq!(content, "by hand\n", "{text}");
        let status = guarded.ground.stratum(&["status", "--json"]).json();
        let all = status["environments"].as_array().unwrap();
        assert_eq!(all.len(), 1, "{text}: {all:?}");
        let condition = all[0]["condition"].as_str().unwrap();
        assert_eq!(condition.to_lowercase(), "ready", "{text}: {:?}", all[0]);
        guarded.back_to(&first);
    }
    // Somebody who may, alone: what is protected there asks for an approval.
    guarded
        .ground
        .write("stratum.ncl", &on_release(", suspended = true"));
    guarded.push("ada", By::Ssh("ada"), "suspend it");
    guarded.once();
    let status = guarded.ground.stratum(&["status", "--json"]).json();
    let condition = status["environments"][0]["condition"].as_str().unwrap();
    assert_eq!(condition.to_lowercase(), "ready");
}

#[test]
fn a_suspension_holds_until_a_word_that_counts_resumes_it() {
    let guarded = begun(&["ada", "ben"]);
    let tag = "stratum/suspend/staging";
    guarded.say("ben", By::Ssh("ben"), tag, "wait");
    guarded.file("staging", "a", "two");
    guarded.push("ada", By::Ssh("ada"), "two");
    guarded.once().ends_with(0);
    let suspended = |what: &str| {
        guarded.once().ends_with(0);
        assert_eq!(
            guarded.world("staging/a").as_deref(),
            Some("one\n"),
            "{what}"
        );
        assert!(
            guarded.reason("staging").contains("suspended by ben"),
            "{what}"
        );
    };
    let gone = format!(":refs/tags/{tag}");
    guarded.git("eve", By::Nobody, &["push", "-q", "origin", &gone]);
    suspended("the tag is gone");
    let refused = guarded.logged("refused");
    let said = refused
        .iter()
        .any(|entry| entry.to_string().contains("it is gone or was overwritten"));
    assert!(said, "{refused:?}");
    guarded.say("eve", By::Nobody, tag, "nothing");
    suspended("it was overwritten");
    guarded.git("eve", By::Nobody, &["push", "-q", "origin", &gone]);
    guarded.say("eve", By::Nobody, "stratum/resume/staging", "go on");
    suspended("a word that does not count");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    guarded.say("ada", By::Ssh("ada"), "stratum/resume/staging", "go on");
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
}

#[test]
fn a_protected_environment_does_not_go_back_by_a_push() {
    let guarded = waiting();
    let one = guarded.git("ada", By::Nobody, &["rev-parse", "HEAD"]);
    let ballot = guarded.ballot("production");
    guarded.say(
        "ben",
        By::Ssh("ben"),
        &format!("stratum/approve/{ballot}"),
        "yes",
    );
    guarded.once().ends_with(0);
    guarded.file("production", "p", "two");
    guarded.push("ada", By::Ssh("ada"), "two");
    guarded.once().ends_with(4);
    let ballot = guarded.ballot("production");
    guarded.say(
        "ben",
        By::Ssh("ben"),
        &format!("stratum/approve/{ballot}"),
        "yes",
    );
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("production/p").as_deref(), Some("two\n"));
    guarded.back_to(&one);
    guarded.denied("production", "(protected-goes-not-back)");
    assert_eq!(guarded.world("production/p").as_deref(), Some("two\n"));
}

#[test]
fn who_wrote_what_is_taken_back_does_not_approve_that() {
    let guarded = begun(&["ada", "ben"]);
    let policy = "@id(\"protected-goes-not-back\")\n@reason(\"never\")\nforbid (principal, action, \
                  resource) when { false };\n";
    guarded.ground.write("policies/back.cedar", policy);
    guarded.push("ada", By::Ssh("ada"), "going back is a change like others");
    guarded.once().ends_with(4);
    let yes = |guarded: &Guarded, who: &str, key: By<'_>| {
        let ballot = guarded.ballot("production");
        guarded.say(who, key, &format!("stratum/approve/{ballot}+{who}"), "yes");
    };
    yes(&guarded, "ben", By::Ssh("ben"));
    guarded.once().ends_with(0);
    guarded.file("production", "p", "one");
    let one = guarded.push("ada", By::Ssh("ada"), "one");
    guarded.once().ends_with(4);
    yes(&guarded, "ben", By::Ssh("ben"));
    guarded.once().ends_with(0);
    guarded.file("production", "p", "two");
    guarded.push("ben", By::Ssh("ben"), "two");
    guarded.once().ends_with(4);
    yes(&guarded, "ada", By::Ssh("ada"));
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("production/p").as_deref(), Some("two\n"));
    guarded.back_to(&one);
    guarded.once().ends_with(4);
    yes(&guarded, "ben", By::Ssh("ben"));
    guarded.once().ends_with(4);
    assert_eq!(guarded.world("production/p").as_deref(), Some("two\n"));
}

#[test]
fn a_commit_whose_rules_cannot_be_used_never_becomes_a_base() {
    let guarded = released();
    let good = guarded.git("ada", By::Nobody, &["rev-parse", "HEAD"]);
    let bad: [(&str, &str); 4] = [
        ("stratum.ncl", "{ name = \"t\", environments = {\n"),
        ("policies/x.cedar", "permit (\n"),
        ("trust/people/carl.toml", "ssh = [\n"),
        ("stratum.ncl", "import \"nowhere.ncl\"\n"),
    ];
    for (path, text) in bad {
        guarded.ground.write(path, text);
        guarded.git("ada", By::Nobody, &["add", "--all"]);
        guarded.git(
            "ada",
            By::Ssh("ada"),
            &["commit", "-q", "-S", "-m", "broken rules"],
        );
        guarded.git("ada", By::Nobody, &["push", "-q", "origin", "HEAD:release"]);
        assert_ne!(guarded.once().code, 0, "{path}");
        guarded.git("ada", By::Nobody, &["reset", "-q", "--hard", &good]);
        guarded.file("production", "p", "mended");
        guarded.git("ada", By::Nobody, &["add", "--all"]);
        guarded.git(
            "ada",
            By::Ssh("ada"),
            &["commit", "-q", "-S", "-m", "mended"],
        );
        guarded.git(
            "ada",
            By::Nobody,
            &["push", "-q", "-f", "origin", "HEAD:release"],
        );
        guarded.once().ends_with(4);
        let reason = guarded.reason("production");
        assert!(reason.contains("needs approval by ben"), "{path}: {reason}");
        guarded.git("ada", By::Nobody, &["reset", "-q", "--hard", &good]);
        guarded.git(
            "ada",
            By::Nobody,
            &["push", "-q", "-f", "origin", "HEAD:release"],
        );
        guarded.once().ends_with(0);
    }
}

#[test]
fn an_emptied_trust_does_not_end_signatures() {
    let guarded = begun(&["ada"]);
    fs::remove_dir_all(guarded.ground.clone_folder().join("trust")).unwrap();
    guarded.push("ada", By::Ssh("ada"), "nobody");
    guarded.denied("staging", "has nobody left who could sign");
    guarded.file("staging", "a", "eve");
    guarded.push("eve", By::Nobody, "mine");
    guarded.once().ends_with(4);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
}

#[test]
fn budgets_come_from_the_base() {
    let guarded = Guarded::new(&["ada"]);
    let settings = |more: &str| {
        format!("{{ name = \"t\", environments = {{ staging = {{ max_deletes = 0{more} }} }} }}\n")
    };
    guarded.ground.write("stratum.ncl", &settings(""));
    let two = "{ local_file.a = { path = \"a\", content = \"a\\n\" }, local_file.b = { path = \
               \"b\", content = \"b\\n\" } }\n";
    guarded.ground.write("infra/staging.ncl", two);
    guarded.push("ada", By::Nobody, "first");
    guarded.once().ends_with(0);
    let wide = settings("").replace("max_deletes = 0", "max_deletes = 9, empty = true");
    for content in [
        "{ local_file.a = { path = \"a\", content = \"a\\n\" } }\n",
        "{}\n",
    ] {
        guarded.ground.write("stratum.ncl", &wide);
        guarded.ground.write("infra/staging.ncl", content);
        guarded.push("ada", By::Ssh("ada"), "both at once");
        guarded.once().ends_with(4);
        assert_eq!(guarded.world("staging/b").as_deref(), Some("b\n"));
    }
    // First the word, and then what it allows.
    guarded.ground.write("infra/staging.ncl", two);
    guarded.push("ada", By::Ssh("ada"), "the word");
    guarded.once().ends_with(0);
    guarded.ground.write("infra/staging.ncl", "{}\n");
    guarded.push("ada", By::Ssh("ada"), "and what it allows");
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("staging/b"), None);
}
