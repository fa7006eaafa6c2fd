//! Where a sealed value belongs.

use crate::backend::{Algorithm, Crypto, CryptoError};

/// The first bytes of the encoding of a place.
const PREFIX: &[u8] = b"stratum-context-v1\0";

/// The place of one value: what its file says, the key, and the version.
///
/// It is taken from where the file lies, never from what the file claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The name of the repository, as in its settings.
    pub repo: &'a str,
    /// The environment.
    pub environment: &'a str,
    /// The path below `secrets/<environment>/`, without `.sealed.yaml`.
    pub path: &'a str,
    /// The key in the file.
    pub key: &'a str,
    /// The version, from 1.
    pub version: u64,
}

impl Place<'_> {
    /// The one encoding of the place.
    ///
    /// *Shape*: `stratum-context-v1`, a zero byte; then repo, environment, path and key, each as its
    /// length in bytes (4 bytes, big-endian) and its UTF-8; then the version (8 bytes, big-endian).
    /// *Guarantees*: two places have one encoding only if they are the same.
    pub fn encode(&self) -> Vec<u8> {
        let texts = [self.repo, self.environment, self.path, self.key];
        let length: usize = texts.iter().map(|text| text.len() + 4).sum();
        let mut out = Vec::with_capacity(PREFIX.len() + length + 8);
        out.extend_from_slice(PREFIX);
        for text in texts {
            put(&mut out, text.as_bytes());
        }
        out.extend_from_slice(&self.version.to_be_bytes());
        out
    }

    /// SHA-256 of [`Self::encode`], as the stanza `stratum.dev/context/v1` carries it.
    pub fn digest(&self, crypto: &Crypto) -> Result<[u8; 32], CryptoError> {
        crypto.at(Algorithm::Sha256)?.sha256(&[&self.encode()])
    }
}

/// Appends `bytes` behind their length. Nothing that stratum encodes has 4 GiB.
pub(crate) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}
