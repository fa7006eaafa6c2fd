//! Objects that are too large, and folders that git would not make.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use stratum_core::ids::CommitId;
use stratum_core::ports::{Repository, RepositoryError, Retry, TreeError};

use crate::scene::{Scene, commit, git, id, open};

/// Writes an object as it is, whether or not git would.
fn write(folder: &Path, kind: &str, bytes: &[u8]) -> String {
    let mut child = Command::new("git")
        .current_dir(folder)
        .args(["hash-object", "-t", kind, "-w", "--literally", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A commit with a tree of these entries, in this order.
fn commit_of(folder: &Path, entries: &[(&str, &str, &str)]) -> CommitId {
    let mut tree = Vec::new();
    for (mode, name, id) in entries {
        tree.extend(format!("{mode} {name}\0").into_bytes());
        let bytes = (0..id.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&id[at..at + 2], 16));
        tree.extend(bytes.map(Result::unwrap));
    }
    let tree = write(folder, "tree", &tree);
    let text = format!("tree {tree}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nm\n");
    CommitId::new(write(folder, "commit", text.as_bytes())).unwrap()
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let file = std::fs::File::create(path.join("big.ncl")).unwrap();
    file.set_len(256 << 20).unwrap();
    git(&path, &["add", "big.ncl"]);
    git(&path, &["commit", "-q", "-m", "big"]);
    for packed in [false, true] {
        if packed {
            git(&path, &["gc", "-q", "--prune=now"]);
        }
        let before = peak();
        let tree = open(&path).tree(&id(&path, "HEAD")).unwrap();
        let entry = tree.entry("big.ncl").unwrap().unwrap();
        let error = tree.blob(&entry.id, "big.ncl").unwrap_err();
        let large = matches!(
            error,
            TreeError::TooLarge {
                bytes: 268_435_456,
                ..
            }
        );
        assert!(large, "{error}");
        assert_eq!(error.retry(), Retry::WhenInputChanges);
        assert!(peak() - before < 64 << 10, "{} KiB", peak() - before);
    }
}

/// The most memory this process ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn commits_and_tags_that_are_too_large_are_not_read_and_the_one_after_is() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let (first, tree) = (id(&path, "HEAD"), git(&path, &["rev-parse", "HEAD^{tree}"]));
    let long = "x".repeat(2 << 20);
    let texts = [
        format!("tree {tree}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\n{long}\n"),
        format!("tree {tree}\nauthor {long} <a> 1 +0000\ncommitter A <a> 1 +0000\n\nm\n"),
        format!("tree {tree}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\ngpgsig {long}\n\nm\n"),
    ];
    let repository = open(&path);
    for text in texts {
        let large = CommitId::new(write(&path, "commit", text.as_bytes())).unwrap();
        let errors = [
            repository.revision(&large).map(drop),
            repository.signed(&large).map(drop),
            repository.tree(&large).map(drop),
            repository.signed_between(&first, &large).map(drop),
            repository.between(Some(&first), &large, 9).map(drop),
            repository.changed(&first, &large).map(drop),
        ];
        for error in errors {
            let error = error.unwrap_err();
            assert!(matches!(error, RepositoryError::TooLarge { .. }), "{error}");
            assert_eq!(error.retry(), Retry::WhenInputChanges);
        }
    }
    let tag = format!("object {first}\ntype commit\ntag t\ntagger A <a> 1 +0000\n\n{long}\n");
    let tag = write(&path, "tag", tag.as_bytes());
    git(&path, &["update-ref", "refs/tags/stratum/suspend/e", &tag]);
    assert!(repository.words().unwrap().is_empty(), "it is left out");
    let next = commit(&path, "next", "x", "next");
    assert_eq!(repository.signed_between(&first, &next).unwrap().len(), 1);
}

#[test]
fn a_folder_that_git_would_not_make_is_refused_as_a_whole() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let good = write(&path, "blob", b"good");
    let evil = write(&path, "blob", b"evil");
    let folder = git(&path, &["rev-parse", "HEAD^{tree}"]);
    let file = |name, id| ("100644", name, id);
    let odd: [&[(&str, &str, &str)]; 9] = [
        &[file("a.ncl", &*good), file("a.ncl", &*evil)],
        &[
            file("a", &*good),
            file("a.ncl", &*good),
            ("40000", "a", &*folder),
        ],
        &[file("b", &*good), file("a", &*good)],
        &[file("..", &*good)],
        &[file(".", &*good)],
        &[file(".git", &*good)],
        &[file(".GIT", &*good)],
        &[file("a/b", &*good)],
        &[file("", &*good)],
    ];
    for entries in odd {
        let tree = open(&path).tree(&commit_of(&path, entries)).unwrap();
        for error in [tree.list("").map(drop), tree.entry("a.ncl").map(drop)] {
            let error = error.unwrap_err();
            let malformed = matches!(error, TreeError::Malformed { .. });
            assert!(malformed, "{entries:?}: {error}");
        }
    }
    let right = [
        file("a-b", &*good),
        file("a.ncl", &*good),
        ("40000", "a", &*folder),
        file("a0", &*good),
        file(".gitignore", &*good),
    ];
    let mut right = right.to_vec();
    right.rotate_right(1);
    let tree = open(&path).tree(&commit_of(&path, &right)).unwrap();
    assert_eq!(tree.list("").unwrap().len(), 5);
}

#[test]
fn nothing_is_read_below_32_folders() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let deep = |levels: usize| format!("{}f", "d/".repeat(levels));
    commit(&path, &deep(31), "x", "31");
    commit(&path, &format!("e/{}", deep(32)), "x", "33");
    let tree = open(&path).tree(&id(&path, "HEAD")).unwrap();
    assert!(tree.entry(&deep(31)).unwrap().is_some());
    let error = tree.entry(&format!("e/{}", deep(32))).unwrap_err();
    assert!(matches!(error, TreeError::Malformed { .. }), "{error}");
}

#[test]
fn the_files_of_stratum_in_a_git_folder_are_never_written_through_a_link() {
    let scene = Scene::new();
    let (bare, _) = scene.pair();
    let victim = scene.path("victim");
    std::fs::write(&victim, "precious").unwrap();
    for name in ["stratum-turn", "stratum-ref"] {
        let link = bare.join(name);
        let _none_yet = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        let published = open(&bare).publish(&crate::scene::record(name, None));
        assert_eq!(published.is_ok(), name == "stratum-ref", "{published:?}");
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        let _gone = std::fs::remove_file(&link);
    }
    // What is in the file is nobody's, and stays.
    std::fs::write(bare.join("stratum-turn"), "theirs").unwrap();
    open(&bare)
        .publish(&crate::scene::record("run-9", None))
        .unwrap();
    let left = std::fs::read_to_string(bare.join("stratum-turn")).unwrap();
    assert_eq!(left, "theirs");
    std::fs::remove_file(bare.join("stratum-turn")).unwrap();
    let fifo = Command::new("mkfifo")
        .arg(bare.join("stratum-turn"))
        .status();
    assert!(fifo.unwrap().success());
    let error = open(&bare).publish(&crate::scene::record("run-10", None));
    assert!(error.is_err(), "a pipe is no file");
}
