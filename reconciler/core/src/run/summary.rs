//! What history shows of runs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{About, Trigger};
use crate::digest::Digest;
use crate::ids::{Address, CommitId, EnvironmentName, RunId};
use crate::journal::{Event, Left};
use crate::ports::RunOutcome;

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

impl RunSummary {
    /// The summary of a run that begins.
    pub fn begin(about: About<'_>) -> Self {
        let outset = about.outset;
        Self {
            id: outset.id.clone(),
            environment: outset.environment.clone(),
            trigger: outset.trigger,
            revision: outset.revision.commit.clone(),
            plan_digest: about.plan.digest,
            outcome: None,
            reason: String::new(),
            started_at: outset.started_at,
            ended_at: None,
            steps: StepCounts::default(),
            record: None,
        }
    }

    /// Takes in one event of the run; `address` is that of the step it is about, where known.
    ///
    /// The first failure is the reason, until what is left of a run that got stuck is known.
    pub fn add(&mut self, at: Timestamp, event: &Event, address: Option<&Address>) {
        match event {
            Event::Started { .. }
            | Event::Begun { .. }
            | Event::RestoreBegun { .. }
            | Event::RestoreFailed { .. } => {}
            Event::Done { .. } => self.steps.done += 1,
            Event::Failed { error: why, .. } | Event::Unknown { reason: why, .. } => {
                self.steps.failed += 1;
                if self.reason.is_empty() {
                    self.reason = address.map_or(why.clone(), |step| format!("`{step}`: {why}"));
                }
            }
            Event::Restored { .. } => self.steps.restored += 1,
            Event::Applied => {
                self.end(at, RunOutcome::Applied);
                self.reason.clear();
            }
            Event::RolledBack => self.end(at, RunOutcome::RolledBack),
            Event::Stuck { left } => {
                self.end(at, RunOutcome::Stuck);
                if let Some(sentence) = left_sentence(left) {
                    self.reason = sentence;
                }
            }
            Event::Recorded { commit } => self.record = Some(commit.clone()),
        }
    }

    fn end(&mut self, at: Timestamp, outcome: RunOutcome) {
        self.outcome = Some(outcome);
        self.ended_at = Some(at);
    }
}

fn left_sentence(left: &[Left]) -> Option<String> {
    let (first, rest) = left.split_first()?;
    let more = match rest.len() {
        0 => String::new(),
        count => format!(" (and {count} more)"),
    };
    Some(format!("`{}`: {}{more}", first.address, first.why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StepId;
    use crate::ports::Certainty;

    fn summary() -> RunSummary {
        RunSummary {
            id: RunId::new("r").unwrap(),
            environment: EnvironmentName::new("e").unwrap(),
            trigger: Trigger::Push,
            revision: CommitId::new("a".repeat(40)).unwrap(),
            plan_digest: Digest::of_bytes(b""),
            outcome: None,
            reason: String::new(),
            started_at: Timestamp::UNIX_EPOCH,
            ended_at: None,
            steps: StepCounts::default(),
            record: None,
        }
    }

    fn failed(error: &str) -> Event {
        Event::Failed {
            step: StepId(0),
            error: error.to_owned(),
            certainty: Certainty::Unknown,
            retry: None,
        }
    }

    #[test]
    fn the_first_failure_is_the_reason() {
        let mut summary = summary();
        let address: Address = "e/local_file.a".parse().unwrap();
        summary.add(Timestamp::UNIX_EPOCH, &failed("no room"), Some(&address));
        summary.add(Timestamp::UNIX_EPOCH, &failed("later"), None);
        summary.add(Timestamp::UNIX_EPOCH, &Event::RolledBack, None);
        assert_eq!(summary.reason, "`e/local_file.a`: no room");
        assert_eq!(summary.outcome, Some(RunOutcome::RolledBack));
        assert_eq!(summary.steps.failed, 2);
    }

    #[test]
    fn what_is_left_of_a_stuck_run_is_its_reason() {
        let mut summary = summary();
        let left = |name: &str| Left {
            address: name.parse().unwrap(),
            step: StepId(0),
            is: String::new(),
            should: String::new(),
            why: "it is in use".to_owned(),
        };
        summary.add(Timestamp::UNIX_EPOCH, &failed("no room"), None);
        let event = Event::Stuck {
            left: vec![left("e/local_file.a"), left("e/local_file.b")],
        };
        summary.add(Timestamp::UNIX_EPOCH, &event, None);
        assert_eq!(
            summary.reason,
            "`e/local_file.a`: it is in use (and 1 more)"
        );
    }
}
