//! Users that settings name and this machine does not have.

use stratum_core::settings::EnvironmentSettings;
use stratum_providers::user::is_known;

/// What is to be done about one.
pub(crate) const REMEDY: &str =
    "make the user where the reconciler runs, or name another in `stratum.ncl`";

/// The sentence on a user that is not here; `None` where there is one, or none is named.
pub(crate) fn missing(name: &str, own: &EnvironmentSettings) -> Option<String> {
    let user = own.user.as_deref()?;
    (!is_known(user)).then(|| {
        format!(
            "`{name}` runs its programs as `{user}`, which is no user in `/etc/passwd` of this machine"
        )
    })
}
