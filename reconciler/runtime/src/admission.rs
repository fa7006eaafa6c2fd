//! Judged first, obeyed after: from a commit of which nothing was read to one that may be read, and
//! to what holds while it is.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use stratum_core::approve::{Refusal, approve};
use stratum_core::digest::Digest;
use stratum_core::finding::{Finding, any_error};
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::plan::{BaseId, Plan};
use stratum_core::ports::{Clock, EnvironmentRow, States};
use stratum_core::rules::{Pin, Rules};
use stratum_core::run::Trigger;
use stratum_core::settings::{EnvironmentSettings, Settings};
use stratum_core::signed::{Approval, SignedTag};
use stratum_core::verdict::{Decision, Verdict};

use crate::audit::AuditLog;
use crate::blocking::Blocking;
use crate::error::RuntimeError;
use crate::guard::{Case, Guard};
use crate::head::{Head, Target, own_settings};
use crate::policy::{Policy, PolicyInput};
use crate::ports::Ports;
use crate::words::Words;

/// Why a commit may not be read, or must never become a base.
pub(crate) enum Unadmitted {
    /// Policy does not let those who wrote it bring anything.
    Unproven(Verdict, String),
    /// Its own rules cannot be used, so that it must never become a base.
    Unusable(Vec<Finding>),
    /// Its settings cannot be read.
    Unreadable(Vec<Finding>),
}

/// What came of judging a commit before it is read.
pub(crate) type Admission = Result<Admitted, Unadmitted>;

/// A commit that may be read, and what holds while it is.
pub(crate) struct Admitted {
    pub(crate) input: PolicyInput,
    /// What it should come to, with the settings that are in force.
    pub(crate) target: Target,
    /// The settings that it brings: to be compared with, and not to be obeyed.
    pub(crate) brought: Arc<Settings>,
}

/// Judges commits before they are read.
pub(crate) struct Admissions {
    states: Arc<dyn States>,
    clock: Arc<dyn Clock>,
    blocking: Blocking,
    policy: Arc<Policy>,
    words: Arc<Words>,
    log: Arc<AuditLog>,
    /// Environments that are judged without the repository's own policies.
    without_policies: BTreeSet<EnvironmentName>,
    /// The environments of the very first look: each pins its own commit.
    first: OnceLock<BTreeSet<EnvironmentName>>,
    /// The oldest pin of all environments, once there is one.
    oldest: OnceLock<Pin>,
}

impl Admissions {
    pub(crate) fn new(
        ports: &Ports,
        blocking: Blocking,
        (policy, words, log): (&Arc<Policy>, &Arc<Words>, &Arc<AuditLog>),
        without_policies: &BTreeSet<EnvironmentName>,
    ) -> Self {
        Self {
            states: ports.store.clone(),
            clock: Arc::clone(&ports.clock),
            blocking,
            policy: Arc::clone(policy),
            words: Arc::clone(words),
            log: Arc::clone(log),
            without_policies: without_policies.clone(),
            first: OnceLock::new(),
            oldest: OnceLock::new(),
        }
    }

    /// Notes, at the very first look of all, which environments there are.
    pub(crate) fn begin_trust(&self, head: &Head, rows: &[EnvironmentRow]) {
        let known = |row: &EnvironmentRow| row.pin.is_some() || row.revision.is_some();
        self.first.get_or_init(|| match rows.iter().any(known) {
            true => BTreeSet::new(),
            false => head.environments.iter().cloned().collect(),
        });
    }

    /// Judges a commit before anything of it is obeyed: who wrote it, on the commits alone, by the
    /// trust and the policies of the base; then whether its own rules can be used.
    ///
    /// The first time, the commit itself is pinned: nothing older could vouch for it.
    pub(crate) async fn admit(
        &self,
        target: &Target,
        row: &mut EnvironmentRow,
    ) -> Result<Admission, RuntimeError> {
        let pin = match (&row.revision, &row.pin) {
            (None, None) => self.pin(target).await?,
            _ => row.pin.clone(),
        };
        let case = case_of(target, row, pin.as_ref());
        let by_operator = self.without_policies.contains(&target.environment);
        let told = || "without policies".to_owned();
        if by_operator && !self.words.was_told(&target.environment, told()) {
            let environment = &target.environment;
            self.log.without_policies(environment, &case.base).await?;
        }
        let (policy, tags) = (Arc::clone(&self.policy), self.words.tags());
        let target_then = target.clone();
        let admission = self
            .blocking
            .run(move || admission(&policy, &target_then, case, (tags, by_operator)))
            .await?;
        if let Ok(admitted) = &admission
            && let Some(pin) = pin.as_ref().filter(|pin| row.pin.as_ref() != Some(pin))
        {
            let trust = &admitted.input.rules.trust;
            self.log.pin(&target.environment, pin, trust).await?;
        }
        row.pin = pin;
        Ok(admission)
    }

    /// The pin of an environment that never came to any Revision: at the very first look its own
    /// commit, later the oldest pin there is, so that a new environment is no way round the trust.
    async fn pin(&self, target: &Target) -> Result<Option<Pin>, RuntimeError> {
        let own = Pin {
            commit: target.commit.clone(),
            at: self.clock.now(),
        };
        let first = self.first.get();
        if first.is_some_and(|first| first.contains(&target.environment)) {
            return Ok(Some(own));
        }
        Ok(Some(self.oldest_pin().await?.unwrap_or(own)))
    }

    /// The oldest pin there is; where nothing was pinned, the commit that was applied counts as one.
    /// Every later pin is younger, so that it is looked for once.
    async fn oldest_pin(&self) -> Result<Option<Pin>, RuntimeError> {
        if let Some(oldest) = self.oldest.get() {
            return Ok(Some(oldest.clone()));
        }
        let rows = self.states.environments().await?;
        let pins = rows.into_iter().filter_map(|row| {
            let of_before = row.revision.map(|commit| Pin {
                commit,
                at: row.changed_at,
            });
            Some((row.pin.is_some(), row.pin.or(of_before)?))
        });
        let Some((is_pin, oldest)) = pins.min_by_key(|(_, pin)| pin.at) else {
            return Ok(None);
        };
        if is_pin {
            self.oldest.get_or_init(|| oldest.clone());
        }
        Ok(Some(oldest))
    }

    /// Judges a plan on this input.
    pub(crate) async fn verdict(
        &self,
        input: &PolicyInput,
        trigger: Trigger,
        plan: &Arc<Plan>,
    ) -> Result<Verdict, RuntimeError> {
        let (policy, input, plan) = (Arc::clone(&self.policy), input.clone(), Arc::clone(plan));
        let judging = move || policy.verdict(input, trigger, plan);
        self.blocking.run(judging).await
    }

    /// Whether the environment may come to a Revision that changes nothing in it.
    ///
    /// Answers the approvals that it took, `None` when it may not.
    pub(crate) async fn admits(
        &self,
        input: &PolicyInput,
    ) -> Result<Option<Vec<Approval>>, RuntimeError> {
        let case = &input.case;
        if case.commit == case.base && !case.new {
            return Ok(Some(Vec::new()));
        }
        let plan = Arc::new(nothing(&case.environment, &case.commit));
        let verdict = self.verdict(input, Trigger::Push, &plan).await?;
        let whole = verdict.whole.as_ref().map(|whole| &whole.decision);
        let admitted = whole == Some(&Decision::Allow);
        if admitted {
            self.log.admitted(&plan, &verdict).await?;
        }
        Ok(admitted.then_some(verdict.approvals))
    }
}

/// What is asked: the commit that an environment should come to, on the one it is at, or on the one
/// that was pinned.
fn case_of(target: &Target, row: &EnvironmentRow, pin: Option<&Pin>) -> Case {
    let held = row.revision.clone();
    let base = held.or(pin.map(|pin| pin.commit.clone()));
    let spent = row.remembered.spent.iter();
    Case {
        environment: target.environment.clone(),
        settings: Arc::clone(&target.settings),
        commit: target.commit.clone(),
        new: row.revision.is_none(),
        branch: target.branch.clone(),
        trigger: Trigger::Push,
        base: base.unwrap_or_else(|| target.commit.clone()),
        spent: spent.map(|one| one.object.clone()).collect(),
        protected: false,
        pin: pin.map(|pin| pin.commit.clone()),
    }
}

/// The same, on the commits and on what is read of them. Blocking.
fn admission(
    policy: &Policy,
    target: &Target,
    mut case: Case,
    (tags, by_operator): (Arc<Vec<SignedTag>>, bool),
) -> Result<Admission, RuntimeError> {
    let guard = policy.guard();
    if by_operator && policy.is_gone(&case.base)? {
        // Nobody can know what it said: as at the first use, the commit is taken as it is.
        case.base = case.commit.clone();
        case.new = true;
    }
    let mut rules = guard.rules(&case.base)?;
    if by_operator {
        rules = without_policies(&rules);
    }
    if let Some((verdict, why)) = unproven(&guard, &case, &rules)? {
        return Ok(Err(Unadmitted::Unproven(verdict, why)));
    }
    let brought = match brought(&guard, &case, &rules)? {
        Ok(brought) => brought,
        Err(unadmitted) => return Ok(Err(unadmitted)),
    };
    let settings = in_force(
        &target.settings,
        &target.environment,
        target.on_head,
        &rules,
    );
    case.settings = Arc::clone(&settings);
    let input = PolicyInput { case, rules, tags };
    Ok(Ok(Admitted {
        brought: brought.unwrap_or_else(|| Arc::clone(&settings)),
        target: Target {
            settings,
            ..target.clone()
        },
        input,
    }))
}

/// The settings that a commit brings; `None` where it is the base itself.
fn brought(
    guard: &Guard<'_>,
    case: &Case,
    rules: &Rules,
) -> Result<Result<Option<Arc<Settings>>, Unadmitted>, RuntimeError> {
    if case.commit == case.base && !case.new {
        return Ok(Ok(None));
    }
    let read = guard.brought(&case.commit, Some(rules))?;
    Ok(match read.settings {
        None => Err(Unadmitted::Unreadable(read.findings)),
        Some(_) if any_error(&read.findings) => Err(Unadmitted::Unusable(read.findings)),
        Some(settings) => Ok(Some(settings)),
    })
}

/// Why those who wrote the commits may not bring anything, if so: by policy, on the commits alone.
pub(crate) fn unproven(
    guard: &Guard<'_>,
    case: &Case,
    rules: &Arc<Rules>,
) -> Result<Option<(Verdict, String)>, RuntimeError> {
    if case.commit == case.base {
        return Ok(None);
    }
    let plan = Arc::new(nothing(&case.environment, &case.commit));
    let verdict = guard.authors(case, rules, Arc::clone(&plan))?;
    Ok(match approve(plan, Vec::new(), verdict.clone()) {
        Err(refusal @ Refusal::Denied(_)) => Some((verdict, refusal.to_string())),
        // What an approval could turn is decided with the plan.
        Err(Refusal::NeedsApproval { .. } | Refusal::Findings(_)) | Ok(_) => None,
    })
}

/// The settings that hold for an environment while a Revision of it is judged and applied: those of
/// the last HEAD that was admitted, but what decides over the Revision itself is what the base says:
/// budgets, the stage of secret signatures, and of a protected environment that is read from HEAD
/// all that is its own.
///
/// *Guarantees*: settings in which nothing is otherwise are the same ones, and are not copied: they
/// name every environment there is, and each is judged with them.
pub(crate) fn in_force(
    settings: &Arc<Settings>,
    name: &EnvironmentName,
    on_head: bool,
    rules: &Rules,
) -> Arc<Settings> {
    let Some(before) = rules.settings.environments.get(name) else {
        return Arc::clone(settings);
    };
    let now = own_settings(settings, name);
    let own = own_in_force(now.clone(), before, on_head, (settings, &rules.settings));
    let signatures = rules.settings.secrets.signatures;
    if own == now && signatures == settings.secrets.signatures {
        return Arc::clone(settings);
    }
    let mut settings = settings.as_ref().clone();
    settings.secrets.signatures = signatures;
    settings.environments.insert(name.clone(), own);
    Arc::new(settings)
}

/// What is an environment's own in the settings that hold for it; `before` is what the base says.
fn own_in_force(
    now: EnvironmentSettings,
    before: &EnvironmentSettings,
    on_head: bool,
    (settings, base): (&Settings, &Settings),
) -> EnvironmentSettings {
    let mut own = now;
    if on_head && before.is_protected() {
        let drift = base.drift_of(before);
        let drift = match settings.drift_of(&own) == drift {
            true => own.drift,
            false => Some(drift.clone()),
        };
        own = EnvironmentSettings {
            branch: own.branch,
            suspended: own.suspended,
            drift,
            ..before.clone()
        };
    }
    // What keeps programs apart is taken off for what comes after the word, never with it.
    own.user = own.user.or(before.user.clone());
    own.network &= before.network || !before.isolated;
    own.isolated |= before.isolated;
    own.max_deletes = before.max_deletes;
    own.empty = before.empty;
    own
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
        providers: Default::default(),
        warnings: Vec::new(),
        resources: 0,
    }
}

/// The rules without the repository's own policies, as the operator wants it.
pub(crate) fn without_policies(rules: &Rules) -> Arc<Rules> {
    Arc::new(Rules {
        policies: Vec::new(),
        ..rules.clone()
    })
}

#[cfg(test)]
mod tests;
