//! A fetch that goes on by itself, and that nobody waits for longer than a moment.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stratum_core::ports::RepositoryError;

use crate::failure::git as failed;
use crate::mirror::Mirror;

/// How long somebody waits for a remote who has other things to do.
const PATIENCE: Duration = Duration::from_secs(5);

/// The fetch that is under way, if one is.
#[derive(Default)]
pub(crate) struct Asked(Mutex<Option<Flight>>);

struct Flight {
    since: Instant,
    answer: Receiver<Result<(), RepositoryError>>,
}

impl Asked {
    /// Fetches, and gives up waiting after a moment: the fetch then goes on, within its own limit,
    /// and whoever asks meanwhile is told at once that there is no answer yet.
    ///
    /// *Guarantees*: what is answered with `Ok` was begun after the call.
    pub(crate) fn fetch(&self, mirror: &Arc<Mirror>) -> Result<(), RepositoryError> {
        self.fetch_for(mirror, PATIENCE)
    }

    fn fetch_for(&self, mirror: &Arc<Mirror>, patience: Duration) -> Result<(), RepositoryError> {
        let until = Instant::now() + patience;
        let mut flight = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = flight.take() {
            // Whatever comes of it, it may not have seen what this caller was woken for.
            let left = match before.is_late(patience) {
                true => Duration::ZERO,
                false => until.saturating_duration_since(Instant::now()),
            };
            if let Err(RecvTimeoutError::Timeout) = before.answer.recv_timeout(left) {
                return Err(unanswered(flight.insert(before)));
            }
        }
        let begun = begin(mirror);
        let left = until.saturating_duration_since(Instant::now());
        match begun.answer.recv_timeout(left) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(unanswered(flight.insert(begun))),
            Err(RecvTimeoutError::Disconnected) => Err(failed("fetch")("it broke off")),
        }
    }
}

impl Flight {
    /// Whether somebody waited for it in vain already.
    fn is_late(&self, patience: Duration) -> bool {
        self.since.elapsed() >= patience
    }
}

fn begin(mirror: &Arc<Mirror>) -> Flight {
    let (sender, answer) = channel();
    let mirror = Arc::clone(mirror);
    std::thread::spawn(move || {
        let _nobody_waits = sender.send(mirror.fetch());
    });
    Flight {
        since: Instant::now(),
        answer,
    }
}

fn unanswered(flight: &Flight) -> RepositoryError {
    RepositoryError::Remote {
        doing: "fetch".to_owned(),
        reason: format!(
            "it has not answered for {} s, and is still waited for",
            flight.since.elapsed().as_secs()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::{GitCall, GitCommand, GitError, GitOutput};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// A remote that does not answer while it is told not to.
    #[derive(Default)]
    struct Silent {
        silent: AtomicBool,
        fetches: AtomicUsize,
    }

    impl GitCommand for Silent {
        fn run(&self, call: &GitCall) -> Result<GitOutput, GitError> {
            if call.arguments.first().is_some_and(|word| word == "fetch") {
                self.fetches.fetch_add(1, Ordering::SeqCst);
            }
            while self.silent.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(GitOutput {
                code: Some(0),
                out: String::new(),
                complaint: String::new(),
            })
        }
    }

    #[test]
    fn a_remote_that_is_silent_is_not_waited_for_and_asked_again_when_it_speaks() {
        let folder = tempfile::tempdir().unwrap();
        let git = Arc::new(Silent::default());
        let address = "https://example.org/x".to_owned();
        let given: Arc<dyn GitCommand> = git.clone();
        let limit = Duration::from_secs(60);
        let mirror = Mirror::prepare(&folder.path().join("m"), address, given, limit);
        let mirror = Arc::new(mirror.unwrap());
        let asked = Asked::default();
        let little = Duration::from_millis(50);
        git.silent.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            let error = asked.fetch_for(&mirror, little).unwrap_err().to_string();
            assert!(error.contains("has not answered"), "{error}");
        }
        assert_eq!(git.fetches.load(Ordering::SeqCst), 0);
        git.silent.store(false, Ordering::SeqCst);
        asked.fetch_for(&mirror, limit).unwrap();
        // What was under way does not count for whoever asks now.
        assert_eq!(git.fetches.load(Ordering::SeqCst), 2);
    }
}
