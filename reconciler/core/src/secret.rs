//! A secret in the clear, for the short time of a provider call.

use std::fmt;

use zeroize::Zeroizing;

/// A secret in the clear.
///
/// *Guarantees*: wiped when dropped. It cannot be serialised, cloned or compared, and its `Debug`
/// says only how long it is, so that it reaches no plan, journal, record, log or error by mistake.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; they are wiped when this is dropped.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Adds bytes at the end. What it held before is wiped where it was moved from.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut longer = Zeroizing::new(Vec::with_capacity(self.0.len() + bytes.len()));
        longer.extend_from_slice(&self.0);
        longer.extend_from_slice(bytes);
        self.0 = longer;
    }

    /// The bytes. Whoever copies them must wipe the copy.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text; `None` when they are not UTF-8.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_it() {
        let secret = Secret::new(b"hunter2".to_vec());
        assert_eq!(format!("{secret:?}"), "Secret(7 bytes)");
        assert_eq!(secret.expose_text(), Some("hunter2"));
        let mut longer = secret;
        longer.push(b"!");
        assert_eq!(longer.expose(), b"hunter2!");
    }
}
