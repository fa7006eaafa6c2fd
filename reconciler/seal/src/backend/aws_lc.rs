//! AWS-LC. What it lacks comes from openssl: SHAKE256, and ML-KEM keys from their seeds.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, KeyPair as _, ML_DSA_65, ML_DSA_65_SIGNING, PqdsaKeyPair,
    UnparsedPublicKey as SignerKey,
};
use aws_lc_rs::{digest, hmac};
use zeroize::Zeroizing;

use super::openssl::OpenSsl;
use super::{
    Algorithm, Call, CryptoBackend, CryptoError, DSA_PUBLIC, DSA_SIGNATURE, KEM_CIPHERTEXT,
    KEM_PUBLIC, KEM_SEED, KemKey, Key, TAG,
};

const NAME: &str = "aws-lc";
const KEM: Call = Call::new(NAME, Algorithm::MlKem768);
const X25519: Call = Call::new(NAME, Algorithm::X25519);
const SIGN: Call = Call::new(NAME, Algorithm::MlDsa65Sign);
const VERIFY: Call = Call::new(NAME, Algorithm::MlDsa65Verify);
const ED: Call = Call::new(NAME, Algorithm::Ed25519);
const AEAD: Call = Call::new(NAME, Algorithm::ChaCha20Poly1305);
const SHA2: Call = Call::new(NAME, Algorithm::Sha256);
const SHA3: Call = Call::new(NAME, Algorithm::Sha3);

pub(super) struct AwsLc {
    openssl: OpenSsl,
}

impl AwsLc {
    pub(super) fn new() -> Result<Self, CryptoError> {
        let openssl = OpenSsl::default();
        Ok(Self { openssl })
    }
}

struct AwsLcKey {
    key: DecapsulationKey,
    public: Vec<u8>,
}

impl KemKey for AwsLcKey {
    fn public(&self) -> &[u8] {
        &self.public
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Key, CryptoError> {
        KEM.length(ciphertext, KEM_CIPHERTEXT)?;
        let shared = self.key.decapsulate(Ciphertext::from(ciphertext));
        // It is wiped by its own drop.
        KEM.key(shared.map_err(|_| KEM.library())?.as_ref())
    }
}

fn hash(algorithm: &'static digest::Algorithm, parts: &[&[u8]]) -> digest::Digest {
    let mut context = digest::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish()
}

fn aead(key: &[u8; 32]) -> Result<LessSafeKey, CryptoError> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key);
    key.map(LessSafeKey::new).map_err(|_| AEAD.library())
}

impl CryptoBackend for AwsLc {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kem_key(&self, seed: &[u8; KEM_SEED]) -> Result<Box<dyn KemKey>, CryptoError> {
        self.kem_key_expanded(&self.openssl.kem_expanded(seed)?)
    }

    fn kem_key_expanded(&self, expanded: &[u8]) -> Result<Box<dyn KemKey>, CryptoError> {
        let public = KEM.public_within(expanded)?;
        let key = DecapsulationKey::new(&ML_KEM_768, expanded);
        let key = key.map_err(|_| KEM.library())?;
        Ok(Box::new(AwsLcKey { key, public }))
    }

    fn kem_encapsulate(&self, public: &[u8]) -> Result<(Vec<u8>, Key), CryptoError> {
        KEM.length(public, KEM_PUBLIC)?;
        let key = EncapsulationKey::new(&ML_KEM_768, public);
        let key = key.map_err(|_| KEM.malformed())?;
        let (ciphertext, shared) = key.encapsulate().map_err(|_| KEM.malformed())?;
        Ok((ciphertext.as_ref().to_vec(), KEM.key(shared.as_ref())?))
    }

    fn kem_encapsulate_with(&self, _: &[u8], _: &[u8; 32]) -> Result<(Vec<u8>, Key), CryptoError> {
        Err(KEM.unsupported())
    }

    fn x25519_public(&self, secret: &[u8; 32]) -> Result<[u8; 32], CryptoError> {
        let key = PrivateKey::from_private_key(&agreement::X25519, secret);
        let public = key.and_then(|key| {
            let public = key.compute_public_key();
            public.map_err(|_| aws_lc_rs::error::KeyRejected::from(aws_lc_rs::error::Unspecified))
        });
        X25519.array(public.map_err(|_| X25519.library())?.as_ref())
    }

    fn x25519(&self, secret: &[u8; 32], public: &[u8; 32]) -> Result<Key, CryptoError> {
        let key = PrivateKey::from_private_key(&agreement::X25519, secret);
        let key = key.map_err(|_| X25519.library())?;
        let peer = UnparsedPublicKey::new(&agreement::X25519, public);
        agreement::agree(&key, peer, X25519.malformed(), |shared| X25519.key(shared))
    }

    fn dsa_public(&self, seed: &[u8; 32]) -> Result<Vec<u8>, CryptoError> {
        let key = PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, seed);
        let key = key.map_err(|_| SIGN.library())?;
        Ok(key.public_key().as_ref().to_vec())
    }

    fn dsa_sign(&self, seed: &[u8; 32], message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let key = PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, seed);
        let key = key.map_err(|_| SIGN.library())?;
        let mut signature = vec![0; DSA_SIGNATURE];
        let length = key.sign(message, &mut signature);
        SIGN.length(&signature, length.map_err(|_| SIGN.library())?)?;
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
        let key = SignerKey::new(&ML_DSA_65, public);
        key.verify(message, signature)
            .map_err(|_| VERIFY.mismatch())
    }

    fn ed25519_public(&self, seed: &[u8; 32]) -> Result<[u8; 32], CryptoError> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| ED.library())?;
        ED.array(key.public_key().as_ref())
    }

    fn ed25519_sign(&self, seed: &[u8; 32], message: &[u8]) -> Result<[u8; 64], CryptoError> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| ED.library())?;
        ED.array(key.sign(message).as_ref())
    }

    fn ed25519_verify(
        &self,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        ED.length(public, 32)?;
        ED.length(signature, 64)?;
        let key = SignerKey::new(&ED25519, public);
        key.verify(message, signature).map_err(|_| ED.mismatch())
    }

    fn aead_seal(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let mut sealed = Vec::with_capacity(plaintext.len() + TAG);
        sealed.extend_from_slice(plaintext);
        aead(key)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(associated),
                &mut sealed,
            )
            .map_err(|_| AEAD.library())?;
        Ok(sealed)
    }

    fn aead_open(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let mut opened = Zeroizing::new(sealed.to_vec());
        let length = aead(key)?
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(associated),
                &mut opened,
            )
            .map_err(|_| AEAD.mismatch())?
            .len();
        opened.truncate(length);
        Ok(opened)
    }

    fn sha256(&self, parts: &[&[u8]]) -> Result<[u8; 32], CryptoError> {
        SHA2.array(hash(&digest::SHA256, parts).as_ref())
    }

    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> Result<Key, CryptoError> {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        for part in parts {
            context.update(part);
        }
        SHA2.key(context.sign().as_ref())
    }

    fn sha3_256(&self, parts: &[&[u8]]) -> Result<Key, CryptoError> {
        SHA3.key(hash(&digest::SHA3_256, parts).as_ref())
    }

    fn shake256(&self, input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.openssl.shake256(input, output)
    }
}
