//! The key of a sealer: a seed of Ed25519 and one of ML-DSA-65.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stratum_core::secret::Secret;
use stratum_core::trust::SealerKey;
use zeroize::Zeroizing;

use crate::backend::{Algorithm, Crypto, CryptoError, DSA_PUBLIC, Key, random};
use crate::bech;
use crate::foreign::lock::Locked;

/// The prefix of a sealer's key in its file; Bech32 puts a `1` after it.
const PREFIX: &str = "stratum-sealer-key-";

/// What the id of a key says about its algorithms and its version.
const ID: &str = "ed25519+ml-dsa-65/v1:";

const ID_PREFIX: &[u8] = b"stratum-sealer-key-v1\0";

/// A key that signs sealed values.
///
/// *Guarantees*: its seeds lie in locked pages where the system allows it, and are wiped when it
/// is dropped; its `Debug` shows the id only.
pub struct Sealer {
    ed25519: Locked,
    ml_dsa_65: Locked,
    public: SealerKey,
}

/// A text or a public key is none of a sealer. Private text is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealerKeyError {
    /// The file holds no key.
    #[error(
        "the file holds no sealer key: one line `STRATUM-SEALER-KEY-1…`, complete, is expected"
    )]
    Malformed,
    /// A public half is not what it should be.
    #[error("`{0}` of the sealer key is not base64 of a public key")]
    Half(&'static str),
    /// The id belongs to other halves.
    #[error("the id of the sealer key belongs to other public halves")]
    Id,
    /// Cryptography did not happen.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// The public halves of a sealer's key, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicHalves {
    /// Ed25519.
    pub ed25519: [u8; 32],
    /// ML-DSA-65, 1,952 bytes.
    pub ml_dsa_65: Vec<u8>,
}

impl PublicHalves {
    /// From the trust of a repository.
    ///
    /// *Errors*: `Half` when one is malformed, `Id` when the id is not the one of these halves.
    pub fn of(crypto: &Crypto, key: &SealerKey) -> Result<Self, SealerKeyError> {
        let decode = |text: &str, name| {
            let bytes = STANDARD.decode(text);
            bytes.map_err(|_| SealerKeyError::Half(name))
        };
        let ed25519 = decode(&key.ed25519, "ed25519")?;
        let ed25519 = ed25519
            .try_into()
            .map_err(|_| SealerKeyError::Half("ed25519"))?;
        let ml_dsa_65 = decode(&key.ml_dsa_65, "ml-dsa-65")?;
        if ml_dsa_65.len() != DSA_PUBLIC {
            return Err(SealerKeyError::Half("ml-dsa-65"));
        }
        let halves = Self { ed25519, ml_dsa_65 };
        if halves.id(crypto)? == key.id {
            Ok(halves)
        } else {
            Err(SealerKeyError::Id)
        }
    }

    /// The id: the algorithms, the version, and 16 bytes of SHA-256 of both halves.
    fn id(&self, crypto: &Crypto) -> Result<String, CryptoError> {
        let backend = crypto.at(Algorithm::Sha256)?;
        let digest = backend.sha256(&[ID_PREFIX, &self.ed25519, &self.ml_dsa_65])?;
        let hex = digest.iter().take(16).map(|byte| format!("{byte:02x}"));
        Ok(ID.to_owned() + &hex.collect::<String>())
    }
}

impl Sealer {
    /// A new one.
    pub fn generate(crypto: &Crypto) -> Result<Self, CryptoError> {
        Self::from_seeds(crypto, random()?, random()?)
    }

    fn from_seeds(crypto: &Crypto, ed25519: Key, ml_dsa_65: Key) -> Result<Self, CryptoError> {
        let halves = PublicHalves {
            ed25519: crypto.at(Algorithm::Ed25519)?.ed25519_public(&ed25519)?,
            ml_dsa_65: crypto.at(Algorithm::MlDsa65Sign)?.dsa_public(&ml_dsa_65)?,
        };
        let public = SealerKey {
            id: halves.id(crypto)?,
            ed25519: STANDARD.encode(halves.ed25519),
            ml_dsa_65: STANDARD.encode(&halves.ml_dsa_65),
        };
        Ok(Self {
            ed25519: Locked::new(&ed25519),
            ml_dsa_65: Locked::new(&ml_dsa_65),
            public,
        })
    }

    /// From the text of its file.
    pub fn parse(crypto: &Crypto, file: &Secret) -> Result<Self, SealerKeyError> {
        let text = file.expose_text().ok_or(SealerKeyError::Malformed)?;
        let mut lines = text.lines().map(str::trim);
        let mut lines = lines
            .by_ref()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(SealerKeyError::Malformed);
        };
        let (prefix, bytes) = bech::decode(line, true).ok_or(SealerKeyError::Malformed)?;
        let halves = bytes.as_chunks::<32>();
        let ([ed25519, ml_dsa_65], [], PREFIX) = (halves.0, halves.1, prefix.as_str()) else {
            return Err(SealerKeyError::Malformed);
        };
        let seeds = (Zeroizing::new(*ed25519), Zeroizing::new(*ml_dsa_65));
        Ok(Self::from_seeds(crypto, seeds.0, seeds.1)?)
    }

    /// The text of its file; `owner` is named in a comment.
    pub fn to_file(&self, owner: &str) -> Secret {
        let seeds = Zeroizing::new([*self.ed25519, *self.ml_dsa_65]);
        let line = bech::encode_secret(PREFIX, seeds.as_flattened()).unwrap_or_default();
        let owner = owner.replace(char::is_control, " ");
        let head = format!(
            "# The sealer key of {owner}. Keep it private: who has it seals in this name.\n# id: {}\n",
            self.public.id
        );
        let mut content = Zeroizing::new(Vec::with_capacity(head.len() + line.len() + 1));
        content.extend_from_slice(head.as_bytes());
        content.extend_from_slice(line.as_bytes());
        content.push(b'\n');
        Secret::new(std::mem::take(&mut *content))
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.public.id
    }

    /// Its public half, as `trust/people/<name>.toml` holds it.
    pub fn public(&self) -> &SealerKey {
        &self.public
    }

    /// Both signatures of `message`: Ed25519, ML-DSA-65.
    pub(crate) fn sign(
        &self,
        crypto: &Crypto,
        message: &[u8],
    ) -> Result<([u8; 64], Vec<u8>), CryptoError> {
        let ed25519 = crypto.at(Algorithm::Ed25519)?;
        let ml_dsa_65 = crypto.at(Algorithm::MlDsa65Sign)?;
        Ok((
            ed25519.ed25519_sign(&self.ed25519, message)?,
            ml_dsa_65.dsa_sign(&self.ml_dsa_65, message)?,
        ))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer {}", self.public.id)
    }
}
