//! The exit codes, in one place.

use std::process::ExitCode;

use stratum_core::finding::{Finding, any_error};

/// How a command ended.
///
/// *Guarantees*: the numbers are a contract with scripts and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done, or no difference.
    Done,
    /// Something is wrong with what was given.
    Wrong,
    /// The plan has changes, or something needs somebody; `--detailed-exitcode` only.
    Changes,
    /// An error inside stratum or of the machine.
    Internal,
    /// Policy denied it.
    Denied,
}

impl Exit {
    /// The number a shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Wrong => 1,
            Self::Changes => 2,
            Self::Internal => 3,
            Self::Denied => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Whether any finding is an error: the commands that only read then end with 1.
pub(crate) fn exit_of(findings: &[Finding]) -> Exit {
    match any_error(findings) {
        true => Exit::Wrong,
        false => Exit::Done,
    }
}

/// The table for help texts and the manual.
pub(crate) const TABLE: &str = "\
Exit codes:
  0  done, or no difference
  1  something is wrong with what you gave
  2  the plan has changes, or something needs somebody (`plan` and `status` with
     `--detailed-exitcode` only)
  3  internal error
  4  denied by policy";

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Exit; 5] = [
        Exit::Done,
        Exit::Wrong,
        Exit::Changes,
        Exit::Internal,
        Exit::Denied,
    ];

    #[test]
    fn numbers_are_the_documented_ones() {
        assert_eq!(ALL.map(Exit::code), [0, 1, 2, 3, 4]);
        for exit in ALL {
            let line = format!("\n  {}  ", exit.code());
            assert!(TABLE.contains(&line), "{exit:?} is not in the help");
        }
    }
}
