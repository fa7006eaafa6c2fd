//! Identities: the secret keys that open files.

use std::fmt;

use stratum_core::secret::Secret;
use zeroize::Zeroizing;

use super::recipient::{Recipient, x25519_key};
use super::{AgeError, FileKey, HYBRID, Stanza, X25519, passphrase, unwrap, xwing};
use crate::backend::{Algorithm, Crypto, CryptoError, Key, random};
use crate::bech;
use crate::foreign::lock::Locked;

const HYBRID_PREFIX: &str = "age-secret-key-pq-";
const X25519_PREFIX: &str = "age-secret-key-";

/// What opens age files.
///
/// *Guarantees*: its keys lie in locked pages where the system allows it, and are wiped when it is
/// dropped; its `Debug` shows the recipient only. What OpenSSL derives from a seed for ML-KEM-768
/// lies in memory of OpenSSL, which is wiped but not locked.
pub struct Identity(Inner);

enum Inner {
    Hybrid {
        seed: Locked,
        key: xwing::SecretKey,
        recipient: Recipient,
    },
    Classical {
        secret: Locked,
        public: [u8; 32],
    },
    Passphrase(Secret),
}

/// A text is no identity. The text is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// A recipient, where an identity belongs.
    #[error("it is a recipient, which opens nothing: the identity is `AGE-SECRET-KEY-PQ-1…`")]
    Public,
    /// Not an identity of age's notation.
    #[error("it is no identity: `AGE-SECRET-KEY-PQ-1…` is expected, in upper case and complete")]
    Malformed,
    /// Cryptography did not happen.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl Identity {
    /// A new hybrid one.
    pub fn generate(crypto: &Crypto) -> Result<Self, CryptoError> {
        Self::from_seed(crypto, random()?)
    }

    /// The hybrid one that grows from `seed`.
    pub(crate) fn from_seed(crypto: &Crypto, seed: Key) -> Result<Self, CryptoError> {
        let key = xwing::SecretKey::from_seed(crypto, &seed)?;
        let recipient = Recipient::hybrid(key.public()).ok_or(CryptoError::Library {
            backend: crypto.at(Algorithm::MlKem768)?.name(),
            algorithm: Algorithm::MlKem768,
        })?;
        Ok(Self(Inner::Hybrid {
            seed: Locked::new(&seed),
            key,
            recipient,
        }))
    }

    /// From age's notation.
    pub fn parse(crypto: &Crypto, text: &str) -> Result<Self, IdentityError> {
        if text.starts_with("age1") {
            return Err(IdentityError::Public);
        }
        let (prefix, bytes) = bech::decode(text, true).ok_or(IdentityError::Malformed)?;
        let bytes: [u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| IdentityError::Malformed)?;
        let secret = Zeroizing::new(bytes);
        match prefix.as_str() {
            HYBRID_PREFIX => Ok(Self::from_seed(crypto, secret)?),
            X25519_PREFIX => {
                let public = crypto.at(Algorithm::X25519)?.x25519_public(&secret)?;
                let secret = Locked::new(&secret);
                Ok(Self(Inner::Classical { secret, public }))
            }
            _ => Err(IdentityError::Malformed),
        }
    }

    /// A passphrase, which opens what `age -p` sealed.
    pub fn passphrase(passphrase: Secret) -> Self {
        Self(Inner::Passphrase(passphrase))
    }

    /// Its text in age's notation; `None` for a passphrase.
    pub fn to_text(&self) -> Option<Secret> {
        let text = match &self.0 {
            Inner::Hybrid { seed, .. } => bech::encode_secret(HYBRID_PREFIX, seed.as_slice()),
            Inner::Classical { secret, .. } => {
                bech::encode_secret(X25519_PREFIX, secret.as_slice())
            }
            Inner::Passphrase(_) => None,
        };
        text.map(|text| Secret::new(text.as_bytes().to_vec()))
    }

    /// Whom to seal to so that this opens it; `None` for a passphrase.
    pub fn recipient(&self) -> Option<Recipient> {
        match &self.0 {
            Inner::Hybrid { recipient, .. } => Some(recipient.clone()),
            Inner::Classical { public, .. } => Some(Recipient::classical(*public)),
            Inner::Passphrase(_) => None,
        }
    }

    /// The seed of a hybrid identity, to be split into shares.
    pub(crate) fn seed(&self) -> Option<&[u8; 32]> {
        match &self.0 {
            Inner::Hybrid { seed, .. } => Some(seed),
            Inner::Classical { .. } | Inner::Passphrase(_) => None,
        }
    }

    /// The file key, when one of the stanzas is for this identity.
    pub(super) fn unwrap_file_key(
        &self,
        crypto: &Crypto,
        stanzas: &[Stanza],
    ) -> Result<Option<FileKey>, AgeError> {
        passphrase::alone(stanzas)?;
        for stanza in stanzas {
            let found = match (&self.0, stanza.kind.as_str()) {
                (Inner::Hybrid { key, .. }, HYBRID) => open_hybrid(crypto, key, stanza)?,
                (Inner::Classical { secret, public }, X25519) => {
                    open_classical(crypto, secret, public, stanza)?
                }
                (Inner::Passphrase(words), passphrase::SCRYPT) => {
                    passphrase::unwrap_file_key(crypto, words, stanza)?
                }
                _ => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

fn open_hybrid(
    crypto: &Crypto,
    key: &xwing::SecretKey,
    stanza: &Stanza,
) -> Result<Option<FileKey>, AgeError> {
    let encapsulation: [u8; xwing::ENCAPSULATION] = stanza.argument()?;
    let body: [u8; 32] = stanza.body()?;
    key.open(crypto, &encapsulation, &body)
}

fn open_classical(
    crypto: &Crypto,
    secret: &[u8; 32],
    public: &[u8; 32],
    stanza: &Stanza,
) -> Result<Option<FileKey>, AgeError> {
    let ephemeral: [u8; 32] = stanza.argument()?;
    let body: [u8; 32] = stanza.body()?;
    let shared = match crypto.at(Algorithm::X25519)?.x25519(secret, &ephemeral) {
        Err(CryptoError::Malformed { .. }) => {
            return Err(AgeError::Header("a share is a point of low order"));
        }
        shared => shared?,
    };
    let key = x25519_key(crypto, &ephemeral, public, &shared)?;
    unwrap(crypto, &key, &[0; 12], &body)
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.recipient() {
            Some(recipient) => write!(f, "Identity of {recipient}"),
            None => f.write_str("Identity of a passphrase"),
        }
    }
}
