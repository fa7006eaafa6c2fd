//! The hooks of git, called by stock git, and those of the pre-commit framework, called by it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ground::{Answer, Ground, PROGRAM, git, run, stratum};

/// A private key, written in pieces so that this file itself is not refused.
fn key() -> String {
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7";
    format!("-----BEGIN PRIVATE {}-----\n{body}\n", "KEY")
}

fn ground() -> Ground {
    let ground = Ground::with_a_file();
    ground.push("one");
    for folder in [ground.clone_folder(), ground.bare()] {
        stratum(&folder, &["init", "--hooks"]).ends_with(0);
    }
    ground
}

/// Stock git, which may fail, for somebody who looks at another repository otherwise.
fn try_git(folder: &Path, arguments: &[&str]) -> Answer {
    let mut command = Command::new("git");
    command.args(arguments).env("STRATUM_REPO", "/nowhere");
    run(folder, &mut command)
}

fn commit(ground: &Ground) -> Answer {
    let clone = ground.clone_folder();
    git(&clone, &["add", "--all"]);
    try_git(&clone, &["commit", "-q", "-m", "x"])
}

#[test]
fn a_good_commit_is_made_without_a_word() {
    let ground = ground();
    ground.write(
        "infra/staging.ncl",
        "{ local_file.a = { path = \"a\", content = \"two\" } }\n",
    );
    let answer = commit(&ground).ends_with(0);
    assert_eq!((answer.out.as_str(), answer.side.as_str()), ("", ""));
    let clone = ground.clone_folder();
    ground.write(
        "infra/staging.ncl",
        "{ local_file.a = { path = \"a\", content = \"three\" } }\n",
    );
    // `commit -a` and paths give the hook an index of their own.
    try_git(&clone, &["commit", "-q", "-am", "all"]).ends_with(0);
    ground.write(
        "infra/staging.ncl",
        "{ local_file.a = { path = \"a\", contnet = \"\" } }\n",
    );
    let answer = try_git(&clone, &["commit", "-q", "-m", "path", "infra/staging.ncl"]).ends_with(1);
    assert!(answer.side.contains("STR0302"), "{}", answer.side);
}

#[test]
fn keys_plaintext_and_errors_are_refused_before_they_are_committed() {
    for (path, text, code) in [
        ("deploy/id.pem", key(), "error[STR0709]"),
        (
            "secrets/staging/db.yaml",
            "password: hunter2\n".to_owned(),
            "error[STR0701]",
        ),
        (
            "infra/staging.ncl",
            "{ local_flie.a = {} }\n".to_owned(),
            "error[STR0301]",
        ),
    ] {
        let ground = ground();
        ground.write(path, &text);
        let answer = commit(&ground).ends_with(1);
        assert!(answer.side.contains(code), "{}", answer.side);
        assert!(answer.side.contains(path), "{}", answer.side);
        assert!(answer.side.contains("hint: "), "{}", answer.side);
        for secret in ["hunter2", "MIIEvQ"] {
            assert!(
                !answer.side.contains(secret),
                "a secret was shown: {}",
                answer.side
            );
        }
        assert_eq!(
            git(&ground.clone_folder(), &["rev-list", "--count", "HEAD"]),
            "1"
        );
    }
}

#[test]
fn a_linked_work_tree_is_checked_by_its_own_index() {
    let ground = ground();
    let other = ground.clone_folder().with_file_name("other");
    git(
        &ground.clone_folder(),
        &["worktree", "add", "-q", other.to_str().unwrap()],
    );
    fs::write(other.join("k"), key()).unwrap();
    git(&other, &["add", "k"]);
    let answer = try_git(&other, &["commit", "-q", "-m", "x"]).ends_with(1);
    assert!(answer.side.contains("k:1:1"), "{}", answer.side);
    git(&other, &["rm", "-q", "-f", "k"]);
    try_git(&other, &["commit", "-q", "--allow-empty", "-m", "x"]).ends_with(0);
}

#[test]
fn a_push_says_what_it_changes_and_a_push_of_errors_is_stopped() {
    let ground = ground();
    let clone = ground.clone_folder();
    ground.write(
        "infra/staging.ncl",
        "{ local_file.b = { path = \"b\", content = \"\" } }\n",
    );
    commit(&ground).ends_with(0);
    let answer = try_git(&clone, &["push", "-q", "origin", "HEAD:main"]).ends_with(0);
    assert_eq!(
        answer.side,
        "staging: Plan: 1 to add, 0 to change, 1 to destroy.\n"
    );
    let answer = try_git(&clone, &["push", "-q", "origin", "HEAD:main"]).ends_with(0);
    assert_eq!(answer.side, "");

    ground.write("infra/staging.ncl", "{ local_file.b = { pth = \"b\" } }\n");
    git(&clone, &["commit", "-q", "--no-verify", "-am", "skipped"]);
    let answer = try_git(&clone, &["push", "-q", "origin", "HEAD:main"]).ends_with(1);
    assert!(answer.side.contains("STR0302"), "{}", answer.side);
}

#[test]
fn work_that_is_not_done_may_be_pushed_where_nobody_follows_it() {
    let ground = ground();
    let clone = ground.clone_folder();
    git(&clone, &["fetch", "-q", "origin"]);
    git(&clone, &["remote", "set-head", "origin", "main"]);
    ground.write("infra/staging.ncl", "{ local_file.b = { pth = \"b\" } }\n");
    git(&clone, &["commit", "-q", "--no-verify", "-am", "not done"]);
    try_git(&clone, &["push", "-q", "origin", "HEAD:main"]).ends_with(1);
    try_git(&clone, &["push", "-q", "origin", "HEAD:wip"]).ends_with(0);
    // Plaintext and keys may be nowhere.
    ground.write("secrets/staging/db", "hunter2\n");
    git(&clone, &["add", "--all"]);
    git(&clone, &["commit", "-q", "--no-verify", "-m", "plaintext"]);
    let answer = try_git(&clone, &["push", "-q", "origin", "HEAD:wip"]).ends_with(1);
    assert!(answer.side.contains("STR0701"), "{}", answer.side);
}

#[test]
fn a_server_refuses_what_a_clone_skipped() {
    let ground = ground();
    let clone = ground.clone_folder();
    let push = |name: &str| {
        let target = format!("HEAD:{name}");
        try_git(&clone, &["push", "-q", "--no-verify", "origin", &target])
    };
    let tip = git(&ground.bare(), &["rev-parse", "main"]);

    // Errors: not where an environment looks, but elsewhere.
    ground.write("infra/staging.ncl", "{ local_file.a = { pth = \"a\" } }\n");
    git(&clone, &["commit", "-q", "--no-verify", "-am", "errors"]);
    let answer = push("main").ends_with(1);
    assert!(
        answer.side.contains("remote: error[STR0302]"),
        "{}",
        answer.side
    );
    push("wip").ends_with(0);

    // A key that a later commit takes away again, and plaintext: nowhere.
    git(&clone, &["reset", "-q", "--hard", "origin/main"]);
    for (text, message) in [(key(), "a key"), ("clean\n".to_owned(), "taken away")] {
        ground.write("k", &text);
        git(&clone, &["add", "k"]);
        git(&clone, &["commit", "-q", "--no-verify", "-m", message]);
    }
    for branch in ["main", "wip2", "refs/tags/t"] {
        let answer = push(branch).ends_with(1);
        assert!(
            answer.side.contains("remote: error[STR0709]"),
            "{}",
            answer.side
        );
        assert!(!answer.side.contains("MIIEvQ"), "{}", answer.side);
    }
    git(&clone, &["reset", "-q", "--hard", "origin/main"]);
    ground.write("secrets/staging/db", "hunter2\n");
    git(&clone, &["add", "--all"]);
    git(&clone, &["commit", "-q", "--no-verify", "-m", "plaintext"]);
    let answer = push("wip3").ends_with(1);
    assert!(
        answer.side.contains("remote: error[STR0701]"),
        "{}",
        answer.side
    );
    assert!(!answer.side.contains("hunter2"), "{}", answer.side);

    assert_eq!(git(&ground.bare(), &["rev-parse", "main"]), tip);
    git(&clone, &["reset", "-q", "--hard", "origin/main"]);
    ground.write("README.md", "fine\n");
    let pushed = ground.push("fine");
    assert_eq!(git(&ground.bare(), &["rev-parse", "main"]), pushed);
}

#[test]
fn hooks_of_others_stay_and_are_named() {
    let ground = Ground::with_a_file();
    let path = ground.clone_folder().join(".git/hooks/pre-commit");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
    let answer = stratum(&ground.clone_folder(), &["init", "--hooks"]).ends_with(0);
    assert!(
        answer.side.contains("stratum hook pre-commit"),
        "{}",
        answer.side
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "#!/bin/sh\nexit 0\n");
}

#[test]
fn the_pre_commit_framework_runs_the_hooks() {
    let Some(framework) = on_path("pre-commit") else {
        eprintln!("SKIPPED: `pre-commit` is not on the PATH; `pip install pre-commit` brings it");
        return;
    };
    let ground = Ground::with_a_file();
    ground.push("one");
    let clone = ground.clone_folder();
    let hooks = clone.with_file_name("hooks");
    fs::create_dir(&hooks).unwrap();
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(
        top.join(".pre-commit-hooks.yaml"),
        hooks.join(".pre-commit-hooks.yaml"),
    )
    .unwrap();
    git(&hooks, &["init", "-q", "-b", "main"]);
    git(&hooks, &["add", "--all"]);
    git(&hooks, &["commit", "-q", "-m", "hooks"]);
    let rev = git(&hooks, &["rev-parse", "HEAD"]);
    ground.write(
        ".pre-commit-config.yaml",
        &format!(
            "repos:\n- repo: {}\n  rev: {rev}\n  hooks:\n  - id: stratum-check\n  - id: stratum-fmt\n  \
             - id: stratum-plan\n",
            hooks.display()
        ),
    );
    let framework = |arguments: &[&str]| {
        let mut command = Command::new(&framework);
        command
            .args(arguments)
            .env("PRE_COMMIT_HOME", clone.with_file_name("cache"))
            .env("PATH", path_with_program());
        run(&clone, &mut command)
    };
    framework(&[
        "install",
        "--hook-type",
        "pre-commit",
        "--hook-type",
        "pre-push",
    ])
    .ends_with(0);
    git(&clone, &["add", "--all"]);

    let good = framework(&["run"]).ends_with(0);
    assert_eq!(good.out.matches("Passed").count(), 1, "{}", good.out);
    ground.write("k", &key());
    git(&clone, &["add", "k"]);
    let bad = framework(&["run"]).ends_with(1);
    assert!(
        bad.out.contains("STR0709") && !bad.out.contains("MIIEvQ"),
        "{}",
        bad.out
    );
    git(&clone, &["rm", "-q", "-f", "k"]);

    ground.write(
        "infra/staging.ncl",
        "{ local_file.a = { path = \"a\", content = \"\" } }  \n",
    );
    git(&clone, &["add", "--all"]);
    let formatted = framework(&["run", "stratum-fmt"]).ends_with(1);
    assert!(
        formatted.out.contains("files were modified"),
        "{}",
        formatted.out
    );
    git(&clone, &["add", "--all"]);
    framework(&["run"]).ends_with(0);

    // The hook that the framework installed, called by git itself.
    let commit = |message: &str| {
        let mut command = Command::new("git");
        command
            .args(["commit", "-q", "-m", message])
            .env("PRE_COMMIT_HOME", clone.with_file_name("cache"))
            .env("PATH", path_with_program());
        run(&clone, &mut command)
    };
    commit("good").ends_with(0);
    ground.write("secrets/staging/db", "hunter2\n");
    git(&clone, &["add", "--all"]);
    let bad = commit("bad").ends_with(1);
    assert!(
        bad.side.contains("STR0701") && !bad.side.contains("hunter2"),
        "{}",
        bad.side
    );
    git(&clone, &["reset", "-q", "--hard"]);
    let mut push = Command::new("git");
    push.args(["push", "-q", "origin", "HEAD:main"])
        .env("PRE_COMMIT_HOME", clone.with_file_name("cache"))
        .env("PATH", path_with_program());
    let pushed = run(&clone, &mut push).ends_with(0);
    let said = format!("{}{}", pushed.out, pushed.side);
    assert!(
        said.contains("staging: Plan: 0 to add, 1 to change"),
        "{said}"
    );
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The `PATH` with the program under test in front.
fn path_with_program() -> std::ffi::OsString {
    let own = Path::new(PROGRAM).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(own).chain(std::env::split_paths(&path).collect::<Vec<_>>());
    std::env::join_paths(folders).unwrap()
}
