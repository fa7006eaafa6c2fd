//! A Plan with its Findings and Verdict, accepted: the only thing that can be applied.

use std::sync::Arc;

use thiserror::Error;

use crate::finding::{Finding, any_error};
use crate::plan::Plan;
use crate::verdict::Verdict;

/// A Plan that may be applied. Only [`approve`] makes one.
#[derive(Debug, Clone)]
pub struct Approved {
    // INVARIANT: every step is allowed by the verdict and no finding is an error.
    plan: Arc<Plan>,
    findings: Vec<Finding>,
    verdict: Verdict,
}

impl Approved {
    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// What the checks noticed; no errors.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What policy said.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

/// Why a plan may not be applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A check found an error.
    #[error("{}", first_error(.0))]
    Findings(Vec<Finding>),
    /// Policy does not allow a step.
    #[error("{}", .0.join("; "))]
    Denied(Vec<String>),
}

fn first_error(findings: &[Finding]) -> String {
    let errors: Vec<_> = findings
        .iter()
        .filter(|finding| finding.is_error())
        .collect();
    match errors.as_slice() {
        [] => "nothing is wrong".to_owned(),
        [one] => one.message.clone(),
        [first, rest @ ..] => format!("{} (and {} more)", first.message, rest.len()),
    }
}

/// Accepts a plan when no finding is an error and every step is allowed.
pub fn approve(
    plan: Arc<Plan>,
    findings: Vec<Finding>,
    verdict: Verdict,
) -> Result<Approved, Refusal> {
    if any_error(&findings) {
        return Err(Refusal::Findings(findings));
    }
    let denied: Vec<String> = verdict
        .refused(&plan)
        .map(|(step, judgement)| {
            let because = judgement.and_then(|j| j.policies.first()).map_or_else(
                || "no policy allows it".to_owned(),
                |policy| format!("{} ({})", policy.reason, policy.id),
            );
            format!("`{}` may not be done: {because}", step.address)
        })
        .collect();
    if !denied.is_empty() {
        return Err(Refusal::Denied(denied));
    }
    Ok(Approved {
        plan,
        findings,
        verdict,
    })
}
