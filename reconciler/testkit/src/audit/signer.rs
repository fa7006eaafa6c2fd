//! Signatures and veils that anyone can forge: for tests only.

use std::sync::atomic::{AtomicU64, Ordering};

use stratum_core::digest::Digest;
use stratum_core::ports::{NoteAlgorithm, NoteError, NoteKeys, NoteSignatures, NoteSigner};
use stratum_core::secret::Secret;

const ED25519_BYTES: usize = 64;
const ML_DSA_65_BYTES: usize = 3_309;

/// Has the shapes of the real cryptography and none of its strength: a public key is the digest of
/// the seed, and a signature the digest of public key and text, repeated.
#[derive(Debug, Default)]
pub struct TwinSigner {
    made: AtomicU64,
    asked: AtomicU64,
}

impl TwinSigner {
    /// Makes its keys in the order 0, 1, 2, …
    pub fn new() -> Self {
        Self::default()
    }

    /// How often a key was derived, or a signature verified.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn seed(&self, length: usize) -> Secret {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        Secret::new(stretched(&number.to_le_bytes(), length))
    }
}

impl NoteSigner for TwinSigner {
    fn generate(&self) -> Result<Secret, NoteError> {
        Ok(self.seed(64))
    }

    fn public(&self, pair: &Secret) -> Result<NoteKeys, NoteError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (ed25519, ml_dsa_65) = halves(pair)?;
        Ok(NoteKeys {
            ed25519: stretched(ed25519, 32),
            ml_dsa_65: stretched(ml_dsa_65, 1_952),
        })
    }

    fn sign(&self, pair: &Secret, text: &[u8]) -> Result<NoteSignatures, NoteError> {
        let keys = self.public(pair)?;
        Ok(NoteSignatures {
            ed25519: signature(&keys.ed25519, text, ED25519_BYTES),
            ml_dsa_65: signature(&keys.ml_dsa_65, text, ML_DSA_65_BYTES),
        })
    }

    fn verify(&self, algorithm: NoteAlgorithm, public: &[u8], text: &[u8], given: &[u8]) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let length = match algorithm {
            NoteAlgorithm::Ed25519 => ED25519_BYTES,
            NoteAlgorithm::MlDsa65 => ML_DSA_65_BYTES,
        };
        given == signature(public, text, length)
    }

    fn generate_veil(&self) -> Result<Secret, NoteError> {
        Ok(self.seed(32))
    }

    fn veil(&self, key: &Secret, context: &[u8], text: &[u8]) -> Result<Vec<u8>, NoteError> {
        let mask = stretched(&[key.expose(), context].concat(), text.len());
        let veiled = text.iter().zip(&mask).map(|(text, mask)| text ^ mask);
        let tag = stretched(&[key.expose(), context, text].concat(), 32);
        Ok(veiled.chain(tag).collect())
    }

    fn unveil(&self, key: &Secret, context: &[u8], veiled: &[u8]) -> Result<Vec<u8>, NoteError> {
        let length = veiled.len().saturating_sub(32);
        let (body, _) = veiled.split_at(length);
        let mask = stretched(&[key.expose(), context].concat(), length);
        let text: Vec<u8> = body.iter().zip(&mask).map(|(a, b)| a ^ b).collect();
        match self.veil(key, context, &text)? == veiled {
            true => Ok(text),
            false => Err(error("unveiling", "another key or context")),
        }
    }
}

fn halves(pair: &Secret) -> Result<(&[u8], &[u8]), NoteError> {
    let whole = pair.expose();
    (whole.len() == 64)
        .then(|| whole.split_at(32))
        .ok_or_else(|| error("reading a key pair", "it has not 64 bytes"))
}

fn signature(public: &[u8], text: &[u8], length: usize) -> Vec<u8> {
    stretched(&[public, text].concat(), length)
}

fn stretched(seed: &[u8], length: usize) -> Vec<u8> {
    let digest = Digest::of_bytes(seed).to_string();
    digest.bytes().cycle().take(length).collect()
}

fn error(doing: &'static str, reason: &str) -> NoteError {
    NoteError {
        doing,
        reason: reason.to_owned(),
    }
}
