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
use crate::foreign::lock::Locked;

/// Bytes of a public key: ML-KEM-768, then X25519.
pub(super) const PUBLIC: usize = KEM_PUBLIC + 32;
/// Bytes of an encapsulation: ML-KEM-768, then X25519.
pub(super) const ENCAPSULATION: usize = KEM_CIPHERTEXT + 32;

/// The label of X-Wing's combiner.
const LABEL: &[u8] = b"\\.//^\\";
/// `HPKE`, then the ids of the KEM, the KDF and the AEAD.
const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x03";
/// What the file key is wrapped for, in age.
#[cfg(test)]
const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";

/// `LabeledExtract("", "psk_id_hash", "")` of the suite: the same for every file.
const PSK_ID_HASH: [u8; 32] = [
    0x36, 0xb5, 0xff, 0x55, 0x87, 0xa0, 0x30, 0x0f, 0xc5, 0x55, 0x73, 0x47, 0xee, 0x59, 0x90, 0x66,
    0xaf, 0x3e, 0xd8, 0x97, 0x74, 0x5f, 0x8c, 0xa8, 0xca, 0x19, 0xb4, 0x5f, 0x13, 0xab, 0xd9, 0x77,
];
/// `LabeledExtract("", "info_hash", INFO)`, likewise.
const INFO_HASH: [u8; 32] = [
    0x99, 0xab, 0x4c, 0xae, 0x8d, 0xd1, 0x10, 0x8e, 0x0f, 0xe7, 0x2c, 0x89, 0x82, 0x40, 0xbc, 0x16,
    0xf1, 0x32, 0x36, 0xe8, 0x12, 0x1d, 0x92, 0x0a, 0x6b, 0xd8, 0xd5, 0xb6, 0x78, 0x32, 0x0a, 0x81,
];

/// A secret key, expanded from its seed.
pub(super) struct SecretKey {
    kem: Box<dyn KemKey>,
    x25519: Locked,
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
            x25519: Locked::new(&x25519),
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
    let secret = labeled_extract(crypto, shared.as_slice(), b"secret", b"")?;
    let labeled_expand = |label: &[u8], length: u8| {
        let context: [&[u8]; 7] = [
            &[0, length],
            b"HPKE-v1",
            SUITE,
            label,
            &[0],
            &PSK_ID_HASH,
            &INFO_HASH,
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use serde_json::Value;

    use super::*;
    use crate::backend::COMPILED;

    #[test]
    fn the_fixed_parts_of_the_schedule_are_those_of_the_suite() {
        for name in COMPILED {
            let crypto = Crypto::choose(&format!("{name},openssl")).unwrap();
            let extract =
                |label: &[u8], input: &[u8]| labeled_extract(&crypto, b"", label, input).unwrap();
            assert_eq!(*extract(b"psk_id_hash", b""), PSK_ID_HASH, "{name}");
            assert_eq!(*extract(b"info_hash", INFO), INFO_HASH, "{name}");
        }
    }

    /// Public key, shared secret and, where the library takes randomness, the encapsulation.
    #[test]
    #[allow(
        clippy::print_stdout,
        clippy::print_stderr,
        reason = "a row of the table of vectors, and why it was skipped"
    )]
    fn the_vectors_of_the_draft_on_every_backend() {
        const FILE: &str = "xwing/xwing-draft-test-vectors.json";
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
        let root = std::env::var_os("STRATUM_VECTORS").map_or(beside, PathBuf::from);
        let Ok(text) = fs::read(root.join(FILE)) else {
            eprintln!("skipped: no {FILE} in {}", root.display());
            return;
        };
        let cases: Vec<Value> = serde_json::from_slice(&text).unwrap();
        assert!(!cases.is_empty());
        for name in COMPILED {
            let crypto = Crypto::choose(name).unwrap();
            let expressible = cases.iter().filter(|case| judge(&crypto, case)).count();
            let (all, other) = (cases.len(), cases.len() - expressible);
            println!("| {name} | X-Wing | {FILE} | {all} | {other} (encapsulation) | 0 |");
        }
    }

    /// Fails unless the backend gives what the case says; whether it could encapsulate, too.
    fn judge(crypto: &Crypto, case: &Value) -> bool {
        let bytes = |field: &str| -> Vec<u8> {
            let text = case[field].as_str().unwrap();
            let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
            (0..text.len()).step_by(2).map(byte).collect()
        };
        let seed = Zeroizing::new(bytes("seed").try_into().unwrap());
        let key = SecretKey::from_seed(crypto, &seed).unwrap();
        assert_eq!(key.public(), bytes("pk"));
        let encapsulation: [u8; ENCAPSULATION] = bytes("ct").try_into().unwrap();
        let shared = key.decapsulate(crypto, &encapsulation).unwrap();
        assert_eq!(shared.as_slice(), bytes("ss"));
        let randomness: [u8; 64] = bytes("eseed").try_into().unwrap();
        let (first, second) = randomness.split_last_chunk::<32>().unwrap();
        let (kem_public, x_public) = key.public().split_last_chunk::<32>().unwrap();
        let kem = crypto.at(Algorithm::MlKem768).unwrap();
        let made = kem.kem_encapsulate_with(kem_public, first.try_into().unwrap());
        let (ciphertext, post_quantum) = match made {
            Err(CryptoError::Unsupported { .. }) => return false,
            made => made.unwrap(),
        };
        let x25519 = crypto.at(Algorithm::X25519).unwrap();
        let ephemeral = x25519.x25519_public(second).unwrap();
        let classical = x25519.x25519(second, x_public).unwrap();
        let shared = combine(crypto, &post_quantum, &classical, &ephemeral, x_public).unwrap();
        assert_eq!(shared.as_slice(), bytes("ss"));
        assert_eq!([ciphertext.as_slice(), &ephemeral].concat(), bytes("ct"));
        true
    }
}
