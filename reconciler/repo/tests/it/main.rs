//! The crate against real repositories, made and changed by the `git` command.
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests may, and clippy does not see that the helpers of an integration test are tests"
)]

mod changing;
mod hostile;
mod killed;
mod maintaining;
mod mirroring;
mod opening;
mod publishing;
mod racing;
mod reading;
mod scene;
mod signing;
mod together;
mod watching;
mod weighing;
