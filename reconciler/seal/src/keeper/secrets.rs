//! The port of secrets: opened for whoever applies, and those that are made here.

use async_trait::async_trait;
use stratum_core::digest::Digest;
use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::ports::{
    AtRest as _, KeptSecret, MadeSecret, SecretError, SecretName, SecretStore, Secrets, Standing,
    StoreError,
};
use stratum_core::secret::Secret;
use stratum_core::value::SecretReference;

use super::{Keeper, Reading};

fn unkept(error: StoreError) -> SecretError {
    SecretError::Made(Box::new(error))
}

/// A secret as the state keeps it.
enum Found {
    /// Sealed in the repository.
    Kept(KeptSecret),
    /// Made here.
    Made(MadeSecret),
}

impl Found {
    /// What is read, as it is kept.
    fn reading(&self) -> Reading {
        let (path, key, version, digest) = match self {
            Self::Kept(kept) => (&kept.path, &kept.key, kept.version, kept.digest),
            Self::Made(made) => (&made.path, &made.key, made.version, made.digest),
        };
        Reading {
            path: path.clone(),
            key: key.clone(),
            version,
            digest,
        }
    }
}

async fn find(
    vault: &dyn SecretStore,
    environment: &EnvironmentName,
    digest: &Digest,
) -> Result<Option<Found>, StoreError> {
    if let Some(kept) = vault.kept_secret(environment, digest).await? {
        return Ok(Some(Found::Kept(kept)));
    }
    let made = vault.made_secret(environment, digest).await?;
    Ok(made.map(Found::Made))
}

#[async_trait]
impl Secrets for Keeper {
    fn standing(&self) -> Standing {
        self.inner.standing.borrow().clone()
    }

    async fn open(
        &self,
        reader: &Address,
        reference: &SecretReference,
    ) -> Result<Secret, SecretError> {
        self.inner.with(|_| Ok(()))?;
        let (path, key) = (reference.path.clone(), reference.key.clone());
        let version = reference.version.map_or("?".to_owned(), |v| v.to_string());
        let missing = || SecretError::Missing {
            path: path.clone(),
            key: key.clone(),
            version: version.clone(),
        };
        let unopened = |why: String| SecretError::Unopened {
            path: path.clone(),
            key: key.clone(),
            why,
        };
        let digest = reference.digest.ok_or_else(missing)?;
        let vault = self.vault().map_err(|error| unopened(error.to_string()))?;
        let found = find(vault.as_ref(), &reader.environment, &digest).await;
        let found = found.map_err(|error| unopened(error.to_string()))?;
        let found = found.ok_or_else(missing)?;
        let reading = found.reading();
        if (&reading.path, &reading.key) != (&path, &key) {
            return Err(unopened(format!(
                "it is the value `{}` of `{}`",
                reading.key, reading.path
            )));
        }
        // The audit log, before it is opened. If it cannot be written, it stays closed.
        if let Some(permit) = self.permit.get() {
            permit(reader, reading).await?;
        }
        match found {
            Found::Kept(kept) if Digest::of_bytes(&kept.age) != digest => Err(unopened(
                "what the state keeps of it was changed".to_owned(),
            )),
            Found::Kept(kept) => self
                .open_age(&kept.age)?
                .map_err(|error| unopened(error.to_string())),
            Found::Made(made) => self.unwrap(&made.context(&reader.environment), &made.wrapped),
        }
    }

    async fn keep(
        &self,
        owner: &Address,
        name: &SecretName,
        secret: &Secret,
    ) -> Result<SecretReference, SecretError> {
        let wrapped_by = self.key();
        let wrapped_by = wrapped_by.ok_or_else(|| SecretError::Sealed(self.inner.why()))?;
        let mut made = MadeSecret::new(name, wrapped_by);
        made.wrapped = self.wrap(&made.context(&owner.environment), secret.expose())?;
        // Of bytes that nobody can make again: it says nothing about the secret.
        made.digest = Digest::of_bytes(&made.wrapped);
        let vault = self.vault().map_err(unkept)?;
        let kept = vault.keep_made(&owner.environment, std::slice::from_ref(&made));
        kept.await.map_err(unkept)?;
        let all = vault.made(&owner.environment, &name.path).await;
        let all = all.map_err(unkept)?;
        let first = all
            .iter()
            .find(|made| made.key == name.key && made.version == name.version);
        first
            .map(MadeSecret::reference)
            .ok_or_else(|| SecretError::Missing {
                path: name.path.clone(),
                key: name.key.clone(),
                version: name.version.to_string(),
            })
    }

    async fn made(&self, owner: &Address, path: &str) -> Result<Vec<MadeSecret>, SecretError> {
        let vault = self.vault().map_err(unkept)?;
        vault.made(&owner.environment, path).await.map_err(unkept)
    }

    async fn put_back(&self, owner: &Address, secrets: &[MadeSecret]) -> Result<(), SecretError> {
        let vault = self.vault().map_err(unkept)?;
        let kept = vault.keep_made(&owner.environment, secrets).await;
        kept.map_err(unkept)
    }

    async fn forget(
        &self,
        owner: &Address,
        path: &str,
        versions: &[u64],
    ) -> Result<(), SecretError> {
        let vault = self.vault().map_err(unkept)?;
        let forgotten = vault.forget_made(&owner.environment, path, versions);
        forgotten.await.map_err(unkept)
    }

    async fn changed(&self, known: &Standing) {
        let mut standing = self.inner.standing.subscribe();
        // The sender is in `self`, so it cannot be gone.
        let _ = standing.wait_for(|now| now != known).await;
    }
}
