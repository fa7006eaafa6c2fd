//! Reading what SOPS sealed with age, to bring it over.
//!
//! One data key for a file, sealed as an armoured age file; each value under AES-256-GCM with its
//! path as associated data; and SHA-512 over all values, sealed like a value. That code must be
//! right here too, so that nothing is brought over that was changed.
//! *Source*: getsops/sops v3, `sops.go`, `aes/cipher.go`, `stores/`.

mod cipher;
mod dotenv;
mod tree;

use stratum_core::secret::Secret;
use zeroize::Zeroizing;

use crate::age::{self, AgeError, Identity};
use crate::backend::Crypto;

pub use dotenv::dotenv;
pub use tree::Node;

/// The most bytes of a sealed data key.
const LARGEST: usize = 64 << 10;

/// Where SOPS keeps what it needs.
const METADATA: &str = "sops";

/// A SOPS file is not brought over. No value is ever repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SopsError {
    /// It is no file of SOPS.
    #[error("it has no `sops` entry, so it is no file of SOPS")]
    NotSops,
    /// It is not sealed with age.
    #[error("its data key is not sealed to an age recipient; run `sops updatekeys` with one first")]
    NoAge,
    /// None of the sealed data keys opens.
    #[error("its data key does not open")]
    Key(#[source] AgeError),
    /// The metadata lack something.
    #[error("`sops.{0}` is missing or malformed")]
    Metadata(&'static str),
    /// A value is malformed or was changed.
    #[error("the value at `{path}` is malformed, was changed, or was moved")]
    Value {
        /// Its path.
        path: String,
    },
    /// The code over all values is wrong.
    #[error("a value was changed, added or removed since SOPS wrote the file: its code is wrong")]
    Code,
    /// A line of a dotenv file has another form.
    #[error("line {line} is not `NAME=value`")]
    Line {
        /// Which, from 1.
        line: usize,
    },
}

/// One value of a SOPS file, in the clear.
#[derive(Debug)]
pub struct Leaf {
    /// Its path: the keys of maps; places in lists as numbers.
    pub path: Vec<String>,
    /// The value as text or bytes.
    pub value: Secret,
    /// Whether SOPS had sealed it; values that it left in the clear are no secrets.
    pub sealed: bool,
}

/// Opens a SOPS file: its values in their order.
///
/// *Guarantees*: all of them, or none: the code over the whole file is right.
pub fn open(
    crypto: &Crypto,
    identities: &[Identity],
    document: &Node,
) -> Result<Vec<Leaf>, SopsError> {
    let metadata = document.get(METADATA).ok_or(SopsError::NotSops)?;
    let key = data_key(crypto, identities, metadata)?;
    let text = |name| metadata.get(name).and_then(Node::text);
    let modified = text("lastmodified").ok_or(SopsError::Metadata("lastmodified"))?;
    let code = text("mac").ok_or(SopsError::Metadata("mac"))?;
    let only_sealed = match metadata.get("mac_only_encrypted") {
        None => false,
        Some(Node::Bool(only)) => *only,
        Some(Node::Text(only)) => only == "true",
        Some(_) => return Err(SopsError::Metadata("mac_only_encrypted")),
    };
    let mut walk = cipher::Walk::new(&key, only_sealed);
    if let Node::Map(entries) = document {
        for (name, node) in entries.iter().filter(|(name, _)| name != METADATA) {
            walk.visit(node, &mut vec![name.clone()], &mut vec![name.clone()])?;
        }
    }
    let stated = cipher::open(&key, code, modified).ok_or(SopsError::Metadata("mac"))?;
    let (leaves, found) = walk.finish();
    if openssl::memcmp::eq(&found, &padded(stated.bytes.expose())) {
        Ok(leaves)
    } else {
        Err(SopsError::Code)
    }
}

/// 128 bytes of what is stated, so that lengths are the same.
fn padded(stated: &[u8]) -> [u8; 128] {
    stated.try_into().unwrap_or([0; 128])
}

/// The data key, from the first age entry that an identity opens.
fn data_key(
    crypto: &Crypto,
    identities: &[Identity],
    metadata: &Node,
) -> Result<Zeroizing<[u8; 32]>, SopsError> {
    let entries = metadata.get("age").map(Node::items).unwrap_or_default();
    let mut last = SopsError::NoAge;
    for entry in entries {
        let sealed = entry.get("enc").and_then(Node::text);
        let sealed = sealed.ok_or(SopsError::Metadata("age"))?;
        match age::open(crypto, identities, sealed.as_bytes(), LARGEST) {
            Ok(key) => {
                let key: [u8; 32] = key
                    .expose()
                    .try_into()
                    .map_err(|_| SopsError::Metadata("age"))?;
                return Ok(Zeroizing::new(key));
            }
            Err(error) => last = SopsError::Key(error),
        }
    }
    Err(last)
}
