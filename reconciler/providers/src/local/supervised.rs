//! Starts, stops and looks at the process that supervises one service.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use stratum_core::redact::Redactor;
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;

use super::life::{self, Life};
use crate::private::{Nook, Private};
use crate::process::{
    Family, GRACE, Identity, Phase, Status, Supervision, last_lines, read_status, remove_cgroup,
};
use crate::reexec::SUPERVISE_ARGUMENT;

/// The time a supervisor gets to say that it is there, or to end after it was told to.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stands at the start of the lock of a service whose supervisor was told to stop.
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
    /// Something of it could not be ended.
    #[error("the processes {pids:?} of the service do not end")]
    Immortal {
        /// Which.
        pids: Vec<i32>,
    },
}

fn machine(doing: &'static str) -> impl FnOnce(io::Error) -> ServiceError {
    move |source| ServiceError::Machine { doing, source }
}

/// What stands in the lock of a service.
#[derive(Debug, Default)]
struct Held {
    /// The token of the step that started it.
    token: String,
    /// Its supervisor was told to stop.
    stopping: bool,
    /// Its supervisor.
    supervisor: Option<Identity>,
}

/// One service's folder, and the program that is executed again.
#[derive(Debug, Clone)]
pub(crate) struct Supervised {
    /// The folder with lock, status and logs.
    pub(crate) nook: Nook,
    /// The program.
    pub(crate) program: PathBuf,
}

impl Supervised {
    fn silent(&self, what: &'static str) -> ServiceError {
        ServiceError::Silent {
            what,
            folder: self.nook.path().display().to_string(),
        }
    }

    fn folder(&self) -> Option<Private> {
        self.nook.open().ok().flatten()
    }

    /// Whether a supervisor lives: it holds the lock as long as it does.
    pub(crate) fn is_supervised(&self) -> bool {
        let lock = self.folder().and_then(|folder| folder.file("lock").ok()?);
        lock.is_some_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    fn held(&self) -> Held {
        let read = |folder: Private| folder.read("lock").ok()?;
        let text = self.folder().and_then(read).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        let token = lines.next().unwrap_or_default();
        Held {
            token: token.to_owned(),
            stopping: token.starts_with(STOPPING),
            supervisor: lines
                .next()
                .and_then(|line| serde_json::from_str(line).ok()),
        }
    }

    /// What was written down last, whoever lives.
    fn written(&self) -> Option<Status> {
        read_status(&self.folder()?)
    }

    /// The status, if a supervisor lives, was not told to stop, and has written one.
    pub(crate) fn status(&self) -> Option<Status> {
        let token = self.held().token;
        let status = self.written().filter(|status| status.token == token);
        status.filter(|_| self.is_supervised())
    }

    /// The status once a supervisor that is just starting has written it; `None` without one, and
    /// when it was told to stop.
    pub(crate) async fn settled(&self) -> Result<Option<Status>, ServiceError> {
        let begun = Instant::now();
        while self.is_supervised() && !self.held().stopping {
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

    /// How the service is, whether anybody watches it or not.
    pub(crate) fn life(&self) -> Life {
        let held = self.held();
        let written = self.written();
        let is_supervised = self.is_supervised();
        let Some(status) = written else {
            return match is_supervised {
                true => Life::Down(None, "is being started".to_owned()),
                false if self.family().lives() => {
                    let why = "its program runs, and what was known of it is gone";
                    Life::Down(None, why.to_owned())
                }
                false => Life::Gone,
            };
        };
        if held.stopping {
            let lives = is_supervised || status.family().lives();
            return match lives {
                true => Life::Down(Some(status), "was told to stop, and still runs".to_owned()),
                false => Life::Gone,
            };
        }
        if status.token != held.token {
            let why = match is_supervised {
                true => "is being started",
                false => "was not started",
            };
            return Life::Down(Some(status), why.to_owned());
        }
        match is_supervised {
            true => life::watched(status),
            false => life::unwatched(status),
        }
    }

    /// What runs of the service, whether anybody watches it or not.
    fn family(&self) -> Family {
        let supervisor = self.held().supervisor;
        let family = self.written().map(|status| status.family());
        let family = family.unwrap_or_default();
        Family {
            watcher: supervisor.or(family.watcher),
            home: self.nook.path().display().to_string(),
            ..family
        }
    }

    /// What the next supervisor can take over: a program that runs as `settings` say, and that
    /// nobody watches.
    pub(crate) fn adoptable(&self, settings: &crate::process::Settings) -> Option<Family> {
        let status = self.written()?;
        // A watcher that lives and lost its lock would go on beside the new one.
        let watched = status.supervisor.is_some_and(Identity::is_alive);
        let fits = status.settings == *settings && status.can_be_adopted() && !watched;
        (fits && !self.held().stopping && !self.is_supervised()).then(|| status.family())
    }

    /// When what was started last was started.
    pub(crate) fn started_at(&self) -> Option<String> {
        self.written().map(|status| status.started_at)
    }

    /// Whether nothing of it runs.
    pub(crate) fn is_over(&self) -> bool {
        !self.is_supervised() && !self.family().lives()
    }

    /// Stops the service; fine when it does not run.
    ///
    /// *Guarantees*: from the moment the supervisor is told to stop, nobody takes the service for
    /// running, also when this is given up half way. When it returns, nothing of it runs, whether
    /// it was watched or not. Works on a full disk.
    pub(crate) async fn stop(&self) -> Result<(), ServiceError> {
        let family = self.family();
        self.end_supervisor(&family).await?;
        // Once more: it may have started the program again before it heard.
        let family = self.family();
        if !family.end(GRACE).await {
            let pids = family.members().iter().map(|member| member.pid).collect();
            return Err(ServiceError::Immortal { pids });
        }
        if let Some(cgroup) = &family.cgroup {
            remove_cgroup(cgroup);
        }
        Ok(())
    }

    async fn end_supervisor(&self, family: &Family) -> Result<(), ServiceError> {
        let begun = Instant::now();
        let mut told = false;
        let lives = || self.is_supervised() || family.watcher.is_some_and(Identity::is_alive);
        while lives() {
            let supervisor = self.held().supervisor.or(family.watcher);
            if let (false, Some(supervisor)) = (told, supervisor) {
                if let Some(folder) = self.folder() {
                    folder
                        .overwrite("lock", STOPPING.as_bytes())
                        .map_err(machine("stop the service"))?;
                }
                supervisor.signal(Signal::TERM);
                told = true;
            }
            if begun.elapsed() > GRACE + PATIENCE {
                return Err(self.silent("end"));
            }
            pause().await;
        }
        Ok(())
    }

    /// Starts a supervisor, and returns when it has said how its program is.
    ///
    /// *Assumes*: the service was stopped, or what runs of it is adopted.
    ///
    /// *Errors*: no supervisor of this call is left then.
    pub(crate) async fn start(&self, supervision: &Supervision) -> Result<(), ServiceError> {
        let (folder, lock) = self.take_lock(&supervision.token).await?;
        let instruction = serde_json::to_vec(supervision)
            .map_err(|error| machine("write the instruction")(error.into()))?;
        let mut child = tokio::process::Command::new(&self.program)
            .arg(SUPERVISE_ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::from(lock))
            .stderr(Stdio::null())
            .spawn()
            .map_err(machine("start the process that supervises the service"))?;
        let begun = self.begin(&folder, &mut child, &instruction, &supervision.token);
        let begun = begun.await;
        if begun.is_err() {
            self.take_back(&mut child).await;
        }
        begun
    }

    async fn begin(
        &self,
        folder: &Private,
        child: &mut Child,
        instruction: &[u8],
        token: &str,
    ) -> Result<(), ServiceError> {
        // Before it is instructed: whoever comes after this process was killed must find it.
        let supervisor = child.id().and_then(Identity::of);
        let line = serde_json::to_vec(&supervisor).map_err(io::Error::from);
        line.and_then(|line| folder.appended("lock")?.write_all(&line))
            .map_err(machine("write down who supervises the service"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(instruction)
                .await
                .map_err(machine("instruct the supervisor"))?;
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let status = read_status(folder).filter(|status| status.token == token);
            match status.map(|status| status.phase) {
                Some(Phase::Running(_) | Phase::Waiting(_) | Phase::Done) => return Ok(()),
                Some(Phase::Ended(how) | Phase::NeverRan(how)) => {
                    return Err(machine("keep the program running")(io::Error::other(how)));
                }
                None => pause().await,
            }
        }
        Err(self.silent("say how it is"))
    }

    /// Ends a supervisor that could not begin.
    async fn take_back(&self, child: &mut Child) {
        if let Some(supervisor) = child.id().and_then(Identity::of) {
            supervisor.signal(Signal::TERM);
        }
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            let _gone_meanwhile = child.kill().await;
        }
    }

    /// Takes the lock and writes into it whose it is. An old status is no longer anybody's, and
    /// still names what may run.
    async fn take_lock(&self, token: &str) -> Result<(Private, File), ServiceError> {
        let failed = "lock the service";
        let folder = self.nook.make().map_err(machine(failed))?;
        let mut lock = folder.appended("lock").map_err(machine(failed))?;
        let begun = Instant::now();
        while lock.try_lock().is_err() {
            if begun.elapsed() > PATIENCE {
                return Err(self.silent("give its lock back"));
            }
            pause().await;
        }
        if let Some(old) = read_status(&folder) {
            let old = serde_json::to_vec(&old.of_nobody()).map_err(io::Error::from);
            old.and_then(|old| folder.write("status.json", &old))
                .map_err(machine(failed))?;
        }
        lock.set_len(0).map_err(machine(failed))?;
        let line = format!("{token}\n");
        lock.write_all(line.as_bytes()).map_err(machine(failed))?;
        Ok((folder, lock))
    }

    /// Removes the folder, with the logs.
    pub(crate) fn forget(&self) -> Result<(), ServiceError> {
        self.nook.forget().map_err(machine("remove the logs"))
    }

    /// The end of what the program wrote to its error output, as a clause; empty when it is silent.
    pub(crate) fn last_words(&self, redactor: &Redactor) -> String {
        let read = |folder: Private| tail(folder.file("stderr.log").ok()??).ok();
        let text = self.folder().and_then(read).unwrap_or_default();
        let path = self.nook.path().join("stderr.log");
        match last_lines(&redactor.text(&text)) {
            words if words.is_empty() => String::new(),
            words => format!(" (last in `{}`: {words})", path.display()),
        }
    }
}

/// The most bytes of a log that last words are looked for in. More than are shown, so that a secret
/// that is not whole in them is in none of the lines that are.
const TAIL: u64 = 64 * 1024;

/// The last lines of a log, none of which begins before them.
fn tail(mut file: File) -> io::Result<String> {
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
