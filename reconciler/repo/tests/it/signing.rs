//! Commits and tags that stock git signed, as their signed bytes.

use std::process::Command;

use stratum_core::ids::CommitId;
use stratum_core::ports::Repository as _;
use stratum_repo::{GitRepository, Options};

/// A repository with one signed and one unsigned commit, and tags; `None` without ssh-keygen.
fn signed() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-f"]);
    if command.arg(&key).status().is_err() {
        eprintln!("skipped: `ssh-keygen` is not installed");
        return None;
    }
    for arguments in [
        &["init", "-q", "--initial-branch=main", "."][..],
        &["commit", "-q", "--allow-empty", "-m", "plain"],
        &[
            "commit",
            "-q",
            "--allow-empty",
            "-S",
            "-m",
            "signed\n\nExpires: never",
        ],
        &[
            "tag",
            "-s",
            "stratum/approve/abc",
            "-m",
            "fine\n\nExpires: 2026-12-01",
        ],
        &["tag", "stratum/light"],
        &["tag", "-a", "other", "-m", "not a word"],
    ] {
        git(&folder, arguments);
    }
    Some(folder)
}

fn git(folder: &tempfile::TempDir, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder.path())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args(["-c", "gpg.format=ssh", "-c", "user.signingkey=key"])
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn commit(folder: &tempfile::TempDir, name: &str) -> CommitId {
    CommitId::new(git(folder, &["rev-parse", name])).unwrap()
}

#[test]
fn a_commit_is_its_payload_and_its_signature() {
    let Some(folder) = signed() else { return };
    let location = folder.path().to_str().unwrap();
    let repository = GitRepository::open(location, Options::default()).unwrap();
    let (old, new) = (commit(&folder, "HEAD~1"), commit(&folder, "HEAD"));
    let between = repository.signed_between(&old, &new).unwrap();
    assert_eq!(between.len(), 1);
    let found = &between[0];
    assert_eq!(found.commit, new);
    assert_eq!(found.committer_mail, "ada@example.org");
    let signature = found.signed.signature.clone().unwrap();
    assert!(signature.starts_with(b"-----BEGIN SSH SIGNATURE-----\n"));
    let payload = String::from_utf8(found.signed.payload.clone()).unwrap();
    assert!(payload.starts_with("tree ") && !payload.contains("gpgsig"));
    assert!(
        payload.ends_with("\n\nsigned\n\nExpires: never\n"),
        "{payload}"
    );
    assert_eq!(repository.signed(&old).unwrap().signed.signature, None);
    assert!(repository.follows(&new, &old).unwrap());
    assert!(repository.follows(&new, &new).unwrap());
    assert!(!repository.follows(&old, &new).unwrap());
    let gone = CommitId::new("0".repeat(40)).unwrap();
    assert!(repository.signed_between(&gone, &new).is_err());
}

#[test]
fn words_are_the_tags_under_stratum() {
    let Some(folder) = signed() else { return };
    let location = folder.path().to_str().unwrap();
    let repository = GitRepository::open(location, Options::default()).unwrap();
    git(&folder, &["pack-refs", "--all"]);
    let words = repository.words().unwrap();
    let names: Vec<&str> = words.iter().map(|word| word.name.as_str()).collect();
    assert_eq!(names, ["stratum/approve/abc", "stratum/light"]);
    assert_eq!(words[0].own_name.as_deref(), Some("stratum/approve/abc"));
    assert_eq!(words[0].message, "fine\n\nExpires: 2026-12-01\n");
    assert_eq!(words[0].tagger_mail, "ada@example.org");
    assert!(words[0].signed.signature.is_some());
    assert_eq!(
        (&words[1].own_name, &words[1].signed.signature),
        (&None, &None)
    );
}
