//! X-Wing, and HPKE over it, put together from the primitives of a backend.
//!
//! *Source*: draft-connolly-cfrg-xwing-kem; RFC 9180 in base mode with the suite KEM 0x647a, KDF
//! HKDF-SHA256, AEAD ChaCha20Poly1305, as C2SP age.md uses it.

use zeroize::Zeroizing;

use super::{AgeError, FileKey, unwrap};
use crate::backend::{
    Algorithm, Crypto, CryptoError, KEM_CIPHERTEXT, KEM_PUBLIC, KEM_SEED, KemKey, Key, expand,
    random,
};

/// Bytes of a public key: ML-KEM-768, then X25519.
pub(super) const PUBLIC: usize = KEM_PUBLIC + 32;
/// Bytes of an encapsulation: ML-KEM-768, then X25519.
pub(super) const ENCAPSULATION: usize = KEM_CIPHERTEXT + 32;

/// The label of X-Wing's combiner.
const LABEL: &[u8] = b"\\.//^\\";
/// `HPKE`, then the ids of the KEM, the KDF and the AEAD.
const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x03";
const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";

/// A secret key, expanded from its seed.
pub(super) struct SecretKey {
    kem: Box<dyn KemKey>,
    x25519: Key,
    public: Vec<u8>,
}

impl SecretKey {
    pub(super) fn from_seed(crypto: &Crypto, seed: &Key) -> Result<Self, CryptoError> {
        let mut expanded = Zeroizing::new([0; KEM_SEED + 32]);
        let sha3 = crypto.at(Algorithm::Sha3)?;
        sha3.shake256(seed.as_slice(), expanded.as_mut_slice())?;
        let mut kem_seed = Zeroizing::new([0; KEM_SEED]);
        let mut x25519 = Zeroizing::new([0; 32]);
        let (first, second) = expanded.split_at(KEM_SEED);
        kem_seed.copy_from_slice(first);
        x25519.copy_from_slice(second);
        let kem = crypto.at(Algorithm::MlKem768)?.kem_key(&kem_seed)?;
        let mut public = kem.public().to_vec();
        public.extend(crypto.at(Algorithm::X25519)?.x25519_public(&x25519)?);
        Ok(Self {
            kem,
            x25519,
            public,
        })
    }

    /// The public key, [`PUBLIC`] bytes.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    fn decapsulate(
        &self,
        crypto: &Crypto,
        encapsulation: &[u8; ENCAPSULATION],
    ) -> Result<Key, CryptoError> {
        let (ciphertext, ephemeral) = halves(encapsulation);
        let (_, public) = self.public.split_last_chunk().unwrap_or((&[], &[0; 32]));
        let post_quantum = self.kem.decapsulate(ciphertext)?;
        let classical = crypto
            .at(Algorithm::X25519)?
            .x25519(&self.x25519, ephemeral)?;
        combine(crypto, &post_quantum, &classical, ephemeral, public)
    }

    /// The file key in an encapsulation and a body; `None` when they are for another key.
    pub(super) fn open(
        &self,
        crypto: &Crypto,
        encapsulation: &[u8; ENCAPSULATION],
        body: &[u8],
    ) -> Result<Option<FileKey>, AgeError> {
        let shared = match self.decapsulate(crypto, encapsulation) {
            Err(CryptoError::Malformed { .. }) => {
                return Err(AgeError::Header("an encapsulation is malformed"));
            }
            shared => shared?,
        };
        let (key, nonce) = schedule(crypto, &shared)?;
        unwrap(crypto, &key, &nonce, body)
    }
}

/// The two parts of an encapsulation.
fn halves(encapsulation: &[u8; ENCAPSULATION]) -> (&[u8], &[u8; 32]) {
    let (first, second) = encapsulation.split_last_chunk().unwrap_or((&[], &[0; 32]));
    (first, second)
}

/// X-Wing's combiner.
fn combine(
    crypto: &Crypto,
    post_quantum: &Key,
    classical: &Key,
    ephemeral: &[u8; 32],
    public: &[u8; 32],
) -> Result<Key, CryptoError> {
    crypto.at(Algorithm::Sha3)?.sha3_256(&[
        post_quantum.as_slice(),
        classical.as_slice(),
        ephemeral,
        public,
        LABEL,
    ])
}

/// A fresh encapsulation for `public`, and the shared secret.
fn encapsulate(crypto: &Crypto, public: &[u8; PUBLIC]) -> Result<(Vec<u8>, Key), CryptoError> {
    let (kem_public, x_public) = public.split_last_chunk().unwrap_or((&[], &[0; 32]));
    let secret = random::<32>()?;
    let backend = crypto.at(Algorithm::X25519)?;
    let ephemeral = backend.x25519_public(&secret)?;
    let classical = backend.x25519(&secret, x_public)?;
    let kem = crypto.at(Algorithm::MlKem768)?;
    let (mut encapsulation, post_quantum) = kem.kem_encapsulate(kem_public)?;
    let shared = combine(crypto, &post_quantum, &classical, &ephemeral, x_public)?;
    encapsulation.extend(ephemeral);
    Ok((encapsulation, shared))
}

/// An encapsulation for `public`, and the file key sealed under it.
pub(super) fn seal(
    crypto: &Crypto,
    public: &[u8; PUBLIC],
    file_key: &FileKey,
) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
    let (encapsulation, shared) = encapsulate(crypto, public)?;
    let (key, nonce) = schedule(crypto, &shared)?;
    let backend = crypto.at(Algorithm::ChaCha20Poly1305)?;
    let body = backend.aead_seal(&key, &nonce, b"", file_key.as_slice())?;
    Ok((encapsulation, body))
}

/// HPKE's key schedule in base mode: the key and the first nonce. *Source*: RFC 9180, section 5.1.
fn schedule(crypto: &Crypto, shared: &Key) -> Result<(Key, [u8; 12]), CryptoError> {
    let psk_id = labeled_extract(crypto, b"", b"psk_id_hash", b"")?;
    let info = labeled_extract(crypto, b"", b"info_hash", INFO)?;
    let secret = labeled_extract(crypto, shared.as_slice(), b"secret", b"")?;
    let labeled_expand = |label: &[u8], length: u8| {
        let context: [&[u8]; 7] = [
            &[0, length],
            b"HPKE-v1",
            SUITE,
            label,
            &[0],
            psk_id.as_slice(),
            info.as_slice(),
        ];
        expand(crypto, &secret, &context)
    };
    let key = labeled_expand(b"key", 32)?;
    let base = labeled_expand(b"base_nonce", 12)?;
    let mut nonce = [0; 12];
    nonce
        .iter_mut()
        .zip(base.iter())
        .for_each(|(to, from)| *to = *from);
    Ok((key, nonce))
}

fn labeled_extract(
    crypto: &Crypto,
    salt: &[u8],
    label: &[u8],
    input: &[u8],
) -> Result<Key, CryptoError> {
    let backend = crypto.at(Algorithm::Sha256)?;
    backend.hmac_sha256(salt, &[b"HPKE-v1", SUITE, label, input])
}
