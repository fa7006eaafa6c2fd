//! Plan -> Verdict, and every other question that policy answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use crate::digest::Digest;
use crate::finding::Finding;
use crate::ids::{BranchName, CommitId, EnvironmentName, RunId};
use crate::plan::Plan;
use crate::ports::{Retry, Tree, TreeError};
use crate::rules::Rules;
use crate::run::Trigger;
use crate::settings::{Settings, Signatures};
use crate::signed::{Approval, Authored, KeyKind, Refused};
use crate::trust::Trust;
use crate::verdict::{Judgement, Verdict};

/// Why no verdict could be reached. Nothing is then done.
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

/// A plan, and all that policy may look at when it judges it.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The rules that hold: those of the base.
    pub rules: Arc<Rules>,
    /// The labels of the environment.
    pub labels: BTreeMap<String, String>,
    /// Whether the environment is protected, by the settings of the base.
    pub protected: bool,
    /// Why it is planned.
    pub trigger: Trigger,
    /// The branch the environment is read from.
    pub branch: Option<BranchName>,
    /// The commits since the base, or the one commit where there are none; each must be allowed.
    pub authors: Vec<Authored>,
    /// What of the rules the Revision changes: `policies`, `trust`, `stratum.ncl`.
    pub changed: Vec<String>,
    /// The Revision does not follow from the base: history was rewritten, or wound back.
    pub rewound: bool,
    /// The Revision is the pin of the first use.
    pub pinned: bool,
    /// Whether commits must be signed.
    pub signatures: Signatures,
    /// What an approval must name.
    pub ballot: Digest,
    /// The approvals that count.
    pub approvals: Vec<Approval>,
    /// Tags that look like approvals of it and do not count.
    pub refused: Vec<Refused>,
    /// The digests of plans that reviewers saw, as the commits or the approvals say.
    pub reviewed: Vec<Digest>,
    /// The time (UTC).
    pub now: Timestamp,
}

/// What an approval of a plan names: the plan, on this base of this environment, and where the
/// Revision changes the rules their new content too, since no step shows it.
///
/// A change of rules that changes no resource is one change of the repository, and has one ballot
/// for all environments that stand on the same base.
///
/// *Guarantees*: the same change later, or in another repository, has another one.
pub fn ballot(
    plan: &Plan,
    base: &CommitId,
    rules: Option<&[(&str, Option<crate::ids::ObjectId>)]>,
) -> Digest {
    let (environment, serial) = (&plan.environment, plan.base.serial);
    let version = "stratum-ballot-v2";
    if plan.steps.is_empty() && rules.is_some() {
        return Digest::of_json(&(version, "rules", base, rules));
    }
    Digest::of_json(&(version, plan.digest, environment, base, serial, rules))
}

/// Who asks to do something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A person whose signature was verified, by name in trust.
    Person {
        /// The name.
        name: String,
        /// What they signed with.
        key: KeyKind,
    },
    /// Whoever git says, unproven.
    Unverified {
        /// `Name <mail>`.
        author: String,
    },
    /// A person whose sealer's key signed a sealed value, by name in trust.
    Sealer {
        /// The name.
        name: String,
    },
    /// An agent, by the role of its pipeline.
    Agent {
        /// The role.
        role: String,
    },
    /// The reconciler itself: corrections of drift, and reading secrets to apply them.
    Reconciler,
}

/// What is asked for, besides steps of plans.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// Seal a value under this path.
    Seal {
        /// The path of the secret, for example `payments/db#password`.
        path: String,
    },
    /// Read a sealed value.
    ReadSecret {
        /// The path of the secret.
        path: String,
    },
    /// Let an older version of a sealed file come back.
    AllowRollback {
        /// The path of the secret.
        path: String,
    },
    /// Approve a plan.
    Approve {
        /// What the approval names.
        ballot: Digest,
        /// Whether it is from an author of what the plan applies.
        own: bool,
    },
    /// Try a held Revision again.
    Retry {
        /// The run that was rolled back.
        run: RunId,
    },
    /// Suspend the environment.
    Suspend,
    /// Resume the environment.
    Resume,
    /// Run a pipeline.
    RunPipeline {
        /// Its name.
        pipeline: String,
    },
    /// Propose a change from a pipeline.
    Propose {
        /// Its name.
        pipeline: String,
    },
    /// Submit a form.
    SubmitForm {
        /// Its name.
        form: String,
    },
}

/// A question about something other than the steps of a plan.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who asks.
    pub principal: Principal,
    /// What for.
    pub act: Act,
    /// The environment it is about.
    pub environment: EnvironmentName,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is protected.
    pub protected: bool,
    /// The rules that hold.
    pub rules: Arc<Rules>,
    /// The time (UTC).
    pub now: Timestamp,
}

/// Judges. Blocking: the runtime calls it off the event loop.
///
/// *Guarantees*: may be called twice; changes nothing in the world. An error is a denial.
pub trait Gate: Send + Sync {
    /// What policy says about each step, and about the Revision as a whole.
    fn judge(&self, request: &PlanRequest) -> Result<Verdict, GateError>;

    /// What policy says about anything else. Only [`crate::verdict::Decision::Allow`] allows.
    fn ask(&self, question: &Question) -> Result<Judgement, GateError>;

    /// What is wrong with the policies and the keys of a tree, which of its policy tests fail, and
    /// whether anybody could change the policies again once they hold.
    fn check(
        &self,
        tree: &dyn Tree,
        trust: &Trust,
        settings: &Settings,
    ) -> Result<Vec<Finding>, TreeError>;
}
