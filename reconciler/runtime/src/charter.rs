//! HEAD is judged as a thing of its own: its settings hold for no environment before the rules of
//! the last HEAD that was admitted let its authors bring them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stratum_core::approve::{Refusal, approve};
use stratum_core::finding::{Finding, any_error, codes, first_reason};
use stratum_core::ids::{BranchName, CommitId, EnvironmentName};
use stratum_core::ports::{Clock, EnvironmentRow, Loaded, RepositoryError, Store, Tips};
use stratum_core::remembered::{CHARTER, Charter, spend};
use stratum_core::rules::Rules;
use stratum_core::run::Trigger;
use stratum_core::settings::Settings;
use stratum_core::signed::Approval;

use crate::admission::{nothing, unproven, without_policies};
use crate::blocking::Blocking;
use crate::error::RuntimeError;
use crate::guard::{Case, Guard};
use crate::head::Head;
use crate::policy::Policy;
use crate::ports::Ports;
use crate::progress::{Progress, ProgressSink};
use crate::rows::drift_every;
use crate::words::Words;

/// What came of judging HEAD.
enum Judged {
    /// Its settings hold, and these approvals were used.
    Admitted(Arc<Settings>, Vec<Approval>),
    /// They do not, and why; those before go on to hold.
    Refused(String),
}

/// What HEAD says, as it was last read, and how it is read again.
pub(crate) struct Heads {
    store: Arc<dyn Store>,
    policy: Arc<Policy>,
    words: Arc<Words>,
    clock: Arc<dyn Clock>,
    blocking: Blocking,
    progress: ProgressSink,
    /// Whether some environment is judged without the repository's own policies.
    without_policies: bool,
    read: Mutex<Option<Arc<Head>>>,
}

impl Heads {
    pub(crate) fn new(
        ports: &Ports,
        (blocking, without_policies): (Blocking, bool),
        (policy, words): (&Arc<Policy>, &Arc<Words>),
        progress: &ProgressSink,
    ) -> Self {
        Self {
            store: Arc::clone(&ports.store),
            policy: Arc::clone(policy),
            words: Arc::clone(words),
            clock: Arc::clone(&ports.clock),
            blocking,
            progress: Arc::clone(progress),
            without_policies,
            read: Mutex::default(),
        }
    }

    fn read(&self) -> MutexGuard<'_, Option<Arc<Head>>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What HEAD said when it was last read.
    pub(crate) fn cached(&self) -> Option<Arc<Head>> {
        self.read().clone()
    }

    /// How often the world is looked at; `None` when drift is ignored, or there is nothing.
    pub(crate) fn drift_every(&self, row: &EnvironmentRow) -> Option<Duration> {
        let settings = self.cached()?.settings.value.clone()?;
        drift_every(&settings, row)
    }

    /// The branch that records go to, as the last admitted HEAD says.
    pub(crate) fn record_branch(&self) -> BranchName {
        let head = self.cached();
        head.map_or_else(BranchName::records, |head| head.record_branch())
    }

    /// What the last admitted HEAD says; judged again when HEAD moved, and while the tip
    /// is refused: tags, time and other branches may turn that.
    pub(crate) async fn head(self: &Arc<Self>) -> Result<(Arc<Head>, Tips), RuntimeError> {
        let (mut rows, mut kept) = (Vec::new(), None);
        let before = self.cached().map(|head| head.charter.clone());
        if before.is_none() {
            let facts = self.store.facts(CHARTER).await?;
            let fact = facts.into_iter().find(|(name, _)| name == CHARTER);
            kept = fact.and_then(|(_, value)| serde_json::from_slice::<Charter>(&value).ok());
            if kept.is_none() {
                rows = self.store.environments().await?;
            }
        }
        let known = before.or(kept.clone());
        let own = Arc::clone(self);
        let reading = move || own.read_head(kept, &rows);
        let (head, tips) = self.blocking.run(reading).await?;
        if known.as_ref() != Some(&head.charter)
            && let Ok(value) = serde_json::to_vec(&head.charter)
        {
            let fact = (CHARTER.to_owned(), Some(value));
            self.store.put_facts(vec![fact]).await?;
        }
        Ok((head, tips))
    }

    fn read_head(
        &self,
        kept: Option<Charter>,
        rows: &[EnvironmentRow],
    ) -> Result<(Arc<Head>, Tips), RuntimeError> {
        let repository = &self.policy.repository;
        let tips = repository.tips()?;
        self.words.hear(repository.words()?);
        let commit = self.tip(&tips)?;
        let before = self.cached();
        if let Some(head) = &before
            && head.commit == commit
            && head.refused.is_none()
        {
            return Ok((Arc::clone(head), tips));
        }
        let base = match &before {
            Some(head) => Some(head.charter.clone()),
            None => match kept {
                Some(charter) => Some(charter),
                None => self.last_applied(rows, &commit),
            },
        };
        let mut head = match base {
            None => self.first(&commit)?,
            Some(base) if base.commit == commit => Head {
                charter: base,
                ..self.first(&commit)?
            },
            Some(base) => self.next_head(&base, &commit, tips.head.as_ref())?,
        };
        head.branch = tips.head.clone();
        if let Some(before) = &before {
            head.settings.value = same_settings(head.settings.value, before);
        }
        self.say_refused(&head, before.as_deref());
        let head = Arc::new(head);
        *self.read() = Some(Arc::clone(&head));
        Ok((head, tips))
    }

    /// Says, once, that the settings of the tip do not hold.
    fn say_refused(&self, head: &Head, before: Option<&Head>) {
        let told = before.and_then(|head| head.refused.as_ref());
        if let Some(why) = head.refused.as_ref().filter(|why| told != Some(why)) {
            let text = format!("the settings of {} do not hold: {why}", head.commit.short());
            tracing::warn!(commit = %head.commit, %why, "the settings of HEAD do not hold");
            (self.progress)(&Progress::Trouble(text));
        }
    }

    fn tip(&self, tips: &Tips) -> Result<CommitId, RuntimeError> {
        let repository = &self.policy.repository;
        Ok(match &tips.head {
            Some(branch) => tips.tip(branch)?,
            None => repository.resolve("HEAD")?,
        })
    }

    /// Where nothing is kept of HEAD, from before it was: the newest commit that was applied or
    /// pinned, of those that HEAD follows from; the newest of all where it follows from none.
    fn last_applied(&self, rows: &[EnvironmentRow], head: &CommitId) -> Option<Charter> {
        let mut rows: Vec<&EnvironmentRow> = rows.iter().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.changed_at));
        let known = rows.iter().filter_map(|row| {
            let pin = row.pin.as_ref().map(|pin| &pin.commit);
            row.revision.as_ref().or(pin)
        });
        let known: Vec<&CommitId> = known.collect();
        let repository = &self.policy.repository;
        let mut followed = known.iter();
        let followed = followed.find(|commit| repository.follows(head, commit).unwrap_or(false));
        let commit = followed.or(known.first())?;
        Some(charter((*commit).clone()))
    }

    /// What the last admitted HEAD says. Where it is gone from the repository nobody can know, so
    /// that nothing is done before it is there again.
    fn last_head(
        &self,
        base: &CommitId,
        why: String,
        tip: &CommitId,
    ) -> Result<Head, RuntimeError> {
        match self.first(base) {
            Err(RuntimeError::Repository(RepositoryError::NoSuchRevision { .. })) => {
                let finding = Finding::error(&codes::TRUST_SHAPE, why);
                let loaded = Loaded {
                    value: None,
                    findings: vec![finding],
                };
                Ok(Head::of(tip, loaded, Vec::new()))
            }
            other => other,
        }
    }

    /// What a commit says that holds: the first that was ever seen, or one that was admitted.
    fn first(&self, commit: &CommitId) -> Result<Head, RuntimeError> {
        let tree = self.policy.repository.tree(commit)?;
        let loaded = self.policy.loader.settings(tree.as_ref())?;
        let settings = loaded.value.map(Arc::new);
        let environments = match &settings {
            Some(settings) => self.policy.loader.environments(tree.as_ref(), settings)?,
            None => Vec::new(),
        };
        let loaded = Loaded {
            value: settings,
            findings: loaded.findings,
        };
        Ok(Head::of(commit, loaded, environments))
    }

    /// HEAD moved: it is judged by what held before.
    fn next_head(
        &self,
        base: &Charter,
        commit: &CommitId,
        branch: Option<&BranchName>,
    ) -> Result<Head, RuntimeError> {
        let judged = match self.judge_head(base, commit, branch) {
            Err(RuntimeError::Gate(error)) => Judged::Refused(error.to_string()),
            other => other?,
        };
        match judged {
            Judged::Admitted(settings, approvals) => {
                let tree = self.policy.repository.tree(commit)?;
                let environments = self.policy.loader.environments(tree.as_ref(), &settings)?;
                let mut charter = Charter {
                    commit: commit.clone(),
                    ..base.clone()
                };
                spend(&mut charter.spent, &approvals, self.clock.now());
                let loaded = Loaded {
                    value: Some(settings),
                    findings: Vec::new(),
                };
                Ok(Head {
                    charter,
                    ..Head::of(commit, loaded, environments)
                })
            }
            Judged::Refused(why) => Ok(Head {
                commit: commit.clone(),
                charter: base.clone(),
                refused: Some(why.clone()),
                ..self.last_head(&base.commit, why, commit)?
            }),
        }
    }

    fn judge_head(
        &self,
        base: &Charter,
        commit: &CommitId,
        branch: Option<&BranchName>,
    ) -> Result<Judged, RuntimeError> {
        let guard = self.policy.guard();
        if self.without_policies && self.policy.is_gone(&base.commit)? {
            return self.unheld(&guard, commit);
        }
        let rules = match guard.rules(&base.commit) {
            Err(error @ RuntimeError::Gate(_)) => {
                // Settings that never could be used hold nothing up; what is gone does.
                return match self.first(&base.commit) {
                    Ok(head) if head.settings.value.is_none() => self.unheld(&guard, commit),
                    Ok(_) | Err(_) => Err(error),
                };
            }
            rules => rules?,
        };
        let rules = match self.without_policies {
            true => without_policies(&rules),
            false => rules,
        };
        let mut case = case_of(base, commit, branch, &rules);
        if let Some((_, why)) = unproven(&guard, &case, &rules)? {
            return Ok(Judged::Refused(why));
        }
        let brought = guard.brought(commit, Some(&rules))?;
        let Some(settings) = brought.settings.filter(|_| !any_error(&brought.findings)) else {
            return Ok(Judged::Refused(first_reason(&brought.findings)));
        };
        case.protected = touches_protected(&rules, &settings, branch);
        self.judge_settings(&case, &rules, settings)
    }

    /// Whether policy lets the settings hold that a commit brings.
    fn judge_settings(
        &self,
        case: &Case,
        rules: &Arc<Rules>,
        settings: Arc<Settings>,
    ) -> Result<Judged, RuntimeError> {
        let plan = Arc::new(nothing(&case.environment, &case.commit));
        let tags = self.words.tags();
        let verdict = self
            .policy
            .verdict_of(case, rules, Arc::clone(&plan), &tags)?;
        Ok(
            match approve(plan, Vec::<Finding>::new(), verdict.clone()) {
                Ok(_) => Judged::Admitted(settings, verdict.approvals),
                Err(refusal @ (Refusal::Denied(_) | Refusal::NeedsApproval { .. })) => {
                    Judged::Refused(refusal.to_string())
                }
                Err(Refusal::Findings(findings)) => Judged::Refused(first_reason(&findings)),
            },
        )
    }

    /// The first commit whose settings can be used, after some that could not.
    fn unheld(&self, guard: &Guard<'_>, commit: &CommitId) -> Result<Judged, RuntimeError> {
        let brought = guard.brought(commit, None)?;
        Ok(
            match brought.settings.filter(|_| !any_error(&brought.findings)) {
                Some(settings) => Judged::Admitted(settings, Vec::new()),
                None => Judged::Refused(first_reason(&brought.findings)),
            },
        )
    }
}

/// Settings that say what those before said are those before: who compares them for each of many
/// environments compares no more than where they lie.
fn same_settings(settings: Option<Arc<Settings>>, before: &Head) -> Option<Arc<Settings>> {
    match &before.settings.value {
        Some(before) if settings.as_ref() == Some(before) => Some(Arc::clone(before)),
        Some(_) | None => settings,
    }
}

fn charter(commit: CommitId) -> Charter {
    Charter {
        commit,
        spent: Vec::new(),
    }
}

/// What is asked of the rules that hold: HEAD, as a thing of its own.
fn case_of(base: &Charter, commit: &CommitId, branch: Option<&BranchName>, rules: &Rules) -> Case {
    Case {
        environment: EnvironmentName::repository(),
        settings: Arc::clone(&rules.settings),
        commit: commit.clone(),
        base: base.commit.clone(),
        new: false,
        trigger: Trigger::Push,
        branch: branch.cloned(),
        spent: base.spent.iter().map(|one| one.object.clone()).collect(),
        protected: false,
        pin: None,
    }
}

/// Whether settings of a protected environment change that is read from another branch: those that
/// are read from HEAD judge HEAD themselves.
fn touches_protected(rules: &Rules, new: &Settings, head: Option<&BranchName>) -> bool {
    let mut before = rules.settings.environments.iter();
    before.any(|(name, own)| {
        let elsewhere = own
            .branch
            .as_ref()
            .is_some_and(|branch| Some(branch) != head);
        own.is_protected() && elsewhere && new.environments.get(name) != Some(own)
    })
}
