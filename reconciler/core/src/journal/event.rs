//! The events of a Journal.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::{Address, CommitId, StepId, Token};
use crate::plan::BaseId;
use crate::ports::{Certainty, Retry};
use crate::resource::Checkpoint;

/// One event of an Apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// An Approved plan is being applied.
    Started {
        /// Its plan.
        plan_digest: Digest,
        /// Its base.
        base: BaseId,
        /// Its commit.
        revision: CommitId,
        /// The fencing number.
        lease: u64,
    },
    /// The next thing that happens is a call that changes the world.
    Begun {
        /// The step.
        step: StepId,
        /// What puts the address back.
        checkpoint: Box<Checkpoint>,
        /// The token that is sent.
        token: Token,
    },
    /// The call returned, and health checks passed; the new state is in the same transaction.
    Done {
        /// The step.
        step: StepId,
        /// The digest of the new state; `None` after a delete.
        outcome: Option<Digest>,
        /// What the provider minded and went on with, without secrets.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
    },
    /// The call failed.
    Failed {
        /// The step.
        step: StepId,
        /// Why, without secrets.
        error: String,
        /// Whether the world changed.
        certainty: Certainty,
        /// When it may be otherwise; absent in journals from before it was written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry: Option<Retry>,
    },
    /// The answer was lost in a crash, and the provider cannot tell what became of it.
    Unknown {
        /// The step.
        step: StepId,
        /// What a person must know.
        reason: String,
    },
    /// The next thing that happens is a call that restores.
    RestoreBegun {
        /// The step.
        step: StepId,
    },
    /// The address equals its checkpoint; its state is in the same transaction.
    Restored {
        /// The step.
        step: StepId,
        /// The digest of the restored state; `None` when nothing was there.
        outcome: Option<Digest>,
    },
    /// The address could not be restored.
    RestoreFailed {
        /// The step.
        step: StepId,
        /// Why, without secrets.
        error: String,
    },
    /// Every step is done.
    Applied,
    /// Every begun step is restored.
    RolledBack,
    /// Something is left.
    Stuck {
        /// What is left.
        left: Vec<Left>,
    },
    /// The record is in git.
    Recorded {
        /// Its commit.
        commit: CommitId,
    },
}

/// An Address that is neither as before nor as planned, or of which nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The address.
    pub address: Address,
    /// The step that left it so.
    pub step: StepId,
    /// What it is.
    pub is: String,
    /// What it should be.
    pub should: String,
    /// Why.
    pub why: String,
}

impl Event {
    /// Its word, as in the stored form.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Begun { .. } => "begun",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Unknown { .. } => "unknown",
            Self::RestoreBegun { .. } => "restore-begun",
            Self::Restored { .. } => "restored",
            Self::RestoreFailed { .. } => "restore-failed",
            Self::Applied => "applied",
            Self::RolledBack => "rolled-back",
            Self::Stuck { .. } => "stuck",
            Self::Recorded { .. } => "recorded",
        }
    }

    /// The step it is about.
    pub fn step(&self) -> Option<StepId> {
        match self {
            Self::Begun { step, .. }
            | Self::Done { step, .. }
            | Self::Failed { step, .. }
            | Self::Unknown { step, .. }
            | Self::RestoreBegun { step }
            | Self::Restored { step, .. }
            | Self::RestoreFailed { step, .. } => Some(*step),
            Self::Started { .. }
            | Self::Applied
            | Self::RolledBack
            | Self::Stuck { .. }
            | Self::Recorded { .. } => None,
        }
    }
}
