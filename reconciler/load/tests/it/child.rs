//! The evaluating child of the tests: what `stratum __evaluate` is in the program.

fn main() -> std::process::ExitCode {
    stratum_load::evaluate_main()
}
