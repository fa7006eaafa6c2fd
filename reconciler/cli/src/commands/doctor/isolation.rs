//! Whether programs can be isolated on this machine.

use stratum_providers::reexec::attempt_isolation;

use super::Check;

/// A user that every system has, and that nothing belongs to.
const NOBODY: &str = "nobody";

/// Tries it with a program that does nothing.
pub(super) fn check() -> Check {
    const NAME: &str = "isolation";
    let is_root = rustix::process::geteuid().is_root();
    match attempt_isolation(is_root.then_some(NOBODY)) {
        Ok(()) => Check::good(NAME, "programs of environments can be isolated"),
        Err(why) => {
            let sentence = format!("programs of environments cannot be isolated: {why}");
            let remedy = "run as root, or allow namespaces to users: on Debian and Ubuntu \
                          `sysctl kernel.unprivileged_userns_clone=1 \
                          kernel.apparmor_restrict_unprivileged_userns=0`";
            Check::weak(NAME, sentence, remedy)
        }
    }
}
