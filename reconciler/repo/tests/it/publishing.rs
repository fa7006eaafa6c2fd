use std::fs::File;
use std::time::{Duration, SystemTime};

use stratum_core::ids::BranchName;
use stratum_core::ports::{Repository, RepositoryError};

use crate::scene::{
    RECORDS, Scene, commit, feed_git, git, id, litter, open, path_of, publish, record,
};

#[test]
fn a_record_is_a_commit_on_an_orphan_branch_with_a_note() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let head = id(&clone, "HEAD");
    let repository = open(&bare);
    let first = publish(&repository, &record("run-1", Some(head.clone())));
    let second = publish(&repository, &record("run-2", Some(head)));
    assert_eq!(
        git(&bare, &["log", "--format=%H", RECORDS]),
        format!("{second}\n{first}")
    );
    let shown = git(
        &bare,
        &["log", "-1", "--format=%an <%ae>|%cn|%ct|%B", RECORDS],
    );
    let expected = "stratum <stratum@localhost>|stratum|1772438400|\
                    staging: applied (run-2)\n\nStratum-Run: run-2";
    assert_eq!(shown, expected);
    let files = git(&bare, &["ls-tree", "-r", "--name-only", RECORDS]);
    assert_eq!(files, format!("{}\n{}", path_of("run-1"), path_of("run-2")));
    let content = git(&bare, &["show", &format!("{RECORDS}:{}", path_of("run-2"))]);
    assert_eq!(content, "record of run-2");
    let log = git(&bare, &["log", "--notes=stratum", "main"]);
    assert!(
        log.contains("    staging applied run-1\n    staging applied run-2"),
        "{log}"
    );
    git(&bare, &["fsck", "--strict"]);
}

#[test]
fn a_run_is_published_once() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let head = id(&clone, "HEAD");
    let run = record("run-1", Some(head.clone()));
    let first = publish(&open(&bare), &run);
    publish(&open(&bare), &record("run-2", Some(head)));
    // Again after others, and after a crash that lost the note.
    assert_eq!(publish(&open(&bare), &run), first);
    git(&bare, &["update-ref", "-d", "refs/notes/stratum"]);
    assert_eq!(publish(&open(&bare), &run), first);
    assert_eq!(
        git(&bare, &["notes", "--ref=stratum", "show", "main"]),
        "staging applied run-1"
    );
    assert_eq!(git(&bare, &["rev-list", "--count", RECORDS]), "2");
    assert_eq!(
        git(&bare, &["rev-list", "--count", "refs/notes/stratum"]),
        "1"
    );
}

#[test]
fn the_notes_of_others_and_their_fan_out_stay() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let head = git(&path, &["rev-parse", "HEAD^{tree}"]);
    git(
        &path,
        &["notes", "--ref=stratum", "add", "-m", "theirs", &head],
    );
    let copies: String = litter(&path, 300)
        .iter()
        .map(|id| format!("{head} {id}\n"))
        .collect();
    feed_git(
        &path,
        &["notes", "--ref=stratum", "copy", "--stdin"],
        &copies,
    );
    let paths = git(
        &path,
        &["ls-tree", "-r", "--name-only", "refs/notes/stratum"],
    );
    assert!(
        paths.lines().all(|path| path.contains('/')),
        "there is a fan-out to keep"
    );
    publish(&open(&path), &record("run-1", Some(id(&path, "HEAD"))));
    let listed = git(&path, &["notes", "--ref=stratum", "list"]);
    assert_eq!(listed.lines().count(), 302);
    let paths = git(
        &path,
        &["ls-tree", "-r", "--name-only", "refs/notes/stratum"],
    );
    assert!(paths.lines().all(|path| path.contains('/')));
    assert_eq!(
        git(&path, &["notes", "--ref=stratum", "show", "HEAD"]),
        "staging applied run-1"
    );
    git(&path, &["fsck", "--strict"]);
}

#[test]
fn packed_refs_are_built_on() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let repository = open(&bare);
    for n in 0..3 {
        publish(
            &repository,
            &record(&format!("run-{n}"), Some(id(&clone, "HEAD"))),
        );
        git(&bare, &["pack-refs", "--all"]);
    }
    git(&bare, &["gc", "-q", "--prune=now"]);
    publish(&repository, &record("run-9", None));
    assert_eq!(git(&bare, &["rev-list", "--count", RECORDS]), "4");
}

#[test]
fn a_lock_left_by_a_killed_process_is_removed_and_a_strange_one_is_named() {
    let scene = Scene::new();
    let (bare, _) = scene.pair();
    let repository = open(&bare);
    let first = publish(&repository, &record("run-1", None));
    let lock = bare.join("refs/heads/stratum/records.lock");
    let leave = |content: &str| {
        std::fs::write(&lock, content).unwrap();
        let old = SystemTime::now() - Duration::from_secs(60);
        File::options()
            .write(true)
            .open(&lock)
            .unwrap()
            .set_modified(old)
            .unwrap();
    };
    leave(&format!("{first}\n"));
    publish(&repository, &record("run-2", None));
    assert!(!lock.exists());

    leave(&git(&bare, &["rev-parse", "main"]));
    let error = repository.publish(&record("run-3", None)).unwrap_err();
    assert!(error.to_string().contains("records.lock"), "{error}");
    std::fs::remove_file(&lock).unwrap();
    publish(&repository, &record("run-3", None));
}

#[test]
fn a_branch_in_the_way_is_named() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    for name in ["stratum", "stratum/records/old"] {
        git(&bare, &["branch", name, "main"]);
        for packed in [false, true] {
            if packed {
                git(&bare, &["pack-refs", "--all"]);
            }
            let error = open(&bare).publish(&record("run-1", None)).unwrap_err();
            assert!(
                matches!(error, RepositoryError::Unsupported { .. }),
                "{error}"
            );
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        }
        git(&bare, &["branch", "-D", name]);
    }
    std::fs::create_dir_all(bare.join("refs/heads/stratum/records")).unwrap();
    publish(&open(&bare), &record("run-1", Some(id(&clone, "HEAD"))));
}

#[test]
fn a_branch_that_is_checked_out_gets_no_record() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    let main = |run| {
        let mut record = record(run, None);
        record.branch = BranchName::new("main").unwrap();
        record
    };
    let error = open(&path).publish(&main("run-1")).unwrap_err();
    assert!(
        matches!(error, RepositoryError::Unsupported { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("records.branch"), "{error}");
    // In a bare one it is right, and changes no inputs.
    let bare = scene.bare("shop.git");
    git(&path, &["push", "-q", bare.to_str().unwrap(), "main"]);
    let repository = open(&bare);
    let before = repository.revision(&id(&bare, "main")).unwrap();
    publish(&repository, &main("run-1"));
    let after = repository.revision(&id(&bare, "main")).unwrap();
    assert_ne!(before.commit, after.commit);
    assert_eq!(before.inputs, after.inputs);
    git(&bare, &["worktree", "add", "-q", "../tree", "main"]);
    assert!(open(&bare).publish(&main("run-2")).is_err());
}

#[test]
fn a_path_that_git_refuses_is_refused() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    for name in ["", "a//b", "../a", ".git/config", "/etc/passwd", "a/.GIT/x"] {
        let mut record = record("run-1", None);
        record.files[0].0 = name.to_owned();
        assert!(open(&path).publish(&record).is_err(), "{name}");
    }
    let repository = open(&path);
    assert!(repository.resolve(RECORDS).is_err(), "nothing was begun");
    commit(&path, "later", "x", "still works");
}
