//! What can go wrong in the loop.

use stratum_core::ids::ProviderName;
use stratum_core::journal::JournalError;
use stratum_core::ports::{
    AuditError, GateError, LeaseError, LoadError, RepositoryError, Retry, StoreError,
};
use thiserror::Error;

/// Why one look at an environment did not come to an end.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// The repository could not be read or written.
    #[error("the repository failed")]
    Repository(#[from] RepositoryError),
    /// The state could not be read or written.
    #[error("the state failed")]
    Store(#[from] StoreError),
    /// The audit log could not be written; what it would have been about was not done.
    #[error("the audit log failed")]
    Audit(#[from] AuditError),
    /// The lease is someone else's.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The tree could not be loaded.
    #[error("the revision could not be loaded")]
    Load(#[from] LoadError),
    /// Policy could not judge.
    #[error("denied")]
    Gate(#[from] GateError),
    /// The journal and what happened do not fit together: a defect of stratum.
    #[error("the journal refused an event")]
    Journal(#[from] JournalError),
    /// A resource names a provider that this process does not have.
    #[error("there is no provider `{provider}`")]
    NoProvider {
        /// The provider.
        provider: ProviderName,
    },
    /// The reconciler was told to stop; what was begun is in the journal.
    #[error("stopped; what was begun goes on at the next start")]
    Stopped,
    /// A blocking task was ended, for example because the process is ending.
    #[error("a task was ended before it answered")]
    TaskEnded,
}

impl RuntimeError {
    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Repository(error) => error.retry(),
            Self::Store(error) | Self::Lease(LeaseError::Store(error)) => error.retry(),
            Self::Lease(LeaseError::Held { .. } | LeaseError::Free { .. }) => {
                Retry::Later(std::time::Duration::from_secs(2))
            }
            Self::Audit(error) => error.retry(),
            Self::Load(error) => error.retry(),
            Self::Gate(error) => error.retry(),
            Self::Journal(_) => Retry::NeedsPerson,
            Self::NoProvider { .. } => Retry::WhenInputChanges,
            Self::Stopped | Self::TaskEnded => Retry::Later(stratum_core::schedule::SHORTEST),
        }
    }

    /// The whole chain as one sentence.
    pub fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}
