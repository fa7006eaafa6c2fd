//! What is remembered of the records in git: where they stand, what waits, and what was lost.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{BranchName, CommitId, EnvironmentName, RunId};
use crate::ports::{Publication, RunOutcome};
use crate::record::{self, Outcome};
use crate::run::{Denial, RunSummary, StepCounts};

/// The fact that says why records wait: [`Waits`].
pub const WAITS: &str = "records/waits";
/// The fact that names the commit of the last record: [`Last`].
pub const LAST: &str = "records/last";
/// The fact that says that records which were written are no longer on their branch: [`Lost`].
pub const LOST: &str = "records/lost";
/// The fact that says why commits are not kept alive: [`Unkept`].
pub const UNKEPT: &str = "records/unkept";
/// What the facts begin with that are records to be written: [`Kept`].
pub const KEPT: &str = "records/kept/";

/// Why records are not in git yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// How many.
    pub count: usize,
    /// Since when (UTC).
    pub since: Timestamp,
    /// What is in the way, in the words of git or of the remote.
    pub reason: String,
}

/// Why the applied commits are not kept alive by refs: whoever rewrites history and collects takes
/// away what the next commit is judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unkept {
    /// Since when (UTC).
    pub since: Timestamp,
    /// What is in the way, in the words of git.
    pub reason: String,
}

impl Unkept {
    /// The sentence for people.
    pub fn sentence(&self) -> String {
        format!(
            "the commits that are applied are not kept alive by refs: {}",
            self.reason
        )
    }
}

/// The commit of the last record, which every later one follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// The branch.
    pub branch: BranchName,
    /// The commit.
    pub commit: CommitId,
}

/// The branch of the records was replaced, rewound or deleted by someone else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The branch.
    pub branch: BranchName,
    /// The commit of a record that is no longer on it.
    pub commit: CommitId,
    /// Where the branch stood when that was noticed; `None` when it was gone.
    pub found: Option<CommitId>,
    /// When it was noticed (UTC).
    pub since: Timestamp,
}

impl Lost {
    /// The sentence for people.
    pub fn sentence(&self) -> String {
        let stands = match &self.found {
            Some(found) => format!("it stands at {}", found.short()),
            None => "it is gone".to_owned(),
        };
        format!(
            "`{}` was rewritten by someone else: {stands}, and {}, which is a record of stratum, \
             is no longer on it",
            self.branch,
            self.commit.short()
        )
    }
}

/// A record that no journal could make again: of a refusal. It is kept until it is in git.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What is remembered of the run.
    pub summary: RunSummary,
    /// Path and text of the record.
    pub file: (String, String),
    /// The line of the note and the subject of the commit.
    pub line: String,
}

impl Kept {
    /// The record of a refusal.
    pub fn of(denial: &Denial) -> Self {
        let (summary, about) = (denial.summary(), denial.about());
        let outcome = Outcome {
            outcome: RunOutcome::Denied,
            reason: denial.reason.clone(),
            ended_at: denial.outset.started_at,
            steps: StepCounts::default(),
            left: Vec::new(),
        };
        let markdown = record::markdown(about, &outcome, &[]);
        Self {
            summary,
            file: (record::path(&denial.outset), markdown),
            line: record::line(about, &outcome),
        }
    }

    /// The name of its fact.
    pub fn name(run: &RunId) -> String {
        format!("{KEPT}{run}")
    }

    /// The environment it is about.
    pub fn environment(&self) -> &EnvironmentName {
        &self.summary.environment
    }

    /// What is to be written to `branch`.
    pub fn publication(&self, branch: BranchName) -> Publication {
        let summary = &self.summary;
        Publication {
            run: summary.id.clone(),
            branch,
            from: None,
            files: vec![(self.file.0.clone(), self.file.1.clone().into_bytes())],
            message: self.line.clone(),
            at: summary.started_at,
            note: Some((summary.revision.clone(), self.line.clone())),
        }
    }
}
