//! Secrets in memory: a twin that opens what it was told, and can be sealed and unsealed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use stratum_core::digest::Digest;
use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::ports::{
    AtRest, KeptSecret, KeyRow, MadeSecret, Marker, SealCheck, SealReport, SealRequest,
    SecretError, SecretKey, SecretName, SecretStore, Secrets, Standing, StoreError, TreeError,
};
use stratum_core::secret::Secret;
use stratum_core::value::SecretReference;
use tokio::sync::watch;

/// Path, key and version.
type Name = (String, String, Option<u64>);

/// Environment, path, key and version.
type Made = (EnvironmentName, String, String, u64);

fn place_of(owner: &Address, made: &MadeSecret) -> Made {
    let (path, key) = (made.path.clone(), made.key.clone());
    (owner.environment.clone(), path, key, made.version)
}

/// Secrets by path, key and version, in memory.
///
/// *Guarantees*: what it wraps does not hold the plain bytes; every opening is remembered.
#[derive(Debug)]
pub struct MemorySecrets {
    known: Mutex<BTreeMap<Name, Vec<u8>>>,
    opened: Mutex<Vec<(Address, SecretReference)>>,
    made: Mutex<BTreeMap<Made, MadeSecret>>,
    count: AtomicU64,
    standing: watch::Sender<Standing>,
}

impl Default for MemorySecrets {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            opened: Mutex::default(),
            made: Mutex::default(),
            count: AtomicU64::new(0),
            standing: watch::Sender::new(Standing::Open),
        }
    }
}

impl MemorySecrets {
    /// Keeps a secret.
    pub fn with(self, path: &str, key: &str, version: Option<u64>, secret: &[u8]) -> Self {
        let name = (path.to_owned(), key.to_owned(), version);
        lock(&self.known).insert(name, secret.to_vec());
        self
    }

    /// Seals or unseals it.
    pub fn set(&self, standing: Standing) {
        self.standing.send_replace(standing);
    }

    /// What was opened, and for whom.
    pub fn opened(&self) -> Vec<(Address, SecretReference)> {
        lock(&self.opened).clone()
    }

    fn ready(&self) -> Result<(), SecretError> {
        match self.standing() {
            Standing::Open => Ok(()),
            Standing::Sealed(why) => Err(SecretError::Sealed(why)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn mask(context: &str) -> [u8; 32] {
    let digest = Digest::of_bytes(context.as_bytes()).to_string();
    let mut mask = [0x5a; 32];
    for (byte, letter) in mask.iter_mut().zip(digest.bytes()) {
        *byte ^= letter;
    }
    mask
}

fn masked(context: &str, bytes: &[u8]) -> Vec<u8> {
    let mask = mask(context);
    let pairs = bytes.iter().zip(mask.iter().cycle());
    pairs.map(|(byte, mask)| byte ^ mask).collect()
}

impl AtRest for MemorySecrets {
    fn key(&self) -> Option<String> {
        self.ready().ok().map(|()| "memory".to_owned())
    }

    fn wrap(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>, SecretError> {
        self.ready()?;
        let mut wrapped = Digest::of_bytes(context.as_bytes()).short().into_bytes();
        wrapped.extend(masked(context, plain));
        Ok(wrapped)
    }

    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Secret, SecretError> {
        self.ready()?;
        let head = Digest::of_bytes(context.as_bytes()).short();
        match wrapped.strip_prefix(head.as_bytes()) {
            Some(rest) => Ok(Secret::new(masked(context, rest))),
            None => Err(SecretError::Wrapped("another context".to_owned())),
        }
    }

    fn marker(&self) -> Result<Arc<dyn Marker>, SecretError> {
        self.ready()?;
        Ok(Arc::new(MemoryMarker))
    }
}

struct MemoryMarker;

impl Marker for MemoryMarker {
    fn mark(&self, bytes: &[u8]) -> Result<String, SecretError> {
        let mut keyed = b"a key that is known to tests only".to_vec();
        keyed.extend_from_slice(bytes);
        Ok(Digest::of_bytes(&keyed).to_string())
    }

    fn matches(&self, mark: &str, bytes: &[u8]) -> Result<bool, SecretError> {
        Ok(self.mark(bytes)? == mark)
    }
}

#[async_trait]
impl Secrets for MemorySecrets {
    fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    async fn open(
        &self,
        reader: &Address,
        reference: &SecretReference,
    ) -> Result<Secret, SecretError> {
        self.ready()?;
        lock(&self.opened).push((reader.clone(), reference.clone()));
        let SecretReference {
            path, key, version, ..
        } = reference.clone();
        let found = lock(&self.known)
            .get(&(path.clone(), key.clone(), version))
            .cloned();
        let place = (reader.environment.clone(), path.clone(), key.clone());
        let place = (place.0, place.1, place.2, version.unwrap_or_default());
        let made = lock(&self.made).get(&place).cloned();
        if let (None, Some(made)) = (&found, made) {
            return self.unwrap(&made.context(&reader.environment), &made.wrapped);
        }
        found.map(Secret::new).ok_or_else(|| SecretError::Missing {
            path,
            key,
            version: version.map_or("?".to_owned(), |version| version.to_string()),
        })
    }

    async fn keep(
        &self,
        owner: &Address,
        name: &SecretName,
        secret: &Secret,
    ) -> Result<SecretReference, SecretError> {
        let mut made = MadeSecret::new(name, "memory".to_owned());
        made.wrapped = self.wrap(&made.context(&owner.environment), secret.expose())?;
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        made.digest = Digest::of_bytes(format!("secret {count}").as_bytes());
        self.put_back(owner, std::slice::from_ref(&made)).await?;
        let place = place_of(owner, &made);
        let kept = lock(&self.made).get(&place).map(MadeSecret::reference);
        Ok(kept.unwrap_or_else(|| made.reference()))
    }

    async fn made(&self, owner: &Address, path: &str) -> Result<Vec<MadeSecret>, SecretError> {
        self.ready()?;
        let made = lock(&self.made);
        let mine = made
            .iter()
            .filter(|((environment, of, ..), _)| *environment == owner.environment && of == path);
        Ok(mine.map(|(_, made)| made.clone()).collect())
    }

    async fn put_back(&self, owner: &Address, secrets: &[MadeSecret]) -> Result<(), SecretError> {
        self.ready()?;
        let mut made = lock(&self.made);
        for secret in secrets {
            let place = place_of(owner, secret);
            made.entry(place).or_insert_with(|| secret.clone());
        }
        Ok(())
    }

    async fn forget(
        &self,
        owner: &Address,
        path: &str,
        versions: &[u64],
    ) -> Result<(), SecretError> {
        self.ready()?;
        lock(&self.made).retain(|(environment, of, _, version), _| {
            *environment != owner.environment || of != path || versions.contains(version)
        });
        Ok(())
    }

    async fn changed(&self, known: &Standing) {
        let mut standing = self.standing.subscribe();
        // The sender is in `self`, so it cannot be gone.
        let _ = standing.wait_for(|now| now != known).await;
    }
}

/// Finds what it was told, in every tree.
#[derive(Debug, Default)]
pub struct MemorySealCheck {
    /// What it answers.
    pub report: Mutex<SealReport>,
}

impl SealCheck for MemorySealCheck {
    fn check(&self, _request: &SealRequest<'_>) -> Result<SealReport, TreeError> {
        Ok(lock(&self.report).clone())
    }
}

/// Sealed values and keys in memory.
#[derive(Debug, Default)]
pub struct MemoryVault {
    inner: Mutex<Vault>,
}

#[derive(Debug, Default)]
struct Vault {
    kept: BTreeMap<(EnvironmentName, Digest), KeptSecret>,
    highest: BTreeMap<EnvironmentName, BTreeMap<SecretKey, u64>>,
    keys: Vec<KeyRow>,
    made: BTreeMap<Made, MadeSecret>,
}

#[async_trait]
impl SecretStore for MemoryVault {
    async fn highest(
        &self,
        environment: &EnvironmentName,
    ) -> Result<BTreeMap<SecretKey, u64>, StoreError> {
        let vault = lock(&self.inner);
        Ok(vault.highest.get(environment).cloned().unwrap_or_default())
    }

    async fn keep_secrets(
        &self,
        environment: &EnvironmentName,
        secrets: &[KeptSecret],
    ) -> Result<(), StoreError> {
        let mut vault = lock(&self.inner);
        for secret in secrets {
            let place = (environment.clone(), secret.digest);
            vault.kept.entry(place).or_insert_with(|| secret.clone());
        }
        Ok(())
    }

    async fn in_force(
        &self,
        environment: &EnvironmentName,
        versions: &BTreeMap<SecretKey, u64>,
    ) -> Result<(), StoreError> {
        let mut vault = lock(&self.inner);
        let marks = vault.highest.entry(environment.clone()).or_default();
        for (place, version) in versions {
            let mark = marks.entry(place.clone()).or_default();
            *mark = (*mark).max(*version);
        }
        Ok(())
    }

    async fn kept_secret(
        &self,
        environment: &EnvironmentName,
        digest: &Digest,
    ) -> Result<Option<KeptSecret>, StoreError> {
        let vault = lock(&self.inner);
        Ok(vault.kept.get(&(environment.clone(), *digest)).cloned())
    }

    async fn keep_made(
        &self,
        environment: &EnvironmentName,
        secrets: &[MadeSecret],
    ) -> Result<(), StoreError> {
        let mut vault = lock(&self.inner);
        for made in secrets {
            let (path, key) = (made.path.clone(), made.key.clone());
            let place = (environment.clone(), path, key, made.version);
            vault.made.entry(place).or_insert_with(|| made.clone());
        }
        Ok(())
    }

    async fn made(
        &self,
        environment: &EnvironmentName,
        path: &str,
    ) -> Result<Vec<MadeSecret>, StoreError> {
        let vault = lock(&self.inner);
        let mine = vault.made.iter();
        let mine = mine.filter(|((of, p, ..), _)| of == environment && p == path);
        Ok(mine.map(|(_, made)| made.clone()).collect())
    }

    async fn made_secret(
        &self,
        environment: &EnvironmentName,
        digest: &Digest,
    ) -> Result<Option<MadeSecret>, StoreError> {
        let vault = lock(&self.inner);
        let mut mine = vault.made.iter().filter(|((of, ..), _)| of == environment);
        let found = mine.find(|(_, made)| made.digest == *digest);
        Ok(found.map(|(_, made)| made.clone()))
    }

    async fn forget_made(
        &self,
        environment: &EnvironmentName,
        path: &str,
        versions: &[u64],
    ) -> Result<(), StoreError> {
        lock(&self.inner).made.retain(|(of, p, _, version), _| {
            of != environment || p != path || versions.contains(version)
        });
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        Ok(lock(&self.inner).keys.clone())
    }

    async fn put_keys(&self, keys: &[KeyRow]) -> Result<(), StoreError> {
        let mut vault = lock(&self.inner);
        for key in keys {
            if key.in_use {
                vault.keys.iter_mut().for_each(|old| old.in_use = false);
            }
            vault.keys.retain(|old| old.id != key.id);
            vault.keys.push(key.clone());
        }
        vault.keys.sort_by_key(|key| (key.made_at, key.id.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_keeps_the_promises_of_the_port() {
        let secrets = MemorySecrets::default().with("db", "password", Some(1), b"hunter2");
        let wrapped = secrets.wrap("here", b"hunter2").unwrap();
        assert!(!wrapped.windows(7).any(|part| part == b"hunter2"));
        let back = secrets.unwrap("here", &wrapped).unwrap();
        assert_eq!(back.expose(), b"hunter2");
        assert!(secrets.unwrap("there", &wrapped).is_err());
        secrets.set(Standing::Sealed("locked".to_owned()));
        secrets.changed(&Standing::Open).await;
        assert!(secrets.unwrap("here", &wrapped).is_err());
        assert_eq!(secrets.key(), None);
    }
}
