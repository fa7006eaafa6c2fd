//! The process that keeps one service running, and outlives the reconciler.
//!
//! Its standard output is the *lock file* of the service, opened and locked by the reconciler
//! before this process was started, and held exactly as long as this process lives. What it knows
//! stands in `status.json` beside it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use tokio::process::Child;

use super::exec::told_to_stop;
use super::{HelperError, Identity, split_environment};

/// The time a service gets between SIGTERM and SIGKILL.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// A program that ran this long has its backoff forgotten.
const STEADY: Duration = Duration::from_secs(10);

/// The first and the longest wait before the program is started again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// A log that is larger than this is put aside (as `.1`) when the program is started.
const LOG_LIMIT: u64 = 10 * 1024 * 1024;

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
    /// The folder it runs in, absolute.
    pub(crate) dir: PathBuf,
    /// The folder of its logs and its status, absolute.
    pub(crate) folder: PathBuf,
    /// The token of the step that started it.
    pub(crate) token: String,
    /// When that was (UTC).
    pub(crate) started_at: String,
}

/// How the program of a service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// It runs.
    Running(Option<Identity>),
    /// It ended, and is started again in a moment.
    Waiting(String),
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
}

/// The status in a service's folder; `None` when there is none.
pub(crate) fn read_status(folder: &Path) -> Option<Status> {
    let bytes = std::fs::read(folder.join("status.json")).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn write_status(folder: &Path, status: &Status) -> Result<(), HelperError> {
    let text = serde_json::to_vec_pretty(status)?;
    let (new, old) = (folder.join("status.json.new"), folder.join("status.json"));
    std::fs::write(&new, text)
        .and_then(|()| std::fs::rename(new, old))
        .map_err(HelperError::machine("write the status"))
}

/// Ends a group: SIGTERM, a time of grace, SIGKILL. Returns when its leader is gone.
pub(crate) async fn kill_group_gently(leader: Identity, grace: Duration) {
    signal_group(leader, Signal::TERM);
    let begun = Instant::now();
    while leader.is_alive() && begun.elapsed() < grace {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    signal_group(leader, Signal::KILL);
    while leader.is_alive() && begun.elapsed() < grace + Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn signal_group(leader: Identity, signal: Signal) {
    if let (true, Some(pid)) = (leader.is_alive(), Pid::from_raw(leader.pid)) {
        let _gone_meanwhile = rustix::process::kill_process_group(pid, signal);
    }
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(HelperError::machine("start"))?;
    runtime.block_on(keep_running(supervision))
}

async fn keep_running(supervision: Supervision) -> Result<(), HelperError> {
    let mut stop = std::pin::pin!(told_to_stop());
    let mut status = Status {
        token: supervision.token.clone(),
        supervisor: Identity::of(std::process::id()),
        settings: supervision.settings.clone(),
        started_at: supervision.started_at.clone(),
        phase: Phase::Waiting("is being started".to_owned()),
        last: None,
        restarts: 0,
    };
    let mut backoff = BACKOFF.0;
    loop {
        let begun = Instant::now();
        let (phase, again) = match start(&supervision) {
            Ok(mut child) => {
                status.last = child.id().and_then(Identity::of);
                status.phase = Phase::Running(status.last);
                write_status(&supervision.folder, &status)?;
                tokio::select! {
                    ended = child.wait() => after(ended.ok(), &supervision.settings.restart),
                    _ = &mut stop => return end(&supervision, status, &mut child).await,
                }
            }
            Err(error) => (
                Phase::NeverRan(format!("could not be started: {error}")),
                false,
            ),
        };
        if let Some(group) = status.last {
            signal_group_of_dead(group);
        }
        status.phase = phase;
        write_status(&supervision.folder, &status)?;
        if !again {
            return Ok(());
        }
        backoff = if begun.elapsed() >= STEADY {
            BACKOFF.0
        } else {
            backoff
        };
        tokio::select! {
            () = tokio::time::sleep(backoff) => {}
            _ = &mut stop => return Ok(()),
        }
        backoff = (backoff * 2).min(BACKOFF.1);
        status.restarts += 1;
    }
}

/// Kills what a program that ended left in its group, before it is started again.
fn signal_group_of_dead(leader: Identity) {
    if let Some(pid) = Pid::from_raw(leader.pid) {
        let _nothing_left = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

/// What follows when the program ended: how it ended, and whether it is started again.
fn after(ended: Option<ExitStatus>, restart: &str) -> (Phase, bool) {
    let how = match ended.map(|status| (status.code(), status.signal())) {
        Some((Some(code), _)) => format!("exited with {code}"),
        Some((None, Some(signal))) => format!("was ended by signal {signal}"),
        _ => "ended".to_owned(),
    };
    let failed = !ended.is_some_and(|status| status.success());
    let again = restart == "always" || (restart == "on-failure" && failed);
    if again {
        (Phase::Waiting(how), true)
    } else {
        (Phase::Ended(how), false)
    }
}

async fn end(
    supervision: &Supervision,
    mut status: Status,
    child: &mut Child,
) -> Result<(), HelperError> {
    if let Some(leader) = status.last {
        tokio::select! {
            () = kill_group_gently(leader, GRACE) => {}
            _ = child.wait() => {}
        }
        signal_group_of_dead(leader);
    }
    status.phase = Phase::Ended("was told to stop".to_owned());
    write_status(&supervision.folder, &status)
}

fn start(supervision: &Supervision) -> std::io::Result<Child> {
    let (program, arguments) = supervision
        .settings
        .command
        .split_first()
        .ok_or_else(|| std::io::Error::other("the command names no program"))?;
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .current_dir(&supervision.dir)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log(&supervision.folder.join("stdout.log"))?)
        .stderr(log(&supervision.folder.join("stderr.log"))?);
    split_environment(&mut command, &supervision.env);
    // Open until the program has them; it gets the same numbers.
    let files = files(&supervision.files)?;
    for (name, file) in &files {
        command.env(name, format!("/proc/self/fd/{}", file.as_raw_fd()));
    }
    command.spawn()
}

/// Files in memory that the program inherits.
fn files(contents: &BTreeMap<String, String>) -> std::io::Result<Vec<(&String, OwnedFd)>> {
    let file = |(name, content): (_, &String)| {
        // Without `CLOEXEC`: it is there to be inherited.
        let flags = MemfdFlags::ALLOW_SEALING;
        let file = std::fs::File::from(memfd_create("stratum-secret", flags)?);
        (&file).write_all(content.as_bytes())?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&file, seals)?;
        Ok((name, OwnedFd::from(file)))
    };
    contents.iter().map(file).collect()
}

fn log(path: &Path) -> std::io::Result<Stdio> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() > LOG_LIMIT) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_policies_differ_by_how_the_program_ended() {
        let (good, bad) = (ExitStatus::from_raw(0), ExitStatus::from_raw(1 << 8));
        let again = |status, policy| after(Some(status), policy).1;
        assert!(again(good, "always") && again(bad, "always"));
        assert!(!again(good, "on-failure") && again(bad, "on-failure"));
        assert!(!again(good, "never") && !again(bad, "never"));
    }
}
