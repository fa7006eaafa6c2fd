//! Readers of what strangers wrote, run where they can do no harm.

use thiserror::Error;

/// Why a confined reader gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfinedError {
    /// The text ended it: it took too long, too much memory, or the reader stopped at it. This is a
    /// finding about the text.
    #[error("{0}")]
    Ended(String),
    /// It could not be run.
    #[error("the confined reader could not be run: {0}")]
    NotRun(String),
}

/// Runs readers in a confined child process. Blocking.
///
/// *Guarantees*: the reader has no file, no network and no secret; its time, memory and stack are
/// bounded; whatever it does, this process goes on.
pub trait Confined: Send + Sync {
    /// What the reader called `task` says about `text`.
    fn read(&self, task: &str, text: &str) -> Result<String, ConfinedError>;
}
