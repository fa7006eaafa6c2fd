//! The forge against a GitHub that keeps state and can fail, and against GitHub's own description.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests may, and clippy does not see that the helpers of an integration test are tests"
)]

mod announcing;
mod comments;
mod described;
mod fake;
mod plans;
mod published;
mod samples;
mod trouble;
