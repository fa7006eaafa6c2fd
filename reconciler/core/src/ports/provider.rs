//! The Provider port, shaped like the life of a resource in Terraform's plugin protocol.
//!
//! *Source*: the protocol's `resource-instance-change-lifecycle`; unknown values and private data
//! are in it from the first day because they cannot be added later.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::{Address, ProviderName, Token, TypeName};
use crate::plan::Reversibility;
use crate::ports::{Retry, Secrets};
use crate::resource::{Checkpoint, Instance, Opaque};
use crate::value::{Path, Record, Value};

/// The types a provider has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderSchema {
    /// The provider.
    pub provider: ProviderName,
    /// Its version; the schema is a function of it.
    pub version: String,
    /// The types by name.
    pub types: BTreeMap<TypeName, TypeSchema>,
}

/// One type of resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeSchema {
    /// One sentence.
    pub doc: String,
    /// The version of the stored form.
    pub version: u32,
    /// Whether an apply changes anything outside the state.
    pub effect: Effect,
    /// The attribute that says which place in the world it occupies, for example `path`. Two
    /// resources may not occupy one place, and a place is freed before it is taken again.
    pub place: Option<String>,
    /// The attributes by name.
    pub attributes: BTreeMap<String, AttributeSchema>,
}

impl TypeSchema {
    /// Whether a resource of it makes secrets, for which they must be open.
    pub fn makes_secrets(&self) -> bool {
        self.attributes.values().any(|attribute| attribute.sealed)
    }
}

/// Whether an apply changes anything outside the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It changes the world: its Begun must be durable before the call.
    World,
    /// It only computes what the state will hold; calling it twice is calling it once.
    StateOnly,
}

/// One attribute of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeSchema {
    /// One sentence.
    pub doc: String,
    /// What it may hold.
    pub r#type: ValueType,
    /// It must be given.
    pub required: bool,
    /// The provider computes it when it is not given; not settable when `required` is false and
    /// `settable` is false.
    pub computed: bool,
    /// A person may give it.
    pub settable: bool,
    /// Its values are not shown.
    pub sensitive: bool,
    /// The provider makes it, and it is a secret: it is never in the clear, and whoever refers to
    /// it refers to a secret.
    #[serde(default)]
    pub sealed: bool,
    /// A change of it replaces the resource.
    pub replaces: bool,
    /// The value that holds when it is not given.
    pub default: Option<Value>,
}

/// What an attribute may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// Anything.
    Any,
    /// Text.
    Text,
    /// One of these texts.
    Choice(Vec<String>),
    /// A duration such as `30s`.
    Duration,
    /// A number.
    Number,
    /// A whole number.
    Integer,
    /// True or false.
    Bool,
    /// A list.
    List(Box<ValueType>),
    /// A record with any keys.
    Map(Box<ValueType>),
    /// A record with these keys.
    Object(BTreeMap<String, AttributeSchema>),
}

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

/// Arguments of [`Provider::read`].
#[derive(Debug, Clone, Copy)]
pub struct ReadCall<'a> {
    /// Common arguments.
    pub call: Call<'a>,
    /// The last known instance.
    pub known: &'a Instance,
}

/// Arguments of [`Provider::plan`].
#[derive(Debug, Clone, Copy)]
pub struct PlanCall<'a> {
    /// Common arguments.
    pub call: Call<'a>,
    /// What is there; `None` for a create.
    pub prior: Option<&'a Instance>,
    /// What is wanted, possibly with unknowns; `None` for a delete.
    pub desired: Option<&'a Record>,
}

/// What a provider would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// All attributes as they will be, possibly with unknowns; empty for a delete.
    pub planned: Record,
    /// The changed attributes that cannot change in place; not empty means replace.
    pub replace: Vec<Path>,
    /// Whether the step can be put back.
    pub reversibility: Reversibility,
}

/// Arguments of [`Provider::checkpoint`].
#[derive(Debug, Clone, Copy)]
pub struct CheckpointCall<'a> {
    /// Common arguments.
    pub call: Call<'a>,
    /// What is there; `None` when nothing should be.
    pub prior: Option<&'a Instance>,
    /// What is about to be; `None` for a delete.
    pub planned: Option<&'a Record>,
}

/// Arguments of [`Provider::apply`].
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

/// Arguments of [`Provider::restore`].
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

/// Arguments of [`Provider::locate`].
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

/// What became of a step whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// It happened: this is there now (`None` after a delete).
    Done(Option<Instance>),
    /// It did not happen, or only in part, and doing it again is right.
    NotDone,
    /// Nobody can tell, and why.
    CannotTell(String),
}

/// Arguments of [`Provider::import`].
#[derive(Debug, Clone, Copy)]
pub struct ImportCall<'a> {
    /// Common arguments.
    pub call: Call<'a>,
    /// The id of what is there, in the provider's own terms.
    pub id: &'a str,
    /// What is wanted of it, all known.
    pub desired: &'a Record,
}

/// Something a provider refuses, before anything is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The attribute.
    pub path: Path,
    /// One sentence: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Why a call that changes nothing failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What was being done and why it failed, without secrets.
    pub message: String,
    /// When to try again.
    pub retry: Retry,
    /// It is no failure: the resource waits for something, and only what depends on it waits too.
    pub waits: bool,
}

impl ProviderError {
    /// The resource waits, and the message says for what.
    pub fn waiting(message: impl Into<String>) -> Self {
        Self {
            waits: true,
            ..Self::input(message)
        }
    }

    /// An error that a changed input resolves.
    pub fn input(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retry: Retry::WhenInputChanges,
            waits: false,
        }
    }

    /// An error that a person resolves.
    pub fn person(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retry: Retry::NeedsPerson,
            waits: false,
        }
    }

    /// An error that may pass by itself.
    pub fn later(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retry: Retry::Later(Duration::from_secs(10)),
            waits: false,
        }
    }
}

/// Whether a failed call changed the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// The provider knows that nothing happened.
    NothingHappened,
    /// It may have happened, wholly or in part.
    Unknown,
}

/// Why a call that changes the world failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ApplyError {
    /// What was being done and why it failed, without secrets.
    pub message: String,
    /// Whether the world changed.
    pub certainty: Certainty,
    /// Whatever is known to be there now; the resource is then tainted.
    pub known: Option<Instance>,
    /// When to try again.
    pub retry: Retry,
}

impl ApplyError {
    /// An error before anything was done.
    pub fn nothing_happened(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            certainty: Certainty::NothingHappened,
            known: None,
            retry: Retry::WhenInputChanges,
        }
    }

    /// An error after which nobody knows.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self {
            certainty: Certainty::Unknown,
            ..Self::nothing_happened(message)
        }
    }
}

/// Makes, reads, changes and removes the resources of its types.
///
/// Dropping the future of any call stops it. The conformance suite of the testkit runs against
/// every provider.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The types. Cheap; the same for the life of the process.
    fn schema(&self) -> &ProviderSchema;

    /// What is wrong with `desired` (which may hold unknowns and references), beyond what the
    /// schema says. Needs no credentials, no network, no world; may be called any number of times.
    fn validate(&self, r#type: &TypeName, desired: &Record) -> Vec<Complaint>;

    /// The resource as it is, or `None` when it is gone. Never changes anything; may be called
    /// any number of times.
    async fn read(&self, call: ReadCall<'_>) -> Result<Option<Instance>, ProviderError>;

    /// What an apply would give. Changes nothing; the same arguments give the same answer. A
    /// resource that is as desired gives `planned` equal to the prior attributes.
    async fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError>;

    /// What must be kept to restore this resource. Changes nothing; called before the step.
    async fn checkpoint(&self, call: CheckpointCall<'_>) -> Result<Opaque, ProviderError>;

    /// Makes the resource as planned; `None` after a delete.
    ///
    /// *Guarantees*: called again with the same token only when [`Provider::locate`] answered
    /// [`Located::NotDone`]; it then completes what may be half done. A delete of what is gone
    /// succeeds. If the process dies inside, `locate` or `restore` is called next.
    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError>;

    /// Makes the resource equal to its checkpoint; `None` when nothing was there.
    ///
    /// *Guarantees*: may be called twice, and is right even if apply never ran or died half way.
    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError>;

    /// What became of an apply whose answer was lost. Changes nothing; may be called any number
    /// of times.
    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError>;

    /// The resource behind an id that is there already. Changes nothing.
    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError>;
}
