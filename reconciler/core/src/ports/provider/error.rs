//! What a provider refuses, and why a call failed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ports::Retry;
use crate::resource::Instance;
use crate::value::Path;

/// How much a provider minds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It goes on.
    Warning,
    /// It refuses.
    Error,
}

/// Something a provider says about a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How much it minds.
    pub severity: Severity,
    /// The attribute, or a value within it; empty for the resource as a whole.
    #[serde(default)]
    pub path: Path,
    /// One sentence: lower case, no full stop, without secrets.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What [`super::Provider::validate`] answers.
pub type Complaint = Diagnostic;

impl Diagnostic {
    /// It refuses a value.
    pub fn error(path: Path, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            path,
            message: message.into(),
            hint: None,
        }
    }

    /// It minds a value, and goes on.
    pub fn warning(path: Path, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(path, message)
        }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
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
    /// Which values it is about, where the provider says.
    pub diagnostics: Vec<Diagnostic>,
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
            diagnostics: Vec::new(),
        }
    }

    /// The same, saying which values it is about.
    #[must_use]
    pub fn about(self, diagnostics: Vec<Diagnostic>) -> Self {
        Self {
            diagnostics,
            ..self
        }
    }

    /// An error that a person resolves.
    pub fn person(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retry: Retry::NeedsPerson,
            waits: false,
            diagnostics: Vec::new(),
        }
    }

    /// An error that may pass by itself.
    pub fn later(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retry: Retry::Later(Duration::from_secs(10)),
            waits: false,
            diagnostics: Vec::new(),
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
    /// Which values it is about, where the provider says.
    pub diagnostics: Vec<Diagnostic>,
}

impl ApplyError {
    /// An error before anything was done.
    pub fn nothing_happened(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            certainty: Certainty::NothingHappened,
            known: None,
            retry: Retry::WhenInputChanges,
            diagnostics: Vec::new(),
        }
    }

    /// A call that changes nothing failed, before anything was done.
    pub fn before(error: ProviderError) -> Self {
        Self {
            retry: error.retry,
            diagnostics: error.diagnostics,
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
