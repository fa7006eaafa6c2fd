//! The end-to-end tests of stratum, in one binary.

mod boundaries;
