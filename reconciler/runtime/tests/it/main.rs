//! The engine over in-memory adapters: what it does, what it does when everything goes wrong, and
//! a simulation from seeds.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "test code: what is wrong must be seen at once"
)]

mod desk;
mod flows;
mod fronts;
mod killing;
mod lies;
mod port;
mod races;
mod recording;
mod simulation;
mod sweeps;
mod town;
mod waiting;
