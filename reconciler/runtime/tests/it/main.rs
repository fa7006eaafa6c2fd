//! The engine over in-memory adapters: what it does, what it does when everything goes wrong, and
//! a simulation from seeds.

#![allow(
    unreachable_pub,
    reason = "one test binary: its modules share everything"
)]

mod desk;
mod flows;
mod races;
mod simulation;
mod sweeps;
