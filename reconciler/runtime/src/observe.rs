//! Asking providers: what is there, and what would be done.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use stratum_core::desired::Desired;
use stratum_core::ids::Address;
use stratum_core::observed::{Observed, Report};
use stratum_core::plan::Plan;
use stratum_core::planning::{DriftRule, Input, PlanError, Planning, Question, confirm, touched};
use stratum_core::ports::{Base, PlanCall, Proposal, ProviderError, ReadCall, Standing, contract};
use stratum_core::resource::ResourceState;

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
        let provider = self.providers.get(&state.provider)?;
        let known = &state.instance.attributes;
        let granted = self.calls.grant([known]);
        let read = provider.read(ReadCall {
            call: self.calls.call(&state.address, &granted),
            known: &state.instance,
        });
        let reading = self.calls.asking(read).await;
        let reading = reading.and_then(|reading| match contract::read(known, &reading) {
            Ok(()) => Ok(reading),
            Err(breach) => Err(ProviderError::person(breach.to_string())),
        });
        let report = Report::from(reading);
        Ok((state.address.clone(), report))
    }

    /// Makes a plan from what was observed.
    pub(crate) async fn plan_with(
        &self,
        desired: &Desired,
        base: &Base,
        observed: &Observed,
        drift: &DriftRule,
    ) -> Result<Planned, RuntimeError> {
        let schemas = self.providers.schemas();
        let sealed = self.waits.then(|| self.calls.secrets.standing());
        let input = Input {
            desired,
            base,
            observed,
            schemas: &schemas,
            drift,
            sealed: sealed.as_ref().and_then(Standing::sealed),
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
        let provider = self.providers.get(question.provider)?;
        let desired = question.desired.as_deref();
        let prior = question.prior.map(|prior| &prior.attributes);
        let granted = self.calls.grant(desired.into_iter().chain(prior));
        let call = PlanCall {
            call: self.calls.call(question.address, &granted),
            prior: question.prior,
            desired,
        };
        let answer = self.calls.asking(provider.plan(call)).await;
        let schema = provider.schema().types.get(question.address.r#type());
        let answer = answer.and_then(|proposal| {
            let kept = contract::proposed(&proposal, desired, prior, schema);
            kept.map_err(|breach| ProviderError::person(breach.to_string()))?;
            Ok(proposal)
        });
        Ok((question, answer))
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
