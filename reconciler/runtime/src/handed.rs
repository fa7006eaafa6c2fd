//! Secrets that are handed on, with an eye on what is opened and kept.

use std::sync::Arc;

use async_trait::async_trait;
use stratum_core::ids::Address;
use stratum_core::ports::{AtRest, MadeSecret, Marker, SecretError, SecretName, Secrets, Standing};
use stratum_core::secret::Secret;
use stratum_core::value::SecretReference;

/// Stands between a provider and whoever opens secrets.
pub(crate) trait Between: Send + Sync {
    /// Who opens them.
    fn secrets(&self) -> &dyn Secrets;

    /// Whether this one may be opened.
    fn may_open(&self, _reference: &SecretReference) -> Result<(), SecretError> {
        Ok(())
    }

    /// A secret was opened, or is to be kept.
    fn hears(&self, _secret: &Secret) {}
}

/// What somebody in between hands on.
pub(crate) struct Handed<T>(pub(crate) T);

#[async_trait]
impl<T: Between> Secrets for Handed<T> {
    fn standing(&self) -> Standing {
        self.0.secrets().standing()
    }

    async fn open(
        &self,
        reader: &Address,
        reference: &SecretReference,
    ) -> Result<Secret, SecretError> {
        self.0.may_open(reference)?;
        let secret = self.0.secrets().open(reader, reference).await?;
        self.0.hears(&secret);
        Ok(secret)
    }

    async fn keep(
        &self,
        owner: &Address,
        name: &SecretName,
        secret: &Secret,
    ) -> Result<SecretReference, SecretError> {
        self.0.hears(secret);
        self.0.secrets().keep(owner, name, secret).await
    }

    async fn made(&self, owner: &Address, path: &str) -> Result<Vec<MadeSecret>, SecretError> {
        self.0.secrets().made(owner, path).await
    }

    async fn put_back(&self, owner: &Address, secrets: &[MadeSecret]) -> Result<(), SecretError> {
        self.0.secrets().put_back(owner, secrets).await
    }

    async fn forget(
        &self,
        owner: &Address,
        path: &str,
        versions: &[u64],
    ) -> Result<(), SecretError> {
        self.0.secrets().forget(owner, path, versions).await
    }

    async fn changed(&self, known: &Standing) {
        self.0.secrets().changed(known).await;
    }
}

impl<T: Between> AtRest for Handed<T> {
    fn key(&self) -> Option<String> {
        self.0.secrets().key()
    }

    fn wrap(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>, SecretError> {
        self.0.secrets().wrap(context, plain)
    }

    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Secret, SecretError> {
        self.0.secrets().unwrap(context, wrapped)
    }

    fn marker(&self) -> Result<Arc<dyn Marker>, SecretError> {
        self.0.secrets().marker()
    }
}
