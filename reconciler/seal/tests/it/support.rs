//! What the tests share.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use stratum_core::secret::Secret;
use stratum_core::trust::{Person, Trust};
use stratum_seal::age::{Identity, Recipient};
use stratum_seal::keys::Sealer;
use stratum_seal::{Crypto, Place};

/// The folder of vectors: `STRATUM_VECTORS`, or `../shared/vectors` beside the project.
pub(crate) fn vectors(folder: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let root = std::env::var_os("STRATUM_VECTORS").map_or(beside, PathBuf::from);
    let folder = root.join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "skipped: no vectors in {}; set STRATUM_VECTORS",
        folder.display()
    );
    None
}

pub(crate) fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd hex");
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

pub(crate) fn crypto() -> Crypto {
    Crypto::choose("openssl").unwrap()
}

pub(crate) const PLACE: Place<'static> = Place {
    repo: "acme-infra",
    environment: "production",
    path: "payments/db",
    key: "password",
    version: 7,
};

pub(crate) fn time() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// A sealer named ada whom the trust knows, and an identity with its recipient.
pub(crate) struct World {
    pub(crate) crypto: Crypto,
    pub(crate) sealer: Sealer,
    pub(crate) trust: Trust,
    pub(crate) identity: Identity,
    pub(crate) recipient: Recipient,
}

impl World {
    pub(crate) fn new(names: &str) -> Self {
        let crypto = Crypto::choose(names).unwrap();
        let sealer = Sealer::generate(&crypto).unwrap();
        let person = Person {
            sealer: vec![sealer.public().clone()],
            ..Person::default()
        };
        let trust = Trust {
            people: [("ada".to_owned(), person)].into(),
            ..Trust::default()
        };
        let identity = Identity::generate(&crypto).unwrap();
        let recipient = identity.recipient().unwrap();
        Self {
            crypto,
            sealer,
            trust,
            identity,
            recipient,
        }
    }
}
