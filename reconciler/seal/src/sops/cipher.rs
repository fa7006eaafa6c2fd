//! `ENC[AES256_GCM,…]`, and the code over all values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::sha::Sha512;
use openssl::symm::{Cipher, Crypter, Mode};
use stratum_core::secret::Secret;
use zeroize::Zeroizing;

use super::{Leaf, Node, SopsError};

/// What the code begins with when it is over sealed values only: SHA-256 of `sops`.
const ONLY_SEALED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b,
    0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

const BEGIN: &str = "ENC[AES256_GCM,";

/// The nonces that SOPS writes have 32 bytes; other lengths are read too, as it does.
const LONGEST_NONCE: usize = 64;

/// One opened value.
pub(super) struct Opened {
    pub(super) bytes: Secret,
}

/// Opens `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`; `None` when it does not.
pub(super) fn open(key: &[u8; 32], text: &str, associated: &str) -> Option<Opened> {
    let inside = text.strip_prefix(BEGIN)?.strip_suffix(']')?;
    let mut parts = inside.split(',');
    let mut part = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix(':');
    let (data, nonce, tag) = (part("data")?, part("iv")?, part("tag")?);
    let kind = part("type")?;
    let decode = |text: &str| STANDARD.decode(text).ok();
    let (data, nonce, tag) = (decode(data)?, decode(nonce)?, decode(tag)?);
    let known = ["str", "int", "float", "bytes", "bool", "time", "comment"].contains(&kind);
    let sized = !nonce.is_empty() && nonce.len() <= LONGEST_NONCE && tag.len() == 16;
    if !known || !sized || parts.next().is_some() {
        return None;
    }
    let bytes = gcm(key, &nonce, associated, &data, &tag)?;
    Some(Opened { bytes })
}

fn gcm(key: &[u8; 32], nonce: &[u8], associated: &str, data: &[u8], tag: &[u8]) -> Option<Secret> {
    let cipher = Cipher::aes_256_gcm();
    let mut crypter = Crypter::new(cipher, Mode::Decrypt, key, Some(nonce)).ok()?;
    crypter.set_tag(tag).ok()?;
    crypter.aad_update(associated.as_bytes()).ok()?;
    let mut plain = Zeroizing::new(vec![0; data.len() + cipher.block_size()]);
    let mut length = crypter.update(data, &mut plain).ok()?;
    length += crypter.finalize(plain.get_mut(length..)?).ok()?;
    plain.truncate(length);
    Some(Secret::new(std::mem::take(&mut *plain)))
}

/// A walk over a document in its order.
pub(super) struct Walk<'a> {
    key: &'a [u8; 32],
    only_sealed: bool,
    hash: Sha512,
    leaves: Vec<Leaf>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(key: &'a [u8; 32], only_sealed: bool) -> Self {
        let mut hash = Sha512::new();
        if only_sealed {
            hash.update(&ONLY_SEALED);
        }
        Self {
            key,
            only_sealed,
            hash,
            leaves: Vec::new(),
        }
    }

    /// Visits `node` at `path`; `bound` is the path that SOPS binds a value to, without the places
    /// in lists.
    pub(super) fn visit(
        &mut self,
        node: &Node,
        path: &mut Vec<String>,
        bound: &mut Vec<String>,
    ) -> Result<(), SopsError> {
        let text = match node {
            Node::Null => return Ok(()),
            Node::Map(entries) => {
                for (name, node) in entries {
                    path.push(name.clone());
                    bound.push(name.clone());
                    self.visit(node, path, bound)?;
                    path.pop();
                    bound.pop();
                }
                return Ok(());
            }
            Node::List(items) => {
                for (index, node) in items.iter().enumerate() {
                    path.push(index.to_string());
                    self.visit(node, path, bound)?;
                    path.pop();
                }
                return Ok(());
            }
            Node::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
            Node::Whole(value) => value.to_string(),
            Node::Float(value) => value.to_string(),
            Node::Text(text) if text.starts_with(BEGIN) => return self.sealed(text, path, bound),
            Node::Text(text) => text.clone(),
        };
        let value = Secret::new(text.into_bytes());
        self.keep(path, value, false);
        Ok(())
    }

    fn sealed(&mut self, text: &str, path: &[String], bound: &[String]) -> Result<(), SopsError> {
        let associated = bound.join(":") + ":";
        let opened = open(self.key, text, &associated);
        let opened = opened.ok_or_else(|| SopsError::Value {
            path: path.join("."),
        })?;
        self.keep(path, opened.bytes, true);
        Ok(())
    }

    fn keep(&mut self, path: &[String], value: Secret, sealed: bool) {
        if sealed || !self.only_sealed {
            self.hash.update(value.expose());
        }
        let path = path.to_vec();
        self.leaves.push(Leaf {
            path,
            value,
            sealed,
        });
    }

    /// The values, and the code over them in upper-case hex.
    pub(super) fn finish(self) -> (Vec<Leaf>, [u8; 128]) {
        let mut hex = [0; 128];
        let digits = b"0123456789ABCDEF";
        let digit = |nibble: u8| digits.get(usize::from(nibble)).copied().unwrap_or_default();
        for (two, byte) in hex
            .as_chunks_mut::<2>()
            .0
            .iter_mut()
            .zip(self.hash.finish())
        {
            *two = [digit(byte >> 4), digit(byte & 15)];
        }
        (self.leaves, hex)
    }
}
