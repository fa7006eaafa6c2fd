//! What a provider refuses, and why a call failed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ports::Retry;
use crate::resource::Instance;
use crate::value::Path;

/// Something a provider refuses, before anything is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The attribute.
    pub path: Path,
    /// One sentence: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Why a call that changes nothing failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What was being done and why it failed, without secrets.
    pub message: String,
    /// When to try again.
    pub retry: Retry,
    /// It is no failure: the resource waits for something, and only what depends on it waits too.
    pub waits: bool,
}

impl ProviderError {
    /// The resource waits, and the message says for what.
    pub fn waiting(message: impl Into<String>) -> Self {
        Self {
            waits: true,
            ..Self::input(message)
        }
    }

    /// An error that a changed input resolves.
    pub fn input(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retry: Retry::WhenInputChanges,
            waits: false,
        }
    }

    /// An error that a person resolves.
    pub fn person(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retry: Retry::NeedsPerson,
            waits: false,
        }
    }

    /// An error that may pass by itself.
    pub fn later(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retry: Retry::Later(Duration::from_secs(10)),
            waits: false,
        }
    }
}

/// Whether a failed call changed the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// The provider knows that nothing happened.
    NothingHappened,
    /// It may have happened, wholly or in part.
    Unknown,
}

/// Why a call that changes the world failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ApplyError {
    /// What was being done and why it failed, without secrets.
    pub message: String,
    /// Whether the world changed.
    pub certainty: Certainty,
    /// Whatever is known to be there now; the resource is then tainted.
    pub known: Option<Instance>,
    /// When to try again.
    pub retry: Retry,
}

impl ApplyError {
    /// An error before anything was done.
    pub fn nothing_happened(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            certainty: Certainty::NothingHappened,
            known: None,
            retry: Retry::WhenInputChanges,
        }
    }

    /// A call that changes nothing failed, before anything was done.
    pub fn before(error: ProviderError) -> Self {
        Self {
            retry: error.retry,
            ..Self::nothing_happened(error.message)
        }
    }

    /// An error after which nobody knows.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self {
            certainty: Certainty::Unknown,
            ..Self::nothing_happened(message)
        }
    }
}
