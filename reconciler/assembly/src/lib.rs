//! Builds every adapter for a repository, and hands them over as core's ports.
//!
//! What lives here: the making of adapters, and what joins two of them, as the seal check reads
//! with `load` what `seal` verifies. What may not: a word for people beyond an error's sentence, an
//! argument of the command line, an answer over HTTP, a decision about the world. Whoever faces
//! people or the network stands above and uses this; nothing here knows them.

pub mod adapters;
pub mod attendance;
pub mod clock;
mod crypto;
pub mod engine;
mod error;
pub mod identity;
pub mod keys;
mod maker;
mod notes;
mod place;
pub mod proposals;
pub mod readable;
pub mod records;
pub mod seal_check;
pub mod sealed_file;
pub mod telling;
pub mod unsealing;
pub mod verify;

pub use crypto::crypto;
pub use error::AssemblyError;
pub use place::{Place, absolute};
