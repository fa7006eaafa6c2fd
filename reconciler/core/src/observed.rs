//! Observed: what providers report about the world.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Address;
use crate::resource::Instance;

/// What providers report about the resources of one Environment.
///
/// *Shape*: an address that was not asked about is absent, and its last known state stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// The reports by address.
    pub reports: BTreeMap<Address, Report>,
}

/// What one provider reports about one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Report {
    /// It is there, like this.
    Present(Instance),
    /// It is gone.
    Gone,
    /// The provider could not say, and why.
    Unreadable(String),
}
