//! The cryptography of the audit log, by the crypto backends of `seal`.

use stratum_core::ports::{NoteAlgorithm, NoteError, NoteKeys, NoteSignatures, NoteSigner};
use stratum_core::secret::Secret;
use stratum_seal::backend::Algorithm;
use stratum_seal::{Crypto, CryptoError};

const SEED: usize = 32;
const NONCE: usize = 12;

/// Signs and veils with the chosen backends.
pub(crate) struct SealedNotes {
    crypto: Crypto,
}

impl SealedNotes {
    /// Signs with these backends.
    pub(crate) fn new(crypto: Crypto) -> Self {
        Self { crypto }
    }
}

impl NoteSigner for SealedNotes {
    fn generate(&self) -> Result<Secret, NoteError> {
        random(2 * SEED, "making the key of the audit log")
    }

    fn public(&self, pair: &Secret) -> Result<NoteKeys, NoteError> {
        const DOING: &str = "deriving the public key of the audit log";
        let (ed25519, ml_dsa_65) = seeds(pair, DOING)?;
        let (first, second) = (
            self.at(Algorithm::Ed25519, DOING)?,
            self.at(Algorithm::MlDsa65Sign, DOING)?,
        );
        Ok(NoteKeys {
            ed25519: first
                .ed25519_public(ed25519)
                .map_err(failed(DOING))?
                .to_vec(),
            ml_dsa_65: second.dsa_public(ml_dsa_65).map_err(failed(DOING))?,
        })
    }

    fn sign(&self, pair: &Secret, text: &[u8]) -> Result<NoteSignatures, NoteError> {
        const DOING: &str = "signing a checkpoint of the audit log";
        let (ed25519, ml_dsa_65) = seeds(pair, DOING)?;
        let (first, second) = (
            self.at(Algorithm::Ed25519, DOING)?,
            self.at(Algorithm::MlDsa65Sign, DOING)?,
        );
        Ok(NoteSignatures {
            ed25519: first
                .ed25519_sign(ed25519, text)
                .map_err(failed(DOING))?
                .to_vec(),
            ml_dsa_65: second.dsa_sign(ml_dsa_65, text).map_err(failed(DOING))?,
        })
    }

    fn verify(
        &self,
        algorithm: NoteAlgorithm,
        public: &[u8],
        text: &[u8],
        signature: &[u8],
    ) -> bool {
        let wanted = match algorithm {
            NoteAlgorithm::Ed25519 => Algorithm::Ed25519,
            NoteAlgorithm::MlDsa65 => Algorithm::MlDsa65Verify,
        };
        self.crypto.at(wanted).is_ok_and(|backend| {
            let verified = match algorithm {
                NoteAlgorithm::Ed25519 => backend.ed25519_verify(public, text, signature),
                NoteAlgorithm::MlDsa65 => backend.dsa_verify(public, text, signature),
            };
            verified.is_ok()
        })
    }

    fn generate_veil(&self) -> Result<Secret, NoteError> {
        random(SEED, "making a key for names of people")
    }

    fn veil(&self, key: &Secret, context: &[u8], text: &[u8]) -> Result<Vec<u8>, NoteError> {
        const DOING: &str = "putting names of people under a key";
        let nonce = random(NONCE, DOING)?;
        let backend = self.at(Algorithm::ChaCha20Poly1305, DOING)?;
        let (key, nonce) = (array(key.expose(), DOING)?, array(nonce.expose(), DOING)?);
        let sealed = backend.aead_seal(key, nonce, context, text);
        Ok([nonce.as_slice(), &sealed.map_err(failed(DOING))?].concat())
    }

    fn unveil(&self, key: &Secret, context: &[u8], veiled: &[u8]) -> Result<Vec<u8>, NoteError> {
        const DOING: &str = "reading names of people";
        let (nonce, sealed) = veiled
            .split_first_chunk::<NONCE>()
            .ok_or_else(|| error(DOING, "it is too short"))?;
        let backend = self.at(Algorithm::ChaCha20Poly1305, DOING)?;
        let text = backend.aead_open(array(key.expose(), DOING)?, nonce, context, sealed);
        Ok(text.map_err(failed(DOING))?.to_vec())
    }
}

impl SealedNotes {
    fn at(
        &self,
        algorithm: Algorithm,
        doing: &'static str,
    ) -> Result<&dyn stratum_seal::CryptoBackend, NoteError> {
        self.crypto.at(algorithm).map_err(failed(doing))
    }
}

fn random(length: usize, doing: &'static str) -> Result<Secret, NoteError> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(|source| error(doing, source))?;
    Ok(Secret::new(bytes))
}

fn seeds<'p>(
    pair: &'p Secret,
    doing: &'static str,
) -> Result<(&'p [u8; SEED], &'p [u8; SEED]), NoteError> {
    let (first, second) = pair.expose().split_at_checked(SEED).unwrap_or_default();
    Ok((array(first, doing)?, array(second, doing)?))
}

fn array<'b, const N: usize>(
    bytes: &'b [u8],
    doing: &'static str,
) -> Result<&'b [u8; N], NoteError> {
    bytes
        .try_into()
        .map_err(|_| error(doing, format!("it has not {N} bytes")))
}

fn failed(doing: &'static str) -> impl Fn(CryptoError) -> NoteError {
    move |source| error(doing, source)
}

fn error(doing: &'static str, reason: impl ToString) -> NoteError {
    NoteError {
        doing,
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes() -> SealedNotes {
        SealedNotes::new(Crypto::choose(stratum_seal::backend::DEFAULT).unwrap())
    }

    #[test]
    fn both_signatures_verify_and_neither_does_for_another_text_or_key() {
        let notes = notes();
        let (pair, other) = (notes.generate().unwrap(), notes.generate().unwrap());
        let (keys, others) = (notes.public(&pair).unwrap(), notes.public(&other).unwrap());
        let signed = notes.sign(&pair, b"text").unwrap();
        let cases = [
            (
                NoteAlgorithm::Ed25519,
                &keys.ed25519,
                &others.ed25519,
                &signed.ed25519,
            ),
            (
                NoteAlgorithm::MlDsa65,
                &keys.ml_dsa_65,
                &others.ml_dsa_65,
                &signed.ml_dsa_65,
            ),
        ];
        for (algorithm, own, other, signature) in cases {
            assert!(notes.verify(algorithm, own, b"text", signature));
            assert!(!notes.verify(algorithm, own, b"other", signature));
            assert!(!notes.verify(algorithm, other, b"text", signature));
            assert!(!notes.verify(algorithm, own, b"text", b""));
        }
        assert_eq!((keys.ed25519.len(), keys.ml_dsa_65.len()), (32, 1_952));
    }

    #[test]
    fn a_veil_opens_with_its_key_and_context_only() {
        let notes = notes();
        let (key, other) = (
            notes.generate_veil().unwrap(),
            notes.generate_veil().unwrap(),
        );
        let veiled = notes.veil(&key, b"context", b"Ada").unwrap();
        assert_ne!(
            veiled,
            notes.veil(&key, b"context", b"Ada").unwrap(),
            "a nonce each"
        );
        assert_eq!(notes.unveil(&key, b"context", &veiled).unwrap(), b"Ada");
        assert!(notes.unveil(&other, b"context", &veiled).is_err());
        assert!(notes.unveil(&key, b"other", &veiled).is_err());
        assert!(notes.unveil(&key, b"context", b"short").is_err());
    }
}
