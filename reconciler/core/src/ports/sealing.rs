//! Sealed values: verified without a key, opened inside a provider call only.
//!
//! The order is always: verify ([`SealCheck`]), ask policy whether this sealer may seal there,
//! then open ([`Secrets`]).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::Digest;
use crate::finding::Finding;
use crate::ids::{Address, EnvironmentName};
use crate::ports::{MadeSecret, Retry, SecretName, StoreError, Tree, TreeError};
use crate::secret::Secret;
use crate::settings::SealSignatures;
use crate::source::Source;
use crate::trust::Trust;
use crate::value::{SecretReference, Value};

/// Where a sealed value lies: path below `secrets/<environment>/`, and key.
pub type SecretKey = (String, String);

/// One sealed value of a tree that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// The path below `secrets/<environment>/`, without `.sealed.yaml`.
    pub path: String,
    /// The key within the file.
    pub key: String,
    /// Its version, from 1.
    pub version: u64,
    /// SHA-256 of `age`.
    pub digest: Digest,
    /// A complete binary age file.
    pub age: Vec<u8>,
    /// The person whose key signed it, as `trust/` names them.
    pub sealer: String,
    /// Where it stands.
    pub source: Source,
}

/// What the values of one environment are verified against.
#[derive(Clone, Copy)]
pub struct SealRequest<'a> {
    /// The files.
    pub tree: &'a dyn Tree,
    /// The name of the repository, as in its settings.
    pub repository: &'a str,
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// Who may seal and who can read, as the base says it.
    pub trust: &'a Trust,
    /// Which signatures are asked for.
    pub signatures: SealSignatures,
    /// The highest version of each value that was ever in force.
    pub highest: &'a BTreeMap<SecretKey, u64>,
    /// Values whose version may go back, because a person signed for it.
    pub may_go_back: &'a dyn Fn(&str, &str, u64) -> bool,
}

/// What verifying gave.
#[derive(Debug, Clone, Default)]
pub struct SealReport {
    /// The values that are sound.
    pub values: Vec<SealedSecret>,
    /// What is wrong with the others: file, key and reason.
    pub findings: Vec<Finding>,
}

/// Verifies sealed values: place, signatures, sealer, recipients, version. Needs no key.
///
/// *Guarantees*: the place is recomputed from where the file lies; nothing is decrypted; the same
/// request gives the same answer. Blocking: called off the event loop.
pub trait SealCheck: Send + Sync {
    /// Verifies every sealed value of one environment.
    fn check(&self, request: &SealRequest<'_>) -> Result<SealReport, TreeError>;
}

/// A sealed value that the state keeps, so that it can be opened again when the repository has
/// another: for a rollback, or while a new value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSecret {
    /// The path.
    pub path: String,
    /// The key.
    pub key: String,
    /// The version.
    pub version: u64,
    /// SHA-256 of `age`.
    pub digest: Digest,
    /// A complete binary age file.
    pub age: Vec<u8>,
}

/// A key that wraps what lies in the state, itself sealed to the reconciler's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its id.
    pub id: String,
    /// The key, sealed.
    pub sealed: Vec<u8>,
    /// When it was made (UTC).
    pub made_at: Timestamp,
    /// Whether new bytes are wrapped under it; at most one is.
    pub in_use: bool,
}

/// What the state keeps of sealed values, and the keys that wrap it.
///
/// *Guarantees*: every method is atomic, and durable when it returns.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The highest version of each value of an environment that was ever in force.
    async fn highest(
        &self,
        environment: &EnvironmentName,
    ) -> Result<BTreeMap<SecretKey, u64>, StoreError>;

    /// Keeps sealed values. What is kept already stays as it is.
    async fn keep_secrets(
        &self,
        environment: &EnvironmentName,
        secrets: &[KeptSecret],
    ) -> Result<(), StoreError>;

    /// Says that these versions are in force now; older kept values are dropped but for the last
    /// few of each key.
    async fn in_force(
        &self,
        environment: &EnvironmentName,
        versions: &BTreeMap<SecretKey, u64>,
    ) -> Result<(), StoreError>;

    /// The kept value with this digest.
    async fn kept_secret(
        &self,
        environment: &EnvironmentName,
        digest: &Digest,
    ) -> Result<Option<KeptSecret>, StoreError>;

    /// Keeps secrets that were made here. One that is there already, of the same path, key and
    /// version, stays as it is.
    async fn keep_made(
        &self,
        environment: &EnvironmentName,
        secrets: &[MadeSecret],
    ) -> Result<(), StoreError>;

    /// The secrets that were made here for a path, by key and version.
    async fn made(
        &self,
        environment: &EnvironmentName,
        path: &str,
    ) -> Result<Vec<MadeSecret>, StoreError>;

    /// The secret that was made here and has this digest.
    async fn made_secret(
        &self,
        environment: &EnvironmentName,
        digest: &Digest,
    ) -> Result<Option<MadeSecret>, StoreError>;

    /// Forgets the secrets of a path, but for those of `versions`.
    async fn forget_made(
        &self,
        environment: &EnvironmentName,
        path: &str,
        versions: &[u64],
    ) -> Result<(), StoreError>;

    /// The keys, oldest first.
    async fn keys(&self) -> Result<Vec<KeyRow>, StoreError>;

    /// Writes keys: new ones, and those whose sealing or use changed.
    async fn put_keys(&self, keys: &[KeyRow]) -> Result<(), StoreError>;
}

/// Whether secrets can be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// They can.
    Open,
    /// They cannot: there is no identity. One clause says why, and what brings it.
    Sealed(String),
}

impl Standing {
    /// Why secrets cannot be opened, if they cannot.
    pub fn sealed(&self) -> Option<&str> {
        match self {
            Self::Open => None,
            Self::Sealed(why) => Some(why),
        }
    }
}

/// Why a secret could not be opened, or bytes could not be wrapped.
///
/// *Guarantees*: holds no secret.
#[derive(Debug, Error)]
pub enum SecretError {
    /// There is no identity.
    #[error("the reconciler is sealed: {0}")]
    Sealed(String),
    /// Nobody keeps a sealed value of this version.
    #[error("the sealed value `{key}` of `{path}` (version {version}) is not at hand")]
    Missing {
        /// The path.
        path: String,
        /// The key.
        key: String,
        /// The version, or `?`.
        version: String,
    },
    /// The identity does not open it, or it is damaged.
    #[error("the sealed value `{key}` of `{path}` could not be opened: {why}")]
    Unopened {
        /// The path.
        path: String,
        /// The key.
        key: String,
        /// One clause.
        why: String,
    },
    /// Policy says that this resource may not read it.
    #[error("`{key}` of `{path}` may not be read here: {why}")]
    Denied {
        /// The path.
        path: String,
        /// The key.
        key: String,
        /// One clause.
        why: String,
    },
    /// The audit log could not be written, so nothing was opened.
    #[error("nothing was opened, because the audit log could not be written: {0}")]
    Unaudited(String),
    /// What is made here could not be kept or read.
    #[error("the secrets that were made here could not be kept or read")]
    Made(#[source] Box<StoreError>),
    /// Wrapped bytes could not be unwrapped.
    #[error("sealed bytes of the state could not be read: {0}")]
    Wrapped(String),
}

impl SecretError {
    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Unaudited(_) | Self::Made(_) => Retry::Later(Duration::from_secs(10)),
            Self::Denied { .. } => Retry::WhenInputChanges,
            Self::Sealed(_) | Self::Missing { .. } | Self::Unopened { .. } | Self::Wrapped(_) => {
                Retry::NeedsPerson
            }
        }
    }
}

/// Wraps bytes that lie in the state, under the data key.
///
/// *Guarantees*: `context` is bound to what is wrapped: another context does not unwrap it.
/// Wrapped bytes name their key, so that older keys still open what they wrapped.
pub trait AtRest: Send + Sync {
    /// The id of the key that new bytes are wrapped under; `None` while there is none: the
    /// reconciler has no identity, and what is written then is not wrapped.
    fn key(&self) -> Option<String>;

    /// Wraps bytes.
    fn wrap(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>, SecretError>;

    /// The bytes that were wrapped.
    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Secret, SecretError>;

    /// What marks bytes, as long as there is a key.
    fn marker(&self) -> Result<Arc<dyn Marker>, SecretError>;
}

/// Marks bytes: a digest under a key that never leaves the reconciler, so that it can be kept and
/// compared without saying anything about them.
pub trait Marker: Send + Sync {
    /// The mark of bytes; the same for the same bytes while the data key is the same.
    fn mark(&self, bytes: &[u8]) -> Result<String, SecretError>;

    /// Whether `mark`, perhaps of an older key, is that of `bytes`.
    fn matches(&self, mark: &str, bytes: &[u8]) -> Result<bool, SecretError>;
}

/// Opens secrets, inside provider calls only.
#[async_trait]
pub trait Secrets: AtRest {
    /// Whether secrets can be opened.
    fn standing(&self) -> Standing;

    /// The secret behind a reference, for the resource `reader`.
    ///
    /// *Guarantees*: policy was asked and the read was written to the audit log before it is
    /// opened; if either fails, nothing is opened.
    async fn open(
        &self,
        reader: &Address,
        reference: &SecretReference,
    ) -> Result<Secret, SecretError>;

    /// Keeps a secret that the resource `owner` made, and answers what it is called.
    ///
    /// *Guarantees*: durable when it returns. Where one of this path, key and version is kept
    /// already, that one stays and is the answer: so a secret is made once, whatever dies when.
    async fn keep(
        &self,
        owner: &Address,
        name: &SecretName,
        secret: &Secret,
    ) -> Result<SecretReference, SecretError>;

    /// What is kept of the secrets that `owner` made under a path.
    async fn made(&self, owner: &Address, path: &str) -> Result<Vec<MadeSecret>, SecretError>;

    /// Keeps again what [`Secrets::made`] answered before.
    async fn put_back(&self, owner: &Address, secrets: &[MadeSecret]) -> Result<(), SecretError>;

    /// Forgets the secrets that `owner` made under a path, but for those of `versions`.
    async fn forget(
        &self,
        owner: &Address,
        path: &str,
        versions: &[u64],
    ) -> Result<(), SecretError>;

    /// Waits until the standing is another than `known`.
    async fn changed(&self, known: &Standing);
}

impl fmt::Debug for dyn Secrets + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// For whoever has no identity: nothing can be opened or wrapped.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

/// Why [`NoSecrets`] opens nothing.
const NO_IDENTITY: &str = "it has no identity; start it with `--identity FILE`";

impl AtRest for NoSecrets {
    fn key(&self) -> Option<String> {
        None
    }

    fn wrap(&self, _context: &str, _plain: &[u8]) -> Result<Vec<u8>, SecretError> {
        Err(SecretError::Sealed(NO_IDENTITY.to_owned()))
    }

    fn unwrap(&self, _context: &str, _wrapped: &[u8]) -> Result<Secret, SecretError> {
        Err(SecretError::Sealed(NO_IDENTITY.to_owned()))
    }

    fn marker(&self) -> Result<Arc<dyn Marker>, SecretError> {
        Err(SecretError::Sealed(NO_IDENTITY.to_owned()))
    }
}

#[async_trait]
impl Secrets for NoSecrets {
    fn standing(&self) -> Standing {
        Standing::Sealed(NO_IDENTITY.to_owned())
    }

    async fn open(
        &self,
        _reader: &Address,
        _reference: &SecretReference,
    ) -> Result<Secret, SecretError> {
        Err(SecretError::Sealed(NO_IDENTITY.to_owned()))
    }

    async fn keep(
        &self,
        _owner: &Address,
        _name: &SecretName,
        _secret: &Secret,
    ) -> Result<SecretReference, SecretError> {
        Err(SecretError::Sealed(NO_IDENTITY.to_owned()))
    }

    async fn made(&self, _owner: &Address, _path: &str) -> Result<Vec<MadeSecret>, SecretError> {
        Err(SecretError::Sealed(NO_IDENTITY.to_owned()))
    }

    async fn put_back(&self, _owner: &Address, _secrets: &[MadeSecret]) -> Result<(), SecretError> {
        Err(SecretError::Sealed(NO_IDENTITY.to_owned()))
    }

    async fn forget(
        &self,
        _owner: &Address,
        _path: &str,
        _versions: &[u64],
    ) -> Result<(), SecretError> {
        Err(SecretError::Sealed(NO_IDENTITY.to_owned()))
    }

    async fn changed(&self, _known: &Standing) {
        std::future::pending::<()>().await;
    }
}

/// The text of `value` with its secrets opened; `None` when it is not text, or not all known.
///
/// *Shape*: text, numbers and truths as they are written; a join as the texts of its parts.
pub async fn reveal(
    secrets: &dyn Secrets,
    reader: &Address,
    value: &Value,
) -> Result<Option<Secret>, SecretError> {
    let parts = match value {
        Value::Join(parts) => parts.as_slice(),
        other => std::slice::from_ref(other),
    };
    let mut bytes = Secret::new(Vec::new());
    for part in parts {
        match part {
            Value::Secret(reference) => {
                bytes.push(secrets.open(reader, reference).await?.expose());
            }
            Value::Text(text) => bytes.push(text.as_bytes()),
            Value::Number(number) => bytes.push(number.to_string().as_bytes()),
            Value::Bool(truth) => bytes.push(truth.to_string().as_bytes()),
            Value::Null
            | Value::List(_)
            | Value::Set(_)
            | Value::Record(_)
            | Value::Typed(_)
            | Value::Unknown
            | Value::Reference(_)
            | Value::Join(_) => return Ok(None),
        }
    }
    Ok(Some(bytes))
}
