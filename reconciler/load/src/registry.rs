//! What belongs to the repository and not to one environment: pipelines, forms, knowledge.

use std::collections::BTreeMap;

use stratum_core::desired::Closure;
use stratum_core::finding::Finding;
use stratum_core::ids::Address;
use stratum_core::ports::{LoadError, Tree, TreeError};
use stratum_core::resource::Resource;
use stratum_core::settings::Settings;

use crate::evaluate::Evaluator;

/// Resources read from files, what they were read from, and what was noticed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registered {
    /// The resources by address.
    pub(crate) resources: BTreeMap<Address, Resource>,
    /// Every path that was looked at, folders included.
    pub(crate) closure: Closure,
    /// What was noticed.
    pub(crate) findings: Vec<Finding>,
}

/// Whether the tree has a pipeline, a form or a knowledge node.
pub(crate) fn has_repository(_tree: &dyn Tree) -> Result<bool, TreeError> {
    Ok(false)
}

/// Reads and checks the content of the environment `repository`.
pub(crate) fn load_repository(
    _tree: &dyn Tree,
    _evaluator: &Evaluator<'_>,
    _settings: &Settings,
) -> Result<Registered, LoadError> {
    Ok(Registered::default())
}
