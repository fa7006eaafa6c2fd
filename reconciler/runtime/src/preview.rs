//! What a push would do, without doing it: `stratum plan`.

use std::sync::Arc;

use stratum_core::check::check;
use stratum_core::desired::Desired;
use stratum_core::finding::{Finding, any_error};
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::observed::Observed;
use stratum_core::plan::Plan;
use stratum_core::planning::DriftRule;
use stratum_core::ports::{Base, Clock, Gate, Loaded, Loader, Repository, Secrets, Site};
use stratum_core::resource::{Instance, ResourceState, depends_on};
use stratum_core::settings::{EnvironmentSettings, Settings};
use stratum_core::verdict::Verdict;

use crate::calls::Calls;
use crate::error::RuntimeError;
use crate::observe::Asker;
use crate::ports::Providers;

/// What is needed to make a plan without applying it.
pub struct PreviewRequest<'a> {
    /// The git repository.
    pub repository: &'a dyn Repository,
    /// Bytes of a tree -> Desired.
    pub loader: &'a dyn Loader,
    /// Plan -> Verdict.
    pub gate: &'a dyn Gate,
    /// Makers of resources.
    pub providers: &'a Providers,
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
}

/// Makes a plan and changes nothing.
pub async fn preview(request: PreviewRequest<'_>) -> Result<Preview, RuntimeError> {
    let (desired, mut findings) = read(&request, request.head)?;
    let Some(desired) = desired else {
        return Ok(Preview {
            plan: None,
            findings,
            verdict: Verdict::default(),
        });
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
    };
    let asker = Asker {
        providers: request.providers,
        calls,
        waits: false,
    };
    let (planned, base) = match request.base {
        PreviewBase::State(base) => (asker.plan(&desired, base, &rule).await?, base.clone()),
        PreviewBase::Commit(commit) => {
            let base = match as_if_applied(&request, &asker, commit).await? {
                Ok(base) => base,
                Err(found) => {
                    findings.extend(found);
                    return Ok(Preview {
                        plan: None,
                        findings,
                        verdict: Verdict::default(),
                    });
                }
            };
            let planned = asker
                .plan_with(&desired, &base, &Observed::default(), &rule)
                .await?;
            (planned, base)
        }
    };
    conclude(request.gate, planned, findings, &base, &own).await
}

async fn conclude(
    gate: &dyn Gate,
    planned: Result<Plan, Vec<Finding>>,
    mut findings: Vec<Finding>,
    base: &Base,
    own: &EnvironmentSettings,
) -> Result<Preview, RuntimeError> {
    match planned {
        Ok(plan) => {
            findings.extend(check(&plan, base, own));
            let verdict = gate.judge(&plan).await?;
            Ok(Preview {
                plan: Some(Arc::new(plan)),
                findings,
                verdict,
            })
        }
        Err(found) => {
            findings.extend(found);
            Ok(Preview {
                plan: None,
                findings,
                verdict: Verdict::default(),
            })
        }
    }
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

/// The state that applying `commit` to nothing would leave; what it cannot know stays unknown.
async fn as_if_applied(
    request: &PreviewRequest<'_>,
    asker: &Asker<'_>,
    commit: &CommitId,
) -> Result<Result<Base, Vec<Finding>>, RuntimeError> {
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
        Err(findings) => return Ok(Err(findings)),
    };
    let resources = plan.steps.into_iter().map(|step| {
        let attributes = step.desired.unwrap_or_default();
        let state = ResourceState {
            address: step.address.clone(),
            kind: step.kind,
            provider: step.provider,
            depends_on: depends_on(&attributes, &step.meta),
            instance: Instance {
                attributes: step.planned.unwrap_or_default(),
                ..Instance::default()
            },
            schema_version: 0,
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
