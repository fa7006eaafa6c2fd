//! What policy says about a Plan, Step by Step.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::StepId;
use crate::plan::{Plan, Step};
use crate::signed::{Approval, Authored, Refused};

/// What policy says about one Step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It may be done.
    Allow,
    /// It may not be done.
    Deny,
    /// It may be done once these have approved it.
    NeedsApproval {
        /// Who could.
        by: Vec<String>,
    },
}

impl Decision {
    /// The word, as everywhere.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::NeedsApproval { .. } => "needs-approval",
        }
    }
}

/// A policy that decided, with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its id.
    pub id: String,
    /// Its reason, as its author worded it.
    pub reason: String,
}

/// What policy says about one Step, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The decision.
    pub decision: Decision,
    /// The policies that decided.
    pub policies: Vec<Policy>,
}

/// What policy says about a Plan, Step by Step.
///
/// *Shape*: a Step that is not in it is denied, and so is all of it without `whole`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// The judgement of each step.
    pub steps: BTreeMap<StepId, Judgement>,
    /// Whether the environment may come to this Revision at all, whatever its steps.
    #[serde(default = "accepted_before")]
    pub whole: Option<Judgement>,
    /// What an approval of it must name.
    #[serde(default)]
    pub ballot: Option<Digest>,
    /// Who wrote what it applies, commit by commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<Authored>,
    /// The approvals that counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// Tags that look like approvals of it and do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub void: Vec<Refused>,
}

/// Verdicts that are kept from before there was one for the whole were accepted then.
fn accepted_before() -> Option<Judgement> {
    let reason = "it was accepted before revisions were judged as a whole";
    Some(Judgement::by(Decision::Allow, "accepted-before", reason))
}

impl Verdict {
    /// Whether the plan may not be applied.
    pub fn is_refused(&self, plan: &Plan) -> bool {
        let whole = self.whole.as_ref().map(|whole| &whole.decision);
        whole != Some(&Decision::Allow) || self.refused(plan).next().is_some()
    }

    /// The steps that are not allowed, with why.
    pub fn refused<'a>(
        &'a self,
        plan: &'a Plan,
    ) -> impl Iterator<Item = (&'a Step, Option<&'a Judgement>)> {
        plan.steps.iter().filter_map(|step| {
            let judgement = self.steps.get(&step.id);
            let allowed = judgement.is_some_and(|j| j.decision == Decision::Allow);
            (!allowed).then_some((step, judgement))
        })
    }
}

impl Judgement {
    /// Allowed or denied by one policy.
    pub fn by(decision: Decision, id: &str, reason: impl Into<String>) -> Self {
        let policy = Policy {
            id: id.to_owned(),
            reason: reason.into(),
        };
        Self {
            decision,
            policies: vec![policy],
        }
    }
}
