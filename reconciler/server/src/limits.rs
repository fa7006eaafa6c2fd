//! Every limit of what comes from a network, in one place.

use std::time::Duration;

use stratum_forge::webhook::LONGEST;

/// Connections at once, in all.
pub(crate) const CONNECTIONS: usize = 64;

/// Connections at once from one address that is not this machine.
pub(crate) const CONNECTIONS_FROM_ONE: usize = 16;

/// How long a whole request may take to come, since the connection began or since the last answer;
/// so long also an idle connection lives.
pub(crate) const REQUEST: Duration = Duration::from_secs(15);

/// How long nothing of an answer may be taken.
pub(crate) const ANSWER: Duration = Duration::from_secs(15);

/// How long a connection may live.
pub(crate) const LIFE: Duration = Duration::from_secs(5 * 60);

/// How long what is being answered may take when the reconciler stops.
pub(crate) const LAST: Duration = Duration::from_secs(5);

/// The descriptors that this process wants.
pub(crate) const DESCRIPTORS: u64 = 16_384;

/// Bodies that are read at once: each may take 25 MB.
pub(crate) const BODIES: usize = 6;

/// Of these, from one address that is not this machine.
pub(crate) const BODIES_FROM_ONE: usize = 2;

/// The least time between two looks that deliveries ask for.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// How long a body may take. *Source*: GitHub gives up after ten seconds itself.
pub(crate) const BODY: Duration = Duration::from_secs(10);

/// Bytes of a body that is too long which are read and thrown away, so that whoever sends them
/// comes to read the answer.
pub(crate) const DISCARDED: usize = 4 * LONGEST;

/// The longest id of a delivery.
pub(crate) const LONGEST_ID: usize = 100;
