//! The evaluating children of one trust level.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use stratum_core::bounds::Bounds;
use stratum_core::ports::{Confined, ConfinedError, LoadError};
use stratum_core::settings::Limits;

use super::confine::Confinement;
use super::death::{Death, failed};
use super::protocol::{Answer, Asked, Request, frame};
use super::worker::{Patience, Worker};

/// What came of asking a child: its answer and the processor time it took, or how it ended.
type Asking<T> = Result<(T, Duration), Death>;

/// What ended an evaluation is known for this long: the same file is not tried again and again.
const KNOWN: Duration = Duration::from_secs(10 * 60);

/// So many ends are known.
const ENDS: usize = 256;

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
    stopped: AtomicBool,
    ends: Mutex<BTreeMap<String, (Instant, Answer)>>,
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
            stopped: AtomicBool::new(false),
            ends: Mutex::default(),
        }
    }

    /// Evaluates in this process, without confinement: for tests of what is done with the result.
    #[cfg(test)]
    pub(crate) fn here() -> Self {
        Self {
            program: Program::Here,
            idle: Mutex::new(Vec::new()),
            width: 2,
            stopped: AtomicBool::new(false),
            ends: Mutex::default(),
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

    /// Ends what is being evaluated, and begins nothing more: the program ends.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// What ended the evaluation of `key` not long ago.
    pub(crate) fn end(&self, key: &str) -> Option<Answer> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.retain(|_, (at, _)| at.elapsed() < KNOWN);
        ends.get(key).map(|(_, answer)| answer.clone())
    }

    /// Remembers what ended the evaluation of `key`.
    pub(crate) fn remember(&self, key: &str, answer: &Answer) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.len() >= ENDS {
            ends.clear();
        }
        ends.insert(key.to_owned(), (Instant::now(), answer.clone()));
    }

    fn patience(&self, time: Duration, most: u64) -> Patience<'_> {
        Patience {
            begun: Instant::now(),
            deadline: Instant::now() + time,
            time,
            most,
            stopped: &self.stopped,
        }
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
        match worker.greeting(self.patience(limits.time, 0)) {
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

    /// Evaluates one request in a child with `limits`, within `time`. A child that dies gives an
    /// answer with a finding. Answers also what it took: the processor time of a child that
    /// answered, the whole time that was waited for another.
    ///
    /// *Guarantees*: the time is spent once, also where a second child is asked because the first
    /// had evaluated something before.
    pub(crate) fn evaluate(
        &self,
        request: &Request,
        limits: &Limits,
        time: Duration,
    ) -> Result<(Answer, Duration), LoadError> {
        let patience = self.patience(time, request.most);
        match self.ask(Asked::Evaluate(request), limits, patience)? {
            None => Ok((self.here_and_now(request)?, Duration::ZERO)),
            Some(Ok(answered)) => Ok(answered),
            Some(Err(death)) => {
                let answer = Answer {
                    findings: vec![death.finding(&request.main)?],
                    ..Answer::default()
                };
                Ok((answer, patience.begun.elapsed()))
            }
        }
    }

    /// Asks a child, and answers what it took too; `None` where there are none.
    fn ask<T: DeserializeOwned>(
        &self,
        asked: Asked<'_>,
        limits: &Limits,
        patience: Patience<'_>,
    ) -> Result<Option<Asking<T>>, LoadError> {
        let bytes = frame(&asked).map_err(|error| failed("writing the request", error))?;
        loop {
            let Some(mut worker) = self.take(limits)? else {
                return Ok(None);
            };
            let fresh = worker.is_fresh();
            match worker.ask(&bytes, patience) {
                Ok(answer) => {
                    let spent = worker.spent();
                    self.give_back(worker, limits);
                    return Ok(Some(Ok((answer, spent))));
                }
                // What an earlier file left behind must not decide about this one. It leaves no
                // time behind.
                Err(death) if !fresh && !matches!(death, Death::Time(_) | Death::Stopped) => {
                    tracing::debug!(?death, "trying again in a fresh child");
                    self.idle().clear();
                }
                Err(death) => return Ok(Some(Err(death))),
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

/// Readers that run in the children, within bounds.
#[derive(Debug)]
pub struct Readers {
    evaluators: std::sync::Arc<Evaluators>,
    limits: Limits,
}

impl Readers {
    /// Readers in the children of `evaluators`.
    pub fn new(evaluators: std::sync::Arc<Evaluators>, bounds: &Bounds) -> Self {
        let limits = bounds.within(&Limits {
            memory: u64::MAX,
            time: Duration::MAX,
            ..Limits::default()
        });
        Self { evaluators, limits }
    }
}

/// The bytes that a reader may answer with.
const READ: u64 = 4 << 20;

impl Confined for Readers {
    fn read(&self, task: &str, text: &str) -> Result<String, ConfinedError> {
        let not_run = |error: LoadError| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            ConfinedError::NotRun(source.unwrap_or_else(|| error.to_string()))
        };
        let patience = self.evaluators.patience(self.limits.time, READ);
        let asked = Asked::Task(task, text);
        let answered = self
            .evaluators
            .ask::<Option<String>>(asked, &self.limits, patience);
        match answered.map_err(not_run)? {
            Some(Ok((Some(answer), _))) => Ok(answer),
            Some(Ok((None, _))) | None => {
                Err(ConfinedError::NotRun(format!("there is no `{task}`")))
            }
            Some(Err(death)) => Err(match death.sentence() {
                Ok(sentence) => ConfinedError::Ended(sentence),
                Err(error) => not_run(error),
            }),
        }
    }
}
