//! Making a Plan: a pure machine that asks providers and puts their answers together.
//!
//! Providers are asked through [`Planning::ready`] and answered through [`Planning::answer`], so
//! that whoever drives it may ask many at once; the plan does not depend on the order of answers.
//! [`plan`] drives it with a function.

mod difference;
mod machine;
mod order;
mod places;
mod steps;
mod subject;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use crate::desired::Desired;
use crate::finding::Finding;
use crate::ids::{Address, ProviderName, TypeName};
use crate::observed::Observed;
use crate::plan::Plan;
use crate::ports::{Base, Proposal, ProviderError, ProviderSchema, Retry, TypeSchema};
use crate::resource::{Instance, Meta};
use crate::settings::DriftMode;
use crate::value::Record;

pub use machine::Planning;
pub use subject::{decisive, is_settable};

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What the revision says.
    pub desired: &'a Desired,
    /// What stratum knows.
    pub base: &'a Base,
    /// What providers report; addresses that are absent stand as stratum knows them.
    pub observed: &'a Observed,
    /// The types of the resources.
    pub schemas: &'a Schemas,
    /// What is done about drift.
    pub drift: &'a DriftRule,
    /// Why secrets cannot be opened, when they cannot: what needs one waits.
    pub sealed: Option<&'a str>,
    /// Where relative places of the environment lie, where that is known; absolute.
    pub root: Option<&'a str>,
    /// The time (UTC), for what must be renewed or has ended; `None` where that is not asked.
    pub now: Option<Timestamp>,
}

/// What is done about drift where neither resource nor attribute says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DriftRule {
    /// The mode of the environment.
    pub mode: DriftMode,
    /// Resources that someone else keeps changing back: their drift is reported, not corrected.
    pub fought: BTreeSet<Address>,
    /// Resources whose correction failed a moment ago: they are not corrected and not started.
    pub left: BTreeSet<Address>,
}

impl From<DriftMode> for DriftRule {
    fn from(mode: DriftMode) -> Self {
        Self {
            mode,
            fought: BTreeSet::new(),
            left: BTreeSet::new(),
        }
    }
}

impl<'a> Input<'a> {
    /// The type of this name of a provider.
    fn schema(&self, provider: &ProviderName, r#type: &TypeName) -> Option<&'a TypeSchema> {
        let source = provider.source();
        let found = self.schemas.get(&(source, r#type.clone()));
        found.map(AsRef::as_ref)
    }
}

/// Types by provider and name; two providers may have types of one name.
pub type Schemas = BTreeMap<(ProviderName, TypeName), Arc<TypeSchema>>;

/// The types that are built into providers.
pub fn built_in<'s>(schemas: impl IntoIterator<Item = &'s ProviderSchema>) -> Schemas {
    let all = schemas.into_iter().flat_map(|schema| {
        let types = schema.types.iter();
        types.map(|(name, r#type)| {
            let key = (schema.provider.clone(), name.clone());
            (key, Arc::new(r#type.clone()))
        })
    });
    all.collect()
}

/// One question to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question<'a> {
    /// Which subject of the planning it is about.
    subject: usize,
    /// The resource.
    pub address: &'a Address,
    /// The settings of the resource.
    meta: Option<&'a Meta>,
    /// Who is asked.
    pub provider: &'a ProviderName,
    /// What is there; `None` for a create.
    pub prior: Option<&'a Instance>,
    /// What is wanted, possibly with unknowns; `None` for a delete.
    pub desired: Option<Cow<'a, Record>>,
    /// What the repository says of it, where that is not what is wanted.
    config: Option<Cow<'a, Record>>,
    /// The id to adopt instead, where the repository names one.
    pub adopt: Option<&'a str>,
    /// Its type is only read: what it says is fetched, once all that is wanted is known.
    pub fetch: bool,
}

impl<'a> Question<'a> {
    /// The settings of the resource: as the revision has them, or the state.
    pub fn meta(&self) -> Cow<'a, Meta> {
        self.meta.map_or_else(Default::default, Cow::Borrowed)
    }

    /// What the repository says, possibly with unknowns, and nothing else; `None` for a delete.
    pub fn config(&self) -> Option<&Record> {
        self.config.as_deref().or(self.desired.as_deref())
    }
}

/// Why a plan could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", .findings.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("; "))]
pub struct PlanError {
    /// What is wrong with the desired resources, or what providers answered.
    pub findings: Vec<Finding>,
    /// When it may be otherwise: [`Retry::Later`] says that it cannot be planned *for now*, and
    /// that nothing is wrong with the input.
    pub retry: Retry,
}

impl PlanError {
    /// The input is wrong.
    pub fn input(findings: Vec<Finding>) -> Self {
        Self {
            findings,
            retry: Retry::WhenInputChanges,
        }
    }
}

/// Makes a plan, asking providers through `propose` one after the other.
///
/// *Guarantees*: pure as far as `propose` is; the same inputs give the same bytes and digest.
pub fn plan(
    input: Input<'_>,
    mut propose: impl FnMut(&Question<'_>) -> Result<Proposal, ProviderError>,
) -> Result<Plan, PlanError> {
    let mut planning = Planning::new(input)?;
    loop {
        let questions = planning.ready();
        if questions.is_empty() {
            return planning.finish();
        }
        for question in questions {
            let answer = propose(&question);
            planning.answer(&question, answer);
        }
    }
}

/// The plan that would be made on `base` with `seen`, if all of that is as `base` says; `None`
/// where something differs. `plan` was made with some of `seen`, and of that nothing differed
/// either.
pub fn confirm(plan: &Plan, base: &Base, seen: &Observed) -> Option<Plan> {
    steps::confirm(plan, base, seen)
}

/// The addresses a plan acts on; those worth observing before it is made for good.
pub fn touched(plan: &Plan) -> BTreeSet<Address> {
    let steps = plan.steps.iter();
    let named = steps.flat_map(|step| [Some(&step.address), step.from.as_ref()]);
    named.flatten().cloned().collect()
}

#[cfg(test)]
mod tests;
