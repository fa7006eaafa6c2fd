//! Everything the loop needs from outside, in one place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use stratum_core::digest::Digest;
use stratum_core::ids::{
    Address, EnvironmentName, IdError, LocalAddress, ProviderName, ResourceName, TypeName,
};
use stratum_core::planning::{Schemas, built_in};
use stratum_core::ports::{
    Audit, Clock, ConfigureCall, Gate, Loader, Probe, Proposer, Provider, ProviderError,
    ProviderSchema, Randomness, Repository, SealCheck, SecretStore, Secrets, Signatures, Store,
    TypeSchema, Wake,
};
use stratum_core::resource::Resource;
use stratum_core::value::Record;

use crate::calls::Calls;
use crate::discreet::Discreet;
use crate::error::RuntimeError;
use crate::turns::Turns;

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

/// The providers by name, with the types that they were asked for and the handles of their
/// configurations.
#[derive(Clone, Default)]
pub struct Providers {
    handles: BTreeMap<ProviderName, Arc<dyn Provider>>,
    /// The types that were asked for.
    learned: Arc<RwLock<Schemas>>,
    /// The handles that were made, by name and what the configuration says.
    made: Arc<Mutex<Made>>,
    /// Of the providers that take only so many calls at once.
    turns: BTreeMap<ProviderName, Turns>,
}

/// Handles by name and what their configuration says.
type Made = BTreeMap<(ProviderName, Digest), Arc<dyn Provider>>;

impl Providers {
    /// Providers by the names in their schemas.
    pub fn new(providers: impl IntoIterator<Item = Arc<dyn Provider>>) -> Self {
        let handles: BTreeMap<_, _> = providers
            .into_iter()
            .map(|provider| {
                (
                    provider.schema().provider.clone(),
                    Discreet::around(provider),
                )
            })
            .collect();
        let built_in = built_in(handles.values().map(|provider| provider.schema()));
        let turns = handles.iter().filter_map(|(name, provider)| {
            let at_once = provider.capabilities().at_once?;
            Some((name.clone(), Turns::of(at_once)))
        });
        Self {
            turns: turns.collect(),
            handles,
            learned: Arc::new(RwLock::new(built_in)),
            made: Arc::default(),
        }
    }

    /// The provider of this name, or the handle of this configuration.
    pub fn get(&self, name: &ProviderName) -> Result<&Arc<dyn Provider>, RuntimeError> {
        self.handles
            .get(name)
            .ok_or_else(|| RuntimeError::NoProvider {
                provider: name.clone(),
            })
    }

    /// The provider that has a type, before it is configured.
    pub(crate) fn of_type(&self, r#type: &TypeName) -> Option<&Arc<dyn Provider>> {
        let mut all = self.handles.values();
        all.find(|provider| provider.types().contains(r#type))
    }

    /// A type of a provider, if it is built in or was learned; `None` when there is no such.
    pub fn type_schema(
        &self,
        provider: &ProviderName,
        r#type: &TypeName,
    ) -> Option<Arc<TypeSchema>> {
        let key = (provider.source(), r#type.clone());
        let learned = self.learned.read().unwrap_or_else(PoisonError::into_inner);
        learned.get(&key).cloned()
    }

    /// Every type that is built in or was learned.
    pub(crate) fn known_types(&self) -> Schemas {
        let learned = self.learned.read().unwrap_or_else(PoisonError::into_inner);
        learned.clone()
    }

    /// Learns types, each by asking its provider once. What cannot be learned is answered.
    pub(crate) async fn learn(
        &self,
        types: BTreeSet<(ProviderName, TypeName)>,
    ) -> BTreeMap<(ProviderName, TypeName), ProviderError> {
        let mut failed = BTreeMap::new();
        for (name, r#type) in types {
            let Some(provider) = self.handles.get(&name.source()) else {
                continue;
            };
            if self.type_schema(&name, &r#type).is_some() || !provider.types().contains(&r#type) {
                continue;
            }
            match provider.type_schema(&r#type).await {
                Ok(Some(schema)) => {
                    let mut learned = self.learned.write().unwrap_or_else(PoisonError::into_inner);
                    learned.insert((name.source(), r#type), schema);
                }
                Ok(None) => {}
                Err(error) => {
                    failed.insert((name.source(), r#type), error);
                }
            }
        }
        failed
    }

    /// The same calls, each in its turn where the provider takes only so many at once.
    pub(crate) fn in_turn<'a>(
        &'a self,
        name: &ProviderName,
        environment: &'a EnvironmentName,
        calls: Calls<'a>,
    ) -> Calls<'a> {
        let turns = self.turns.get(&name.source());
        Calls {
            turns: turns.map(|turns| (turns, environment)),
            ..calls
        }
    }

    /// The handle that works for `name`: of its configuration, or the provider itself where it
    /// takes none.
    pub(crate) async fn handle(
        &self,
        name: &ProviderName,
        configurations: &BTreeMap<ProviderName, Record>,
        environment: &EnvironmentName,
        calls: Calls<'_>,
    ) -> Result<Arc<dyn Provider>, ProviderError> {
        let source = self.handles.get(&name.source());
        let source = source.ok_or_else(|| {
            ProviderError::input(format!("there is no provider `{}`", name.source()))
        })?;
        let Some(configuration) = configurations.get(name) else {
            return match source.capabilities().configured || name.alias().is_some() {
                true => Err(ProviderError::input(format!(
                    "the revision has no configuration of the provider `{name}`"
                ))),
                false => Ok(Arc::clone(source)),
            };
        };
        let key = (name.clone(), Digest::of_json(configuration));
        if let Some(handle) = self.made(&key) {
            return Ok(handle);
        }
        let address = configuration_address(environment, name)
            .map_err(|error| ProviderError::input(error.to_string()))?;
        let granted = calls.grant([configuration]);
        let call = ConfigureCall {
            call: calls.call(&address, &granted),
            name,
            configuration,
        };
        let handle = calls.asking(source.configure(call)).await?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        // One that an older configuration made is of no use any more.
        made.retain(|(other, _), _| other != name);
        made.insert(key, Arc::clone(&handle));
        Ok(handle)
    }

    fn made(&self, key: &(ProviderName, Digest)) -> Option<Arc<dyn Provider>> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.get(key).cloned()
    }

    /// The type of a resource; `None` when no provider has it.
    pub(crate) fn type_of(&self, resource: &Resource) -> Option<Arc<TypeSchema>> {
        self.type_schema(&resource.provider, resource.address.r#type())
    }

    /// Whether a resource makes secrets.
    pub(crate) fn makes_secrets(&self, resource: &Resource) -> bool {
        self.type_of(resource)
            .is_some_and(|schema| schema.makes_secrets())
    }

    /// The schemas of all: what is built in.
    pub fn schemas(&self) -> Vec<&ProviderSchema> {
        self.handles
            .values()
            .map(|provider| provider.schema())
            .collect()
    }
}

/// What stands for a configuration where its secrets are opened: in policy and in the audit log.
pub(crate) fn configuration_address(
    environment: &EnvironmentName,
    name: &ProviderName,
) -> Result<Address, IdError> {
    Ok(Address {
        environment: environment.clone(),
        local: LocalAddress {
            r#type: TypeName::new("provider")?,
            name: ResourceName::new(name.as_str())?,
        },
    })
}
