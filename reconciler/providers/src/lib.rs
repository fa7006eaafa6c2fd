//! Native providers, one file for each type.
//!
//! - [`local::provider`]: files, folders, links, programs and services of this machine.
//! - [`generated::provider`]: secrets that stratum makes itself.
//! - [`registry::RegistryProvider`]: what the repository registers and nothing acts on yet.
//! - [`probe::HealthProbe`]: health checks.
//!
//! Two things outlive the reconciler: the command of a `local_exec` that is running when the
//! reconciler is killed, and every `local_service`. Both are looked after by the reconciler's own
//! program, executed again with one of the words in [`reexec`].

pub mod generated;
pub mod init;
pub mod local;
mod own;
mod private;
pub mod probe;
mod process;
pub mod reexec;
pub mod registry;
mod schema;
mod sound;
mod types;

pub use types::TypedProvider;

/// Users of this machine.
pub mod user {
    pub use crate::process::is_known;
}
