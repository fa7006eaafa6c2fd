//! The first process of a container, or of a machine without another init.
//!
//! What loses its parent becomes a child of the first process, and stays a zombie until that
//! collects it. So the program does its work in a child of its own then, and the first process does
//! nothing but collect what ended and pass signals on. When the work ends, so does the container,
//! with the same exit code.

use std::io::IsTerminal as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use tokio::signal::unix::{SignalKind, signal};

/// Says to the child that somebody collects already.
const MARK: &str = "STRATUM_INIT";

/// Signals that are passed on; from a terminal the second half goes to both anyway.
const PASSED_ON: [Signal; 4] = [Signal::TERM, Signal::HUP, Signal::USR1, Signal::USR2];
const OF_TERMINALS: [Signal; 2] = [Signal::INT, Signal::QUIT];

/// Does the work in a child if this is the first process; otherwise `None`.
pub fn in_a_child() -> Option<ExitCode> {
    let first = rustix::process::getpid().as_raw_nonzero().get() == 1;
    let done = (first && std::env::var_os(MARK).is_none()).then(begin)?;
    // Where no child can be made, the work is done all the same.
    done.ok()
}

fn begin() -> std::io::Result<ExitCode> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).env(MARK, "1");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // Before there is a child: what comes to it is not missed.
        let signals = signals()?;
        let mut ended = signal(SignalKind::child())?;
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| std::io::Error::other("the child has no id"))?;
        for (number, mut heard) in signals {
            tokio::spawn(async move {
                while heard.recv().await.is_some() {
                    let _gone_meanwhile = kill_process(pid, number);
                }
            });
        }
        loop {
            if let Some(code) = collect(pid) {
                return Ok(code);
            }
            ended.recv().await;
        }
    })
}

fn signals() -> std::io::Result<Vec<(Signal, tokio::signal::unix::Signal)>> {
    let of_terminals = OF_TERMINALS
        .into_iter()
        .filter(|_| !std::io::stdin().is_terminal());
    let all = PASSED_ON.into_iter().chain(of_terminals);
    all.map(|number| {
        let heard = signal(SignalKind::from_raw(number.as_raw()))?;
        Ok((number, heard))
    })
    .collect()
}

/// Collects all that ended; the exit code, if the child is among them.
fn collect(child: Pid) -> Option<ExitCode> {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == child {
            return Some(code_of(status));
        }
    }
    None
}

/// The exit code of who ended so; as a shell says it, when it was ended by a signal.
fn code_of(status: WaitStatus) -> ExitCode {
    let status = ExitStatus::from_raw(status.as_raw());
    let signal = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signal).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_not_the_first_process_does_its_work_itself() {
        assert!(super::in_a_child().is_none());
    }
}
