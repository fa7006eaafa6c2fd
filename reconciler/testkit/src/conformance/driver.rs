//! Calls a provider as the engine does, and says in words what it broke.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stratum_core::ids::{Address, RunId, StepId, Token};
use stratum_core::plan::Reversibility;
use stratum_core::ports::{
    ApplyCall, ApplyError, Call, CheckpointCall, Effect, ImportCall, ListCall, Listed, LocateCall,
    Located, PlanCall, Proposal, Provider, ReadCall, RestoreCall, Secrets, Site, TypeSchema,
    contract,
};
use stratum_core::resource::{Checkpoint, Instance, Opaque, ResourceState};
use stratum_core::value::{Record, Value};

use super::Case;

/// What a scenario answers: nothing, or what went wrong.
pub(super) type Outcome<T = ()> = Result<T, String>;

/// The time a call gets.
const TIMEOUT: Duration = Duration::from_secs(20);

/// One case in one place.
pub(super) struct Driver<'a> {
    pub(super) provider: &'a dyn Provider,
    pub(super) case: &'a Case,
    pub(super) site: Site,
    secrets: Arc<dyn Secrets>,
    scenario: String,
    steps: AtomicU32,
    left: Mutex<Option<Instance>>,
}

/// A step that is ready to be applied.
pub(super) struct Prepared {
    pub(super) prior: Option<Instance>,
    pub(super) planned: Option<Record>,
    pub(super) config: Option<Record>,
    pub(super) private: Opaque,
    pub(super) checkpoint: Checkpoint,
    pub(super) token: Token,
    pub(super) reversibility: Reversibility,
}

impl<'a> Driver<'a> {
    pub(super) fn new(provider: &'a dyn Provider, case: &'a Case, scenario: impl ToString) -> Self {
        let scenario = scenario.to_string();
        Self {
            provider,
            case,
            site: (case.sites)(&scenario),
            secrets: (case.secrets)(),
            scenario,
            steps: AtomicU32::new(0),
            left: Mutex::new(None),
        }
    }

    pub(super) fn call(&self) -> Call<'_> {
        Call {
            address: &self.case.address,
            site: &self.site,
            timeout: TIMEOUT,
            secrets: self.secrets.as_ref(),
            stop: None,
            notes: None,
        }
    }

    pub(super) fn schema(&self) -> Outcome<&TypeSchema> {
        let r#type = self.case.address.r#type();
        let found = self.provider.schema().types.get(r#type);
        found.ok_or_else(|| format!("the schema has no type `{type}`"))
    }

    /// Whether the type changes anything outside the state.
    pub(super) fn touches_world(&self) -> bool {
        self.schema()
            .is_ok_and(|schema| schema.effect == Effect::World)
    }

    pub(super) fn world(&self) -> String {
        self.case
            .world
            .as_ref()
            .map(|world| world(&self.site))
            .unwrap_or_default()
    }

    pub(super) async fn plan(
        &self,
        prior: Option<&Instance>,
        desired: Option<&Record>,
    ) -> Outcome<Proposal> {
        let call = PlanCall {
            call: self.call(),
            prior,
            desired,
            config: desired,
        };
        let proposal = self.provider.plan(call).await;
        let proposal = proposal.map_err(|error| format!("plan failed: {error}"))?;
        let prior = prior.map(|prior| &prior.attributes);
        contract::proposed(&proposal, desired, prior, Some(self.schema()?))
            .map_err(|breach| breach.to_string())?;
        Ok(proposal)
    }

    /// Plans a step and takes its checkpoint.
    pub(super) async fn prepare(
        &self,
        prior: Option<&Instance>,
        desired: Option<&Record>,
    ) -> Outcome<Prepared> {
        let proposal = self.plan(prior, desired).await?;
        let private = proposal.private.clone();
        let planned = desired.map(|_| proposal.planned);
        let call = CheckpointCall {
            call: self.call(),
            prior,
            planned: planned.as_ref(),
        };
        let kept = self.provider.checkpoint(call).await;
        let kept = kept.map_err(|error| format!("checkpoint failed: {error}"))?;
        let before = prior.map(|instance| self.state(instance)).transpose()?;
        Ok(Prepared {
            prior: prior.cloned(),
            planned,
            config: desired.cloned(),
            private,
            checkpoint: Checkpoint { before, kept },
            token: self.token()?,
            reversibility: proposal.reversibility,
        })
    }

    fn token(&self) -> Outcome<Token> {
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        let run = RunId::new(self.scenario.replace(' ', "-")).map_err(|e| e.to_string())?;
        Ok(Token::of(&run, StepId(step)))
    }

    fn state(&self, instance: &Instance) -> Outcome<ResourceState> {
        let state = serde_json::json!({
            "address": self.case.address,
            "kind": "infrastructure",
            "provider": self.provider.schema().provider,
            "instance": instance,
            "schema_version": self.schema()?.version,
            "revision": "0".repeat(40),
        });
        serde_json::from_value(state).map_err(|error| error.to_string())
    }

    /// Applies, without judging the answer.
    pub(super) async fn try_apply(&self, step: &Prepared) -> Result<Option<Instance>, ApplyError> {
        let call = ApplyCall {
            call: self.call(),
            token: &step.token,
            prior: step.prior.as_ref(),
            planned: step.planned.as_ref(),
            config: step.config.as_ref(),
            private: &step.private,
            checkpoint: &step.checkpoint,
        };
        let applied = self.provider.apply(call).await?;
        self.leave(applied.as_ref().or(step.prior.as_ref()));
        Ok(applied)
    }

    /// Applies; the answer must be what was planned, with everything known.
    pub(super) async fn apply(&self, step: &Prepared) -> Outcome<Option<Instance>> {
        let applied = self
            .try_apply(step)
            .await
            .map_err(|error| format!("apply failed: {error}"))?;
        match (&step.planned, &applied) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err("a delete left something".to_owned()),
            (Some(_), None) => Err("apply answered that nothing is there".to_owned()),
            (Some(planned), Some(made)) => {
                keeps_to(planned, made)?;
                contract::made(Some(planned), Some(made), Some(self.schema()?))
                    .map_err(|breach| breach.to_string())?;
                Ok(applied)
            }
        }
    }

    /// Applies something that must leave a resource.
    pub(super) async fn make(
        &self,
        prior: Option<&Instance>,
        desired: &Record,
    ) -> Outcome<Instance> {
        let step = self.prepare(prior, Some(desired)).await?;
        let made = self.apply(&step).await?;
        made.ok_or_else(|| "nothing was made".to_owned())
    }

    pub(super) async fn read(&self, known: &Instance) -> Outcome<Option<Instance>> {
        let call = ReadCall {
            call: self.call(),
            known,
        };
        let reading = self.provider.read(call).await;
        let reading = reading.map_err(|error| format!("read failed: {error}"))?;
        // A scenario may ask about something that was never made, of which not all is known.
        if known.attributes.values().all(Value::is_known) {
            contract::read(&known.attributes, &reading).map_err(|breach| breach.to_string())?;
        }
        Ok(reading.instance())
    }

    pub(super) async fn restore(
        &self,
        step: &Prepared,
        after: Option<&Instance>,
    ) -> Outcome<Option<Instance>> {
        let call = RestoreCall {
            call: self.call(),
            token: &step.token,
            checkpoint: &step.checkpoint,
            planned: step.planned.as_ref(),
            after,
        };
        let restored = self.provider.restore(call).await;
        let restored = restored.map_err(|error| format!("restore failed: {error}"))?;
        if restored.is_some() {
            self.leave(restored.as_ref());
        }
        let before = step.checkpoint.before.as_ref();
        let before = before.map(|before| &before.instance.attributes);
        contract::restored(before, restored.as_ref(), Some(self.schema()?))
            .map_err(|breach| breach.to_string())?;
        Ok(restored)
    }

    pub(super) async fn locate(&self, step: &Prepared) -> Outcome<Located> {
        let call = LocateCall {
            call: self.call(),
            token: &step.token,
            prior: step.prior.as_ref(),
            planned: step.planned.as_ref(),
            checkpoint: &step.checkpoint,
        };
        self.provider
            .locate(call)
            .await
            .map_err(|error| format!("locate failed: {error}"))
    }

    /// What there is of the type; keeps to what the port says of it.
    pub(super) async fn list(&self, known: &[(Address, Instance)], most: usize) -> Outcome<Listed> {
        let call = ListCall {
            r#type: self.case.address.r#type(),
            site: &self.site,
            timeout: self.call().timeout,
            known,
            most,
        };
        let listed = self.provider.list(call).await;
        let listed = listed.map_err(|error| format!("list failed: {error}"))?;
        contract::listed(&listed, known, most).map_err(|breach| breach.to_string())?;
        Ok(listed)
    }

    pub(super) async fn import(&self, id: &str, desired: &Record) -> Outcome<Instance> {
        let call = ImportCall {
            call: self.call(),
            id,
            desired,
        };
        self.provider
            .import(call)
            .await
            .map_err(|error| format!("import failed: {error}"))
    }

    /// Restores, twice, and sees that the world is as it was.
    pub(super) async fn restore_twice(
        &self,
        step: &Prepared,
        after: Option<&Instance>,
        world: &str,
    ) -> Outcome {
        for time in ["once", "twice"] {
            let restored = self
                .restore(step, after)
                .await
                .map_err(|e| format!("{time}: {e}"))?;
            match (&step.prior, &restored) {
                (None, None) => {}
                (Some(before), Some(back)) => self
                    .same(before, back)
                    .map_err(|difference| format!("restored {time}: {difference}"))?,
                (None, Some(_)) => return Err(format!("restored {time}: something is left")),
                (Some(_), None) => return Err(format!("restored {time}: nothing is there")),
            }
            self.world_is(world)
                .map_err(|e| format!("restored {time}: {e}"))?;
        }
        self.reads_as(step.prior.as_ref(), step).await
    }

    /// What `read` sees is what was there before the step.
    async fn reads_as(&self, before: Option<&Instance>, step: &Prepared) -> Outcome {
        if !self.touches_world() {
            return Ok(());
        }
        let planned = step.planned.clone().unwrap_or_default();
        let known = Instance {
            attributes: planned,
            ..Instance::default()
        };
        let known = before.unwrap_or(&known);
        match (before, self.read(known).await?) {
            (None, None) => Ok(()),
            (Some(before), Some(now)) => self.same(before, &now),
            (None, Some(_)) => Err("read still sees it after it was taken back".to_owned()),
            (Some(_), None) => Err("read does not see what was put back".to_owned()),
        }
    }

    pub(super) fn world_is(&self, world: &str) -> Outcome {
        let now = self.world();
        if now == world {
            Ok(())
        } else {
            Err(format!("the world should be\n{world}\nand is\n{now}"))
        }
    }

    /// Whether two instances are equal but for volatile attributes.
    pub(super) fn same(&self, a: &Instance, b: &Instance) -> Outcome {
        let stable = |instance: &Instance| -> Record {
            let attributes = instance.attributes.iter();
            let stable = attributes.filter(|(name, _)| !self.case.volatile.contains(name));
            stable
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        equal(&stable(a), &stable(b))
    }

    fn leave(&self, instance: Option<&Instance>) {
        let mut left = self
            .left
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        *left = instance.cloned();
    }

    /// Deletes what the scenario left, so that nothing runs on.
    pub(super) async fn clean_up(&self) -> Outcome {
        let left = self
            .left
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take();
        if let Some(left) = left {
            let step = self.prepare(Some(&left), None).await?;
            self.apply(&step).await?;
        }
        Ok(())
    }
}

/// Whether what was made is what was planned, with unknowns filled in.
pub(super) fn keeps_to(planned: &Record, made: &Instance) -> Outcome {
    let (plan, is) = (
        Value::record(planned.clone()),
        Value::record(made.attributes.clone()),
    );
    if !is.is_known() {
        return Err(format!("not everything is known: {:?}", made.attributes));
    }
    if !plan.refined_by(&is) {
        return Err(format!("planned {planned:?}, made {:?}", made.attributes));
    }
    Ok(())
}

/// Whether two records are equal; otherwise both are shown.
pub(super) fn equal(a: &Record, b: &Record) -> Outcome {
    if a == b {
        Ok(())
    } else {
        Err(format!("expected {a:?}, found {b:?}"))
    }
}
