//! What a sealer signs, and how the signatures are written down.
//!
//! The message is `stratum-seal-v1` and a zero byte, then, each behind its length in 4 bytes
//! (big-endian): the place ([`Place::encode`]), SHA-256 of the age file, and the statement, which is
//! the first part of the field `sig`. So everything in `sig` but the signatures is signed.
//!
//! The field `sig` is base64 of
//!
//! ```text
//! 1 byte    version: 1
//! 1 byte    n, then n bytes: the id of the sealer's key, UTF-8
//! 8 bytes   the time, in seconds since 1970 UTC, signed, big-endian
//! 2 bytes   r, big-endian, then r times: 1 byte kind (1 mlkem768x25519, 2 X25519), 16 bytes digest
//! ----      up to here: the statement
//! 1 byte    s, then s times: 1 byte algorithm (1 Ed25519, 2 ML-DSA-65), in rising order,
//!           2 bytes length, big-endian, and the signature
//! ```
//!
//! of 8 KiB at most. Both algorithms sign the same message; ML-DSA-65 is pure, with an empty
//! context. Algorithm 3 is kept for a composite of both. A number that is not in this list is
//! refused, not skipped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::age::{RecipientId, RecipientKind};
use crate::backend::DSA_SIGNATURE;
use crate::place::{Place, put};

const PREFIX: &[u8] = b"stratum-seal-v1\0";
const VERSION: u8 = 1;
const ED25519: u8 = 1;
const ML_DSA_65: u8 = 2;

/// The most bytes of the field `sig`, decoded.
pub const LARGEST: usize = 8 << 10;

/// Which signatures a value needs. *Shape*: the stages of a migration, in their order.
///
/// A signature that is there must be right at every stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Ed25519.
    Ed25519,
    /// One of the two.
    Either,
    /// Both: what stratum writes, and what a new repository asks for.
    #[default]
    Both,
    /// ML-DSA-65.
    MlDsa,
}

impl Policy {
    /// The stages by name.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("ed25519", Self::Ed25519),
        ("either", Self::Either),
        ("both", Self::Both),
        ("ml-dsa", Self::MlDsa),
    ];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Either => "either",
            Self::Both => "both",
            Self::MlDsa => "ml-dsa",
        }
    }

    /// The stage of that name.
    pub fn parse(name: &str) -> Option<Self> {
        let mut all = Self::NAMES.into_iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, policy)| policy)
    }

    /// Whether these signatures are enough.
    pub fn allows(self, ed25519: bool, ml_dsa_65: bool) -> bool {
        match self {
            Self::Ed25519 => ed25519,
            Self::Either => ed25519 || ml_dsa_65,
            Self::Both => ed25519 && ml_dsa_65,
            Self::MlDsa => ml_dsa_65,
        }
    }
}

/// What a sealer states besides the value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The id of the sealer's key.
    pub key: String,
    /// When, as the sealer says (to the second).
    pub time: Timestamp,
    /// To whom.
    pub recipients: Vec<RecipientId>,
}

/// The field `sig`, decoded. Nothing of it is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// What is stated.
    pub statement: Statement,
    /// The signature of Ed25519.
    pub ed25519: Option<[u8; 64]>,
    /// The signature of ML-DSA-65.
    pub ml_dsa_65: Option<Vec<u8>>,
}

/// The field `sig` does not have its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is no base64.
    #[error("`sig` is not base64")]
    Base64,
    /// It has too many bytes, or would have.
    #[error("`sig` has more than {LARGEST} bytes; seal to fewer recipients")]
    TooLarge,
    /// It is of a version that this stratum does not know.
    #[error("`sig` is of version {0}, which this stratum does not know")]
    Version(u8),
    /// It is cut, or something follows.
    #[error("`sig` is cut or too long")]
    Length,
    /// It has a number that this stratum does not know.
    #[error("`sig` has {0} that this stratum does not know")]
    Unknown(&'static str),
    /// It has no signature, one twice, or one of another length.
    #[error("`sig` has no signature, one twice, or one of another length")]
    Signatures,
}

impl Statement {
    /// The statement as it is signed and written.
    ///
    /// *Errors*: `TooLarge` for a key id of more than 255 bytes or too many recipients.
    pub fn encode(&self) -> Result<Vec<u8>, SignatureError> {
        let key = u8::try_from(self.key.len()).map_err(|_| SignatureError::TooLarge)?;
        let recipients = u16::try_from(self.recipients.len());
        let recipients = recipients.map_err(|_| SignatureError::TooLarge)?;
        let mut out = vec![VERSION, key];
        out.extend_from_slice(self.key.as_bytes());
        out.extend_from_slice(&self.time.as_second().to_be_bytes());
        out.extend_from_slice(&recipients.to_be_bytes());
        for id in &self.recipients {
            out.push(id.kind.code());
            out.extend_from_slice(&id.digest);
        }
        Ok(out)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, SignatureError> {
        let [version] = reader.array()?;
        if version != VERSION {
            return Err(SignatureError::Version(version));
        }
        let [length] = reader.array()?;
        let key = std::str::from_utf8(reader.take(length.into())?);
        let key = key.map_err(|_| SignatureError::Unknown("a key id"))?;
        let time = Timestamp::from_second(i64::from_be_bytes(reader.array()?));
        let time = time.map_err(|_| SignatureError::Unknown("a time"))?;
        let count = u16::from_be_bytes(reader.array()?);
        let recipients = (0..count).map(|_| recipient(reader));
        Ok(Self {
            key: key.to_owned(),
            time,
            recipients: recipients.collect::<Result<_, _>>()?,
        })
    }
}

fn recipient(reader: &mut Reader<'_>) -> Result<RecipientId, SignatureError> {
    let [code] = reader.array()?;
    let kind = RecipientKind::from_code(code);
    let kind = kind.ok_or(SignatureError::Unknown("a kind of recipient"))?;
    let digest = reader.array()?;
    Ok(RecipientId { kind, digest })
}

/// The message that both algorithms sign.
///
/// *Errors*: as [`Statement::encode`].
pub fn message(
    place: &Place<'_>,
    age_digest: &[u8; 32],
    statement: &Statement,
) -> Result<Vec<u8>, SignatureError> {
    let mut out = PREFIX.to_vec();
    put(&mut out, &place.encode());
    put(&mut out, age_digest);
    put(&mut out, &statement.encode()?);
    Ok(out)
}

impl Signatures {
    /// The text of the field `sig`.
    ///
    /// *Errors*: `TooLarge`.
    pub fn encode(&self) -> Result<String, SignatureError> {
        let mut out = self.statement.encode()?;
        let ed25519 = self
            .ed25519
            .as_ref()
            .map(|bytes| (ED25519, bytes.as_slice()));
        let ml_dsa = self
            .ml_dsa_65
            .as_ref()
            .map(|bytes| (ML_DSA_65, bytes.as_slice()));
        let all: Vec<_> = ed25519.into_iter().chain(ml_dsa).collect();
        out.push(all.len() as u8);
        for (algorithm, bytes) in all {
            let length = u16::try_from(bytes.len()).map_err(|_| SignatureError::TooLarge)?;
            out.push(algorithm);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(bytes);
        }
        if out.len() > LARGEST {
            return Err(SignatureError::TooLarge);
        }
        Ok(STANDARD.encode(out))
    }

    /// Reads the field `sig`.
    ///
    /// *Errors*: for every text but the one that [`Self::encode`] gives.
    pub fn decode(text: &str) -> Result<Self, SignatureError> {
        if text.len() > LARGEST.div_ceil(3) * 4 {
            return Err(SignatureError::TooLarge);
        }
        let bytes = STANDARD.decode(text).map_err(|_| SignatureError::Base64)?;
        if bytes.len() > LARGEST {
            return Err(SignatureError::TooLarge);
        }
        let mut reader = Reader(&bytes);
        let mut found = Self {
            statement: Statement::decode(&mut reader)?,
            ed25519: None,
            ml_dsa_65: None,
        };
        let [count] = reader.array()?;
        let mut last = 0;
        for _ in 0..count {
            let [algorithm] = reader.array()?;
            let length = u16::from_be_bytes(reader.array()?);
            let bytes = reader.take(length.into())?;
            if algorithm <= last {
                return Err(SignatureError::Signatures);
            }
            found.put(algorithm, bytes)?;
            last = algorithm;
        }
        match (count, reader.0.is_empty()) {
            (0, _) => Err(SignatureError::Signatures),
            (_, false) => Err(SignatureError::Length),
            (_, true) => Ok(found),
        }
    }

    fn put(&mut self, algorithm: u8, bytes: &[u8]) -> Result<(), SignatureError> {
        match algorithm {
            ED25519 => {
                let bytes = bytes.try_into().map_err(|_| SignatureError::Signatures)?;
                self.ed25519 = Some(bytes);
            }
            ML_DSA_65 if bytes.len() == DSA_SIGNATURE => self.ml_dsa_65 = Some(bytes.to_vec()),
            ML_DSA_65 => return Err(SignatureError::Signatures),
            _ => return Err(SignatureError::Unknown("an algorithm")),
        }
        Ok(())
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], SignatureError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(SignatureError::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SignatureError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(SignatureError::Length)?;
        self.0 = rest;
        Ok(*taken)
    }
}
