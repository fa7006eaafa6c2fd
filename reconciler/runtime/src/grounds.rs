//! What one look stands on: the rules that hold, and what people said by tags.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use stratum_core::condition::Hold;
use stratum_core::digest::Digest;
use stratum_core::finding::codes::UNVERIFIED;
use stratum_core::finding::{Finding, any_error};
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::plan::{BaseId, Plan};
use stratum_core::ports::EnvironmentRow;
use stratum_core::rules::{Pin, Rules};
use stratum_core::run::Trigger;
use stratum_core::settings::Signatures;
use stratum_core::signed::{Authored, SignedTag, Signer};
use stratum_core::verdict::{Decision, Verdict};

use crate::error::RuntimeError;
use crate::guard::{Case, Guard, Heard, Said, Word};
use crate::head::{Head, Target};
use crate::reconcile::Reconciler;

/// What one look stands on.
#[derive(Clone)]
pub(crate) struct Grounds {
    pub(crate) case: Case,
    pub(crate) rules: Arc<Rules>,
    pub(crate) tags: Arc<Vec<SignedTag>>,
}

impl Grounds {
    /// A warning for each commit that nobody is proven to be behind, where that is only warned of.
    pub(crate) fn unverified(&self, verdict: &Verdict) -> Vec<Finding> {
        if self.rules.signatures() != Signatures::Warn {
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

/// What is known of the tags and of who heard them.
#[derive(Default)]
pub(crate) struct Words {
    tags: Arc<Vec<SignedTag>>,
    digest: Option<Digest>,
    /// The environments of the very first look: each pins its own commit.
    first: Option<BTreeSet<EnvironmentName>>,
    /// What the audit log was told of tags that are looked at again and again.
    told: BTreeSet<(EnvironmentName, String)>,
}

impl Reconciler {
    /// Takes in the tags as they are now.
    pub(crate) fn hear(&self, tags: Vec<SignedTag>) {
        let names: Vec<_> = tags.iter().map(|tag| (&tag.name, &tag.id)).collect();
        let digest = Digest::of_json(&names);
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.digest != Some(digest) {
            words.digest = Some(digest);
            words.tags = Arc::new(tags);
        }
    }

    /// Notes, at the very first look of all, which environments there are.
    pub(crate) fn begin_trust(&self, head: &Head, rows: &[EnvironmentRow]) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |row: &EnvironmentRow| row.pin.is_some() || row.revision.is_some();
        if words.first.is_none() {
            let first = match rows.iter().any(known) {
                true => BTreeSet::new(),
                false => head.environments.iter().cloned().collect(),
            };
            words.first = Some(first);
        }
    }

    /// Whether the audit log was told this of a tag before; it is from now on.
    pub(crate) fn was_told(&self, environment: &EnvironmentName, told: String) -> bool {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        !words.told.insert((environment.clone(), told))
    }

    fn tags(&self) -> Arc<Vec<SignedTag>> {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&words.tags)
    }

    /// The tags by name, with their objects.
    pub(crate) fn words_by_name(&self) -> BTreeMap<String, String> {
        let tags = self.tags();
        let names = tags.iter().map(|tag| (tag.name.clone(), tag.id.clone()));
        names.collect()
    }

    /// The guard over this process's ports, at this moment.
    pub(crate) fn guard(&self) -> Guard<'_> {
        Guard {
            repository: self.ports.repository.as_ref(),
            loader: self.ports.loader.as_ref(),
            gate: self.ports.gate.as_ref(),
            signatures: self.ports.signatures.as_ref(),
            now: self.ports.clock.now(),
            known: Some(&self.known),
        }
    }

    /// The rules that hold for a look; the findings that keep the Revision's own rules from ever
    /// holding, otherwise.
    ///
    /// The first time, the commit itself is pinned: nothing older could vouch for it.
    pub(crate) async fn grounds(
        self: &Arc<Self>,
        target: &Target,
        row: &mut EnvironmentRow,
    ) -> Result<Result<Grounds, Vec<Finding>>, RuntimeError> {
        let pin = match (&row.revision, &row.pin) {
            (None, None) => self.pin(target).await?,
            _ => row.pin.clone(),
        };
        let held = row.revision.clone();
        let base = held.or(pin.as_ref().map(|pin| pin.commit.clone()));
        let base = base.unwrap_or_else(|| target.commit.clone());
        let case = Case {
            environment: target.environment.clone(),
            settings: Arc::clone(&target.settings),
            commit: target.commit.clone(),
            new: row.revision.is_none(),
            branch: target.branch.clone(),
            trigger: Trigger::Push,
            base,
        };
        let (own, asked) = (Arc::clone(self), case.clone());
        let moved = case.new || case.base != case.commit;
        let (findings, rules) = self
            .blocking(move || {
                let guard = own.guard();
                let findings = match moved {
                    true => guard.check(&asked.commit)?,
                    false => Vec::new(),
                };
                match any_error(&findings) {
                    true => Ok((findings, None)),
                    false => Ok((findings, Some(guard.rules(&asked.base)?))),
                }
            })
            .await?;
        let Some(rules) = rules else {
            return Ok(Err(findings));
        };
        if let Some(pin) = pin.as_ref().filter(|pin| row.pin.as_ref() != Some(pin)) {
            self.log_pin(&target.environment, pin, &rules.trust).await?;
        }
        row.pin = pin;
        let tags = self.tags();
        Ok(Ok(Grounds { case, rules, tags }))
    }

    /// The pin of an environment that never came to any Revision: at the very first look its own
    /// commit, later the oldest pin there is, so that a new environment is no way round the trust.
    async fn pin(&self, target: &Target) -> Result<Option<Pin>, RuntimeError> {
        let own = Pin {
            commit: target.commit.clone(),
            at: self.ports.clock.now(),
        };
        let first = {
            let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
            let first = words.first.as_ref();
            first.is_some_and(|first| first.contains(&target.environment))
        };
        if first {
            return Ok(Some(own));
        }
        let rows = self.ports.store.environments().await?;
        let pins = rows.into_iter().filter_map(|row| {
            let of_before = row.revision.map(|commit| Pin {
                commit,
                at: row.changed_at,
            });
            row.pin.or(of_before)
        });
        Ok(Some(pins.min_by_key(|pin| pin.at).unwrap_or(own)))
    }

    /// What was said last about suspending the environment.
    pub(crate) async fn suspension(
        self: &Arc<Self>,
        grounds: &Grounds,
    ) -> Result<Said, RuntimeError> {
        let (own, asked) = (Arc::clone(self), grounds.clone());
        let environment = &grounds.case.environment;
        let heard = self
            .blocking(move || {
                own.guard()
                    .suspended(&asked.case, &asked.rules, &asked.tags)
            })
            .await?;
        self.log_void(environment, "suspend", &heard.void).await?;
        Ok(heard.said)
    }

    /// Who said that the held run shall be tried again, if someone who may did; and the tags that
    /// were meant to say so.
    pub(crate) async fn retried(
        self: &Arc<Self>,
        grounds: &Grounds,
        hold: &Hold,
    ) -> Result<Heard<Option<Word>>, RuntimeError> {
        let (own, asked, run) = (Arc::clone(self), grounds.clone(), hold.run.clone());
        let heard = self
            .blocking(move || {
                own.guard()
                    .retried(&asked.case, &asked.rules, &asked.tags, &run)
            })
            .await?;
        let environment = &grounds.case.environment;
        self.log_void(environment, "retry", &heard.void).await?;
        if let Some(word) = &heard.said {
            self.log_word(environment, word).await?;
            tracing::info!(run = %hold.run, by = %word.by, "tried again, as a tag says");
        }
        Ok(heard)
    }

    /// Judges a plan on these grounds.
    pub(crate) async fn verdict(
        self: &Arc<Self>,
        grounds: &Grounds,
        trigger: Trigger,
        plan: &Arc<Plan>,
    ) -> Result<Verdict, RuntimeError> {
        let (own, grounds, plan) = (Arc::clone(self), grounds.clone(), Arc::clone(plan));
        self.blocking(move || {
            let case = Case {
                trigger,
                ..grounds.case
            };
            let request = own
                .guard()
                .request(&case, &grounds.rules, plan, &grounds.tags)?;
            Ok(own.ports.gate.judge(&request)?)
        })
        .await
    }

    /// Whether the environment may come to a Revision that changes nothing in it.
    pub(crate) async fn admits(self: &Arc<Self>, grounds: &Grounds) -> Result<bool, RuntimeError> {
        let case = &grounds.case;
        if case.commit == case.base && !case.new {
            return Ok(true);
        }
        let plan = Arc::new(nothing(&case.environment, &case.commit));
        let verdict = self.verdict(grounds, Trigger::Push, &plan).await?;
        let whole = verdict.whole.as_ref().map(|whole| &whole.decision);
        let admitted = whole == Some(&Decision::Allow);
        if admitted {
            self.log_admitted(&plan, &verdict).await?;
        }
        Ok(admitted)
    }
}

/// A plan without steps: for what is judged, or refused, before there is one.
pub(crate) fn nothing(environment: &EnvironmentName, commit: &CommitId) -> Plan {
    let digest = Digest::of_bytes(commit.as_str().as_bytes());
    Plan {
        environment: environment.clone(),
        revision: commit.clone(),
        inputs: digest,
        base: BaseId { serial: 0, digest },
        digest,
        steps: Vec::new(),
        drifted: Vec::new(),
        blocked: Vec::new(),
        warnings: Vec::new(),
        resources: 0,
    }
}
