//! Whether protected environments and others share a user and an identity.

use stratum_assembly::adapters;
use stratum_core::ports::Repository as _;

use super::Check;
use crate::context::Place;

/// A warning where an environment is protected and another is not; nothing where that cannot be
/// told.
pub(super) fn check(place: &Place) -> Option<Check> {
    const NAME: &str = "separation";
    let commit = place.repository.resolve("HEAD").ok()?;
    let tree = place.repository.tree(&commit).ok()?;
    let loader = adapters::loader(&adapters::providers().ok()?, None).ok()?;
    let settings = loader.settings(tree.as_ref()).ok()?.value?;
    let (protected, others): (Vec<_>, Vec<_>) = settings
        .environments
        .iter()
        .partition(|(_, own)| own.is_protected());
    let (one, other) = (protected.first()?, others.first()?);
    let sentence = format!(
        "`{}` is protected and `{}` is not, and this machine reconciles both as one user with one \
         identity",
        one.0, other.0
    );
    let remedy = "give programs a `user`, or each domain of trust a reconciler of its own: \
                  reconciler/docs/protected.md";
    Some(Check::weak(NAME, sentence, remedy))
}
