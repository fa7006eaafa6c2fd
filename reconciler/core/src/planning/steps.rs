//! Outcomes become Steps.

use crate::digest::Digest;
use crate::ids::{Address, ProviderName, StepId};
use crate::kinds::Kind;
use crate::observed::{Observed, Report};
use crate::place::Place;
use crate::plan::{Action, BaseId, Blocked, Change, Plan, Reason, Reversibility, Step};
use crate::ports::{Base, Effect, Proposal};
use crate::resource::{Instance, Meta, Opaque, depends_on};
use crate::value::{Marks, Path, Record, Value, with_kept};

use super::Input;
use super::difference::difference;
use super::machine::{Outcome, Planning};
use super::order;
use super::places;
use super::subject::{Subject, is_settable};

/// A Step before it has its place in the plan; `requires` are indexes of other drafts.
pub(super) struct Draft {
    /// The subject it is about.
    pub(super) subject: usize,
    pub(super) step: Step,
    pub(super) place: Option<Place>,
}

/// Puts the plan together from the outcomes.
pub(super) fn assemble(planning: &Planning<'_>) -> Plan {
    let mut drafts = Vec::new();
    let mut drifted = Vec::new();
    let mut blocked = Vec::new();
    for (own, subject) in planning.subjects.iter().enumerate() {
        match planning.outcome(own) {
            None => {}
            Some(Outcome::Nothing { drifted: None }) if subject.from.is_none() => {}
            Some(Outcome::Nothing {
                drifted: Some(found),
            }) if subject.from.is_none() => drifted.push(found.clone()),
            Some(Outcome::Blocked(why)) => blocked.push(Blocked {
                address: subject.address.clone(),
                reason: why.reason.clone(),
                retry: why.retry,
            }),
            Some(outcome) => {
                let subject = *subject;
                let marks = planning.marks.get(own).cloned().unwrap_or_default();
                let sketch = Sketch {
                    own,
                    subject,
                    marks,
                    input: &planning.input,
                };
                sketch.draft(outcome, &mut drafts);
            }
        }
    }
    let (steps, mut warnings) = order::arrange(planning, drafts);
    warnings.extend(planning.warnings.iter().cloned());
    let input = &planning.input;
    let base = BaseId {
        serial: input.base.serial,
        digest: input.base.digest(),
    };
    let plan = Plan {
        environment: input.desired.environment.clone(),
        revision: input.desired.revision.clone(),
        inputs: input.desired.inputs,
        base,
        digest: base.digest,
        steps,
        drifted,
        blocked,
        providers: input.desired.providers.clone(),
        warnings,
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

/// What all steps of one resource share.
struct Sketch<'a> {
    own: usize,
    subject: Subject<'a>,
    /// What is sensitive of it.
    marks: Marks,
    input: &'a Input<'a>,
}

impl Sketch<'_> {
    /// The drafts of the steps that an outcome asks for.
    fn draft(&self, outcome: &Outcome, drafts: &mut Vec<Draft>) {
        let state = self.subject.state;
        let blocked = matches!(outcome, Outcome::Blocked(_));
        if let Some(from) = self.subject.from.filter(|_| !blocked) {
            // What is gone from the world has nothing to move.
            drafts.push(match self.subject.current() {
                Some(_) => self.moved(from, outcome),
                None => self.forget(from),
            });
        }
        match outcome {
            Outcome::Nothing { .. } | Outcome::Blocked(_) => {}
            Outcome::Remember { .. } if self.subject.from.is_some() => {}
            Outcome::Remember { kept } => drafts.push(self.remember(kept)),
            Outcome::Read { proposal } => {
                let mut draft = self.forward(Action::Read, Reason::Reads, None, proposal);
                draft.step.effect = Effect::StateOnly;
                draft.step.changes = self.changes(self.subject.current(), Some(&proposal.planned));
                drafts.push(draft);
            }
            Outcome::Renew { proposal, kept } => {
                let prior = self.subject.current();
                let mut draft = self.forward(Action::Update, Reason::Due, prior, proposal);
                draft.step.kept.clone_from(kept);
                drafts.push(draft);
            }
            Outcome::Create { proposal, gone } => {
                let reason = if *gone { Reason::Gone } else { Reason::New };
                drafts.push(self.forward(Action::Create, reason, None, proposal));
            }
            Outcome::Adopt { proposal, id } => {
                let reason = Reason::Adopted(id.clone());
                drafts.push(self.forward(Action::Adopt, reason, None, proposal));
            }
            Outcome::Update { proposal, kept } => {
                let prior = self.subject.current();
                let stopped = self.subject.stopped();
                let reason = match stopped.filter(|_| self.only_starts(prior, &proposal.planned)) {
                    Some(why) => Reason::NotRunning(why.to_owned()),
                    None => self.update_reason(prior, &proposal.planned, kept),
                };
                let mut draft = self.forward(Action::Update, reason, prior, proposal);
                draft.step.kept.clone_from(kept);
                drafts.push(draft);
            }
            Outcome::Replace {
                new,
                removal,
                replaced,
            } => {
                let tainted = state.is_some_and(|state| state.tainted);
                let reason = match (tainted, replaced.replace.is_empty()) {
                    (true, true) => Reason::Tainted,
                    (false, true) => Reason::Expired,
                    (_, false) => Reason::CannotChange(replaced.replace.clone()),
                };
                self.replace(reason, new, removal, drafts);
            }
            Outcome::Delete { proposal } => {
                let prior = self.subject.current();
                let reason = match self.subject.address.is_superseded() {
                    true => Reason::Superseded,
                    false => Reason::NotInRepository,
                };
                drafts.push(self.backward(Action::Delete, reason, prior, proposal));
            }
            Outcome::Forget => drafts.push(self.forget(self.subject.address)),
        }
    }

    /// What is gone from the world goes from the state, where it has this address.
    fn forget(&self, address: &Address) -> Draft {
        let none = Proposal::default();
        let mut draft = self.backward(Action::Delete, Reason::NotInRepository, None, &none);
        draft.step.address = address.clone();
        draft.step.effect = Effect::StateOnly;
        draft
    }

    /// The steps of a replace, in the order that the resource asks for.
    fn replace(&self, reason: Reason, new: &Proposal, removal: &Proposal, drafts: &mut Vec<Draft>) {
        let prior = self.subject.current();
        let mut make = self.forward(Action::Make, reason.clone(), None, new);
        make.step.changes = self.changes(prior, Some(&new.planned));
        let resource = self.subject.resource;
        if !resource.is_some_and(|resource| resource.meta.create_first) {
            drafts.push(self.backward(Action::Remove, reason, prior, removal));
            return drafts.push(make);
        }
        let aside = self.aside();
        let mut depose = self.remember(&Record::new());
        depose.step.changes = Vec::new();
        depose.step.action = Action::Move;
        depose.step.reason = reason;
        depose.step.from = Some(self.subject.address.clone());
        depose.step.address = aside.clone();
        let mut remove = self.backward(Action::Remove, Reason::Superseded, prior, removal);
        remove.step.address = aside;
        drafts.extend([depose, make, remove]);
    }

    /// An address for the one whose place a new one takes.
    fn aside(&self) -> Address {
        let taken = |address: &Address| self.input.base.resources.contains_key(address);
        let mut number = 1;
        loop {
            let address = self.subject.address.superseded(number);
            if !taken(&address) {
                return address;
            }
            number += 1;
        }
    }

    /// What is there gets the address of the repository; the world does not change.
    fn moved(&self, from: &Address, outcome: &Outcome) -> Draft {
        let none = Record::new();
        let kept = match outcome {
            Outcome::Remember { kept } => kept,
            _ => &none,
        };
        let mut draft = self.remember(kept);
        draft.step.action = Action::Move;
        draft.step.reason = Reason::Moved(from.local.clone());
        draft.step.from = Some(from.clone());
        draft
    }

    /// Whether nothing that a person may set changes, so that an update only starts what stopped.
    fn only_starts(&self, prior: Option<&Instance>, planned: &Record) -> bool {
        let empty = Record::new();
        let prior = prior.map_or(&empty, |prior| &prior.attributes);
        let settable = |name: &&String| is_settable(self.subject.schema, name);
        let mut names = prior.keys().chain(planned.keys()).filter(settable);
        names.all(|name| prior.get(name) == planned.get(name))
    }

    /// Drifted, where the update only brings back what was applied.
    fn update_reason(&self, prior: Option<&Instance>, planned: &Record, kept: &Record) -> Reason {
        let applied = self.subject.state.map(|state| &state.instance.attributes);
        let differed = prior.map(|prior| &prior.attributes) != applied;
        match applied {
            Some(applied) if differed && with_kept(planned.clone(), kept) == *applied => {
                Reason::Drifted
            }
            Some(_) | None => Reason::Changed,
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
        draft.step.desired = self
            .subject
            .resource
            .map(|resource| resource.attributes.clone());
        draft.place = self.place(Some(&proposal.planned));
        draft.step.planned = Some(proposal.planned.clone());
        draft.step.private = proposal.private.clone();
        draft
    }

    fn backward(
        &self,
        action: Action,
        reason: Reason,
        prior: Option<&Instance>,
        proposal: &Proposal,
    ) -> Draft {
        let mut draft = self.blank(action, reason, proposal.reversibility);
        draft.step.changes = self.changes(prior, None);
        draft.step.prior = prior.cloned();
        draft.place = self.place(prior.map(|prior| &prior.attributes));
        draft.step.private = proposal.private.clone();
        if let Some(state) = self.subject.state {
            draft.step.meta = state.meta.clone();
            draft.step.was = None;
            draft.step.provider = state.provider.clone();
            draft.step.kind = state.kind;
        }
        draft
    }

    /// Only what stratum remembers changes; the provider is not called.
    fn remember(&self, kept: &Record) -> Draft {
        let mut draft = self.blank(
            Action::Update,
            Reason::Remembered,
            Reversibility::Reversible,
        );
        let current = self.subject.current();
        draft.step.effect = Effect::StateOnly;
        draft.step.kept.clone_from(kept);
        draft.step.prior = current.cloned();
        draft.step.desired = self
            .subject
            .resource
            .map(|resource| resource.attributes.clone());
        draft.step.planned = current.map(|instance| instance.attributes.clone());
        draft.step.changes = self.remembered();
        draft
    }

    /// The changes of settings and dependencies, as people read them.
    fn remembered(&self) -> Vec<Change> {
        let now = self.subject.resource.map(|resource| &resource.meta);
        let before = self
            .subject
            .state
            .map(|state| (&state.meta, &state.depends_on));
        let depends_on = self
            .subject
            .resource
            .map(|resource| depends_on(&resource.attributes, &resource.meta));
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
                if let Some(value) = value.map(Value::from_data) {
                    record.insert(key.to_owned(), value);
                }
            }
            record
        };
        let before = record(before.map(|b| b.0), before.map(|b| b.1));
        difference(
            Some(&before),
            Some(&record(now, depends_on.as_ref())),
            &Marks::default(),
            self.subject.resource,
        )
    }

    fn blank(&self, action: Action, reason: Reason, reversibility: Reversibility) -> Draft {
        let schema = self.subject.schema;
        let state = self.subject.state;
        let provider = self
            .subject
            .resource
            .map(|r| &r.provider)
            .or(state.map(|state| &state.provider));
        let kind = self
            .subject
            .resource
            .map(|r| r.kind)
            .or(state.map(|state| state.kind));
        let step = Step {
            id: StepId(0),
            address: self.subject.address.clone(),
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
            kept: Record::new(),
            private: Opaque::default(),
            from: None,
            sensitive: self.marks.clone(),
            was: None,
            meta: self
                .subject
                .resource
                .map(|resource| resource.meta.clone())
                .unwrap_or_default(),
            source: self
                .subject
                .resource
                .and_then(|r| r.source(&Path::default()))
                .cloned(),
        };
        let before = state.map(|state| &state.meta);
        Draft {
            subject: self.own,
            step: Step {
                was: before.filter(|meta| **meta != step.meta).cloned(),
                ..step
            },
            place: None,
        }
    }

    fn changes(&self, before: Option<&Instance>, after: Option<&Record>) -> Vec<Change> {
        let before = before.map(|instance| &instance.attributes);
        let mut marks = self.subject.marks(before.into_iter().chain(after));
        marks.extend(self.marks.clone());
        difference(before, after, &marks, self.subject.resource)
    }

    fn place(&self, attributes: Option<&Record>) -> Option<Place> {
        places::place_of(self.input, self.subject.schema, attributes?)
    }
}
