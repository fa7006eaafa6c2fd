//! One evaluating child, as its parent sees it.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::de::DeserializeOwned;
use stratum_core::settings::Limits;

use super::child::EVALUATE_ARGUMENT;
use super::confine::Confinement;
use super::death::Death;
use super::protocol::FRAME_FACTOR;

/// A worker that evaluated this many bytes of source is not used again: what it read stays in its
/// memory.
const FED: usize = 1 << 20;

/// A worker that was busy this long is not used again, for the same reason.
const BUSY: Duration = Duration::from_secs(1);

/// How often a waiting parent looks whether it should stop.
const LOOK: Duration = Duration::from_millis(100);

/// The least that an answer may have, besides what its request says.
const SMALL: u64 = 4 << 20;

/// How long an answer is waited for, and how large it may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience<'a> {
    /// Since then.
    pub(crate) begun: Instant,
    /// Until then.
    pub(crate) deadline: Instant,
    /// What is said to have been allowed when that is over.
    pub(crate) time: Duration,
    /// The bytes that the value may count.
    pub(crate) most: u64,
    /// Nothing is waited for any more.
    pub(crate) stopped: &'a AtomicBool,
}

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    errors: ChildStderr,
    limits: Limits,
    greeting: Option<Confinement>,
    fed: usize,
    busy: Duration,
    /// The processor time that it had when it was asked last.
    before: Duration,
}

impl Worker {
    /// Starts a child with `limits`; it reads the standard library while nobody waits.
    pub(crate) fn start(program: &OsStr, limits: &Limits) -> io::Result<Self> {
        let seconds = limits.time.as_secs().saturating_mul(2).saturating_add(2);
        let mut child = Command::new(program)
            .arg(EVALUATE_ARGUMENT)
            .arg(limits.memory.to_string())
            .arg(seconds.to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let pipes = child
            .stdin
            .take()
            .zip(child.stdout.take())
            .zip(child.stderr.take());
        let Some(((input, output), errors)) = pipes else {
            return Err(io::Error::other("the child has no pipes"));
        };
        rustix::io::ioctl_fionbio(&input, true)?;
        rustix::io::ioctl_fionbio(&output, true)?;
        let (fed, busy, greeting) = (0, Duration::ZERO, None);
        Ok(Self {
            child,
            input,
            output,
            errors,
            limits: limits.clone(),
            greeting,
            fed,
            busy,
            before: Duration::ZERO,
        })
    }

    /// Whether it may take another request that has `limits`.
    pub(crate) fn fits(&self, limits: &Limits) -> bool {
        self.limits.memory == limits.memory
            && self.limits.time == limits.time
            && self.fed < FED
            && self.busy < BUSY
    }

    /// Whether it has evaluated nothing yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fed == 0
    }

    /// What the child says about its confinement.
    pub(crate) fn greeting(&mut self, patience: Patience<'_>) -> Result<Confinement, Death> {
        if let Some(greeting) = self.greeting {
            return Ok(greeting);
        }
        let greeting = self.receive(patience)?;
        self.greeting = Some(greeting);
        Ok(greeting)
    }

    /// Sends one frame and reads the answer.
    pub(crate) fn ask<T: DeserializeOwned>(
        &mut self,
        frame: &[u8],
        patience: Patience<'_>,
    ) -> Result<T, Death> {
        self.before = self.processor_time();
        self.fed = self.fed.saturating_add(frame.len());
        self.send(frame, patience)?;
        self.greeting(patience)?;
        let answer = self.receive(patience);
        self.busy = self.busy.saturating_add(self.spent());
        answer
    }

    /// The processor time since it was asked last.
    pub(crate) fn spent(&self) -> Duration {
        self.processor_time().saturating_sub(self.before)
    }

    /// The processor time that it had; nothing where the system does not tell.
    ///
    /// *Source*: proc_pid_stat(5); `utime` and `stime`, in hundredths of a second.
    fn processor_time(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let text = text.unwrap_or_default();
        let numbers = text.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks = numbers.skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks.saturating_mul(10))
    }

    fn send(&mut self, mut bytes: &[u8], patience: Patience<'_>) -> Result<(), Death> {
        while !bytes.is_empty() {
            if !wait(PollFd::new(&self.input, PollFlags::OUT), patience)? {
                return Err(self.overdue(patience));
            }
            match self.input.write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if again(&error) => {}
                Err(_broken) => return Err(self.ended()),
            }
        }
        Ok(())
    }

    fn receive<T: DeserializeOwned>(&mut self, patience: Patience<'_>) -> Result<T, Death> {
        let length = self.exactly(4, patience)?;
        let length = length
            .iter()
            .rev()
            .fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
        let most = patience
            .most
            .saturating_mul(FRAME_FACTOR)
            .saturating_add(SMALL);
        if u64::from(length) > most {
            let message = format!("its answer is larger than {} MiB", most >> 20);
            return Err(Death::Answer(message));
        }
        let bytes = self.exactly(length as usize, patience)?;
        serde_json::from_slice(&bytes).map_err(|error| Death::Answer(error.to_string()))
    }

    fn exactly(&mut self, count: usize, patience: Patience<'_>) -> Result<Vec<u8>, Death> {
        let mut bytes = Vec::new();
        let mut piece = vec![0; count.min(1 << 16)];
        while bytes.len() < count {
            if !wait(PollFd::new(&self.output, PollFlags::IN), patience)? {
                return Err(self.overdue(patience));
            }
            let most = piece.len().min(count - bytes.len());
            match self.output.read(piece.get_mut(..most).unwrap_or_default()) {
                Ok(0) => return Err(self.ended()),
                Ok(read) => bytes.extend_from_slice(piece.get(..read).unwrap_or_default()),
                Err(error) if again(&error) => {}
                Err(error) => return Err(Death::System(error)),
            }
        }
        Ok(bytes)
    }

    fn overdue(&mut self, patience: Patience<'_>) -> Death {
        self.kill();
        Death::Time(patience.time)
    }

    /// Why the child closed its side.
    fn ended(&mut self) -> Death {
        let mut text = String::new();
        let status = self.child.wait();
        let read = self.errors.by_ref().take(1 << 16).read_to_string(&mut text);
        match status.and_then(|status| read.map(|_| status)) {
            Ok(status) => Death::of(status, &text, &self.limits),
            Err(error) => Death::System(error),
        }
    }

    fn kill(&mut self) {
        let _already_dead = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn again(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Waits until the pipe is ready; `false` when the deadline has come.
fn wait(pipe: PollFd<'_>, patience: Patience<'_>) -> Result<bool, Death> {
    let mut pipes = [pipe];
    loop {
        if patience.stopped.load(Ordering::Relaxed) {
            return Err(Death::Stopped);
        }
        let left = patience.deadline.saturating_duration_since(Instant::now());
        let last = left <= LOOK;
        let left = left.min(LOOK);
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut pipes, Some(&timeout)) {
            Ok(0) if !last => {}
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Death::System(error.into())),
        }
    }
}
