//! The RustCrypto crates: pure Rust, and the second opinion of the tests.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use ed25519_dalek::{Signer as _, SigningKey as EdSecret, VerifyingKey as EdPublic};
use hmac::{Hmac, Mac as _};
use ml_dsa::{Keypair as _, MlDsa65, SigningKey, VerifyingKey};
use ml_kem::kem::Decapsulate as _;
use ml_kem::{DecapsulationKey, EncapsulationKey, KeyExport as _, MlKem768};
use sha2::{Digest as _, Sha256};
use sha3::Sha3_256;
use shake::{ExtendableOutput as _, Shake256, Update as _, XofReader as _};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    Algorithm, Call, CryptoBackend, CryptoError, DSA_PUBLIC, DSA_SIGNATURE, KEM_CIPHERTEXT,
    KEM_PUBLIC, KEM_SEED, KemKey, Key, TAG,
};

const NAME: &str = "rustcrypto";
const KEM: Call = Call::new(NAME, Algorithm::MlKem768);
const X25519: Call = Call::new(NAME, Algorithm::X25519);
const SIGN: Call = Call::new(NAME, Algorithm::MlDsa65Sign);
const VERIFY: Call = Call::new(NAME, Algorithm::MlDsa65Verify);
const ED: Call = Call::new(NAME, Algorithm::Ed25519);
const AEAD: Call = Call::new(NAME, Algorithm::ChaCha20Poly1305);
const SHA2: Call = Call::new(NAME, Algorithm::Sha256);

pub(super) struct RustCrypto;

struct RustKey {
    key: DecapsulationKey<MlKem768>,
    public: Vec<u8>,
}

impl KemKey for RustKey {
    fn public(&self) -> &[u8] {
        &self.public
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Key, CryptoError> {
        KEM.length(ciphertext, KEM_CIPHERTEXT)?;
        let ciphertext = ciphertext.try_into().map_err(|_| KEM.malformed())?;
        let mut shared = self.key.decapsulate(ciphertext);
        let key = KEM.key(&shared);
        shared.zeroize();
        key
    }
}

fn dsa(seed: &[u8; 32]) -> SigningKey<MlDsa65> {
    SigningKey::from_seed(&(*seed).into())
}

impl CryptoBackend for RustCrypto {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kem_key(&self, seed: &[u8; KEM_SEED]) -> Result<Box<dyn KemKey>, CryptoError> {
        let key = DecapsulationKey::<MlKem768>::from_seed((*seed).into());
        let public = key.encapsulation_key().to_bytes().to_vec();
        Ok(Box::new(RustKey { key, public }))
    }

    fn kem_key_expanded(&self, expanded: &[u8]) -> Result<Box<dyn KemKey>, CryptoError> {
        let public = KEM.public_within(expanded)?;
        let expanded = expanded.try_into().map_err(|_| KEM.malformed())?;
        #[allow(deprecated, reason = "the only way to a key that has no seed")]
        let key = DecapsulationKey::<MlKem768>::from_expanded(expanded);
        let key = key.map_err(|_| KEM.malformed())?;
        Ok(Box::new(RustKey { key, public }))
    }

    fn kem_encapsulate(&self, public: &[u8]) -> Result<(Vec<u8>, Key), CryptoError> {
        let mut randomness = Zeroizing::new([0; 32]);
        openssl::rand::rand_bytes(randomness.as_mut_slice()).map_err(|_| KEM.library())?;
        self.kem_encapsulate_with(public, &randomness)
    }

    fn kem_encapsulate_with(
        &self,
        public: &[u8],
        randomness: &[u8; 32],
    ) -> Result<(Vec<u8>, Key), CryptoError> {
        KEM.length(public, KEM_PUBLIC)?;
        let public = public.try_into().map_err(|_| KEM.malformed())?;
        let key = EncapsulationKey::<MlKem768>::new(public).map_err(|_| KEM.malformed())?;
        let (ciphertext, mut shared) = key.encapsulate_deterministic(&(*randomness).into());
        let secret = KEM.key(&shared);
        shared.zeroize();
        Ok((ciphertext.to_vec(), secret?))
    }

    fn x25519_public(&self, secret: &[u8; 32]) -> Result<[u8; 32], CryptoError> {
        Ok(PublicKey::from(&StaticSecret::from(*secret)).to_bytes())
    }

    fn x25519(&self, secret: &[u8; 32], public: &[u8; 32]) -> Result<Key, CryptoError> {
        let shared = StaticSecret::from(*secret).diffie_hellman(&PublicKey::from(*public));
        if shared.was_contributory() {
            Ok(Zeroizing::new(shared.to_bytes()))
        } else {
            Err(X25519.malformed())
        }
    }

    fn dsa_public(&self, seed: &[u8; 32]) -> Result<Vec<u8>, CryptoError> {
        Ok(dsa(seed).verifying_key().encode().to_vec())
    }

    /// Deterministic, which FIPS 204 allows.
    fn dsa_sign(&self, seed: &[u8; 32], message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let key = dsa(seed);
        let signature = key.expanded_key().sign_deterministic(message, b"");
        Ok(signature.map_err(|_| SIGN.library())?.encode().to_vec())
    }

    fn dsa_verify(
        &self,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        VERIFY.length(public, DSA_PUBLIC)?;
        VERIFY.length(signature, DSA_SIGNATURE)?;
        let public = public.try_into().map_err(|_| VERIFY.malformed())?;
        let key = VerifyingKey::<MlDsa65>::decode(public);
        let signature = ml_dsa::Signature::<MlDsa65>::try_from(signature);
        let signature = signature.map_err(|_| VERIFY.mismatch())?;
        if key.verify_with_context(message, b"", &signature) {
            Ok(())
        } else {
            Err(VERIFY.mismatch())
        }
    }

    fn ed25519_public(&self, seed: &[u8; 32]) -> Result<[u8; 32], CryptoError> {
        Ok(EdSecret::from_bytes(seed).verifying_key().to_bytes())
    }

    fn ed25519_sign(&self, seed: &[u8; 32], message: &[u8]) -> Result<[u8; 64], CryptoError> {
        let signature = EdSecret::from_bytes(seed).try_sign(message);
        Ok(signature.map_err(|_| ED.library())?.to_bytes())
    }

    fn ed25519_verify(
        &self,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        let public = EdPublic::from_bytes(&ED.array(public)?).map_err(|_| ED.malformed())?;
        let signature = ed25519_dalek::Signature::from_bytes(&ED.array(signature)?);
        ed25519_dalek::Verifier::verify(&public, message, &signature).map_err(|_| ED.mismatch())
    }

    fn aead_seal(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let payload = Payload {
            msg: plaintext,
            aad: associated,
        };
        ChaCha20Poly1305::new(&(*key).into())
            .encrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| AEAD.library())
    }

    fn aead_open(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        if sealed.len() < TAG {
            return Err(AEAD.malformed());
        }
        let payload = Payload {
            msg: sealed,
            aad: associated,
        };
        ChaCha20Poly1305::new(&(*key).into())
            .decrypt(&Nonce::from(*nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| AEAD.mismatch())
    }

    fn sha256(&self, parts: &[&[u8]]) -> Result<[u8; 32], CryptoError> {
        let mut hash = Sha256::new();
        parts
            .iter()
            .for_each(|part| sha2::Digest::update(&mut hash, part));
        Ok(hash.finalize().into())
    }

    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> Result<Key, CryptoError> {
        let mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key);
        let mut mac = mac.map_err(|_| SHA2.library())?;
        parts
            .iter()
            .for_each(|part| hmac::Mac::update(&mut mac, part));
        Ok(Zeroizing::new(mac.finalize().into_bytes().into()))
    }

    fn sha3_256(&self, parts: &[&[u8]]) -> Result<Key, CryptoError> {
        let mut hash = Sha3_256::new();
        parts
            .iter()
            .for_each(|part| sha3::Digest::update(&mut hash, part));
        Ok(Zeroizing::new(hash.finalize().into()))
    }

    fn shake256(&self, input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        let mut hash = Shake256::default();
        hash.update(input);
        hash.finalize_xof().read(output);
        Ok(())
    }
}
