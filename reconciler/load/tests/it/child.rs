//! The evaluating child of the tests: what `stratum __evaluate` is in the program.

#![allow(clippy::panic, reason = "one of the texts asks for it")]

/// A reader that does to itself what a text asks for.
const TASKS: &[stratum_load::Task] = &[("obey", |text| match text {
    "loop" => loop {
        std::hint::black_box(());
    },
    "panic" => panic!("a panic"),
    "overflow" => format!("{}", deep(1)),
    "memory" => "x".repeat(1 << 33),
    text => text.to_uppercase(),
})];

#[allow(unconditional_recursion, reason = "it overflows its stack")]
fn deep(depth: u64) -> u64 {
    std::hint::black_box(deep(depth + 1)) + depth
}

fn main() -> std::process::ExitCode {
    stratum_load::evaluate_main(TASKS)
}
