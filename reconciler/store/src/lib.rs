//! State store, queue, leases and observations in SQLite.
//!
//! *Shape*: one file in WAL mode. One task owns the connection that writes; whatever waits while
//! it commits shares its next transaction. Reads have connections of their own and never wait for
//! a writer.
//!
//! *Guarantees*: what a writing method returned from survives the death of the process and of the
//! machine (`synchronous=FULL`). A file that is damaged or was written by a newer version is never
//! changed.

mod announcements;
mod cache;
mod crash;
mod error;
mod event;
mod lease;
mod log;
mod open;
mod pack;
mod ports;
mod presence;
mod read;
mod reader;
mod rest;
mod schema;
mod secrets;
mod steps;
mod store;
mod time;
mod write;
mod writer;

pub use log::{
    CommitKey, CommitKeys, Expected, ExportError, Exported, Health, LogReader, PartReport, Problem,
    Proof, Report, Shown, key_words, log_folder, log_key_is_gone, log_keys, within,
};
pub use open::{Access, is_safe};
pub use read::environment::Counts;
pub use secrets::Wrapped;
pub use store::SqliteStore;
