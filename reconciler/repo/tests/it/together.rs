//! Many records at once, and signed.

use std::sync::Arc;

use stratum_core::ids::CommitId;
use stratum_core::ports::{CommitSigner, NoteError, Publication, Repository};

use crate::scene::{RECORDS, Scene, git, id, mirror, open, path_of, publish, record};

fn many(range: std::ops::Range<u32>, noted: &CommitId) -> Vec<Publication> {
    let name = |n| format!("run-{n:04}");
    range
        .map(|n| record(&name(n), Some(noted.clone())))
        .collect()
}

fn counted(bare: &std::path::Path, name: &str) -> String {
    git(bare, &["rev-list", "--count", name])
}

#[test]
fn a_thousand_records_are_one_commit_and_their_notes_another() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let head = id(&clone, "HEAD");
    let repository = open(&bare);
    let all = many(0..1_000, &head);
    let commits = repository.publish_many(&all).unwrap();
    assert_eq!(commits.len(), 1_000);
    assert!(commits.iter().all(|commit| *commit == commits[0]));
    assert_eq!(counted(&bare, RECORDS), "1");
    assert_eq!(counted(&bare, "refs/notes/stratum"), "1");
    let files = git(&bare, &["ls-tree", "-r", "--name-only", RECORDS]);
    assert_eq!(files.lines().count(), 1_000);
    let subject = git(&bare, &["log", "-1", "--format=%s", RECORDS]);
    assert_eq!(subject, "1000 records");
    git(&bare, &["fsck", "--strict"]);

    // Again, with others between them that are new.
    let again = repository.publish_many(&many(990..1_010, &head)).unwrap();
    assert_eq!(again[..10], commits[..10]);
    assert!(again[10..].iter().all(|commit| *commit == again[10]));
    assert_eq!(counted(&bare, RECORDS), "2");
    assert_eq!(repository.publish_many(&all).unwrap(), commits);
    assert_eq!(counted(&bare, RECORDS), "2");
    // One alone finds what was written with others.
    assert_eq!(publish(&repository, &all[500]), commits[0].to_string());
}

#[test]
fn records_of_several_branches_keep_their_order() {
    let scene = Scene::new();
    let (bare, _) = scene.pair();
    let mut other = record("run-2", None);
    other.branch = stratum_core::ids::BranchName::new("other").unwrap();
    let records = [record("run-1", None), other, record("run-3", None)];
    let commits = open(&bare).publish_many(&records).unwrap();
    let of = |name: &str| id(&bare, name);
    let expected = [of(&format!("{RECORDS}~1")), of("other"), of(RECORDS)];
    assert_eq!(commits, expected);
    assert!(open(&bare).publish_many(&[]).unwrap().is_empty());
}

#[test]
fn many_records_are_one_push_to_a_remote() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let repository = mirror(&bare, scene.path("mirror.git"));
    let head = id(&clone, "HEAD");
    repository.publish_many(&many(0..50, &head)).unwrap();
    assert_eq!(counted(&bare, RECORDS), "1");
    let content = git(
        &bare,
        &["show", &format!("{RECORDS}:{}", path_of("run-0049"))],
    );
    assert_eq!(content, "record of run-0049");
}

/// Signs with words.
struct Words;

impl CommitSigner for Words {
    fn sign(&self, payload: &[u8]) -> Result<String, NoteError> {
        assert!(payload.starts_with(b"tree ") && !payload.windows(6).any(|w| w == b"gpgsig"));
        Ok(format!(
            "-----BEGIN-----\n{} bytes\n-----END-----",
            payload.len()
        ))
    }
}

#[test]
fn what_is_signed_is_the_commit_without_its_signature() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let repository = open(&bare);
    repository.sign_with(Arc::new(Words));
    publish(&repository, &record("run-1", Some(id(&clone, "HEAD"))));
    for name in [RECORDS, "refs/notes/stratum"] {
        let signed = repository.signed(&id(&bare, name)).unwrap().signed;
        let expected = Words.sign(&signed.payload).unwrap() + "\n";
        assert_eq!(
            signed.signature.as_deref(),
            Some(expected.as_bytes()),
            "{name}"
        );
    }
    assert_eq!(
        git(&bare, &["log", "-1", "--format=%s", RECORDS]),
        "staging: applied (run-1)"
    );
    git(&bare, &["fsck", "--strict"]);
}
