//! The Provider port, shaped like the life of a resource in Terraform's plugin protocol.
//!
//! *Source*: the protocol's `resource-instance-change-lifecycle`; unknown values and private data
//! are in it from the first day because they cannot be added later.

mod answer;
mod call;
mod error;
mod fit;
mod schema;

use std::sync::Arc;

use async_trait::async_trait;

use crate::ids::TypeName;
use crate::plan::Reversibility;
use crate::resource::{Instance, Opaque};
use crate::value::Record;

pub use answer::{Found, Listed, Located, Proposal, Reading};
pub use call::{
    ApplyCall, Call, CheckpointCall, ConfigureCall, FetchCall, ImportCall, Isolation, ListCall,
    LocateCall, Notes, PlanCall, ReadCall, RenewCall, RestoreCall, Site, Stopping, UpgradeCall,
};
pub use error::{ApplyError, Certainty, Complaint, Diagnostic, ProviderError, Severity};
pub use fit::Misfit;
pub use schema::{AttributeSchema, Effect, ProviderSchema, TypeSchema, ValueType};

/// What a provider can do beyond what every provider does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// It must be configured before it is asked about a resource.
    pub configured: bool,
    /// It is not asked what a delete would give, because it answers nothing of use; each can be put
    /// back so far.
    pub deletes: Option<Reversibility>,
    /// It takes so many calls at once, of all environments together; `None`: as many as come.
    pub at_once: Option<usize>,
}

/// Makes, reads, changes and removes the resources of its types.
///
/// Dropping the future of any call stops it. The conformance suite of the testkit runs against
/// every provider.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Who it is, and the types that are built in. Cheap; the same for the life of the process.
    fn schema(&self) -> &ProviderSchema;

    /// Whether resources of the type run, so that [`Provider::read`] may say that one does not: such
    /// are looked at whatever the drift mode, and when the process starts.
    fn runs(&self, _type: &TypeName) -> bool {
        false
    }

    /// What it can do beyond what every provider does.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// The names of all its types; those that are not built in are asked for one by one.
    fn types(&self) -> Vec<TypeName> {
        self.schema().types.keys().cloned().collect()
    }

    /// One type, which may have to be asked of a process; `None` where there is no such. Needs no
    /// configuration; may be called any number of times.
    async fn type_schema(
        &self,
        r#type: &TypeName,
    ) -> Result<Option<Arc<TypeSchema>>, ProviderError> {
        Ok(self.schema().types.get(r#type).cloned().map(Arc::new))
    }

    /// A handle that works with this configuration. Changes nothing in the world; may be called any
    /// number of times, also with several configurations.
    async fn configure(&self, call: ConfigureCall<'_>) -> Result<Arc<dyn Provider>, ProviderError> {
        Err(ProviderError::input(format!(
            "`{}` takes no configuration",
            call.name.source()
        )))
    }

    /// Stored state of an older schema version, in the form of today's; called before every use of
    /// such a state. Changes nothing; may be called any number of times.
    async fn upgrade(&self, call: UpgradeCall<'_>) -> Result<Instance, ProviderError> {
        Err(ProviderError::person(format!(
            "it cannot read the state of `{}`, which follows version {} of its schema",
            call.call.address, call.version
        )))
    }

    /// What a type that is only read says now. Changes nothing; may be called any number of times.
    async fn fetch(&self, call: FetchCall<'_>) -> Result<Instance, ProviderError> {
        Err(ProviderError::input(format!(
            "`{}` is not only read",
            call.call.address.r#type()
        )))
    }

    /// What is there of a type, whether stratum made it or not. Changes nothing; may be called any
    /// number of times.
    ///
    /// *Guarantees*: an id that nothing of the state is can be given to [`Provider::import`]. At most
    /// as many as were asked for, and the answer says when there are more.
    async fn list(&self, call: ListCall<'_>) -> Result<Listed, ProviderError> {
        Err(ProviderError::input(format!(
            "what there is of `{}` cannot be listed",
            call.r#type
        )))
    }

    /// Renews what is due, so that it is good for longer.
    ///
    /// *Guarantees*: may be called twice with the same token. If the process dies inside, `locate`
    /// or `restore` is called next.
    async fn renew(&self, call: RenewCall<'_>) -> Result<Instance, ApplyError> {
        Err(ApplyError::nothing_happened(format!(
            "`{}` cannot be renewed",
            call.call.address
        )))
    }

    /// What is wrong with `desired` (which may hold unknowns and references), beyond what the
    /// schema says. Needs no credentials, no network, no world; may be called any number of times.
    fn validate(&self, r#type: &TypeName, desired: &Record) -> Vec<Diagnostic>;

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
