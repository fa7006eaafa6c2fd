//! The program that the tests of this crate re-execute; does nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    let first = std::env::args().nth(1);
    stratum_providers::reexec::run(first.as_deref()).unwrap_or(ExitCode::FAILURE)
}
