//! What the loop says while it works, for a terminal or a log.

use std::sync::Arc;

use stratum_core::condition::Condition;
use stratum_core::finding::Finding;
use stratum_core::ids::{Address, CommitId, EnvironmentName, RunId};
use stratum_core::plan::{Action, Plan};
use stratum_core::ports::{Retry, RunOutcome};
use stratum_core::verdict::Verdict;
use stratum_core::waiting::{Unkept, Waits};

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Progress {
    /// An environment is being looked at.
    Looking {
        /// The environment.
        environment: EnvironmentName,
        /// The commit.
        commit: CommitId,
    },
    /// Its plan is made.
    Planned {
        /// The plan.
        plan: Arc<Plan>,
        /// What policy said.
        verdict: Verdict,
        /// What the checks noticed.
        findings: Vec<Finding>,
    },
    /// A run began, or goes on after a crash.
    Started {
        /// The environment.
        environment: EnvironmentName,
        /// The run.
        run: RunId,
        /// How many steps it has.
        steps: usize,
        /// Whether it was begun by an earlier process.
        resumed: bool,
    },
    /// A step moved.
    Step {
        /// The address.
        address: Address,
        /// What is done to it.
        action: Action,
        /// Where it stands.
        status: StepProgress,
    },
    /// An environment was looked at.
    Ended(EnvironmentReport),
    /// A record is in git.
    Recorded {
        /// The run.
        run: RunId,
        /// The commit of the record.
        commit: CommitId,
    },
    /// Records wait to be written to git, and why; `None` when none does any more.
    RecordsWait(Option<Waits>),
    /// The applied commits are not kept alive by refs, and why; `None` when they are again.
    CommitsUnkept(Option<Unkept>),
    /// Something that people may want to know, and that is well.
    News(String),
    /// One turn of the loop went well.
    Turned,
    /// Something outside the environments went wrong and will be tried again.
    Trouble(String),
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepProgress {
    /// Its call is in flight.
    Begun,
    /// It is done.
    Done,
    /// It failed.
    Failed(String),
    /// Nobody knows what became of it.
    Unknown(String),
    /// It is being put back.
    Restoring,
    /// It is as it was.
    Restored,
    /// It could not be put back.
    RestoreFailed(String),
}

/// How an environment is after a look.
#[derive(Debug, Clone)]
pub struct EnvironmentReport {
    /// The environment.
    pub environment: EnvironmentName,
    /// Its condition.
    pub condition: Condition,
    /// Why, in one sentence; empty when Ready.
    pub reason: String,
    /// The commit it should be at.
    pub commit: Option<CommitId>,
    /// The run, when something was tried.
    pub run: Option<RunId>,
    /// How the run ended.
    pub outcome: Option<RunOutcome>,
    /// What was noticed in its files and its plan.
    pub findings: Vec<Finding>,
    /// Something failed, and this decides when it is tried again.
    pub failed: Option<Retry>,
}

impl EnvironmentReport {
    /// An environment of which nothing else is known.
    pub(crate) fn of(environment: EnvironmentName, condition: Condition) -> Self {
        Self {
            environment,
            condition,
            reason: String::new(),
            commit: None,
            run: None,
            outcome: None,
            findings: Vec::new(),
            failed: None,
        }
    }
}

/// Takes what the loop says. Called from the loop: it must be quick.
pub type ProgressSink = Arc<dyn Fn(&Progress) + Send + Sync>;
