//! Why an evaluating child ended, and what that means for the file it evaluated.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use stratum_core::duration;
use stratum_core::finding::{Finding, codes};
use stratum_core::ports::LoadError;
use stratum_core::settings::Limits;
use stratum_core::source::Source;

use super::child::NOT_STARTED;

/// The signal of a process that used up its processor time.
const SIGXCPU: i32 = 24;

/// The signals by which people, and the kernel when there is no memory left, end a process.
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// Why an evaluating child ended without an answer.
#[derive(Debug)]
pub(crate) enum Death {
    /// It took longer than allowed.
    Time(Duration),
    /// It wanted more memory than allowed, in MiB.
    Memory(u64),
    /// Its stack is full.
    Stack,
    /// It stopped at a mistake in the evaluator itself.
    Mistake(String),
    /// It answered something that is not an answer.
    Answer(String),
    /// It could not start.
    NotStarted(String),
    /// Nothing is evaluated any more: the program ends.
    Stopped,
    /// The system refused to talk to it.
    System(io::Error),
}

impl Death {
    /// Reads the exit status and what the child wrote to its standard error.
    pub(crate) fn of(status: ExitStatus, text: &str, limits: &Limits) -> Self {
        let first = text
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        if status.signal() == Some(SIGXCPU) {
            Self::Time(limits.time)
        } else if text.contains("memory allocation of") || text.contains("capacity overflow") {
            Self::Memory(limits.memory)
        } else if text.contains("overflowed its stack") {
            Self::Stack
        } else if matches!(status.signal(), Some(SIGKILL | SIGTERM)) {
            // Nothing of the file does that: somebody else did, or there was no memory left.
            let why = format!("it was ended from outside ({status}); is there memory left?");
            Self::System(io::Error::other(why))
        } else if status.signal().is_some() || status.code() == Some(101) {
            Self::Mistake(format!("{status}: {}", said(text)))
        } else if status.code() == Some(i32::from(NOT_STARTED)) {
            Self::NotStarted(first.to_owned())
        } else {
            Self::NotStarted(format!("{status}: {first}"))
        }
    }

    /// The same as a sentence about something that is no file.
    pub(crate) fn sentence(self) -> Result<String, LoadError> {
        self.finding("").map(|finding| finding.message)
    }

    /// The finding about the file at `path`; an error where it is not the fault of the file.
    pub(crate) fn finding(self, path: &str) -> Result<Finding, LoadError> {
        let hint = "look for a loop, or for a list or record that grows without end";
        let (message, hint) = match self {
            Self::Time(time) => {
                let time = duration::format(time);
                (
                    format!("evaluation took longer than {time} and was ended"),
                    hint,
                )
            }
            Self::Memory(memory) => (
                format!("evaluation took more than {memory} MiB of memory and was ended"),
                hint,
            ),
            Self::Stack => (
                "evaluation is nested too deeply and was ended".to_owned(),
                "look for values nested thousands of levels deep, or a function that calls itself",
            ),
            Self::Mistake(text) => (
                format!("evaluation stopped at a mistake in the evaluator: {text}"),
                "write it another way; this is a mistake of stratum or of Nickel, please report it",
            ),
            Self::Answer(text) => return Err(failed("reading its answer", io::Error::other(text))),
            Self::NotStarted(text) => return Err(failed("starting it", io::Error::other(text))),
            Self::Stopped => {
                return Err(failed(
                    "waiting for it",
                    io::Error::other("the program ends"),
                ));
            }
            Self::System(error) => return Err(failed("talking to it", error)),
        };
        Ok(Finding::error(&codes::LIMIT, message)
            .at(Source::start_of(path))
            .hint(hint))
    }
}

/// What a panic said, without the place in the source, which means nothing to people.
fn said(text: &str) -> &str {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let said = lines.find(|line| !line.contains("panicked at"));
    said.unwrap_or("it gave no reason").trim()
}

/// The error of an evaluator that does not work.
pub(crate) fn failed(doing: &str, source: io::Error) -> LoadError {
    LoadError::Evaluator {
        doing: doing.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_was_ended_from_outside_is_no_fault_of_the_file() {
        let limits = Limits::default();
        for (raw, is_finding) in [(9, false), (15, false), (11, true), (24, true)] {
            let death = Death::of(ExitStatus::from_raw(raw), "", &limits);
            assert_eq!(death.finding("a.ncl").is_ok(), is_finding, "{raw}");
        }
    }
}
