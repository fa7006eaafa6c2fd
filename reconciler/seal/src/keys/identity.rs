//! Files of identities, in age's notation.

use jiff::Timestamp;
use stratum_core::secret::Secret;
use zeroize::Zeroizing;

use crate::age::{Identity, IdentityError};
use crate::backend::Crypto;

/// A file holds no identities. Nothing of it is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityFileError {
    /// It is not text.
    #[error("the file of identities is not text")]
    NotText,
    /// It has none.
    #[error("the file holds no identity: one line `AGE-SECRET-KEY-PQ-1…` is expected")]
    Empty,
    /// A line is none.
    #[error("line {line} of the file of identities")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: IdentityError,
    },
}

/// The text of a file with one identity, as `age-keygen` writes them. `None` for a passphrase.
pub fn identity_file(identity: &Identity, made: Timestamp) -> Option<Secret> {
    let (text, recipient) = (identity.to_text()?, identity.recipient()?);
    let day = made.strftime("%Y-%m-%dT%H:%M:%SZ");
    let head = format!(
        "# created: {day}\n# recipient: {recipient}\n# Keep this file private, and a copy of it: \
         without it nothing that is sealed to it opens.\n"
    );
    let mut content = Zeroizing::new(Vec::with_capacity(head.len() + text.expose().len() + 1));
    content.extend_from_slice(head.as_bytes());
    content.extend_from_slice(text.expose());
    content.push(b'\n');
    Some(Secret::new(std::mem::take(&mut *content)))
}

/// The identities of a file: one a line; empty lines and lines that begin with `#` say nothing.
pub fn identities(crypto: &Crypto, file: &Secret) -> Result<Vec<Identity>, IdentityFileError> {
    let text = file.expose_text().ok_or(IdentityFileError::NotText)?;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let identity = Identity::parse(crypto, line);
        found.push(identity.map_err(|source| IdentityFileError::Line {
            line: index + 1,
            source,
        })?);
    }
    if found.is_empty() {
        return Err(IdentityFileError::Empty);
    }
    Ok(found)
}
