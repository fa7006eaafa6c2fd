//! Driving one Apply along its journal: forwards, backwards, and on after a crash.

mod answer;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use stratum_core::ids::{Address, StepId};
use stratum_core::journal::{Event, Journal, StepStatus};
use stratum_core::plan::Step;
use stratum_core::ports::{Effect, Entry, Lease, Retry, StateChange};
use stratum_core::resource::ResourceState;
use stratum_core::value::{Record, Reference, Value, resolve_record};
use tokio::task::JoinSet;

use crate::error::RuntimeError;
use crate::progress::{Progress, ProgressSink, StepProgress};
use crate::stop::Stop;
use crate::task::{Answered, Surroundings, Task};

/// The most steps without an effect on the world that share one transaction.
const BATCH: usize = 256;

/// Everything one Apply is driven with.
pub(crate) struct Apply {
    pub(crate) around: Surroundings,
    pub(crate) lease: Lease,
    pub(crate) parallelism: usize,
    pub(crate) stop: Stop,
    pub(crate) progress: ProgressSink,
    /// The resources as they are now.
    pub(crate) world: BTreeMap<Address, ResourceState>,
    pub(crate) journal: Journal,
    pub(crate) flight: Flight,
    /// What the failures of steps ask for, of those that this process saw.
    pub(crate) failed: Vec<Retry>,
}

/// How an Apply ended.
pub(crate) struct Driven {
    pub(crate) journal: Journal,
    /// The first time at which a resource must be renewed or has ended.
    pub(crate) due: Option<Timestamp>,
    /// What the failures of steps ask for; empty where an earlier process saw them.
    pub(crate) failed: Vec<Retry>,
}

/// The tasks in flight, and the steps they are about.
#[derive(Default)]
pub(crate) struct Flight {
    tasks: JoinSet<Vec<Answered>>,
    steps: BTreeSet<StepId>,
}

/// One event that waits for its transaction, and what follows once it is durable.
struct Pending {
    /// `None` when the event is in the journal already.
    event: Option<Event>,
    change: Option<StateChange>,
    then: Option<(StepId, Task)>,
}

impl Pending {
    fn of(event: Event) -> Self {
        Self {
            event: Some(event),
            change: None,
            then: None,
        }
    }

    fn with(event: Event, change: Option<StateChange>) -> Self {
        Self {
            event: Some(event),
            change,
            then: None,
        }
    }
}

impl Apply {
    /// Drives the Apply to its end.
    ///
    /// *Errors*: [`RuntimeError::Stopped`] when told to stop; a failed append. In both cases what
    /// was in flight is waited for, and the journal says where to go on.
    pub(crate) async fn drive(mut self) -> Result<Driven, RuntimeError> {
        let result = self.steer().await;
        // Calls in flight go on to their end, so that none is cut in the middle.
        while self.flight.tasks.join_next().await.is_some() {}
        result?;
        let due = self.world.values().filter_map(|state| state.instance.due);
        let due = due.filter_map(|due| due.first()).min();
        Ok(Driven {
            due,
            journal: self.journal,
            failed: self.failed,
        })
    }

    async fn steer(&mut self) -> Result<(), RuntimeError> {
        loop {
            if let Some(end) = self.journal.next().end {
                return self.write(vec![Pending::of(end.event())]).await;
            }
            let stopping = self.stop.is_stopped();
            if stopping && self.flight.steps.is_empty() {
                return Err(RuntimeError::Stopped);
            }
            if !stopping {
                self.launch().await?;
            }
            let mut answers = self.collect().await?;
            let errors = answers.iter().filter_map(|one| one.answer.error());
            self.failed.extend(errors.map(|error| error.retry));
            // What ended decides which way it goes, before anything new begins.
            answers.sort_by_key(|one| one.answer.begins());
            // What was only prepared when it was told to stop is prepared again at the next start.
            let stopped = self.stop.is_stopped();
            let pending = answers
                .into_iter()
                .filter(|one| !(stopped && one.answer.begins()))
                .flat_map(|one| self.digest(one));
            let pending = pending.collect();
            self.write(pending).await?;
        }
    }

    /// Starts what may be started: searches for lost answers, restores, checkpoints of new steps.
    async fn launch(&mut self) -> Result<(), RuntimeError> {
        let next = self.journal.next();
        let idle = |steps: &BTreeSet<StepId>| -> Vec<StepId> {
            steps
                .iter()
                .filter(|id| !self.flight.steps.contains(id))
                .copied()
                .collect()
        };
        let (lost, half_restored) = (idle(next.open), idle(next.restoring));
        let restore: Vec<StepId> = idle(next.restore)
            .into_iter()
            .take(self.free(self.parallelism))
            .collect();
        let begin = self.choose(&idle(next.begin));
        for id in lost {
            self.locate(id);
        }
        for id in half_restored {
            self.restore(id);
        }
        let events = restore
            .iter()
            .map(|step| Pending::of(Event::RestoreBegun { step: *step }));
        self.write(events.collect()).await?;
        for id in restore {
            self.restore(id);
        }
        let (together, alone) = begin.into_iter().partition(|id| self.is_quick(*id));
        let alone: Vec<StepId> = alone;
        for id in alone {
            if let Some(task) = self.preparation(id) {
                self.spawn(id, task);
            }
        }
        self.prepare_together(together);
        Ok(())
    }

    /// Whether a step neither touches the world nor waits for it: many such share one task, and so
    /// one transaction.
    fn is_quick(&self, id: StepId) -> bool {
        let step = self.step(id);
        step.is_some_and(|step| step.effect == Effect::StateOnly && step.meta.health.is_none())
    }

    fn prepare_together(&mut self, ids: Vec<StepId>) {
        let tasks = ids.into_iter();
        let tasks: Vec<_> = tasks
            .filter_map(|id| Some((id, self.preparation(id)?)))
            .collect();
        if tasks.is_empty() {
            return;
        }
        self.flight.steps.extend(tasks.iter().map(|(id, _)| *id));
        let around = self.around.clone();
        self.flight.tasks.spawn(async move {
            let mut answers = Vec::with_capacity(tasks.len());
            for (id, task) in tasks {
                answers.push(around.perform(id, task).await);
            }
            answers
        });
    }

    fn free(&self, limit: usize) -> usize {
        limit.saturating_sub(self.flight.steps.len())
    }

    /// Which of the ready steps begin: `parallelism` bounds those that touch the world.
    fn choose(&self, ready: &[StepId]) -> Vec<StepId> {
        let (mut world, mut state) = (self.free(self.parallelism), self.free(BATCH));
        let mut chosen = Vec::new();
        for id in ready {
            let only_state = self
                .step(*id)
                .is_some_and(|s| s.effect == Effect::StateOnly);
            let budget = if only_state { &mut state } else { &mut world };
            if *budget > 0 {
                *budget -= 1;
                chosen.push(*id);
            }
            if world == 0 && state == 0 {
                break;
            }
        }
        chosen
    }

    fn step(&self, id: StepId) -> Option<&Step> {
        self.around.run.plan().step(id)
    }

    fn spawn(&mut self, id: StepId, task: Task) {
        self.flight.steps.insert(id);
        let around = self.around.clone();
        self.flight
            .tasks
            .spawn(async move { vec![around.perform(id, task).await] });
    }

    fn preparation(&self, id: StepId) -> Option<Task> {
        let step = self.step(id)?;
        let known = step.from.as_ref().unwrap_or(&step.address);
        let before = self.world.get(known).cloned().map(Box::new);
        Some(Task::Prepare {
            resolved: self.resolved(step),
            before,
        })
    }

    fn locate(&mut self, id: StepId) {
        let (Some(step), Some((checkpoint, token))) = (self.step(id), self.journal.checkpoint(id))
        else {
            return;
        };
        let (checkpoint, token) = (checkpoint.clone(), token.clone());
        let task = Task::Locate {
            resolved: self.resolved(step),
            checkpoint,
            token,
        };
        self.spawn(id, task);
    }

    fn restore(&mut self, id: StepId) {
        let (Some(step), Some((checkpoint, token))) = (self.step(id), self.journal.checkpoint(id))
        else {
            return;
        };
        let after = self
            .world
            .get(&step.address)
            .map(|state| state.instance.clone());
        let (checkpoint, token) = (checkpoint.clone(), token.clone());
        self.tell(id, StepProgress::Restoring);
        self.spawn(
            id,
            Task::Restore {
                checkpoint,
                token,
                after,
            },
        );
    }

    /// What the step wants, with references looked up in the world as it is now.
    fn resolved(&self, step: &Step) -> Option<Record> {
        let environment = &step.address.environment;
        let look_up = |reference: &Reference| -> Option<Value> {
            let local = reference.resource.clone();
            let state = self.world.get(&Address {
                environment: environment.clone(),
                local,
            })?;
            let known = state
                .unknown
                .is_none()
                .then_some(&state.instance.attributes)?;
            reference.path.find(known).cloned()
        };
        step.desired
            .as_ref()
            .map(|desired| resolve_record(desired, &look_up))
    }

    /// Waits for one answer, and takes all that are there.
    async fn collect(&mut self) -> Result<Vec<Answered>, RuntimeError> {
        let mut answers = Vec::new();
        let mut joined = self.flight.tasks.join_next().await;
        while let Some(answered) = joined {
            let answered = answered.map_err(|_| RuntimeError::TaskEnded)?;
            for one in &answered {
                self.flight.steps.remove(&one.id);
            }
            answers.extend(answered);
            joined = self.flight.tasks.try_join_next();
        }
        Ok(answers)
    }

    /// Writes events as one transaction, and starts what follows from them once it is durable.
    async fn write(&mut self, pending: Vec<Pending>) -> Result<(), RuntimeError> {
        let at = self.around.ports.clock.now();
        let mut entries = Vec::with_capacity(pending.len());
        let mut follow = Vec::new();
        for Pending {
            event,
            change,
            then,
        } in pending
        {
            if event
                .as_ref()
                .is_some_and(|event| self.came_too_late(event))
            {
                continue;
            }
            follow.extend(then);
            if let Some(event) = event {
                self.journal.push(&event)?;
                self.remember(change.as_ref());
                entries.push(Entry { at, event, change });
            }
        }
        let said: Vec<(StepId, StepProgress)> = entries
            .iter()
            .filter_map(|entry| said(&entry.event))
            .collect();
        if !entries.is_empty() {
            let run = &self.around.run.id;
            self.around
                .ports
                .store
                .append(&self.lease, run, entries)
                .await?;
        }
        said.into_iter()
            .for_each(|(id, status)| self.tell(id, status));
        follow
            .into_iter()
            .for_each(|(id, task)| self.spawn(id, task));
        Ok(())
    }

    /// Whether a step was prepared before the Apply turned back or halted: it does not begin any
    /// more.
    fn came_too_late(&self, event: &Event) -> bool {
        event.step().is_some_and(|id| {
            self.journal.status(id) == Some(&StepStatus::Waiting)
                && !self.journal.next().begin.contains(&id)
        })
    }

    fn remember(&mut self, change: Option<&StateChange>) {
        match change {
            Some(StateChange::Put(state)) => {
                self.world.insert(state.address.clone(), (**state).clone());
            }
            Some(StateChange::Remove(address)) => {
                self.world.remove(address);
            }
            Some(StateChange::Move { from, state }) => {
                self.world.remove(from);
                self.world.insert(state.address.clone(), (**state).clone());
            }
            None => {}
        }
    }

    fn tell(&self, id: StepId, status: StepProgress) {
        let Some(step) = self.step(id) else { return };
        let (address, action) = (step.address.clone(), step.action);
        (self.progress)(&Progress::Step {
            address,
            action,
            status,
        });
    }
}

/// What an event means to someone who watches.
fn said(event: &Event) -> Option<(StepId, StepProgress)> {
    match event {
        Event::Begun { step, .. } => Some((*step, StepProgress::Begun)),
        Event::Done { step, .. } => Some((*step, StepProgress::Done)),
        Event::Failed { step, error, .. } => Some((*step, StepProgress::Failed(error.clone()))),
        Event::Unknown { step, reason } => Some((*step, StepProgress::Unknown(reason.clone()))),
        Event::Restored { step, .. } => Some((*step, StepProgress::Restored)),
        Event::RestoreFailed { step, error } => {
            Some((*step, StepProgress::RestoreFailed(error.clone())))
        }
        Event::Started { .. }
        | Event::RestoreBegun { .. }
        | Event::Applied
        | Event::RolledBack
        | Event::Stuck { .. }
        | Event::Recorded { .. } => None,
    }
}
