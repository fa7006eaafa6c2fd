//! What the answers of calls mean: events, changes of the state, and what follows.

use stratum_core::digest::Digest;
use stratum_core::ids::{Address, StepId, Token};
use stratum_core::journal::Event;
use stratum_core::plan::{Reason, Step};
use stratum_core::ports::{ApplyError, Certainty, Diagnostic, Located, StateChange};
use stratum_core::resource::{Instance, ResourceState};
use stratum_core::value::{Marks, Path, Record, Reference, with_kept};

use crate::apply::{Apply, Pending};
use crate::step::{Prepared, change, state_after};
use crate::task::{Answer, Answered, Task};

impl Apply {
    /// What an answer means: events, changes of the state, and what follows.
    pub(super) fn digest(&self, answered: Answered) -> Vec<Pending> {
        let Answered { id, answer, notes } = answered;
        let mut pending = self.meaning(id, answer);
        let notes = notes.into_iter();
        let notes: Vec<String> = notes.map(|note| self.harmless(id, said(note))).collect();
        let last = pending
            .iter_mut()
            .filter_map(|one| one.event.as_mut())
            .last();
        match last {
            Some(Event::Done { notes: kept, .. }) => *kept = notes,
            Some(Event::Failed { error, .. }) if !notes.is_empty() => {
                *error = format!("{error}; it also said: {}", notes.join("; "));
            }
            Some(_) | None => {}
        }
        pending
    }

    fn meaning(&self, id: StepId, answer: Answer) -> Vec<Pending> {
        match answer {
            Answer::Prepared(Ok(prepared)) => vec![self.begun(id, prepared)],
            Answer::Prepared(Err(error)) => vec![self.failed(id, error)],
            Answer::Computed(prepared, result) => {
                let begun = Pending {
                    then: None,
                    ..self.begun(id, prepared)
                };
                vec![begun, self.answered(id, result)]
            }
            Answer::Applied(result) => vec![self.answered(id, result)],
            Answer::Located(Located::Done(instance), _) => vec![self.done(id, instance)],
            Answer::Located(Located::NotDone, prepared) => vec![self.again(id, prepared)],
            Answer::Located(Located::CannotTell(why), prepared) => {
                vec![self.unknown(id, why, &prepared)]
            }
            Answer::Restored(Ok(instance)) => vec![self.restored(id, instance)],
            Answer::Restored(Err(error)) => vec![self.restore_failed(id, error.message)],
        }
    }

    fn begun(&self, id: StepId, prepared: Box<Prepared>) -> Pending {
        let token = Token::of(&self.around.run.id, id);
        let checkpoint = prepared.checkpoint.clone();
        let event = Event::Begun {
            step: id,
            checkpoint,
            token: token.clone(),
        };
        Pending {
            event: Some(event),
            change: None,
            then: Some((id, Task::Apply { prepared, token })),
        }
    }

    fn answered(&self, id: StepId, result: Result<Option<Instance>, ApplyError>) -> Pending {
        match result {
            Ok(instance) => self.done(id, instance),
            Err(error) => self.failed(id, error),
        }
    }

    /// It did not happen: it is done again, under the Begun that is in the journal.
    fn again(&self, id: StepId, prepared: Box<Prepared>) -> Pending {
        let token = Token::of(&self.around.run.id, id);
        let task = Task::Apply { prepared, token };
        Pending {
            event: None,
            change: None,
            then: Some((id, task)),
        }
    }

    fn state(&self, id: StepId, instance: Instance) -> Option<ResourceState> {
        let step = self.step(id)?;
        let providers = &self.around.ports.providers;
        let schema = providers.type_schema(&step.provider, step.address.r#type());
        let (plan, inherited) = (self.around.run.plan(), self.inherited(step));
        let schema = schema.as_deref();
        Some(state_after(plan, step, schema, inherited, instance))
    }

    /// What is sensitive of a step by what it refers to, as that is now.
    fn inherited(&self, step: &Step) -> Marks {
        let environment = &step.address.environment;
        let of = |reference: &Reference| {
            let local = reference.resource.clone();
            let environment = environment.clone();
            let state = self.world.get(&Address { environment, local })?;
            Some(state.sensitive.clone())
        };
        let desired = step.desired.as_ref();
        desired.map_or_else(Marks::default, |desired| Marks::inherited(desired, &of))
    }

    /// What a provider said about a step, without what is sensitive.
    fn harmless(&self, id: StepId, text: String) -> String {
        let Some(step) = self.step(id) else {
            return text;
        };
        let mut marks = step.sensitive.clone();
        marks.extend(self.inherited(step));
        if marks.is_empty() {
            return text;
        }
        let known = self
            .world
            .get(&step.address)
            .map(|row| &row.instance.attributes);
        let prior = step.prior.as_ref().map(|prior| &prior.attributes);
        let resolved = self.resolved(step);
        let records = resolved
            .iter()
            .chain(&step.planned)
            .chain(prior)
            .chain(known);
        records.fold(text, |text, record| marks.hide(record, &text))
    }

    fn done(&self, id: StepId, instance: Option<Instance>) -> Pending {
        let state = instance.and_then(|instance| self.state(id, instance));
        let (outcome, change) = self.change(id, state);
        let (step, notes) = (id, Vec::new());
        let event = Event::Done {
            step,
            outcome,
            notes,
        };
        Pending::with(event, change)
    }

    fn change(
        &self,
        id: StepId,
        state: Option<ResourceState>,
    ) -> (Option<Digest>, Option<StateChange>) {
        match self.step(id) {
            Some(step) => {
                let (digest, change) = change(step, state);
                (digest, Some(change))
            }
            None => (None, None),
        }
    }

    fn failed(&self, id: StepId, error: ApplyError) -> Pending {
        let change = match error.certainty {
            Certainty::NothingHappened => None,
            Certainty::Unknown => self.doubt(id, error.known),
        };
        let event = Event::Failed {
            step: id,
            error: self.harmless(id, error.message),
            certainty: error.certainty,
            retry: Some(error.retry),
        };
        Pending::with(event, change)
    }

    /// The state of an address after a call that may have changed it: nothing that may be there is
    /// ever forgotten.
    fn doubt(&self, id: StepId, known: Option<Instance>) -> Option<StateChange> {
        let step = self.step(id)?;
        let state = match self.world.get(&step.address) {
            Some(row) => {
                let instance = known.unwrap_or_else(|| row.instance.clone());
                ResourceState {
                    instance,
                    unsure: true,
                    ..row.clone()
                }
            }
            None => {
                let instance = known.unwrap_or_else(|| planned_so_far(step.planned.as_ref()));
                ResourceState {
                    tainted: true,
                    ..self.state(id, instance)?
                }
            }
        };
        Some(StateChange::Put(Box::new(state)))
    }

    fn restore_failed(&self, id: StepId, error: String) -> Pending {
        let error = self.harmless(id, error);
        let before = self
            .journal
            .checkpoint(id)
            .and_then(|(c, _)| c.before.clone());
        let there = self
            .step(id)
            .is_some_and(|step| self.world.contains_key(&step.address));
        let change = match before {
            Some(before) if !there => Some(StateChange::Put(Box::new(ResourceState {
                unsure: true,
                ..before
            }))),
            Some(_) | None => self.doubt(id, None),
        };
        Pending::with(Event::RestoreFailed { step: id, error }, change)
    }

    fn unknown(&self, id: StepId, reason: String, prepared: &Prepared) -> Pending {
        let reason = self.harmless(id, reason);
        let known = prepared
            .checkpoint
            .before
            .as_ref()
            .map(|state| state.instance.clone());
        let wanted = || planned_so_far(prepared.planned.as_ref());
        let state = self
            .state(id, known.unwrap_or_else(wanted))
            .map(|state| ResourceState {
                unknown: Some(reason.clone()),
                ..state
            });
        let change = state.map(|state| StateChange::Put(Box::new(state)));
        Pending::with(Event::Unknown { step: id, reason }, change)
    }

    /// What is remembered of a resource whose drift a step corrects: what was applied, and not what
    /// somebody else made of it. Put back, it is drifted as before.
    fn applied(&self, id: StepId) -> Option<ResourceState> {
        let step = self.step(id)?;
        let drifted = matches!(step.reason, Reason::Gone | Reason::Drifted);
        let row = self.world.get(&step.address).filter(|_| drifted)?;
        Some(ResourceState {
            unsure: false,
            ..row.clone()
        })
    }

    fn restored(&self, id: StepId, instance: Option<Instance>) -> Pending {
        let before = self
            .journal
            .checkpoint(id)
            .and_then(|(c, _)| c.before.clone());
        let state = match (self.applied(id), before, instance) {
            (Some(applied), _, None) => Some(applied),
            (Some(applied), _, Some(there)) => {
                let attributes = applied.instance.attributes.clone();
                let instance = Instance {
                    attributes,
                    ..there
                };
                Some(ResourceState {
                    instance,
                    ..applied
                })
            }
            (None, Some(before), Some(mut instance)) => {
                let kept = self.step(id).map(|step| &step.kept);
                instance.attributes =
                    with_kept(instance.attributes, kept.unwrap_or(&Record::new()));
                Some(ResourceState { instance, ..before })
            }
            (None, None, Some(instance)) => self.state(id, instance),
            (None, _, None) => None,
        };
        let (outcome, change) = self.change(id, state);
        Pending::with(Event::Restored { step: id, outcome }, change)
    }
}

/// What a provider minds, in one sentence.
fn said(note: Diagnostic) -> String {
    let Diagnostic {
        path,
        message,
        hint,
        ..
    } = note;
    let about = match path == Path::default() {
        true => message,
        false => format!("`{path}`: {message}"),
    };
    hint.map_or(about.clone(), |hint| format!("{about} ({hint})"))
}

/// What is known of a planned resource before it is made.
fn planned_so_far(planned: Option<&Record>) -> Instance {
    let known = planned
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.is_known());
    let attributes = known
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Instance {
        attributes,
        ..Instance::default()
    }
}
