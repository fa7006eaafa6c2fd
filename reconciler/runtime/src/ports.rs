//! Everything the loop needs from outside, in one place.

use std::collections::BTreeMap;
use std::sync::Arc;

use stratum_core::ids::ProviderName;
use stratum_core::ports::{
    Audit, Clock, Gate, Loader, Probe, Proposer, Provider, ProviderSchema, Randomness, Repository,
    SealCheck, SecretStore, Secrets, Signatures, Store, TypeSchema, Wake,
};
use stratum_core::resource::Resource;

use crate::error::RuntimeError;

/// The adapters that the command line built.
#[derive(Clone)]
pub struct Ports {
    /// The state.
    pub store: Arc<dyn Store>,
    /// The audit log.
    pub audit: Arc<dyn Audit>,
    /// The git repository.
    pub repository: Arc<dyn Repository>,
    /// Bytes of a tree -> Desired.
    pub loader: Arc<dyn Loader>,
    /// Plan -> Verdict.
    pub gate: Arc<dyn Gate>,
    /// Who signed.
    pub signatures: Arc<dyn Signatures>,
    /// Makers of resources.
    pub providers: Providers,
    /// Verifies sealed values.
    pub sealing: Arc<dyn SealCheck>,
    /// Keeps sealed values, and which versions are in force.
    pub vault: Arc<dyn SecretStore>,
    /// Opens secrets, inside provider calls.
    pub secrets: Arc<dyn Secrets>,
    /// Makes secrets for the repository, and proposes them on a branch.
    pub proposals: Arc<dyn Proposer>,
    /// Health checks.
    pub probe: Arc<dyn Probe>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Random numbers for ids and jitter.
    pub randomness: Arc<dyn Randomness>,
    /// What wakes the loop.
    pub wake: Arc<dyn Wake>,
}

/// The providers by name.
#[derive(Clone, Default)]
pub struct Providers(BTreeMap<ProviderName, Arc<dyn Provider>>);

impl Providers {
    /// Providers by the names in their schemas.
    pub fn new(providers: impl IntoIterator<Item = Arc<dyn Provider>>) -> Self {
        Self(
            providers
                .into_iter()
                .map(|provider| (provider.schema().provider.clone(), provider))
                .collect(),
        )
    }

    /// The provider of this name.
    pub fn get(&self, name: &ProviderName) -> Result<&Arc<dyn Provider>, RuntimeError> {
        self.0.get(name).ok_or_else(|| RuntimeError::NoProvider {
            provider: name.clone(),
        })
    }

    /// The type of a resource; `None` when no provider has it.
    pub(crate) fn type_of(&self, resource: &Resource) -> Option<&TypeSchema> {
        let provider = self.0.get(&resource.provider)?;
        provider.schema().types.get(resource.address.r#type())
    }

    /// Whether a resource makes secrets.
    pub(crate) fn makes_secrets(&self, resource: &Resource) -> bool {
        self.type_of(resource)
            .is_some_and(TypeSchema::makes_secrets)
    }

    /// The schemas of all.
    pub fn schemas(&self) -> Vec<&ProviderSchema> {
        self.0.values().map(|provider| provider.schema()).collect()
    }
}
