//! Whether the users that programs run as are on this machine.

use stratum_assembly::adapters;
use stratum_core::ports::Repository as _;

use super::Check;
use crate::context::Place;
use crate::users;

/// What is wrong with them; nothing where that cannot be told, or none is missing.
pub(super) fn check(place: &Place) -> Option<Check> {
    let commit = place.repository.resolve("HEAD").ok()?;
    let tree = place.repository.tree(&commit).ok()?;
    let loader = adapters::loader(&adapters::providers().ok()?, None).ok()?;
    let settings = loader.settings(tree.as_ref()).ok()?.value?;
    let environments = settings.environments.iter();
    let missing = environments.filter_map(|(name, own)| users::missing(name.as_str(), own));
    let missing: Vec<String> = missing.collect();
    (!missing.is_empty()).then(|| Check::bad("users", missing.join("; "), users::REMEDY))
}
