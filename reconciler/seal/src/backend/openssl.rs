//! OpenSSL 3.5 or newer: the default, and the one that is always there.

use std::sync::OnceLock;

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::derive::Deriver;
use openssl::md::Md;
use openssl::md_ctx::MdCtx;
use openssl::pkey::{HasPublic, Id, KeyType, PKey, Private, Public};
use openssl::sign::{Signer, Verifier};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    Algorithm, Call, CryptoBackend, CryptoError, DSA_PUBLIC, DSA_SIGNATURE, KEM_CIPHERTEXT,
    KEM_PUBLIC, KEM_SEED, KemKey, Key, TAG,
};
use crate::foreign::kem;

const NAME: &str = "openssl";
const KEM: Call = Call::new(NAME, Algorithm::MlKem768);
const X25519: Call = Call::new(NAME, Algorithm::X25519);
const SIGN: Call = Call::new(NAME, Algorithm::MlDsa65Sign);
const VERIFY: Call = Call::new(NAME, Algorithm::MlDsa65Verify);
const ED25519: Call = Call::new(NAME, Algorithm::Ed25519);
const AEAD: Call = Call::new(NAME, Algorithm::ChaCha20Poly1305);
const SHA2: Call = Call::new(NAME, Algorithm::Sha256);
const SHA3: Call = Call::new(NAME, Algorithm::Sha3);

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// OpenSSL. Algorithms are fetched once, when the first is asked for: fetching takes longer than
/// hashing a short text, and starting the library longer than many a command.
#[derive(Default)]
pub(super) struct OpenSsl {
    fetched: OnceLock<Fetched>,
}

struct Fetched {
    sha256: Md,
    sha3: Md,
    shake: Md,
    chacha: Cipher,
}

impl OpenSsl {
    /// *Errors*: `Unsupported` from an OpenSSL older than 3.5, and from one that was built without
    /// an algorithm.
    fn fetched(&self) -> Result<&Fetched, CryptoError> {
        if let Some(fetched) = self.fetched.get() {
            return Ok(fetched);
        }
        let fetch = |name, call: Call| Md::fetch(None, name, None).map_err(|_| call.library());
        let fetched = Fetched {
            sha256: fetch("SHA2-256", SHA2)?,
            sha3: fetch("SHA3-256", SHA3)?,
            shake: fetch("SHAKE256", SHA3)?,
            chacha: Cipher::fetch(None, "ChaCha20-Poly1305", None).map_err(|_| AEAD.library())?,
        };
        Ok(self.fetched.get_or_init(|| fetched))
    }

    fn hash(&self, md: &Md, call: Call, parts: &[&[u8]]) -> Result<Key, CryptoError> {
        let mut digest = Zeroizing::new([0; 32]);
        let mut hash = || {
            let mut context = MdCtx::new()?;
            context.digest_init(md)?;
            for part in parts {
                context.digest_update(part)?;
            }
            context.digest_final(digest.as_mut_slice())
        };
        hash().map_err(|_| call.library())?;
        Ok(digest)
    }

    /// The expanded secret key of ML-DSA-65, for libraries that take no seed.
    #[cfg(feature = "oqs")]
    pub(super) fn dsa_expanded(&self, seed: &[u8; 32]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let key = seeded(KeyType::ML_DSA_65, seed, SIGN)?;
        let raw = key.raw_private_key().map_err(|_| SIGN.library())?;
        Ok(Zeroizing::new(raw))
    }

    /// The expanded secret key of ML-KEM-768, for libraries that take no seed.
    #[cfg(feature = "aws-lc")]
    pub(super) fn kem_expanded(
        &self,
        seed: &[u8; KEM_SEED],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let key = seeded(KeyType::ML_KEM_768, seed, KEM)?;
        let raw = key.raw_private_key().map_err(|_| KEM.library())?;
        Ok(Zeroizing::new(raw))
    }
}

/// A key of ML-KEM or ML-DSA from its seed.
fn seeded(kind: KeyType, seed: &[u8], call: Call) -> Result<PKey<Private>, CryptoError> {
    PKey::private_key_from_seed(None, kind, None, seed).map_err(|_| call.library())
}

fn public(kind: KeyType, bytes: &[u8], call: Call) -> Result<PKey<Public>, CryptoError> {
    PKey::public_key_from_raw_bytes_ex(None, kind, None, bytes).map_err(|_| call.malformed())
}

fn raw_public<T: HasPublic>(key: &PKey<T>, call: Call) -> Result<Vec<u8>, CryptoError> {
    key.raw_public_key().map_err(|_| call.library())
}

fn sign(key: &PKey<Private>, message: &[u8], call: Call) -> Result<Vec<u8>, CryptoError> {
    Signer::new_without_digest(key)
        .and_then(|mut signer| signer.sign_oneshot_to_vec(message))
        .map_err(|_| call.library())
}

fn verify(
    key: &PKey<Public>,
    message: &[u8],
    signature: &[u8],
    call: Call,
) -> Result<(), CryptoError> {
    // OpenSSL says "no" in two ways: false, and an error for a signature that it cannot decode.
    let verdict = Verifier::new_without_digest(key)
        .map_err(|_| call.library())?
        .verify_oneshot(signature, message);
    match verdict {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(call.mismatch()),
    }
}

struct OpenSslKey {
    key: PKey<Private>,
    public: Vec<u8>,
}

impl KemKey for OpenSslKey {
    fn public(&self) -> &[u8] {
        &self.public
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Key, CryptoError> {
        KEM.length(ciphertext, KEM_CIPHERTEXT)?;
        kem::decapsulate(&self.key, ciphertext).ok_or_else(|| KEM.library())
    }
}

impl CryptoBackend for OpenSsl {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kem_key(&self, seed: &[u8; KEM_SEED]) -> Result<Box<dyn KemKey>, CryptoError> {
        let key = seeded(KeyType::ML_KEM_768, seed, KEM)?;
        let public = raw_public(&key, KEM)?;
        Ok(Box::new(OpenSslKey { key, public }))
    }

    fn kem_key_expanded(&self, expanded: &[u8]) -> Result<Box<dyn KemKey>, CryptoError> {
        let public = KEM.public_within(expanded)?;
        let key = PKey::private_key_from_raw_bytes_ex(None, KeyType::ML_KEM_768, None, expanded);
        let key = key.map_err(|_| KEM.malformed())?;
        Ok(Box::new(OpenSslKey { key, public }))
    }

    fn kem_encapsulate(&self, bytes: &[u8]) -> Result<(Vec<u8>, Key), CryptoError> {
        KEM.length(bytes, KEM_PUBLIC)?;
        let key = public(KeyType::ML_KEM_768, bytes, KEM)?;
        kem::encapsulate(&key, None).ok_or_else(|| KEM.library())
    }

    fn kem_encapsulate_with(
        &self,
        bytes: &[u8],
        randomness: &[u8; 32],
    ) -> Result<(Vec<u8>, Key), CryptoError> {
        KEM.length(bytes, KEM_PUBLIC)?;
        let key = public(KeyType::ML_KEM_768, bytes, KEM)?;
        kem::encapsulate(&key, Some(randomness)).ok_or_else(|| KEM.library())
    }

    fn x25519_public(&self, secret: &[u8; 32]) -> Result<[u8; 32], CryptoError> {
        let key = PKey::private_key_from_raw_bytes(secret, Id::X25519);
        let key = key.map_err(|_| X25519.library())?;
        X25519.array(&raw_public(&key, X25519)?)
    }

    fn x25519(&self, secret: &[u8; 32], public: &[u8; 32]) -> Result<Key, CryptoError> {
        let key = PKey::private_key_from_raw_bytes(secret, Id::X25519);
        let key = key.map_err(|_| X25519.library())?;
        let peer = PKey::public_key_from_raw_bytes(public, Id::X25519);
        let peer = peer.map_err(|_| X25519.malformed())?;
        let mut deriver = Deriver::new(&key).map_err(|_| X25519.library())?;
        deriver.set_peer(&peer).map_err(|_| X25519.malformed())?;
        let mut shared = Zeroizing::new([0; 32]);
        // OpenSSL fails here when the result is all zero.
        let length = deriver.derive(shared.as_mut_slice());
        let length = length.map_err(|_| X25519.malformed())?;
        if length == 32 && shared.iter().any(|byte| *byte != 0) {
            Ok(shared)
        } else {
            Err(X25519.malformed())
        }
    }

    fn dsa_public(&self, seed: &[u8; 32]) -> Result<Vec<u8>, CryptoError> {
        raw_public(&seeded(KeyType::ML_DSA_65, seed, SIGN)?, SIGN)
    }

    fn dsa_sign(&self, seed: &[u8; 32], message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let signature = sign(&seeded(KeyType::ML_DSA_65, seed, SIGN)?, message, SIGN)?;
        SIGN.length(&signature, DSA_SIGNATURE)?;
        Ok(signature)
    }

    fn dsa_verify(
        &self,
        bytes: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        VERIFY.length(bytes, DSA_PUBLIC)?;
        VERIFY.length(signature, DSA_SIGNATURE)?;
        verify(
            &public(KeyType::ML_DSA_65, bytes, VERIFY)?,
            message,
            signature,
            VERIFY,
        )
    }

    fn ed25519_public(&self, seed: &[u8; 32]) -> Result<[u8; 32], CryptoError> {
        let key = PKey::private_key_from_raw_bytes(seed, Id::ED25519);
        let key = key.map_err(|_| ED25519.library())?;
        ED25519.array(&raw_public(&key, ED25519)?)
    }

    fn ed25519_sign(&self, seed: &[u8; 32], message: &[u8]) -> Result<[u8; 64], CryptoError> {
        let key = PKey::private_key_from_raw_bytes(seed, Id::ED25519);
        let key = key.map_err(|_| ED25519.library())?;
        ED25519.array(&sign(&key, message, ED25519)?)
    }

    fn ed25519_verify(
        &self,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        ED25519.length(public, 32)?;
        ED25519.length(signature, 64)?;
        let key = PKey::public_key_from_raw_bytes(public, Id::ED25519);
        let key = key.map_err(|_| ED25519.malformed())?;
        verify(&key, message, signature, ED25519)
    }

    fn aead_seal(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let mut sealed = Vec::with_capacity(plaintext.len() + 2 * TAG);
        let chacha = &self.fetched()?.chacha;
        let mut seal = || {
            let mut context = CipherCtx::new()?;
            context.encrypt_init(Some(chacha), Some(key), Some(nonce))?;
            context.cipher_update(associated, None)?;
            context.cipher_update_vec(plaintext, &mut sealed)?;
            context.cipher_final_vec(&mut sealed)?;
            let mut tag = [0; TAG];
            context.tag(&mut tag)?;
            sealed.extend_from_slice(&tag);
            Ok::<(), openssl::error::ErrorStack>(())
        };
        seal().map_err(|_| AEAD.library())?;
        Ok(sealed)
    }

    fn aead_open(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let (body, tag) = sealed
            .split_last_chunk::<TAG>()
            .ok_or_else(|| AEAD.malformed())?;
        // Room for what `cipher_update_vec` may want, so that nothing is left behind by growing.
        let mut plaintext = Zeroizing::new(Vec::with_capacity(body.len() + 2 * TAG));
        let chacha = &self.fetched()?.chacha;
        let mut open = || {
            let mut context = CipherCtx::new()?;
            context.decrypt_init(Some(chacha), Some(key), Some(nonce))?;
            context.set_tag(tag)?;
            context.cipher_update(associated, None)?;
            context.cipher_update_vec(body, &mut plaintext)?;
            context.cipher_final_vec(&mut plaintext)?;
            Ok::<(), openssl::error::ErrorStack>(())
        };
        open().map_err(|_| AEAD.mismatch())?;
        Ok(plaintext)
    }

    fn sha256(&self, parts: &[&[u8]]) -> Result<[u8; 32], CryptoError> {
        self.hash(&self.fetched()?.sha256, SHA2, parts)
            .map(|digest| *digest)
    }

    /// From two hashes: a key of OpenSSL's HMAC costs several times as much as the hashing.
    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> Result<Key, CryptoError> {
        let mut block = Zeroizing::new([0; BLOCK]);
        if key.len() > BLOCK {
            let digest = self.hash(&self.fetched()?.sha256, SHA2, &[key])?;
            block
                .iter_mut()
                .zip(digest.iter())
                .for_each(|(b, k)| *b = *k);
        } else {
            block.iter_mut().zip(key).for_each(|(b, k)| *b = *k);
        }
        let pad = |with: u8| Zeroizing::new(block.map(|byte| byte ^ with));
        let (inner, outer) = (pad(0x36), pad(0x5c));
        block.zeroize();
        let mut all: Vec<&[u8]> = Vec::with_capacity(parts.len() + 1);
        all.push(inner.as_slice());
        all.extend_from_slice(parts);
        let digest = self.hash(&self.fetched()?.sha256, SHA2, &all)?;
        self.hash(
            &self.fetched()?.sha256,
            SHA2,
            &[outer.as_slice(), digest.as_slice()],
        )
    }

    fn sha3_256(&self, parts: &[&[u8]]) -> Result<Key, CryptoError> {
        self.hash(&self.fetched()?.sha3, SHA3, parts)
    }

    fn shake256(&self, input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        let shake = &self.fetched()?.shake;
        let mut hash = || {
            let mut context = MdCtx::new()?;
            context.digest_init(shake)?;
            context.digest_update(input)?;
            context.digest_final_xof(output)
        };
        hash().map_err(|_| SHA3.library())
    }
}
