//! Parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    stratum_cli::run(std::env::args_os())
}
