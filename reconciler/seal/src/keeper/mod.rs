//! Opens secrets for the reconciler, and wraps what its state holds.
//!
//! It is sealed until it is given an identity. The data keys lie in the state, each sealed to the
//! identity; the first identity of the reconciler makes the first key.

mod secrets;
mod unseal;

use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, Weak};

use futures_util::future::BoxFuture;
use stratum_core::digest::Digest;
use stratum_core::ids::Address;
use stratum_core::ports::{
    AtRest, Marker, SecretError, SecretStore, Secrets as _, Standing, StoreError,
};
use stratum_core::secret::Secret;
use tokio::sync::{Mutex, watch};

use crate::age::{self, AgeError, Identity};
use crate::backend::Crypto;
use crate::rest::{DataKeys, KeyedDigest, RestError};
use crate::value::LARGEST;

pub use unseal::UnsealError;

/// What marks are made for; keeps them apart from other digests under the same key.
const MARK: &[u8] = b"content";

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

/// Asked before the first key of a state is sealed to identities: whether they are those of the
/// repository, so that a state is not sealed to an identity that opens nothing.
pub type Trial = Arc<dyn Fn(&[Identity]) -> bool + Send + Sync>;

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
    trial: Arc<OnceLock<Trial>>,
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
            trial: Arc::default(),
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

    /// Says what tries identities; the first word counts. Without it every identity is taken.
    pub fn tried_by(&self, trial: Trial) {
        let _first_word_counts = self.trial.set(trial);
    }

    fn vault(&self) -> Result<Arc<dyn SecretStore>, StoreError> {
        let vault = self.vault.get().and_then(Weak::upgrade);
        vault.ok_or_else(|| StoreError::Database {
            doing: "reading the keys of the state",
            source: "the state is closed".into(),
        })
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
