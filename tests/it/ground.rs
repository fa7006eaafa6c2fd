//! What the end-to-end tests stand on: a bare repository, a clone, stock git, and the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_stratum");

/// A temporary folder with `bare.git` and a clone of it.
pub(crate) struct Ground {
    folder: TempDir,
}

/// What a call of the program gave.
pub(crate) struct Answer {
    /// The exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) side: String,
}

impl Ground {
    /// A bare repository without a commit, and a clone of it.
    pub(crate) fn new() -> Self {
        let ground = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let top = ground.folder.path();
        git(
            top,
            &["init", "-q", "--bare", "--initial-branch=main", "bare.git"],
        );
        git(top, &["clone", "-q", "bare.git", "clone"]);
        git(
            &ground.clone_folder(),
            &["symbolic-ref", "HEAD", "refs/heads/main"],
        );
        ground
    }

    /// The same, with settings for the environment `staging` and one file that it makes.
    pub(crate) fn with_a_file() -> Self {
        let ground = Self::new();
        ground.write(
            "stratum.ncl",
            "{ name = \"t\", environments = { staging = {} } }\n",
        );
        ground.write(
            "infra/staging.ncl",
            "{\n  local_file.a = { path = \"a\", content = \"one\\n\" },\n}\n",
        );
        ground
    }

    /// The bare repository.
    pub(crate) fn bare(&self) -> PathBuf {
        self.folder.path().join("bare.git")
    }

    /// The clone.
    pub(crate) fn clone_folder(&self) -> PathBuf {
        self.folder.path().join("clone")
    }

    /// A path under the root of an environment, with `--root` as [`Ground::once`] gives it.
    pub(crate) fn made(&self, path: &str) -> PathBuf {
        self.folder.path().join("world").join(path)
    }

    /// Writes a file of the clone.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.clone_folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits everything, pushes it, and gives the commit.
    pub(crate) fn push(&self, message: &str) -> String {
        let clone = self.clone_folder();
        git(&clone, &["add", "--all"]);
        git(&clone, &["commit", "-q", "--allow-empty", "-m", message]);
        git(&clone, &["push", "-q", "origin", "HEAD:main"]);
        git(&clone, &["rev-parse", "HEAD"])
    }

    /// Runs the program on the bare repository.
    pub(crate) fn stratum(&self, arguments: &[&str]) -> Answer {
        stratum(&self.bare(), arguments)
    }

    /// `reconcile --once`, with everything under `world/`.
    pub(crate) fn once(&self) -> Answer {
        let root = self.made("");
        self.stratum(&["reconcile", "--once", "--root", root.to_str().unwrap()])
    }
}

impl Answer {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.side))
    }

    /// Fails unless the exit code is `code`.
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.side);
        self
    }
}

/// Runs the program in `folder`.
pub(crate) fn stratum(folder: &Path, arguments: &[&str]) -> Answer {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(folder);
    for name in ["STRATUM_REPO", "STRATUM_STATE", "STRATUM_LOG"] {
        command.env_remove(name);
    }
    let output = output(&mut command);
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        side: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a command in `folder` as somebody who has no settings of git of their own.
pub(crate) fn run(folder: &Path, command: &mut Command) -> Answer {
    command.current_dir(folder);
    for (name, value) in [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "Ada"),
        ("GIT_AUTHOR_EMAIL", "ada@example.org"),
        ("GIT_COMMITTER_NAME", "Ada"),
        ("GIT_COMMITTER_EMAIL", "ada@example.org"),
    ] {
        command.env(name, value);
    }
    let output = output(command);
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        side: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs stock git in `folder`, and gives its standard output.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.org");
    let output = output(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

/// Runs a command that must not see the repository that the tests themselves may be called from.
fn output(command: &mut Command) -> Output {
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).output().unwrap()
}
