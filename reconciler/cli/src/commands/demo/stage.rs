//! The stage of the demo: a temporary folder with a bare repository, a clone, and a reconciler.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use stratum_assembly::adapters;
use stratum_assembly::readable::readable_with;
use stratum_core::condition::Condition;
use stratum_core::ids::CommitId;
use stratum_core::ports::{Journals as _, RunOutcome, States as _, StoreError, Unfinished};
use stratum_core::run::RunSummary;
use stratum_store::{Access, SqliteStore};

use crate::failure::CommandError;

/// The longest one push may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two looks at the state.
const EVERY: Duration = Duration::from_millis(30);

/// The longest the reconciler may take to stop.
const STOPPING: Duration = Duration::from_secs(20);

/// A temporary folder with everything the story needs.
pub(crate) struct Stage {
    folder: PathBuf,
    reconciler: Option<Child>,
    identity: Option<PathBuf>,
}

impl Stage {
    /// Makes the folder, the bare repository and the clone.
    pub(crate) fn set() -> Result<Self, CommandError> {
        let folder = tempfile::Builder::new()
            .prefix("stratum-demo-")
            .tempdir()
            .map_err(|error| {
                CommandError::machine("no temporary folder could be made").because(&error)
            })?
            .keep();
        let stage = Self {
            folder,
            reconciler: None,
            identity: None,
        };
        git(
            &stage.folder,
            &[
                "init",
                "-q",
                "--bare",
                "--initial-branch=main",
                "bakery.git",
            ],
        )?;
        git(&stage.folder, &["clone", "-q", "bakery.git", "clone"])?;
        // A clone of an empty repository takes its branch from the configuration of the person.
        git(
            &stage.clone_folder(),
            &["symbolic-ref", "HEAD", "refs/heads/main"],
        )?;
        Ok(stage)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The bare repository.
    pub(crate) fn bare(&self) -> PathBuf {
        self.folder.join("bakery.git")
    }

    /// The clone a person works in.
    pub(crate) fn clone_folder(&self) -> PathBuf {
        self.folder.join("clone")
    }

    /// Starts the reconciler, in a group of its own so that Ctrl-C reaches only the demo.
    /// It has the identity that the file `identity` of the folder holds.
    pub(crate) fn start_reconciler(&mut self, identity: &str) -> Result<(), CommandError> {
        use std::os::unix::process::CommandExt as _;
        let failed = |error: std::io::Error| {
            CommandError::machine("the reconciler could not be started").because(&error)
        };
        let identity = self.folder.join(identity);
        let log = File::create(self.folder.join("reconciler.log")).map_err(failed)?;
        let child = without_git_variables(&mut Command::new(adapters::this_program()?))
            .args(["--color", "never", "reconcile", "--repo"])
            .arg(self.bare())
            .arg("--root")
            .arg(self.folder.join("world"))
            .arg("--identity")
            .arg(&identity)
            .env_remove("STRATUM_STATE")
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        self.reconciler = Some(child);
        self.identity = Some(identity);
        Ok(())
    }

    /// Commits everything in the clone.
    pub(crate) fn commit(&self, message: &str) -> Result<(), CommandError> {
        let clone = self.clone_folder();
        git(&clone, &["add", "--all"])?;
        git(&clone, &["commit", "-q", "-m", message])?;
        Ok(())
    }

    /// Pushes, and gives the commit that was pushed.
    pub(crate) fn push(&self) -> Result<CommitId, CommandError> {
        let clone = self.clone_folder();
        git(&clone, &["push", "-q", "origin", "HEAD:main"])?;
        let head = git(&clone, &["rev-parse", "HEAD"])?;
        CommitId::new(head).map_err(|error| CommandError::machine(error.to_string()))
    }

    /// Waits until the runs for `commit` of these environments are over and recorded.
    pub(crate) async fn outcome(
        &mut self,
        commit: &CommitId,
        environments: &[&str],
    ) -> Result<Vec<(RunSummary, Unfinished)>, CommandError> {
        let begun = Instant::now();
        loop {
            let found = self.recorded(commit).await?;
            let all = environments.iter().all(|name| {
                found
                    .iter()
                    .any(|(run, _)| run.environment.as_str() == *name)
            });
            if all {
                return Ok(found);
            }
            self.wait(begun).await?;
        }
    }

    /// Waits until an environment came to a commit, whether or not anything was to be done.
    pub(crate) async fn arrived(
        &mut self,
        commit: &CommitId,
        environment: &str,
    ) -> Result<(), CommandError> {
        let begun = Instant::now();
        loop {
            let store = self.state().await?;
            let rows = store.environments().await?;
            store.close().await;
            let here = rows.iter().find(|row| row.name.as_str() == environment);
            if here.is_some_and(|row| row.revision.as_ref() == Some(commit)) {
                return Ok(());
            }
            self.wait(begun).await?;
        }
    }

    /// Waits until an environment is stalled at a commit, and says why it is.
    pub(crate) async fn refused(
        &mut self,
        commit: &CommitId,
        environment: &str,
    ) -> Result<String, CommandError> {
        let begun = Instant::now();
        loop {
            let store = self.state().await?;
            let rows = store.environments().await?;
            store.close().await;
            let here = rows.into_iter().find(|row| {
                row.name.as_str() == environment
                    && row.desired_revision.as_ref() == Some(commit)
                    && row.condition == Condition::Stalled
            });
            if let Some(row) = here {
                return Ok(row.reason);
            }
            self.wait(begun).await?;
        }
    }

    /// Waits until a commit was denied in an environment.
    pub(crate) async fn denied(
        &mut self,
        commit: &CommitId,
        environment: &str,
    ) -> Result<RunSummary, CommandError> {
        let begun = Instant::now();
        loop {
            let store = self.state().await?;
            let runs = store.history(None, 20).await?;
            store.close().await;
            let denied = runs.into_iter().find(|run| {
                run.revision == *commit
                    && run.environment.as_str() == environment
                    && run.outcome == Some(RunOutcome::Denied)
            });
            if let Some(run) = denied {
                return Ok(run);
            }
            self.wait(begun).await?;
        }
    }

    async fn state(&self) -> Result<SqliteStore, CommandError> {
        let path = self.bare().join("stratum/state.db");
        Ok(SqliteStore::open(&path, Access::ReadOnly).await?)
    }

    async fn recorded(
        &self,
        commit: &CommitId,
    ) -> Result<Vec<(RunSummary, Unfinished)>, CommandError> {
        let state = self.bare().join("stratum/state.db");
        let store = match SqliteStore::open(&state, Access::ReadOnly).await {
            Ok(store) => store,
            Err(StoreError::Missing { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        let summaries = store.history(None, 20).await?.into_iter();
        let summaries: Vec<_> = summaries
            .filter(|run| run.revision == *commit && run.record.is_some())
            .collect();
        if summaries.is_empty() {
            return Ok(found);
        }
        // What the plans say lies there wrapped.
        let store = match &self.identity {
            Some(identity) => readable_with(store, &state, identity).await,
            None => store,
        };
        for summary in summaries {
            if let Some(run) = store.run(&summary.id).await? {
                found.push((summary, run));
            }
        }
        store.close().await;
        found.sort_by(|(a, _), (b, _)| a.environment.cmp(&b.environment));
        Ok(found)
    }

    /// Waits a moment.
    ///
    /// *Errors*: it took too long since `begun`, or the reconciler is gone.
    async fn wait(&mut self, begun: Instant) -> Result<(), CommandError> {
        if begun.elapsed() > PATIENCE || self.is_over() {
            return Err(self.silence());
        }
        tokio::time::sleep(EVERY).await;
        Ok(())
    }

    /// Whether the reconciler ended, which it should not.
    fn is_over(&mut self) -> bool {
        let ended = self.reconciler.as_mut().map(Child::try_wait);
        matches!(ended, Some(Ok(Some(_)) | Err(_)) | None)
    }

    fn silence(&self) -> CommandError {
        let log = fs::read_to_string(self.folder.join("reconciler.log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(6).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        CommandError::machine(format!(
            "the reconciler did not come to an end; it said: {}",
            last.join(" / ")
        ))
        .hint("`stratum doctor` looks at what may be missing here")
    }

    /// Stops the reconciler and lets it finish what is in flight.
    pub(crate) fn stop_reconciler(&mut self) -> Result<(), CommandError> {
        let Some(mut child) = self.reconciler.take() else {
            return Ok(());
        };
        let failed = |error: std::io::Error| {
            CommandError::machine("the reconciler could not be stopped").because(&error)
        };
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself meanwhile.
            let _gone = kill_process(pid, Signal::TERM);
        }
        let begun = Instant::now();
        while child.try_wait().map_err(failed)?.is_none() {
            if begun.elapsed() > STOPPING {
                child.kill().map_err(failed)?;
            }
            std::thread::sleep(EVERY);
        }
        Ok(())
    }

    /// Stops the reconciler and the services, and removes the folder.
    pub(crate) fn strike(mut self) -> Result<(), CommandError> {
        self.stop_reconciler()?;
        for pid in supervisors_in(&self.folder) {
            // It may have ended by itself meanwhile.
            let _gone = kill_process(pid, Signal::TERM);
        }
        let begun = Instant::now();
        while !supervisors_in(&self.folder).is_empty() {
            if begun.elapsed() > STOPPING {
                let message = format!("a service of `{}` does not end", self.folder.display());
                return Err(CommandError::machine(message).hint("`ps aux` shows it"));
            }
            std::thread::sleep(EVERY);
        }
        fs::remove_dir_all(&self.folder).map_err(|error| {
            let message = format!("`{}` could not be removed", self.folder.display());
            CommandError::machine(message).because(&error)
        })
    }
}

/// The processes that keep services of `folder` running; each stops its own when it is told to.
///
/// They are known by their argument and by their standard output, which is a file of the service.
///
/// *Source*: proc(5): `/proc/PID/cmdline`, `/proc/PID/fd/`.
fn supervisors_in(folder: &Path) -> Vec<Pid> {
    let (Ok(entries), Ok(folder)) = (fs::read_dir("/proc"), folder.canonicalize()) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let words = fs::read(entry.path().join("cmdline")).ok()?;
            let is_supervisor = words.split(|byte| *byte == 0).nth(1)?
                == stratum_providers::reexec::SUPERVISE_ARGUMENT.as_bytes();
            let output = fs::read_link(entry.path().join("fd/1")).ok()?;
            (is_supervisor && output.starts_with(&folder)).then(|| Pid::from_raw(pid))?
        })
        .collect()
}

/// Stock git, as a person called Ada would use it, without this machine's configuration.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> Result<String, CommandError> {
    let mut command = crate::git::command(folder);
    without_git_variables(&mut command)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.org")
        .args(arguments);
    crate::git::finish(command)
}

/// This program, as a person called Ada would use it in a folder, without their keys and settings.
pub(crate) fn stratum(folder: &Path, arguments: &[&str]) -> Result<String, CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::machine("this program could not be run").because(&error)
    };
    let mut command = Command::new(adapters::this_program()?);
    let output = without_git_variables(&mut command)
        .args(["--color", "never"])
        .args(arguments)
        .env_remove("STRATUM_STATE")
        .env_remove("STRATUM_SEALER")
        .env_remove("STRATUM_IDENTITY")
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(failed)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let message = format!("`stratum {}` failed: {}", arguments.join(" "), said.trim());
        return Err(CommandError::machine(message));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The demo may be started where git names a repository in the environment; it has its own.
fn without_git_variables(command: &mut Command) -> &mut Command {
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
    ] {
        command.env_remove(name);
    }
    command
}
