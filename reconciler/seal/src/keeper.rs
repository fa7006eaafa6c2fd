//! Opens secrets for the reconciler, and wraps what its state holds.
//!
//! It is sealed until it is given an identity. The data keys lie in the state, each sealed to the
//! identity; the first identity of the reconciler makes the first key.

use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, Weak};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use stratum_core::digest::Digest;
use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::ports::{
    AtRest, KeptSecret, KeyRow, MadeSecret, Marker, SecretError, SecretName, SecretStore, Secrets,
    Standing, StoreError,
};
use stratum_core::secret::Secret;
use stratum_core::value::SecretReference;
use tokio::sync::{Mutex, watch};

use crate::age::{self, AgeError, Identity};
use crate::backend::{Crypto, CryptoError};
use crate::rest::{DataKey, DataKeys, KeyedDigest, RestError};
use crate::value::LARGEST;

/// What marks are made for; keeps them apart from other digests under the same key.
const MARK: &[u8] = b"content";

/// Why the keeper was not unsealed.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// The state has keys, and none of the identities opens them.
    #[error("the state is sealed to another identity: its data key `{key}` does not open")]
    Foreign {
        /// The key.
        key: String,
        /// What went wrong.
        #[source]
        source: RestError,
    },
    /// No identity that can be sealed to was given.
    #[error("there is no identity to seal the state to")]
    NoIdentity,
    /// It could not be noted who unsealed it, so it stays sealed.
    #[error("it stays sealed")]
    Unnoted(#[source] SecretError),
    /// A key could not be sealed.
    #[error("the data key could not be sealed")]
    Age(#[from] AgeError),
    /// The state could not be read or written.
    #[error("the keys of the state could not be read or written")]
    Store(#[from] StoreError),
    /// Cryptography did not happen.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// What an unsealed keeper has.
struct Open {
    identities: Vec<Identity>,
    keys: DataKeys,
}

struct Inner {
    crypto: Crypto,
    open: RwLock<Option<Open>>,
    standing: watch::Sender<Standing>,
}

/// What is under way after something was noted, or refused.
type Noted = BoxFuture<'static, Result<(), SecretError>>;

/// Called before a secret is opened; an error keeps it closed. The audit log hooks in here: who
/// reads, and which sealed value, as it is kept.
pub type Permit = Arc<dyn Fn(&Address, Reading) -> Noted + Send + Sync>;

/// Which secret is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The path.
    pub path: String,
    /// The key.
    pub key: String,
    /// The version that is kept, whatever the plan says.
    pub version: u64,
    /// The digest of the sealed bytes.
    pub digest: Digest,
}

/// Called when identities were found to open the state, before anything is opened with them; an
/// error keeps the keeper as it was. The audit log hooks in here.
pub type Witness = Arc<dyn Fn(Unsealing) -> Noted + Send + Sync>;

/// Who unseals a keeper, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealing {
    /// How: `file`, `socket` or `shares`.
    pub how: &'static str,
    /// Who brought it, when somebody came: users of the machine by number, each once.
    pub users: Vec<u32>,
    /// The recipient that the first identity opens for.
    pub recipient: String,
}

impl Unsealing {
    /// By `how`, by nobody who came; the keeper fills in the recipient.
    pub fn by(how: &'static str) -> Self {
        Self {
            how,
            users: Vec::new(),
            recipient: String::new(),
        }
    }
}

/// Opens secrets, and wraps what the state holds. Cheap to clone.
#[derive(Clone)]
pub struct Keeper {
    inner: Arc<Inner>,
    vault: Arc<OnceLock<Weak<dyn SecretStore>>>,
    permit: Arc<OnceLock<Permit>>,
    witness: Arc<OnceLock<Witness>>,
    changing: Arc<Mutex<()>>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keeper").field(&self.standing()).finish()
    }
}

impl Keeper {
    /// A sealed keeper; `why` says what brings it an identity.
    pub fn new(crypto: Crypto, why: &str) -> Self {
        let inner = Inner {
            crypto,
            open: RwLock::new(None),
            standing: watch::Sender::new(Standing::Sealed(why.to_owned())),
        };
        Self {
            inner: Arc::new(inner),
            vault: Arc::default(),
            permit: Arc::default(),
            witness: Arc::default(),
            changing: Arc::default(),
        }
    }

    /// Says where sealed values and keys are kept; the first word counts.
    pub fn attach(&self, vault: &Arc<dyn SecretStore>) {
        let _first_word_counts = self.vault.set(Arc::downgrade(vault));
    }

    /// Says what notes each opening, and each unsealing; the first word counts.
    pub fn noted_by(&self, permit: Permit, witness: Witness) {
        let _first_word_counts = self.permit.set(permit);
        let _first_word_counts = self.witness.set(witness);
    }

    fn vault(&self) -> Result<Arc<dyn SecretStore>, StoreError> {
        let vault = self.vault.get().and_then(Weak::upgrade);
        vault.ok_or_else(|| StoreError::Database {
            doing: "reading the keys of the state",
            source: "the state is closed".into(),
        })
    }

    /// Opens the data keys of the state with these identities, or makes the first. Keys that only
    /// a later identity opens are sealed again to the first: so an identity is changed.
    ///
    /// *Guarantees*: the unsealing was noted before anything can be opened. *Errors*: it then stays
    /// as it was.
    pub async fn unseal(
        &self,
        identities: Vec<Identity>,
        by: Unsealing,
        now: Timestamp,
    ) -> Result<(), UnsealError> {
        let _one_at_a_time = self.changing.lock().await;
        let vault = self.vault()?;
        let crypto = &self.inner.crypto;
        let rows = vault.keys().await?;
        let mut changed = Vec::new();
        let mut newest = None;
        let mut older = Vec::new();
        for row in rows {
            let (key, again) = open_key(crypto, &identities, &row)?;
            if let Some(sealed) = again {
                changed.push(KeyRow {
                    sealed,
                    ..row.clone()
                });
            }
            match row.in_use {
                true => newest = Some(key),
                false => older.push(key),
            }
        }
        let newest = match newest {
            Some(key) => key,
            None => {
                let (key, row) = new_key(crypto, &identities, now)?;
                changed.push(row);
                key
            }
        };
        if let Some(witness) = self.witness.get() {
            let recipient = identities.first().and_then(Identity::recipient);
            let recipient = recipient.ok_or(UnsealError::NoIdentity)?.to_string();
            let noted = witness(Unsealing { recipient, ..by }).await;
            noted.map_err(UnsealError::Unnoted)?;
        }
        if !changed.is_empty() {
            vault.put_keys(&changed).await?;
        }
        let keys = assemble(older, newest);
        self.set(Some(Open { identities, keys }));
        self.inner.standing.send_replace(Standing::Open);
        Ok(())
    }

    /// Makes a new data key; what is wrapped under older ones stays readable.
    ///
    /// *Errors*: `NoIdentity` while it is sealed.
    pub async fn rotate(&self, now: Timestamp) -> Result<(), UnsealError> {
        let _one_at_a_time = self.changing.lock().await;
        let vault = self.vault()?;
        let (key, row) = {
            let open = self.read();
            let open = open.as_ref().ok_or(UnsealError::NoIdentity)?;
            new_key(&self.inner.crypto, &open.identities, now)?
        };
        vault.put_keys(std::slice::from_ref(&row)).await?;
        let mut guard = self
            .inner
            .open
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *guard = guard.take().map(|open| Open {
            keys: open.keys.with_newest(key),
            ..open
        });
        Ok(())
    }

    fn set(&self, open: Option<Open>) {
        let mut guard = self
            .inner
            .open
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *guard = open;
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Open>> {
        self.inner.read()
    }

    /// Opens a kept age file with the identities.
    fn open_age(&self, age: &[u8]) -> Result<Result<Secret, AgeError>, SecretError> {
        self.inner.with(|open| {
            Ok(age::open(
                &self.inner.crypto,
                &open.identities,
                age,
                LARGEST,
            ))
        })
    }
}

/// The data key of a row; and the row's key sealed again, when the first identity does not open it.
fn open_key(
    crypto: &Crypto,
    identities: &[Identity],
    row: &KeyRow,
) -> Result<(DataKey, Option<Vec<u8>>), UnsealError> {
    let first = identities.get(..1).unwrap_or_default();
    if let Ok(key) = DataKey::open(crypto, first, &row.sealed) {
        return Ok((key, None));
    }
    let key =
        DataKey::open(crypto, identities, &row.sealed).map_err(|source| UnsealError::Foreign {
            key: row.id.clone(),
            source,
        })?;
    let sealed = seal_key(crypto, identities, &key)?;
    Ok((key, Some(sealed)))
}

fn seal_key(
    crypto: &Crypto,
    identities: &[Identity],
    key: &DataKey,
) -> Result<Vec<u8>, UnsealError> {
    let recipient = identities.first().and_then(Identity::recipient);
    let recipient = recipient.ok_or(UnsealError::NoIdentity)?;
    Ok(key.seal(crypto, &[recipient])?)
}

fn new_key(
    crypto: &Crypto,
    identities: &[Identity],
    now: Timestamp,
) -> Result<(DataKey, KeyRow), UnsealError> {
    let key = DataKey::generate(crypto)?;
    let row = KeyRow {
        id: key.id().to_string(),
        sealed: seal_key(crypto, identities, &key)?,
        made_at: now,
        in_use: true,
    };
    Ok((key, row))
}

fn assemble(older: Vec<DataKey>, newest: DataKey) -> DataKeys {
    let mut older = older.into_iter();
    match older.next() {
        None => DataKeys::new(newest),
        Some(first) => older
            .fold(DataKeys::new(first), DataKeys::with_newest)
            .with_newest(newest),
    }
}

impl Inner {
    fn read(&self) -> RwLockReadGuard<'_, Option<Open>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&Open) -> Result<T, SecretError>,
    ) -> Result<T, SecretError> {
        match self.read().as_ref() {
            Some(open) => work(open),
            None => Err(SecretError::Sealed(self.why())),
        }
    }

    fn why(&self) -> String {
        let standing = self.standing.borrow();
        standing.sealed().unwrap_or_default().to_owned()
    }
}

fn wrapped(error: RestError) -> SecretError {
    SecretError::Wrapped(error.to_string())
}

impl Marker for Inner {
    fn mark(&self, bytes: &[u8]) -> Result<String, SecretError> {
        let secret = Secret::new(bytes.to_vec());
        self.with(|open| {
            let digest = open.keys.digest(&self.crypto, MARK, &secret);
            digest.map(|digest| digest.to_string()).map_err(wrapped)
        })
    }

    fn matches(&self, mark: &str, bytes: &[u8]) -> Result<bool, SecretError> {
        let secret = Secret::new(bytes.to_vec());
        let Ok(mark) = mark.parse::<KeyedDigest>() else {
            return Ok(false);
        };
        self.with(|open| {
            let same = open.keys.matches(&self.crypto, &mark, MARK, &secret);
            same.map_err(wrapped)
        })
    }
}

impl AtRest for Keeper {
    fn key(&self) -> Option<String> {
        let open = self.read();
        open.as_ref().map(|open| open.keys.newest().to_string())
    }

    fn wrap(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>, SecretError> {
        self.inner.with(|open| {
            let sealed = open
                .keys
                .encrypt(&self.inner.crypto, context.as_bytes(), plain);
            sealed.map_err(wrapped)
        })
    }

    fn unwrap(&self, context: &str, bytes: &[u8]) -> Result<Secret, SecretError> {
        self.inner.with(|open| {
            let plain = open
                .keys
                .decrypt(&self.inner.crypto, context.as_bytes(), bytes);
            plain.map_err(wrapped)
        })
    }

    fn marker(&self) -> Result<Arc<dyn Marker>, SecretError> {
        self.inner.with(|_| Ok(()))?;
        Ok(Arc::clone(&self.inner) as Arc<dyn Marker>)
    }
}

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
        let mut made = MadeSecret {
            path: name.path.clone(),
            key: name.key.clone(),
            version: name.version,
            digest: Digest::of_bytes(b""),
            wrapped_by: self
                .key()
                .ok_or_else(|| SecretError::Sealed(self.inner.why()))?,
            wrapped: Vec::new(),
        };
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
