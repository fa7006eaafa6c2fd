//! The state store in memory, and the suite that every store must pass.

mod conformance;
mod memory;
pub mod sample;
mod state;

pub use conformance::{Broken, conforms};
pub use memory::MemoryStore;
