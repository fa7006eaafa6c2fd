//! Starts, stops and looks at the process that supervises one service.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use stratum_core::redact::Redactor;
use thiserror::Error;
use tokio::io::AsyncWriteExt;

use crate::process::{
    GRACE, Identity, Phase, Status, Supervision, kill_group_gently, last_lines, read_status,
};
use crate::reexec::SUPERVISE_ARGUMENT;

/// The time a supervisor gets to say that it is there, or to end after it was told to.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stands in the lock of a service whose supervisor was told to stop.
const STOPPING: &str = "stopping";

/// Why a service could not be started or stopped.
#[derive(Debug, Error)]
pub(crate) enum ServiceError {
    /// Something of the machine failed.
    #[error("could not {doing}: {source}")]
    Machine {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The supervisor does not answer.
    #[error("the process that supervises the service does not {what}; see `{folder}`")]
    Silent {
        /// What it does not do.
        what: &'static str,
        /// Its folder.
        folder: String,
    },
}

fn machine(doing: &'static str) -> impl FnOnce(io::Error) -> ServiceError {
    move |source| ServiceError::Machine { doing, source }
}

/// One service's folder, and the program that is executed again.
#[derive(Debug, Clone)]
pub(crate) struct Supervised {
    /// The folder with lock, status and logs.
    pub(crate) folder: PathBuf,
    /// The program.
    pub(crate) program: PathBuf,
}

impl Supervised {
    fn lock_path(&self) -> PathBuf {
        self.folder.join("lock")
    }

    fn silent(&self, what: &'static str) -> ServiceError {
        ServiceError::Silent {
            what,
            folder: self.folder.display().to_string(),
        }
    }

    /// Whether a supervisor lives: it holds the lock as long as it does.
    pub(crate) fn is_supervised(&self) -> bool {
        match File::open(self.lock_path()) {
            Ok(lock) => matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)),
            Err(_) => false,
        }
    }

    /// What stands in the lock: the token of the step that started the service, or [`STOPPING`].
    fn held_by(&self) -> Option<String> {
        std::fs::read_to_string(self.lock_path()).ok()
    }

    /// The status, if a supervisor lives, was not told to stop, and has written one.
    pub(crate) fn status(&self) -> Option<Status> {
        if !self.is_supervised() {
            return None;
        }
        let token = self.held_by()?;
        read_status(&self.folder).filter(|status| status.token == token)
    }

    /// The status once a supervisor that is just starting has written it; `None` without one, and
    /// when it was told to stop.
    pub(crate) async fn settled(&self) -> Result<Option<Status>, ServiceError> {
        let begun = Instant::now();
        while self.is_supervised() && self.held_by().as_deref() != Some(STOPPING) {
            if let Some(status) = self.status() {
                return Ok(Some(status));
            }
            if begun.elapsed() > PATIENCE {
                return Err(self.silent("say how it is"));
            }
            pause().await;
        }
        Ok(None)
    }

    /// How the program was when its supervisor last wrote it down, whether that still lives or not.
    pub(crate) fn last_phase(&self) -> Option<Phase> {
        read_status(&self.folder).map(|status| status.phase)
    }

    /// A program whose supervisor was killed, and that still runs.
    pub(crate) fn leftover(&self) -> Option<Identity> {
        let status = read_status(&self.folder)?;
        status.last.filter(|last| last.is_alive())
    }

    /// Stops the service; fine when it does not run.
    ///
    /// *Guarantees*: from the moment the supervisor is told to stop, nobody takes the service for
    /// running, also when this is given up half way.
    pub(crate) async fn stop(&self) -> Result<(), ServiceError> {
        let begun = Instant::now();
        let mut told = false;
        while self.is_supervised() {
            let supervisor = read_status(&self.folder).and_then(|status| status.supervisor);
            if let (false, Some(supervisor)) = (told, supervisor) {
                std::fs::write(self.lock_path(), STOPPING).map_err(machine("stop the service"))?;
                supervisor.signal(Signal::TERM);
                told = true;
            }
            if begun.elapsed() > GRACE + PATIENCE {
                return Err(self.silent("end"));
            }
            pause().await;
        }
        if let Some(leftover) = self.leftover() {
            kill_group_gently(leftover, GRACE).await;
        }
        Ok(())
    }

    /// Starts a supervisor, and returns when it has said how its program is.
    ///
    /// *Assumes*: the service was stopped.
    pub(crate) async fn start(&self, supervision: &Supervision) -> Result<(), ServiceError> {
        let lock = self.take_lock(&supervision.token).await?;
        let instruction = serde_json::to_vec(supervision)
            .map_err(|error| machine("write the instruction")(error.into()))?;
        let mut child = tokio::process::Command::new(&self.program)
            .arg(SUPERVISE_ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::from(lock))
            .stderr(Stdio::null())
            .spawn()
            .map_err(machine("start the process that supervises the service"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(&instruction)
                .await
                .map_err(machine("instruct the supervisor"))?;
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let status = read_status(&self.folder).filter(|s| s.token == supervision.token);
            match status.map(|status| status.phase) {
                Some(Phase::Running(_) | Phase::Waiting(_)) => return Ok(()),
                Some(Phase::Ended(how) | Phase::NeverRan(how)) => {
                    return Err(machine("keep the program running")(io::Error::other(how)));
                }
                None => pause().await,
            }
        }
        Err(self.silent("say how it is"))
    }

    /// Takes the lock and writes into it whose it is. An old status goes first.
    async fn take_lock(&self, token: &str) -> Result<File, ServiceError> {
        let failed = "lock the service";
        std::fs::create_dir_all(&self.folder).map_err(machine(failed))?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).append(true).read(true);
        let mut lock = options.open(self.lock_path()).map_err(machine(failed))?;
        let begun = Instant::now();
        while lock.try_lock().is_err() {
            if begun.elapsed() > PATIENCE {
                return Err(self.silent("give its lock back"));
            }
            pause().await;
        }
        match std::fs::remove_file(self.folder.join("status.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(machine(failed)(error));
            }
            _ => {}
        }
        lock.set_len(0).map_err(machine(failed))?;
        lock.write_all(token.as_bytes()).map_err(machine(failed))?;
        Ok(lock)
    }

    /// Removes the folder, with the logs.
    pub(crate) fn forget(&self) -> Result<(), ServiceError> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(machine("remove the logs")(error))
            }
            _ => Ok(()),
        }
    }

    /// The end of what the program wrote to its error output, as a clause; empty when it is silent.
    pub(crate) fn last_words(&self, redactor: &Redactor) -> String {
        let path = self.folder.join("stderr.log");
        let text = redactor.text(&tail(&path).unwrap_or_default());
        match last_lines(&text) {
            words if words.is_empty() => String::new(),
            words => format!(" (last in `{}`: {words})", path.display()),
        }
    }
}

/// The most bytes of a log that last words are looked for in. More than are shown, so that a secret
/// that is not whole in them is in none of the lines that are.
const TAIL: u64 = 64 * 1024;

/// The last lines of a log, none of which begins before them.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let before = file.metadata()?.len().saturating_sub(TAIL);
    file.seek(io::SeekFrom::Start(before))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match text.split_once('\n') {
        _ if before == 0 => text,
        Some((_, whole)) => whole.to_owned(),
        None => String::new(),
    })
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}
