//! What a provider is called with.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::ids::{Address, ProviderName, Token, TypeName};
use crate::ports::{Diagnostic, Secrets};
use crate::resource::{Checkpoint, Instance, Opaque};
use crate::value::Record;

/// Where the local resources of an environment may lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Relative paths lie here; absolute.
    pub root: PathBuf,
    /// Other places that may be reached; absolute.
    pub roots: Vec<PathBuf>,
    /// Where providers write down what they must remember of this environment; absolute, beside
    /// the state, and never in a place that the environment may reach.
    pub own: PathBuf,
    /// The user that programs run as which name none; `None` is the user of this process.
    pub user: Option<String>,
    /// How far programs are kept from the machine; `None` where they are not.
    pub isolation: Option<Isolation>,
}

/// How far programs are kept from the machine that they run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// Files and folders of which they see nothing; absolute.
    pub hidden: Vec<PathBuf>,
    /// They have the network of the machine.
    pub network: bool,
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
    /// Says when the caller would rather have an early answer than a complete one; what was begun
    /// may be ended in an orderly way, or finished.
    pub stop: Option<&'a dyn Stopping>,
    /// Takes what the provider minds and goes on with.
    pub notes: Option<&'a Notes>,
}

impl<'a> Call<'a> {
    /// A call that nothing stops, and whose notes nobody reads.
    pub fn new(
        address: &'a Address,
        site: &'a Site,
        timeout: Duration,
        secrets: &'a dyn Secrets,
    ) -> Self {
        Self {
            address,
            site,
            timeout,
            secrets,
            stop: None,
            notes: None,
        }
    }

    /// Says something about a value, and goes on.
    pub fn note(&self, diagnostic: Diagnostic) {
        if let Some(notes) = self.notes {
            notes.add(diagnostic);
        }
    }

    /// Whether the caller would rather have an early answer.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_some_and(Stopping::is_stopping)
    }
}

/// Whether a call is to come to an early end.
pub trait Stopping: Send + Sync + fmt::Debug {
    /// Whether it is.
    fn is_stopping(&self) -> bool;
}

/// What providers say during calls, in order.
#[derive(Debug, Default)]
pub struct Notes(Mutex<Vec<Diagnostic>>);

impl Notes {
    /// Adds one.
    pub fn add(&self, diagnostic: Diagnostic) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < MOST_NOTES {
            notes.push(diagnostic);
        }
    }

    /// Takes all.
    pub fn take(&self) -> Vec<Diagnostic> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// So many things are heard of one call.
const MOST_NOTES: usize = 100;

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
    /// What is wanted, possibly with unknowns; `None` for a delete. What is left as somebody else
    /// made it stands here as it is.
    pub desired: Option<&'a Record>,
    /// What the repository says, possibly with unknowns, and nothing else; `None` for a delete.
    pub config: Option<&'a Record>,
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
    /// What the repository says, all known; secrets are named, and opened by the provider during
    /// the call. `None` for a delete.
    pub config: Option<&'a Record>,
    /// The private bytes of the proposal.
    pub private: &'a Opaque,
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

/// Arguments of [`super::Provider::list`].
#[derive(Clone, Copy)]
pub struct ListCall<'a> {
    /// The type.
    pub r#type: &'a TypeName,
    /// Where local resources may lie.
    pub site: &'a Site,
    /// The time the caller will wait.
    pub timeout: Duration,
    /// What the state has of the type: the answer says which is which.
    pub known: &'a [(Address, Instance)],
    /// The most that are answered.
    pub most: usize,
}

/// Arguments of [`super::Provider::configure`].
#[derive(Debug, Clone, Copy)]
pub struct ConfigureCall<'a> {
    /// Common arguments; the address stands for the configuration where secrets are opened.
    pub call: Call<'a>,
    /// The configuration's name: `aws.eu`.
    pub name: &'a ProviderName,
    /// What it says, all known; secrets are named, and opened by the provider during the call.
    pub configuration: &'a Record,
}

/// Arguments of [`super::Provider::upgrade`].
#[derive(Debug, Clone, Copy)]
pub struct UpgradeCall<'a> {
    /// Common arguments.
    pub call: Call<'a>,
    /// The version of the schema that `stored` follows.
    pub version: u32,
    /// What is stored, as it was written.
    pub stored: &'a Instance,
}

/// Arguments of [`super::Provider::renew`].
#[derive(Debug, Clone, Copy)]
pub struct RenewCall<'a> {
    /// Common arguments.
    pub call: Call<'a>,
    /// The idempotency token of the step; the same after a crash.
    pub token: &'a Token,
    /// What is there.
    pub prior: &'a Instance,
}

/// Arguments of [`super::Provider::fetch`].
#[derive(Debug, Clone, Copy)]
pub struct FetchCall<'a> {
    /// Common arguments.
    pub call: Call<'a>,
    /// What the repository says, all known.
    pub config: &'a Record,
}
