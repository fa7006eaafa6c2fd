use stratum_core::ports::{Repository, RepositoryError};
use stratum_repo::{GitRepository, Options};

use crate::scene::{Scene, commit, git, id, open, publish, record};

#[test]
fn every_way_into_a_repository_leads_to_its_git_folder() {
    let scene = Scene::new();
    let ordinary = scene.ordinary("shop");
    let bare = scene.bare("shop.git");
    std::fs::create_dir_all(ordinary.join("infra/staging")).unwrap();
    git(
        &ordinary,
        &["worktree", "add", "-q", "../tree", "-b", "side"],
    );
    let folder = ordinary.join(".git").canonicalize().unwrap();
    for path in [
        ordinary.clone(),
        ordinary.join("infra/staging"),
        folder.clone(),
        scene.path("tree"),
    ] {
        let repository = open(&path);
        assert_eq!(repository.git_dir(), folder, "{path:?}");
        assert_eq!(repository.state_folder(), folder.join("stratum"));
        assert!(!repository.is_bare());
    }
    let repository = open(&bare);
    assert_eq!(repository.git_dir(), bare.canonicalize().unwrap());
    assert!(repository.is_bare() && !repository.is_mirror());
    let tips = open(&scene.path("tree")).tips().unwrap();
    assert_eq!(tips.head.unwrap().as_str(), "side");
}

#[test]
fn what_is_no_repository_is_missing() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path("plain")).unwrap();
    for name in ["plain", "nowhere"] {
        let path = scene.path(name);
        let error = GitRepository::open(path.to_str().unwrap(), Options::default())
            .err()
            .unwrap();
        assert!(matches!(error, RepositoryError::Missing { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn reftable_is_refused_with_the_remedy() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    git(&path, &["config", "core.repositoryFormatVersion", "1"]);
    git(&path, &["config", "extensions.refStorage", "reftable"]);
    std::fs::write(path.join(".git/HEAD"), "ref: refs/heads/.invalid\n").unwrap();
    let error = GitRepository::open(path.to_str().unwrap(), Options::default())
        .err()
        .unwrap();
    assert!(
        matches!(error, RepositoryError::Unsupported { .. }),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("reftable") && text.contains("git refs migrate"),
        "{text}"
    );
}

#[test]
fn an_empty_repository_opens_and_says_that_it_is_empty() {
    let scene = Scene::new();
    let bare = scene.bare("shop.git");
    let repository = open(&bare);
    let tips = repository.tips().unwrap();
    assert_eq!(tips.head.unwrap().as_str(), "main");
    assert!(tips.branches.is_empty());
    for error in [
        repository.require_commit().unwrap_err(),
        repository.resolve("HEAD").unwrap_err(),
    ] {
        assert!(matches!(error, RepositoryError::Empty { .. }), "{error}");
    }
    let clone = scene.ordinary("shop");
    git(&clone, &["push", "-q", bare.to_str().unwrap(), "main"]);
    repository.require_commit().unwrap();
    assert_eq!(repository.resolve("HEAD").unwrap(), id(&clone, "HEAD"));
}

#[test]
fn sha256_is_read_and_written() {
    let scene = Scene::new();
    let path = scene.path("shop");
    std::fs::create_dir(&path).unwrap();
    git(
        &path,
        &["init", "-q", "-b", "main", "--object-format=sha256"],
    );
    let commit = commit(&path, "infra/staging.ncl", "{}", "first");
    let repository = open(&path);
    assert_eq!(commit.as_str().len(), 64);
    let revision = repository.revision(&commit).unwrap();
    assert_eq!(
        revision.inputs.as_str(),
        git(&path, &["rev-parse", "HEAD^{tree}"])
    );
    let entry = repository
        .tree(&commit)
        .unwrap()
        .entry("infra/staging.ncl")
        .unwrap()
        .unwrap();
    assert_eq!(
        repository
            .tree(&commit)
            .unwrap()
            .blob(&entry.id, "")
            .unwrap(),
        b"{}"
    );
    publish(&repository, &record("run-1", Some(commit)));
    assert!(git(&path, &["log", "--notes=stratum"]).contains("staging applied run-1"));
    git(&path, &["fsck", "--strict"]);
}
