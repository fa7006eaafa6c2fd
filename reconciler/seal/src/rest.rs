//! State at rest: rows sealed under a data key, which is sealed to the reconciler's identity.
//!
//! *Shape* of a sealed row: 1 byte version (1), 8 bytes id of the data key, 24 random bytes, then
//! the row under ChaCha20-Poly1305 and its 16-byte tag: 49 bytes more than the row.
//!
//! Each row has a key of its own: the first block of HKDF-expand (SHA-256) of the data key over
//! `stratum-rest-v1 row` and the 24 random bytes; the nonce is zero. Two rows share a key only if
//! 192 random bits repeat: after 2^40 rows that is less likely than 2^-112. The version, the id and
//! the caller's context are authenticated, so that a row moved elsewhere does not open.
//!
//! Rotation: a new key is put in front ([`DataKeys::with_newest`]); old rows stay readable, new ones are written
//! under it, and a row that [`DataKeys::is_old`] is written again when there is time.

use std::fmt;
use std::str::FromStr;

use stratum_core::secret::Secret;
use zeroize::Zeroizing;

use crate::age::{self, AgeError, Identity, Recipient};
use crate::backend::{Algorithm, Crypto, CryptoError, Key, TAG, expand, random};
use crate::foreign::lock::Locked;

const VERSION: u8 = 1;
const HEAD: usize = 1 + 8 + 24;
const MARK: &[u8] = b"stratum-data-key-v1\0";
const ROW: &[u8] = b"stratum-rest-v1 row";
const DIGEST: &[u8] = b"stratum-rest-v1 digest";
const ID: &[u8] = b"stratum-rest-v1 id";

/// The most bytes of the file of a data key.
const LARGEST: usize = 256 << 10;

/// A row or a data key does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// It is no sealed row.
    #[error("it is no sealed row")]
    Malformed,
    /// The data key is not there.
    #[error("the row is sealed under the data key `{0}`, which is not there")]
    UnknownKey(DataKeyId),
    /// It was changed, or belongs elsewhere.
    #[error("the row was changed, or belongs elsewhere")]
    Mismatch,
    /// The file of a data key holds something else.
    #[error("the file holds no data key")]
    NotAKey,
    /// The file of a data key does not open.
    #[error("the data key does not open")]
    Age(#[source] AgeError),
    /// Cryptography did not happen.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// Names a data key; it follows from the key, and says nothing about it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataKeyId([u8; 8]);

impl fmt::Display for DataKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DataKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key that rows are sealed under.
///
/// *Guarantees*: it lies in a locked page where the system allows it, and is wiped when dropped;
/// its `Debug` shows the id only.
pub struct DataKey {
    id: DataKeyId,
    key: Locked,
}

impl DataKey {
    /// A new one.
    pub fn generate(crypto: &Crypto) -> Result<Self, CryptoError> {
        Self::from_key(crypto, random()?)
    }

    fn from_key(crypto: &Crypto, key: Key) -> Result<Self, CryptoError> {
        let mut id = [0; 8];
        let derived = expand(crypto, &key, &[ID])?;
        id.iter_mut()
            .zip(derived.iter())
            .for_each(|(to, from)| *to = *from);
        let id = DataKeyId(id);
        let key = Locked::new(&key);
        Ok(Self { id, key })
    }

    /// Its id.
    pub fn id(&self) -> DataKeyId {
        self.id
    }

    /// The key as an age file for `recipients`, to lie beside the rows.
    pub fn seal(&self, crypto: &Crypto, recipients: &[Recipient]) -> Result<Vec<u8>, AgeError> {
        let mut content = Zeroizing::new(Vec::with_capacity(MARK.len() + 32));
        content.extend_from_slice(MARK);
        content.extend_from_slice(self.key.as_slice());
        age::seal(crypto, recipients, &[], &content)
    }

    /// The inverse of [`Self::seal`].
    pub fn open(crypto: &Crypto, identities: &[Identity], file: &[u8]) -> Result<Self, RestError> {
        let content = age::open(crypto, identities, file, LARGEST).map_err(RestError::Age)?;
        let key = content.expose().strip_prefix(MARK);
        let key = key.and_then(|key| key.try_into().ok());
        let key: [u8; 32] = key.ok_or(RestError::NotAKey)?;
        Ok(Self::from_key(crypto, Zeroizing::new(key))?)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey {}", self.id)
    }
}

/// The data keys that rows can be read with. The newest one writes.
#[derive(Debug)]
pub struct DataKeys {
    newest: DataKey,
    older: Vec<DataKey>,
}

/// A digest of a secret that only the holder of the data key can compute; for plans and records.
///
/// *Shape*: as text `hmac:<id of the data key>:<32 hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyedDigest {
    key: DataKeyId,
    code: [u8; 16],
}

impl fmt::Display for KeyedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hmac:{}:", self.key)?;
        self.code
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for KeyedDigest {
    type Err = RestError;

    fn from_str(text: &str) -> Result<Self, RestError> {
        let rest = text.strip_prefix("hmac:").ok_or(RestError::Malformed)?;
        let (key, code) = rest.split_once(':').ok_or(RestError::Malformed)?;
        Ok(Self {
            key: DataKeyId(hex(key).ok_or(RestError::Malformed)?),
            code: hex(code).ok_or(RestError::Malformed)?,
        })
    }
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let bytes: Vec<u8> = digits?
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect();
    (text.len() == 2 * N)
        .then(|| bytes.try_into().ok())
        .flatten()
}

impl fmt::Debug for KeyedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl DataKeys {
    /// One key.
    pub fn new(newest: DataKey) -> Self {
        let older = Vec::new();
        Self { newest, older }
    }

    /// These keys and `newest`, which writes from now on.
    pub fn with_newest(mut self, newest: DataKey) -> Self {
        let before = std::mem::replace(&mut self.newest, newest);
        self.older.push(before);
        self
    }

    /// The id of the key that writes.
    pub fn newest(&self) -> DataKeyId {
        self.newest.id
    }

    fn key(&self, id: DataKeyId) -> Result<&DataKey, RestError> {
        let mut all = std::iter::once(&self.newest).chain(&self.older);
        all.find(|key| key.id == id)
            .ok_or(RestError::UnknownKey(id))
    }

    /// Seals `row`. `context` says what it is and where it lies; whoever reads must give the same.
    pub fn encrypt(
        &self,
        crypto: &Crypto,
        context: &[u8],
        row: &[u8],
    ) -> Result<Vec<u8>, RestError> {
        let salt = random::<24>()?;
        let mut out = Vec::with_capacity(HEAD + row.len() + TAG);
        out.push(VERSION);
        out.extend_from_slice(&self.newest.id.0);
        out.extend_from_slice(salt.as_slice());
        let key = expand(crypto, &self.newest.key, &[ROW, salt.as_slice()])?;
        let associated = [&out, context].concat();
        let backend = crypto.at(Algorithm::ChaCha20Poly1305)?;
        out.extend(backend.aead_seal(&key, &[0; 12], &associated, row)?);
        Ok(out)
    }

    /// Opens a row that was sealed with the same `context`.
    pub fn decrypt(
        &self,
        crypto: &Crypto,
        context: &[u8],
        sealed: &[u8],
    ) -> Result<Secret, RestError> {
        let (head, body) = sealed.split_at_checked(HEAD).ok_or(RestError::Malformed)?;
        let (id, salt) = parts(head)?;
        let key = expand(crypto, &self.key(id)?.key, &[ROW, salt])?;
        let associated = [head, context].concat();
        let backend = crypto.at(Algorithm::ChaCha20Poly1305)?;
        match backend.aead_open(&key, &[0; 12], &associated, body) {
            Ok(mut row) => Ok(Secret::new(std::mem::take(&mut *row))),
            Err(CryptoError::Mismatch { .. } | CryptoError::Malformed { .. }) => {
                Err(RestError::Mismatch)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a row is sealed under another key than the newest, and should be written again.
    pub fn is_old(&self, sealed: &[u8]) -> Result<bool, RestError> {
        let head = sealed.get(..HEAD).ok_or(RestError::Malformed)?;
        Ok(parts(head)?.0 != self.newest.id)
    }

    /// The digest of `secret` for showing. `what` keeps equal secrets of different things apart.
    pub fn digest(
        &self,
        crypto: &Crypto,
        what: &[u8],
        secret: &Secret,
    ) -> Result<KeyedDigest, RestError> {
        keyed(crypto, &self.newest, what, secret)
    }

    /// Whether `digest`, perhaps of an older key, is the one of `secret`.
    pub fn matches(
        &self,
        crypto: &Crypto,
        digest: &KeyedDigest,
        what: &[u8],
        secret: &Secret,
    ) -> Result<bool, RestError> {
        let again = keyed(crypto, self.key(digest.key)?, what, secret)?;
        Ok(openssl::memcmp::eq(&again.code, &digest.code))
    }
}

fn parts(head: &[u8]) -> Result<(DataKeyId, &[u8]), RestError> {
    match head.split_first() {
        Some((&VERSION, rest)) => {
            let (id, salt) = rest.split_first_chunk().ok_or(RestError::Malformed)?;
            Ok((DataKeyId(*id), salt))
        }
        Some(_) | None => Err(RestError::Malformed),
    }
}

fn keyed(
    crypto: &Crypto,
    key: &DataKey,
    what: &[u8],
    secret: &Secret,
) -> Result<KeyedDigest, RestError> {
    let digest_key = expand(crypto, &key.key, &[DIGEST])?;
    let length = (what.len() as u64).to_be_bytes();
    let backend = crypto.at(Algorithm::Sha256)?;
    let hash = backend.hmac_sha256(digest_key.as_slice(), &[&length, what, secret.expose()])?;
    let mut code = [0; 16];
    code.iter_mut()
        .zip(hash.iter())
        .for_each(|(to, from)| *to = *from);
    Ok(KeyedDigest { key: key.id, code })
}
