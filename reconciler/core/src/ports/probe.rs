//! Health checks.

use std::path::Path;

use async_trait::async_trait;
use thiserror::Error;

use crate::resource::HealthCheck;

/// Why a health check did not pass.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} {reason}")]
pub struct ProbeError {
    /// What was asked: `GET http://127.0.0.1:8080/`.
    pub what: String,
    /// What it answered: `refused the connection`.
    pub reason: String,
}

/// Tries a health check once.
///
/// *Guarantees*: may be called any number of times; ends within the check's `timeout`.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Whether it passes now. Commands run in the folder `root`.
    async fn probe(&self, check: &HealthCheck, root: &Path) -> Result<(), ProbeError>;
}
