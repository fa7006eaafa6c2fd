//! The store on real files, with real processes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may, and clippy does not see that the helpers of an integration test are tests"
)]

mod announced;
mod audit;
mod cache;
mod conformance;
mod crash;
mod damage;
mod full;
mod group;
mod holders;
mod migration;
mod private;
mod reading;
mod rest;
mod retention;
mod support;
