//! The state store in memory, and the suite that every store must pass.

mod conformance;
mod leases;
mod memory;
mod retention;
pub mod sample;
mod state;

pub use conformance::{Broken, Stage, conforms};
pub use memory::MemoryStore;
