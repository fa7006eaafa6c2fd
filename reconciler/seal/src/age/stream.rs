//! The payload: chunks of 64 KiB, each sealed under a counter, the last one marked.

use stratum_core::secret::Secret;
use zeroize::Zeroizing;

use super::{AgeError, FileKey};
use crate::backend::{Algorithm, Crypto, CryptoBackend, CryptoError, Key, TAG, hkdf, random};

const CHUNK: usize = 64 << 10;
const SEALED_CHUNK: usize = CHUNK + TAG;
const NONCE: usize = 16;

fn payload_key(crypto: &Crypto, key: &FileKey, nonce: &[u8; NONCE]) -> Result<Key, CryptoError> {
    hkdf(crypto, nonce, key.as_slice(), &[b"payload"])
}

/// The nonce of a chunk: an 11-byte counter, and whether it is the last one.
fn nonce(counter: usize, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    if let Some(place) = nonce.get_mut(3..11) {
        place.copy_from_slice(&(counter as u64).to_be_bytes());
    }
    if let Some(place) = nonce.last_mut() {
        *place = last.into();
    }
    nonce
}

/// Writes nonce and chunks to the end of `out`.
pub(super) fn seal(
    crypto: &Crypto,
    key: &FileKey,
    plaintext: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), AgeError> {
    let salt = random::<NONCE>()?;
    let key = payload_key(crypto, key, &salt)?;
    let backend = crypto.at(Algorithm::ChaCha20Poly1305)?;
    out.extend_from_slice(salt.as_slice());
    let last = plaintext.len().saturating_sub(1) / CHUNK;
    for counter in 0..=last {
        let start = counter * CHUNK;
        let end = plaintext.len().min(start + CHUNK);
        let chunk = plaintext.get(start..end).unwrap_or_default();
        let nonce = nonce(counter, counter == last);
        out.extend(backend.aead_seal(&key, &nonce, b"", chunk)?);
    }
    Ok(())
}

/// The plaintext, when all of `payload` is authentic and complete.
pub(super) fn open(crypto: &Crypto, key: &FileKey, payload: &[u8]) -> Result<Secret, AgeError> {
    let (salt, chunks) = payload
        .split_first_chunk::<NONCE>()
        .ok_or(AgeError::Header("it ends before the payload"))?;
    let key = payload_key(crypto, key, salt)?;
    let backend = crypto.at(Algorithm::ChaCha20Poly1305)?;
    let mut plaintext = Zeroizing::new(Vec::with_capacity(chunks.len()));
    if chunks.is_empty() {
        return Err(AgeError::Payload);
    }
    let last = (chunks.len() - 1) / SEALED_CHUNK;
    for (counter, chunk) in chunks.chunks(SEALED_CHUNK).enumerate() {
        let opened = open_chunk(backend, &key, &nonce(counter, counter == last), chunk)?;
        if opened.is_empty() && counter > 0 {
            return Err(AgeError::Payload);
        }
        plaintext.extend_from_slice(&opened);
    }
    Ok(Secret::new(std::mem::take(&mut *plaintext)))
}

fn open_chunk(
    backend: &dyn CryptoBackend,
    key: &Key,
    nonce: &[u8; 12],
    chunk: &[u8],
) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    match backend.aead_open(key, nonce, b"", chunk) {
        Ok(opened) => Ok(opened),
        Err(CryptoError::Mismatch { .. } | CryptoError::Malformed { .. }) => Err(AgeError::Payload),
        Err(error) => Err(error.into()),
    }
}
