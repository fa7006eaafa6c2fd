//! One run of the loop for one Environment.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::desired::Revision;
use crate::digest::Digest;
use crate::finding::Finding;
use crate::ids::{CommitId, EnvironmentName, RunId};
use crate::plan::Plan;
use crate::ports::RunOutcome;
use crate::settings::OnFailure;
use crate::verdict::Verdict;

/// Why a run was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A commit.
    Push,
    /// The world differs.
    Drift,
}

impl Trigger {
    /// The word, as everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Drift => "drift",
        }
    }
}

/// What a run set out to do: all that is needed to go on with it after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The environment.
    pub environment: EnvironmentName,
    /// Why it was begun.
    pub trigger: Trigger,
    /// The commit it brings the environment to.
    pub revision: Revision,
    /// The commit that was applied before.
    pub previous: Option<CommitId>,
    /// Commits between them that were never applied by themselves, newest first.
    #[serde(default)]
    pub skipped: Vec<CommitId>,
    /// The fencing number of the lease it was begun under.
    pub lease: u64,
    /// When it was begun (UTC).
    pub started_at: Timestamp,
    /// What happens when a step fails.
    pub on_failure: OnFailure,
    /// The plan.
    pub plan: Arc<Plan>,
    /// What the checks noticed.
    pub findings: Vec<Finding>,
    /// What policy said.
    pub verdict: Verdict,
}

/// A run as `history` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// The environment.
    pub environment: EnvironmentName,
    /// Why it was begun.
    pub trigger: Trigger,
    /// The commit.
    pub revision: CommitId,
    /// The digest of the plan.
    pub plan_digest: Digest,
    /// How it ended; `None` while it goes on.
    pub outcome: Option<RunOutcome>,
    /// One sentence: why it was denied, rolled back or got stuck; empty when it was applied.
    pub reason: String,
    /// When it was begun (UTC).
    pub started_at: Timestamp,
    /// When it ended (UTC).
    pub ended_at: Option<Timestamp>,
    /// Counts of steps.
    pub steps: StepCounts,
    /// The commit of its record.
    pub record: Option<CommitId>,
}

/// How many steps came to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StepCounts {
    /// Steps that are done.
    pub done: u64,
    /// Steps that failed or whose outcome is unknown.
    pub failed: u64,
    /// Steps that were restored.
    pub restored: u64,
}
