//! Files sealed to a passphrase: to read only, for what people bring along.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use stratum_core::secret::Secret;
use zeroize::Zeroizing;

use super::{AgeError, FileKey, Stanza, unwrap};
use crate::backend::{Crypto, Key};

pub(super) const SCRYPT: &str = "scrypt";

/// The most work that a file may ask for: 2^22 rounds, a few seconds and 4 GiB are beyond it.
const MOST_WORK: u8 = 20;

/// Memory that scrypt may take, in bytes.
const MEMORY: u64 = 2 << 30;

/// Refuses a passphrase beside anything else, as the specification asks.
pub(super) fn alone(stanzas: &[Stanza]) -> Result<(), AgeError> {
    let scrypt = stanzas.iter().any(|one| one.kind == SCRYPT);
    if scrypt && stanzas.len() != 1 {
        return Err(AgeError::Header(
            "a passphrase stands beside another recipient",
        ));
    }
    Ok(())
}

pub(super) fn unwrap_file_key(
    crypto: &Crypto,
    passphrase: &Secret,
    stanza: &Stanza,
) -> Result<Option<FileKey>, AgeError> {
    let [salt, work] = stanza.arguments.as_slice() else {
        return Err(AgeError::Header("a stanza has another number of arguments"));
    };
    let salt = STANDARD_NO_PAD.decode(salt).ok();
    let salt = salt.filter(|salt| salt.len() == 16);
    let salt = salt.ok_or(AgeError::Header(
        "the salt is not 16 bytes of canonical base64",
    ))?;
    let digits = work.bytes().all(|byte| byte.is_ascii_digit()) && !work.starts_with('0');
    let work: Option<u8> = digits.then(|| work.parse().ok()).flatten();
    let work = work.filter(|work| *work <= MOST_WORK);
    let work = work.ok_or(AgeError::Header(
        "the work factor is malformed or too large",
    ))?;
    let body: [u8; 32] = stanza.body()?;
    let mut key: Key = Zeroizing::new([0; 32]);
    let salt = [b"age-encryption.org/v1/scrypt", salt.as_slice()].concat();
    openssl::pkcs5::scrypt(
        passphrase.expose(),
        &salt,
        1 << work,
        8,
        1,
        MEMORY,
        key.as_mut_slice(),
    )
    .map_err(|_| AgeError::Header("scrypt failed"))?;
    unwrap(crypto, &key, &[0; 12], &body)
}
