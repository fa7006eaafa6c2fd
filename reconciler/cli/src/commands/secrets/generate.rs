//! Random values of a wanted form.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stratum_core::secret::Secret;
use zeroize::Zeroizing;

use crate::failure::CommandError;

/// What is made: `32`, `hex`, `48/base64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recipe {
    length: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Letters and digits.
    Alphanumeric,
    /// Letters, digits and `-_.!`.
    Printable,
    /// Digits.
    Digits,
    /// Random bytes as hexadecimal digits; the length counts digits.
    Hex,
    /// Random bytes as base64; the length counts bytes.
    Base64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            length: 32,
            kind: Kind::Alphanumeric,
        }
    }
}

impl FromStr for Recipe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let default = Self::default();
        let (length, kind) = match text.split_once('/') {
            Some((length, kind)) => (Some(length), Some(kind)),
            None if text.starts_with(|c: char| c.is_ascii_digit()) => (Some(text), None),
            None if text.is_empty() => (None, None),
            None => (None, Some(text)),
        };
        let length = match length {
            None => default.length,
            Some(length) => length
                .parse()
                .ok()
                .filter(|length| (8..=4096).contains(length))
                .ok_or_else(|| format!("`{length}` is not a length from 8 to 4096"))?,
        };
        let kind = match kind {
            None | Some("alphanumeric") => Kind::Alphanumeric,
            Some("printable") => Kind::Printable,
            Some("digits") => Kind::Digits,
            Some("hex") => Kind::Hex,
            Some("base64") => Kind::Base64,
            Some(other) => {
                return Err(format!(
                    "`{other}` is not one of alphanumeric, printable, digits, hex, base64"
                ));
            }
        };
        Ok(Self { length, kind })
    }
}

impl Recipe {
    /// A new value.
    pub(crate) fn make(self) -> Result<Secret, CommandError> {
        let letters: &[u8] = match self.kind {
            Kind::Alphanumeric => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            Kind::Printable => {
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!"
            }
            Kind::Digits => b"0123456789",
            Kind::Hex => b"0123456789abcdef",
            Kind::Base64 => {
                let bytes = random(self.length)?;
                return Ok(Secret::new(STANDARD.encode(&*bytes).into_bytes()));
            }
        };
        let mut text = Zeroizing::new(Vec::with_capacity(self.length));
        // The largest multiple of the number of letters: what lies above would favour some.
        let fair = 256 - 256 % letters.len();
        while text.len() < self.length {
            for byte in random(64)?.iter().map(|byte| usize::from(*byte)) {
                if byte < fair && text.len() < self.length {
                    text.extend(letters.get(byte % letters.len()));
                }
            }
        }
        Ok(Secret::new(std::mem::take(&mut *text)))
    }
}

fn random(length: usize) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let mut bytes = Zeroizing::new(vec![0; length]);
    getrandom::fill(&mut bytes).map_err(|error| {
        CommandError::machine("the system gives no random bytes").because(&error)
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_give_the_length_and_the_letters() {
        for (text, length) in [
            ("", 32),
            ("8", 8),
            ("hex", 32),
            ("40/digits", 40),
            ("9/printable", 9),
        ] {
            let made = text.parse::<Recipe>().unwrap().make().unwrap();
            assert_eq!(made.expose().len(), length, "{text}");
            assert!(made.expose_text().is_some());
        }
        let digits = "4096/digits".parse::<Recipe>().unwrap().make().unwrap();
        assert!(digits.expose().iter().all(u8::is_ascii_digit));
        assert_ne!(
            Recipe::default().make().unwrap().expose(),
            Recipe::default().make().unwrap().expose()
        );
        for wrong in ["7", "hey", "12/hey", "x/hex"] {
            assert!(wrong.parse::<Recipe>().is_err(), "{wrong}");
        }
    }
}
