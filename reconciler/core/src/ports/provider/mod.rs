//! The Provider port, shaped like the life of a resource in Terraform's plugin protocol.
//!
//! *Source*: the protocol's `resource-instance-change-lifecycle`; unknown values and private data
//! are in it from the first day because they cannot be added later.

mod answer;
mod call;
mod error;
mod schema;

use async_trait::async_trait;

use crate::ids::TypeName;
use crate::resource::{Instance, Opaque};
use crate::value::Record;

pub use answer::{Located, Proposal, Reading};
pub use call::{
    ApplyCall, Call, CheckpointCall, ImportCall, LocateCall, PlanCall, ReadCall, RestoreCall, Site,
};
pub use error::{ApplyError, Certainty, Complaint, ProviderError};
pub use schema::{AttributeSchema, Effect, ProviderSchema, TypeSchema, ValueType};

/// Makes, reads, changes and removes the resources of its types.
///
/// Dropping the future of any call stops it. The conformance suite of the testkit runs against
/// every provider.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The types. Cheap; the same for the life of the process.
    fn schema(&self) -> &ProviderSchema;

    /// Whether resources of the type run, so that [`Provider::read`] may say that one does not: such
    /// are looked at whatever the drift mode, and when the process starts.
    fn runs(&self, _type: &TypeName) -> bool {
        false
    }

    /// What is wrong with `desired` (which may hold unknowns and references), beyond what the
    /// schema says. Needs no credentials, no network, no world; may be called any number of times.
    fn validate(&self, r#type: &TypeName, desired: &Record) -> Vec<Complaint>;

    /// The resource as it is: there and running, there but not running, or gone. Never changes
    /// anything; may be called any number of times.
    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError>;

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
