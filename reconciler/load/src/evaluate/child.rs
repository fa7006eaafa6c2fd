//! The evaluating child: the same program, started again with a hidden first argument.

use std::io;
use std::process::ExitCode;
use std::sync::mpsc;

use super::confine::{self, Confinement, Enforcement, STACK};
use super::program::Machine;
use super::protocol::{self, Frame};

/// The hidden first argument that makes the program an evaluating child.
pub const EVALUATE_ARGUMENT: &str = "__evaluate";

/// The child ends with this code when it could not start; the reason is on its standard error.
pub(crate) const NOT_STARTED: u8 = 3;

/// A reader that the child runs besides evaluating, by its name: what it is given is the text of a
/// stranger, what it gives back is read by the parent. It may take its time, panic or overflow.
pub type Task = (&'static str, fn(&str) -> String);

/// Runs the evaluating child: requests in on standard input, answers out on standard output,
/// until the input ends. `main` calls it, before anything else, when the first argument is
/// [`EVALUATE_ARGUMENT`]; the arguments after it are the memory in MiB and the seconds of
/// processor time.
///
/// *Guarantees*: before the first byte of input is read, memory, time, files and processes are
/// limited, and the process is confined as far as the kernel can. When the input ends, also in the
/// middle of an evaluation, so does the process: it does not outlive its parent, however that died.
/// (A signal at the parent's death would come when the *thread* that started it ends.)
pub fn evaluate_main(tasks: &'static [Task]) -> ExitCode {
    let mut arguments = std::env::args()
        .skip(2)
        .map(|argument| argument.parse::<u64>());
    let (Some(Ok(memory)), Some(Ok(seconds))) = (arguments.next(), arguments.next()) else {
        return not_started("usage: __evaluate MEMORY SECONDS; this is not for people");
    };
    let memory = memory.max(confine::LEAST);
    let bytes = memory.saturating_mul(1 << 20).saturating_add(STACK as u64);
    if let Err(error) = confine::limit(bytes, seconds) {
        return not_started(&format!("could not set the limits: {error}"));
    }
    let landlock = confine::landlock();
    let (confined, begin) = mpsc::channel();
    let (asked, frames) = mpsc::channel();
    let (starts, started) = mpsc::channel();
    let listener = move || {
        let _the_other_waits_for_it = starts.send(());
        listen(&begin, &asked);
    };
    let listening = std::thread::Builder::new().spawn(listener);
    // What a thread does to begin is forbidden once the process is confined.
    if listening.is_err() || started.recv().is_err() {
        return not_started("could not start a thread");
    }
    let evaluation = std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || {
            let code = match serve(landlock, tasks, &confined, &frames) {
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

/// Reads the input as soon as this process is confined, also while it is evaluating: so it notices
/// that the parent is gone.
fn listen(begin: &mpsc::Receiver<()>, asked: &mpsc::Sender<Vec<u8>>) {
    let mut input = io::BufReader::with_capacity(1 << 16, io::stdin());
    if begin.recv().is_ok() {
        while let Ok(Some(bytes)) = protocol::read(&mut input)
            && asked.send(bytes).is_ok()
        {}
    }
    std::process::exit(0)
}

fn serve(
    landlock: Enforcement,
    tasks: &[Task],
    confined: &mpsc::Sender<()>,
    frames: &mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let seccomp = confine::seccomp();
    if landlock == Enforcement::Missing && seccomp == Enforcement::Missing {
        return Err(io::Error::other(
            "this kernel has neither Landlock nor seccomp to confine it",
        ));
    }
    let mut machine = Machine::new()?;
    let mut output = io::stdout().lock();
    protocol::write(&mut output, &Confinement { landlock, seccomp })?;
    let _its_thread_ends_with_us = confined.send(());
    while let Ok(bytes) = frames.recv() {
        match serde_json::from_slice(&bytes)? {
            Frame::Evaluate(request) => protocol::write(&mut output, &machine.answer(&request))?,
            Frame::Task(name, text) => {
                let task = tasks.iter().find(|task| task.0 == name);
                protocol::write(&mut output, &task.map(|task| task.1(&text)))?;
            }
        }
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
