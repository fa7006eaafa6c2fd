//! What policy says about a Plan, Step by Step.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::ids::StepId;
use crate::plan::{Plan, Reversibility, Step};
use crate::ports::{Gate, GateError};

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
/// *Shape*: a Step that is not in it is denied.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// The judgement of each step.
    pub steps: BTreeMap<StepId, Judgement>,
}

impl Verdict {
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

/// The gate that stands until Cedar does: it allows what can be put back.
///
/// A delete or replace that cannot be put back exactly is denied, because nobody can approve it
/// yet. Everything else is allowed to whoever can push.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReversibleOnly;

#[async_trait]
impl Gate for ReversibleOnly {
    async fn judge(&self, plan: &Plan) -> Result<Verdict, GateError> {
        let steps = plan
            .steps
            .iter()
            .map(|step| (step.id, judge_step(step)))
            .collect();
        Ok(Verdict { steps })
    }
}

fn judge_step(step: &Step) -> Judgement {
    if step.removes() && step.reversibility != Reversibility::Reversible {
        let reason = format!(
            "removing this is {}, and there is no way yet to approve it",
            step.reversibility.as_str()
        );
        let policy = Policy {
            id: "irreversible-delete".to_owned(),
            reason,
        };
        return Judgement {
            decision: Decision::Deny,
            policies: vec![policy],
        };
    }
    let reason = "it takes nothing away that could not be put back".to_owned();
    let policy = Policy {
        id: "reversible".to_owned(),
        reason,
    };
    Judgement {
        decision: Decision::Allow,
        policies: vec![policy],
    }
}
