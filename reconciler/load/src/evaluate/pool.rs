//! The evaluating children of one trust level.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use stratum_core::ports::LoadError;
use stratum_core::settings::Limits;

use super::confine::Confinement;
use super::death::failed;
use super::protocol::{Answer, Request, frame};
use super::worker::Worker;

/// Evaluating children, one for each core, kept warm between requests.
///
/// *Guarantees*: at most one request is in a child at a time; a child that died is replaced by
/// the next request; dropping this kills all. What is trusted and what is under review must not
/// share one of these.
#[derive(Debug)]
pub struct Evaluators {
    program: Program,
    idle: Mutex<Vec<Worker>>,
    width: usize,
}

#[derive(Debug)]
enum Program {
    Child(OsString),
    #[cfg(test)]
    Here,
}

impl Evaluators {
    /// Children made from `program`, which calls [`evaluate_main`](crate::evaluate_main) when its
    /// first argument is [`EVALUATE_ARGUMENT`](crate::EVALUATE_ARGUMENT): the program itself.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let program = Program::Child(program.into().into_os_string());
        let width = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            program,
            idle: Mutex::new(Vec::new()),
            width,
        }
    }

    /// Evaluates in this process, without confinement: for tests of what is done with the result.
    #[cfg(test)]
    pub(crate) fn here() -> Self {
        Self {
            program: Program::Here,
            idle: Mutex::new(Vec::new()),
            width: 2,
        }
    }

    /// How many requests run at the same time.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Starts the children ahead of the first request, so that it need not wait for them.
    pub fn warm(&self, limits: &Limits) -> Result<(), LoadError> {
        for _ in self.idle().len()..self.width {
            if let Some(worker) = self.start(limits)? {
                self.idle().push(worker);
            }
        }
        Ok(())
    }

    /// How the kernel confines a child; starts one to ask it.
    pub fn confinement(&self) -> Result<Confinement, LoadError> {
        let limits = Limits::default();
        let Some(mut worker) = self.take(&limits)? else {
            return Err(failed(
                "asking it",
                std::io::Error::other("there is no child"),
            ));
        };
        match worker.greeting() {
            Ok(confinement) => {
                self.give_back(worker, &limits);
                Ok(confinement)
            }
            Err(death) => match death.finding("") {
                Ok(finding) => Err(failed("asking it", std::io::Error::other(finding.message))),
                Err(error) => Err(error),
            },
        }
    }

    /// Evaluates one request. A child that dies gives an answer with a finding.
    pub(crate) fn evaluate(&self, request: &Request, limits: &Limits) -> Result<Answer, LoadError> {
        let bytes = frame(request).map_err(|error| failed("writing the request", error))?;
        loop {
            let Some(mut worker) = self.take(limits)? else {
                return self.here_and_now(request);
            };
            let fresh = worker.is_fresh();
            match worker.ask::<Answer>(&bytes) {
                Ok(answer) => {
                    self.give_back(worker, limits);
                    return Ok(answer);
                }
                // What an earlier file left behind must not decide about this one.
                Err(death) if !fresh => {
                    tracing::debug!(?death, file = request.main, "trying again in a fresh child");
                    self.idle().clear();
                }
                Err(death) => {
                    let findings = vec![death.finding(&request.main)?];
                    return Ok(Answer {
                        findings,
                        ..Answer::default()
                    });
                }
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, limits: &Limits) -> Result<Option<Worker>, LoadError> {
        let mut idle = self.idle();
        idle.retain(|worker| worker.fits(limits));
        match idle.pop() {
            Some(worker) => Ok(Some(worker)),
            None => {
                drop(idle);
                self.start(limits)
            }
        }
    }

    /// Keeps the worker for the next request, or starts the next one ahead if this one is spent.
    fn give_back(&self, worker: Worker, limits: &Limits) {
        let next = if worker.fits(limits) {
            Some(worker)
        } else {
            self.start(limits).ok().flatten()
        };
        let mut idle = self.idle();
        if idle.len() < self.width {
            idle.extend(next);
        }
    }

    fn start(&self, limits: &Limits) -> Result<Option<Worker>, LoadError> {
        match &self.program {
            Program::Child(program) => Worker::start(program, limits)
                .map(Some)
                .map_err(|error| failed("starting it", error)),
            #[cfg(test)]
            Program::Here => Ok(None),
        }
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "its twin for tests needs the same form")]
    fn here_and_now(&self, _request: &Request) -> Result<Answer, LoadError> {
        Err(failed(
            "starting it",
            std::io::Error::other("there is no child"),
        ))
    }

    #[cfg(test)]
    fn here_and_now(&self, request: &Request) -> Result<Answer, LoadError> {
        let request = request.clone();
        let evaluation = std::thread::Builder::new()
            .stack_size(super::confine::STACK)
            .spawn(move || super::program::Machine::new().unwrap().answer(&request));
        Ok(evaluation.unwrap().join().unwrap())
    }
}
