//! The `git` command of this machine.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::git::{GitCall, GitCommand, GitError, GitOutput};

/// Variables that would point git at another repository than the one of the call; a hook that
/// starts stratum has them set.
const STRANGERS: [&str; 12] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_SHALLOW_FILE",
];

/// Configuration that holds for every call.
const SETTINGS: [(&str, &str); 8] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.ext.allow", "never"),
    ("push.gpgSign", "false"),
    ("push.recurseSubmodules", "no"),
    ("fetch.recurseSubmodules", "no"),
];

/// How long the output of a call that ended is waited for, when something it started keeps it open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a call may still take when the process is to end: enough for a push that is answered.
const HURRY: Duration = Duration::from_secs(5);

/// How long git may take to end when it is asked to.
const GOODBYE: Duration = Duration::from_secs(2);

/// Runs the `git` found on the `PATH`, with the user's own configuration, credential helpers and
/// ssh keys.
#[derive(Debug, Clone, Default)]
pub struct SystemGit {
    shared: Arc<Shared>,
}

/// What all copies of one share.
#[derive(Debug, Default)]
struct Shared {
    /// Since when calls are to hurry.
    hurried: OnceLock<Instant>,
    /// No call is waited for any more.
    over: AtomicBool,
    /// How many run.
    running: AtomicUsize,
}

/// One call that runs.
struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl GitCommand for SystemGit {
    fn run(&self, call: &GitCall) -> Result<GitOutput, GitError> {
        let name = call.arguments.first().cloned().unwrap_or_default();
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        let _running = Running(&self.shared);
        let child = command(call).spawn();
        let mut child = child.map_err(|source| match call.git_dir.is_dir() {
            true => refused(&name, source),
            false => GitError::Run {
                command: name.clone(),
                source,
            },
        })?;
        feed(&mut child, call.input.clone());
        let out = child.stdout.take().map(collect);
        let complaint = child.stderr.take().map(collect);
        let status = self.wait(&mut child, call.timeout, &name)?;
        Ok(GitOutput {
            code: status.code(),
            out: finish(out),
            complaint: finish(complaint),
        })
    }

    fn hurry(&self) {
        self.shared.hurried.get_or_init(Instant::now);
    }

    fn end(&self) {
        self.shared.over.store(true, Ordering::SeqCst);
        let until = Instant::now() + GOODBYE * 2;
        while self.shared.running.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Shared {
    /// Whether a call that was begun then is to end, since the process is.
    fn is_over(&self, begun: Instant) -> bool {
        let hurried = self.hurried.get();
        self.over.load(Ordering::SeqCst)
            || hurried.is_some_and(|at| begun.max(*at).elapsed() >= HURRY)
    }
}

impl SystemGit {
    fn wait(
        &self,
        child: &mut Child,
        timeout: Duration,
        name: &str,
    ) -> Result<ExitStatus, GitError> {
        let begun = Instant::now();
        let until = begun + timeout;
        let mut pause = Duration::from_micros(500);
        loop {
            let command = name.to_owned();
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if self.shared.is_over(begun) => {
                    end(child);
                    return Err(GitError::Stopped { command });
                }
                Ok(None) if Instant::now() < until => std::thread::sleep(pause),
                Ok(None) => {
                    end(child);
                    let seconds = timeout.as_secs();
                    return Err(GitError::Timeout { command, seconds });
                }
                Err(source) => return Err(refused(name, source)),
            }
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }
}

fn command(call: &GitCall) -> Command {
    let mut command = Command::new("git");
    for name in STRANGERS {
        command.env_remove(name);
    }
    command
        .env("GIT_DIR", &call.git_dir)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .current_dir(&call.git_dir)
        .args(&call.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for stratum, which lets git finish; and a timeout ends the whole group.
        .process_group(0);
    for (name, value) in settings(call) {
        command.env(name, value);
    }
    command.envs(call.environment.iter().map(|(name, value)| (name, value)));
    command
}

/// The settings as `GIT_CONFIG_*` variables, after those that the user has.
fn settings(call: &GitCall) -> Vec<(String, OsString)> {
    let count = std::env::var("GIT_CONFIG_COUNT");
    let first: usize = count.ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    let ours = SETTINGS.iter().map(|&(key, value)| (key, value));
    let theirs = call
        .settings
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    let mut variables = Vec::new();
    let mut next = first;
    for (key, value) in ours.chain(theirs) {
        variables.push((format!("GIT_CONFIG_KEY_{next}"), key.into()));
        variables.push((format!("GIT_CONFIG_VALUE_{next}"), value.into()));
        next += 1;
    }
    variables.push(("GIT_CONFIG_COUNT".to_owned(), next.to_string().into()));
    variables
}

fn refused(name: &str, source: std::io::Error) -> GitError {
    match source.kind() {
        std::io::ErrorKind::NotFound => GitError::NotInstalled,
        _ => GitError::Run {
            command: name.to_owned(),
            source,
        },
    }
}

/// Writes the input from a thread of its own, so that a full pipe cannot stop both sides.
fn feed(child: &mut Child, input: Vec<u8>) {
    if let Some(mut pipe) = child.stdin.take() {
        std::thread::spawn(move || {
            // A git that does not read its input to the end says why on its standard error.
            let _closed_early = pipe.write_all(&input);
        });
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _cut_short = pipe.read_to_end(&mut bytes);
        let _nobody_waits = sender.send(bytes);
    });
    receiver
}

fn finish(output: Option<Receiver<Vec<u8>>>) -> String {
    let bytes = output.and_then(|output| output.recv_timeout(LAST_WORDS).ok());
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

/// Ends the command and what it started (ssh, a credential helper): git is asked first, so that
/// it takes its locks away.
fn end(child: &mut Child) {
    for (signal, patience) in [(Signal::TERM, GOODBYE), (Signal::KILL, Duration::ZERO)] {
        if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _already_gone = kill_process_group(group, signal);
        }
        let until = Instant::now() + patience;
        while Instant::now() < until && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let _reaped = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arguments: &[&str], timeout: Duration) -> Result<GitOutput, GitError> {
        SystemGit::default().run(&GitCall::new(std::env::temp_dir(), arguments, timeout))
    }

    #[test]
    fn what_takes_too_long_is_killed_with_its_children() {
        let begun = Instant::now();
        let sleep = ["-c", "alias.nap=!sleep 60 & sleep 60", "nap"];
        let error = call(&sleep, Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, GitError::Timeout { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn whoever_is_to_end_waits_for_no_remote() {
        let git = SystemGit::default();
        let other = git.clone();
        let sleep = ["-c", "alias.nap=!sleep 600", "nap"];
        let long = Duration::from_secs(600);
        let running = std::thread::spawn(move || {
            other.run(&GitCall::new(std::env::temp_dir(), &sleep, long))
        });
        git.hurry();
        let error = running.join().unwrap().unwrap_err();
        assert!(matches!(error, GitError::Stopped { .. }), "{error}");
        // Also what is begun from then on, and at the end nothing is waited for.
        let other = git.clone();
        let running = std::thread::spawn(move || {
            other.run(&GitCall::new(std::env::temp_dir(), &sleep, long))
        });
        git.end();
        let error = running.join().unwrap().unwrap_err();
        assert!(matches!(error, GitError::Stopped { .. }), "{error}");
        assert_eq!(git.shared.running.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn output_input_and_exit_code_come_back() {
        let long = Duration::from_secs(20);
        let mut hash = GitCall::new(std::env::temp_dir(), &["hash-object", "--stdin"], long);
        hash.input = vec![b'x'; 1 << 20];
        let output = SystemGit::default().run(&hash).unwrap();
        assert_eq!((output.code, output.out.trim().len()), (Some(0), 40));
        let output = call(&["no-such-command"], long).unwrap();
        assert_eq!(output.code, Some(1));
        assert!(output.complaint.contains("no-such-command"));
    }

    #[test]
    fn our_settings_win_and_do_not_show_in_the_arguments() {
        let mut call = GitCall::new(
            std::env::temp_dir(),
            &["config", "remote.origin.url"],
            Duration::from_secs(20),
        );
        call.settings = vec![(
            "remote.origin.url".to_owned(),
            "https://secret@h/x".to_owned(),
        )];
        assert_eq!(
            SystemGit::default().run(&call).unwrap().out,
            "https://secret@h/x\n"
        );
        call.arguments = vec!["config".to_owned(), "core.hooksPath".to_owned()];
        assert_eq!(SystemGit::default().run(&call).unwrap().out, "/dev/null\n");
    }
}
