//! Why a store did not do as asked.

use std::time::Duration;

use thiserror::Error;

use crate::ids::EnvironmentName;
use crate::ports::Retry;

/// Why the store did not do as asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file was written by a newer version; it is untouched.
    #[error("`{path}` was written by a newer stratum (format {found}, this one knows {known})")]
    Newer {
        /// The file.
        path: String,
        /// Its format.
        found: i64,
        /// The newest format this version knows.
        known: i64,
    },
    /// The file is damaged; it is untouched.
    #[error("`{path}` is damaged: {what}")]
    Damaged {
        /// The file.
        path: String,
        /// What is damaged.
        what: String,
    },
    /// Others could have laid the state there, or could change it; it is untouched.
    #[error("`{path}` is not safe to use: {what}")]
    Unsafe {
        /// The file or folder.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// There is no state yet.
    #[error("there is no state at `{path}` yet")]
    Missing {
        /// The file.
        path: String,
    },
    /// The disk is full.
    #[error("the disk that holds the state is full, while {doing}")]
    Full {
        /// What was being done.
        doing: &'static str,
    },
    /// What was asked for is wrapped, and the reconciler is sealed.
    #[error("the state is sealed: {why}")]
    Sealed {
        /// Why it cannot be read.
        why: String,
    },
    /// The lease was lost: another process has a newer one. Nothing was written.
    #[error("the lease on `{environment}` was lost to a newer one")]
    Fenced {
        /// The environment.
        environment: EnvironmentName,
    },
    /// The plan was made on a base that is no longer the head. Nothing was written.
    #[error("the state of `{environment}` moved from {planned} to {head} since the plan was made")]
    Moved {
        /// The environment.
        environment: EnvironmentName,
        /// The serial the plan names.
        planned: u64,
        /// The serial now.
        head: u64,
    },
    /// The audit log that belongs to the state cannot be written, so nothing more is begun.
    #[error("the audit log at `{folder}` cannot be written: {reason}")]
    Audit {
        /// Its folder.
        folder: String,
        /// Why.
        reason: String,
        /// Whether it may pass by itself, as a full disk does.
        passes: bool,
    },
    /// Anything else the database says.
    #[error("the state store failed while {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Newer { .. }
            | Self::Damaged { .. }
            | Self::Unsafe { .. }
            | Self::Missing { .. } => Retry::NeedsPerson,
            Self::Audit { passes: false, .. } => Retry::NeedsPerson,
            Self::Full { .. } | Self::Sealed { .. } | Self::Audit { passes: true, .. } => {
                Retry::Later(Duration::from_secs(15))
            }
            Self::Fenced { .. } | Self::Moved { .. } => Retry::Later(Duration::from_millis(100)),
            Self::Database { .. } => Retry::Later(Duration::from_secs(5)),
        }
    }
}
