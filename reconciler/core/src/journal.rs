//! The Journal: the durable, append-only list of events of one Apply, and what follows from it.
//!
//! *Guarantees*: [`Journal::next`] is pure; the first run and recovery after a crash both follow
//! it. An event that may not come next is an error and changes nothing.

mod event;

use std::collections::BTreeSet;
use std::sync::Arc;

use thiserror::Error;

pub use self::event::{Event, Left};
use crate::ids::{StepId, Token};
use crate::plan::Plan;
use crate::ports::Certainty;
use crate::resource::Checkpoint;
use crate::settings::OnFailure;

/// Where one Step stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepStatus {
    /// Not begun.
    Waiting,
    /// Begun, and not answered.
    Begun,
    /// Done.
    Done,
    /// Failed, with its error.
    Failed(String, Certainty),
    /// Its answer was lost and nobody knows.
    Unknown(String),
    /// Being restored.
    RestoreBegun,
    /// Restored.
    Restored,
    /// Could not be restored, with the error.
    RestoreFailed(String),
}

/// How an Apply ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Every step is done.
    Applied,
    /// Every begun step is restored.
    RolledBack,
    /// Something is left.
    Stuck(Vec<Left>),
}

impl End {
    /// The event that says so.
    pub fn event(&self) -> Event {
        match self {
            Self::Applied => Event::Applied,
            Self::RolledBack => Event::RolledBack,
            Self::Stuck(left) => Event::Stuck { left: left.clone() },
        }
    }
}

/// What may happen next.
///
/// A step in `open` or `restoring` was begun and not answered. Whoever drives the Apply knows
/// which of them it has in flight; the others lost their answer in a crash: an open one is
/// located, a restoring one is restored again.
#[derive(Debug)]
pub struct Next<'a> {
    /// Steps that may begin now.
    pub begin: &'a BTreeSet<StepId>,
    /// Steps that were begun and not answered.
    pub open: &'a BTreeSet<StepId>,
    /// Steps that may be restored now.
    pub restore: &'a BTreeSet<StepId>,
    /// Restores that were begun and not answered.
    pub restoring: &'a BTreeSet<StepId>,
    /// How the Apply ends, when nothing else is left to do.
    pub end: Option<End>,
}

/// Why an event was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JournalError {
    /// The event may not come next.
    #[error("`{event}` may not follow, because {because}")]
    Illegal {
        /// The event.
        event: String,
        /// What stands in its way.
        because: String,
    },
    /// The event names a step that the plan has not.
    #[error("the plan has no step {step}")]
    NoSuchStep {
        /// The step.
        step: StepId,
    },
}

/// Which way an Apply goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not started.
    New,
    /// Steps begin.
    Forward,
    /// No step begins any more; what is open is waited for.
    Halted,
    /// Begun steps are restored.
    Back,
    /// Ended, not yet in git.
    Ended,
    /// In git.
    Recorded,
}

/// The events of one Apply, folded.
#[derive(Debug, Clone)]
pub struct Journal {
    plan: Arc<Plan>,
    on_failure: OnFailure,
    phase: Phase,
    end: Option<End>,
    status: Vec<StepStatus>,
    checkpoints: Vec<Option<(Box<Checkpoint>, Token)>>,
    /// How many required steps are not yet done.
    missing: Vec<u32>,
    /// The steps that require each step.
    dependants: Vec<Vec<StepId>>,
    /// How many begun dependants are not yet restored.
    unrestored: Vec<u32>,
    ready: BTreeSet<StepId>,
    open: BTreeSet<StepId>,
    restorable: BTreeSet<StepId>,
    restoring: BTreeSet<StepId>,
    done: u64,
}

static NONE: BTreeSet<StepId> = BTreeSet::new();

impl Journal {
    /// The empty journal of a plan.
    pub fn new(plan: Arc<Plan>, on_failure: OnFailure) -> Self {
        let count = plan.steps.len();
        let mut dependants = vec![Vec::new(); count];
        for step in &plan.steps {
            for required in &step.requires {
                if let Some(list) = dependants.get_mut(required.index()) {
                    list.push(step.id);
                }
            }
        }
        let missing: Vec<u32> = plan.steps.iter().map(|s| s.requires.len() as u32).collect();
        let free = plan.steps.iter().filter(|step| step.requires.is_empty());
        Self {
            ready: free.map(|step| step.id).collect(),
            phase: Phase::New,
            end: None,
            status: vec![StepStatus::Waiting; count],
            checkpoints: vec![None; count],
            missing,
            dependants,
            unrestored: vec![0; count],
            open: BTreeSet::new(),
            restorable: BTreeSet::new(),
            restoring: BTreeSet::new(),
            done: 0,
            plan,
            on_failure,
        }
    }

    /// The journal that `events` add up to.
    pub fn replay<'a>(
        plan: Arc<Plan>,
        on_failure: OnFailure,
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Result<Self, JournalError> {
        let mut journal = Self::new(plan, on_failure);
        events
            .into_iter()
            .try_for_each(|event| journal.push(event))?;
        Ok(journal)
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Where a step stands.
    pub fn status(&self, step: StepId) -> Option<&StepStatus> {
        self.status.get(step.index())
    }

    /// The checkpoint and token of a begun step.
    pub fn checkpoint(&self, step: StepId) -> Option<&(Box<Checkpoint>, Token)> {
        self.checkpoints.get(step.index())?.as_ref()
    }

    /// How many steps are done.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// How it ended, once it has.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Whether its record is in git.
    pub fn is_recorded(&self) -> bool {
        self.phase == Phase::Recorded
    }

    /// Whether begun steps are being restored.
    pub fn is_going_back(&self) -> bool {
        self.phase == Phase::Back
    }

    /// What may happen next. Cheap: it was kept up to date by [`Journal::push`].
    pub fn next(&self) -> Next<'_> {
        let (begin, restore) = match self.phase {
            Phase::Forward => (&self.ready, &NONE),
            // What is open may still be changing what a restore would touch: wait for it.
            Phase::Back if self.open.is_empty() => (&NONE, &self.restorable),
            Phase::New | Phase::Halted | Phase::Back | Phase::Ended | Phase::Recorded => {
                (&NONE, &NONE)
            }
        };
        let idle = begin.is_empty()
            && restore.is_empty()
            && self.open.is_empty()
            && self.restoring.is_empty();
        let over = matches!(self.phase, Phase::Forward | Phase::Halted | Phase::Back) && idle;
        let end = over.then(|| self.conclude());
        Next {
            begin,
            open: &self.open,
            restore,
            restoring: &self.restoring,
            end,
        }
    }

    fn conclude(&self) -> End {
        let left = self.left();
        if !left.is_empty() {
            return End::Stuck(left);
        }
        if self.phase == Phase::Back {
            End::RolledBack
        } else {
            End::Applied
        }
    }

    /// The addresses that are neither as before nor as planned.
    fn left(&self) -> Vec<Left> {
        let back = self.phase == Phase::Back;
        self.plan
            .steps
            .iter()
            .zip(&self.status)
            .filter_map(|(step, status)| {
                let before = "as it was before";
                let planned = "as planned";
                let (is, should, why) = match status {
                    StepStatus::RestoreFailed(error) => ("not restored", before, error.clone()),
                    StepStatus::Unknown(reason) => ("unknown", planned, reason.clone()),
                    StepStatus::Failed(error, Certainty::Unknown) => (
                        "unknown",
                        if back { before } else { planned },
                        error.clone(),
                    ),
                    StepStatus::Failed(error, Certainty::NothingHappened) if !back => {
                        (before, planned, error.clone())
                    }
                    StepStatus::Done if back => (
                        planned,
                        before,
                        "something that depends on it could not be restored".to_owned(),
                    ),
                    StepStatus::Waiting if !back => (
                        before,
                        planned,
                        "a step it requires did not end well".to_owned(),
                    ),
                    StepStatus::Waiting
                    | StepStatus::Begun
                    | StepStatus::Done
                    | StepStatus::Failed(_, Certainty::NothingHappened)
                    | StepStatus::RestoreBegun
                    | StepStatus::Restored => return None,
                };
                Some(Left {
                    address: step.address.clone(),
                    step: step.id,
                    is: is.to_owned(),
                    should: should.to_owned(),
                    why,
                })
            })
            .collect()
    }

    /// Whether `event` may come next: the table of legal transitions.
    pub fn permits(&self, event: &Event) -> Result<(), JournalError> {
        let illegal = |because: String| {
            Err(JournalError::Illegal {
                event: event.name().to_owned(),
                because,
            })
        };
        let running = matches!(self.phase, Phase::Forward | Phase::Halted | Phase::Back);
        match event {
            Event::Started { .. } if self.phase == Phase::New => Ok(()),
            Event::Started { .. } => illegal("the apply has started".to_owned()),
            Event::Recorded { .. } if self.phase == Phase::Ended => Ok(()),
            Event::Recorded { .. } => illegal(format!("the apply is {:?}", self.phase)),
            Event::Applied | Event::RolledBack | Event::Stuck { .. } => match self.next().end {
                Some(end) if end.event() == *event => Ok(()),
                Some(end) => illegal(format!("the apply ends as `{}`", end.event().name())),
                None => illegal("the apply is not over".to_owned()),
            },
            Event::Begun { step, .. } => match self.require(*step)? {
                StepStatus::Waiting if self.next().begin.contains(step) => Ok(()),
                status => illegal(format!("step {step} is {status:?} and not ready")),
            },
            // A step may fail before it began: its inputs or its checkpoint could not be had.
            Event::Failed {
                step,
                certainty: Certainty::NothingHappened,
                ..
            } if self.next().begin.contains(step) => Ok(()),
            Event::Done { step, .. } | Event::Failed { step, .. } | Event::Unknown { step, .. } => {
                match self.require(*step)? {
                    StepStatus::Begun if running => Ok(()),
                    status => illegal(format!("step {step} is {status:?}")),
                }
            }
            Event::RestoreBegun { step } => match self.require(*step)? {
                _ if self.next().restore.contains(step) => Ok(()),
                status => illegal(format!("step {step} is {status:?} and not to be restored")),
            },
            Event::Restored { step, .. } | Event::RestoreFailed { step, .. } => {
                match self.require(*step)? {
                    StepStatus::RestoreBegun => Ok(()),
                    status => illegal(format!("step {step} is {status:?}")),
                }
            }
        }
    }

    fn require(&self, step: StepId) -> Result<&StepStatus, JournalError> {
        self.status(step).ok_or(JournalError::NoSuchStep { step })
    }

    /// Adds an event, when it may come next.
    pub fn push(&mut self, event: &Event) -> Result<(), JournalError> {
        self.permits(event)?;
        match event {
            Event::Started { .. } => self.phase = Phase::Forward,
            Event::Begun {
                step,
                checkpoint,
                token,
            } => {
                self.ready.remove(step);
                self.open.insert(*step);
                if let Some(slot) = self.checkpoints.get_mut(step.index()) {
                    *slot = Some((checkpoint.clone(), token.clone()));
                }
                self.set(*step, StepStatus::Begun);
            }
            Event::Done { step, .. } => {
                self.open.remove(step);
                self.set(*step, StepStatus::Done);
                self.done += 1;
                self.wake_dependants(*step);
                self.prepare_restores();
            }
            Event::Failed {
                step,
                error,
                certainty,
                ..
            } => {
                self.open.remove(step);
                self.set(*step, StepStatus::Failed(error.clone(), *certainty));
                self.turn(*step);
                self.prepare_restores();
            }
            Event::Unknown { step, reason } => {
                self.open.remove(step);
                self.set(*step, StepStatus::Unknown(reason.clone()));
                self.prepare_restores();
            }
            Event::RestoreBegun { step } => {
                self.restorable.remove(step);
                self.restoring.insert(*step);
                self.set(*step, StepStatus::RestoreBegun);
            }
            Event::Restored { step, .. } => {
                self.restoring.remove(step);
                self.set(*step, StepStatus::Restored);
                self.free_required(*step);
            }
            Event::RestoreFailed { step, error } => {
                self.restoring.remove(step);
                self.set(*step, StepStatus::RestoreFailed(error.clone()));
            }
            Event::Applied | Event::RolledBack | Event::Stuck { .. } => {
                self.end = self.next().end;
                self.phase = Phase::Ended;
            }
            Event::Recorded { .. } => self.phase = Phase::Recorded,
        }
        Ok(())
    }

    fn set(&mut self, step: StepId, status: StepStatus) {
        if let Some(slot) = self.status.get_mut(step.index()) {
            *slot = status;
        }
    }

    fn wake_dependants(&mut self, step: StepId) {
        for dependant in self.dependants.get(step.index()).into_iter().flatten() {
            if let Some(missing) = self.missing.get_mut(dependant.index()) {
                *missing = missing.saturating_sub(1);
                if *missing == 0 {
                    self.ready.insert(*dependant);
                }
            }
        }
    }

    /// A step failed: decides which way the Apply goes from here.
    fn turn(&mut self, step: StepId) {
        if self.phase == Phase::Back {
            return;
        }
        let own = self.plan.step(step).and_then(|step| step.meta.on_failure);
        self.phase = match (own.unwrap_or(self.on_failure), self.phase) {
            (OnFailure::Rollback, _) => Phase::Back,
            (OnFailure::Halt, _) => Phase::Halted,
            (OnFailure::Continue, phase) => phase,
        };
    }

    /// Once nothing is open on the way back: counts who waits for whom, and finds the first steps
    /// that may be restored.
    fn prepare_restores(&mut self) {
        if self.phase != Phase::Back || !self.open.is_empty() {
            return;
        }
        let begun: Vec<StepId> = self
            .plan
            .steps
            .iter()
            .map(|s| s.id)
            .filter(|s| self.is_begun(*s))
            .collect();
        for step in begun {
            let waiting = self.dependants.get(step.index()).into_iter().flatten();
            let count = waiting
                .filter(|dependant| self.is_begun(**dependant))
                .count() as u32;
            if let Some(slot) = self.unrestored.get_mut(step.index()) {
                *slot = count;
            }
            if count == 0 {
                self.restorable.insert(step);
            }
        }
    }

    fn is_begun(&self, step: StepId) -> bool {
        self.checkpoint(step).is_some()
    }

    fn free_required(&mut self, step: StepId) {
        let plan = Arc::clone(&self.plan);
        for required in plan.step(step).into_iter().flat_map(|step| &step.requires) {
            if let Some(count) = self.unrestored.get_mut(required.index()) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.restorable.insert(*required);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
