//! How a reconciler works.

use std::collections::BTreeSet;
use std::time::Duration;

use stratum_core::ids::EnvironmentName;

use crate::site::Roots;

/// How a reconciler works.
#[derive(Clone)]
pub struct Options {
    /// Where local resources lie.
    pub roots: Roots,
    /// The longest time between two looks at the refs.
    pub poll: Duration,
    /// How long a lease lives when nobody can tell whether its holder does.
    pub lease_ttl: Duration,
    /// Environments that are judged without the repository's own policies: the way back for whoever
    /// has the machine, where no push leads out.
    pub without_policies: BTreeSet<EnvironmentName>,
    /// Do blocking work on the event loop, so that a simulation in one thread is deterministic.
    pub inline: bool,
}
