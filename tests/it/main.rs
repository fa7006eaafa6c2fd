//! The end-to-end tests of stratum, in one binary: real git, real files, the real program.

mod boundaries;
mod demo;
mod ground;
mod mistakes;
mod push;
