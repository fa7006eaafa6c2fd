//! How an Environment is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::{CommitId, RunId};

/// The condition of an Environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// It is as its Revision says.
    Ready,
    /// Something is being done about it.
    Reconciling,
    /// It is not as it should be, and nothing more happens before the reason is gone.
    Stalled,
    /// A person said that nothing shall be applied.
    Suspended,
    /// It was never looked at, or too long ago to say.
    Unknown,
}

impl Condition {
    /// The word, as everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Suspended => "Suspended",
            Self::Unknown => "Unknown",
        }
    }
}

/// The mark that keeps a Revision whose Apply was rolled back, or got stuck, from being tried again.
///
/// It holds for the inputs, not for the commit: a revert has other inputs and clears it; a commit
/// that changes only what the environment does not read does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The inputs that are held.
    pub inputs: Digest,
    /// The commit they came with.
    pub revision: CommitId,
    /// The run that was rolled back or got stuck.
    pub run: RunId,
    /// Why, in one sentence.
    pub reason: String,
    /// Something was left that is neither as before nor as planned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stuck: bool,
    /// How long to wait at least before it is tried again by itself: what failed may pass. `None`:
    /// it is held until there are other inputs, or a person says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passes: Option<Duration>,
}
