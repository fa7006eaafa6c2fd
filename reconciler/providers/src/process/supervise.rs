//! The process that keeps one service running, and outlives the reconciler.
//!
//! Its standard output is the *lock file* of the service, opened and locked by the reconciler
//! before this process was started, and held exactly as long as this process lives. What it knows
//! stands in `status.json` beside it.
//!
//! *Guarantees*: it ends when it is told to, and when the program is not to be started again; for
//! nothing else. A status or a log that cannot be written, as on a full disk, is written when
//! there is room. Should it be killed all the same, the program runs on, and the next one takes it
//! over ([`Supervision::adopt`]).

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stratum_core::redact::Redactor;

use super::exec::told_to_stop;
use super::family::{Family, HOME, MARK, new_mark, own_session};
use super::identity::since_boot;
use super::isolation::apart;
use super::log::Log;
use super::memory::files;
use super::program::{Orphans, Program};
use super::{HelperError, Identity, User, cgroup, split_environment};
use crate::private::{Nook, Private};

/// The time a service gets between SIGTERM and SIGKILL.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// A program that ran this long has its backoff forgotten.
pub(crate) const STEADY: Duration = Duration::from_secs(10);

/// The first and the longest wait before the program is started again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// After this a status that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How many of the last failures are remembered.
pub(crate) const REMEMBERED: usize = 5;

/// What makes one service differ from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// The folder it runs in, as it was written.
    pub(crate) dir: Option<String>,
    /// When it is started again.
    pub(crate) restart: String,
    /// A digest of its variables: they may hold what must not lie in a file.
    pub(crate) env: String,
    /// The user it runs as, as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
}

/// What the process is told, on its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Supervision {
    /// What runs.
    pub(crate) settings: Settings,
    /// Its variables.
    pub(crate) env: BTreeMap<String, String>,
    /// What its files hold, by the variable that names each.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// The secrets among all of that: they reach no log.
    #[serde(default)]
    pub(crate) secrets: Vec<String>,
    /// The folder it runs in, absolute.
    pub(crate) dir: PathBuf,
    /// The folder of its logs and its status.
    pub(crate) nook: Nook,
    /// The token of the step that started it.
    pub(crate) token: String,
    /// When that was (UTC).
    pub(crate) started_at: String,
    /// The user it runs as, when that is another.
    #[serde(default)]
    pub(crate) user: Option<User>,
    /// A program that runs already, and lost the process that watched it.
    #[serde(default)]
    pub(crate) adopt: Option<Family>,
}

/// How the program of a service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// It runs.
    Running(Option<Identity>),
    /// It ended, and is started again in a moment.
    Waiting(String),
    /// It ended well, and that is all it was to do.
    Done,
    /// It ended, and is not started again.
    Ended(String),
    /// It could not be started, and is not tried again.
    NeverRan(String),
}

/// What is known of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The token of the step that started it.
    pub(crate) token: String,
    /// The process that supervises it.
    pub(crate) supervisor: Option<Identity>,
    /// What runs.
    pub(crate) settings: Settings,
    /// When it was started (UTC).
    pub(crate) started_at: String,
    /// How the program is.
    pub(crate) phase: Phase,
    /// The program that ran last.
    pub(crate) last: Option<Identity>,
    /// How often it was started again.
    pub(crate) restarts: u64,
    /// What its processes are known by.
    #[serde(default)]
    family: Family,
    /// How it ended the last time it did.
    #[serde(default)]
    pub(crate) ended: Option<String>,
    /// When it failed last, the newest last: seconds since the machine started.
    #[serde(default)]
    pub(crate) failures: Vec<u64>,
}

impl Status {
    /// What its processes are known by.
    pub(crate) fn family(&self) -> Family {
        Family {
            leader: self.last,
            watcher: self.supervisor,
            session: match self.family.session {
                0 => self.supervisor.map_or(0, |supervisor| supervisor.pid),
                session => session,
            },
            ..self.family.clone()
        }
    }

    /// The same, as nobody's: of no step that could be told from it.
    pub(crate) fn of_nobody(self) -> Self {
        Self {
            token: String::new(),
            ..self
        }
    }

    /// Whether its program ended by itself, and is not started again.
    pub(crate) fn is_final(&self) -> bool {
        matches!((&self.phase, &self.ended), (Phase::Ended(how), Some(ended)) if how == ended)
    }

    /// Whether its supervisor goes on with it.
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self.phase, Phase::Running(_) | Phase::Waiting(_))
    }

    /// Whether the next supervisor can take its program over: one of an older version writes its
    /// logs itself.
    pub(crate) fn can_be_adopted(&self) -> bool {
        !self.family.mark.is_empty() && self.last.is_some_and(Identity::is_alive)
    }
}

/// The status in a service's folder; `None` when there is none.
pub(crate) fn read_status(folder: &Private) -> Option<Status> {
    serde_json::from_slice(&folder.read("status.json").ok()??).ok()
}

/// Supervises the service on standard input until it is told to stop.
pub(crate) fn supervise_main() -> ExitCode {
    match supervise() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn supervise() -> Result<(), HelperError> {
    super::keep_to_itself();
    let mut text = Vec::new();
    std::io::stdin()
        .read_to_end(&mut text)
        .map_err(HelperError::machine("read the instruction"))?;
    let supervision: Supervision = serde_json::from_slice(&text)?;
    rustix::process::setsid()
        .map_err(|error| HelperError::machine("leave the session")(error.into()))?;
    // A kernel that refuses has the mark and the group.
    let _refused = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(HelperError::machine("start"))?;
    runtime.block_on(async {
        // First of all: what is made from here on is taken away again by whoever is told to stop.
        let stop = told_to_stop();
        let mut watch = Watch::new(supervision)?;
        let ended = watch.keep_running(stop).await;
        if let Some(cgroup) = &watch.status.family.cgroup {
            cgroup::leave(cgroup);
        }
        ended
    })
}

/// A service that is watched.
struct Watch {
    supervision: Supervision,
    folder: Arc<Private>,
    status: Status,
    /// The status could not be written.
    unwritten: bool,
    out: Log,
    err: Log,
    orphans: Orphans,
}

impl Watch {
    fn new(supervision: Supervision) -> Result<Self, HelperError> {
        let folder = supervision.nook.make();
        let folder = Arc::new(folder.map_err(HelperError::machine("open the folder"))?);
        let redactor = Redactor::new(&supervision.secrets);
        let log = |name| {
            let log = Log::open(Arc::clone(&folder), name, &redactor);
            log.map_err(HelperError::machine("open the log"))
        };
        let own = Identity::of(std::process::id());
        let family = Family {
            home: supervision.nook.path().display().to_string(),
            ..supervision.adopt.clone().unwrap_or_else(new_family)
        };
        Ok(Self {
            status: Status {
                token: supervision.token.clone(),
                supervisor: own,
                settings: supervision.settings.clone(),
                started_at: supervision.started_at.clone(),
                phase: Phase::Waiting("is being started".to_owned()),
                last: family.leader,
                restarts: 0,
                family: entered(family),
                ended: None,
                failures: Vec::new(),
            },
            unwritten: false,
            out: log("stdout")?,
            err: log("stderr")?,
            orphans: Orphans::new().map_err(HelperError::machine("hear of orphans"))?,
            folder,
            supervision,
        })
    }

    /// Until the program is not to be started again, or this process is told to stop.
    async fn keep_running(
        &mut self,
        stop: impl Future<Output = String>,
    ) -> Result<(), HelperError> {
        let mut stop = std::pin::pin!(stop);
        let mut backoff = BACKOFF.0;
        loop {
            let begun = since_boot();
            match self.program() {
                Ok(mut program) => {
                    self.status.last = program.identity();
                    self.say(Phase::Running(self.status.last));
                    tokio::select! {
                        ended = self.until_end(&mut program) => self.note_end(ended),
                        _ = &mut stop => return self.end().await,
                    }
                    self.gather().await;
                }
                Err(error) if self.status.restarts == 0 => {
                    self.say(Phase::NeverRan(format!("could not be started: {error}")));
                    return Ok(());
                }
                Err(error) => {
                    self.status.phase = Phase::Waiting(format!("could not be started: {error}"));
                }
            }
            self.write();
            if !matches!(self.status.phase, Phase::Waiting(_)) {
                return self.until_written().await;
            }
            if since_boot().saturating_sub(begun) >= STEADY {
                backoff = BACKOFF.0;
            }
            tokio::select! {
                () = self.pause(backoff) => {}
                _ = &mut stop => return self.end().await,
            }
            backoff = (backoff * 2).min(BACKOFF.1);
            self.status.restarts += 1;
        }
    }

    /// The program that is to be taken over, or a new one.
    fn program(&mut self) -> std::io::Result<Program> {
        let adopted = self.supervision.adopt.take();
        if let Some(adopted) = adopted.and_then(|family| family.leader)
            && let Some(program) = Program::adopt(adopted)
        {
            return Ok(program);
        }
        self.start()
    }

    fn start(&self) -> std::io::Result<Program> {
        let Supervision {
            settings,
            env,
            dir,
            user,
            ..
        } = &self.supervision;
        let (program, arguments) = settings
            .command
            .split_first()
            .ok_or_else(|| std::io::Error::other("the command names no program"))?;
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).current_dir(dir);
        split_environment(&mut command, env, user.as_ref());
        command.env(MARK, &self.status.family.mark);
        command.env(HOME, &self.status.family.home);
        // Open until the program has them; it gets the same numbers.
        let files = files(&self.supervision.files, user.as_ref())?;
        for (name, file) in &files {
            command.env(name, format!("/proc/self/fd/{}", file.as_raw_fd()));
        }
        let (mut command, _open) = apart(command, user.as_ref())?;
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(self.out.end(user.as_ref())?)
            .stderr(self.err.end(user.as_ref())?);
        Ok(Program::Started(command.spawn()?))
    }

    /// Waits for the end of the program, and meanwhile looks after all else.
    async fn until_end(&mut self, program: &mut Program) -> Option<ExitStatus> {
        loop {
            tokio::select! {
                ended = program.wait() => return ended,
                () = self.out.copy() => {}
                () = self.err.copy() => {}
                () = self.orphans.come() => self.orphans.collect(program.pid()),
                () = tokio::time::sleep(AGAIN), if self.unwritten => self.write(),
            }
        }
    }

    async fn pause(&mut self, time: Duration) {
        let begun = since_boot();
        while since_boot().saturating_sub(begun) < time {
            tokio::time::sleep(time.min(AGAIN)).await;
            self.orphans.collect(None);
            if self.unwritten {
                self.write();
            }
        }
    }

    /// Ends what a program that ended left, and takes over what it wrote last.
    async fn gather(&mut self) {
        let family = self.status.family();
        let _what_stays_is_named_by_the_next_look = family.kill().await;
        self.out.drain();
        self.err.drain();
        self.orphans.collect(None);
    }

    async fn end(&mut self) -> Result<(), HelperError> {
        let family = self.status.family();
        let mut ended = std::pin::pin!(family.end(GRACE));
        loop {
            tokio::select! {
                _ = &mut ended => break,
                // What it writes while it ends must not hold it up.
                () = self.out.copy() => {}
                () = self.err.copy() => {}
                () = self.orphans.come() => self.orphans.collect(None),
            }
        }
        self.gather().await;
        self.say(Phase::Ended("was told to stop".to_owned()));
        Ok(())
    }

    fn note_end(&mut self, ended: Option<ExitStatus>) {
        let failed = !ended.is_some_and(|status| status.success());
        if failed {
            self.status.failures.push(since_boot().as_secs());
            let old = self.status.failures.len().saturating_sub(REMEMBERED);
            self.status.failures.drain(..old);
        }
        let phase = after(ended, &self.supervision.settings.restart);
        self.status.ended = Some(how(ended));
        self.status.phase = phase;
    }

    fn say(&mut self, phase: Phase) {
        self.status.phase = phase;
        self.write();
    }

    /// Writes the status; what cannot be is tried again.
    fn write(&mut self) {
        let written = serde_json::to_vec_pretty(&self.status)
            .map_err(std::io::Error::from)
            .and_then(|text| self.folder.write("status.json", &text));
        self.unwritten = written.is_err();
    }

    /// What must be known when this process is gone is not given up.
    async fn until_written(&mut self) -> Result<(), HelperError> {
        let mut stop = std::pin::pin!(told_to_stop());
        while self.unwritten {
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => self.write(),
                _ = &mut stop => break,
            }
        }
        Ok(())
    }
}

fn new_family() -> Family {
    Family {
        mark: new_mark(),
        session: own_session(),
        ..Family::default()
    }
}

/// The family with its cgroup, in which this process is from now on.
fn entered(family: Family) -> Family {
    let cgroup = match &family.cgroup {
        Some(cgroup) if cgroup::join(cgroup) => Some(cgroup.clone()),
        _ => cgroup::enter(&family.mark),
    };
    Family {
        cgroup: cgroup.or_else(|| family.cgroup.clone()),
        ..family
    }
}

/// What follows when the program ended.
fn after(ended: Option<ExitStatus>, restart: &str) -> Phase {
    let failed = !ended.is_some_and(|status| status.success());
    if restart == "always" || (restart == "on-failure" && failed) {
        Phase::Waiting(how(ended))
    } else if failed {
        Phase::Ended(how(ended))
    } else {
        Phase::Done
    }
}

fn how(ended: Option<ExitStatus>) -> String {
    match ended.map(|status| (status.code(), status.signal())) {
        Some((Some(code), _)) => format!("exited with {code}"),
        Some((None, Some(signal))) => format!("was ended by signal {signal}"),
        _ => "ended while nobody watched it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_policies_differ_by_how_the_program_ended() {
        let (good, bad) = (ExitStatus::from_raw(0), ExitStatus::from_raw(1 << 8));
        let again = |status, policy| matches!(after(Some(status), policy), Phase::Waiting(_));
        assert!(again(good, "always") && again(bad, "always"));
        assert!(!again(good, "on-failure") && again(bad, "on-failure"));
        assert!(!again(good, "never") && !again(bad, "never"));
    }

    #[test]
    fn what_ended_as_it_should_is_done_and_nothing_else_is() {
        let (good, bad) = (ExitStatus::from_raw(0), ExitStatus::from_raw(3 << 8));
        assert_eq!(after(Some(good), "never"), Phase::Done);
        assert_eq!(after(Some(good), "on-failure"), Phase::Done);
        let ended = |text: &str| Phase::Ended(text.to_owned());
        assert_eq!(after(Some(bad), "never"), ended("exited with 3"));
        let killed = ExitStatus::from_raw(9);
        assert_eq!(after(Some(killed), "never"), ended("was ended by signal 9"));
        let unseen = ended("ended while nobody watched it");
        assert_eq!(after(None, "never"), unseen);
    }
}
