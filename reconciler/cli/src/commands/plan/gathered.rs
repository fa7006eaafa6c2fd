//! The plans of several environments, for an answer about all of them together.

use stratum_core::finding::Finding;
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_forge::markdown::{Compared, Links, Plans, Section};
use stratum_runtime::Preview;

/// The plans of several environments.
#[derive(Default)]
pub(crate) struct Gathered {
    /// The environments, what they were planned from, and their plans.
    pub(crate) plans: Vec<(EnvironmentName, CommitId, Preview)>,
    /// What was noticed that belongs to no environment.
    pub(crate) findings: Vec<Finding>,
}

impl Gathered {
    /// The settings have errors, so there are no plans.
    pub(crate) fn unreadable(findings: Vec<Finding>) -> Self {
        let plans = Vec::new();
        Self { plans, findings }
    }

    /// The same, for a comment.
    pub(crate) fn plans<'a>(&'a self, head: &'a CommitId, compared: Compared<'a>) -> Plans<'a> {
        let sections = self.plans.iter().map(|(environment, _, made)| Section {
            environment,
            plan: made.plan.as_deref(),
            verdict: &made.verdict,
            findings: &made.findings,
        });
        Plans {
            head,
            compared,
            sections: sections.collect(),
            findings: &self.findings,
            notes: Vec::new(),
            links: Links::default(),
        }
    }
}
