//! Tests of the whole room: known answers, backends against each other, tampering, stock age.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may; what they print is a table, and why they were skipped"
)]

mod age_vectors;
mod cross;
mod interop;
mod keeper;
mod keys;
mod sops;
mod support;
mod tamper;
mod vectors;
