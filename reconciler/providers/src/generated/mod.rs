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

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use stratum_core::ids::IdError;
use stratum_core::ports::{ImportCall, ProviderError};
use stratum_core::resource::Instance;
use stratum_core::secret::Secret;

use crate::types::{ResourceType, TypedProvider};

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

/// Makes the provider of secrets that are made once; `maker` does what needs cryptography.
pub fn provider(maker: Arc<dyn Maker>) -> Result<TypedProvider, IdError> {
    let mut list: Vec<(&str, Box<dyn ResourceType>)> = Vec::new();
    for recipe in recipe::ALL {
        let made = made::Made::new(recipe, Arc::clone(&maker));
        list.push((recipe.type_name(), Box::new(made)));
    }
    let certificate = certificate::SelfSigned::new(maker);
    list.push(("generated_self_signed_cert", Box::new(certificate)));
    TypedProvider::new("generated", list)
}

/// What was made elsewhere is not taken over.
fn not_adopted(call: &ImportCall<'_>) -> Result<Instance, ProviderError> {
    Err(ProviderError::input(format!(
        "`{}` cannot be adopted: seal what is there with `stratum secrets seal`, and name it \
             with `stratum.secret`",
        call.call.address
    )))
}
