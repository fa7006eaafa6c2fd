//! What is put before policy: the rules of the base, who wrote what came since, and the words that
//! people signed.
//!
//! ```text
//! base commit --tree--> policies, trust, settings = Rules      (never those of the Revision)
//! base..Revision --signatures, trust of the base--> authors
//! sealed values --policy--> who may seal, what may be read, what may go back
//! refs/tags/stratum/* --signatures, trust of the base, policy--> approvals, retries, suspensions
//! ```

mod authors;
mod known;
mod request;
mod secrets;
mod words;

use std::sync::Arc;

use jiff::Timestamp;
use stratum_core::finding::{Finding, codes, first_reason};
use stratum_core::ids::CommitId;
use stratum_core::ports::{Gate, GateError, Loader, Repository, RepositoryError, Signatures};
use stratum_core::rules::{Rules, policies};
use stratum_core::settings::{Settings, Signatures as Required};
use stratum_core::source::Source;
use stratum_core::trust::Trust;

use crate::error::RuntimeError;

pub use known::Known;
pub use request::Case;
pub use secrets::{Older, ROLLBACK_TAGS};
pub use words::{Heard, Said, Word, WordOf};

/// Puts things before policy. Blocking.
pub struct Guard<'a> {
    /// The git repository.
    pub repository: &'a dyn Repository,
    /// Bytes of a tree -> settings and trust.
    pub loader: &'a dyn Loader,
    /// Policy.
    pub gate: &'a dyn Gate,
    /// Who signed.
    pub signatures: &'a dyn Signatures,
    /// The time (UTC).
    pub now: Timestamp,
    /// What was read before; `None`: nothing is kept.
    pub known: Option<&'a Known>,
}

impl Guard<'_> {
    /// The rules that a commit has: what is judged on top of it is judged by these.
    ///
    /// *Errors*: [`RuntimeError::Gate`] when the commit is gone or its rules cannot be read.
    pub fn rules(&self, commit: &CommitId) -> Result<Arc<Rules>, RuntimeError> {
        if let Some(rules) = self.known.and_then(|known| known.rules(commit)) {
            return Ok(rules);
        }
        let tree = self
            .repository
            .tree(commit)
            .map_err(|error| gone(commit, error))?;
        let loaded = self.loader.settings(tree.as_ref())?;
        let settings = loaded
            .value
            .ok_or_else(|| unreadable(commit, &loaded.findings))?;
        let loaded = self.loader.trust(tree.as_ref(), &settings)?;
        let trust = loaded
            .value
            .ok_or_else(|| unreadable(commit, &loaded.findings))?;
        let files = policies(tree.as_ref()).map_err(stratum_core::ports::LoadError::Tree)?;
        if !files.findings.is_empty() {
            return Err(unreadable(commit, &files.findings));
        }
        let rules = Arc::new(Rules {
            commit: commit.clone(),
            policies: files.files,
            trust: Arc::new(trust),
            settings: Arc::new(settings),
        });
        if let Some(known) = self.known {
            known.keep_rules(&rules);
        }
        Ok(rules)
    }

    /// What is wrong with the rules that a commit brings; they hold for what comes after it.
    pub fn check(&self, commit: &CommitId) -> Result<Vec<Finding>, RuntimeError> {
        Ok(self.brought(commit, None)?.findings)
    }

    /// The rules that a commit brings, read to be compared and to be checked: none of them holds
    /// before it is admitted. `base`: the rules that hold.
    pub fn brought(
        &self,
        commit: &CommitId,
        base: Option<&Rules>,
    ) -> Result<Brought, RuntimeError> {
        let on = base.map(|base| base.commit.clone());
        if let Some(brought) = self
            .known
            .and_then(|known| known.brought(commit, on.as_ref()))
        {
            return Ok(brought);
        }
        let tree = self.repository.tree(commit)?;
        let loaded = self.loader.settings(tree.as_ref())?;
        let mut findings = loaded.findings;
        let Some(settings) = loaded.value else {
            return Ok(Brought {
                settings: None,
                findings,
            });
        };
        let loaded = self.loader.trust(tree.as_ref(), &settings)?;
        findings.extend(loaded.findings);
        let trust = loaded.value.unwrap_or_default();
        findings.extend(base.and_then(|base| unsigned_again(base, &settings, &trust)));
        let files = policies(tree.as_ref()).map_err(stratum_core::ports::LoadError::Tree)?;
        findings.extend(files.findings);
        let found = self.gate.check(tree.as_ref(), &trust, &settings);
        let found = found.map_err(stratum_core::ports::LoadError::Tree)?;
        let seen = |finding: &Finding| findings.contains(finding);
        let news: Vec<Finding> = found.into_iter().filter(|one| !seen(one)).collect();
        findings.extend(news);
        let brought = Brought {
            settings: Some(Arc::new(settings)),
            findings,
        };
        if let Some(known) = self.known {
            known.keep_brought(commit, on, &brought);
        }
        Ok(brought)
    }
}

/// The rules that a commit brings.
#[derive(Debug, Clone)]
pub struct Brought {
    /// Its settings; `None` when they cannot be used.
    pub settings: Option<Arc<Settings>>,
    /// What is wrong with any of them.
    pub findings: Vec<Finding>,
}

/// Where signatures were required, they do not end because `trust/` was emptied: only a word in
/// the settings ends them.
fn unsigned_again(base: &Rules, settings: &Settings, trust: &Trust) -> Option<Finding> {
    let required = base.signatures() == Required::Required;
    if !required || settings.signatures.is_some() || trust.has_signers() {
        return None;
    }
    let message = "`trust/` has nobody left who could sign, and signatures are required";
    let finding = Finding::error(&codes::TRUST_SHAPE, message).at(Source::start_of("trust"));
    Some(
        finding
            .hint("leave somebody in `trust/people/`, or say `signatures = 'off` in `stratum.ncl`"),
    )
}

fn undecided(reason: String) -> RuntimeError {
    RuntimeError::Gate(GateError::Undecided { reason })
}

fn gone(commit: &CommitId, error: RepositoryError) -> RuntimeError {
    match error {
        RepositoryError::NoSuchRevision { .. } => undecided(format!(
            "the commit {commit}, whose trust and policies hold, is no longer in the repository: \
             push it again, under any name"
        )),
        other => other.into(),
    }
}

fn unreadable(commit: &CommitId, findings: &[Finding]) -> RuntimeError {
    undecided(format!(
        "the rules of {} hold and cannot be used: {}",
        commit.short(),
        first_reason(findings)
    ))
}
