//! Recipients: the public keys that files are sealed to, and their short ids.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::{AgeError, FileKey, HYBRID, Stanza, X25519, wrap, xwing};
use crate::backend::{Algorithm, Crypto, CryptoError, hkdf, random};
use crate::bech;

/// The prefix of hybrid recipients; Bech32 puts a `1` after it.
pub(super) const HYBRID_PREFIX: &str = "age1pq";
/// The prefix of classical recipients.
pub(super) const X25519_PREFIX: &str = "age";

/// What `age1…` and `age1pq1…` stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecipientKind {
    /// ML-KEM-768 and X25519 together: safe against quantum computers.
    Hybrid,
    /// X25519 alone.
    Classical,
}

impl RecipientKind {
    /// The number in a signature.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Hybrid => 1,
            Self::Classical => 2,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Hybrid),
            2 => Some(Self::Classical),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "mlkem768x25519",
            Self::Classical => "x25519",
        }
    }
}

/// Names a recipient: its kind and the first 16 bytes of SHA-256 of its public key.
///
/// *Shape*: as text `mlkem768x25519/v1:` and 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecipientId {
    /// Its kind.
    pub kind: RecipientKind,
    /// The digest of its public key.
    pub digest: [u8; 16],
}

impl fmt::Display for RecipientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/v1:", self.kind.name())?;
        self.digest
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RecipientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Someone that a file can be sealed to.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(Inner);

#[derive(Clone, PartialEq, Eq)]
enum Inner {
    Hybrid(Box<[u8; xwing::PUBLIC]>),
    Classical([u8; 32]),
}

/// A text is no recipient that stratum can seal to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// A secret key, where a public one belongs. The text is not repeated.
    #[error("it is a secret key; take it out of there, and make a new one")]
    Secret,
    /// Not a recipient of age's notation.
    #[error("it is no recipient: `age1pq1…` is expected")]
    Malformed,
}

impl FromStr for Recipient {
    type Err = RecipientError;

    fn from_str(text: &str) -> Result<Self, RecipientError> {
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY") {
            return Err(RecipientError::Secret);
        }
        let (prefix, bytes) = bech::decode(text, false).ok_or(RecipientError::Malformed)?;
        let inner = match prefix.as_str() {
            HYBRID_PREFIX => bytes
                .as_slice()
                .try_into()
                .ok()
                .map(Box::new)
                .map(Inner::Hybrid),
            X25519_PREFIX => bytes.as_slice().try_into().ok().map(Inner::Classical),
            _ => None,
        };
        inner.map(Self).ok_or(RecipientError::Malformed)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.is_classical() {
            X25519_PREFIX
        } else {
            HYBRID_PREFIX
        };
        f.write_str(&bech::encode(prefix, self.bytes()).unwrap_or_default())
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Recipient {
    pub(super) fn hybrid(public: &[u8]) -> Option<Self> {
        public
            .try_into()
            .ok()
            .map(Box::new)
            .map(Inner::Hybrid)
            .map(Self)
    }

    pub(super) fn classical(public: [u8; 32]) -> Self {
        Self(Inner::Classical(public))
    }

    /// The public key: 1,216 bytes, or 32 of a classical one.
    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Inner::Hybrid(public) => public.as_slice(),
            Inner::Classical(public) => public,
        }
    }

    /// Whether a quantum computer could read what is sealed to it.
    pub fn is_classical(&self) -> bool {
        matches!(self.0, Inner::Classical(_))
    }

    /// Its id.
    pub fn id(&self, crypto: &Crypto) -> Result<RecipientId, CryptoError> {
        let kind = match self.0 {
            Inner::Hybrid(_) => RecipientKind::Hybrid,
            Inner::Classical(_) => RecipientKind::Classical,
        };
        let hash = crypto.at(Algorithm::Sha256)?.sha256(&[self.bytes()])?;
        let mut digest = [0; 16];
        digest
            .iter_mut()
            .zip(hash)
            .for_each(|(to, from)| *to = from);
        Ok(RecipientId { kind, digest })
    }

    pub(super) fn wrap_file_key(
        &self,
        crypto: &Crypto,
        file_key: &FileKey,
    ) -> Result<Stanza, AgeError> {
        let (kind, share, body) = match &self.0 {
            Inner::Hybrid(public) => {
                let (encapsulation, body) = xwing::seal(crypto, public, file_key)?;
                (HYBRID, encapsulation, body)
            }
            Inner::Classical(public) => {
                let secret = random::<32>()?;
                let backend = crypto.at(Algorithm::X25519)?;
                let ephemeral = backend.x25519_public(&secret)?;
                let shared = backend.x25519(&secret, public)?;
                let key = x25519_key(crypto, &ephemeral, public, &shared)?;
                (X25519, ephemeral.to_vec(), wrap(crypto, &key, file_key)?)
            }
        };
        Ok(Stanza {
            kind: kind.to_owned(),
            arguments: vec![STANDARD_NO_PAD.encode(share)],
            body,
        })
    }
}

/// The key that wraps the file key in a stanza `X25519`.
pub(super) fn x25519_key(
    crypto: &Crypto,
    ephemeral: &[u8; 32],
    public: &[u8; 32],
    shared: &crate::backend::Key,
) -> Result<crate::backend::Key, CryptoError> {
    let salt = [ephemeral.as_slice(), public].concat();
    let info: &[u8] = b"age-encryption.org/v1/X25519";
    hkdf(crypto, &salt, shared.as_slice(), &[info])
}
