//! A provider made of its types: each call goes to the type of its address.

use std::collections::BTreeMap;

use async_trait::async_trait;
use stratum_core::ids::{IdError, ProviderName, TypeName};
use stratum_core::ports::{
    ApplyCall, ApplyError, Call, CheckpointCall, Complaint, ImportCall, ListCall, Listed,
    LocateCall, Located, PlanCall, Proposal, Provider, ProviderError, ProviderSchema, ReadCall,
    Reading, RestoreCall, TypeSchema,
};
use stratum_core::resource::{Instance, Opaque};
use stratum_core::value::Record;

use crate::own;
use crate::schema::unusable;

/// One type of a provider; the methods are those of [`Provider`].
#[async_trait]
pub(crate) trait ResourceType: Send + Sync {
    fn schema(&self) -> &TypeSchema;
    /// Whether resources of it run.
    fn runs(&self) -> bool {
        false
    }
    fn validate(&self, desired: &Record) -> Vec<Complaint>;
    fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError>;
    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError>;
    async fn checkpoint(&self, call: CheckpointCall<'_>) -> Result<Opaque, ProviderError>;
    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError>;
    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError>;
    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError>;
    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError>;
    async fn list(&self, call: ListCall<'_>) -> Result<Listed, ProviderError> {
        Err(not_listed(call.r#type))
    }
}

fn not_listed(r#type: &TypeName) -> ProviderError {
    ProviderError::input(format!("what there is of `{type}` cannot be listed"))
}

/// A provider with a fixed list of types.
pub struct TypedProvider {
    schema: ProviderSchema,
    types: BTreeMap<TypeName, Box<dyn ResourceType>>,
}

impl std::fmt::Debug for TypedProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TypedProvider").finish_non_exhaustive()
    }
}

impl TypedProvider {
    pub(crate) fn new(
        name: &str,
        list: Vec<(&str, Box<dyn ResourceType>)>,
    ) -> Result<Self, IdError> {
        let types = list
            .into_iter()
            .map(|(name, r#type)| Ok((TypeName::new(name)?, r#type)))
            .collect::<Result<BTreeMap<_, _>, IdError>>()?;
        let schemas = types
            .iter()
            .map(|(name, r#type)| (name.clone(), r#type.schema().clone()));
        Ok(Self {
            schema: ProviderSchema {
                provider: ProviderName::new(name)?,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                types: schemas.collect(),
            },
            types,
        })
    }

    fn of(&self, call: Call<'_>) -> Result<&dyn ResourceType, ProviderError> {
        let name = call.address.r#type();
        let found = self.types.get(name).map(AsRef::as_ref);
        found.ok_or_else(|| ProviderError::input(format!("the provider has no type `{name}`")))
    }

    fn of_changing(&self, call: Call<'_>) -> Result<&dyn ResourceType, ApplyError> {
        self.of(call)
            .map_err(|error| ApplyError::nothing_happened(error.message))
    }
}

/// Before anything is changed: what a version before remembered is taken over.
fn take_over(call: Call<'_>) -> Result<(), ApplyError> {
    own::take_over(call.site).map_err(|error| {
        let own = call.site.own.display();
        ApplyError::nothing_happened(format!("could not make `{own}` ready: {error}"))
    })
}

#[async_trait]
impl Provider for TypedProvider {
    fn schema(&self) -> &ProviderSchema {
        &self.schema
    }

    fn runs(&self, r#type: &TypeName) -> bool {
        self.types.get(r#type).is_some_and(|one| one.runs())
    }

    fn validate(&self, r#type: &TypeName, desired: &Record) -> Vec<Complaint> {
        let found = self.types.get(r#type);
        found
            .map(|found| found.validate(desired))
            .unwrap_or_default()
    }

    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError> {
        let site = own::known(call.call.site);
        let found = self.of(call.call)?;
        let call = ReadCall {
            call: Call {
                site: &site,
                ..call.call
            },
            ..call
        };
        found.read(call).await
    }

    async fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        self.of(call.call)?.plan(call)
    }

    async fn checkpoint(&self, call: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        let site = own::known(call.call.site);
        let found = self.of(call.call)?;
        let call = CheckpointCall {
            call: Call {
                site: &site,
                ..call.call
            },
            ..call
        };
        found.checkpoint(call).await
    }

    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let found = self.of_changing(call.call)?;
        let unusable = |planned| unusable(found.schema(), planned);
        if let Some(why) = call.planned.and_then(unusable) {
            return Err(ApplyError::nothing_happened(why));
        }
        take_over(call.call)?;
        found.apply(call).await
    }

    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let found = self.of_changing(call.call)?;
        take_over(call.call)?;
        found.restore(call).await
    }

    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError> {
        let site = own::known(call.call.site);
        let found = self.of(call.call)?;
        let call = LocateCall {
            call: Call {
                site: &site,
                ..call.call
            },
            ..call
        };
        found.locate(call).await
    }

    async fn list(&self, call: ListCall<'_>) -> Result<Listed, ProviderError> {
        match self.types.get(call.r#type) {
            Some(found) => found.list(call).await,
            None => Err(not_listed(call.r#type)),
        }
    }

    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError> {
        let site = own::known(call.call.site);
        let found = self.of(call.call)?;
        let call = ImportCall {
            call: Call {
                site: &site,
                ..call.call
            },
            ..call
        };
        found.import(call).await
    }
}
