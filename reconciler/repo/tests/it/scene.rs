//! Repositories to test on, and the `git` command as a person would call it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use stratum_core::ids::{BranchName, CommitId, RunId};
use stratum_core::ports::{Publication, Repository};
use stratum_repo::{GitRepository, Options};
use tempfile::TempDir;

/// A folder that is removed at the end.
pub(crate) struct Scene {
    folder: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A bare repository.
    pub(crate) fn bare(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        git(
            self.folder.path(),
            &["init", "-q", "--bare", "-b", "main", name],
        );
        path
    }

    /// An ordinary repository with one commit.
    pub(crate) fn ordinary(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        git(self.folder.path(), &["init", "-q", "-b", "main", name]);
        commit(&path, "stratum.ncl", "{}", "first");
        path
    }

    /// A bare repository and a clone of it, with one commit in both.
    pub(crate) fn pair(&self) -> (PathBuf, PathBuf) {
        let bare = self.bare("shop.git");
        let clone = self.ordinary("shop");
        git(&clone, &["remote", "add", "origin", bare.to_str().unwrap()]);
        git(&clone, &["push", "-q", "origin", "main"]);
        (bare, clone)
    }
}

/// Runs git in `folder`; panics with what it said when it fails.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = try_git(folder, arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {complaint}");
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

/// Runs git and feeds it `input`.
pub(crate) fn feed_git(folder: &Path, arguments: &[&str], input: &str) -> String {
    let mut child = command(folder, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || pipe.write_all(input.as_bytes()).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "git {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Loose objects that no ref leads to; answers their ids.
pub(crate) fn litter(folder: &Path, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|n| format!("litter-{n}")).collect();
    for name in &names {
        std::fs::write(folder.join(name), name).unwrap();
    }
    let arguments = ["hash-object", "-w", "--no-filters", "--stdin-paths"];
    let ids = feed_git(folder, &arguments, &(names.join("\n") + "\n"));
    ids.lines().map(str::to_owned).collect()
}

pub(crate) fn try_git(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_AUTHOR_DATE", "2026-03-01T10:00:00+01:00")
        .env("GIT_COMMITTER_NAME", "Bob")
        .env("GIT_COMMITTER_EMAIL", "bob@example.org")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "core.fsync")
        .env("GIT_CONFIG_VALUE_0", "none");
    command
}

/// Writes a file and commits it.
pub(crate) fn commit(folder: &Path, path: &str, content: &str, message: &str) -> CommitId {
    let file = folder.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, content).unwrap();
    git(folder, &["add", path]);
    git(folder, &["commit", "-q", "-m", message]);
    id(folder, "HEAD")
}

pub(crate) fn id(folder: &Path, name: &str) -> CommitId {
    CommitId::new(git(folder, &["rev-parse", name])).unwrap()
}

pub(crate) fn open(path: &Path) -> GitRepository {
    GitRepository::open(path.to_str().unwrap(), Options::default()).unwrap()
}

/// Opens `path` as a remote, mirrored in `mirror`.
pub(crate) fn mirror(path: &Path, mirror: PathBuf) -> GitRepository {
    GitRepository::open(path.to_str().unwrap(), mirrored(mirror)).unwrap()
}

pub(crate) fn mirrored(mirror: PathBuf) -> Options {
    Options {
        mirror: Some(mirror),
        mirror_paths: true,
        ..Options::default()
    }
}

pub(crate) const RECORDS: &str = "stratum/records";

/// The record of a run, with a note on `noted`.
pub(crate) fn record(run: &str, noted: Option<CommitId>) -> Publication {
    Publication {
        run: RunId::new(run).unwrap(),
        branch: BranchName::new(RECORDS).unwrap(),
        from: None,
        files: vec![(path_of(run), format!("record of {run}\n").into_bytes())],
        message: format!("staging: applied ({run})\n"),
        at: "2026-03-02T08:00:00Z".parse().unwrap(),
        note: noted.map(|commit| (commit, format!("staging applied {run}"))),
    }
}

pub(crate) fn path_of(run: &str) -> String {
    format!("knowledge/executions/2026/03/{run}.md")
}

/// Publishes and answers the commit as git names it.
pub(crate) fn publish(repository: &GitRepository, publication: &Publication) -> String {
    repository.publish(publication).unwrap().to_string()
}
