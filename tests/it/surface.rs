//! The commands that read: in both forms, in a pipe, without UTF-8.

use std::fs;
use std::process::Command;

use crate::ground::{Ground, PROGRAM, git, run, stratum};

/// Two files, the second of which depends on the first, applied and then changed.
fn ground() -> Ground {
    let ground = Ground::new();
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { staging = {} } }\n",
    );
    write(&ground, "one");
    ground.push("Merge pull request #7 from ada/one\n\nThe first page");
    ground.once().ends_with(0);
    ground
}

fn write(ground: &Ground, text: &str) {
    ground.write(
        "infra/staging.ncl",
        &format!(
            "{{\n  local_file.a = {{ path = \"a\", content = \"{text}\\n\" }},\n  local_file.b = {{ path \
             = \"b\", content = \"b\", meta = {{ depends_on = [\"local_file.a\"] }} }},\n}}\n"
        ),
    );
}

#[test]
fn a_tree_shows_what_depends_on_what() {
    let ground = ground();
    let tree = ground.stratum(&["tree"]).ends_with(0).out;
    let mut lines = tree.lines();
    assert!(lines.next().unwrap().contains("staging  Ready  "), "{tree}");
    assert!(lines.next().unwrap().ends_with("local_file.b"), "{tree}");
    assert!(lines.next().unwrap().starts_with("   "), "{tree}");
    let json = ground.stratum(&["tree", "--json"]).ends_with(0).json();
    let resources = &json["environments"][0]["resources"];
    assert_eq!(json["version"], 1);
    assert_eq!(resources[1]["depends_on"][0], "staging/local_file.a");
    assert_eq!(resources[0]["required_by"][0], "staging/local_file.b");
    let inverted = ground
        .stratum(&["tree", "staging/local_file.a", "--invert"])
        .ends_with(0)
        .out;
    assert!(
        inverted.lines().last().unwrap().ends_with("local_file.b"),
        "{inverted}"
    );
    let wrong = ground
        .stratum(&["tree", "staging/local_file.c"])
        .ends_with(1)
        .side;
    assert!(wrong.contains("did you mean"), "{wrong}");
}

#[test]
fn a_trace_leads_back_to_the_commit_and_its_record() {
    let ground = ground();
    let trace = ground
        .stratum(&["trace", "staging/local_file.a", "--json"])
        .ends_with(0)
        .json();
    assert_eq!(trace["source"]["line"], 2);
    assert_eq!(trace["commit"]["author"], "Ada <ada@example.org>");
    assert_eq!(trace["pull_request"]["number"], 7);
    assert_eq!(trace["pull_request"]["title"], "The first page");
    assert_eq!(trace["plan"]["decision"], "allow");
    assert!(trace["plan"]["policies"][0]["id"].is_string());
    assert_eq!(trace["run"]["outcome"], "applied");
    let record = format!(
        "{}:{}",
        trace["record"]["commit"].as_str().unwrap(),
        trace["record"]["path"].as_str().unwrap()
    );
    assert!(git(&ground.bare(), &["show", &record]).contains("outcome: applied"));
    let text = ground
        .stratum(&["trace", "staging/local_file.a"])
        .ends_with(0)
        .out;
    for part in [
        "#7 The first page",
        "infra/staging.ncl:2",
        "Ada",
        "applied in",
        "`git -C ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // What was tried and put back is not where the content comes from.
    let made_by = trace["run"]["id"].clone();
    ground.write(
        "infra/staging.ncl",
        "{ local_file.a = { path = \"a\", content = \"x\" }, local_service.s = { command = [\"no-such\"], \
         meta = { depends_on = [\"local_file.a\"] } } }\n",
    );
    let tried = ground.push("tried");
    ground.once().ends_with(1);
    let trace = ground
        .stratum(&["trace", "staging/local_file.a", "--json"])
        .ends_with(0)
        .json();
    assert_eq!(trace["run"]["id"], made_by);
    assert_eq!(trace["attempt"]["revision"], tried.as_str());
    assert_eq!(trace["attempt"]["outcome"], "rolled-back");
    ground.write(
        "infra/staging.ncl",
        "{ local_file.c = { path = \"c\", content = \"\" } }\n",
    );
    ground.push("gone");
    ground.once().ends_with(0);
    let trace = ground
        .stratum(&["trace", "staging/local_file.a", "--json"])
        .ends_with(0)
        .json();
    assert_eq!(trace["condition"], "gone");
    assert_eq!(trace["plan"]["action"], "delete");
}

#[test]
fn a_diff_compares_the_state_and_two_revisions() {
    let ground = ground();
    assert_eq!(ground.stratum(&["diff"]).ends_with(0).out, "");
    let first = git(&ground.bare(), &["rev-parse", "main"]);
    write(&ground, "two");
    let second = ground.push("two");
    let diff = ground.stratum(&["diff"]).ends_with(0).out;
    assert!(
        diff.starts_with("--- staging/local_file.a (state)\n+++ staging/local_file.a ("),
        "{diff}"
    );
    assert!(diff.contains("\n-content: \"one\\n\"\n"), "{diff}");
    let between = ground
        .stratum(&["diff", &first, &second, "--json"])
        .ends_with(0)
        .json();
    let environment = &between["environments"][0];
    assert_eq!(environment["from"], first.as_str());
    assert_eq!(environment["resources"][0]["action"], "update");
    ground.stratum(&["diff", "nowhere"]).ends_with(1);
}

#[test]
fn events_are_one_object_a_line_and_hold_no_values() {
    let ground = Ground::new();
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { staging = {} } }\n",
    );
    write(&ground, "a-value-of-a-resource");
    ground.push("one");
    ground.once().ends_with(0);
    write(&ground, "another");
    ground.push("two");
    ground.once().ends_with(0);
    let out = ground
        .stratum(&["events", "--json", "-n", "100"])
        .ends_with(0)
        .out;
    let events: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = events
        .iter()
        .map(|e| e["event"].as_str().unwrap())
        .collect();
    assert_eq!(names.first(), Some(&"started"));
    assert_eq!(names.last(), Some(&"recorded"));
    assert!(events.iter().all(|event| event["version"] == 1));
    assert!(!out.contains("a-value-of-a-resource"), "{out}");
    let last = ground.stratum(&["events", "-n", "1"]).ends_with(0).out;
    assert_eq!(last.lines().count(), 1);
}

#[test]
fn history_is_a_timeline_with_what_git_says() {
    let ground = ground();
    let out = ground.stratum(&["history"]).ends_with(0).out;
    assert!(out.contains("  staging  applied  "), "{out}");
    assert!(
        out.contains("\"Merge pull request #7 from ada/one\" by Ada"),
        "{out}"
    );
}

#[test]
fn files_are_put_into_their_form_and_bad_ones_are_left_alone() {
    let ground = Ground::new();
    let clone = ground.clone_folder();
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { staging = {} } } # why  \n\n\n",
    );
    ground.write("policies/a.cedar", "permit(principal,action,resource);\n");
    ground.write("forms/f.toml", "a = 1  \n");
    ground.write("Cargo.toml", "b = 1  \n");
    let check = stratum(&clone, &["fmt", "--check"]).ends_with(1).out;
    for path in ["stratum.ncl", "policies/a.cedar", "forms/f.toml"] {
        assert!(check.contains(path), "{check}");
    }
    assert!(!check.contains("Cargo.toml"), "{check}");
    stratum(&clone, &["fmt"]).ends_with(0);
    stratum(&clone, &["fmt", "--check"]).ends_with(0);
    let text = fs::read_to_string(clone.join("stratum.ncl")).unwrap();
    assert_eq!(
        text,
        "{ name = \"t\", environments = { staging = {} } } # why\n"
    );
    ground.write("stratum.ncl", "{ name = \n");
    let wrong = stratum(&clone, &["fmt"]).ends_with(1).side;
    assert!(wrong.contains("stratum.ncl"), "{wrong}");
    assert_eq!(
        fs::read_to_string(clone.join("stratum.ncl")).unwrap(),
        "{ name = \n"
    );
}

#[test]
fn without_utf8_and_without_colour_everything_is_said_in_ascii() {
    let ground = ground();
    for arguments in [
        vec!["status"],
        vec!["tree"],
        vec!["history"],
        vec!["get"],
        vec!["trace", "staging/local_file.a"],
    ] {
        let mut command = Command::new(PROGRAM);
        command
            .args(&arguments)
            .env_remove("STRATUM_REPO")
            .env("LC_ALL", "C")
            .env("NO_COLOR", "1");
        let answer = run(&ground.bare(), &mut command).ends_with(0);
        assert!(answer.out.is_ascii(), "{arguments:?}: {}", answer.out);
        assert!(!answer.out.contains('\u{1b}'), "{arguments:?}");
    }
}

#[test]
fn the_reference_pages_are_up_to_date() {
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = ["commands", "settings", "findings", "metrics", "policies"];
    let pages = pages.map(|page| (page, format!("reconciler/docs/reference/{page}.md")));
    let contracts = ("local", "schemas/local.ncl".to_owned());
    for (page, file) in pages.into_iter().chain([contracts]) {
        let made = stratum(top, &["reference", page]).ends_with(0).out;
        let there = fs::read_to_string(top.join(&file)).unwrap_or_default();
        assert!(
            made == there,
            "`{file}` is behind the program: `make reference` writes it again"
        );
    }
}
