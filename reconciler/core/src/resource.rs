//! A Resource as it is wanted, and as stratum last knew it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{Address, CommitId, LocalAddress, ProviderName};
use crate::kinds::Kind;
use crate::settings::{DriftMode, OnFailure};
use crate::source::Source;
use crate::value::{Marks, Path, Record};

/// A Resource as a Revision describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its address.
    pub address: Address,
    /// Its kind.
    pub kind: Kind,
    /// Who makes it.
    pub provider: ProviderName,
    /// What is wanted; may hold references. Computed attributes are absent.
    #[serde(deserialize_with = "crate::value::stored::deserialize")]
    pub attributes: Record,
    /// Settings that every resource may have.
    #[serde(default)]
    pub meta: Meta,
    /// Where the resource and its values stand; the empty path is the resource itself.
    #[serde(default)]
    pub sources: BTreeMap<Path, Source>,
}

impl Resource {
    /// Where the value at `path` stands, or the nearest enclosing value, or the resource.
    pub fn source(&self, path: &Path) -> Option<&Source> {
        let mut text = path.0.as_str();
        loop {
            if let Some(source) = self.sources.get(&Path(text.to_owned())) {
                return Some(source);
            }
            match text.rfind(['.', '[']) {
                Some(end) => text = text.get(..end).unwrap_or_default(),
                None if text.is_empty() => return None,
                None => text = "",
            }
        }
    }
}

/// The direct dependencies that attributes and settings name, sorted.
pub fn depends_on(attributes: &Record, meta: &Meta) -> Vec<LocalAddress> {
    let mut found: BTreeSet<LocalAddress> = meta.depends_on.iter().cloned().collect();
    for value in attributes.values() {
        value.references(&mut |reference| {
            found.insert(reference.resource.clone());
        });
    }
    found.into_iter().collect()
}

/// `meta`: settings on any resource.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Meta {
    /// Refuse its deletion or replacement.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub protect: bool,
    /// Resources that must be done before this one, besides those it refers to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<LocalAddress>,
    /// What happens when its step fails, instead of the environment's setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// What happens when the world differs, instead of the environment's setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<MetaDrift>,
    /// Labels, for people and policies.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// A check that must pass before the step is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
    /// The id of something that is there already, to be adopted instead of created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopt: Option<String>,
}

/// `meta.drift`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetaDrift {
    /// The mode of the whole resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<DriftMode>,
    /// The mode of single attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, DriftMode>,
}

impl Meta {
    /// What is done about drift of an attribute, or of the resource as a whole, where the
    /// environment says `mode`.
    pub fn drift_mode(&self, attribute: Option<&str>, mode: DriftMode) -> DriftMode {
        let own = self.drift.as_ref();
        let field = attribute.and_then(|name| own?.fields.get(name)).copied();
        field.unwrap_or_else(|| own.and_then(|drift| drift.mode).unwrap_or(mode))
    }
}

/// A check that something works; exactly one of `http`, `tcp`, `command`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// A URL that must answer with a status from 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// `host:port` that must accept a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// A program with arguments that must exit with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Time between two tries.
    #[serde(default = "every", with = "crate::duration::text")]
    pub every: Duration,
    /// Time for one try.
    #[serde(default = "timeout", with = "crate::duration::text")]
    pub timeout: Duration,
    /// Time within which a try must pass.
    #[serde(default = "within", with = "crate::duration::text")]
    pub within: Duration,
}

fn every() -> Duration {
    Duration::from_millis(200)
}

fn timeout() -> Duration {
    Duration::from_secs(5)
}

fn within() -> Duration {
    Duration::from_secs(60)
}

/// What a provider knows of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Instance {
    /// All attributes, computed ones included; all known.
    #[serde(deserialize_with = "crate::value::stored::deserialize")]
    pub attributes: Record,
    /// Bytes that only the provider understands.
    #[serde(default, skip_serializing_if = "Opaque::is_empty")]
    pub private: Opaque,
}

/// Bytes that only a provider understands, written as base64.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opaque(pub Vec<u8>);

impl Opaque {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A Resource as it was after its last step; one row of the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceState {
    /// Its address.
    pub address: Address,
    /// Its kind.
    pub kind: Kind,
    /// Who made it.
    pub provider: ProviderName,
    /// What the provider answered.
    pub instance: Instance,
    /// The version of the provider's schema that `instance` follows.
    pub schema_version: u32,
    /// Which of its values are sensitive.
    #[serde(default, skip_serializing_if = "Marks::is_empty")]
    pub sensitive: Marks,
    /// Direct dependencies, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<LocalAddress>,
    /// Its settings when it was last applied.
    #[serde(default)]
    pub meta: Meta,
    /// The commit that was applied.
    pub revision: CommitId,
    /// Its creation failed half way; the next plan replaces it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tainted: bool,
    /// A change or a restore of it failed half way; the next plan reads it and corrects it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsure: bool,
    /// Why nobody knows what became of it; it is left alone, and what depends on it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// What must be known to put one Address back as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last known state; `None` when there was nothing.
    pub before: Option<ResourceState>,
    /// What the provider adds: a file's bytes and mode, say.
    #[serde(default, skip_serializing_if = "Opaque::is_empty")]
    pub kept: Opaque,
}

impl Serialize for Opaque {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD
            .decode(text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}
