//! What bad input gets: one sentence, its place, and the next command.

use std::process::Command;

use crate::ground::{Ground, PROGRAM, run, stratum};

/// Pushes `text` as the file of `staging`, and expects a finding at a line.
fn expect(text: &str, code: &str, line: u64) {
    let ground = Ground::with_a_file();
    ground.write("infra/staging.ncl", text);
    ground.push("a mistake");
    let check = stratum(&ground.clone_folder(), &["check", "--json"])
        .ends_with(1)
        .json();
    let findings = check["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["code"] == code);
    let found = found.unwrap_or_else(|| panic!("no {code} in {findings:?}"));
    assert_eq!(found["file"], "infra/staging.ncl");
    assert_eq!(found["line"], line, "{found}");
    assert_eq!(found["severity"], "error");
    let plan = ground.stratum(&["plan"]).ends_with(1);
    assert!(plan.side.contains(code), "{}", plan.side);
    assert!(plan.side.contains(&format!("stratum explain {code}")) || findings.len() > 1);
}

#[test]
fn mistakes_in_nickel_are_shown_on_their_line() {
    expect("{\n  local_file.a = = {},\n}\n", "STR0201", 2);
    expect("{\n  local_fle.a = { path = \"a\" },\n}\n", "STR0301", 2);
    expect(
        "{\n  local_file.a = { path = \"a\", content = \"\", owner = 5 },\n}\n",
        "STR0304",
        2,
    );
}

/// What the program or the system would refuse when it is applied.
#[test]
fn what_would_fail_while_it_is_applied_is_found_before() {
    let file = |meta: &str| {
        format!("{{\n  local_file.a = {{ path = \"a\", content = \"\",\n    meta.{meta} }},\n}}\n")
    };
    for meta in [
        "adopt = \"b\"",
        "adopt = \"../a\"",
        "moved_from = \"local_file.a\"",
        "moved_from = \"local_symlink.b\"",
    ] {
        expect(&file(meta), "STR0311", 3);
    }
    for meta in [
        "health = { tcp = \"x\" }",
        "health = { http = \"https://x/\" }",
    ] {
        expect(&file(meta), "STR0309", 3);
    }
    let service = "{\n  local_service.a = { command = [\"x\"],\n    user = \"a:b\" },\n}\n";
    expect(service, "STR0309", 3);
}

#[test]
fn settings_that_could_never_work_are_found_before() {
    for own in [
        "branch = \"a..b\"",
        "branch = \"x.lock\"",
        "branch = \"-x\"",
        "drift.every = \"1ns\"",
    ] {
        let ground = Ground::with_a_file();
        let text = format!("{{ name = \"t\", environments.staging = {{ {own} }} }}\n");
        ground.write("stratum.ncl", &text);
        let check = stratum(&ground.clone_folder(), &["check"]).ends_with(1);
        assert!(check.out.contains("STR0103"), "{own}: {}", check.out);
    }
    // A state that a push can enter and none can leave.
    let ground = Ground::with_a_file();
    let text = "{ name = \"t\", signatures = 'required, environments.staging = {} }\n";
    ground.write("stratum.ncl", text);
    let check = stratum(&ground.clone_folder(), &["check"]).ends_with(1);
    assert!(check.out.contains("STR0909"), "{}", check.out);
    ground.push("locks");
    let once = ground.once();
    assert_ne!(once.code, 0);
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments.staging = {} }\n",
    );
    ground.push("unlocks");
    ground.once().ends_with(0);
}

/// Also what is about an environment as a whole points at a file.
#[test]
fn every_finding_of_a_plan_has_a_place() {
    let ground = Ground::with_a_file();
    ground.push("good");
    ground.once().ends_with(0);
    // What is applied decides over budgets.
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments.staging = { max_deletes = 0 } }\n",
    );
    ground.push("a budget");
    ground.once().ends_with(0);
    let other = "{ local_file.b = { path = \"b\", content = \"\" } }\n";
    for (infra, code) in [("{}", "STR0803"), (other, "STR0802")] {
        ground.write("infra/staging.ncl", infra);
        ground.push("less");
        let plan = ground.stratum(&["plan", "--json"]).ends_with(1).json();
        let found = plan["findings"].as_array().unwrap().iter();
        let found = found.filter(|finding| finding["code"] == code);
        let files: Vec<_> = found.map(|finding| finding["file"].clone()).collect();
        assert_eq!(files, ["stratum.ncl"], "{plan}");
    }
}

/// Each command that the page of failures names is one.
#[test]
fn the_commands_of_the_page_of_failures_are_there() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/reconciler/docs/failures.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut seen = 0;
    for quoted in page.split('`').skip(1).step_by(2) {
        let Some(words) = quoted.strip_prefix("stratum ") else {
            continue;
        };
        let plain = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
        let mut words: Vec<&str> = words.split(' ').take_while(plain).collect();
        words.push("--help");
        let ground = Ground::new();
        ground.stratum(&words).ends_with(0);
        seen += 1;
    }
    assert!(seen > 8, "{seen}");
}

#[test]
fn references_that_lead_nowhere_or_in_a_circle_are_shown() {
    expect(
        "{\n  local_file.a = { path = \"a\", content = \"\", meta.depends_on = [\"local_file.x\"] },\n}\n",
        "STR0306",
        2,
    );
    expect(
        "{\n  local_file.a = { path = \"a\", content = local_file.b.sha256 },\n  \
         local_file.b = { path = \"b\", content = local_file.a.sha256 },\n}\n",
        "STR0307",
        2,
    );
}

#[test]
fn the_last_good_revision_stays_applied() {
    let ground = Ground::with_a_file();
    let good = ground.push("good");
    ground.once().ends_with(0);
    ground.write("infra/staging.ncl", "{ oops");
    let bad = ground.push("bad");
    ground.once().ends_with(1);
    let status = ground.stratum(&["status", "--json"]).json();
    let staging = &status["environments"][0];
    assert_eq!(staging["condition"], "Stalled");
    assert_eq!(staging["revision"], good.as_str());
    assert_eq!(staging["desired_revision"], bad.as_str());
    assert!(
        staging["reason"]
            .as_str()
            .unwrap()
            .contains("infra/staging.ncl:1")
    );
    assert!(ground.made("staging/a").exists());
}

#[test]
fn a_missing_empty_or_foreign_repository_gets_a_sentence_and_a_hint() {
    let ground = Ground::new();
    for (folder, arguments, sentence) in [
        (
            ground.made("").parent().unwrap().to_owned(),
            "check",
            "there is no git repository",
        ),
        (ground.bare(), "plan", "has no commit yet"),
        (ground.bare(), "status", "has no commit yet"),
        (ground.bare(), "reconcile --once", "has no commit yet"),
        (ground.bare(), "history", "there is no state"),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let answer = stratum(&folder, &arguments).ends_with(1);
        assert!(answer.side.starts_with("error: "), "{}", answer.side);
        assert!(answer.side.contains(sentence), "{}", answer.side);
        let last = answer.side.trim_end().lines().last().unwrap();
        assert!(last.starts_with("hint: "), "{}", answer.side);
        assert_eq!(answer.out, "");
    }
}

#[test]
fn a_repository_without_settings_says_so() {
    let ground = Ground::new();
    ground.write("README", "x");
    ground.push("no settings");
    let check = stratum(&ground.clone_folder(), &["check"]).ends_with(1);
    assert!(check.out.contains("STR0101"), "{}", check.out);
    assert!(check.out.contains("stratum init"), "{}", check.out);
    ground.once().ends_with(1);
}

#[test]
fn checks_see_the_work_tree_the_index_or_a_commit() {
    let ground = Ground::with_a_file();
    ground.push("good");
    let clone = ground.clone_folder();
    ground.write("infra/staging.ncl", "{ oops");
    stratum(&clone, &["check"]).ends_with(1);
    stratum(&clone, &["check", "--staged"]).ends_with(0);
    stratum(&clone, &["check", "--rev", "HEAD"]).ends_with(0);
    crate::ground::git(&clone, &["add", "--all"]);
    stratum(&clone, &["check", "--staged"]).ends_with(1);
    let sarif = stratum(&clone, &["check", "--sarif"]).ends_with(1).json();
    let place = "/runs/0/results/0/locations/0/physicalLocation/artifactLocation/uri";
    assert_eq!(sarif.pointer(place).unwrap(), "infra/staging.ncl");
}

#[test]
fn a_remote_that_is_down_leaves_what_was_fetched() {
    let ground = Ground::with_a_file();
    ground.push("good");
    let top = ground.clone_folder().parent().unwrap().to_owned();
    let address = format!("file://{}", ground.bare().display());
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        let state = top.join("state");
        run(
            &top,
            command
                .args(["--repo", &address])
                .args(arguments)
                .env("XDG_STATE_HOME", state),
        )
    };
    let world = ground.made("");
    let once = ["reconcile", "--once", "--root", world.to_str().unwrap()];
    ask(&once).ends_with(0);
    let well = ask(&["status"]).ends_with(0);
    assert!(!well.side.contains("not up to date"), "{}", well.side);
    // It is there, and does not answer as a repository.
    std::fs::rename(ground.bare().join("HEAD"), ground.bare().join("away")).unwrap();
    let status = ask(&["status", "--json"]).ends_with(0);
    assert!(
        status
            .side
            .contains("not up to date: the remote could not be reached"),
        "{}",
        status.side
    );
    assert_eq!(status.json()["environments"][0]["condition"], "Ready");
    ask(&["plan"]).ends_with(3);
    ask(&once).ends_with(3);
}

#[test]
fn wrong_arguments_end_with_1_and_help_with_0() {
    let ground = Ground::new();
    ground.stratum(&["frobnicate"]).ends_with(1);
    ground.stratum(&["plan", "--nonsense"]).ends_with(1);
    let help = ground.stratum(&["--help"]).ends_with(0);
    assert!(help.out.contains("4  denied by policy"), "{}", help.out);
    ground.stratum(&["--version"]).ends_with(0);
}

#[test]
fn a_pipe_that_closes_early_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            "{ \"$PROGRAM\" completions bash; echo $? >code; } | head -n 1",
        ])
        .env("PROGRAM", crate::ground::PROGRAM)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let code = std::fs::read_to_string(folder.path().join("code")).unwrap();
    assert_eq!(code.trim(), "0");
}

#[test]
fn colors_are_for_terminals_or_for_whoever_asks() {
    let ground = Ground::new();
    let escape = '\u{1b}';
    let plain = ground.stratum(&["explain", "STR0101"]).ends_with(0);
    assert!(!plain.out.contains(escape));
    let asked = ground
        .stratum(&["explain", "STR0101", "--color", "always"])
        .ends_with(0);
    assert!(asked.out.contains(escape));
}
