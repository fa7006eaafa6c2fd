//! Bytes of a tree become Desired: Nickel, pipelines, forms, knowledge, sealed files.
//!
//! *Guarantees*: everything is read from git objects through [`stratum_core::ports::Tree`], and
//! code from a repository runs in a confined child process only.

mod agents;
mod document;
mod expression;
mod reading;
mod shape;
pub mod evaluate;
mod form;
mod knowledge;
#[cfg(test)]
mod memory;
mod pipeline;
mod registry;
mod sealed;
