//! Runs a command once, whatever becomes of the reconciler; see [`super`] for the picture.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use stratum_core::ids::Address;
use thiserror::Error;
use tokio::io::AsyncWriteExt;

use super::lanes::Lanes;
use crate::private::{Nook, Private};
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
    pub(crate) nook: Nook,
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
        let what = command.shown();
        let before = |doing| move |source| StepError::Before { doing, source };
        match self.settled(key, command.timeout.unwrap_or_default()).await {
            Outcome::Ended(ended) => return Ok(ended),
            Outcome::Running => return Err(StepError::Running { what }),
            Outcome::Never | Outcome::Lost => {}
        }
        let (steps, name, shown) = (self.clone(), key.to_owned(), what.clone());
        let intended = self
            .lanes
            .run(&self.address, move || steps.intend(&name, &shown))
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
        match self.read(key) {
            Outcome::Ended(ended) => Ok(ended),
            Outcome::Lost | Outcome::Running => Err(StepError::Killed { what }),
            Outcome::Never => Err(before("run the command")(io::Error::other(
                "the process that runs it ended at once",
            ))),
        }
    }

    /// What became of the step `key`, after waiting at most `patience` for one that still runs.
    pub(crate) async fn settled(&self, key: &str, patience: Duration) -> Outcome {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(2);
        while self.is_locked(key) {
            if begun.elapsed() >= patience {
                return Outcome::Running;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
        self.read(key)
    }

    /// Forgets what became of the step `key`, so that it may be run again.
    pub(crate) fn forget(&self, key: &str) -> io::Result<()> {
        match self.nook.open()? {
            Some(folder) => folder.remove(key),
            None => Ok(()),
        }
    }

    /// Makes the step file, durable and locked. Those of older steps are removed.
    fn intend(&self, key: &str, what: &str) -> io::Result<File> {
        let folder = self.nook.make()?;
        self.forget_others(&folder, key)?;
        let mut file = folder.appended(key)?;
        file.lock()?;
        file.set_len(0)?;
        let line = Line::Intended {
            what: what.to_owned(),
        };
        append(&mut file, &line).map_err(io::Error::other)?;
        folder.sync()?;
        Ok(file)
    }

    /// Removes the files of other steps that no longer run; the newest few stay.
    fn forget_others(&self, folder: &Private, key: &str) -> io::Result<()> {
        let mut old = folder.files()?;
        old.retain(|(_, other)| other != key && !self.is_locked(other));
        old.sort();
        for (_, other) in old.iter().rev().skip(KEPT) {
            folder.remove(other)?;
        }
        Ok(())
    }

    fn file(&self, key: &str) -> Option<File> {
        self.nook.open().ok().flatten()?.file(key).ok().flatten()
    }

    fn is_locked(&self, key: &str) -> bool {
        self.file(key).is_some_and(|file| {
            matches!(
                file.try_lock_shared(),
                Err(std::fs::TryLockError::WouldBlock)
            )
        })
    }

    fn read(&self, key: &str) -> Outcome {
        let mut bytes = Vec::new();
        if let Some(mut file) = self.file(key) {
            // What cannot be read says nothing, as what was cut off.
            let _unread = file.read_to_end(&mut bytes);
        }
        let mut outcome = Outcome::Never;
        for line in lines(&bytes) {
            outcome = match line {
                Line::Intended { .. } => Outcome::Never,
                Line::Started { .. } => Outcome::Lost,
                Line::Ended(ended) => Outcome::Ended(ended),
            };
        }
        outcome
    }
}

/// How many files of older steps stay: those of the same run must, since its rollback asks for
/// them. One resource has at most two steps in a run, each with a restore.
const KEPT: usize = 8;

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
