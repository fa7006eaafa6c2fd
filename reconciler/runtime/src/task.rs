//! What one task of an Apply does for one Step, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use stratum_core::ids::{StepId, Token};
use stratum_core::plan::{Action, Step};
use stratum_core::ports::{
    ApplyError, Diagnostic, Effect, Located, Notes, Provider, ProviderError, Site, TypeSchema,
};
use stratum_core::resource::{Checkpoint, Instance, ResourceState, Timeouts};
use stratum_core::run::Run;
use stratum_core::value::Record;

use crate::calls::Calls;
use crate::ports::Ports;
use crate::step::{Prepared, StepWork};
use crate::stop::Stop;

/// What is to be done for a step.
pub(crate) enum Task {
    /// Make its plan final and take its checkpoint.
    Prepare {
        resolved: Option<Record>,
        before: Option<Box<ResourceState>>,
    },
    /// Do it.
    Apply {
        prepared: Box<Prepared>,
        token: Token,
    },
    /// Find out what became of it.
    Locate {
        resolved: Option<Record>,
        checkpoint: Box<Checkpoint>,
        token: Token,
    },
    /// Put it back.
    Restore {
        checkpoint: Box<Checkpoint>,
        token: Token,
        after: Option<Instance>,
    },
}

/// What came back.
pub(crate) enum Answer {
    /// It can begin.
    Prepared(Result<Box<Prepared>, ApplyError>),
    /// It changes only the state, and was computed at once.
    Computed(Box<Prepared>, Result<Option<Instance>, ApplyError>),
    /// It was done, or not.
    Applied(Result<Option<Instance>, ApplyError>),
    /// What became of it, and what is needed to do it again.
    Located(Located, Box<Prepared>),
    /// It was put back, or not.
    Restored(Result<Option<Instance>, ApplyError>),
}

/// An answer, the step it is about, and what its provider minded and went on with.
pub(crate) struct Answered {
    pub(crate) id: StepId,
    pub(crate) answer: Answer,
    pub(crate) notes: Vec<Diagnostic>,
}

impl Answer {
    /// Why a step failed, if it did; not why one was not put back.
    pub(crate) fn error(&self) -> Option<&ApplyError> {
        match self {
            Self::Prepared(Err(error)) | Self::Computed(_, Err(error)) => Some(error),
            Self::Applied(Err(error)) => Some(error),
            Self::Prepared(Ok(_))
            | Self::Computed(_, Ok(_))
            | Self::Applied(Ok(_))
            | Self::Located(..)
            | Self::Restored(_) => None,
        }
    }

    /// Whether it lets a step begin, rather than saying what became of one.
    pub(crate) fn begins(&self) -> bool {
        match self {
            Self::Prepared(_) | Self::Computed(..) => true,
            Self::Applied(_) | Self::Located(..) | Self::Restored(_) => false,
        }
    }
}

/// What tasks need; owned, so that they outlive the borrow of whoever starts them.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) ports: Ports,
    pub(crate) site: Arc<Site>,
    pub(crate) run: Arc<Run>,
    pub(crate) timeout: Duration,
    pub(crate) stop: Stop,
}

impl Surroundings {
    /// Does one task.
    pub(crate) async fn perform(&self, id: StepId, task: Task) -> Answered {
        let notes = Notes::default();
        let answer = self.answer(id, task, &notes).await;
        let notes = notes.take();
        Answered { id, answer, notes }
    }

    async fn answer(&self, id: StepId, task: Task, notes: &Notes) -> Answer {
        let Some(step) = self.run.plan().step(id) else {
            return no_such(id, &task);
        };
        let calls = Calls {
            clock: self.ports.clock.as_ref(),
            site: &self.site,
            timeout: self.timeout,
            secrets: self.ports.secrets.as_ref(),
            stop: Some(&self.stop),
            turns: None,
            notes: Some(notes),
        };
        let (provider, schema) = match self.maker(step, calls).await {
            Ok(found) => found,
            Err(error) => return failed(&task, ApplyError::before(error)),
        };
        let environment = &self.run.plan().environment;
        let calls = self
            .ports
            .providers
            .in_turn(&step.provider, environment, calls);
        let own = schema.as_ref().map(|schema| schema.timeouts);
        let timeouts = step.meta.timeouts.or(own.unwrap_or_default());
        let probe = self.ports.probe.as_ref();
        let work = StepWork {
            provider: provider.as_ref(),
            schema: schema.as_deref(),
            probe,
            calls: calls.within_time(timeouts.read),
            changing: calls.within_time(time_of(step.action, timeouts)),
            step,
        };
        match task {
            Task::Prepare { resolved, before } => {
                let token = Token::of(&self.run.id, id);
                prepare(&work, resolved.as_ref(), before.as_deref(), &token).await
            }
            Task::Apply { prepared, token } => {
                let planned = prepared.planned.as_ref();
                let config = prepared.config.as_ref();
                let checkpoint = &prepared.checkpoint;
                Answer::Applied(work.apply(planned, config, checkpoint, &token).await)
            }
            Task::Locate {
                resolved,
                checkpoint,
                token,
            } => locate(&work, resolved.as_ref(), checkpoint, &token).await,
            Task::Restore {
                checkpoint,
                token,
                after,
            } => Answer::Restored(work.restore(&checkpoint, &token, after.as_ref()).await),
        }
    }
}

impl Surroundings {
    /// Who makes a step, and its type. In a process that carries on what another began, neither may
    /// be known yet.
    async fn maker(
        &self,
        step: &Step,
        calls: Calls<'_>,
    ) -> Result<(Arc<dyn Provider>, Option<Arc<TypeSchema>>), ProviderError> {
        let (providers, plan) = (&self.ports.providers, self.run.plan());
        let (name, r#type) = (&step.provider, step.address.r#type());
        let key = (name.source(), r#type.clone());
        if let Some(error) = providers.learn([key.clone()].into()).await.remove(&key) {
            return Err(error);
        }
        let environment = &plan.environment;
        let provider = providers.handle(name, &plan.providers, environment, calls);
        Ok((provider.await?, providers.type_schema(name, r#type)))
    }
}

/// The time that the call of a step gets.
fn time_of(action: Action, timeouts: Timeouts) -> Option<Duration> {
    match action {
        Action::Create | Action::Make => timeouts.create,
        Action::Update => timeouts.update,
        Action::Delete | Action::Remove => timeouts.delete,
        Action::Adopt | Action::Read | Action::Move => timeouts.read,
    }
}

async fn prepare(
    work: &StepWork<'_>,
    resolved: Option<&Record>,
    before: Option<&ResourceState>,
    token: &Token,
) -> Answer {
    let prepared = match work.prepare(resolved, before).await {
        Ok(prepared) => Box::new(prepared),
        Err(error) => return Answer::Prepared(Err(error)),
    };
    if work.step.effect == Effect::World {
        return Answer::Prepared(Ok(prepared));
    }
    // Nothing outside the state changes, so there is nothing a durable Begun would protect: it
    // goes into the same transaction as the answer.
    let result = work
        .apply(
            prepared.planned.as_ref(),
            prepared.config.as_ref(),
            &prepared.checkpoint,
            token,
        )
        .await;
    Answer::Computed(prepared, result)
}

async fn locate(
    work: &StepWork<'_>,
    resolved: Option<&Record>,
    checkpoint: Box<Checkpoint>,
    token: &Token,
) -> Answer {
    // It was final once, before Begun was written; if its inputs cannot be told any more, what
    // was planned is the best there is to look for.
    let planned = work
        .finalize(resolved)
        .await
        .unwrap_or_else(|_| work.step.planned.clone());
    let prepared = Box::new(Prepared {
        planned,
        config: resolved.cloned(),
        checkpoint,
    });
    let located = work.locate(&prepared, token).await;
    if let Located::Done(instance) = &located {
        let right = work.verify(prepared.planned.as_ref(), instance.as_ref());
        let well = match right {
            Ok(()) => work.healthy(instance.as_ref()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = well {
            return Answer::Applied(Err(error));
        }
    }
    Answer::Located(located, prepared)
}

fn no_such(id: StepId, task: &Task) -> Answer {
    failed(
        task,
        ApplyError::nothing_happened(format!("the plan has no step {id}")),
    )
}

fn failed(task: &Task, error: ApplyError) -> Answer {
    match task {
        Task::Prepare { .. } => Answer::Prepared(Err(error)),
        Task::Apply { .. } | Task::Locate { .. } => Answer::Applied(Err(error)),
        Task::Restore { .. } => Answer::Restored(Err(error)),
    }
}
