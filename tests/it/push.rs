//! From a push to the world, the record and back.

use std::fs;

use crate::ground::{Ground, git};

#[test]
fn a_push_is_applied_recorded_and_shown() {
    let ground = Ground::with_a_file();
    let commit = ground.push("one");
    ground.once().ends_with(0);
    assert_eq!(
        fs::read_to_string(ground.made("staging/a")).unwrap(),
        "one\n"
    );

    let status = ground.stratum(&["status", "--json"]).ends_with(0).json();
    let staging = &status["environments"][0];
    assert_eq!(staging["name"], "staging");
    assert_eq!(staging["condition"], "Ready");
    assert_eq!(staging["revision"], commit.as_str());
    assert_eq!(staging["resources"], 1);

    let history = ground.stratum(&["history", "--json"]).ends_with(0).json();
    let run = &history["runs"][0];
    assert_eq!(run["outcome"], "applied");
    assert_eq!(run["steps"]["done"], 1);
    let record = run["record"].as_str().unwrap();
    let files = git(
        &ground.bare(),
        &["show", "--format=", "--name-only", record],
    );
    let path = format!("stratum/records:{files}");
    let record = git(&ground.bare(), &["show", &path]);
    assert!(record.contains("outcome: applied"), "{record}");
    let note = git(&ground.bare(), &["notes", "--ref=stratum", "show", &commit]);
    assert!(note.starts_with("staging: applied"), "{note}");

    let resources = ground.stratum(&["get", "--json"]).ends_with(0).json();
    assert_eq!(resources["resources"][0]["address"], "staging/local_file.a");
    assert_eq!(resources["resources"][0]["condition"], "Ready");
    assert!(resources["resources"][0]["changed_at"].is_string());
    let shown = ground
        .stratum(&["show", "staging/local_file.a"])
        .ends_with(0);
    assert!(shown.out.contains("infra/staging.ncl:2"), "{}", shown.out);
}

#[test]
fn a_program_is_taken_back_by_a_revert_where_nobody_could_approve() {
    let ground = Ground::with_a_file();
    ground.push("one");
    ground.once().ends_with(0);
    ground.write(
        "infra/staging.ncl",
        "{\n  local_file.a = { path = \"a\", content = \"one\\n\" },\n  local_exec.x = { create = \
         [\"true\"], delete = [\"true\"] },\n}\n",
    );
    ground.push("two");
    ground.once().ends_with(0);
    git(&ground.clone_folder(), &["revert", "--no-edit", "HEAD"]);
    ground.push("back");
    ground.once().ends_with(0);
    let resources = ground.stratum(&["get", "--json"]).json();
    assert_eq!(resources["resources"].as_array().unwrap().len(), 1);
}

#[test]
fn what_got_stuck_is_led_out_of_by_a_revert() {
    let ground = Ground::with_a_file();
    ground.push("one");
    ground.once().ends_with(0);
    let gone = ground.made("").join("may-go");
    let command = format!("[\"test\", \"-e\", \"{}\"]", gone.display());
    ground.write(
        "infra/staging.ncl",
        &format!(
            "{{\n  local_file.a = {{ path = \"a\", content = \"one\\n\" }},\n  local_exec.x = {{ create = \
             [\"false\"], delete = {command} }},\n}}\n"
        ),
    );
    ground.push("two");
    ground.once().ends_with(1);
    let history = ground.stratum(&["history", "--json"]).json();
    assert_eq!(history["runs"][0]["outcome"], "stuck");
    fs::write(&gone, "").unwrap();
    git(&ground.clone_folder(), &["revert", "--no-edit", "HEAD"]);
    ground.push("back");
    ground.once().ends_with(0);
    let resources = ground.stratum(&["get", "--json"]).json();
    assert_eq!(resources["resources"].as_array().unwrap().len(), 1);
}

#[test]
fn another_read_of_a_program_is_a_change_like_any_other() {
    let ground = Ground::with_a_file();
    let made = |read: &str| {
        let text = format!(
            "let stratum = import \"stratum.ncl\" in {{\n  local_exec.x = {{ create = [\"true\"], delete = \
             [\"true\"], read = [\"echo\", \"{read}\"] }},\n  local_file.y = {{ path = \"y\", content = \
             stratum.ref \"local_exec.x.output\" }},\n}}\n"
        );
        ground.write("infra/staging.ncl", &text);
        ground.push(read);
        ground.once().ends_with(0);
        fs::read_to_string(ground.made("staging/y")).unwrap()
    };
    assert_eq!(made("one"), "one");
    assert_eq!(made("two"), "two");
}

#[test]
fn environments_that_come_and_go_are_in_the_plan() {
    let ground = Ground::with_a_file();
    ground.push("one");
    ground.once().ends_with(0);
    let settings = |names: &str| format!("{{ name = \"t\", environments = {{ {names} }} }}\n");
    ground.write("stratum.ncl", &settings("staging = {}, new = {}"));
    ground.write(
        "infra/new.ncl",
        "{ local_file.n = { path = \"n\", content = \"n\" } }\n",
    );
    ground.push("a new one");
    let plan = ground
        .stratum(&["plan", "--base", "HEAD~1", "--head", "HEAD"])
        .ends_with(0);
    assert!(
        plan.out.contains("local_file.n") && plan.out.contains("1 to add"),
        "{}",
        plan.out
    );
    ground.once().ends_with(0);

    ground.write("stratum.ncl", &settings("staging = {}, other = {}"));
    git(
        &ground.clone_folder(),
        &["mv", "infra/new.ncl", "infra/other.ncl"],
    );
    ground.push("renamed");
    let plan = ground.stratum(&["plan"]).ends_with(0);
    assert!(plan.side.contains("no longer names `new`"), "{}", plan.side);
    ground.once();
    let status = ground.stratum(&["status"]);
    assert!(status.out.contains("`empty = true`"), "{}", status.out);
    // The way that is named leads out.
    ground.write(
        "stratum.ncl",
        &settings("staging = {}, other = {}, new.empty = true"),
    );
    ground.write(
        "infra/new.ncl",
        "{ local_file.n = { path = \"n\", content = \"n\" } }\n",
    );
    ground.push("with its files, and empty");
    ground.once().ends_with(0);
    ground.write("infra/new.ncl", "{}\n");
    ground.push("its resources go");
    ground.once().ends_with(0);
    assert!(!ground.made("new/n").exists() && ground.made("other/n").exists());
}

#[test]
fn what_is_nobodys_is_discovered_and_taken_over_by_its_id() {
    let ground = Ground::with_a_file();
    ground.write(
        "infra/staging.ncl",
        "{ local_file.a = { path = \"./d//a\", content = \"1\" } }\n",
    );
    ground.push("one");
    ground.once().ends_with(0);
    fs::write(ground.made("staging/d/found"), "2").unwrap();
    std::os::unix::fs::symlink("found", ground.made("staging/d/link")).unwrap();
    let there = |more: &[&str]| {
        let words = ["discover", "local_file", "--env", "staging", "--json"];
        let said = ground.stratum(&[&words[..], more].concat());
        said.ends_with(0).json()["there"].clone()
    };
    assert_eq!(
        there(&[]),
        serde_json::json!([
            { "id": "d/a", "address": "staging/local_file.a" },
            { "id": "d/found", "address": null },
        ])
    );
    let nobodys = there(&["--unknown"]);
    let id = nobodys[0]["id"].as_str().unwrap();
    let both = format!(
        "{{ local_file.a = {{ path = \"d/a\", content = \"1\" }}, local_file.b = {{ path = \"d/found\", \
         content = \"3\", meta.adopt = \"{id}\" }} }}\n"
    );
    ground.write("infra/staging.ncl", &both);
    ground.push("take it over");
    ground.once().ends_with(0);
    assert_eq!(
        fs::read_to_string(ground.made("staging/d/found")).unwrap(),
        "3"
    );
    assert_eq!(there(&["--unknown"]), serde_json::json!([]));
    ground
        .stratum(&["discover", "local_data", "--env", "staging"])
        .ends_with(1);
    ground
        .stratum(&["discover", "no_type", "--env", "staging"])
        .ends_with(1);
}

#[test]
fn what_is_adopted_becomes_what_is_wanted() {
    let ground = Ground::with_a_file();
    fs::create_dir_all(ground.made("staging")).unwrap();
    fs::write(ground.made("staging/b"), "as it was\n").unwrap();
    let wanted = |adopt: &str| {
        let text = format!(
            "{{\n  local_file.b = {{ path = \"b\", content = \"as it should be\\n\"{adopt} }},\n}}\n"
        );
        ground.write("infra/staging.ncl", &text);
    };
    wanted(", meta.adopt = \"b\"");
    ground.push("adopt");
    ground.once().ends_with(0);
    let content = || fs::read_to_string(ground.made("staging/b")).unwrap();
    assert_eq!(content(), "as it should be\n");
    let history = ground.stratum(&["history", "--json"]).json();
    let runs = history["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{history}");
    assert!(runs.iter().all(|run| run["outcome"] == "applied"));
    let status = ground.stratum(&["status", "--json"]).json();
    assert_eq!(status["environments"][0]["condition"], "Ready");
    let plan = ["plan", "--detailed-exitcode"];
    ground.stratum(&plan).ends_with(0);
    wanted("");
    ground.push("it is ours");
    ground.once().ends_with(0);
    assert_eq!(content(), "as it should be\n");
    // What was right already takes one run.
    fs::write(ground.made("staging/c"), "right\n").unwrap();
    ground.write(
        "infra/staging.ncl",
        "{\n  local_file.b = { path = \"b\", content = \"as it should be\\n\" },\n  local_file.c = { \
         path = \"c\", content = \"right\\n\", meta.adopt = \"c\" },\n}\n",
    );
    ground.push("another");
    ground.once().ends_with(0);
    let history = ground.stratum(&["history", "--json"]).json();
    let adopted = &history["runs"][0];
    assert_eq!(adopted["steps"]["done"], 1, "{history}");
}

#[test]
fn a_plan_says_what_the_next_push_does_and_a_second_one_nothing() {
    let ground = Ground::with_a_file();
    ground.push("one");
    ground.once().ends_with(0);
    ground
        .stratum(&["plan", "--detailed-exitcode"])
        .ends_with(0);

    ground.write(
        "infra/staging.ncl",
        "{\n  local_file.a = { path = \"a\", content = \"two\\n\" },\n}\n",
    );
    ground.push("two");
    let plan = ground
        .stratum(&["plan", "--json", "--detailed-exitcode"])
        .ends_with(2)
        .json();
    assert_eq!(plan["version"], 1);
    assert_eq!(plan["steps"][0]["action"], "update");
    let changes = plan["steps"][0]["changes"].as_array().unwrap();
    let content = changes
        .iter()
        .find(|change| change["path"] == "content")
        .unwrap();
    assert_eq!(content["before"], "one\n");
    assert_eq!(content["after"], "two\n");
    assert_eq!(content["source"]["file"], "infra/staging.ncl");
    assert_eq!(content["source"]["line"], 2);
    assert_eq!(plan["summary"]["update"], 1);
    let again = ground.stratum(&["plan", "--json"]).json();
    assert_eq!(plan["digest"], again["digest"]);

    let text = ground.stratum(&["plan", "--env", "staging"]).ends_with(0);
    assert!(
        text.out.contains("        -one\n        +two\n"),
        "{}",
        text.out
    );
    let last = text.out.trim_end().lines().last();
    assert_eq!(last, Some("Plan: 0 to add, 1 to change, 0 to destroy."));
}

#[test]
fn two_commits_are_compared_without_state_or_world() {
    let ground = Ground::with_a_file();
    let one = ground.push("one");
    ground.write(
        "infra/staging.ncl",
        "{\n  local_file.a = { path = \"b\", content = \"one\\n\" },\n}\n",
    );
    let two = ground.push("two");
    let plan = ground.stratum(&["plan", "--base", &one, "--head", &two, "--json"]);
    let plan = plan.ends_with(0).json();
    assert_eq!(plan["steps"][0]["action"], "replace");
    assert!(
        !ground.bare().join("stratum").exists(),
        "plan wrote a state"
    );
}

#[test]
fn a_push_that_breaks_is_rolled_back_and_held_until_its_revert() {
    let ground = Ground::with_a_file();
    ground.push("one");
    ground.once().ends_with(0);
    ground.write(
        "infra/staging.ncl",
        r#"{
  local_file.a = { path = "a", content = "two\n" },
  local_exec.b = {
    create = ["false"],
    delete = ["true"],
    meta = { depends_on = ["local_file.a"] },
  },
}
"#,
    );
    let broken = ground.push("two");
    ground.once().ends_with(1);
    assert_eq!(
        fs::read_to_string(ground.made("staging/a")).unwrap(),
        "one\n"
    );
    let status = ground.stratum(&["status", "--json"]).json();
    assert_eq!(status["environments"][0]["condition"], "Stalled");
    assert_eq!(status["environments"][0]["held"], broken.as_str());

    let runs = |count: usize| {
        let history = ground.stratum(&["history", "--json"]).json();
        assert_eq!(history["runs"].as_array().unwrap().len(), count);
        history["runs"][0]["outcome"].clone()
    };
    assert_eq!(runs(2), "rolled-back");
    ground.once().ends_with(1);
    assert_eq!(runs(2), "rolled-back", "a held revision was tried again");

    git(&ground.clone_folder(), &["revert", "--no-edit", "HEAD"]);
    ground.push("and nothing else");
    ground.once().ends_with(0);
    let status = ground.stratum(&["status", "--json"]).json();
    assert_eq!(status["environments"][0]["condition"], "Ready");
    assert!(status["environments"][0]["held"].is_null());
}

#[test]
fn a_repository_is_named_relative_to_where_one_stands() {
    let ground = Ground::with_a_file();
    ground.push("one");
    let root = ground.made("");
    let arguments = ["reconcile", "--once", "--root", root.to_str().unwrap()];
    let from = |folder: &std::path::Path, repository: &str, rest: &[&str]| {
        crate::ground::stratum(folder, &[&["--repo", repository], rest].concat())
    };
    from(&ground.clone_folder(), "../bare.git", &arguments).ends_with(0);
    assert!(ground.made("staging/a").exists());
    assert!(ground.bare().join("stratum/state.db").exists());
    let nested = ground.clone_folder().join("infra");
    for (folder, repository) in [
        (&ground.clone_folder(), "../bare.git"),
        (&ground.clone_folder(), "../clone/../bare.git"),
        (&nested, "../../bare.git"),
    ] {
        let status = from(folder, repository, &["status", "--json"]);
        let status = status.ends_with(0).json();
        assert_eq!(status["environments"][0]["condition"], "Ready");
    }
    from(&nested, "../bare.git", &["status"]).ends_with(1);
}

#[test]
fn records_never_go_to_a_branch_that_is_read() {
    let ground = Ground::with_a_file();
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { staging = {} }, records.branch = \"main\" }\n",
    );
    ground.write(
        "knowledge/n.md",
        "---\nid: n-1\ntype: note\ntitle: N\n---\n\nText.\n",
    );
    ground.push("one");
    for _ in 0..3 {
        ground.once().ends_with(0);
    }
    let runs = ground.stratum(&["history", "--json"]).json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2, "{runs}");
    let files = git(&ground.bare(), &["ls-tree", "-r", "--name-only", "main"]);
    assert_eq!(files.matches("knowledge/executions/").count(), 0, "{files}");
    let files = git(
        &ground.bare(),
        &["ls-tree", "-r", "--name-only", "stratum/records"],
    );
    assert_eq!(files.matches("knowledge/executions/").count(), 2, "{files}");
    let status = ground.stratum(&["status", "--json"]).json();
    for environment in status["environments"].as_array().unwrap() {
        assert_eq!(environment["condition"], "Ready", "{status}");
    }
}
