//! What the reading of one environment may still cost.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stratum_core::bounds::Bounds;
use stratum_core::duration;
use stratum_core::finding::{Finding, codes};
use stratum_core::ids::CommitId;
use stratum_core::source::Source;

/// So many commits are remembered with what their reading cost.
const COMMITS: usize = 16;

/// What a commit cost is forgotten after this time: it is read anew now and then.
const FORGOTTEN: Duration = Duration::from_secs(60 * 60);

/// What is left for one environment; shared by the threads that read its files.
#[derive(Debug)]
pub(crate) struct Budget {
    bounds: Bounds,
    spent: Mutex<Duration>,
    files: AtomicUsize,
    answers: AtomicU64,
    told: AtomicBool,
    pass: Option<Arc<Pass>>,
}

/// What the environments of one commit cost together.
#[derive(Debug)]
pub(crate) struct Pass {
    begun: Instant,
    spent: Mutex<Duration>,
}

/// The passes of the last commits.
#[derive(Debug, Default)]
pub(crate) struct Passes(Mutex<Vec<(CommitId, Arc<Pass>)>>);

impl Passes {
    /// The pass over `commit`.
    pub(crate) fn of(&self, commit: &CommitId) -> Arc<Pass> {
        let mut passes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        passes.retain(|(_, pass)| pass.begun.elapsed() < FORGOTTEN);
        if let Some((_, pass)) = passes.iter().find(|(known, _)| known == commit) {
            return Arc::clone(pass);
        }
        let pass = Arc::new(Pass {
            begun: Instant::now(),
            spent: Mutex::default(),
        });
        if passes.len() >= COMMITS {
            passes.remove(0);
        }
        passes.push((commit.clone(), Arc::clone(&pass)));
        pass
    }
}

impl Budget {
    /// The whole of `bounds`, from now on.
    pub(crate) fn new(bounds: Bounds, pass: Option<Arc<Pass>>) -> Self {
        Self {
            bounds,
            spent: Mutex::default(),
            files: AtomicUsize::new(0),
            answers: AtomicU64::new(0),
            told: AtomicBool::new(false),
            pass,
        }
    }

    /// The bounds.
    pub(crate) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The time that an evaluation may take now: `limit`, or what is left of the whole.
    pub(crate) fn time(&self, limit: Duration) -> Duration {
        let left = |whole: Duration, spent: &Mutex<Duration>| {
            whole.saturating_sub(*spent.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let own = left(self.bounds.environment_time, &self.spent);
        let pass = self.pass.as_ref();
        let pass = pass.map(|pass| left(self.bounds.pass, &pass.spent));
        limit.min(own).min(pass.unwrap_or(own))
    }

    /// Notes that an evaluation took this long.
    pub(crate) fn spend(&self, time: Duration) {
        let pass = self.pass.as_ref().map(|pass| &pass.spent);
        for spent in pass.into_iter().chain([&self.spent]) {
            let mut spent = spent.lock().unwrap_or_else(PoisonError::into_inner);
            *spent = spent.saturating_add(time);
        }
    }

    /// The bytes that one more answer may have.
    pub(crate) fn most(&self) -> u64 {
        let whole = self.bounds.environment << 20;
        let left = whole.saturating_sub(self.answers.load(Ordering::Relaxed));
        (self.bounds.answer << 20).min(left)
    }

    /// Takes in an answer of this size; whether it fits.
    pub(crate) fn takes(&self, size: u64) -> bool {
        let before = self.answers.fetch_add(size, Ordering::Relaxed);
        before.saturating_add(size) <= self.bounds.environment << 20
    }

    /// Takes in one more file; whether it may be evaluated.
    pub(crate) fn file(&self) -> bool {
        self.files.fetch_add(1, Ordering::Relaxed) < self.bounds.files
    }

    /// The finding that a bound of the whole was reached; once, since it is the same for each file
    /// that follows.
    pub(crate) fn finding(&self, spent: Spent, path: &str) -> Option<Finding> {
        let first = !self.told.swap(true, Ordering::Relaxed);
        first.then(|| spent.finding(&self.bounds, path))
    }
}

/// Which bound of an environment was reached.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spent {
    /// Too many files.
    Files,
    /// They evaluate to too much.
    Answers,
    /// They take too long.
    Time,
}

impl Spent {
    pub(crate) fn finding(self, bounds: &Bounds, path: &str) -> Finding {
        let (what, name) = match self {
            Self::Files => (format!("has more than {} files", bounds.files), "files"),
            Self::Answers => (
                format!("evaluates to more than {} MiB", bounds.environment),
                "environment",
            ),
            Self::Time => (
                format!(
                    "took more than {} to evaluate and was ended",
                    duration::format(bounds.environment_time)
                ),
                "environment-time",
            ),
        };
        Finding::error(&codes::LIMIT, format!("what belongs together here {what}"))
            .at(Source::start_of(path))
            .hint(format!(
                "write less, or let the operator raise it: `--bounds {name}=…`"
            ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_what_evaluations_took_and_not_what_passed() {
        let bounds = Bounds {
            environment_time: Duration::from_secs(3),
            pass: Duration::from_secs(4),
            ..Bounds::default()
        };
        let passes = Passes::default();
        let commit = CommitId::new("a".repeat(40)).unwrap();
        let limit = Duration::from_secs(10);
        let first = Budget::new(bounds.clone(), Some(passes.of(&commit)));
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(first.time(limit), Duration::from_secs(3));
        first.spend(Duration::from_secs(2));
        assert_eq!(first.time(limit), Duration::from_secs(1));
        let second = Budget::new(bounds.clone(), Some(passes.of(&commit)));
        assert_eq!(
            second.time(limit),
            Duration::from_secs(2),
            "what the pass has left"
        );
        second.spend(Duration::from_secs(9));
        assert_eq!(second.time(limit), Duration::ZERO);
        let other = CommitId::new("b".repeat(40)).unwrap();
        let third = Budget::new(bounds, Some(passes.of(&other)));
        assert_eq!(third.time(limit), Duration::from_secs(3));
    }
}
