//! What policy says about sealed values: who may seal, what may be read, and what may go back.

use std::collections::BTreeMap;
use std::sync::Arc;

use stratum_core::ports::{Act, Principal, Question};
use stratum_core::rules::Rules;
use stratum_core::signed::SignedTag;
use stratum_core::verdict::Decision;

use super::request::{Case, facts, note};
use super::{Guard, Heard, Word};
use crate::error::RuntimeError;

/// A value that may go back: path, key, version.
pub type Older = (String, String, u64);

/// The tags that let an older version of a sealed value come back.
pub const ROLLBACK_TAGS: &str = "stratum/allow-rollback/";

impl Guard<'_> {
    /// Why policy does not let a sealer seal a value; `None` when it does.
    pub fn refuses_sealer(
        &self,
        case: &Case,
        rules: &Arc<Rules>,
        sealer: &str,
        path: &str,
    ) -> Result<Option<String>, RuntimeError> {
        let name = sealer.to_owned();
        let act = Act::Seal {
            path: path.to_owned(),
        };
        self.refuses(case, rules, Principal::Sealer { name }, act)
    }

    /// Why policy does not let the reconciler read a value; `None` when it does.
    pub fn refuses_reading(
        &self,
        case: &Case,
        rules: &Arc<Rules>,
        path: &str,
    ) -> Result<Option<String>, RuntimeError> {
        let act = Act::ReadSecret {
            path: path.to_owned(),
        };
        self.refuses(case, rules, Principal::Reconciler, act)
    }

    fn refuses(
        &self,
        case: &Case,
        rules: &Arc<Rules>,
        principal: Principal,
        act: Act,
    ) -> Result<Option<String>, RuntimeError> {
        let facts = facts(case, rules);
        let judgement = self.gate.ask(&Question {
            principal,
            act,
            environment: case.environment.clone(),
            labels: facts.labels,
            protected: facts.protected,
            rules: Arc::clone(rules),
            now: self.now,
        })?;
        if judgement.decision == Decision::Allow {
            return Ok(None);
        }
        let reasons = judgement.policies.iter();
        let reasons = reasons.map(|policy| format!("{} ({})", policy.reason, policy.id));
        let reasons: Vec<String> = reasons.collect();
        Ok(Some(match reasons.is_empty() {
            true => "no policy allows it".to_owned(),
            false => reasons.join("; "),
        }))
    }

    /// The older values that may come back: `stratum/allow-rollback/<environment>/<path>#<key>@v<n>`,
    /// signed by someone whom policy lets say so.
    pub fn may_go_back(
        &self,
        case: &Case,
        rules: &Arc<Rules>,
        tags: &[SignedTag],
    ) -> Result<Heard<BTreeMap<Older, Word>>, RuntimeError> {
        let mut heard: Heard<BTreeMap<Older, Word>> = Heard::default();
        for word in self.words(rules, tags, ROLLBACK_TAGS) {
            let word = match word {
                Ok(word) => word,
                Err(refused) => {
                    let own = refused.tag.strip_prefix(ROLLBACK_TAGS);
                    let own = own.and_then(|about| about.strip_prefix(case.environment.as_str()));
                    if own.is_some_and(|rest| rest.starts_with('/')) {
                        heard.void.push(refused);
                    }
                    continue;
                }
            };
            let Some((path, key, version)) = older(case, &word) else {
                continue;
            };
            let act = Act::AllowRollback {
                path: format!("{path}#{key}"),
            };
            let question = self.question(case, rules, &word, act);
            match self.allowed(&question, &word.tag)? {
                Ok(()) => drop(heard.said.insert((path, key, version), word)),
                Err(refused) => heard.void.push(refused),
            }
        }
        heard.void.iter().for_each(note);
        Ok(heard)
    }
}

/// What a word says may come back, when it is about this environment.
fn older(case: &Case, word: &Word) -> Option<Older> {
    let rest = word.about.strip_prefix(case.environment.as_str())?;
    let (path, rest) = rest.strip_prefix('/')?.split_once('#')?;
    let (key, version) = rest.rsplit_once("@v")?;
    let version = version.split('+').next()?.parse().ok()?;
    Some((path.to_owned(), key.to_owned(), version))
}
