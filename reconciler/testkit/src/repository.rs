//! Makes real git repositories with the git command.

use std::path::{Path, PathBuf};
use std::process::Command;

use stratum_core::ids::{CommitId, IdError};
use thiserror::Error;

/// Why a repository could not be made.
#[derive(Debug, Error)]
pub enum RepositoryBuildError {
    /// A file could not be written.
    #[error("could not write `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Git could not be run, or failed.
    #[error("`git {what}` failed: {said}")]
    Git {
        /// Its arguments.
        what: String,
        /// What it said.
        said: String,
    },
    /// Git answered something that is not a commit.
    #[error(transparent)]
    Id(#[from] IdError),
}

/// The time of the first commit; each later one is a minute after (seconds since 1970).
const FIRST_COMMIT: u64 = 1_700_000_000;

/// A real repository with a work tree, and a bare one that it pushes to, in a temporary folder.
///
/// *Guarantees*: the same calls give the same commit ids; no configuration of the machine or the
/// person is read; removed when dropped.
#[derive(Debug)]
pub struct RepoBuilder {
    folder: tempfile::TempDir,
    commits: u64,
}

impl RepoBuilder {
    /// Makes an empty repository with the branch `main`.
    pub fn new() -> Result<Self, RepositoryBuildError> {
        let folder = tempfile::tempdir().map_err(|source| RepositoryBuildError::File {
            path: std::env::temp_dir(),
            source,
        })?;
        let builder = Self { folder, commits: 0 };
        let (bare, work) = (builder.bare(), builder.work());
        let top = builder.folder.path();
        let (bare, work_text) = (bare.to_string_lossy(), work.to_string_lossy());
        builder.git_in(
            top,
            &["init", "--quiet", "--bare", "--initial-branch=main", &bare],
        )?;
        builder.git_in(
            top,
            &["init", "--quiet", "--initial-branch=main", &work_text],
        )?;
        builder.git(&["remote", "add", "origin", &bare])?;
        Ok(builder)
    }

    /// The bare repository, which is pushed to.
    pub fn bare(&self) -> PathBuf {
        self.folder.path().join("origin.git")
    }

    /// The work tree, which is an ordinary repository too.
    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Writes a file into the work tree, with the folders around it.
    pub fn write(
        &self,
        path: &str,
        bytes: impl AsRef<[u8]>,
    ) -> Result<&Self, RepositoryBuildError> {
        let path = self.work().join(path);
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&path, bytes))
            .map_err(|source| RepositoryBuildError::File { path, source })?;
        Ok(self)
    }

    /// Removes a file or folder from the work tree.
    pub fn remove(&self, path: &str) -> Result<&Self, RepositoryBuildError> {
        self.git(&["rm", "-r", "--quiet", "--force", "--", path])?;
        Ok(self)
    }

    /// Commits all of the work tree, also when nothing changed.
    pub fn commit(&mut self, message: &str) -> Result<CommitId, RepositoryBuildError> {
        self.commits += 1;
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message])?;
        self.head()
    }

    /// Pushes the current branch to the bare repository.
    pub fn push(&self) -> Result<&Self, RepositoryBuildError> {
        self.git(&["push", "--quiet", "origin", "HEAD"])?;
        Ok(self)
    }

    /// [`RepoBuilder::commit`], then [`RepoBuilder::push`].
    pub fn commit_and_push(&mut self, message: &str) -> Result<CommitId, RepositoryBuildError> {
        let commit = self.commit(message)?;
        self.push()?;
        Ok(commit)
    }

    /// Reverts a commit with a commit of its own.
    pub fn revert(&mut self, commit: &CommitId) -> Result<CommitId, RepositoryBuildError> {
        self.commits += 1;
        self.git(&["revert", "--no-edit", commit.as_str()])?;
        self.head()
    }

    /// Goes to a branch, and makes it when it is not there.
    pub fn branch(&self, name: &str) -> Result<&Self, RepositoryBuildError> {
        let there = self.git(&[
            "rev-parse",
            "--quiet",
            "--verify",
            &format!("refs/heads/{name}"),
        ]);
        match there {
            Ok(_) => self.git(&["checkout", "--quiet", name])?,
            Err(_) => self.git(&["checkout", "--quiet", "-b", name])?,
        };
        Ok(self)
    }

    /// The commit the work tree stands at.
    pub fn head(&self) -> Result<CommitId, RepositoryBuildError> {
        Ok(CommitId::new(self.git(&["rev-parse", "HEAD"])?.trim())?)
    }

    /// Runs git in the work tree, and answers what it printed.
    pub fn git(&self, arguments: &[&str]) -> Result<String, RepositoryBuildError> {
        self.git_in(&self.work(), arguments)
    }

    /// Runs git in a folder, and answers what it printed.
    pub fn git_in(
        &self,
        folder: &Path,
        arguments: &[&str],
    ) -> Result<String, RepositoryBuildError> {
        let failed = |said: String| RepositoryBuildError::Git {
            what: arguments.join(" "),
            said,
        };
        let date = format!("{} +0000", FIRST_COMMIT + 60 * self.commits);
        let output = isolated(folder, &date)
            .args(arguments)
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            ));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Git without the configuration of machine and person, with a fixed author and time.
fn isolated(folder: &Path, date: &str) -> Command {
    let mut command = Command::new("git");
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_"))
    {
        command.env_remove(name);
    }
    command
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .envs([
            ("GIT_AUTHOR_NAME", "Test"),
            ("GIT_AUTHOR_EMAIL", "test@example.com"),
        ])
        .envs([
            ("GIT_COMMITTER_NAME", "Test"),
            ("GIT_COMMITTER_EMAIL", "test@example.com"),
        ])
        .envs([("GIT_AUTHOR_DATE", date), ("GIT_COMMITTER_DATE", date)]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_calls_give_the_same_commits_in_both_repositories() {
        let build = || {
            let mut repo = RepoBuilder::new().unwrap();
            repo.write("infra/a.ncl", "{}").unwrap();
            let first = repo.commit_and_push("first").unwrap();
            repo.remove("infra/a.ncl").unwrap().write("b", "b").unwrap();
            (first, repo.commit_and_push("second").unwrap(), repo)
        };
        let (one, two) = (build(), build());
        assert_eq!((&one.0, &one.1), (&two.0, &two.1));
        let bare = one
            .2
            .git_in(&one.2.bare(), &["ls-tree", "-r", "--name-only", "main"])
            .unwrap();
        assert_eq!(bare, "b\n");
    }

    #[test]
    fn a_revert_brings_the_tree_back() {
        let mut repo = RepoBuilder::new().unwrap();
        repo.write("a", "1").unwrap();
        repo.commit("one").unwrap();
        repo.write("a", "2").unwrap();
        let bad = repo.commit("two").unwrap();
        repo.revert(&bad).unwrap();
        assert_eq!(std::fs::read_to_string(repo.work().join("a")).unwrap(), "1");
        assert!(repo.git(&["rev-parse", "no-such-branch"]).is_err());
    }
}
