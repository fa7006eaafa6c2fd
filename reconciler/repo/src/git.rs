//! The `git` command, as a trait: for what gix cannot do (fetch, push, pack).

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// One call of the `git` command.
#[derive(Debug, Clone)]
pub struct GitCall {
    /// The repository it works on; its own configuration is read, so it is one that stratum made.
    pub git_dir: PathBuf,
    /// The arguments; they are visible to other users of the machine.
    pub arguments: Vec<String>,
    /// Configuration that wins over every file, for example `remote.origin.url`; not visible.
    pub settings: Vec<(String, String)>,
    /// Environment variables besides the usual ones.
    pub environment: Vec<(String, OsString)>,
    /// What is written to its standard input.
    pub input: Vec<u8>,
    /// After this long it is killed with everything it started.
    pub timeout: Duration,
}

impl GitCall {
    /// A call with `arguments` on `git_dir`.
    pub fn new(git_dir: impl Into<PathBuf>, arguments: &[&str], timeout: Duration) -> Self {
        Self {
            git_dir: git_dir.into(),
            arguments: arguments.iter().map(|&part| part.to_owned()).collect(),
            settings: Vec::new(),
            environment: Vec::new(),
            input: Vec::new(),
            timeout,
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitOutput {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error, as it came.
    pub complaint: String,
}

/// Why the command could not be run to its end.
#[derive(Debug, Error)]
pub enum GitError {
    /// There is no `git` command.
    #[error("the command `git` was not found: install git 2.31 or later")]
    NotInstalled,
    /// It ran too long and was killed.
    #[error("`git {command}` did not end within {seconds} seconds")]
    Timeout {
        /// The subcommand.
        command: String,
        /// The limit.
        seconds: u64,
    },
    /// It was ended because the process is to end.
    #[error("`git {command}` was ended, for stratum was told to stop")]
    Stopped {
        /// The subcommand.
        command: String,
    },
    /// The operating system refused.
    #[error("`git {command}` could not be run")]
    Run {
        /// The subcommand.
        command: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Runs the `git` command.
pub trait GitCommand: Send + Sync {
    /// Runs one call to its end.
    ///
    /// *Guarantees*: no hook of `git_dir` is run, nothing is asked on a terminal, and nothing
    /// outlives the timeout.
    ///
    /// *Errors*: [`GitError`]; an exit code other than 0 is an output, not an error.
    fn run(&self, call: &GitCall) -> Result<GitOutput, GitError>;

    /// The process is to end: calls that run, and later ones, get some seconds each and no more.
    fn hurry(&self) {}

    /// The process ends now: no call outlives this by more than seconds.
    fn end(&self) {}
}
