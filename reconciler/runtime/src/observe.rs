//! Asking providers: what is there, and what would be done.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use stratum_core::desired::Desired;
use stratum_core::ids::{Address, ProviderName, TypeName};
use stratum_core::observed::{Observed, Report};
use stratum_core::plan::Plan;
use stratum_core::planning::{DriftRule, Input, PlanError, Planning, Question, confirm, touched};
use stratum_core::ports::contract::{self, Breach};
use stratum_core::ports::{
    Base, Call, FetchCall, Notes, PlanCall, Proposal, Provider, ProviderError, ReadCall, Reading,
    Standing, TypeSchema, UpgradeCall,
};
use stratum_core::resource::{Instance, Meta, ResourceState};
use stratum_core::value::{Record, Value};
use tokio::runtime::RuntimeFlavor;

use crate::calls::Calls;
use crate::error::RuntimeError;
use crate::ports::Providers;

/// How many questions are asked of providers at once.
const AT_ONCE: usize = 16;

/// Asks the providers of one environment.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) providers: &'a Providers,
    pub(crate) calls: Calls<'a>,
    /// The configurations of providers that the revision has.
    pub(crate) configurations: &'a BTreeMap<ProviderName, Record>,
    /// Whether what needs a secret waits while secrets cannot be opened.
    pub(crate) waits: bool,
}

/// A plan, or what stands in its way.
pub(crate) type Planned = Result<Plan, PlanError>;

/// Does work that may take long without keeping a worker of the event loop from other tasks.
fn heavy<T>(work: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Handle::try_current();
    match runtime.map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

impl Asker<'_> {
    /// Reads the resources of `addresses` that the state knows.
    pub(crate) async fn observe(
        &self,
        addresses: &BTreeSet<Address>,
        base: &Base,
    ) -> Result<Observed, RuntimeError> {
        let known = addresses
            .iter()
            .filter_map(|address| base.resources.get(address));
        let reads: Vec<BoxFuture<'_, _>> = known.map(|state| self.read(state).boxed()).collect();
        let reports: Vec<Result<_, RuntimeError>> = stream::iter(reads)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        Ok(Observed {
            reports: reports.into_iter().collect::<Result<_, _>>()?,
        })
    }

    async fn read(&self, state: &ResourceState) -> Result<(Address, Report), RuntimeError> {
        let reading = self.reading(state).await;
        Ok((state.address.clone(), Report::from(reading)))
    }

    async fn reading(&self, state: &ResourceState) -> Result<Reading, ProviderError> {
        let schema = self.schema(&state.provider, state.address.r#type()).await?;
        if schema.as_ref().is_some_and(|schema| schema.reads) {
            return Ok(Reading::There(state.instance.clone()));
        }
        let (name, address) = (&state.provider, &state.address);
        let calls = self.calls_of(name, address, &state.meta, schema.as_deref());
        let provider = self.handle(&state.provider, &state.address).await?;
        let known = self.up_to_date(state, schema.as_deref()).await?;
        let granted = calls.grant([&known.attributes]);
        let read = provider.read(ReadCall {
            call: calls.call(&state.address, &granted),
            known: &known,
        });
        let reading = calls.asking(read).await?;
        contract::read(&known.attributes, &reading).map_err(broken)?;
        Ok(reading)
    }

    /// The handle of a provider for the environment of a resource.
    async fn handle(
        &self,
        name: &ProviderName,
        address: &Address,
    ) -> Result<Arc<dyn Provider>, ProviderError> {
        let environment = &address.environment;
        self.providers
            .handle(name, self.configurations, environment, self.calls)
            .await
    }

    /// A type, which is asked for where it is not known yet.
    async fn schema(
        &self,
        provider: &ProviderName,
        r#type: &TypeName,
    ) -> Result<Option<Arc<TypeSchema>>, ProviderError> {
        let key = (provider.source(), r#type.clone());
        let mut failed = self.providers.learn([key.clone()].into()).await;
        match failed.remove(&key) {
            Some(error) => Err(error),
            None => Ok(self.providers.type_schema(provider, r#type)),
        }
    }

    /// The calls about a resource: each in its turn, and with the time of its type.
    fn calls_of<'c>(
        &'c self,
        provider: &ProviderName,
        address: &'c Address,
        meta: &Meta,
        schema: Option<&TypeSchema>,
    ) -> Calls<'c> {
        let own = schema.map(|schema| schema.timeouts).unwrap_or_default();
        let environment = &address.environment;
        let calls = self.providers.in_turn(provider, environment, self.calls);
        calls.within_time(meta.timeouts.or(own).read)
    }

    /// What is stored of a resource, in the form of today's schema; no state is used in another.
    pub(crate) async fn up_to_date<'s>(
        &self,
        state: &'s ResourceState,
        schema: Option<&TypeSchema>,
    ) -> Result<Cow<'s, Instance>, ProviderError> {
        let version = schema.map_or(state.schema_version, |schema| schema.version);
        if state.schema_version == version {
            return Ok(Cow::Borrowed(&state.instance));
        }
        if state.schema_version > version {
            return Err(ProviderError::person(format!(
                "its state was written by a later version of the provider: it follows version {} \
                 of the schema, and this provider knows {version}",
                state.schema_version
            )));
        }
        let provider = self.handle(&state.provider, &state.address).await?;
        let granted = self.calls.grant([&state.instance.attributes]);
        let call = UpgradeCall {
            call: self.calls.call(&state.address, &granted),
            version: state.schema_version,
            stored: &state.instance,
        };
        let upgraded = self.calls.asking(provider.upgrade(call)).await?;
        contract::upgraded(&state.instance.attributes, &upgraded).map_err(broken)?;
        Ok(Cow::Owned(upgraded))
    }

    /// The base with every state in the form of today's schemas, and what could not be brought into
    /// it: nothing may be planned on that.
    pub(crate) async fn current<'b>(&self, stored: &'b Base) -> (Cow<'b, Base>, Observed) {
        let mut base = Cow::Borrowed(stored);
        let mut failed = Observed::default();
        for (address, state) in &stored.resources {
            let known = self
                .providers
                .type_schema(&state.provider, address.r#type());
            let same = known.is_some_and(|schema| schema.version == state.schema_version);
            if same || stored.sealed.contains(address) {
                continue;
            }
            let schema = match self.schema(&state.provider, address.r#type()).await {
                Ok(schema) => schema,
                Err(error) => {
                    let report = Report::Unreadable(error.into());
                    failed.reports.insert(address.clone(), report);
                    continue;
                }
            };
            let version = schema.as_ref().map(|schema| schema.version);
            match self.up_to_date(state, schema.as_deref()).await {
                Ok(Cow::Borrowed(_)) => {}
                Ok(Cow::Owned(instance)) => {
                    if let Some(state) = base.to_mut().resources.get_mut(address) {
                        state.instance = instance;
                        state.schema_version = version.unwrap_or(state.schema_version);
                    }
                }
                Err(error) => {
                    let report = Report::Unreadable(error.into());
                    failed.reports.insert(address.clone(), report);
                }
            }
        }
        (base, failed)
    }

    /// Makes a plan from what was observed.
    pub(crate) async fn plan_with(
        &self,
        desired: &Desired,
        base: &Base,
        observed: &Observed,
        drift: &DriftRule,
    ) -> Result<Planned, RuntimeError> {
        let wanted = desired.resources.values();
        let wanted = wanted.map(|one| (&one.provider, one.address.r#type()));
        let types = wanted.map(|(provider, r#type)| (provider.source(), r#type.clone()));
        // One that cannot be learned is asked about again, and then says why.
        let _failed = self.providers.learn(types.collect()).await;
        let (base, failed) = self.current(base).await;
        let mut observed = Cow::Borrowed(observed);
        if !failed.reports.is_empty() {
            observed.to_mut().reports.extend(failed.reports);
        }
        let schemas = self.providers.known_types();
        let sealed = self.waits.then(|| self.calls.secrets.standing());
        let input = Input {
            desired,
            base: &base,
            observed: &observed,
            schemas: &schemas,
            drift,
            sealed: sealed.as_ref().and_then(Standing::sealed),
            root: self.calls.site.root.to_str(),
            now: Some(self.calls.clock.now()),
        };
        let mut planning = match heavy(|| Planning::new(input)) {
            Ok(planning) => planning,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            let questions = heavy(|| planning.ready());
            if questions.is_empty() {
                return Ok(heavy(|| planning.finish()));
            }
            // Boxed, because the compiler cannot tell that unboxed ones may move between threads.
            let asked: Vec<BoxFuture<'_, _>> = questions
                .into_iter()
                .map(|question| self.ask(question).boxed())
                .collect();
            let answers: Vec<_> = stream::iter(asked)
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            let answers: Vec<_> = answers.into_iter().collect::<Result<_, _>>()?;
            heavy(|| {
                for (question, answer) in answers {
                    planning.answer(&question, answer);
                }
            });
        }
    }

    async fn ask<'q>(
        &self,
        question: Question<'q>,
    ) -> Result<(Question<'q>, Result<Proposal, ProviderError>), RuntimeError> {
        let answer = self.proposal(&question).await;
        Ok((question, answer))
    }

    async fn proposal(&self, question: &Question<'_>) -> Result<Proposal, ProviderError> {
        let schema = self
            .schema(question.provider, question.address.r#type())
            .await?;
        let provider = self.handle(question.provider, question.address).await?;
        let (name, address) = (question.provider, question.address);
        let calls = self.calls_of(name, address, &question.meta(), schema.as_deref());
        let desired = question.desired.as_deref();
        let prior = question.prior.map(|prior| &prior.attributes);
        let unasked = provider.capabilities().deletes;
        if let Some(reversibility) = unasked.filter(|_| desired.is_none()) {
            return Ok(Proposal {
                reversibility,
                ..Proposal::default()
            });
        }
        let named = desired.into_iter().chain(prior).chain(question.config());
        let granted = calls.grant(named);
        let notes = Notes::default();
        let call = Call {
            notes: Some(&notes),
            ..calls.call(question.address, &granted)
        };
        if question.fetch {
            return fetch(&calls, provider.as_ref(), call, desired, schema.as_deref()).await;
        }
        let call = PlanCall {
            call,
            prior: question.prior,
            desired,
            config: question.config(),
        };
        let mut proposal = calls.asking(provider.plan(call)).await?;
        contract::proposed(&proposal, desired, prior, schema.as_deref()).map_err(broken)?;
        proposal.warnings.extend(notes.take());
        Ok(proposal)
    }

    /// Makes a plan, observing only what it would touch: the cost follows the change.
    pub(crate) async fn plan(
        &self,
        desired: &Desired,
        base: &Base,
        drift: &DriftRule,
    ) -> Result<Planned, RuntimeError> {
        // What an earlier failure left in doubt is read first, wanted or not.
        let doubtful = base.resources.values().filter(|s| s.unsure || s.tainted);
        let doubtful = doubtful.filter(|state| !base.sealed.contains(&state.address));
        let doubtful = doubtful.map(|state| state.address.clone()).collect();
        let mut observed = self.observe(&doubtful, base).await?;
        loop {
            let plan = match self.plan_with(desired, base, &observed, drift).await? {
                Ok(plan) => plan,
                Err(error) => return Ok(Err(error)),
            };
            let unseen: BTreeSet<Address> = touched(&plan)
                .into_iter()
                .filter(|address| base.resources.contains_key(address))
                .filter(|address| !base.sealed.contains(address))
                .filter(|address| !observed.reports.contains_key(address))
                .collect();
            if unseen.is_empty() {
                return Ok(Ok(plan));
            }
            observed
                .reports
                .extend(self.observe(&unseen, base).await?.reports);
            if let Some(plan) = confirm(&plan, base, &observed) {
                return Ok(Ok(plan));
            }
        }
    }
}

/// The error of a provider that does not keep to its contract.
fn broken(breach: Breach) -> ProviderError {
    ProviderError::person(breach.to_string())
}

/// What a type that is only read says; unknown as long as something of what is wanted is.
async fn fetch(
    calls: &Calls<'_>,
    provider: &dyn Provider,
    call: Call<'_>,
    desired: Option<&Record>,
    schema: Option<&TypeSchema>,
) -> Result<Proposal, ProviderError> {
    let empty = Record::new();
    let config = desired.unwrap_or(&empty);
    if config.values().all(Value::is_known) {
        let said = calls
            .asking(provider.fetch(FetchCall { call, config }))
            .await?;
        contract::fetched(config, &said).map_err(broken)?;
        return Ok(Proposal {
            planned: said.attributes,
            private: said.private,
            ..Proposal::default()
        });
    }
    let mut planned = config.clone();
    for (name, attribute) in schema.into_iter().flat_map(|schema| &schema.attributes) {
        if attribute.computed && !planned.contains_key(name) {
            planned.insert(name.clone(), Value::Unknown);
        }
    }
    Ok(Proposal {
        planned,
        ..Proposal::default()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The only worker would be kept by work that waits for another task of it.
    #[test]
    fn heavy_work_keeps_no_other_task_from_its_worker() {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let work = runtime.spawn(async {
            let (sender, receiver) = std::sync::mpsc::channel();
            tokio::spawn(async move { sender.send(()) });
            heavy(|| receiver.recv_timeout(Duration::from_secs(60)))
        });
        assert_eq!(runtime.block_on(work).unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn in_a_single_thread_heavy_work_is_done_where_it_is() {
        let here = std::thread::current().id();
        assert_eq!(heavy(|| std::thread::current().id()), here);
    }
}
