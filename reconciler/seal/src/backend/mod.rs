//! Where cryptography comes from.
//!
//! [`CryptoBackend`] is what stratum needs of a library; there are four of them. [`Crypto`] is what
//! the rest of stratum uses: for each algorithm the first chosen backend that gave the known answer.
//!
//! | primitive | `openssl` | `oqs` | `aws-lc` | `rustcrypto` |
//! | --- | --- | --- | --- | --- |
//! | ML-KEM-768 | own | own | own; the seed is expanded by openssl | own |
//! | X25519 | own | openssl | own | own |
//! | ML-DSA-65, sign | own | own; the seed is expanded by openssl | own | own |
//! | ML-DSA-65, verify | own | own, and refused | own | own |
//! | Ed25519 | own | openssl | own | own |
//! | ChaCha20-Poly1305 | own | openssl | own | own |
//! | SHA-256, HMAC | own | openssl | own | own |
//! | SHA3-256 | own | openssl | own | own |
//! | SHAKE256 | own | openssl | openssl | own |
//!
//! Random bytes are the kernel's, through OpenSSL's generator, whichever backend is chosen; inside
//! an encapsulation or a signature each library draws its own.

#[cfg(feature = "aws-lc")]
mod aws_lc;
mod crypto;
mod derive;
mod known;
mod openssl;
#[cfg(feature = "oqs")]
mod oqs;
#[cfg(feature = "rustcrypto")]
mod rustcrypto;

use zeroize::Zeroizing;

pub use crypto::{COMPILED, Crypto, DEFAULT, Refusal, backend};
pub(crate) use derive::{expand, hkdf, random};

/// A 32-byte key, seed or shared secret; wiped when dropped.
pub type Key = Zeroizing<[u8; 32]>;

/// Bytes of a public key of ML-KEM-768.
pub const KEM_PUBLIC: usize = 1184;
/// Bytes of a ciphertext of ML-KEM-768.
pub const KEM_CIPHERTEXT: usize = 1088;
/// Bytes of a seed of ML-KEM-768: `d` and `z`.
pub const KEM_SEED: usize = 64;
/// Bytes of an expanded secret key of ML-KEM-768. Its public half stands after 1,152 bytes.
/// *Source*: FIPS 203, section 7.1.
pub(crate) const KEM_EXPANDED: usize = 2400;
/// Bytes of a public key of ML-DSA-65.
pub const DSA_PUBLIC: usize = 1952;
/// Bytes of a signature of ML-DSA-65.
pub const DSA_SIGNATURE: usize = 3309;
/// Bytes that ChaCha20-Poly1305 adds.
pub const TAG: usize = 16;

/// What can be asked of a backend, and can be refused to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Key encapsulation. *Source*: FIPS 203.
    MlKem768,
    /// *Source*: RFC 7748.
    X25519,
    /// Making signatures of ML-DSA-65. *Source*: FIPS 204.
    MlDsa65Sign,
    /// Checking signatures of ML-DSA-65. *Source*: FIPS 204.
    MlDsa65Verify,
    /// *Source*: RFC 8032.
    Ed25519,
    /// *Source*: RFC 8439.
    ChaCha20Poly1305,
    /// SHA-256 and HMAC over it. *Source*: FIPS 180-4, RFC 2104.
    Sha256,
    /// SHA3-256 and SHAKE256. *Source*: FIPS 202.
    Sha3,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::MlKem768,
        Self::X25519,
        Self::MlDsa65Sign,
        Self::MlDsa65Verify,
        Self::Ed25519,
        Self::ChaCha20Poly1305,
        Self::Sha256,
        Self::Sha3,
    ];

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::MlKem768 => "ML-KEM-768",
            Self::X25519 => "X25519",
            Self::MlDsa65Sign => "ML-DSA-65 signing",
            Self::MlDsa65Verify => "ML-DSA-65 verification",
            Self::Ed25519 => "Ed25519",
            Self::ChaCha20Poly1305 => "ChaCha20-Poly1305",
            Self::Sha256 => "SHA-256 and HMAC",
            Self::Sha3 => "SHA3-256 and SHAKE256",
        }
    }
}

/// Why cryptography did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// No chosen backend may do it.
    #[error("{0}")]
    Refused(Refusal),
    /// A key, ciphertext or signature is not one of its kind.
    #[error("`{backend}`: malformed input for {}", algorithm.name())]
    Malformed {
        /// The backend.
        backend: &'static str,
        /// What was asked of it.
        algorithm: Algorithm,
    },
    /// A signature or a tag does not belong to the key and the data.
    #[error("`{backend}`: {} says that it does not match", algorithm.name())]
    Mismatch {
        /// The backend.
        backend: &'static str,
        /// What was asked of it.
        algorithm: Algorithm,
    },
    /// The backend cannot do this.
    #[error("`{backend}` cannot do this with {}", algorithm.name())]
    Unsupported {
        /// The backend.
        backend: &'static str,
        /// What was asked of it.
        algorithm: Algorithm,
    },
    /// There is no randomness to make keys from.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// The library failed; nothing is known about the input.
    #[error("`{backend}` failed at {}", algorithm.name())]
    Library {
        /// The backend.
        backend: &'static str,
        /// What was asked of it.
        algorithm: Algorithm,
    },
}

/// A secret key of ML-KEM-768, ready for use.
pub trait KemKey: Send + Sync {
    /// Its public half, [`KEM_PUBLIC`] bytes.
    fn public(&self) -> &[u8];

    /// The shared secret in `ciphertext`. A ciphertext for another key gives a secret that nobody
    /// else has (implicit rejection), not an error.
    ///
    /// *Errors*: `Malformed` when it is not [`KEM_CIPHERTEXT`] bytes long.
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Key, CryptoError>;
}

/// What stratum needs of a library of cryptography.
///
/// *Guarantees*: all backends give the same bytes for the same input, except where randomness is
/// drawn. Lengths of input are checked by each method. *Errors*: `Malformed` for input that is not
/// of its kind, `Mismatch` for a signature or tag that does not match.
pub trait CryptoBackend: Send + Sync {
    /// The name by which it is chosen.
    fn name(&self) -> &'static str;

    /// The key of ML-KEM-768 that grows from `seed` (`d`, then `z`).
    fn kem_key(&self, seed: &[u8; KEM_SEED]) -> Result<Box<dyn KemKey>, CryptoError>;

    /// The key of ML-KEM-768 from its expanded form of 2,400 bytes, for known answers only: stratum
    /// keeps seeds.
    fn kem_key_expanded(&self, expanded: &[u8]) -> Result<Box<dyn KemKey>, CryptoError>;

    /// A fresh shared secret for the holder of `public`: ciphertext, secret.
    ///
    /// *Errors*: `Malformed` for a key that fails the modulus check of FIPS 203, section 7.2.
    fn kem_encapsulate(&self, public: &[u8]) -> Result<(Vec<u8>, Key), CryptoError>;

    /// [`Self::kem_encapsulate`] with given randomness, for known answers only.
    ///
    /// *Errors*: `Unsupported` where the library has no such call.
    fn kem_encapsulate_with(
        &self,
        public: &[u8],
        randomness: &[u8; 32],
    ) -> Result<(Vec<u8>, Key), CryptoError>;

    /// The public half of an X25519 key.
    fn x25519_public(&self, secret: &[u8; 32]) -> Result<[u8; 32], CryptoError>;

    /// The shared secret. *Errors*: `Malformed` when it is all zero, as points of low order give.
    fn x25519(&self, secret: &[u8; 32], public: &[u8; 32]) -> Result<Key, CryptoError>;

    /// The public half of an ML-DSA-65 seed, [`DSA_PUBLIC`] bytes.
    fn dsa_public(&self, seed: &[u8; 32]) -> Result<Vec<u8>, CryptoError>;

    /// A signature of pure ML-DSA-65 with an empty context, [`DSA_SIGNATURE`] bytes.
    fn dsa_sign(&self, seed: &[u8; 32], message: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// Checks a signature of pure ML-DSA-65 with an empty context.
    fn dsa_verify(
        &self,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError>;

    /// The public half of an Ed25519 seed.
    fn ed25519_public(&self, seed: &[u8; 32]) -> Result<[u8; 32], CryptoError>;

    /// A signature of Ed25519.
    fn ed25519_sign(&self, seed: &[u8; 32], message: &[u8]) -> Result<[u8; 64], CryptoError>;

    /// Checks a signature of Ed25519.
    fn ed25519_verify(
        &self,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError>;

    /// `plaintext` under ChaCha20-Poly1305, with [`TAG`] bytes at its end.
    fn aead_seal(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError>;

    /// The inverse of [`Self::aead_seal`].
    fn aead_open(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError>;

    /// SHA-256 of the parts, one after the other.
    fn sha256(&self, parts: &[&[u8]]) -> Result<[u8; 32], CryptoError>;

    /// HMAC-SHA-256 of the parts, one after the other.
    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> Result<Key, CryptoError>;

    /// SHA3-256 of the parts, one after the other.
    fn sha3_256(&self, parts: &[&[u8]]) -> Result<Key, CryptoError>;

    /// SHAKE256 of `input`, as long as `output`.
    fn shake256(&self, input: &[u8], output: &mut [u8]) -> Result<(), CryptoError>;
}

/// Makes the errors of one call of one backend.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    backend: &'static str,
    algorithm: Algorithm,
}

impl Call {
    pub(crate) const fn new(backend: &'static str, algorithm: Algorithm) -> Self {
        Self { backend, algorithm }
    }

    pub(crate) fn malformed(self) -> CryptoError {
        let Self { backend, algorithm } = self;
        CryptoError::Malformed { backend, algorithm }
    }

    pub(crate) fn mismatch(self) -> CryptoError {
        let Self { backend, algorithm } = self;
        CryptoError::Mismatch { backend, algorithm }
    }

    #[cfg(any(feature = "oqs", feature = "aws-lc"))]
    pub(crate) fn unsupported(self) -> CryptoError {
        let Self { backend, algorithm } = self;
        CryptoError::Unsupported { backend, algorithm }
    }

    pub(crate) fn library(self) -> CryptoError {
        let Self { backend, algorithm } = self;
        CryptoError::Library { backend, algorithm }
    }

    /// `bytes` as an array, `Malformed` when they are of another length.
    pub(crate) fn array<const N: usize>(self, bytes: &[u8]) -> Result<[u8; N], CryptoError> {
        bytes.try_into().map_err(|_| self.malformed())
    }

    /// `bytes` as a key. The caller wipes `bytes`.
    #[cfg(any(feature = "oqs", feature = "aws-lc", feature = "rustcrypto"))]
    pub(crate) fn key(self, bytes: &[u8]) -> Result<Key, CryptoError> {
        self.array(bytes).map(Zeroizing::new)
    }

    /// The public half within an expanded secret key of ML-KEM-768.
    pub(crate) fn public_within(self, expanded: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.length(expanded, KEM_EXPANDED)?;
        let public = expanded.get(1152..1152 + KEM_PUBLIC);
        Ok(public.ok_or_else(|| self.malformed())?.to_vec())
    }

    /// Refuses `bytes` of another length than `length`.
    pub(crate) fn length(self, bytes: &[u8], length: usize) -> Result<(), CryptoError> {
        if bytes.len() == length {
            Ok(())
        } else {
            Err(self.malformed())
        }
    }
}
