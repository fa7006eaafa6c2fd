//! Sealed files: their form, before anyone opens them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::source::Source;

/// What `stratum:` says in a sealed file.
pub const FORMAT: &str = "sealed/v1";

/// The end of the name of every sealed file.
pub const SUFFIX: &str = ".sealed.yaml";

/// A sealed file.
///
/// *Source*: design page sealing.md, "`sealed/v1`".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedFile {
    /// The format: [`FORMAT`].
    pub stratum: String,
    /// The place it was sealed for.
    pub context: Context,
    /// The values by key.
    pub values: BTreeMap<String, SealedValue>,
}

/// A sealed file as it was read, and where each of its values stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedDocument {
    /// The file.
    pub file: SealedFile,
    /// The place of each value by key.
    pub sources: BTreeMap<String, Source>,
}

/// The place a file was sealed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The name of the repository, as in its settings.
    pub repo: String,
    /// The environment.
    pub environment: String,
    /// The path below `secrets/<environment>/`, without [`SUFFIX`].
    pub path: String,
}

/// One sealed value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedValue {
    /// Its version, from 1.
    pub v: u64,
    /// A complete binary age file, as base64.
    pub age: String,
    /// Key id, Ed25519 signature and ML-DSA-65 signature, as base64.
    pub sig: String,
}
