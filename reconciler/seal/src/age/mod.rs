//! The age v1 format, strictly, with the recipients `mlkem768x25519` and, to read, `X25519`.
//!
//! *Shape*: whole files in memory; stratum seals values, not archives. *Guarantees*: nothing of a
//! file is given out unless all of it is authentic. Stanzas of other kinds are ignored, but
//! authenticated. *Source*: C2SP age.md, version v1.

mod armor;
mod header;
mod identity;
mod passphrase;
mod recipient;
mod stream;
mod xwing;

use stratum_core::secret::Secret;
use zeroize::Zeroizing;

use crate::backend::{Algorithm, Crypto, CryptoError, hkdf, random};

pub use armor::unarmor;
pub use header::{HYBRID, Header, Stanza, X25519};
pub use identity::{Identity, IdentityError};
pub use recipient::{Recipient, RecipientId, RecipientKind};

/// Bytes of the key that each file has.
const FILE_KEY: usize = 16;

/// The key of one file.
type FileKey = Zeroizing<[u8; FILE_KEY]>;

/// What is wrong with an age file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgeError {
    /// It does not have the form of age v1, or a stanza of a known kind is malformed.
    #[error("the header is not one of age v1: {0}")]
    Header(&'static str),
    /// No identity opens it.
    #[error("no identity opens it")]
    NoMatch,
    /// The header was changed after it was written.
    #[error("the header was changed after it was written")]
    Mac,
    /// The payload was changed, cut or lengthened.
    #[error("the payload was changed or cut")]
    Payload,
    /// The text armour is malformed.
    #[error("the armour is malformed: {0}")]
    Armor(&'static str),
    /// It is longer than the caller takes.
    #[error("it has {length} bytes; the most is {limit}")]
    TooLarge {
        /// How long it is.
        length: usize,
        /// How long it may be.
        limit: usize,
    },
    /// It cannot be sealed to these recipients.
    #[error("cannot seal: {0}")]
    Recipients(&'static str),
    /// Cryptography did not happen.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// Opens `file`, binary or armoured, with the first identity that can.
///
/// *Errors*: `TooLarge` when it has more than `limit` bytes; every other as it is found, the header
/// before the payload.
pub fn open(
    crypto: &Crypto,
    identities: &[Identity],
    file: &[u8],
    limit: usize,
) -> Result<Secret, AgeError> {
    if file.len() > limit {
        let length = file.len();
        return Err(AgeError::TooLarge { length, limit });
    }
    if armor::is_armored(file) {
        let binary = unarmor(file)?;
        return open_binary(crypto, identities, &binary);
    }
    open_binary(crypto, identities, file)
}

fn open_binary(crypto: &Crypto, identities: &[Identity], file: &[u8]) -> Result<Secret, AgeError> {
    let header = Header::parse(file)?;
    let key = file_key(crypto, identities, &header)?;
    if !header.is_authentic(crypto, file, &key)? {
        return Err(AgeError::Mac);
    }
    let payload = file.get(header.length()..).unwrap_or_default();
    stream::open(crypto, &key, payload)
}

/// The file's key, from the first identity that unwraps it.
fn file_key(
    crypto: &Crypto,
    identities: &[Identity],
    header: &Header,
) -> Result<FileKey, AgeError> {
    for identity in identities {
        if let Some(key) = identity.unwrap_file_key(crypto, header.stanzas())? {
            return Ok(key);
        }
    }
    Err(AgeError::NoMatch)
}

/// Seals `plaintext` to `recipients`, with `extra` stanzas that age ignores but authenticates.
///
/// *Guarantees*: a fresh file key each time. *Errors*: `Recipients` for none, and for hybrid ones
/// beside classical ones, which would undo what the hybrid ones are for.
pub fn seal(
    crypto: &Crypto,
    recipients: &[Recipient],
    extra: &[Stanza],
    plaintext: &[u8],
) -> Result<Vec<u8>, AgeError> {
    let classical = recipients.iter().filter(|one| one.is_classical()).count();
    if recipients.is_empty() {
        return Err(AgeError::Recipients("there is no recipient"));
    }
    if classical != 0 && classical != recipients.len() {
        let reason = "a classical recipient stands beside a post-quantum one";
        return Err(AgeError::Recipients(reason));
    }
    let key: FileKey = random()?;
    let mut stanzas = Vec::with_capacity(recipients.len() + extra.len());
    for recipient in recipients {
        stanzas.push(recipient.wrap_file_key(crypto, &key)?);
    }
    stanzas.extend_from_slice(extra);
    let mut file = header::write(crypto, &stanzas, &key)?;
    stream::seal(crypto, &key, plaintext, &mut file)?;
    Ok(file)
}

/// The key under which a header is authenticated.
fn mac_key(crypto: &Crypto, key: &FileKey) -> Result<crate::backend::Key, CryptoError> {
    hkdf(crypto, b"", key.as_slice(), &[b"header"])
}

/// ChaCha20-Poly1305 with a nonce of zeros: each key is used once.
fn wrap(
    crypto: &Crypto,
    key: &crate::backend::Key,
    file_key: &FileKey,
) -> Result<Vec<u8>, CryptoError> {
    let backend = crypto.at(Algorithm::ChaCha20Poly1305)?;
    backend.aead_seal(key, &[0; 12], b"", file_key.as_slice())
}

/// The inverse of [`wrap`]; `None` when the key is another one.
fn unwrap(
    crypto: &Crypto,
    key: &crate::backend::Key,
    nonce: &[u8; 12],
    body: &[u8],
) -> Result<Option<FileKey>, AgeError> {
    let backend = crypto.at(Algorithm::ChaCha20Poly1305)?;
    match backend.aead_open(key, nonce, b"", body) {
        Ok(bytes) => {
            let bytes: [u8; FILE_KEY] = bytes
                .as_slice()
                .try_into()
                .map_err(|_| AgeError::Header("a wrapped key has another length"))?;
            Ok(Some(Zeroizing::new(bytes)))
        }
        Err(CryptoError::Mismatch { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
