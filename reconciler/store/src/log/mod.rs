//! The audit log: an append-only Merkle tree in tiles, one part a month, with signed checkpoints.
//!
//! *Shape*: the folder `audit` beside the state. Each part (`0001-2026-11`) is a whole C2SP
//! tlog-tiles log: `checkpoint`, `keys`, `tile/<level>/<n>`, `tile/entries/<n>`. The first entry of
//! each part but the first names size and root of the part before it. `keys/` holds the key pair
//! that signs, `people/` the keys of personal data by month.
//!
//! *Guarantees*: an entry is durable in the state, in the transaction of what it is about, before
//! that happens; it is dropped there only when it is in the tree, under a signed checkpoint.
//!
//! *Source*: C2SP tlog-tiles, tlog-checkpoint and signed-note; RFC 6962, section 2.1. What people
//! need to know of it is in `AUDIT.md`.

mod commits;
mod diagnose;
mod export;
mod files;
mod health;
mod integrate;
mod keeper;
mod keys;
mod leaf;
mod note;
mod part;
mod place;
mod prune;
mod show;
mod tree;
mod veil;
mod verify;

pub use commits::{CommitKey, CommitKeys};
pub use export::{ExportError, Exported};
pub use health::Health;
pub(crate) use integrate::Head;
pub(crate) use keeper::Keeper;
pub use keys::log_key_is_gone;
pub(crate) use leaf::{FORM, Leaf, bundle, people};
pub use place::log_folder;
pub use show::{Proof, Shown, within};
pub(crate) use veil::Veiled;
pub use verify::{Expected, LogReader, PartReport, Problem, Report, key_words, log_keys};
