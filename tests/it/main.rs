//! The end-to-end tests of stratum, in one binary: real git, real files, the real program.

#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may, and clippy does not see that the helpers of an integration test are tests"
)]

mod attended;
mod audit;
mod boundaries;
mod canaries;
mod circles;
mod demo;
mod drift;
mod forge;
mod full;
mod generated;
mod ground;
mod guard;
mod hands;
mod hooks;
mod mistakes;
mod places;
mod push;
mod records;
mod remote;
mod secrets;
mod secrets_audit;
mod secrets_bad;
mod secrets_commands;
mod secrets_import;
mod secrets_memory;
mod serve;
mod services;
mod state;
mod strangers;
mod surface;
mod told;
mod tools;
