//! What a provider is called with.

use std::path::PathBuf;
use std::time::Duration;

use crate::ids::{Address, Token};
use crate::ports::Secrets;
use crate::resource::{Checkpoint, Instance};
use crate::value::Record;

/// Where the local resources of an environment may lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Relative paths lie here; absolute.
    pub root: PathBuf,
    /// Other places that may be reached; absolute.
    pub roots: Vec<PathBuf>,
}

/// What every call to a provider gets.
///
/// Dropping the future of a call is how it is told to stop; its effect may then have happened or
/// not.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The resource.
    pub address: &'a Address,
    /// Where local resources may lie.
    pub site: &'a Site,
    /// The time the caller will wait.
    pub timeout: Duration,
    /// Opens the secrets that the resource names; what it gives must not outlive the call.
    pub secrets: &'a dyn Secrets,
}

/// Arguments of [`super::Provider::read`].
#[derive(Debug, Clone, Copy)]
pub struct ReadCall<'a> {
    /// Common arguments.
    pub call: Call<'a>,
    /// The last known instance.
    pub known: &'a Instance,
}

/// Arguments of [`super::Provider::plan`].
#[derive(Debug, Clone, Copy)]
pub struct PlanCall<'a> {
    /// Common arguments.
    pub call: Call<'a>,
    /// What is there; `None` for a create.
    pub prior: Option<&'a Instance>,
    /// What is wanted, possibly with unknowns; `None` for a delete.
    pub desired: Option<&'a Record>,
}

/// Arguments of [`super::Provider::checkpoint`].
#[derive(Debug, Clone, Copy)]
pub struct CheckpointCall<'a> {
    /// Common arguments.
    pub call: Call<'a>,
    /// What is there; `None` when nothing should be.
    pub prior: Option<&'a Instance>,
    /// What is about to be; `None` for a delete.
    pub planned: Option<&'a Record>,
}

/// Arguments of [`super::Provider::apply`].
#[derive(Debug, Clone, Copy)]
pub struct ApplyCall<'a> {
    /// Common arguments.
    pub call: Call<'a>,
    /// The idempotency token of the step; the same after a crash.
    pub token: &'a Token,
    /// What is there; `None` for a create.
    pub prior: Option<&'a Instance>,
    /// What must be, all known; `None` for a delete.
    pub planned: Option<&'a Record>,
    /// The checkpoint taken before the step.
    pub checkpoint: &'a Checkpoint,
}

/// Arguments of [`super::Provider::restore`].
#[derive(Debug, Clone, Copy)]
pub struct RestoreCall<'a> {
    /// Common arguments.
    pub call: Call<'a>,
    /// The token of the step that is put back.
    pub token: &'a Token,
    /// What must be again; its `before` is `None` when nothing was there.
    pub checkpoint: &'a Checkpoint,
    /// What the step planned; `None` for a delete.
    pub planned: Option<&'a Record>,
    /// What the step left, as far as it is known.
    pub after: Option<&'a Instance>,
}

/// Arguments of [`super::Provider::locate`].
#[derive(Debug, Clone, Copy)]
pub struct LocateCall<'a> {
    /// Common arguments.
    pub call: Call<'a>,
    /// The token that was sent.
    pub token: &'a Token,
    /// What was there before; `None` for a create.
    pub prior: Option<&'a Instance>,
    /// What the step planned; `None` for a delete.
    pub planned: Option<&'a Record>,
    /// The checkpoint taken before the step.
    pub checkpoint: &'a Checkpoint,
}

/// Arguments of [`super::Provider::import`].
#[derive(Debug, Clone, Copy)]
pub struct ImportCall<'a> {
    /// Common arguments.
    pub call: Call<'a>,
    /// The id of what is there, in the provider's own terms.
    pub id: &'a str,
    /// What is wanted of it, all known.
    pub desired: &'a Record,
}
