//! Plan -> Verdict.

use async_trait::async_trait;
use thiserror::Error;

use crate::plan::Plan;
use crate::ports::Retry;
use crate::verdict::Verdict;

/// Why no verdict could be reached. The plan is then not applied.
#[derive(Debug, Error)]
pub enum GateError {
    /// Policy could not be read or evaluated.
    #[error("policy could not judge the plan: {reason}")]
    Undecided {
        /// One sentence.
        reason: String,
    },
}

impl GateError {
    /// When to try again.
    pub fn retry(&self) -> Retry {
        Retry::WhenInputChanges
    }
}

/// Judges plans.
///
/// *Guarantees*: may be called twice; changes nothing in the world. An error is a denial.
#[async_trait]
pub trait Gate: Send + Sync {
    /// What policy says about each step.
    async fn judge(&self, plan: &Plan) -> Result<Verdict, GateError>;
}
