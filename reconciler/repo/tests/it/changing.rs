//! What differs between two commits, and commits that are kept alive.

use std::collections::BTreeSet;

use stratum_core::ports::{Changed, Repository};

use crate::scene::{Scene, commit, git, id, open, try_git};

fn paths(changed: &Changed) -> Vec<&str> {
    match changed {
        Changed::Paths(paths) => paths.iter().map(String::as_str).collect(),
        Changed::Everything => panic!("everything"),
    }
}

#[test]
fn the_paths_that_differ_are_told_with_the_folders_around_them() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    commit(&path, "infra/a.ncl", "1", "a");
    commit(&path, "infra/b/c.ncl", "1", "b");
    let before = commit(&path, "infra/b/d.ncl", "1", "d");
    let repository = open(&path);
    let change = |old, new| repository.changed(old, new).unwrap();
    assert!(paths(&change(&before, &before)).is_empty());

    let edited = commit(&path, "infra/b/c.ncl", "2", "edited");
    let found = change(&before, &edited);
    assert_eq!(paths(&found), ["infra", "infra/b", "infra/b/c.ncl"]);
    assert_eq!(change(&edited, &before), found);

    // A folder that goes away, a file in its place, and a mode.
    git(&path, &["rm", "-q", "-r", "infra/b"]);
    commit(&path, "infra/b", "a file", "a file");
    git(&path, &["update-index", "--chmod=+x", "infra/a.ncl"]);
    git(&path, &["commit", "-q", "-m", "mode"]);
    let after = id(&path, "HEAD");
    let all = [
        "infra",
        "infra/a.ncl",
        "infra/b",
        "infra/b/c.ncl",
        "infra/b/d.ncl",
    ];
    assert_eq!(paths(&change(&edited, &after)), all);
}

#[test]
fn records_are_no_change_and_what_lies_beside_them_is() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let before = commit(&path, "knowledge/a.md", "1", "a");
    let record = commit(&path, "knowledge/executions/2026/03/02/x.md", "1", "x");
    let repository = open(&path);
    let only = repository.changed(&before, &record).unwrap();
    assert!(paths(&only).is_empty(), "{only:?}");
    let beside = commit(&path, "knowledge/a.md", "2", "b");
    let both = repository.changed(&before, &beside).unwrap();
    assert_eq!(paths(&both), ["knowledge", "knowledge/a.md"]);
}

#[test]
fn what_cannot_be_walked_is_everything() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let before = id(&path, "HEAD");
    let deep = commit(&path, &format!("{}f", "d/".repeat(40)), "x", "deep");
    let changed = open(&path).changed(&before, &deep).unwrap();
    assert_eq!(changed, Changed::Everything);
}

#[test]
fn a_commit_that_is_kept_outlives_its_branch() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let old = commit(&clone, "a", "1", "one");
    git(&clone, &["push", "-q", "origin", "main"]);
    let repository = open(&bare);
    repository.keep(&BTreeSet::from([old.clone()])).unwrap();
    git(&clone, &["commit", "-q", "--amend", "-m", "other"]);
    git(&clone, &["push", "-q", "-f", "origin", "main"]);
    let new = id(&clone, "HEAD");
    let collect = || {
        git(&bare, &["reflog", "expire", "--expire=now", "--all"]);
        git(&bare, &["gc", "-q", "--prune=now"]);
    };
    collect();
    assert_eq!(repository.revision(&old).unwrap().subject, "one");
    // Packed by now; the next one takes its place, and it is let go of.
    repository.keep(&BTreeSet::from([new.clone()])).unwrap();
    let refs = git(
        &bare,
        &["for-each-ref", "--format=%(refname)", "refs/stratum"],
    );
    assert_eq!(refs, format!("refs/stratum/applied/{new}"));
    collect();
    assert!(
        !try_git(&bare, &["cat-file", "-e", old.as_str()])
            .status
            .success()
    );
    // One that is gone is no error, and none at all is right.
    repository.keep(&BTreeSet::from([old, new])).unwrap();
    repository.keep(&BTreeSet::new()).unwrap();
    let refs = git(&bare, &["for-each-ref", "refs/stratum"]);
    assert_eq!(refs, "");
}
