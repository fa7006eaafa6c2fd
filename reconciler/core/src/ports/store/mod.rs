//! The ports of storage, one for each purpose.
//!
//! | port | what it keeps |
//! | --- | --- |
//! | [`Journals`] | runs, their events, history |
//! | [`States`] | what is remembered of environments, and their resources |
//! | [`Leases`] | who may reconcile an environment |
//! | [`Work`] | what waits to be done |
//! | [`Observations`] | what was seen of resources |
//! | [`Facts`] | small facts that belong to no environment |
//! | [`Fronts`] | where the environments stand that nothing touched |
//! | [`Retention`] | dropping what is over |
//!
//! Beside them: [`Audit`](super::Audit), [`SecretStore`](super::SecretStore),
//! [`Announcements`](super::Announcements), [`EvaluationCache`](super::EvaluationCache).

mod error;
mod journals;
mod leases;
mod observations;
mod retention;
mod states;
mod work;

use super::{Facts, Fronts};

pub use error::StoreError;
pub use journals::{Entry, Journals, OpenRun, RunOutcome, StateChange, Unfinished};
pub use leases::{Break, HeldLease, Lease, LeaseError, Leases, Life, who};
pub use observations::{Observation, Observations};
pub use retention::{ClockReading, Dropped, Keep, PartSize, Retention};
pub use states::{Base, EnvironmentRow, States};
pub use work::{QueueEntry, Work};

/// All ports of storage in one: what is handed around where several are needed.
///
/// *Guarantees*: every method is atomic: it happens wholly or not at all, also when the process
/// dies inside. Writing methods are durable when they return.
pub trait Store:
    Journals + States + Leases + Work + Observations + Facts + Fronts + Retention
{
}

impl<S> Store for S where
    S: Journals + States + Leases + Work + Observations + Facts + Fronts + Retention + ?Sized
{
}
