//! liboqs: for key encapsulation and to cross-check. What it lacks comes from openssl.
//!
//! liboqs 0.13 does not check the norm of ML-DSA responses on every processor; the known answers
//! catch that and refuse it for verification.

use std::sync::Once;

use ::oqs::kem::{Algorithm as KemAlgorithm, Kem};
use ::oqs::sig::{Algorithm as SigAlgorithm, Sig};
use zeroize::Zeroizing;

use super::openssl::OpenSsl;
use super::{
    Algorithm, Call, CryptoBackend, CryptoError, DSA_PUBLIC, DSA_SIGNATURE, KEM_CIPHERTEXT,
    KEM_PUBLIC, KEM_SEED, KemKey, Key,
};

const NAME: &str = "oqs";
const KEM: Call = Call::new(NAME, Algorithm::MlKem768);
const SIGN: Call = Call::new(NAME, Algorithm::MlDsa65Sign);
const VERIFY: Call = Call::new(NAME, Algorithm::MlDsa65Verify);

static INIT: Once = Once::new();

pub(super) struct Oqs {
    openssl: OpenSsl,
}

impl Oqs {
    pub(super) fn new() -> Result<Self, CryptoError> {
        INIT.call_once(::oqs::init);
        let openssl = OpenSsl::default();
        Ok(Self { openssl })
    }
}

fn kem() -> Result<Kem, CryptoError> {
    Kem::new(KemAlgorithm::MlKem768).map_err(|_| KEM.library())
}

fn sig(call: Call) -> Result<Sig, CryptoError> {
    Sig::new(SigAlgorithm::MlDsa65).map_err(|_| call.library())
}

struct OqsKey {
    /// liboqs wipes nothing of what it hands over.
    secret: Zeroizing<Vec<u8>>,
    public: Vec<u8>,
}

impl KemKey for OqsKey {
    fn public(&self) -> &[u8] {
        &self.public
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Key, CryptoError> {
        KEM.length(ciphertext, KEM_CIPHERTEXT)?;
        let kem = kem()?;
        let secret = kem.secret_key_from_bytes(&self.secret);
        let secret = secret.ok_or_else(|| KEM.library())?;
        let ciphertext = kem.ciphertext_from_bytes(ciphertext);
        let ciphertext = ciphertext.ok_or_else(|| KEM.malformed())?;
        let shared = kem.decapsulate(secret, ciphertext);
        let shared = shared.map_err(|_| KEM.library())?;
        KEM.key(&Zeroizing::new(shared.into_vec()))
    }
}

/// liboqs 0.13 encapsulates to keys beyond the modulus, so FIPS 203, section 7.2 is checked here:
/// each coefficient has 12 bits, and must be below 3,329.
fn reduced(public: &[u8]) -> bool {
    let (vectors, _seed) = public.split_at(public.len().saturating_sub(32));
    vectors.chunks_exact(3).all(|three| {
        let [a, b, c] = [0, 1, 2].map(|at| u16::from(three.get(at).copied().unwrap_or(0xff)));
        (a | (b & 0x0f) << 8) < 3329 && (b >> 4 | c << 4) < 3329
    })
}

impl CryptoBackend for Oqs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kem_key(&self, seed: &[u8; KEM_SEED]) -> Result<Box<dyn KemKey>, CryptoError> {
        let kem = kem()?;
        let seed = kem.keypair_seed_from_bytes(seed);
        let seed = seed.ok_or_else(|| KEM.library())?;
        let (public, secret) = kem.keypair_derand(seed).map_err(|_| KEM.library())?;
        Ok(Box::new(OqsKey {
            secret: Zeroizing::new(secret.into_vec()),
            public: public.into_vec(),
        }))
    }

    fn kem_key_expanded(&self, expanded: &[u8]) -> Result<Box<dyn KemKey>, CryptoError> {
        Ok(Box::new(OqsKey {
            public: KEM.public_within(expanded)?,
            secret: Zeroizing::new(expanded.to_vec()),
        }))
    }

    fn kem_encapsulate(&self, public: &[u8]) -> Result<(Vec<u8>, Key), CryptoError> {
        KEM.length(public, KEM_PUBLIC)?;
        if !reduced(public) {
            return Err(KEM.malformed());
        }
        let kem = kem()?;
        let public = kem.public_key_from_bytes(public);
        let public = public.ok_or_else(|| KEM.malformed())?;
        let (ciphertext, shared) = kem.encapsulate(public).map_err(|_| KEM.malformed())?;
        let key = KEM.key(&Zeroizing::new(shared.into_vec()))?;
        Ok((ciphertext.into_vec(), key))
    }

    fn kem_encapsulate_with(&self, _: &[u8], _: &[u8; 32]) -> Result<(Vec<u8>, Key), CryptoError> {
        Err(KEM.unsupported())
    }

    fn x25519_public(&self, secret: &[u8; 32]) -> Result<[u8; 32], CryptoError> {
        self.openssl.x25519_public(secret)
    }

    fn x25519(&self, secret: &[u8; 32], public: &[u8; 32]) -> Result<Key, CryptoError> {
        self.openssl.x25519(secret, public)
    }

    fn dsa_public(&self, seed: &[u8; 32]) -> Result<Vec<u8>, CryptoError> {
        self.openssl.dsa_public(seed)
    }

    fn dsa_sign(&self, seed: &[u8; 32], message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let expanded = self.openssl.dsa_expanded(seed)?;
        let sig = sig(SIGN)?;
        let secret = sig.secret_key_from_bytes(&expanded);
        let signature = sig.sign(message, secret.ok_or_else(|| SIGN.library())?);
        let signature = signature.map_err(|_| SIGN.library())?.into_vec();
        SIGN.length(&signature, DSA_SIGNATURE)?;
        Ok(signature)
    }

    fn dsa_verify(
        &self,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        VERIFY.length(public, DSA_PUBLIC)?;
        VERIFY.length(signature, DSA_SIGNATURE)?;
        let sig = sig(VERIFY)?;
        let public = sig.public_key_from_bytes(public);
        let public = public.ok_or_else(|| VERIFY.malformed())?;
        let signature = sig.signature_from_bytes(signature);
        let signature = signature.ok_or_else(|| VERIFY.malformed())?;
        sig.verify(message, signature, public)
            .map_err(|_| VERIFY.mismatch())
    }

    fn ed25519_public(&self, seed: &[u8; 32]) -> Result<[u8; 32], CryptoError> {
        self.openssl.ed25519_public(seed)
    }

    fn ed25519_sign(&self, seed: &[u8; 32], message: &[u8]) -> Result<[u8; 64], CryptoError> {
        self.openssl.ed25519_sign(seed, message)
    }

    fn ed25519_verify(
        &self,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.openssl.ed25519_verify(public, message, signature)
    }

    fn aead_seal(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.openssl.aead_seal(key, nonce, associated, plaintext)
    }

    fn aead_open(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.openssl.aead_open(key, nonce, associated, sealed)
    }

    fn sha256(&self, parts: &[&[u8]]) -> Result<[u8; 32], CryptoError> {
        self.openssl.sha256(parts)
    }

    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> Result<Key, CryptoError> {
        self.openssl.hmac_sha256(key, parts)
    }

    fn sha3_256(&self, parts: &[&[u8]]) -> Result<Key, CryptoError> {
        self.openssl.sha3_256(parts)
    }

    fn shake256(&self, input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.openssl.shake256(input, output)
    }
}
