//! The process that carries out one command of a `local_exec`, and outlives the reconciler.
//!
//! Its standard output is the *step file*, opened and locked by the reconciler before this process
//! was started. The lock belongs to the open file, so it is held exactly as long as this process
//! lives, whatever becomes of the reconciler. Lines are appended to it:
//!
//! ```text
//! {"intended":{…}}   by the reconciler, durable before this process starts
//! {"started":{…}}    durable before the command starts
//! {"ended":{…}}      durable after the command ended
//! ```

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use super::command::run_watched;
use super::{Command, Ended, HelperError, Identity};

/// What the process is told, on its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Instruction {
    /// The command.
    pub(crate) command: Command,
}

/// One line of a step file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Line {
    /// The reconciler is about to start the process.
    Intended {
        /// The program, for people who look.
        what: String,
    },
    /// The process is about to start the command.
    Started {
        /// The process, not the command.
        by: Option<Identity>,
    },
    /// The command ended.
    Ended(Ended),
}

/// The lines of a step file. What a crash cut off is left out.
pub(crate) fn lines(bytes: &[u8]) -> Vec<Line> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

/// Carries out the instruction on standard input and reports on standard output.
pub(crate) fn exec_main() -> ExitCode {
    match carry_out() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn carry_out() -> Result<(), HelperError> {
    super::keep_to_itself();
    let mut text = Vec::new();
    std::io::stdin()
        .read_to_end(&mut text)
        .map_err(HelperError::machine("read the instruction"))?;
    let instruction: Instruction = serde_json::from_slice(&text)?;
    // So that what leaves the program's group is found when it must end.
    let _refused = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let step = std::io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .map_err(HelperError::machine("keep the step file"))?;
    let mut step = File::from(step);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(HelperError::machine("start"))?;
    runtime.block_on(async {
        let stop = told_to_stop();
        let by = Identity::of(std::process::id());
        append(&mut step, &Line::Started { by })?;
        let ended = run_watched(&instruction.command, by, stop).await;
        append(&mut step, &Line::Ended(ended))
    })
}

/// Appends a line and makes it durable.
pub(crate) fn append(step: &mut File, line: &Line) -> Result<(), HelperError> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    step.write_all(&text)
        .and_then(|()| step.sync_data())
        .map_err(HelperError::machine("write the step file"))
}

/// Answers when the process is told to stop; signals are heard from the call on, not only from
/// the first poll. Must be called inside a runtime.
pub(crate) fn told_to_stop() -> impl Future<Output = String> + Send {
    let terminate = signal(SignalKind::terminate());
    let interrupt = signal(SignalKind::interrupt());
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        "was told to stop".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_left_out() {
        let whole = serde_json::to_string(&Line::Started { by: None }).unwrap();
        let text = format!("{whole}\n{{\"ended\":{{\"co");
        assert_eq!(lines(text.as_bytes()), [Line::Started { by: None }]);
    }
}
