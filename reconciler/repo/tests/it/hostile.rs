use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use stratum_core::ports::Repository;
use stratum_repo::GitRepository;

use crate::scene::{
    RECORDS, Scene, commit, git, id, litter, mirror, open, publish, record, try_git,
};

/// Keys of the configuration that name a program git would run.
const PROGRAMS: [&str; 16] = [
    "core.fsmonitor",
    "core.sshCommand",
    "core.gitProxy",
    "core.pager",
    "core.editor",
    "core.askPass",
    "core.alternateRefsCommand",
    "gpg.program",
    "gpg.ssh.program",
    "credential.helper",
    "diff.external",
    "gc.recentObjectsHook",
    "uploadpack.packObjectsHook",
    "receive.procReceiveRefs",
    "filter.evil.clean",
    "filter.evil.smudge",
];

const HOOKS: [&str; 9] = [
    "pre-push",
    "pre-receive",
    "update",
    "post-receive",
    "post-update",
    "reference-transaction",
    "pre-auto-gc",
    "post-checkout",
    "pre-commit",
];

/// Makes the git folder one whose every program leaves a mark; answers the mark.
fn arm(scene: &Scene, folder: &Path) -> PathBuf {
    let mark = scene.path("mark");
    let traps = scene.path("traps");
    std::fs::create_dir_all(&traps).unwrap();
    let script = format!("#!/bin/sh\necho \"$0\" >> {}\n", mark.display());
    for name in HOOKS.iter().chain(&["program"]) {
        let path = traps.join(name);
        std::fs::write(&path, &script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let program = traps.join("program");
    for key in PROGRAMS {
        git(folder, &["config", key, program.to_str().unwrap()]);
    }
    for (key, value) in [
        ("core.hooksPath", traps.to_str().unwrap()),
        ("commit.gpgSign", "true"),
        ("push.gpgSign", "if-asked"),
        ("gc.auto", "1"),
    ] {
        git(folder, &["config", key, value]);
    }
    std::fs::create_dir_all(folder.join("info")).unwrap();
    mark
}

fn work(repository: &GitRepository, path: &Path) {
    let head = repository.resolve("HEAD").unwrap();
    repository.tips().unwrap();
    repository.revision(&head).unwrap();
    repository.between(None, &head, 10).unwrap();
    let tree = repository.tree(&head).unwrap();
    for entry in tree.list("").unwrap() {
        tree.blob(&entry.id, &entry.name).unwrap();
    }
    assert_eq!(head, id(path, "HEAD"));
}

#[test]
fn no_program_of_a_local_repository_is_run() {
    let scene = Scene::new();
    let path = scene.ordinary("shop");
    commit(
        &path,
        ".gitattributes",
        "* filter=evil diff=evil\n",
        "attributes",
    );
    litter(&path, 2_100);
    let mark = arm(&scene, &path.join(".git"));

    let repository = open(&path);
    work(&repository, &path.join(".git"));
    publish(&repository, &record("run-1", Some(id(&path, "HEAD"))));
    assert!(repository.maintain().unwrap() > 2_000);
    let trapped = std::fs::read_to_string(&mark).unwrap_or_default();
    assert_eq!(trapped, "", "a program was run");

    // The traps do work.
    try_git(&path, &["commit", "-q", "--allow-empty", "-m", "x"]);
    assert!(mark.exists());
}

#[test]
fn no_program_of_a_fetched_path_is_run() {
    let scene = Scene::new();
    let (bare, _) = scene.pair();
    let mark = arm(&scene, &bare);
    let repository = mirror(&bare, scene.path("mirror"));
    work(&repository, &bare);
    let trapped = std::fs::read_to_string(&mark).unwrap_or_default();
    assert_eq!(trapped, "", "a program was run");
    // A push runs the hooks of the remote, which are its own policy, as for everybody.
    publish(&repository, &record("run-1", None));
    assert!(
        std::fs::read_to_string(&mark)
            .unwrap()
            .contains("post-receive")
    );
}

#[test]
fn no_program_of_the_mirror_itself_is_run() {
    let scene = Scene::new();
    let (bare, _) = scene.pair();
    let folder = scene.path("mirror");
    drop(mirror(&bare, folder.clone()));
    let mark = arm(&scene, &folder);
    let repository = mirror(&bare, folder.clone());
    work(&repository, &bare);
    // And when it is armed while it is in use.
    let again = arm(&scene, &folder);
    git(&bare, &["branch", "to-fetch", "main"]);
    work(&repository, &bare);
    publish(&repository, &record("run-1", Some(id(&bare, "main"))));
    repository.maintain().unwrap();
    assert_eq!(mark, again);
    let trapped = std::fs::read_to_string(&mark).unwrap_or_default();
    assert_eq!(trapped, "", "a program was run");
    assert_eq!(git(&bare, &["rev-list", "--count", RECORDS]), "1");
}
