//! The evaluating child: the same program, started again with a hidden first argument.

use std::io;
use std::process::ExitCode;

use super::confine::{self, Confinement, Enforcement, STACK};
use super::program::Machine;
use super::protocol;

/// The hidden first argument that makes the program an evaluating child.
pub const EVALUATE_ARGUMENT: &str = "__evaluate";

/// The child ends with this code when it could not start; the reason is on its standard error.
pub(crate) const NOT_STARTED: u8 = 3;

/// Runs the evaluating child: requests in on standard input, answers out on standard output,
/// until the input ends. `main` calls it, before anything else, when the first argument is
/// [`EVALUATE_ARGUMENT`]; the arguments after it are the memory in MiB and the seconds of
/// processor time.
///
/// *Guarantees*: before the first byte of input is read, memory, time, files and processes are
/// limited, and the process is confined as far as the kernel can.
pub fn evaluate_main() -> ExitCode {
    let mut arguments = std::env::args()
        .skip(2)
        .map(|argument| argument.parse::<u64>());
    let (Some(Ok(memory)), Some(Ok(seconds))) = (arguments.next(), arguments.next()) else {
        return not_started("usage: __evaluate MEMORY SECONDS; this is not for people");
    };
    let bytes = memory.saturating_mul(1 << 20).saturating_add(STACK as u64);
    if let Err(error) = confine::limit(bytes, seconds) {
        return not_started(&format!("could not set the limits: {error}"));
    }
    let landlock = confine::landlock();
    let evaluation = std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || {
            let code = match serve(landlock) {
                Ok(()) => 0,
                Err(error) => {
                    complain(&error.to_string());
                    i32::from(NOT_STARTED)
                }
            };
            // Values are not dropped: that would take a tenth of the time of a large evaluation.
            std::process::exit(code)
        });
    match evaluation.map(std::thread::JoinHandle::join) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(_panic)) => ExitCode::from(101),
        Err(error) => not_started(&format!("could not start a thread: {error}")),
    }
}

fn serve(landlock: Enforcement) -> io::Result<()> {
    let seccomp = confine::seccomp();
    if landlock == Enforcement::Missing && seccomp == Enforcement::Missing {
        return Err(io::Error::other(
            "this kernel has neither Landlock nor seccomp to confine it",
        ));
    }
    let mut machine = Machine::new()?;
    let mut output = io::stdout().lock();
    protocol::write(&mut output, &Confinement { landlock, seccomp })?;
    let mut input = io::BufReader::with_capacity(1 << 16, io::stdin().lock());
    while let Some(request) = protocol::read(&mut input)? {
        protocol::write(&mut output, &machine.answer(&request))?;
    }
    Ok(())
}

fn not_started(reason: &str) -> ExitCode {
    complain(reason);
    ExitCode::from(NOT_STARTED)
}

fn complain(reason: &str) {
    use io::Write as _;
    let _nobody_left_to_tell = writeln!(io::stderr(), "{reason}");
}
