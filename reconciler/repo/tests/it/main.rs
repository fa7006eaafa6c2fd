//! The crate against real repositories, made and changed by the `git` command.

mod hostile;
mod maintaining;
mod mirroring;
mod opening;
mod publishing;
mod racing;
mod reading;
mod scene;
mod watching;
