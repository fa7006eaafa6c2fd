//! The `generated` provider: secrets that stratum makes itself, once.
//!
//! | type | file |
//! | --- | --- |
//! | `generated_password` | `made.rs`, `recipe.rs` |
//! | `generated_private_key` | the same |
//! | `generated_self_signed_cert` | `certificate.rs` |
//!
//! # Once
//!
//! A secret is kept, wrapped and durable, before the call that made it returns. What is kept under
//! a path, key and version is never made again: whoever comes after a `kill -9` finds it, and goes
//! on with the same one. A version that was made for a step that is put back is forgotten with it.
//! The version goes up when anything that the secret is made from changes; the one before is kept,
//! so that a rollback finds it.
//!
//! # Where it is kept
//!
//! `keep = "state"`: in the state of the reconciler, wrapped under its data key. Taking the resource
//! away is irreversible, since nobody has the secret then.
//!
//! `keep = "branch"`: as a sealed value in the repository. Until it is there the resource waits, and
//! the reconciler proposes one on a branch. The provider itself makes nothing then.

mod certificate;
mod made;
mod recipe;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::ids::{IdError, ProviderName, TypeName};
use stratum_core::ports::{
    ApplyCall, ApplyError, Call, CheckpointCall, Complaint, ImportCall, LocateCall, Located,
    PlanCall, Proposal, Provider, ProviderError, ProviderSchema, ReadCall, RestoreCall, TypeSchema,
};
use stratum_core::resource::{Instance, Opaque};
use stratum_core::secret::Secret;
use stratum_core::value::Record;

use crate::schema::unusable;

pub use recipe::{KEEP, Recipe, proposed};

/// The public half of a private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// In PEM.
    pub pem: String,
    /// One line as in `authorized_keys`.
    pub openssh: String,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The common name of its subject.
    pub common_name: String,
    /// The organisation of its subject.
    pub organization: Option<String>,
    /// The host names it is good for.
    pub dns_names: Vec<String>,
    /// The addresses it is good for.
    pub ip_addresses: Vec<IpAddr>,
    /// It may sign others.
    pub is_authority: bool,
    /// From when it is good (UTC).
    pub not_before: Timestamp,
    /// Until when it is good (UTC).
    pub not_after: Timestamp,
}

/// Makes secrets; an error is one clause, and holds none.
pub trait Maker: Send + Sync {
    /// A random password.
    fn password(&self, length: usize, letters: &str) -> Result<Secret, String>;

    /// A private key, as PKCS #8 in PEM.
    fn private_key(&self, algorithm: &str) -> Result<Secret, String>;

    /// The public half of a private key; the same for the same key.
    fn public_key(&self, private: &Secret) -> Result<PublicKey, String>;

    /// A certificate for a private key, signed with it, in PEM.
    fn certificate(&self, private: &Secret, says: &Certificate) -> Result<String, String>;
}

/// One type of the provider; the methods are those of [`Provider`].
#[async_trait]
trait GeneratedType: Send + Sync {
    fn schema(&self) -> &TypeSchema;
    fn validate(&self, desired: &Record) -> Vec<Complaint>;
    fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError>;
    async fn read(&self, call: ReadCall<'_>) -> Result<Option<Instance>, ProviderError>;
    async fn checkpoint(&self, call: CheckpointCall<'_>) -> Result<Opaque, ProviderError>;
    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError>;
    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError>;
    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError>;
}

/// Makes secrets, once.
pub struct GeneratedProvider {
    schema: ProviderSchema,
    types: BTreeMap<TypeName, Box<dyn GeneratedType>>,
}

impl std::fmt::Debug for GeneratedProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GeneratedProvider").finish_non_exhaustive()
    }
}

impl GeneratedProvider {
    /// Makes the provider; `maker` does what needs cryptography.
    pub fn new(maker: Arc<dyn Maker>) -> Result<Self, IdError> {
        let mut types: BTreeMap<TypeName, Box<dyn GeneratedType>> = BTreeMap::new();
        for recipe in recipe::ALL {
            let made = made::Made::new(recipe, Arc::clone(&maker));
            types.insert(TypeName::new(recipe.type_name())?, Box::new(made));
        }
        let certificate = certificate::SelfSigned::new(maker);
        types.insert(
            TypeName::new("generated_self_signed_cert")?,
            Box::new(certificate),
        );
        let schemas = types
            .iter()
            .map(|(name, r#type)| (name.clone(), r#type.schema().clone()));
        Ok(Self {
            schema: ProviderSchema {
                provider: ProviderName::new("generated")?,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                types: schemas.collect(),
            },
            types,
        })
    }

    fn of(&self, call: Call<'_>) -> Result<&dyn GeneratedType, ProviderError> {
        let name = call.address.r#type();
        let found = self.types.get(name).map(AsRef::as_ref);
        found.ok_or_else(|| ProviderError::input(format!("the provider has no type `{name}`")))
    }

    fn of_changing(&self, call: Call<'_>) -> Result<&dyn GeneratedType, ApplyError> {
        self.of(call)
            .map_err(|error| ApplyError::nothing_happened(error.message))
    }
}

#[async_trait]
impl Provider for GeneratedProvider {
    fn schema(&self) -> &ProviderSchema {
        &self.schema
    }

    fn validate(&self, r#type: &TypeName, desired: &Record) -> Vec<Complaint> {
        let found = self.types.get(r#type);
        found
            .map(|found| found.validate(desired))
            .unwrap_or_default()
    }

    async fn read(&self, call: ReadCall<'_>) -> Result<Option<Instance>, ProviderError> {
        self.of(call.call)?.read(call).await
    }

    async fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        self.of(call.call)?.plan(call)
    }

    async fn checkpoint(&self, call: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        self.of(call.call)?.checkpoint(call).await
    }

    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let found = self.of_changing(call.call)?;
        let unusable = |planned| unusable(found.schema(), planned);
        if let Some(why) = call.planned.and_then(unusable) {
            return Err(ApplyError::nothing_happened(why));
        }
        found.apply(call).await
    }

    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        self.of_changing(call.call)?.restore(call).await
    }

    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError> {
        self.of(call.call)?.locate(call).await
    }

    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError> {
        Err(ProviderError::input(format!(
            "`{}` cannot be adopted: seal what is there with `stratum secrets seal`, and name it \
             with `stratum.secret`",
            call.call.address
        )))
    }
}
