//! The audit log, and the cryptography it is signed and veiled with.

use async_trait::async_trait;
use thiserror::Error;

use crate::audit::AuditEntry;
use crate::ports::{Retry, StoreError};
use crate::secret::Secret;

/// Why entries were not written. What they are about must then not happen.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The log could not be written.
    #[error("the audit log could not be written, so this was not done")]
    Store(#[from] StoreError),
    /// An entry is larger than the log takes.
    #[error("an entry of the audit log would have {bytes} bytes; the most is 65535")]
    TooLarge {
        /// How large it would be.
        bytes: usize,
    },
    /// The people of an entry could not be put under a key.
    #[error("the names of people could not be put under a key")]
    Veil(#[from] NoteError),
}

impl AuditError {
    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Store(error) => error.retry(),
            Self::TooLarge { .. } => Retry::WhenInputChanges,
            Self::Veil(_) => Retry::NeedsPerson,
        }
    }
}

/// The audit log.
///
/// *Guarantees*: entries are durable when [`Audit::log`] returns, in order, all or none. Call it
/// before what they are about happens; on an error it must not happen. Calls that come together
/// share one flush of the disk. Events of an apply and leases are not given to it: the store writes
/// them in the transaction of the event itself.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Appends entries.
    async fn log(&self, entries: &[AuditEntry]) -> Result<(), AuditError>;
}

/// What the two signatures of a checkpoint are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteAlgorithm {
    /// *Source*: RFC 8032.
    Ed25519,
    /// With an empty context. *Source*: FIPS 204.
    MlDsa65,
}

/// The public halves of the log's key pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteKeys {
    /// 32 bytes.
    pub ed25519: Vec<u8>,
    /// 1,952 bytes.
    pub ml_dsa_65: Vec<u8>,
}

/// The signatures of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignatures {
    /// 64 bytes.
    pub ed25519: Vec<u8>,
    /// 3,309 bytes.
    pub ml_dsa_65: Vec<u8>,
}

/// Why signing or veiling did not work. It never holds a secret.
#[derive(Debug, Error)]
#[error("{doing} failed: {reason}")]
pub struct NoteError {
    /// What was being done.
    pub doing: &'static str,
    /// Why not.
    pub reason: String,
}

/// The cryptography of the audit log. Blocking; each call takes well under a millisecond.
pub trait NoteSigner: Send + Sync {
    /// A new key pair: the seeds of both keys, 64 bytes (Ed25519, then ML-DSA-65).
    fn generate(&self) -> Result<Secret, NoteError>;

    /// The public halves of a key pair.
    fn public(&self, pair: &Secret) -> Result<NoteKeys, NoteError>;

    /// Signs with both keys.
    fn sign(&self, pair: &Secret, text: &[u8]) -> Result<NoteSignatures, NoteError>;

    /// Whether `signature` is one of `text` by the holder of `public`. What cannot be read is not.
    fn verify(
        &self,
        algorithm: NoteAlgorithm,
        public: &[u8],
        text: &[u8],
        signature: &[u8],
    ) -> bool;

    /// A new key to veil with: 32 random bytes.
    fn generate_veil(&self) -> Result<Secret, NoteError>;

    /// Encrypts and authenticates `text`, bound to `context`; a fresh nonce stands at its head.
    /// *Source*: RFC 8439 (ChaCha20-Poly1305).
    fn veil(&self, key: &Secret, context: &[u8], text: &[u8]) -> Result<Vec<u8>, NoteError>;

    /// The text that was veiled; an error when the key or the context is another one.
    fn unveil(&self, key: &Secret, context: &[u8], veiled: &[u8]) -> Result<Vec<u8>, NoteError>;
}
