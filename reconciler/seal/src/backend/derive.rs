//! Keys from keys, and random ones.

use zeroize::Zeroizing;

use super::{Algorithm, Crypto, CryptoError, Key};

/// HKDF-SHA-256 of up to 32 bytes: extract, then one block of expand. *Source*: RFC 5869.
pub(crate) fn hkdf(
    crypto: &Crypto,
    salt: &[u8],
    secret: &[u8],
    info: &[&[u8]],
) -> Result<Key, CryptoError> {
    let key = crypto.at(Algorithm::Sha256)?.hmac_sha256(salt, &[secret])?;
    expand(crypto, &key, info)
}

/// The first block of HKDF's expand; the parts of `info` stand one after the other.
pub(crate) fn expand(crypto: &Crypto, key: &[u8; 32], info: &[&[u8]]) -> Result<Key, CryptoError> {
    let mut parts = info.to_vec();
    parts.push(&[1]);
    crypto
        .at(Algorithm::Sha256)?
        .hmac_sha256(key.as_slice(), &parts)
}

/// Random bytes from OpenSSL's generator, which the kernel seeds.
///
/// *Errors*: when the generator cannot be seeded; nothing may go on then.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, CryptoError> {
    let mut bytes = Zeroizing::new([0; N]);
    openssl::rand::rand_priv_bytes(bytes.as_mut_slice()).map_err(|_| CryptoError::NoRandomness)?;
    Ok(bytes)
}
