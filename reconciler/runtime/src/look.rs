//! One look at one environment: from its commit to its condition.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stratum_core::approve::{Approved, Refusal, approve};
use stratum_core::audit::AuditEntry;
use stratum_core::check::check;
use stratum_core::condition::{Condition, Hold};
use stratum_core::desired::{Desired, Revision};
use stratum_core::digest::Digest;
use stratum_core::finding::first_reason;
use stratum_core::finding::{Finding, any_error};
use stratum_core::ids::{CommitId, EnvironmentName, RunId};
use stratum_core::observed::Observed;
use stratum_core::plan::Plan;
use stratum_core::planning::DriftRule;
use stratum_core::ports::{Base, EnvironmentRow, Loaded, RunOutcome, Site, Tree};
use stratum_core::record;
use stratum_core::run::{Run, Trigger};
use stratum_core::settings::{DriftMode, Settings};
use stratum_core::signed::Refused;
use stratum_core::verdict::Verdict;

use crate::calls::Calls;
use crate::error::RuntimeError;
use crate::grounds::Grounds;
use crate::guard::Said;
use crate::head::Target;
use crate::observe::Asker;
use crate::progress::{EnvironmentReport, Progress};
use crate::reconcile::Reconciler;
use crate::retry::later;
use crate::sealing::Verified;
use crate::site::{site_of, wanted};

/// What a look works with, once the revision is read.
pub(crate) struct Look {
    pub(crate) target: Target,
    pub(crate) row: EnvironmentRow,
    pub(crate) revision: Revision,
    pub(crate) desired: Arc<Desired>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) site: Arc<Site>,
    pub(crate) grounds: Grounds,
    pub(crate) trigger: Trigger,
    /// Its sealed values, verified.
    pub(crate) verified: Verified,
    /// Why the environment is not Ready even when nothing is left to do.
    pub(crate) concern: Option<String>,
}

/// A plan that was made, judged, and accepted or not.
pub(crate) struct Judged {
    pub(crate) plan: Arc<Plan>,
    pub(crate) base: Base,
    pub(crate) verdict: Verdict,
    pub(crate) result: Result<Approved, Refusal>,
    /// What the audit log must say before anything follows from it.
    pub(crate) entries: Vec<AuditEntry>,
}

impl Reconciler {
    /// Whether an environment may need something: cheap, from what is in memory.
    pub(crate) fn needs_look(&self, target: &Target, row: Option<&EnvironmentRow>) -> bool {
        let Some(row) = row else { return true };
        let moved = row.desired_revision.as_ref() != Some(&target.commit);
        let wanted = target.own().suspended || self.suspended_by_word(&target.environment);
        let suspended = wanted != (row.condition == Condition::Suspended);
        let due = self.drift_due(&target.settings, row);
        moved
            || suspended
            || self.words_wait(target)
            || due.is_some_and(|due| due <= self.ports.clock.now())
    }

    /// When the world is to be looked at again; `None` when drift is ignored or there is nothing.
    pub(crate) fn drift_due(&self, settings: &Settings, row: &EnvironmentRow) -> Option<Timestamp> {
        let own = settings.environments.get(&row.name)?;
        let drift = settings.drift_of(own);
        let suspended = own.suspended || row.condition == Condition::Suspended;
        if drift.mode == DriftMode::Ignore || suspended || row.inputs.is_none() {
            return None;
        }
        let now = self.ports.clock.now();
        // A look in the future is the work of a clock that jumped back: it counts as long ago.
        let last = row.observed_at.unwrap_or(row.changed_at);
        let last = if last > now { Timestamp::MIN } else { last };
        Some(later(
            last,
            drift.every + drift.every.mul_f64(jitter(&row.name)),
        ))
    }

    /// Looks at one environment. Where policy cannot judge, nothing is applied, and that is a denial.
    pub(crate) async fn look(
        self: &Arc<Self>,
        target: &Target,
        row: Option<EnvironmentRow>,
    ) -> Result<EnvironmentReport, RuntimeError> {
        match self.look_at(target, row.clone()).await {
            Err(RuntimeError::Gate(error)) => {
                let row = row.unwrap_or_else(|| self.blank_row(&target.environment));
                self.deny_unjudged(target, row, Vec::new(), error.to_string())
                    .await
            }
            other => other,
        }
    }

    #[tracing::instrument(skip_all, fields(environment = %target.environment, revision = target.commit.short()))]
    async fn look_at(
        self: &Arc<Self>,
        target: &Target,
        row: Option<EnvironmentRow>,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let mut row = row.unwrap_or_else(|| self.blank_row(&target.environment));
        let tree = self.tree(&target.commit).await?;
        self.log_configuration(&target.commit, &row, &tree).await?;
        if target.own().suspended {
            let reason = "`suspended = true` in `stratum.ncl`".to_owned();
            return self.suspend(target, row, reason).await;
        }
        let grounds = match self.grounds(target, &mut row).await? {
            Ok(grounds) => grounds,
            Err(findings) => {
                let reason = first_reason(&findings);
                return self.deny_unjudged(target, row, findings, reason).await;
            }
        };
        match self.suspension(&grounds).await? {
            Said::Suspend(word) => {
                let reason = format!("suspended by {} (`{}`)", word.by, word.tag);
                if row.condition != Condition::Suspended || row.reason != reason {
                    self.log_word(&target.environment, &word).await?;
                }
                return self.suspend(target, row, reason).await;
            }
            Said::Resume(word) if row.condition == Condition::Suspended => {
                self.log_word(&target.environment, &word).await?;
            }
            Said::Resume(_) | Said::Nothing => {}
        }
        let same = row.inputs.is_some() && {
            let (own, tree, closure) = (Arc::clone(self), Arc::clone(&tree), row.closure.clone());
            self.blocking(move || Ok(own.ports.loader.unchanged(tree.as_ref(), &closure)?))
                .await?
        };
        let settled = same && row.condition == Condition::Ready;
        let due = self.drift_due(&target.settings, &row);
        let drifting = same && due.is_some_and(|due| due <= self.ports.clock.now());
        if settled && !drifting && self.admits(&grounds).await? {
            return self.keep(target, row).await;
        }
        (self.progress)(&Progress::Looking {
            environment: target.environment.clone(),
            commit: target.commit.clone(),
        });
        self.lease(&target.environment).await?;
        // With the same inputs only the world can have changed, so it is the world that is read.
        let drifted = same && row.sealed.is_none();
        let trigger = if drifted {
            Trigger::Drift
        } else {
            Trigger::Push
        };
        match self.read(target, row, tree, trigger, grounds).await? {
            Ok(look) if trigger == Trigger::Drift => self.drift(look).await,
            Ok(look) => self.bring(look).await,
            Err(report) => Ok(report),
        }
    }

    pub(crate) async fn tree(
        self: &Arc<Self>,
        commit: &CommitId,
    ) -> Result<Arc<dyn Tree>, RuntimeError> {
        let (own, commit) = (Arc::clone(self), commit.clone());
        self.blocking(move || Ok(own.ports.repository.tree(&commit)?))
            .await
    }

    /// The inputs are as they were, and so is the world: at most the commit is noted.
    async fn keep(
        &self,
        target: &Target,
        mut row: EnvironmentRow,
    ) -> Result<EnvironmentReport, RuntimeError> {
        if row.revision.as_ref() != Some(&target.commit) {
            row.revision = Some(target.commit.clone());
            row.desired_revision = Some(target.commit.clone());
            self.put(&mut row).await?;
        }
        Ok(report_of(&row, Vec::new()))
    }

    async fn suspend(
        &self,
        target: &Target,
        mut row: EnvironmentRow,
        reason: String,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let moved = row.desired_revision.as_ref() != Some(&target.commit);
        if moved || row.condition != Condition::Suspended || row.reason != reason {
            row.desired_revision = Some(target.commit.clone());
            row.condition = Condition::Suspended;
            row.reason = reason;
            self.put(&mut row).await?;
        }
        Ok(report_of(&row, Vec::new()))
    }

    /// Loads the revision; the report says why when it cannot be used.
    async fn read(
        self: &Arc<Self>,
        target: &Target,
        mut row: EnvironmentRow,
        tree: Arc<dyn Tree>,
        trigger: Trigger,
        grounds: Grounds,
    ) -> Result<Result<Look, EnvironmentReport>, RuntimeError> {
        let (own, wanted_target) = (Arc::clone(self), target.clone());
        let sealed_tree = Arc::clone(&tree);
        let (revision, loaded) = self
            .blocking(move || {
                let revision = own.ports.repository.revision(&wanted_target.commit)?;
                let environment = &wanted_target.environment;
                let settings = &wanted_target.settings;
                let loaded =
                    own.ports
                        .loader
                        .load(tree.as_ref(), &revision, settings, environment)?;
                Ok((revision, loaded))
            })
            .await?;
        row.desired_revision = Some(target.commit.clone());
        let Loaded {
            value,
            mut findings,
        } = loaded;
        let Some(desired) = value.filter(|_| !any_error(&findings)) else {
            return Ok(Err(self
                .stalled(row, first_reason(&findings), findings)
                .await?));
        };
        let (target, desired) = (target.clone(), Arc::new(desired));
        let (verified, found) = self
            .verify(&target, &grounds, sealed_tree, &desired)
            .await?;
        findings.extend(found);
        if any_error(&findings) {
            let reason = first_reason(&findings);
            return Ok(Err(self.stalled(row, reason, findings).await?));
        }
        let site = match self.site(&target, &row).await? {
            Ok(site) => Arc::new(site),
            Err(reason) => return Ok(Err(self.stalled(row, reason, findings).await?)),
        };
        row.root = Some(site.root.to_string_lossy().into_owned());
        let hold = row
            .hold
            .clone()
            .filter(|hold| hold.inputs == desired.inputs);
        let (hold, void) = match hold {
            Some(hold) => {
                let heard = self.retried(&grounds, &hold).await?;
                (heard.said.is_none().then_some(hold), heard.void)
            }
            None => (None, Vec::new()),
        };
        let look = Look {
            target,
            row,
            revision,
            desired,
            findings,
            site,
            grounds,
            trigger,
            verified,
            concern: None,
        };
        match hold {
            Some(hold) => Ok(Err(self.keep_held(look, &hold, &void).await?)),
            None => Ok(Ok(look)),
        }
    }

    /// The revision is held: nothing is applied, but the world is still looked at on schedule.
    async fn keep_held(
        &self,
        mut look: Look,
        hold: &Hold,
        void: &[Refused],
    ) -> Result<EnvironmentReport, RuntimeError> {
        let due = self.drift_due(&look.target.settings, &look.row);
        if due.is_some_and(|due| due <= self.ports.clock.now()) {
            let base = self.ports.store.base(&look.target.environment).await?;
            self.observe_all(&mut look, &base).await?;
            look.row.condition = Condition::Unknown; // So that the time of the look is written.
        }
        let void = void.iter().map(|tag| format!("; {tag}"));
        let reason = record::held(hold) + &void.collect::<String>();
        self.stalled(look.row, reason, look.findings).await
    }

    /// Where local resources lie; a root that would move away from resources is refused.
    async fn site(
        &self,
        target: &Target,
        row: &EnvironmentRow,
    ) -> Result<Result<Site, String>, RuntimeError> {
        let (roots, own) = (&self.options.roots, target.own());
        let fresh = match (&roots.trial, &own.root) {
            (Some(_), _) | (None, None) => {
                site_of(roots, &target.environment, &own, row.root.as_deref())
            }
            (None, Some(_)) => {
                let root = wanted(&roots.state_folder, &target.environment, &own);
                Site {
                    root,
                    ..site_of(roots, &target.environment, &own, None)
                }
            }
        };
        let moved = row
            .root
            .as_deref()
            .is_some_and(|old| fresh.root.to_string_lossy() != old);
        if moved
            && !self
                .ports
                .store
                .base(&target.environment)
                .await?
                .resources
                .is_empty()
        {
            let old = row.root.as_deref().unwrap_or_default();
            return Ok(Err(format!(
                "its root would move from `{old}` to `{}`, away from what was made there; set the \
                 root back, or take the resources away first",
                fresh.root.display()
            )));
        }
        Ok(Ok(fresh))
    }

    /// Brings the environment to its revision.
    async fn bring(self: &Arc<Self>, mut look: Look) -> Result<EnvironmentReport, RuntimeError> {
        let rule = DriftRule::from(self.mode(&look.target));
        let judged = match self.judge(&mut look, &rule, None).await? {
            Ok(judged) => judged,
            Err(findings) => {
                look.findings.extend(findings);
                let reason = first_reason(&look.findings);
                return self.stalled(look.row, reason, look.findings).await;
            }
        };
        self.carry_out(look, judged).await
    }

    pub(crate) fn mode(&self, target: &Target) -> DriftMode {
        target.settings.drift_of(&target.own()).mode
    }

    /// Plans, checks, asks policy.
    pub(crate) async fn judge(
        self: &Arc<Self>,
        look: &mut Look,
        rule: &DriftRule,
        observed: Option<Observed>,
    ) -> Result<Result<Judged, Vec<Finding>>, RuntimeError> {
        let base = self.ports.store.base(&look.target.environment).await?;
        look.row.sealed = self.waits_for_unsealing(look, &base);
        let asker = self.asker(look);
        let planned = match observed {
            Some(seen) => asker.plan_with(&look.desired, &base, &seen, rule).await?,
            None => asker.plan(&look.desired, &base, rule).await?,
        };
        let plan = match planned {
            Ok(plan) => Arc::new(plan),
            Err(findings) => return Ok(Err(findings)),
        };
        let mut findings = look.findings.clone();
        findings.extend(check(&plan, &base, &look.target.own()));
        let verdict = self.verdict(&look.grounds, look.trigger, &plan).await?;
        findings.extend(look.grounds.unverified(&verdict));
        let mut entries = self.verdict_entries(look, &plan, &verdict);
        (self.progress)(&Progress::Planned {
            plan: Arc::clone(&plan),
            verdict: verdict.clone(),
            findings: findings.clone(),
        });
        let result = approve(Arc::clone(&plan), findings, verdict.clone());
        let refused = matches!(
            result,
            Err(Refusal::Denied(_) | Refusal::NeedsApproval { .. })
        );
        self.note_refusal(&look.target.environment, refused);
        if let Err(refusal) = &result {
            entries.push(self.refusal_entry(look, &plan, &verdict, refusal));
        }
        Ok(Ok(Judged {
            plan,
            base,
            verdict,
            result,
            entries,
        }))
    }

    pub(crate) fn asker<'a>(&'a self, look: &'a Look) -> Asker<'a> {
        let calls = Calls {
            clock: self.ports.clock.as_ref(),
            site: &look.site,
            timeout: look.target.settings.limits.call,
            secrets: self.ports.secrets.as_ref(),
        };
        Asker {
            providers: &self.ports.providers,
            calls,
            waits: true,
        }
    }

    pub(crate) async fn carry_out(
        self: &Arc<Self>,
        mut look: Look,
        judged: Judged,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let approved = match judged.result.clone() {
            Ok(approved) => approved,
            Err(refusal) => {
                self.log(judged.entries.clone()).await?;
                return self.deny(look, &judged, refusal).await;
            }
        };
        if let Some(why) = self.propose(&look, &judged.plan, &judged.base).await? {
            look.concern = Some(why);
        }
        if judged.plan.is_empty() {
            self.log(judged.entries).await?;
            return self.arrived(look, &judged.plan).await;
        }
        self.keep_secrets(&look.target.environment, &look.verified)
            .await?;
        let (plan, findings) = (approved.plan(), approved.findings());
        let run = self
            .new_run(&look, plan, findings, approved.verdict())
            .await?;
        self.apply(look, run, judged.base, judged.entries).await
    }

    pub(crate) async fn new_run(
        self: &Arc<Self>,
        look: &Look,
        plan: &Arc<Plan>,
        findings: &[Finding],
        verdict: &Verdict,
    ) -> Result<Run, RuntimeError> {
        let lease = self.lease(&look.target.environment).await?;
        let (own, previous) = (Arc::clone(self), look.row.revision.clone());
        let commit = look.target.commit.clone();
        let between = previous.clone();
        let skipped = match &between {
            Some(_) => {
                self.blocking(move || {
                    Ok(own
                        .ports
                        .repository
                        .between(between.as_ref(), &commit, 50)?)
                })
                .await?
            }
            None => Vec::new(),
        };
        let started_at = self.ports.clock.now();
        let skipped = skipped.into_iter().map(|revision| revision.commit);
        Ok(Run {
            id: RunId::at(started_at, self.ports.randomness.next() as u32),
            environment: look.target.environment.clone(),
            trigger: look.trigger,
            revision: look.revision.clone(),
            previous,
            skipped: skipped
                .filter(|commit| *commit != look.target.commit)
                .collect(),
            lease: lease.number,
            started_at,
            on_failure: look.target.own().on_failure,
            plan: Arc::clone(plan),
            findings: findings.to_vec(),
            verdict: verdict.clone(),
        })
    }

    /// Nothing is left to do.
    async fn arrived(&self, look: Look, plan: &Plan) -> Result<EnvironmentReport, RuntimeError> {
        let Look {
            target,
            mut row,
            desired,
            findings,
            concern,
            verified,
            ..
        } = look;
        self.mark_in_force(&target.environment, &verified.versions)
            .await?;
        row.revision = Some(target.commit.clone());
        row.inputs = Some(desired.inputs);
        row.closure = desired.closure.clone();
        row.hold = None;
        (row.condition, row.reason) = condition(plan, concern);
        self.put(&mut row).await?;
        let mut report = report_of(&row, findings);
        report.outcome = Some(RunOutcome::Nothing);
        Ok(report)
    }

    /// Writes a row, with the time.
    pub(crate) async fn put(&self, row: &mut EnvironmentRow) -> Result<(), RuntimeError> {
        let lease = self.lease(&row.name).await?;
        row.changed_at = self.ports.clock.now();
        self.fenced(self.ports.store.put_environment(&lease, row).await)
    }

    pub(crate) async fn stalled(
        &self,
        mut row: EnvironmentRow,
        reason: String,
        findings: Vec<Finding>,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let same = row.condition == Condition::Stalled && row.reason == reason;
        row.condition = Condition::Stalled;
        row.reason = reason;
        if !same || row.desired_revision != row.revision {
            self.put(&mut row).await?;
        }
        Ok(report_of(&row, findings))
    }

    pub(crate) fn blank_row(&self, environment: &EnvironmentName) -> EnvironmentRow {
        blank_row(environment.clone(), self.ports.clock.now())
    }
}

/// The condition of an environment in which nothing is left to do.
pub(crate) fn condition(plan: &Plan, concern: Option<String>) -> (Condition, String) {
    let waits = plan.blocked.first();
    let waits = waits.map(|blocked| format!("`{}` waits: {}", blocked.address, blocked.reason));
    match concern.or(waits) {
        Some(reason) => (Condition::Stalled, reason),
        None => (Condition::Ready, String::new()),
    }
}

/// Between 0 and 0.1, the same for an environment every time, so that many do not wake together.
fn jitter(environment: &EnvironmentName) -> f64 {
    let digest = Digest::of_bytes(environment.as_str().as_bytes()).to_string();
    let number = u32::from_str_radix(digest.get(..4).unwrap_or("0"), 16).unwrap_or(0);
    f64::from(number) / 655_360.0
}

fn blank_row(name: EnvironmentName, now: Timestamp) -> EnvironmentRow {
    EnvironmentRow {
        name,
        condition: Condition::Unknown,
        reason: "it was never looked at".to_owned(),
        revision: None,
        desired_revision: None,
        inputs: None,
        closure: Default::default(),
        hold: None,
        sealed: None,
        pin: None,
        root: None,
        last_run: None,
        observed_at: None,
        changed_at: now,
    }
}

pub(crate) fn report_of(row: &EnvironmentRow, findings: Vec<Finding>) -> EnvironmentReport {
    EnvironmentReport {
        environment: row.name.clone(),
        condition: row.condition,
        reason: row.reason.clone(),
        commit: row.desired_revision.clone(),
        run: None,
        outcome: None,
        findings,
    }
}

/// How long a renewal of the lease waits, as a share of its life.
pub(crate) fn renewal(ttl: Duration) -> Duration {
    ttl / 3
}
