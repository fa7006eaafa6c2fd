//! One plan, and all that policy may look at when it judges it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use stratum_core::digest::Digest;
use stratum_core::ids::{BranchName, CommitId, EnvironmentName, ObjectId, RunId};
use stratum_core::plan::Plan;
use stratum_core::ports::{Act, LoadError, PlanRequest, Principal, Question, ballot};
use stratum_core::rules::{Rules, changed, content};
use stratum_core::run::Trigger;
use stratum_core::settings::{Settings, Signatures};
use stratum_core::signed::{Approval, Authored, Refused, SignedCommit, SignedTag, Signer, trailer};
use stratum_core::verdict::{Decision, Verdict};

use super::{Guard, Heard, Said, Word};
use crate::error::RuntimeError;
use crate::head::own_settings;

/// What is to be judged: an environment, and the Revision it should come to.
#[derive(Debug, Clone)]
pub struct Case {
    /// The environment.
    pub environment: EnvironmentName,
    /// The settings that are in force.
    pub settings: Arc<Settings>,
    /// The Revision.
    pub commit: CommitId,
    /// The commit whose rules hold: the last one the environment came to, or the pin.
    pub base: CommitId,
    /// Whether the environment never came to any Revision.
    pub new: bool,
    /// Why it is looked at.
    pub trigger: Trigger,
    /// The branch it is read from.
    pub branch: Option<BranchName>,
    /// Approvals that were used before: each counts once.
    pub spent: Vec<ObjectId>,
    /// It is to be treated as protected, whatever its label says.
    pub protected: bool,
    /// The commit of the first use, which nothing older can vouch for.
    pub pin: Option<CommitId>,
}

impl Case {
    /// Whether this is the commit of the first use, also when it came to that long ago: it brings
    /// nothing that was not taken as it was.
    fn is_first(&self) -> bool {
        self.commit == self.base && (self.new || self.pin.as_ref() == Some(&self.commit))
    }
}

/// Where approvals are.
const APPROVE: &str = "stratum/approve/";

/// So many tags that do not count are named.
const SHOWN: usize = 3;

/// What an approval must not come from.
struct Behind<'a> {
    /// Approvals that were used.
    spent: &'a [ObjectId],
    /// Who wrote what is taken back.
    taken_back: &'a [Authored],
}

/// The settings of an environment as policy sees them.
pub(super) struct Facts {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) protected: bool,
}

impl Guard<'_> {
    /// Puts a plan together with everything policy may look at.
    pub fn request(
        &self,
        case: &Case,
        rules: &Arc<Rules>,
        plan: Arc<Plan>,
        tags: &[SignedTag],
    ) -> Result<PlanRequest, RuntimeError> {
        let range = self.range(rules, &case.commit)?;
        let (commits, authors) = (&range.0, range.1.clone());
        let taken_back = self.taken_back(case, rules)?;
        let (changed, objects) = self.changed(case, rules)?;
        let rewound =
            case.commit != case.base && !self.repository.follows(&case.commit, &case.base)?;
        let facts = facts(case, rules);
        let mut request = PlanRequest {
            ballot: ballot(
                &plan,
                &case.base,
                (!changed.is_empty()).then_some(objects.as_slice()),
            ),
            plan,
            rules: Arc::clone(rules),
            labels: facts.labels,
            protected: facts.protected,
            trigger: case.trigger,
            branch: case.branch.clone(),
            authors,
            changed: changed.into_iter().map(str::to_owned).collect(),
            rewound,
            pinned: case.is_first(),
            signatures: rules.signatures(),
            approvals: Vec::new(),
            refused: Vec::new(),
            reviewed: Vec::new(),
            now: self.now,
        };
        let since = commits.first().map(|tip| tip.committed_at);
        let behind = Behind {
            spent: &case.spent,
            taken_back: &taken_back,
        };
        (request.approvals, request.refused) = self.approvals(&request, tags, since, &behind)?;
        request.reviewed = reviewed(&request, commits);
        Ok(request)
    }

    /// What of the rules the Revision changes, and the objects it brings.
    #[allow(
        clippy::type_complexity,
        reason = "the pair that core's functions make"
    )]
    fn changed(
        &self,
        case: &Case,
        rules: &Rules,
    ) -> Result<(Vec<&'static str>, Vec<(&'static str, Option<ObjectId>)>), RuntimeError> {
        if case.commit == rules.commit {
            return Ok((Vec::new(), Vec::new()));
        }
        let old = self.repository.tree(&rules.commit)?;
        let new = self.repository.tree(&case.commit)?;
        let settings = self.loader.settings(new.as_ref())?.value;
        let before = (old.as_ref(), rules.settings.as_ref());
        let after = (new.as_ref(), settings.as_ref());
        let changed = changed(before, after).map_err(LoadError::Tree)?;
        let content = content(new.as_ref(), settings.as_ref()).map_err(LoadError::Tree)?;
        Ok((changed, content))
    }

    /// Whether the authors of a Revision may bring anything at all, judged on its commits alone:
    /// nothing of what it brings is read.
    pub fn authors(
        &self,
        case: &Case,
        rules: &Arc<Rules>,
        plan: Arc<Plan>,
    ) -> Result<Verdict, RuntimeError> {
        let range = self.range(rules, &case.commit)?;
        let facts = facts(case, rules);
        let request = PlanRequest {
            ballot: ballot(&plan, &case.base, None),
            plan,
            rules: Arc::clone(rules),
            labels: facts.labels,
            protected: facts.protected,
            trigger: case.trigger,
            branch: case.branch.clone(),
            authors: range.1.clone(),
            changed: Vec::new(),
            // Judged with the plan, when approvals are known.
            rewound: false,
            pinned: case.is_first(),
            signatures: rules.signatures(),
            approvals: Vec::new(),
            refused: Vec::new(),
            reviewed: Vec::new(),
            now: self.now,
        };
        Ok(self.gate.judge(&request)?)
    }

    /// Who wrote what the Revision takes back, where it does not follow from the base.
    fn taken_back(&self, case: &Case, rules: &Rules) -> Result<Vec<Authored>, RuntimeError> {
        if case.commit == case.base || self.repository.follows(&case.commit, &case.base)? {
            return Ok(Vec::new());
        }
        let taken = self.repository.signed_between(&case.commit, &case.base)?;
        Ok(taken
            .iter()
            .map(|commit| self.authored(rules, commit))
            .collect())
    }

    /// The approvals of this very plan that policy lets count, one for each person; and the tags
    /// made since the Revision that were meant to be such and are not.
    fn approvals(
        &self,
        request: &PlanRequest,
        tags: &[SignedTag],
        since: Option<Timestamp>,
        behind: &Behind<'_>,
    ) -> Result<(Vec<Approval>, Vec<Refused>), RuntimeError> {
        let digest = request.ballot.to_string();
        let mut found: BTreeMap<String, Approval> = BTreeMap::new();
        let mut void = Vec::new();
        for word in self.words(&request.rules, tags, APPROVE) {
            match word {
                Ok(word) if names(&word.about, &digest) => {
                    match self.approval(request, word, behind)? {
                        Ok(approval) => drop(found.insert(approval.by.clone(), approval)),
                        Err(refused) => void.push(refused),
                    }
                }
                // One that was used did its work.
                Ok(word) if behind.spent.contains(&word.object) => {}
                Ok(word) if since.is_some_and(|since| word.at >= since) => void.push(Refused {
                    tag: word.tag,
                    why: "it names another plan".to_owned(),
                }),
                Ok(_) => {}
                Err(refused) if names(refused.tag.trim_start_matches(APPROVE), &digest) => {
                    void.push(refused);
                }
                Err(_) => {}
            }
        }
        void.truncate(SHOWN);
        void.iter().for_each(note);
        Ok((found.into_values().collect(), void))
    }

    /// What a word that names this plan comes to.
    fn approval(
        &self,
        request: &PlanRequest,
        word: Word,
        behind: &Behind<'_>,
    ) -> Result<Result<Approval, Refused>, RuntimeError> {
        if behind.spent.contains(&word.object) {
            return Ok(Err(Refused {
                tag: word.tag,
                why: "it was used already, and an approval counts once".to_owned(),
            }));
        }
        let valid = request.rules.settings.approvals.valid;
        let expires = word
            .expires
            .or_else(|| word.at.checked_add(valid).ok())
            .unwrap_or(word.at);
        if expires <= self.now {
            return Ok(Err(Refused {
                tag: word.tag,
                why: "it is older than `approvals.valid`".to_owned(),
            }));
        }
        let mut authors = request.authors.iter().chain(behind.taken_back);
        let own = authors.any(|author| author.signer.name() == Some(&word.by));
        let question = Question {
            principal: principal(&word.signer),
            act: Act::Approve {
                ballot: request.ballot,
                own,
            },
            environment: request.plan.environment.clone(),
            labels: request.labels.clone(),
            protected: request.protected,
            rules: Arc::clone(&request.rules),
            now: self.now,
        };
        Ok(self.allowed(&question, &word.tag)?.map(|()| Approval {
            by: word.by,
            tag: word.tag,
            object: Some(word.object),
            at: word.at,
            expires,
        }))
    }

    /// Whether policy lets the tag say what it says.
    pub(super) fn allowed(
        &self,
        question: &Question,
        tag: &str,
    ) -> Result<Result<(), Refused>, RuntimeError> {
        let judgement = self.gate.ask(question)?;
        if judgement.decision == Decision::Allow {
            return Ok(Ok(()));
        }
        let why = judgement.policies.first();
        Ok(Err(Refused {
            tag: tag.to_owned(),
            why: why.map_or_else(
                || "no policy allows it".to_owned(),
                |policy| format!("{} ({})", policy.reason, policy.id),
            ),
        }))
    }

    /// The question a word puts to policy.
    pub(super) fn question(
        &self,
        case: &Case,
        rules: &Arc<Rules>,
        word: &Word,
        act: Act,
    ) -> Question {
        let facts = facts(case, rules);
        Question {
            principal: principal(&word.signer),
            act,
            environment: case.environment.clone(),
            labels: facts.labels,
            protected: facts.protected,
            rules: Arc::clone(rules),
            now: self.now,
        }
    }

    /// Who says that the run may be tried again, if someone who may says so.
    pub fn retried(
        &self,
        case: &Case,
        rules: &Arc<Rules>,
        tags: &[SignedTag],
        run: &RunId,
    ) -> Result<Heard<Option<Word>>, RuntimeError> {
        let act = Act::Retry { run: run.clone() };
        self.last(case, rules, tags, ("stratum/retry/", run.as_str()), act)
    }

    /// What was said last about suspending the environment.
    pub fn suspended(
        &self,
        case: &Case,
        rules: &Arc<Rules>,
        tags: &[SignedTag],
    ) -> Result<Heard<Said>, RuntimeError> {
        let name = case.environment.as_str();
        let about = ("stratum/suspend/", name);
        let mut suspend = self.last(case, rules, tags, about, Act::Suspend)?;
        let about = ("stratum/resume/", name);
        let resume = self.last(case, rules, tags, about, Act::Resume)?;
        suspend.void.extend(resume.void);
        let said = match (suspend.said, resume.said) {
            (Some(suspend), Some(resume)) if suspend.at <= resume.at => Said::Resume(resume),
            (Some(suspend), _) => Said::Suspend(suspend),
            (None, Some(resume)) => Said::Resume(resume),
            (None, None) => Said::Nothing,
        };
        Ok(Heard {
            said,
            void: suspend.void,
        })
    }

    /// The last word about something that counts: `about` is the prefix of its tags, and the name.
    fn last(
        &self,
        case: &Case,
        rules: &Arc<Rules>,
        tags: &[SignedTag],
        (prefix, name): (&str, &str),
        act: Act,
    ) -> Result<Heard<Option<Word>>, RuntimeError> {
        let mut heard: Heard<Option<Word>> = Heard::default();
        for word in self.words(rules, tags, prefix) {
            let word = match word {
                Ok(word) if names(&word.about, name) => word,
                Ok(_) => continue,
                Err(refused) => {
                    let about = refused.tag.strip_prefix(prefix);
                    if about.is_some_and(|about| names(about, name)) {
                        heard.void.push(refused);
                    }
                    continue;
                }
            };
            let question = self.question(case, rules, &word, act.clone());
            let later = heard.said.as_ref().is_none_or(|last| last.at < word.at);
            match self.allowed(&question, &word.tag)? {
                Ok(()) if later => heard.said = Some(word),
                Ok(()) => {}
                Err(refused) => heard.void.push(refused),
            }
        }
        heard.void.iter().for_each(note);
        Ok(heard)
    }
}

/// Whether the tag is about `name`: that itself, or with `+<anything>` behind it, so that several
/// people can say the same.
fn names(about: &str, name: &str) -> bool {
    let rest = about.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
}

pub(super) fn note(refused: &Refused) {
    tracing::warn!(tag = %refused.tag, why = %refused.why, "a tag does not count");
}

fn principal(signer: &Signer) -> Principal {
    match signer {
        Signer::Person { name, kind, .. } => Principal::Person {
            name: name.clone(),
            key: *kind,
        },
        Signer::Nobody { .. } => Principal::Unverified {
            author: String::new(),
        },
    }
}

/// The base's word about the environment; the Revision's own where the base does not know it.
pub(super) fn facts(case: &Case, rules: &Rules) -> Facts {
    let new = own_settings(&case.settings, &case.environment);
    let old = rules.settings.environments.get(&case.environment);
    let own = old.unwrap_or(&new);
    Facts {
        labels: own.labels.clone(),
        protected: own.is_protected() || case.protected,
    }
}

/// The digests that reviewers saw: trailers `Stratum-Plan` of commits that count, and approvals.
fn reviewed(request: &PlanRequest, commits: &[SignedCommit]) -> Vec<Digest> {
    let off = request.signatures == Signatures::Off;
    let counts = |author: &Authored| off || author.signer.name().is_some();
    let pairs = request.authors.iter().zip(commits);
    let mut seen: Vec<Digest> = pairs
        .filter(|(author, _)| counts(author))
        .filter_map(|(_, commit)| trailer(&commit.message, "Stratum-Plan"))
        .filter_map(|text| Digest::try_from(text.to_owned()).ok())
        .collect();
    if !request.approvals.is_empty() {
        seen.push(request.plan.digest);
    }
    seen
}
