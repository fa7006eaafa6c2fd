//! What judging stands on: the guard over this process's ports, and the input of one look.

use std::sync::Arc;

use stratum_core::finding::Finding;
use stratum_core::finding::codes::UNVERIFIED;
use stratum_core::ids::CommitId;
use stratum_core::plan::Plan;
use stratum_core::ports::{Clock, Gate, Loader, Repository, RepositoryError};
use stratum_core::rules::Rules;
use stratum_core::run::Trigger;
use stratum_core::settings::Signatures as Required;
use stratum_core::signed::{Authored, SignedTag, Signer};
use stratum_core::verdict::Verdict;

use crate::error::RuntimeError;
use crate::guard::{Case, Guard, Known};
use crate::ports::Ports;

/// What one look stands on.
#[derive(Clone)]
pub(crate) struct PolicyInput {
    pub(crate) case: Case,
    pub(crate) rules: Arc<Rules>,
    pub(crate) tags: Arc<Vec<SignedTag>>,
}

impl PolicyInput {
    /// A warning for each commit that nobody is proven to be behind, where that is only warned of.
    pub(crate) fn unverified(&self, verdict: &Verdict) -> Vec<Finding> {
        if self.rules.signatures() != Required::Warn {
            return Vec::new();
        }
        let warning = |one: &Authored| match &one.signer {
            Signer::Person { .. } => None,
            Signer::Nobody { why } => {
                let message = format!("the commit {} by {}: {why}", one.commit.short(), one.author);
                Some(Finding::warning(&UNVERIFIED, message))
            }
        };
        verdict.authors.iter().filter_map(warning).collect()
    }
}

/// Judges. Blocking.
pub(crate) struct Policy {
    pub(crate) repository: Arc<dyn Repository>,
    pub(crate) loader: Arc<dyn Loader>,
    gate: Arc<dyn Gate>,
    signatures: Arc<dyn stratum_core::ports::Signatures>,
    clock: Arc<dyn Clock>,
    known: Known,
}

impl Policy {
    pub(crate) fn new(ports: &Ports) -> Self {
        Self {
            repository: Arc::clone(&ports.repository),
            loader: Arc::clone(&ports.loader),
            gate: Arc::clone(&ports.gate),
            signatures: Arc::clone(&ports.signatures),
            clock: Arc::clone(&ports.clock),
            known: Known::default(),
        }
    }

    /// The guard over this process's ports, at this moment.
    pub(crate) fn guard(&self) -> Guard<'_> {
        Guard {
            repository: self.repository.as_ref(),
            loader: self.loader.as_ref(),
            gate: self.gate.as_ref(),
            signatures: self.signatures.as_ref(),
            now: self.clock.now(),
            known: Some(&self.known),
        }
    }

    /// Whether a commit is not in the repository any more.
    pub(crate) fn is_gone(&self, commit: &CommitId) -> Result<bool, RuntimeError> {
        match self.repository.revision(commit) {
            Ok(_) => Ok(false),
            Err(RepositoryError::NoSuchRevision { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Judges a plan on this input.
    pub(crate) fn verdict(
        &self,
        input: PolicyInput,
        trigger: Trigger,
        plan: Arc<Plan>,
    ) -> Result<Verdict, RuntimeError> {
        let case = Case {
            trigger,
            ..input.case
        };
        self.verdict_of(&case, &input.rules, plan, &input.tags)
    }

    /// Judges a plan in this case.
    pub(crate) fn verdict_of(
        &self,
        case: &Case,
        rules: &Arc<Rules>,
        plan: Arc<Plan>,
        tags: &[SignedTag],
    ) -> Result<Verdict, RuntimeError> {
        let request = self.guard().request(case, rules, plan, tags)?;
        Ok(self.gate.judge(&request)?)
    }
}
