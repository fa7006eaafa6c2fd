//! One run of the loop for one Environment.

mod summary;

use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::approve::{Approved, Refusal, approve};
use crate::desired::Revision;
use crate::finding::Finding;
use crate::ids::{CommitId, EnvironmentName, RunId};
use crate::plan::Plan;
use crate::ports::RunOutcome;
use crate::settings::OnFailure;
use crate::verdict::Verdict;

pub use summary::{RunSummary, StepCounts};

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

/// What is known when something is about to be done: which run it is, where, why, and by which lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outset {
    /// The id of the run.
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
    pub skipped: Vec<CommitId>,
    /// The fencing number of the lease it was begun under.
    pub lease: u64,
    /// When it was begun (UTC).
    pub started_at: Timestamp,
    /// What happens when a step fails.
    pub on_failure: OnFailure,
}

/// What a run set out to do: all that is needed to go on with it after a crash.
///
/// *Guarantees*: its plan was accepted. There are two ways to one: [`Run::begin`], which takes an
/// [`Approved`], and reading one that was written down, which accepts its plan once more by the
/// findings and the verdict that stand beside it, and is an error where these do not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Run {
    outset: Outset,
    approved: Approved,
}

impl Run {
    /// A run that carries out what was accepted.
    pub fn begin(approved: Approved, outset: Outset) -> Self {
        Self { outset, approved }
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        self.approved.plan()
    }

    /// What the checks noticed; no errors.
    pub fn findings(&self) -> &[Finding] {
        self.approved.findings()
    }

    /// What policy said.
    pub fn verdict(&self) -> &Verdict {
        self.approved.verdict()
    }

    /// What history and its record tell of.
    pub fn about(&self) -> About<'_> {
        About {
            outset: &self.outset,
            plan: self.plan(),
            verdict: self.verdict(),
        }
    }
}

/// What is known at its outset can be read as the run's own, and is never changed.
impl Deref for Run {
    type Target = Outset;

    fn deref(&self) -> &Outset {
        &self.outset
    }
}

/// A plan that was refused: nothing of it is carried out, and no run comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// What was about to be done.
    pub outset: Outset,
    /// The plan.
    pub plan: Arc<Plan>,
    /// What policy said.
    pub verdict: Verdict,
    /// Why it was refused, in one sentence.
    pub reason: String,
}

impl Denial {
    /// What history and its record tell of.
    pub fn about(&self) -> About<'_> {
        About {
            outset: &self.outset,
            plan: &self.plan,
            verdict: &self.verdict,
        }
    }

    /// As `history` shows it.
    pub fn summary(&self) -> RunSummary {
        RunSummary {
            outcome: Some(RunOutcome::Denied),
            reason: self.reason.clone(),
            ended_at: Some(self.outset.started_at),
            ..RunSummary::begin(self.about())
        }
    }
}

/// What history and records tell of: a run, or a plan that was refused.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// What was about to be done.
    pub outset: &'a Outset,
    /// The plan.
    pub plan: &'a Plan,
    /// What policy said.
    pub verdict: &'a Verdict,
}

/// A run as it is written down.
#[derive(Serialize)]
struct Writing<'a> {
    #[serde(flatten)]
    outset: &'a Outset,
    plan: &'a Plan,
    findings: &'a [Finding],
    verdict: &'a Verdict,
}

impl Serialize for Run {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let writing = Writing {
            outset: &self.outset,
            plan: self.plan(),
            findings: self.findings(),
            verdict: self.verdict(),
        };
        writing.serialize(serializer)
    }
}

/// A run as it was written down: the same fields. They stand here one by one, because what is
/// flattened is buffered before it is read, and a plan is large.
#[derive(Deserialize)]
struct Written {
    id: RunId,
    environment: EnvironmentName,
    trigger: Trigger,
    revision: Revision,
    previous: Option<CommitId>,
    #[serde(default)]
    skipped: Vec<CommitId>,
    lease: u64,
    started_at: Timestamp,
    on_failure: OnFailure,
    plan: Arc<Plan>,
    findings: Vec<Finding>,
    verdict: Verdict,
}

impl TryFrom<Written> for Run {
    type Error = Unapproved;

    fn try_from(run: Written) -> Result<Self, Unapproved> {
        let outset = Outset {
            id: run.id,
            environment: run.environment,
            trigger: run.trigger,
            revision: run.revision,
            previous: run.previous,
            skipped: run.skipped,
            lease: run.lease,
            started_at: run.started_at,
            on_failure: run.on_failure,
        };
        match approve(run.plan, run.findings, run.verdict) {
            Ok(approved) => Ok(Self::begin(approved, outset)),
            Err(refusal) => Err(Unapproved {
                run: outset.id,
                refusal,
            }),
        }
    }
}

/// What is written down as a run was never accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the run `{run}` is written down and was never accepted: {refusal}")]
struct Unapproved {
    run: RunId,
    refusal: Refusal,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    /// A run as the program before wrote it, but for the decision about its step.
    fn written(decision: &str, finding: &str) -> String {
        let (commit, digest) = ("a".repeat(40), Digest::of_bytes(b""));
        let step = r#"{"id":0,"address":"e/local_data.a","kind":"infrastructure","provider":"local",
            "action":"create","reversibility":"reversible","effect":"world","reason":"new",
            "desired":{"input":7},"planned":null,
            "kept":{},"meta":{}}"#;
        format!(
            r#"{{"id":"r-1","environment":"e","trigger":"push","revision":{{"commit":"{commit}",
            "inputs":"{commit}","author":"Ada","committed_at":"2026-01-01T00:00:00Z",
            "subject":"s","message":"m"}},"previous":null,"lease":3,
            "started_at":"2026-01-01T00:00:01Z","on_failure":"rollback",
            "plan":{{"environment":"e","revision":"{commit}","inputs":"{digest}",
            "base":{{"serial":1,"digest":"{digest}"}},"digest":"{digest}","steps":[{step}],
            "drifted":[],"blocked":[],"resources":0}},"findings":[{finding}],
            "verdict":{{"steps":{{"0":{{"decision":{decision},"policies":[]}}}}}}}}"#
        )
    }

    const WARNING: &str =
        r#"{"severity":"warning","code":"unverified","message":"w","source":null,"hint":null}"#;

    #[test]
    fn a_run_that_was_written_down_is_one_as_long_as_it_was_accepted() {
        let run: Run = serde_json::from_str(&written("\"allow\"", WARNING)).unwrap();
        assert_eq!((run.id.as_str(), run.lease), ("r-1", 3));
        assert_eq!(run.findings().len(), 1);
        let error = WARNING.replace("warning", "error");
        for unaccepted in [
            written("\"deny\"", ""),
            written(r#"{"needs-approval":{"by":["ada"]}}"#, ""),
            written("\"allow\"", &error),
            written("\"allow\"", "").replace(r#"{"0":"#, r#"{"1":"#),
        ] {
            let refused = serde_json::from_str::<Run>(&unaccepted).unwrap_err();
            let said = refused.to_string();
            assert!(
                said.contains("`r-1` is written down and was never accepted"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_run_is_written_field_by_field_as_ever() {
        let run: Run = serde_json::from_str(&written("\"allow\"", WARNING)).unwrap();
        let text = serde_json::to_string(&run).unwrap();
        let fields = [
            "id",
            "environment",
            "trigger",
            "revision",
            "previous",
            "skipped",
            "lease",
            "started_at",
            "on_failure",
            "plan",
            "findings",
            "verdict",
        ];
        let places: Vec<_> = fields
            .iter()
            .map(|field| text.find(&format!("\"{field}\":")).unwrap())
            .collect();
        assert!(places.is_sorted(), "{text}");
        assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run);
    }
}
