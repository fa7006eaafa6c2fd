use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stratum_core::ids::CommitId;
use stratum_core::ports::{Repository, RepositoryError};
use stratum_repo::{
    Fresh, GitCall, GitCommand, GitError, GitOutput, GitRepository, Options, SystemGit,
};

use crate::scene::{RECORDS, Scene, commit, git, id, mirror, mirrored, open, publish, record};

#[test]
fn a_mirror_follows_its_remote() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let repository = mirror(&bare, scene.path("mirror"));
    assert!(repository.is_mirror() && repository.is_bare());
    assert_eq!(repository.resolve("HEAD").unwrap(), id(&clone, "HEAD"));

    let next = commit(&clone, "a", "a", "second");
    git(
        &clone,
        &[
            "push",
            "-q",
            "origin",
            "main",
            "main:feature/x",
            "HEAD:refs/tags/v1",
        ],
    );
    let tips = repository.tips().unwrap();
    assert_eq!(tips.branches.len(), 2);
    assert!(tips.branches.values().all(|tip| *tip == next));
    assert_eq!(repository.resolve("v1").unwrap(), next);

    // Rewritten, deleted, renamed.
    git(&clone, &["commit", "-q", "--amend", "-m", "rewritten"]);
    git(
        &clone,
        &["push", "-qf", "origin", "main:trunk", ":feature/x"],
    );
    git(&bare, &["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    git(&clone, &["push", "-qf", "origin", ":main"]);
    let tips = repository.tips().unwrap();
    assert_eq!(tips.head.unwrap().as_str(), "trunk");
    let names: Vec<_> = tips.branches.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["trunk"]);
    assert_eq!(repository.resolve("HEAD").unwrap(), id(&clone, "HEAD"));
}

#[test]
fn a_record_is_pushed_and_rebuilt_when_the_remote_moved() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let head = id(&clone, "HEAD");
    let address = format!("file://{}", bare.display());
    let repository = GitRepository::open(&address, mirrored(scene.path("mirror"))).unwrap();
    let first = publish(&repository, &record("run-1", Some(head.clone())));
    assert_eq!(git(&bare, &["rev-parse", RECORDS]), first);
    assert_eq!(repository.resolve(RECORDS).unwrap().as_str(), first);

    // Somebody else publishes; this mirror has not seen it.
    publish(&open(&bare), &record("run-2", Some(head.clone())));
    let third = publish(&repository, &record("run-3", Some(head.clone())));
    assert_eq!(git(&bare, &["rev-parse", RECORDS]), third);
    assert_eq!(git(&bare, &["rev-list", "--count", RECORDS]), "3");
    // A second call, from a mirror that lost all memory.
    let other = mirror(&bare, scene.path("other"));
    assert_eq!(publish(&other, &record("run-1", Some(head))), first);
    let note = git(&bare, &["notes", "--ref=stratum", "show", "main"]);
    assert_eq!(note.lines().count(), 3, "{note}");
    git(&bare, &["fsck", "--strict"]);
}

#[test]
fn a_remote_that_is_down_loses_nothing() {
    let scene = Scene::new();
    let (bare, _) = scene.pair();
    let repository = mirror(&bare, scene.path("mirror"));
    std::fs::rename(&bare, scene.path("away")).unwrap();
    let error = repository.tips().unwrap_err();
    assert!(
        matches!(&error, RepositoryError::Remote { doing, .. } if doing == "fetch"),
        "{error}"
    );
    let error = repository.publish(&record("run-1", None)).unwrap_err();
    assert!(
        matches!(&error, RepositoryError::Remote { doing, .. } if doing == "push"),
        "{error}"
    );
    std::fs::rename(scene.path("away"), &bare).unwrap();
    publish(&repository, &record("run-1", None));
    assert_eq!(git(&bare, &["rev-list", "--count", RECORDS]), "1");
}

#[test]
fn what_was_fetched_is_read_while_the_remote_is_down() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let wanted = |folder| Options {
        fresh: Fresh::Wanted(Duration::from_secs(10)),
        ..mirrored(scene.path(folder))
    };
    let address = bare.to_str().unwrap();
    let first = GitRepository::open(address, wanted("mirror")).unwrap();
    assert!(first.unreached().is_none());
    // It is there, and does not answer as a repository.
    std::fs::rename(bare.join("HEAD"), bare.join("away")).unwrap();
    let second = GitRepository::open(address, wanted("mirror")).unwrap();
    assert!(matches!(
        second.unreached(),
        Some(RepositoryError::Remote { .. })
    ));
    assert_eq!(second.resolve("HEAD").unwrap(), id(&clone, "HEAD"));
    let none = GitRepository::open(address, wanted("another")).err();
    assert!(matches!(none, Some(RepositoryError::Remote { .. })));
    let required = GitRepository::open(address, mirrored(scene.path("mirror"))).err();
    assert!(matches!(required, Some(RepositoryError::Remote { .. })));
}

#[test]
fn a_remote_that_refuses_is_quoted() {
    let scene = Scene::new();
    let (bare, _) = scene.pair();
    let hook = bare.join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let repository = mirror(&bare, scene.path("mirror"));
    let error = repository.publish(&record("run-1", None)).unwrap_err();
    assert!(matches!(error, RepositoryError::Remote { .. }), "{error}");
    assert!(
        error.to_string().contains("pre-receive hook declined"),
        "{error}"
    );
    assert!(
        repository.resolve(RECORDS).is_err(),
        "the mirror says what the remote says"
    );
}

#[test]
fn a_sha256_remote_and_an_empty_one_are_mirrored() {
    let scene = Scene::new();
    let source = scene.path("source");
    std::fs::create_dir(&source).unwrap();
    git(
        &source,
        &["init", "-q", "-b", "trunk", "--object-format=sha256"],
    );
    let repository = mirror(&source, scene.path("mirror"));
    assert!(repository.tips().unwrap().branches.is_empty());
    let first: CommitId = commit(&source, "a", "a", "first");
    drop(repository);
    let repository = mirror(&source, scene.path("mirror"));
    assert_eq!(repository.resolve("HEAD").unwrap(), first);
    publish(&repository, &record("run-1", Some(first)));
    assert!(git(&source, &["log", "--notes=stratum"]).contains("staging applied run-1"));

    let bare = scene.bare("empty.git");
    let repository = mirror(&bare, scene.path("second"));
    assert!(matches!(
        repository.resolve("HEAD"),
        Err(RepositoryError::Empty { .. })
    ));
    let clone = scene.ordinary("clone");
    git(&clone, &["push", "-q", bare.to_str().unwrap(), "main"]);
    assert_eq!(repository.tips().unwrap().branches.len(), 1);
    assert_eq!(repository.resolve("HEAD").unwrap(), id(&clone, "HEAD"));
}

#[test]
fn a_folder_that_is_something_else_is_not_overwritten() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    for folder in [clone.join(".git"), clone.clone(), scene.path("shop")] {
        let error = GitRepository::open(bare.to_str().unwrap(), mirrored(folder))
            .err()
            .unwrap();
        assert!(
            matches!(error, RepositoryError::Unsupported { .. }),
            "{error}"
        );
    }
    git(&clone, &["status"]);
    let error = GitRepository::open("https://example.invalid/x", Options::default())
        .err()
        .unwrap();
    assert!(error.to_string().contains("no folder was named"), "{error}");
}

#[test]
fn credentials_are_in_no_error_and_in_no_file() {
    let scene = Scene::new();
    let folder = scene.path("mirror");
    let options = Options {
        timeout: Duration::from_secs(10),
        ..mirrored(folder.clone())
    };
    let error = GitRepository::open("http://ada:s3cr3t@127.0.0.1:1/x.git", options)
        .err()
        .unwrap();
    assert!(matches!(error, RepositoryError::Remote { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
    assert!(
        !format!("{error} {error:?}").contains("s3cr3t"),
        "{error:?}"
    );
    for name in ["config", "HEAD"] {
        assert!(
            !std::fs::read_to_string(folder.join(name))
                .unwrap()
                .contains("s3cr3t")
        );
    }
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}

/// A git that quotes the address with its password, as older ones do.
struct Talkative;

impl GitCommand for Talkative {
    fn run(&self, call: &GitCall) -> Result<GitOutput, GitError> {
        let address = &call.settings[0].1;
        Ok(GitOutput {
            code: Some(128),
            out: String::new(),
            complaint: format!("hint: try again\nfatal: unable to access '{address}/': gone\n"),
        })
    }
}

#[test]
fn a_git_that_quotes_credentials_is_not_quoted() {
    let scene = Scene::new();
    let options = Options {
        git: Arc::new(Talkative),
        ..mirrored(scene.path("mirror"))
    };
    let error = GitRepository::open("https://ada:s3cr3t@example.invalid/x", options)
        .err()
        .unwrap();
    let expected = "the remote could not be reached: fetch: \
                    fatal: unable to access 'https://***@example.invalid/x/': gone";
    assert_eq!(error.to_string(), expected);
    assert!(!format!("{error:?}").contains("s3cr3t"));
}

/// Stands in for ssh: runs what the far side would run, here.
struct OverSsh {
    program: PathBuf,
}

impl GitCommand for OverSsh {
    fn run(&self, call: &GitCall) -> Result<GitOutput, GitError> {
        let mut call = call.clone();
        let ssh = ("GIT_SSH_COMMAND".to_owned(), self.program.clone().into());
        call.environment.push(ssh);
        call.environment
            .push(("GIT_SSH_VARIANT".to_owned(), "ssh".into()));
        SystemGit::default().run(&call)
    }
}

#[test]
fn a_remote_behind_ssh_is_fetched_and_pushed_to() {
    let scene = Scene::new();
    let (bare, clone) = scene.pair();
    let program = scene.path("ssh");
    std::fs::write(
        &program,
        "#!/bin/sh\nfor last; do :; done\nexec sh -c \"$last\"\n",
    )
    .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    for (name, address) in [
        ("a", format!("git@example.org:{}", bare.display())),
        ("b", format!("ssh://git@example.org{}", bare.display())),
    ] {
        let options = Options {
            git: Arc::new(OverSsh {
                program: program.clone(),
            }),
            ..mirrored(scene.path(name))
        };
        let repository = GitRepository::open(&address, options).unwrap();
        assert_eq!(repository.resolve("HEAD").unwrap(), id(&clone, "HEAD"));
        let commit = publish(&repository, &record(&format!("run-{name}"), None));
        assert_eq!(git(&bare, &["rev-parse", RECORDS]), commit);
    }
}
