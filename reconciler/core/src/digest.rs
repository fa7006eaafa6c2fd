//! SHA-256 digests of bytes and of canonical JSON.

use std::fmt;
use std::io::{self, Write as _};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// A SHA-256 digest.
///
/// *Shape*: 32 bytes, written as 64 lower-case hexadecimal digits. *Source*: FIPS 180-4.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The digest of the JSON form of `value`.
    ///
    /// *Guarantees*: equal values give equal digests, because every map in core is sorted. A value
    /// whose `Serialize` fails (core has none) gives the digest of what was written before.
    pub fn of_json(value: &impl Serialize) -> Self {
        // Gathered first, because JSON is written in pieces of a few bytes.
        let mut writer = io::BufWriter::with_capacity(8 << 10, Hasher(sha2::Sha256::new()));
        let _infallible_for_core_types = serde_json::to_writer(&mut writer, value);
        let _infallible_for_a_hasher = writer.flush();
        Self(writer.get_mut().0.finalize_reset().into())
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

struct Hasher(sha2::Sha256);

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let digits: Vec<u8> = text
            .chars()
            .filter_map(|c| c.to_digit(16))
            .map(|digit| digit as u8)
            .collect();
        let bytes: Vec<u8> = digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect();
        match <[u8; 32]>::try_from(bytes) {
            Ok(bytes) if text.len() == 64 => Ok(Self(bytes)),
            _ => Err(format!(
                "`{text}` is not a SHA-256 digest: 64 hexadecimal digits"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer_of_the_empty_text() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of_bytes(b"").to_string(), text);
        assert_eq!(
            Digest::try_from(text.to_owned()).unwrap(),
            Digest::of_bytes(b"")
        );
    }

    #[test]
    fn text_of_a_wrong_length_is_refused() {
        assert!(Digest::try_from("e3".to_owned()).is_err());
    }
}
