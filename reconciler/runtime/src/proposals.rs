//! Secrets that resources keep in the repository and that are not there yet: made, sealed and put
//! on a branch, for people to review.

use std::sync::Arc;

use stratum_core::ids::{Address, CommitId, EnvironmentName};
use stratum_core::plan::Plan;
use stratum_core::ports::{
    Base, Clock, Loader, ProposalError, ProposalRequest, Proposer, Repository, SecretStore,
    WantedSecret,
};
use stratum_core::value::{Reference, Value, resolve_record};

use crate::blocking::Blocking;
use crate::error::RuntimeError;
use crate::head::Target;
use crate::look::Look;
use crate::ports::{Ports, Providers};
use crate::progress::{Progress, ProgressSink};

/// What a resource says that keeps its secret in the repository.
const KEEP: (&str, &str) = ("keep", "branch");

/// Proposes secrets.
pub(crate) struct Proposals {
    vault: Arc<dyn SecretStore>,
    repository: Arc<dyn Repository>,
    loader: Arc<dyn Loader>,
    proposer: Arc<dyn Proposer>,
    providers: Providers,
    clock: Arc<dyn Clock>,
    blocking: Blocking,
    progress: ProgressSink,
}

impl Proposals {
    pub(crate) fn new(ports: &Ports, blocking: Blocking, progress: &ProgressSink) -> Self {
        Self {
            vault: Arc::clone(&ports.vault),
            repository: Arc::clone(&ports.repository),
            loader: Arc::clone(&ports.loader),
            proposer: Arc::clone(&ports.proposals),
            providers: ports.providers.clone(),
            clock: Arc::clone(&ports.clock),
            blocking,
            progress: Arc::clone(progress),
        }
    }

    /// Proposes the secrets that the plan waits for. Answers why that could not be done, if so.
    ///
    /// *Errors*: what could not be read. That nothing could be proposed is no error: what waits
    /// goes on waiting, and the rest of the plan is applied.
    pub(crate) async fn propose(
        &self,
        look: &Look,
        plan: &Plan,
        base: &Base,
    ) -> Result<Option<String>, RuntimeError> {
        let blocked = plan.blocked.iter();
        let wanted: Vec<WantedSecret> = blocked
            .filter_map(|blocked| self.wanted(look, base, &blocked.address))
            .collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        let environment = &look.target.environment;
        match self.proposed(&look.target, wanted).await? {
            Ok(None) => Ok(None),
            Ok(Some(commit)) => {
                tracing::info!(%environment, %commit, "secrets were proposed for review");
                (self.progress)(&Progress::News(for_review(environment, &commit)));
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(%environment, %error, "no secrets were proposed");
                Ok(Some(format!("secrets cannot be made for review: {error}")))
            }
        }
    }

    /// The commit that has them; `None` where there is nothing new in it.
    async fn proposed(
        &self,
        target: &Target,
        wanted: Vec<WantedSecret>,
    ) -> Result<Result<Option<CommitId>, ProposalError>, RuntimeError> {
        let highest = self.vault.highest(&target.environment).await?;
        let (repository, loader) = (Arc::clone(&self.repository), Arc::clone(&self.loader));
        let (proposer, at) = (Arc::clone(&self.proposer), self.clock.now());
        let target = target.clone();
        let proposing = move || {
            let tree = repository.tree(&target.commit)?;
            let settings = &target.settings;
            let Some(trust) = loader.trust(tree.as_ref(), settings)?.value else {
                return Ok(Ok(None));
            };
            let request = ProposalRequest {
                repository: &settings.name,
                environment: &target.environment,
                commit: &target.commit,
                trust: &trust,
                wanted: &wanted,
                highest: &highest,
                at,
            };
            Ok(proposer.propose(&request))
        };
        self.blocking.run(proposing).await
    }

    /// What a resource that waits wants in the repository, if it is for that that it waits.
    fn wanted(&self, look: &Look, base: &Base, address: &Address) -> Option<WantedSecret> {
        let resource = look.desired.resources.get(address)?;
        let (keep, branch) = KEEP;
        let kept = resource.attributes.get(keep).and_then(Value::as_text);
        if kept != Some(branch) || !self.providers.makes_secrets(resource) {
            return None;
        }
        let look_up = |reference: &Reference| {
            let target = Address {
                environment: address.environment.clone(),
                local: reference.resource.clone(),
            };
            let state = base.resources.get(&target)?;
            reference.path.find(&state.instance.attributes).cloned()
        };
        let desired = resolve_record(&resource.attributes, &look_up);
        let prior = base.resources.get(address);
        desired.values().all(Value::is_known).then(|| WantedSecret {
            address: address.clone(),
            desired,
            prior: prior.map(|state| state.instance.attributes.clone()),
        })
    }
}

fn for_review(environment: &EnvironmentName, commit: &CommitId) -> String {
    let branch = ProposalRequest::branch(environment);
    format!(
        "`{branch}` has secrets of {environment} for review at {}: merge it, and what waits for them \
         goes on",
        commit.short()
    )
}
