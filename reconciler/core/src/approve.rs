//! A Plan with its Findings and Verdict, accepted: the only thing that can be applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use crate::finding::{Finding, any_error, first_reason};
use crate::plan::Plan;
use crate::signed::{Authored, NOT_LOOKED_AT, Refused, Signer};
use crate::verdict::{Decision, Judgement, Verdict};

/// A Plan that may be applied. Only [`approve`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    // INVARIANT: the verdict allows the whole and every step, and no finding is an error.
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
    #[error("{}", first_reason(.0))]
    Findings(Vec<Finding>),
    /// Policy does not allow it.
    #[error("{}", .0.join("; "))]
    Denied(Vec<String>),
    /// Policy allows it once somebody approved it.
    #[error("{}; {}{}", because.join("; "), how_to_approve(by, tag.as_deref()), listed(void))]
    NeedsApproval {
        /// What needs it, and which policies say so.
        because: Vec<String>,
        /// Who could approve it.
        by: Vec<String>,
        /// The name of a tag that would approve it.
        tag: Option<String>,
        /// Tags that look like approvals of it and do not count.
        void: Vec<Refused>,
    },
}

fn listed(void: &[Refused]) -> String {
    void.iter().map(|tag| format!("; {tag}")).collect()
}

/// How an approval is given, for people: who could, and the command.
fn how_to_approve(by: &[String], tag: Option<&str>) -> String {
    let command = match tag {
        Some(tag) => command(tag),
        None => "a signed tag `stratum/approve/<digest of the plan>`".to_owned(),
    };
    format!("needs approval by {}: {command}", any_of(by))
}

/// The name of a tag that would approve the plan: one that no tag has that looks like an approval.
pub fn tag(verdict: &Verdict) -> Option<String> {
    let wanted = format!("stratum/approve/{}", verdict.ballot?);
    let given = verdict.approvals.iter().map(|approval| &approval.tag);
    let taken: Vec<&String> = given
        .chain(verdict.void.iter().map(|void| &void.tag))
        .collect();
    Some(free(wanted, |name| taken.iter().any(|tag| *tag == name)))
}

/// The name of a tag, or another that says the same, where it is taken.
pub fn free(tag: String, is_taken: impl Fn(&str) -> bool) -> String {
    let others = (2..100).map(|number| format!("{tag}+{number}"));
    let mut names = std::iter::once(tag.clone()).chain(others);
    names.find(|name| !is_taken(name)).unwrap_or(tag)
}

/// The command that says a word to the reconciler.
pub fn command(tag: &str) -> String {
    format!("`git tag -s {tag} -m \"why\" && git push origin {tag}`")
}

/// `ada, ben or carla`.
fn any_of(names: &[String]) -> String {
    match names {
        [] => "somebody in `trust/`".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Accepts a plan when no finding is an error and policy allows the whole and every step.
pub fn approve(
    plan: Arc<Plan>,
    findings: Vec<Finding>,
    verdict: Verdict,
) -> Result<Approved, Refusal> {
    if any_error(&findings) {
        return Err(Refusal::Findings(findings));
    }
    let mut refused = Gathered::default();
    let unjudged = Judgement::by(Decision::Deny, "none", "policy said nothing about it");
    let whole = verdict.whole.as_ref().unwrap_or(&unjudged);
    if whole.decision != Decision::Allow {
        refused.add(&format!("`{}`", plan.environment), whole);
    }
    for (step, judgement) in verdict.refused(&plan) {
        let judgement = judgement.unwrap_or(&unjudged);
        refused.add(&format!("`{}`", step.address), judgement);
    }
    refused.result(&verdict)?;
    Ok(Approved {
        plan,
        findings,
        verdict,
    })
}

/// What was refused, gathered by reason, so that one policy is one clause however many steps.
#[derive(Default)]
struct Gathered {
    denied: BTreeMap<String, Vec<String>>,
    waiting: BTreeMap<String, Vec<String>>,
    by: Vec<Vec<String>>,
}

impl Gathered {
    fn add(&mut self, what: &str, judgement: &Judgement) {
        let because = judgement.policies.first().map_or_else(
            || "no policy allows it".to_owned(),
            |policy| format!("{} ({})", policy.reason, policy.id),
        );
        let list = match &judgement.decision {
            Decision::NeedsApproval { by } => {
                self.by.push(by.clone());
                &mut self.waiting
            }
            Decision::Allow | Decision::Deny => &mut self.denied,
        };
        list.entry(because).or_default().push(what.to_owned());
    }

    fn result(self, verdict: &Verdict) -> Result<(), Refusal> {
        if !self.denied.is_empty() {
            let mut because = clauses(self.denied);
            because.extend(unproven(verdict));
            return Err(Refusal::Denied(because));
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        Err(Refusal::NeedsApproval {
            because: clauses(self.waiting),
            by: common(&self.by),
            tag: tag(verdict),
            void: verdict.void.clone(),
        })
    }
}

/// The commits that nobody is proven to be behind, the first few.
fn unproven(verdict: &Verdict) -> Vec<String> {
    let why = verdict.authors.iter().filter_map(|one| match &one.signer {
        Signer::Nobody { why } if why != NOT_LOOKED_AT => Some((one, why)),
        Signer::Nobody { .. } | Signer::Person { .. } => None,
    });
    let clause = |(one, why): (&Authored, &String)| {
        format!("the commit {} by {}: {why}", one.commit.short(), one.author)
    };
    why.map(clause).take(3).collect()
}

fn clauses(reasons: BTreeMap<String, Vec<String>>) -> Vec<String> {
    let clause = |(because, what): (String, Vec<String>)| match what.as_slice() {
        [first, rest @ ..] if !rest.is_empty() => {
            format!("{first} and {} more may not be done: {because}", rest.len())
        }
        _ => format!("{} may not be done: {because}", what.join(", ")),
    };
    reasons.into_iter().map(clause).collect()
}

/// Who could approve all of it; everybody who could approve a part, where nobody can do all.
fn common(lists: &[Vec<String>]) -> Vec<String> {
    let Some((first, rest)) = lists.split_first() else {
        return Vec::new();
    };
    let of_all: Vec<String> = first
        .iter()
        .filter(|name| rest.iter().all(|list| list.contains(name)))
        .cloned()
        .collect();
    if !of_all.is_empty() {
        return of_all;
    }
    let mut any: Vec<String> = lists.iter().flatten().cloned().collect();
    any.sort();
    any.dedup();
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_is_not_offered() {
        let taken = ["a", "a+2"];
        let free = |tag: &str| free(tag.to_owned(), |name| taken.contains(&name));
        assert_eq!(free("a"), "a+3");
        assert_eq!(free("b"), "b");
    }
}
