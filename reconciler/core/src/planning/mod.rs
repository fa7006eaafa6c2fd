//! Making a Plan: a pure machine that asks providers and puts their answers together.
//!
//! Providers are asked through [`Planning::ready`] and answered through [`Planning::answer`], so
//! that whoever drives it may ask many at once; the plan does not depend on the order of answers.
//! [`plan`] drives it with a function.

mod difference;
mod order;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::desired::Desired;
use crate::finding::{Finding, codes};
use crate::graph::Graph;
use crate::ids::{Address, LocalAddress, ProviderName, TypeName};
use crate::observed::{Observed, Report};
use crate::plan::{Blocked, Drifted, Plan};
use crate::ports::{Base, Proposal, ProviderError, ProviderSchema, TypeSchema};
use crate::resource::{Instance, Resource, ResourceState, depends_on};
use crate::settings::DriftMode;
use crate::value::{Record, Reference, Value, resolve_record};

use difference::difference;

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What the revision says.
    pub desired: &'a Desired,
    /// What stratum knows.
    pub base: &'a Base,
    /// What providers report; addresses that are absent stand as stratum knows them.
    pub observed: &'a Observed,
    /// The schemas of the providers.
    pub schemas: &'a [&'a ProviderSchema],
    /// What is done about drift.
    pub drift: &'a DriftRule,
    /// Why secrets cannot be opened, when they cannot: what needs one waits.
    pub sealed: Option<&'a str>,
}

/// Why nothing is planned on a resource whose state cannot be read.
const SEALED: &str = "its state is sealed until the reconciler is unsealed";

/// What is done about drift where neither resource nor attribute says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DriftRule {
    /// The mode of the environment.
    pub mode: DriftMode,
    /// Resources that someone else keeps changing back: their drift is reported, not corrected.
    pub fought: BTreeSet<Address>,
}

impl From<DriftMode> for DriftRule {
    fn from(mode: DriftMode) -> Self {
        Self {
            mode,
            fought: BTreeSet::new(),
        }
    }
}

/// Whether anything of a resource is a secret.
fn names_secret(resource: &Resource) -> bool {
    resource.attributes.values().any(Value::holds_secret)
}

impl<'a> Input<'a> {
    fn schema(&self, r#type: &TypeName) -> Option<&'a TypeSchema> {
        self.schemas
            .iter()
            .find_map(|schema| schema.types.get(r#type))
    }
}

/// One question to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The resource.
    pub address: Address,
    /// Who is asked.
    pub provider: ProviderName,
    /// What is there; `None` for a create.
    pub prior: Option<Instance>,
    /// What is wanted, possibly with unknowns; `None` for a delete.
    pub desired: Option<Record>,
    /// The id to adopt instead, where the repository names one.
    pub adopt: Option<String>,
}

/// Why a plan could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The desired resources or a provider's answers have errors.
    #[error("{}", .0.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("; "))]
    Findings(Vec<Finding>),
}

/// What is being found out about one resource.
#[derive(Debug, Clone)]
enum Stage {
    /// It waits for this many dependencies to be planned.
    Waiting(usize),
    /// Drift is to be left alone: would the resource change without it?
    AskedIgnoringDrift,
    /// What would an update (or a create) give?
    Asked,
    /// It is replaced: what would the new one be?
    AskedNew { replaced: Box<Proposal> },
    /// It is replaced: what would taking the old one away mean?
    AskedRemoval {
        new: Box<Proposal>,
        replaced: Box<Proposal>,
    },
    /// It is deleted.
    AskedDelete,
    /// Everything is known.
    Planned(Box<Outcome>),
}

/// What is to be done about one resource.
#[derive(Debug, Clone)]
enum Outcome {
    Nothing {
        drifted: Option<Drifted>,
    },
    Blocked(String),
    Remember,
    Create {
        proposal: Proposal,
        gone: bool,
    },
    Adopt {
        proposal: Proposal,
        id: String,
    },
    Update {
        proposal: Proposal,
    },
    Replace {
        new: Proposal,
        removal: Proposal,
        replaced: Proposal,
    },
    Delete {
        proposal: Proposal,
    },
    Forget,
}

/// The machine that makes one Plan.
#[derive(Debug)]
pub struct Planning<'a> {
    input: Input<'a>,
    graph: Graph,
    dependants: BTreeMap<&'a Address, Vec<&'a Address>>,
    stages: BTreeMap<&'a Address, Stage>,
    /// What each planned resource will be, for those that refer to it.
    values: BTreeMap<&'a Address, Record>,
    questions: Vec<Question>,
    findings: Vec<Finding>,
}

impl<'a> Planning<'a> {
    /// Begins a plan.
    ///
    /// *Errors*: dangling references and circles.
    pub fn new(input: Input<'a>) -> Result<Self, PlanError> {
        let (graph, findings) = Graph::build(&input.desired.resources);
        if !findings.is_empty() {
            return Err(PlanError::Findings(findings));
        }
        let mut dependants: BTreeMap<&Address, Vec<&Address>> = BTreeMap::new();
        let mut stages = BTreeMap::new();
        for address in input.desired.resources.keys() {
            let required = graph.dependencies.get(address).into_iter().flatten();
            stages.insert(address, Stage::Waiting(required.clone().count()));
            for target in required {
                if let Some((key, _)) = input.desired.resources.get_key_value(target) {
                    dependants.entry(key).or_default().push(address);
                }
            }
        }
        let mut planning = Self {
            input,
            graph,
            dependants,
            stages,
            values: BTreeMap::new(),
            questions: Vec::new(),
            findings: Vec::new(),
        };
        planning.begin();
        Ok(planning)
    }

    fn begin(&mut self) {
        let free: Vec<&Address> = self
            .stages
            .iter()
            .filter(|(_, stage)| matches!(stage, Stage::Waiting(0)))
            .map(|(address, _)| *address)
            .collect();
        free.into_iter().for_each(|address| self.open(address));
        let desired = &self.input.desired.resources;
        let base = self.input.base;
        for (address, state) in base
            .resources
            .iter()
            .filter(|(a, _)| !desired.contains_key(a))
        {
            self.open_removal(address, state);
        }
    }

    /// The questions that can be answered now; each is given out once.
    pub fn ready(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.questions)
    }

    /// All dependencies of `address` are planned: asks its provider.
    fn open(&mut self, address: &'a Address) {
        let Some(resource) = self.input.desired.resources.get(address) else {
            return;
        };
        if let Some(reason) = self.blocked(address, resource) {
            return self.settle(address, Outcome::Blocked(reason));
        }
        let mut desired =
            resolve_record(&resource.attributes, &|reference| self.look_up(reference));
        let drift = self.drift(address, resource);
        let current = self.current(address);
        if let (Some(drift), Some(current)) = (&drift, current) {
            drift.keep_left(&mut desired, current);
        }
        let leave = drift.as_ref().is_some_and(|drift| drift.leave);
        let (stage, prior) = match drift {
            Some(drift) if leave => (Stage::AskedIgnoringDrift, Some(drift.applied.clone())),
            _ => (Stage::Asked, current.cloned()),
        };
        let adopt = resource
            .meta
            .adopt
            .clone()
            .filter(|_| self.state(address).is_none_or(|s| s.unknown.is_some()));
        self.stages.insert(address, stage);
        self.questions.push(Question {
            address: address.clone(),
            provider: resource.provider.clone(),
            prior: prior.filter(|_| adopt.is_none()),
            desired: Some(desired),
            adopt,
        });
    }

    fn open_removal(&mut self, address: &'a Address, state: &'a ResourceState) {
        if let Some(reason) = &state.unknown {
            let reason = format!("nobody knows what became of it: {reason}");
            return self.settle(address, Outcome::Blocked(reason));
        }
        if self.input.base.sealed.contains(address) {
            return self.settle(address, Outcome::Blocked(SEALED.to_owned()));
        }
        match self.input.observed.reports.get(address) {
            Some(Report::Gone) => self.settle(address, Outcome::Forget),
            Some(Report::Unreadable(why)) => {
                self.settle(
                    address,
                    Outcome::Blocked(format!("it cannot be read: {why}")),
                );
            }
            Some(Report::Present(_)) | None => {
                self.stages.insert(address, Stage::AskedDelete);
                self.questions.push(Question {
                    address: address.clone(),
                    provider: state.provider.clone(),
                    prior: self.current(address).cloned(),
                    desired: None,
                    adopt: None,
                });
            }
        }
    }

    /// Why nothing can be done about a resource, if so.
    fn blocked(&self, address: &Address, resource: &Resource) -> Option<String> {
        if let Some(reason) = self.state(address).and_then(|state| state.unknown.as_ref())
            && resource.meta.adopt.is_none()
        {
            return Some(format!("nobody knows what became of it: {reason}"));
        }
        if self.input.base.sealed.contains(address) {
            return Some(SEALED.to_owned());
        }
        let makes = self.input.schema(address.r#type());
        let makes = makes.is_some_and(TypeSchema::makes_secrets);
        let needs = makes || names_secret(resource);
        if let Some(why) = self.input.sealed.filter(|_| needs) {
            return Some(format!(
                "it needs a secret, and the reconciler is sealed: {why}"
            ));
        }
        if let Some(Report::Unreadable(why)) = self.input.observed.reports.get(address) {
            return Some(format!("it cannot be read: {why}"));
        }
        let required = self.graph.dependencies.get(address).into_iter().flatten();
        required
            .filter(|target| matches!(self.outcome(target), Some(Outcome::Blocked(_))))
            .map(|target| format!("it depends on `{target}`, which waits"))
            .next()
    }

    fn state(&self, address: &Address) -> Option<&'a ResourceState> {
        self.input.base.resources.get(address)
    }

    /// What is there, as far as is known.
    fn current(&self, address: &Address) -> Option<&'a Instance> {
        let state = self.input.base.resources.get(address)?;
        match self.input.observed.reports.get(address) {
            Some(Report::Present(instance)) => Some(instance),
            Some(Report::Gone) => None,
            Some(Report::Unreadable(_)) | None => Some(&state.instance),
        }
    }

    fn outcome(&self, address: &Address) -> Option<&Outcome> {
        match self.stages.get(address)? {
            Stage::Planned(outcome) => Some(outcome),
            Stage::Waiting(_)
            | Stage::AskedIgnoringDrift
            | Stage::Asked
            | Stage::AskedNew { .. }
            | Stage::AskedRemoval { .. }
            | Stage::AskedDelete => None,
        }
    }

    fn look_up(&self, reference: &Reference) -> Option<Value> {
        let environment = self.input.desired.environment.clone();
        let target = Address {
            environment,
            local: reference.resource.clone(),
        };
        let value = reference.path.find(self.values.get(&target)?)?;
        Some(value.clone())
    }

    /// How the world differs from what was applied, and whether it is to be left so.
    fn drift(&self, address: &Address, resource: &Resource) -> Option<Drift<'a>> {
        let state = self.state(address)?;
        let applied = &state.instance;
        let schema = self.input.schema(address.r#type());
        let report = self.input.observed.reports.get(address)?;
        let seen = match report {
            Report::Present(seen) => Some(&seen.attributes),
            Report::Gone => None,
            Report::Unreadable(_) => return None,
        };
        let changes = difference(Some(&applied.attributes), seen, schema, Some(resource));
        if changes.is_empty() {
            return None;
        }
        let mode_of = |attribute: Option<&str>| self.mode_of(resource, attribute);
        let unsure = state.unsure || state.tainted;
        let is_left = |attribute: &str| !unsure && mode_of(Some(attribute)) != DriftMode::Correct;
        let leave = match seen {
            Some(_) => changes
                .iter()
                .all(|change| is_left(change.path.attribute())),
            None => !unsure && mode_of(None) != DriftMode::Correct,
        };
        let left = changes.iter().map(|change| change.path.attribute());
        let left = left
            .filter(|attribute| is_left(attribute))
            .map(str::to_owned)
            .collect();
        let shown: Vec<_> = changes
            .into_iter()
            .filter(|change| mode_of(Some(change.path.attribute())) != DriftMode::Ignore)
            .collect();
        let drifted = (!shown.is_empty()).then(|| Drifted {
            address: address.clone(),
            changes: shown,
        });
        Some(Drift {
            applied,
            leave,
            left,
            drifted,
        })
    }

    /// What is done about drift of an attribute, or of the whole resource.
    fn mode_of(&self, resource: &Resource, attribute: Option<&str>) -> DriftMode {
        let own = resource.meta.drift.as_ref();
        let field = attribute.and_then(|name| own?.fields.get(name)).copied();
        let whole = own
            .and_then(|drift| drift.mode)
            .unwrap_or(self.input.drift.mode);
        match field.unwrap_or(whole) {
            DriftMode::Correct if self.input.drift.fought.contains(&resource.address) => {
                DriftMode::Report
            }
            mode => mode,
        }
    }

    /// A provider's answer to a question of [`Planning::ready`].
    pub fn answer(&mut self, question: &Question, answer: Result<Proposal, ProviderError>) {
        let key = self
            .stages
            .get_key_value(&question.address)
            .map(|(key, _)| *key);
        let Some(address) = key else { return };
        let proposal = match answer {
            Ok(proposal) => proposal,
            Err(error) if error.waits => {
                return self.settle(address, Outcome::Blocked(error.message));
            }
            Err(error) => return self.refuse(address, &error),
        };
        let stage = self.stages.get(address).cloned();
        match stage {
            Some(Stage::AskedIgnoringDrift) => self.answer_ignoring_drift(address, proposal),
            Some(Stage::Asked) => self.answer_first(address, question, proposal),
            Some(Stage::AskedNew { replaced }) => {
                let stage = Stage::AskedRemoval {
                    new: Box::new(proposal),
                    replaced,
                };
                self.ask_again(address, stage, self.current(address).cloned(), None);
            }
            Some(Stage::AskedRemoval { new, replaced }) => {
                let outcome = Outcome::Replace {
                    new: *new,
                    removal: proposal,
                    replaced: *replaced,
                };
                self.settle(address, outcome);
            }
            Some(Stage::AskedDelete) => self.settle(address, Outcome::Delete { proposal }),
            Some(Stage::Waiting(_) | Stage::Planned(_)) | None => {}
        }
    }

    fn refuse(&mut self, address: &'a Address, error: &ProviderError) {
        let message = format!("`{address}` cannot be planned: {}", error.message);
        let mut finding = Finding::error(&codes::UNPLANNABLE, message);
        let resource = self.input.desired.resources.get(address);
        finding.source = resource
            .and_then(|resource| resource.source(&Default::default()))
            .cloned();
        self.findings.push(finding);
        self.settle(address, Outcome::Blocked(error.message.clone()));
    }

    fn answer_ignoring_drift(&mut self, address: &'a Address, proposal: Proposal) {
        let Some(resource) = self.input.desired.resources.get(address) else {
            return;
        };
        let Some(drift) = self.drift(address, resource) else {
            return;
        };
        if proposal.replace.is_empty() && proposal.planned == drift.applied.attributes {
            let unchanged = self.is_remembered(address, resource);
            let outcome = if unchanged {
                Outcome::Nothing {
                    drifted: drift.drifted,
                }
            } else {
                Outcome::Remember
            };
            return self.settle(address, outcome);
        }
        let desired = resolve_record(&resource.attributes, &|reference| self.look_up(reference));
        self.ask_again(
            address,
            Stage::Asked,
            self.current(address).cloned(),
            Some(desired),
        );
    }

    fn answer_first(&mut self, address: &'a Address, question: &Question, proposal: Proposal) {
        let Some(resource) = self.input.desired.resources.get(address) else {
            return;
        };
        if let Some(id) = question.adopt.clone() {
            return self.settle(address, Outcome::Adopt { proposal, id });
        }
        let Some(prior) = &question.prior else {
            let gone = self.state(address).is_some();
            return self.settle(address, Outcome::Create { proposal, gone });
        };
        let tainted = self.state(address).is_some_and(|state| state.tainted);
        if tainted || !proposal.replace.is_empty() {
            let stage = Stage::AskedNew {
                replaced: Box::new(proposal),
            };
            return self.ask_again(address, stage, None, question.desired.clone());
        }
        let same = proposal.planned == prior.attributes;
        let applied = self.state(address).map(|state| &state.instance);
        let outcome = if !same {
            Outcome::Update { proposal }
        } else if applied == Some(prior) && self.is_remembered(address, resource) {
            Outcome::Nothing { drifted: None }
        } else {
            Outcome::Remember
        };
        self.settle(address, outcome);
    }

    /// Whether the state holds the resource's dependencies and settings as they are now.
    fn is_remembered(&self, address: &Address, resource: &Resource) -> bool {
        self.state(address).is_some_and(|state| {
            state.meta == resource.meta
                && state.depends_on == self.depends_on(address)
                && state.provider == resource.provider
                && !state.unsure
                && !state.tainted
        })
    }

    fn depends_on(&self, address: &Address) -> Vec<LocalAddress> {
        let resource = self.input.desired.resources.get(address);
        resource
            .map(|r| depends_on(&r.attributes, &r.meta))
            .unwrap_or_default()
    }

    fn ask_again(
        &mut self,
        address: &'a Address,
        stage: Stage,
        prior: Option<Instance>,
        desired: Option<Record>,
    ) {
        let desired_provider = self
            .input
            .desired
            .resources
            .get(address)
            .map(|r| &r.provider);
        let state_provider = self.state(address).map(|state| &state.provider);
        let provider = if desired.is_none() {
            state_provider.or(desired_provider)
        } else {
            desired_provider.or(state_provider)
        };
        let Some(provider) = provider.cloned() else {
            return;
        };
        self.stages.insert(address, stage);
        let address = address.clone();
        self.questions.push(Question {
            address,
            provider,
            prior,
            desired,
            adopt: None,
        });
    }

    /// Everything about `address` is known: remembers it and wakes what waits for it.
    fn settle(&mut self, address: &'a Address, outcome: Outcome) {
        let value = match &outcome {
            Outcome::Create { proposal, .. }
            | Outcome::Adopt { proposal, .. }
            | Outcome::Update { proposal } => Some(proposal.planned.clone()),
            Outcome::Replace { new, .. } => Some(new.planned.clone()),
            Outcome::Nothing { .. } | Outcome::Remember => self
                .state(address)
                .map(|state| state.instance.attributes.clone()),
            Outcome::Blocked(_) | Outcome::Delete { .. } | Outcome::Forget => None,
        };
        if let Some(value) = value {
            self.values.insert(address, value);
        }
        self.stages
            .insert(address, Stage::Planned(Box::new(outcome)));
        let mut free = Vec::new();
        for dependant in self.dependants.get(address).into_iter().flatten() {
            if let Some(Stage::Waiting(missing)) = self.stages.get_mut(dependant) {
                *missing = missing.saturating_sub(1);
                if *missing == 0 {
                    free.push(*dependant);
                }
            }
        }
        free.into_iter().for_each(|dependant| self.open(dependant));
    }

    /// Puts the plan together.
    ///
    /// *Errors*: what providers refused to plan.
    pub fn finish(self) -> Result<Plan, PlanError> {
        if !self.findings.is_empty() {
            return Err(PlanError::Findings(self.findings));
        }
        Ok(steps::assemble(self))
    }

    /// Resources that nothing can be done about, with why.
    fn all_blocked(&self) -> Vec<Blocked> {
        let outcomes = self
            .stages
            .keys()
            .filter_map(|a| Some((*a, self.outcome(a)?)));
        outcomes
            .filter_map(|(address, outcome)| match outcome {
                Outcome::Blocked(reason) => Some(Blocked {
                    address: address.clone(),
                    reason: reason.clone(),
                }),
                Outcome::Nothing { .. }
                | Outcome::Remember
                | Outcome::Create { .. }
                | Outcome::Adopt { .. }
                | Outcome::Update { .. }
                | Outcome::Replace { .. }
                | Outcome::Delete { .. }
                | Outcome::Forget => None,
            })
            .collect()
    }
}

struct Drift<'a> {
    applied: &'a Instance,
    /// Nothing of it is corrected.
    leave: bool,
    /// The attributes that are not corrected.
    left: BTreeSet<String>,
    drifted: Option<Drifted>,
}

impl Drift<'_> {
    /// Wants what is there for the attributes that are not corrected and that nobody changed.
    fn keep_left(&self, desired: &mut Record, current: &Instance) {
        for name in self.left.iter().filter(|_| !self.leave) {
            let unchanged = desired.get(name) == self.applied.attributes.get(name);
            if let (true, Some(seen)) = (unchanged, current.attributes.get(name)) {
                desired.insert(name.clone(), seen.clone());
            }
        }
    }
}

/// Makes a plan, asking providers through `propose` one after the other.
///
/// *Guarantees*: pure as far as `propose` is; the same inputs give the same bytes and digest.
pub fn plan(
    input: Input<'_>,
    mut propose: impl FnMut(&Question) -> Result<Proposal, ProviderError>,
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
    plan.steps.iter().map(|step| step.address.clone()).collect()
}

#[cfg(test)]
mod tests;
