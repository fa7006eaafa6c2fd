//! One Step: what is called, in which order, and what its answer means.

use stratum_core::digest::Digest;
use stratum_core::ids::Token;
use stratum_core::plan::{Action, Plan, Reason, Step};
use stratum_core::ports::contract::{self, Breach};
use stratum_core::ports::{
    ApplyCall, ApplyError, CheckpointCall, FetchCall, ImportCall, LocateCall, Located, Misfit,
    PlanCall, Probe, Proposal, Provider, ProviderError, RenewCall, RestoreCall, Retry, StateChange,
    TypeSchema,
};
use stratum_core::resource::{Checkpoint, Instance, ResourceState, depends_on};
use stratum_core::value::{Marks, Record, Value, with_kept};

use crate::calls::Calls;
use crate::granted::Granted;
use crate::health::Doctor;

/// What one step works with; owned, so that it can run as a task of its own.
pub(crate) struct StepWork<'a> {
    pub(crate) provider: &'a dyn Provider,
    /// The type, where the provider has it.
    pub(crate) schema: Option<&'a TypeSchema>,
    pub(crate) probe: &'a dyn Probe,
    /// For calls that change nothing.
    pub(crate) calls: Calls<'a>,
    /// For the call that changes the world.
    pub(crate) changing: Calls<'a>,
    pub(crate) step: &'a Step,
}

/// A step whose inputs are known and whose checkpoint is taken.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// What must be; `None` for a delete.
    pub(crate) planned: Option<Record>,
    /// What the repository says, with what it refers to.
    pub(crate) config: Option<Record>,
    /// What puts it back.
    pub(crate) checkpoint: Box<Checkpoint>,
}

impl StepWork<'_> {
    /// Makes the plan of the step final, now that what it refers to is known.
    ///
    /// *Errors*: an input that is still unknown, or a provider that plans something else now.
    pub(crate) async fn finalize(
        &self,
        resolved: Option<&Record>,
    ) -> Result<Option<Record>, ApplyError> {
        let (Some(resolved), Some(planned)) = (resolved, self.step.planned.as_ref()) else {
            return Ok(None);
        };
        if let Some(name) = first_unknown(resolved) {
            return Err(ApplyError::nothing_happened(format!(
                "the value of `{name}` is still not known"
            )));
        }
        if let Some(misfit) = self.schema.and_then(|schema| schema.misfit(resolved)) {
            let Misfit { path, message } = misfit;
            return Err(ApplyError::nothing_happened(format!("`{path}` {message}")));
        }
        let unplanned = match self.step.action {
            // It is fetched, or renewed; neither is planned.
            Action::Read => true,
            _ => self.step.reason == Reason::Due,
        };
        let settled = !self.step.calls_provider() || planned.values().all(Value::is_known);
        if unplanned || settled {
            return Ok(Some(planned.clone()));
        }
        let config = resolved;
        let resolved = self.with_what_stays(resolved);
        let granted = self.granted();
        let call = PlanCall {
            call: self.calls.call(&self.step.address, &granted),
            prior: self.step.prior.as_ref(),
            desired: Some(&resolved),
            config: Some(config),
        };
        let proposal = self
            .calls
            .asking(self.provider.plan(call))
            .await
            .map_err(ApplyError::before)?;
        let prior = self.step.prior.as_ref().map(|prior| &prior.attributes);
        contract::proposed(&proposal, Some(&resolved), prior, self.schema)
            .and_then(|()| self.refines(planned, &proposal))
            .map_err(|breach| ApplyError::before(ProviderError::person(breach.to_string())))?;
        Ok(Some(proposal.planned))
    }

    /// Whether the final plan is the one that was reviewed, with its unknowns filled in.
    fn refines(&self, planned: &Record, proposal: &Proposal) -> Result<(), Breach> {
        // A replacement that the reviewed plan did not show must not happen either.
        if let Some(path) = proposal.replace.first() {
            return Err(Breach::Replaces(path.clone()));
        }
        match contract::departure(planned, &proposal.planned, self.schema) {
            Some(path) if !proposal.legacy => Err(Breach::PlansOther(path)),
            Some(_) | None => Ok(()),
        }
    }

    /// The secrets that the approved step names for this resource.
    fn granted(&self) -> Granted<'_> {
        let step = self.step;
        let prior = step.prior.as_ref().map(|prior| &prior.attributes);
        let wanted = step.desired.iter().chain(&step.planned);
        self.calls.grant(wanted.chain(prior).chain([&step.kept]))
    }

    /// What is wanted, with what is there for that which is kept.
    fn with_what_stays(&self, resolved: &Record) -> Record {
        let mut resolved = resolved.clone();
        for name in self.step.kept.keys() {
            let settable = self.schema.and_then(|schema| schema.attributes.get(name));
            let settable = settable.is_some_and(|attribute| attribute.settable);
            let there = self
                .step
                .prior
                .as_ref()
                .and_then(|prior| prior.attributes.get(name));
            if let Some(there) = there.filter(|_| settable) {
                resolved.insert(name.clone(), there.clone());
            }
        }
        resolved
    }

    /// Takes the checkpoint. Changes nothing.
    pub(crate) async fn prepare(
        &self,
        resolved: Option<&Record>,
        before: Option<&ResourceState>,
    ) -> Result<Prepared, ApplyError> {
        let planned = self.finalize(resolved).await?;
        let prior = self.step.prior.as_ref();
        let before = before.map(|state| ResourceState {
            instance: prior.unwrap_or(&state.instance).clone(),
            ..state.clone()
        });
        let before = before.filter(|_| prior.is_some() || self.step.action == Action::Adopt);
        let kept = if self.touches() {
            let granted = self.granted();
            let call = CheckpointCall {
                call: self.calls.call(&self.step.address, &granted),
                prior,
                planned: planned.as_ref(),
            };
            let kept = self.calls.asking(self.provider.checkpoint(call)).await;
            kept.map_err(ApplyError::before)?
        } else {
            Default::default()
        };
        Ok(Prepared {
            planned,
            config: resolved.cloned(),
            checkpoint: Box::new(Checkpoint { before, kept }),
        })
    }

    /// Whether its call may change something: what is adopted or read is not changed.
    fn touches(&self) -> bool {
        self.step.calls_provider() && !matches!(self.step.action, Action::Adopt | Action::Read)
    }

    /// Does it, and waits until it is healthy.
    pub(crate) async fn apply(
        &self,
        planned: Option<&Record>,
        config: Option<&Record>,
        checkpoint: &Checkpoint,
        token: &Token,
    ) -> Result<Option<Instance>, ApplyError> {
        if !self.step.calls_provider() {
            return Ok(match self.step.action.takes_away() {
                true => None,
                false => self.step.prior.clone(),
            });
        }
        if let Some(id) = self
            .step
            .meta
            .adopt
            .as_ref()
            .filter(|_| self.step.action == Action::Adopt)
        {
            return self.adopt(id, planned).await.map(Some);
        }
        if self.step.action == Action::Read {
            return self.fetch(planned, config).await.map(Some);
        }
        let granted = self.granted();
        let call = self.changing.call(&self.step.address, &granted);
        let answer = match (&self.step.reason, self.step.prior.as_ref()) {
            (Reason::Due, Some(prior)) => {
                let call = RenewCall { call, token, prior };
                let renewed = self.changing.changing(self.provider.renew(call)).await;
                renewed.map(Some)
            }
            _ => {
                let call = ApplyCall {
                    call,
                    token,
                    prior: self.step.prior.as_ref(),
                    planned,
                    config,
                    private: &self.step.private,
                    checkpoint,
                };
                self.changing.changing(self.provider.apply(call)).await
            }
        };
        let instance = answer.map_err(|error| self.cleaned(planned, error))?;
        self.verify(planned, instance.as_ref())?;
        self.healthy(instance.as_ref()).await?;
        Ok(instance)
    }

    /// What a type that is only read says: as it was planned, or by now, where not all was known.
    async fn fetch(
        &self,
        planned: Option<&Record>,
        config: Option<&Record>,
    ) -> Result<Instance, ApplyError> {
        let empty = Record::new();
        let planned = planned.unwrap_or(&empty);
        if planned.values().all(Value::is_known) {
            return Ok(Instance {
                attributes: planned.clone(),
                private: self.step.private.clone(),
                due: None,
            });
        }
        let granted = self.granted();
        let call = FetchCall {
            call: self.calls.call(&self.step.address, &granted),
            config: config.unwrap_or(&empty),
        };
        let said = self.calls.asking(self.provider.fetch(call)).await;
        let said = said.map_err(ApplyError::before)?;
        contract::made(Some(planned), Some(&said), self.schema)
            .map_err(|breach| ApplyError::before(ProviderError::person(breach.to_string())))?;
        Ok(said)
    }

    async fn adopt(&self, id: &str, planned: Option<&Record>) -> Result<Instance, ApplyError> {
        let empty = Record::new();
        let desired = planned.unwrap_or(&empty);
        let granted = self.granted();
        let call = ImportCall {
            call: self.calls.call(&self.step.address, &granted),
            id,
            desired,
        };
        let instance = self.calls.asking(self.provider.import(call)).await;
        let instance = instance.map_err(ApplyError::before)?;
        contract::only_data(desired, &instance)
            .map_err(|breach| ApplyError::before(ProviderError::person(breach.to_string())))?;
        Ok(instance)
    }

    /// Whether the provider did what it planned. What it answered against its contract is not kept.
    pub(crate) fn verify(
        &self,
        planned: Option<&Record>,
        instance: Option<&Instance>,
    ) -> Result<(), ApplyError> {
        contract::made(planned, instance, self.schema).map_err(|breach| {
            let error = ApplyError {
                known: instance.cloned(),
                retry: Retry::NeedsPerson,
                ..ApplyError::unknown(breach.to_string())
            };
            self.cleaned(planned, error)
        })
    }

    /// The error with what is known, without what a provider may not bring in.
    fn cleaned(&self, planned: Option<&Record>, error: ApplyError) -> ApplyError {
        let empty = Record::new();
        let prior = self.step.prior.as_ref().map(|prior| &prior.attributes);
        let planned = planned.or(prior).unwrap_or(&empty);
        ApplyError {
            known: error.known.map(|known| contract::cleaned(planned, known)),
            ..error
        }
    }

    /// Waits until the health check of the resource passes.
    pub(crate) async fn healthy(&self, instance: Option<&Instance>) -> Result<(), ApplyError> {
        let check = self
            .step
            .meta
            .health
            .as_ref()
            .filter(|_| !self.step.action.takes_away());
        let Some(check) = check else { return Ok(()) };
        let doctor = Doctor {
            probe: self.probe,
            clock: self.calls.clock,
            root: &self.calls.site.root,
        };
        let Err(error) = doctor.wait(check).await else {
            return Ok(());
        };
        let redactor = self.granted().redactor(&self.step.address).await;
        Err(ApplyError {
            known: instance.cloned(),
            ..ApplyError::unknown(redactor.text(&error))
        })
    }

    /// Finds out what became of the step when its answer was lost.
    pub(crate) async fn locate(&self, prepared: &Prepared, token: &Token) -> Located {
        if !self.touches() {
            return Located::NotDone;
        }
        let granted = self.granted();
        let call = LocateCall {
            call: self.calls.call(&self.step.address, &granted),
            token,
            prior: self.step.prior.as_ref(),
            planned: prepared.planned.as_ref(),
            checkpoint: &prepared.checkpoint,
        };
        match self.calls.asking(self.provider.locate(call)).await {
            Ok(located) => located,
            Err(error) => Located::CannotTell(error.message),
        }
    }

    /// Makes the address equal to its checkpoint.
    pub(crate) async fn restore(
        &self,
        checkpoint: &Checkpoint,
        token: &Token,
        after: Option<&Instance>,
    ) -> Result<Option<Instance>, ApplyError> {
        let before = checkpoint
            .before
            .as_ref()
            .map(|state| state.instance.clone());
        // An adopted resource was not changed, so there is nothing to put back in the world.
        if !self.touches() {
            return Ok(before);
        }
        let granted = self.granted();
        let call = RestoreCall {
            call: self.changing.call(&self.step.address, &granted),
            token,
            checkpoint,
            planned: self.step.planned.as_ref(),
            after,
        };
        let instance = self.changing.changing(self.provider.restore(call)).await?;
        let before = before.as_ref().map(|before| &before.attributes);
        contract::restored(before, instance.as_ref(), self.schema)
            .map_err(|breach| ApplyError::unknown(breach.to_string()))?;
        Ok(instance)
    }
}

fn first_unknown(record: &Record) -> Option<String> {
    record
        .iter()
        .find(|(_, value)| !value.is_known())
        .map(|(name, _)| name.clone())
}

/// The row of the state after a step, in which `inherited` is sensitive by what it refers to.
pub(crate) fn state_after(
    plan: &Plan,
    step: &Step,
    schema: Option<&TypeSchema>,
    inherited: Marks,
    mut instance: Instance,
) -> ResourceState {
    instance.attributes = with_kept(instance.attributes, &step.kept);
    let mut sensitive = step.sensitive.clone();
    sensitive.extend(inherited);
    if let Some(schema) = schema {
        sensitive.extend(schema.sensitive(&instance.attributes));
    }
    sensitive.spread(&instance.attributes);
    let empty = Record::new();
    ResourceState {
        address: step.address.clone(),
        kind: step.kind,
        provider: step.provider.clone(),
        instance,
        schema_version: schema.map_or(0, |schema| schema.version),
        sensitive,
        depends_on: depends_on(step.desired.as_ref().unwrap_or(&empty), &step.meta),
        meta: step.meta.clone(),
        revision: plan.revision.clone(),
        tainted: false,
        unsure: false,
        unknown: None,
    }
}

/// The change of the state that makes the row `state`, or takes it away; and its digest. Of a
/// resource that moves, the row under its other address goes in the same step.
pub(crate) fn change(step: &Step, state: Option<ResourceState>) -> (Option<Digest>, StateChange) {
    let Some(state) = state else {
        return (None, StateChange::Remove(step.address.clone()));
    };
    let digest = Some(Digest::of_json(&state));
    let ends = [Some(&step.address), step.from.as_ref()];
    let mut others = ends.into_iter().flatten();
    let other = others.find(|address| **address != state.address);
    let state = Box::new(state);
    match other.filter(|_| step.action == Action::Move) {
        Some(from) => (
            digest,
            StateChange::Move {
                from: from.clone(),
                state,
            },
        ),
        None => (digest, StateChange::Put(state)),
    }
}
