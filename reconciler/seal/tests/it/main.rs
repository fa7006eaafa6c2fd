//! Tests of the whole room: known answers, backends against each other, tampering, stock age.

mod age_vectors;
mod cross;
mod interop;
mod keys;
mod support;
mod tamper;
mod vectors;
