//! Sealed files: their shape, their place, and plaintext where none may be.

use stratum_core::finding::Finding;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{LoadError, Tree};
use stratum_core::settings::Settings;

use crate::registry::Registered;

/// The sealed values of one environment: one resource `secret.<path>#<key>` of kind Secret each,
/// with the integer attribute `version` and the text attribute `digest`, from which the loader
/// fills in the `stratum.secret` references of the infrastructure.
pub(crate) fn load_secrets(
    _tree: &dyn Tree,
    _environment: &EnvironmentName,
) -> Result<Registered, LoadError> {
    Ok(Registered::default())
}

/// Findings of files under `secrets/` that belong to no environment's load: plaintext above all.
pub(crate) fn stray_secrets(
    _tree: &dyn Tree,
    _settings: &Settings,
) -> Result<Vec<Finding>, LoadError> {
    Ok(Vec::new())
}
