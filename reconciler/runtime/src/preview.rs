//! What a push would do, without doing it: `stratum plan`.

use std::collections::BTreeMap;
use std::sync::Arc;

use stratum_core::check::check;
use stratum_core::desired::Desired;
use stratum_core::finding::{Finding, any_error};
use stratum_core::ids::{CommitId, EnvironmentName, ObjectId};
use stratum_core::observed::Observed;
use stratum_core::plan::Plan;
use stratum_core::planning::DriftRule;
use stratum_core::ports::{
    Base, Clock, EnvironmentRow, Gate, Loaded, Loader, Repository, SealCheck, SecretKey, Secrets,
    Signatures, Site,
};
use stratum_core::resource::{Instance, ResourceState, depends_on};
use stratum_core::run::Trigger;
use stratum_core::settings::{EnvironmentSettings, Settings};
use stratum_core::signed::Refused;
use stratum_core::verdict::{Decision, Judgement, Verdict};

use crate::admission::in_force;
use crate::calls::Calls;
use crate::error::RuntimeError;
use crate::guard::{Case, Guard};
use crate::observe::{Asker, Planned};
use crate::ports::Providers;
use crate::sealing::{Verification, verify_and_ask};

/// What is needed to make a plan without applying it.
pub struct PreviewRequest<'a> {
    /// The git repository.
    pub repository: &'a dyn Repository,
    /// Bytes of a tree -> Desired.
    pub loader: &'a dyn Loader,
    /// Plan -> Verdict.
    pub gate: &'a dyn Gate,
    /// Who signed.
    pub signatures: &'a dyn Signatures,
    /// What is remembered of the environment.
    pub row: Option<&'a EnvironmentRow>,
    /// Makers of resources.
    pub providers: &'a Providers,
    /// Verifies sealed values.
    pub sealing: &'a dyn SealCheck,
    /// The highest version of each sealed value that was ever in force.
    pub highest: &'a BTreeMap<SecretKey, u64>,
    /// Compares what holds secrets; nothing is opened for a preview.
    pub secrets: &'a dyn Secrets,
    /// Time.
    pub clock: &'a dyn Clock,
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// The settings.
    pub settings: &'a Settings,
    /// The commit to come to.
    pub head: &'a CommitId,
    /// Where local resources lie.
    pub site: &'a Site,
    /// What it is compared with.
    pub base: PreviewBase<'a>,
}

/// What a preview is compared with.
pub enum PreviewBase<'a> {
    /// The state, and the world as it is.
    State(&'a Base),
    /// Another commit, as if it were applied exactly; neither state nor world is looked at.
    Commit(&'a CommitId),
}

/// A plan that was made to be read.
#[derive(Debug)]
pub struct Preview {
    /// The plan; `None` when findings stood in its way.
    pub plan: Option<Arc<Plan>>,
    /// What was noticed in files and plan.
    pub findings: Vec<Finding>,
    /// What policy says.
    pub verdict: Verdict,
    /// Tags that were meant to suspend or resume it, or to have it tried again, and do not count.
    pub void: Vec<Refused>,
}

impl Preview {
    fn without_plan(findings: Vec<Finding>) -> Self {
        Self {
            plan: None,
            findings,
            verdict: Verdict::default(),
            void: Vec::new(),
        }
    }
}

/// Makes a plan and changes nothing.
///
/// *Guarantees*: the plan, what policy says of it and what an approval names are those of a
/// reconciler that comes to this commit now, with the same settings in force.
pub async fn preview(request: PreviewRequest<'_>) -> Result<Preview, RuntimeError> {
    let settings = settings_in_force(&request)?;
    let request = PreviewRequest {
        settings: &settings,
        ..request
    };
    let (desired, mut findings) = read(&request, request.head)?;
    let desired = match desired {
        Some(desired) => {
            findings.extend(verify(&request, &desired)?);
            Some(desired).filter(|_| !any_error(&findings))
        }
        None => None,
    };
    let Some(desired) = desired else {
        return Ok(Preview::without_plan(findings));
    };
    let own = request
        .settings
        .environments
        .get(request.environment)
        .cloned()
        .unwrap_or_default();
    let rule = DriftRule::from(request.settings.drift_of(&own).mode);
    let calls = Calls {
        clock: request.clock,
        site: request.site,
        timeout: request.settings.limits.call,
        secrets: request.secrets,
        stop: None,
        turns: None,
        notes: None,
    };
    let asker = Asker {
        providers: request.providers,
        calls,
        configurations: &desired.providers,
        waits: false,
    };
    let (planned, base) = match request.base {
        PreviewBase::State(base) => (asker.plan(&desired, base, &rule).await?, base.clone()),
        PreviewBase::Commit(commit) => {
            let base = match as_if_applied(&request, &asker, commit).await? {
                Ok(base) => base,
                Err(found) => {
                    findings.extend(found);
                    return Ok(Preview::without_plan(findings));
                }
            };
            let planned = asker
                .plan_with(&desired, &base, &Observed::default(), &rule)
                .await?;
            (planned, base)
        }
    };
    conclude(&request, planned, findings, &base, &own)
}

/// The settings that would hold: what is applied decides over budgets, and over all of a protected
/// environment. Where its rules cannot be used, that is said where the plan is judged.
fn settings_in_force(request: &PreviewRequest<'_>) -> Result<Arc<Settings>, RuntimeError> {
    let settings = Arc::new(request.settings.clone());
    let rules = match guard(request).rules(&case(request).base) {
        Err(RuntimeError::Gate(_)) => return Ok(settings),
        rules => rules?,
    };
    let own = request.settings.environments.get(request.environment);
    let branch = own.and_then(|own| own.branch.as_ref());
    let on_head = match branch {
        Some(_) => branch == request.repository.tips()?.head.as_ref(),
        None => true,
    };
    Ok(in_force(&settings, request.environment, on_head, &rules))
}

fn conclude(
    request: &PreviewRequest<'_>,
    planned: Planned,
    mut findings: Vec<Finding>,
    base: &Base,
    own: &EnvironmentSettings,
) -> Result<Preview, RuntimeError> {
    match planned {
        Ok(plan) => {
            findings.extend(check(&plan, base, &[own]));
            let plan = Arc::new(plan);
            let judged = judge(request, &plan)?;
            findings.extend(judged.findings);
            Ok(Preview {
                plan: Some(plan),
                findings,
                verdict: judged.verdict,
                void: judged.void,
            })
        }
        Err(error) => {
            findings.extend(error.findings);
            Ok(Preview::without_plan(findings))
        }
    }
}

/// What policy would say.
struct Judged {
    verdict: Verdict,
    /// What is wrong with the rules that the commit brings.
    findings: Vec<Finding>,
    void: Vec<Refused>,
}

fn guard<'a>(request: &'a PreviewRequest<'_>) -> Guard<'a> {
    Guard {
        repository: request.repository,
        loader: request.loader,
        gate: request.gate,
        signatures: request.signatures,
        now: request.clock.now(),
        known: None,
    }
}

/// What is wrong with the sealed values of the commit, by the trust of what is applied.
fn verify(request: &PreviewRequest<'_>, desired: &Desired) -> Result<Vec<Finding>, RuntimeError> {
    let (guard, case) = (guard(request), case(request));
    let rules = match guard.rules(&case.base) {
        // Said where the plan is judged.
        Err(RuntimeError::Gate(_)) => return Ok(Vec::new()),
        rules => rules?,
    };
    let tags = request.repository.words()?;
    let tree = request.repository.tree(request.head)?;
    let what = Verification {
        repository: request.repository,
        loader: request.loader,
        sealing: request.sealing,
        tree: tree.as_ref(),
        settings: request.settings,
        environment: request.environment,
        base: Some(&case.base),
        highest: request.highest,
        may_go_back: &|_, _, _| false,
        now: request.clock.now(),
    };
    let about = (desired, request.providers);
    let (report, _) = verify_and_ask(&guard, &case, &rules, &tags, about, what)?;
    Ok(report.findings)
}

/// The commit, as if it were pushed now onto what is applied.
fn case(request: &PreviewRequest<'_>) -> Case {
    let remembered = request.row.and_then(|row| {
        let pin = row.pin.as_ref().map(|pin| pin.commit.clone());
        row.revision.clone().or(pin)
    });
    let (base, new) = match request.base {
        PreviewBase::Commit(commit) => (Some(commit.clone()), false),
        PreviewBase::State(_) => {
            let new = request.row.is_none_or(|row| row.revision.is_none());
            (remembered, new)
        }
    };
    let own = request.settings.environments.get(request.environment);
    Case {
        environment: request.environment.clone(),
        settings: Arc::new(request.settings.clone()),
        commit: request.head.clone(),
        base: base.unwrap_or_else(|| request.head.clone()),
        new,
        trigger: Trigger::Push,
        branch: own.and_then(|own| own.branch.clone()),
        spent: spent(request.row),
        protected: false,
        pin: request
            .row
            .and_then(|row| row.pin.as_ref())
            .map(|pin| pin.commit.clone()),
    }
}

fn spent(row: Option<&EnvironmentRow>) -> Vec<ObjectId> {
    let spent = row.into_iter().flat_map(|row| &row.remembered.spent);
    spent.map(|spent| spent.object.clone()).collect()
}

/// What policy would say if this commit were pushed now.
fn judge(request: &PreviewRequest<'_>, plan: &Arc<Plan>) -> Result<Judged, RuntimeError> {
    let (guard, case) = (guard(request), case(request));
    let moved = case.new || case.base != case.commit;
    let findings = match moved {
        true => guard.check(&case.commit)?,
        false => Vec::new(),
    };
    let (verdict, void) = match by_rules(request, &guard, &case, plan) {
        // Where policy cannot judge, that is a denial.
        Err(RuntimeError::Gate(error)) => {
            let whole = Judgement::by(Decision::Deny, "none", error.to_string());
            let verdict = Verdict {
                whole: Some(whole),
                ..Verdict::default()
            };
            (verdict, Vec::new())
        }
        other => other?,
    };
    Ok(Judged {
        verdict,
        findings,
        void,
    })
}

/// By the rules of the base.
fn by_rules(
    request: &PreviewRequest<'_>,
    guard: &Guard<'_>,
    case: &Case,
    plan: &Arc<Plan>,
) -> Result<(Verdict, Vec<Refused>), RuntimeError> {
    let rules = guard.rules(&case.base)?;
    let tags = request.repository.words()?;
    let mut void = guard.suspended(case, &rules, &tags)?.void;
    if let Some(hold) = request.row.and_then(|row| row.hold.as_ref()) {
        void.extend(guard.retried(case, &rules, &tags, &hold.run)?.void);
    }
    let asked = guard.request(case, &rules, Arc::clone(plan), &tags)?;
    Ok((request.gate.judge(&asked)?, void))
}

fn read(
    request: &PreviewRequest<'_>,
    commit: &CommitId,
) -> Result<(Option<Desired>, Vec<Finding>), RuntimeError> {
    let revision = request.repository.revision(commit)?;
    let tree = request.repository.tree(commit)?;
    let Loaded { value, findings } = request.loader.load(
        tree.as_ref(),
        &revision,
        request.settings,
        request.environment,
    )?;
    let usable = value.filter(|_| !any_error(&findings));
    Ok((usable, findings))
}

/// Whether the commit's own settings name the environment; settings that cannot be used say nothing.
fn is_named(request: &PreviewRequest<'_>, commit: &CommitId) -> Result<bool, RuntimeError> {
    let tree = request.repository.tree(commit)?;
    let Some(settings) = request.loader.settings(tree.as_ref())?.value else {
        return Ok(true);
    };
    let named = request.loader.environments(tree.as_ref(), &settings)?;
    Ok(named.contains(request.environment))
}

/// The state that applying `commit` to nothing would leave; what it cannot know stays unknown.
async fn as_if_applied(
    request: &PreviewRequest<'_>,
    asker: &Asker<'_>,
    commit: &CommitId,
) -> Result<Result<Base, Vec<Finding>>, RuntimeError> {
    if !is_named(request, commit)? {
        // Nothing of it was there, so everything is new.
        return Ok(Ok(Base::default()));
    }
    let (desired, findings) = read(request, commit)?;
    let Some(desired) = desired else {
        return Ok(Err(findings));
    };
    let rule = DriftRule::from(stratum_core::settings::DriftMode::Ignore);
    let nothing = (Base::default(), Observed::default());
    let plan = match asker
        .plan_with(&desired, &nothing.0, &nothing.1, &rule)
        .await?
    {
        Ok(plan) => plan,
        Err(error) => return Ok(Err(error.findings)),
    };
    let resources = plan.steps.into_iter().map(|step| {
        let attributes = step.desired.unwrap_or_default();
        let schema = request
            .providers
            .type_schema(&step.provider, step.address.r#type());
        let state = ResourceState {
            address: step.address.clone(),
            kind: step.kind,
            provider: step.provider,
            depends_on: depends_on(&attributes, &step.meta),
            instance: Instance {
                attributes: step.planned.unwrap_or_default(),
                ..Instance::default()
            },
            schema_version: schema.map_or(0, |schema| schema.version),
            sensitive: step.sensitive,
            meta: step.meta,
            revision: commit.clone(),
            tainted: false,
            unsure: false,
            unknown: None,
        };
        (step.address, state)
    });
    Ok(Ok(Base {
        serial: 0,
        sealed: Default::default(),
        resources: resources.collect(),
    }))
}
