//! Outcomes become Steps.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::ids::{Address, ProviderName, StepId};
use crate::kinds::Kind;
use crate::observed::{Observed, Report};
use crate::plan::{Action, BaseId, Change, Drifted, Plan, Reason, Reversibility, Step};
use crate::ports::{Base, Effect, Proposal};
use crate::resource::{Instance, Meta, Resource, ResourceState};
use crate::value::{Path, Record, Value};

use super::difference::difference;
use super::{Outcome, Planning, order};

/// A Step before it has its place in the plan; `requires` are indexes of other drafts.
pub(super) struct Draft {
    pub(super) step: Step,
    pub(super) place: Option<String>,
}

/// Puts the plan together from the outcomes.
pub(super) fn assemble(planning: Planning<'_>) -> Plan {
    let mut drafts = Vec::new();
    let mut drifted = Vec::new();
    for address in planning.stages.keys() {
        if let Some(outcome) = planning.outcome(address) {
            draft(&planning, address, outcome, &mut drafts, &mut drifted);
        }
    }
    let steps = order::arrange(&planning, drafts);
    let input = &planning.input;
    let base = BaseId {
        serial: input.base.serial,
        digest: input.base.digest(),
    };
    let blocked = planning.all_blocked();
    let plan = Plan {
        environment: input.desired.environment.clone(),
        revision: input.desired.revision.clone(),
        inputs: input.desired.inputs,
        base,
        digest: base.digest,
        steps,
        drifted,
        blocked,
        resources: input.desired.resources.len() as u64,
    };
    observed(plan, input.observed)
}

/// The plan with the digest that these observations give it.
fn observed(plan: Plan, observed: &Observed) -> Plan {
    let Plan {
        inputs,
        base,
        steps,
        blocked,
        ..
    } = &plan;
    let digest = Digest::of_json(&(inputs, base.digest, observed, steps, blocked));
    Plan { digest, ..plan }
}

/// The plan that would be made with `seen`, where all of it is as the state says: then it is the
/// same plan, made from more. `None` where something differs, and the plan must be made again.
pub(super) fn confirm(plan: &Plan, base: &Base, seen: &Observed) -> Option<Plan> {
    let as_known = |(address, report): (&Address, &Report)| {
        let known = base.resources.get(address).map(|state| &state.instance);
        matches!(report, Report::Present(instance) if Some(instance) == known)
    };
    let all = seen.reports.iter().all(as_known);
    all.then(|| observed(plan.clone(), seen))
}

fn draft(
    planning: &Planning<'_>,
    address: &Address,
    outcome: &Outcome,
    drafts: &mut Vec<Draft>,
    drifted: &mut Vec<Drifted>,
) {
    let sketch = Sketch::of(planning, address);
    let state = planning.state(address);
    match outcome {
        Outcome::Nothing { drifted: found } => drifted.extend(found.clone()),
        Outcome::Blocked(_) => {}
        Outcome::Remember => drafts.push(sketch.remember(state)),
        Outcome::Create { proposal, gone } => {
            let reason = if *gone { Reason::Gone } else { Reason::New };
            drafts.push(sketch.forward(Action::Create, reason, None, proposal));
        }
        Outcome::Adopt { proposal, id } => {
            let reason = Reason::Adopted(id.clone());
            drafts.push(sketch.forward(Action::Adopt, reason, None, proposal));
        }
        Outcome::Update { proposal } => {
            let prior = planning.current(address);
            let applied = state.map(|state| &state.instance.attributes);
            let drift = prior.map(|prior| &prior.attributes) != applied
                && applied == Some(&proposal.planned);
            let reason = if drift {
                Reason::Drifted
            } else {
                Reason::Changed
            };
            drafts.push(sketch.forward(Action::Update, reason, prior, proposal));
        }
        Outcome::Replace {
            new,
            removal,
            replaced,
        } => {
            let tainted = state.is_some_and(|state| state.tainted);
            let reason = if tainted && replaced.replace.is_empty() {
                Reason::Tainted
            } else {
                Reason::CannotChange(replaced.replace.clone())
            };
            let prior = planning.current(address);
            drafts.push(sketch.backward(Action::Remove, reason.clone(), prior, removal, state));
            let mut make = sketch.forward(Action::Make, reason, None, new);
            make.step.changes = sketch.changes(prior, Some(&new.planned));
            drafts.push(make);
        }
        Outcome::Delete { proposal } => {
            let prior = planning.current(address);
            let reason = Reason::NotInRepository;
            drafts.push(sketch.backward(Action::Delete, reason, prior, proposal, state));
        }
        Outcome::Forget => {
            let proposal = Proposal {
                planned: Record::new(),
                replace: Vec::new(),
                reversibility: Reversibility::Reversible,
            };
            let reason = Reason::NotInRepository;
            let mut draft = sketch.backward(Action::Delete, reason, None, &proposal, state);
            draft.step.effect = Effect::StateOnly;
            drafts.push(draft);
        }
    }
}

/// What all steps of one resource share.
struct Sketch<'a> {
    planning: &'a Planning<'a>,
    address: &'a Address,
    resource: Option<&'a Resource>,
}

impl<'a> Sketch<'a> {
    fn of(planning: &'a Planning<'_>, address: &'a Address) -> Self {
        Self {
            planning,
            address,
            resource: planning.input.desired.resources.get(address),
        }
    }

    fn forward(
        &self,
        action: Action,
        reason: Reason,
        prior: Option<&Instance>,
        proposal: &Proposal,
    ) -> Draft {
        let mut draft = self.blank(action, reason, proposal.reversibility);
        draft.step.changes = self.changes(prior, Some(&proposal.planned));
        draft.step.prior = prior.cloned();
        draft.step.desired = self.resource.map(|resource| resource.attributes.clone());
        draft.place = self.place(Some(&proposal.planned));
        draft.step.planned = Some(proposal.planned.clone());
        draft
    }

    fn backward(
        &self,
        action: Action,
        reason: Reason,
        prior: Option<&Instance>,
        proposal: &Proposal,
        state: Option<&ResourceState>,
    ) -> Draft {
        let mut draft = self.blank(action, reason, proposal.reversibility);
        draft.step.changes = self.changes(prior, None);
        draft.step.prior = prior.cloned();
        draft.place = self.place(prior.map(|prior| &prior.attributes));
        if let Some(state) = state {
            draft.step.meta = state.meta.clone();
            draft.step.provider = state.provider.clone();
            draft.step.kind = state.kind;
        }
        draft
    }

    /// Only what stratum remembers changes; the provider is not called.
    fn remember(&self, state: Option<&ResourceState>) -> Draft {
        let mut draft = self.blank(
            Action::Update,
            Reason::Remembered,
            Reversibility::Reversible,
        );
        let current = self.planning.current(self.address);
        draft.step.effect = Effect::StateOnly;
        draft.step.prior = current.cloned();
        draft.step.desired = self.resource.map(|resource| resource.attributes.clone());
        draft.step.planned = current.map(|instance| instance.attributes.clone());
        draft.step.changes = self.remembered(state);
        draft
    }

    /// The changes of settings and dependencies, as people read them.
    fn remembered(&self, state: Option<&ResourceState>) -> Vec<Change> {
        let now = self.resource.map(|resource| &resource.meta);
        let before = state.map(|state| (&state.meta, &state.depends_on));
        let depends_on = self.planning.depends_on(self.address);
        let record = |meta: Option<&Meta>, depends_on: Option<&Vec<_>>| {
            let mut record = Record::new();
            for (key, value) in [
                (
                    "meta",
                    meta.and_then(|meta| serde_json::to_value(meta).ok()),
                ),
                (
                    "depends_on",
                    depends_on.and_then(|list| serde_json::to_value(list).ok()),
                ),
            ] {
                if let Some(value) = value.and_then(|value| Value::try_from(value).ok()) {
                    record.insert(key.to_owned(), value);
                }
            }
            record
        };
        let before = record(before.map(|b| b.0), before.map(|b| b.1));
        difference(
            Some(&before),
            Some(&record(now, Some(&depends_on))),
            None,
            self.resource,
        )
    }

    fn blank(&self, action: Action, reason: Reason, reversibility: Reversibility) -> Draft {
        let schema = self.planning.input.schema(self.address.r#type());
        let state = self.planning.state(self.address);
        let provider = self
            .resource
            .map(|r| &r.provider)
            .or(state.map(|state| &state.provider));
        let kind = self
            .resource
            .map(|r| r.kind)
            .or(state.map(|state| state.kind));
        let step = Step {
            id: StepId(0),
            address: self.address.clone(),
            kind: kind.unwrap_or(Kind::Infrastructure),
            provider: provider.cloned().unwrap_or_else(ProviderName::unknown),
            action,
            pair: None,
            reversibility,
            effect: schema.map_or(Effect::World, |schema| schema.effect),
            reason,
            changes: Vec::new(),
            requires: Vec::new(),
            prior: None,
            desired: None,
            planned: None,
            meta: self
                .resource
                .map(|resource| resource.meta.clone())
                .unwrap_or_default(),
            source: self
                .resource
                .and_then(|r| r.source(&Path::default()))
                .cloned(),
        };
        Draft { step, place: None }
    }

    fn changes(&self, before: Option<&Instance>, after: Option<&Record>) -> Vec<Change> {
        let schema = self.planning.input.schema(self.address.r#type());
        let before = before.map(|instance| &instance.attributes);
        difference(before, after, schema, self.resource)
    }

    fn place(&self, attributes: Option<&Record>) -> Option<String> {
        let attribute = self
            .planning
            .input
            .schema(self.address.r#type())?
            .place
            .as_ref()?;
        attributes?.get(attribute)?.as_text().map(order::normal)
    }
}

/// Drafts by address: the step that makes or changes it, and the one that takes it away.
#[derive(Default)]
pub(super) struct ByAddress<'a> {
    pub(super) forward: BTreeMap<&'a Address, usize>,
    pub(super) backward: BTreeMap<&'a Address, usize>,
}

impl<'a> ByAddress<'a> {
    pub(super) fn of(drafts: &'a [Draft]) -> Self {
        let mut found = Self::default();
        for (index, draft) in drafts.iter().enumerate() {
            let side = match draft.step.action {
                Action::Create | Action::Update | Action::Adopt | Action::Make => {
                    &mut found.forward
                }
                Action::Delete | Action::Remove => &mut found.backward,
            };
            side.insert(&draft.step.address, index);
        }
        found
    }
}
