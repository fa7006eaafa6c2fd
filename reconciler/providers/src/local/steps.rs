//! Runs a command once, whatever becomes of the reconciler; see [`super`] for the picture.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use stratum_core::ids::Address;
use thiserror::Error;
use tokio::io::AsyncWriteExt;

use super::lanes::Lanes;
use crate::process::{Command, Ended, Identity, Instruction, Line, append, lines};
use crate::reexec::EXEC_ARGUMENT;

/// Why a command was not run to its end.
#[derive(Debug, Error)]
pub(crate) enum StepError {
    /// It could not be started, so nothing happened.
    #[error("could not {doing}: {source}")]
    Before {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier one still runs.
    #[error("{what} is still running, since before stratum was started again")]
    Running {
        /// The command.
        what: String,
    },
    /// The process that ran it was killed.
    #[error("the process that ran {what} was killed, so nobody knows what became of it")]
    Killed {
        /// The command.
        what: String,
    },
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was never started.
    Never,
    /// It ended.
    Ended(Ended),
    /// The process that ran it was killed; the command was started.
    Lost,
    /// It still runs.
    Running,
}

/// The step files of one resource.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    /// Their folder.
    pub(crate) folder: PathBuf,
    /// The program that is executed again.
    pub(crate) program: PathBuf,
    /// The resource.
    pub(crate) address: Address,
    /// Keep what a call that was given up still writes from meeting the next call.
    pub(crate) lanes: Arc<Lanes>,
}

impl Steps {
    /// Runs the command of the step `key`, or answers what it answered before.
    ///
    /// *Guarantees*: a command that ended is not run again under the same key. When the future is
    /// dropped, the command and its group are told to end; [`Steps::settled`] waits for that.
    pub(crate) async fn run(&self, key: &str, command: Command) -> Result<Ended, StepError> {
        let path = self.folder.join(key);
        let what = command.shown();
        let before = |doing| move |source| StepError::Before { doing, source };
        match self.settled(key, command.timeout.unwrap_or_default()).await {
            Outcome::Ended(ended) => return Ok(ended),
            Outcome::Running => return Err(StepError::Running { what }),
            Outcome::Never | Outcome::Lost => {}
        }
        let (steps, at, shown) = (self.clone(), path.clone(), what.clone());
        let intended = self
            .lanes
            .run(&self.address, move || steps.intend(&at, &shown))
            .await;
        let step = intended
            .unwrap_or_else(|| Err(io::Error::other("the work was broken off")))
            .map_err(before("write the step file"))?;
        let mut child = tokio::process::Command::new(&self.program)
            .arg(EXEC_ARGUMENT)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::from(step))
            .stderr(Stdio::null())
            .spawn()
            .map_err(before("start the process that runs the command"))?;
        let guard = StopOnDrop(child.id().and_then(Identity::of));
        let instruction = serde_json::to_vec(&Instruction { command })
            .map_err(|error| before("write the instruction")(error.into()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A process that died says so by its step file.
            let _died = stdin.write_all(&instruction).await;
        }
        let _status_is_in_the_step_file = child.wait().await;
        guard.release();
        match read(&path) {
            Outcome::Ended(ended) => Ok(ended),
            Outcome::Lost | Outcome::Running => Err(StepError::Killed { what }),
            Outcome::Never => Err(before("run the command")(io::Error::other(
                "the process that runs it ended at once",
            ))),
        }
    }

    /// What became of the step `key`, after waiting at most `patience` for one that still runs.
    pub(crate) async fn settled(&self, key: &str, patience: Duration) -> Outcome {
        let path = self.folder.join(key);
        let begun = Instant::now();
        let mut pause = Duration::from_millis(2);
        while is_locked(&path) {
            if begun.elapsed() >= patience {
                return Outcome::Running;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
        read(&path)
    }

    /// Forgets what became of the step `key`, so that it may be run again.
    pub(crate) fn forget(&self, key: &str) -> io::Result<()> {
        match std::fs::remove_file(self.folder.join(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the step file, durable and locked. Those of older steps are removed.
    fn intend(&self, path: &Path, what: &str) -> io::Result<File> {
        std::fs::create_dir_all(&self.folder)?;
        self.forget_others(path)?;
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(false)
            .append(true)
            .open(path)?;
        file.lock()?;
        file.set_len(0)?;
        let line = Line::Intended {
            what: what.to_owned(),
        };
        append(&mut file, &line).map_err(io::Error::other)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(file)
    }

    /// Removes the files of other steps that no longer run; the newest few stay.
    fn forget_others(&self, path: &Path) -> io::Result<()> {
        let mut old: Vec<_> = std::fs::read_dir(&self.folder)?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
            })
            .filter(|(_, other)| other != path && !is_locked(other))
            .collect();
        old.sort();
        for (_, other) in old.iter().rev().skip(KEPT) {
            std::fs::remove_file(other)?;
        }
        Ok(())
    }
}

/// How many files of older steps stay: those of the same run must, since its rollback asks for
/// them. One resource has at most two steps in a run, each with a restore.
const KEPT: usize = 8;

fn is_locked(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => matches!(
            file.try_lock_shared(),
            Err(std::fs::TryLockError::WouldBlock)
        ),
        Err(_) => false,
    }
}

fn read(path: &Path) -> Outcome {
    let lines = lines(&std::fs::read(path).unwrap_or_default());
    let mut outcome = Outcome::Never;
    for line in lines {
        outcome = match line {
            Line::Intended { .. } => Outcome::Never,
            Line::Started { .. } => Outcome::Lost,
            Line::Ended(ended) => Outcome::Ended(ended),
        };
    }
    outcome
}

/// Tells a process to stop when it is dropped, unless it was released.
struct StopOnDrop(Option<Identity>);

impl StopOnDrop {
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(process) = self.0 {
            process.signal(Signal::TERM);
        }
    }
}
