//! Whether the loop turns, and whether it can do its work.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use stratum_core::waiting::{Unkept, Waits};
use stratum_runtime::Progress;

/// A loop that did not turn for this long hangs. It turns at least every half minute; a fetch of a
/// remote that does not answer is given up long before this.
const HANGS: Duration = Duration::from_secs(5 * 60);

/// Whether the loop turns, and whether it can do its work.
pub(crate) struct Health {
    inner: Mutex<Inner>,
}

struct Inner {
    /// When the loop last turned, well or not.
    turned: Instant,
    /// Whether it ever turned well.
    ever: bool,
    /// What kept it from its work the last time.
    trouble: Option<String>,
    /// Why records wait to be written to git.
    records: Option<String>,
    /// Why the applied commits are not kept alive.
    unkept: Option<String>,
    stopping: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Inner {
                turned: Instant::now(),
                ever: false,
                trouble: None,
                records: None,
                unkept: None,
                stopping: false,
            }),
        }
    }
}

impl Health {
    /// Takes in what the loop says.
    pub(crate) fn take(&self, progress: &Progress) {
        let mut inner = self.inner();
        match progress {
            Progress::Turned => {
                inner.turned = Instant::now();
                inner.ever = true;
                inner.trouble = None;
            }
            Progress::Trouble(reason) => {
                inner.turned = Instant::now();
                inner.trouble = Some(reason.clone());
            }
            Progress::RecordsWait(waits) => {
                let reason = |waits: &Waits| {
                    format!(
                        "{} records wait to be written to git: {}",
                        waits.count, waits.reason
                    )
                };
                inner.records = waits.as_ref().map(reason);
            }
            Progress::CommitsUnkept(unkept) => {
                inner.unkept = unkept.as_ref().map(Unkept::sentence);
            }
            Progress::News(_) => {}
            Progress::Looking { .. }
            | Progress::Planned { .. }
            | Progress::Started { .. }
            | Progress::Step { .. }
            | Progress::Ended(_)
            | Progress::Recorded { .. } => {}
        }
    }

    /// The reconciler was told to stop.
    pub(crate) fn stopping(&self) {
        self.inner().stopping = true;
    }

    /// For a supervisor that would start it again: whether the loop turns.
    pub(crate) fn is_alive(&self) -> Result<(), String> {
        let silent = self.inner().turned.elapsed();
        match silent < HANGS {
            true => Ok(()),
            false => Err(format!(
                "the loop has not turned for {} s",
                silent.as_secs()
            )),
        }
    }

    /// For who waits for it: whether the repository and the state can be read.
    pub(crate) fn is_ready(&self) -> Result<(), String> {
        let inner = self.inner();
        if inner.stopping {
            return Err("it is stopping".to_owned());
        }
        let troubles = [&inner.trouble, &inner.records, &inner.unkept];
        if let Some(trouble) = troubles.into_iter().flatten().next() {
            return Err(trouble.clone());
        }
        match inner.ever {
            true => Ok(()),
            false => Err("it has not looked at the repository yet".to_owned()),
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_after_a_turn_and_not_while_there_is_trouble() {
        let health = Health::default();
        assert!(health.is_alive().is_ok() && health.is_ready().is_err());
        health.take(&Progress::Turned);
        assert_eq!(health.is_ready(), Ok(()));
        health.take(&Progress::Trouble("no network".to_owned()));
        assert_eq!(health.is_ready(), Err("no network".to_owned()));
        health.take(&Progress::Turned);
        let waits = Waits {
            count: 2,
            since: jiff::Timestamp::UNIX_EPOCH,
            reason: "a branch is in the way".to_owned(),
        };
        health.take(&Progress::RecordsWait(Some(waits)));
        health.take(&Progress::Turned);
        assert!(
            health
                .is_ready()
                .unwrap_err()
                .ends_with("a branch is in the way")
        );
        health.take(&Progress::RecordsWait(None));
        assert_eq!(health.is_ready(), Ok(()));
        let unkept = Unkept {
            since: jiff::Timestamp::UNIX_EPOCH,
            reason: "a ref is in the way".to_owned(),
        };
        health.take(&Progress::CommitsUnkept(Some(unkept)));
        assert!(
            health
                .is_ready()
                .unwrap_err()
                .ends_with("a ref is in the way")
        );
        health.take(&Progress::CommitsUnkept(None));
        assert_eq!(health.is_ready(), Ok(()));
        health.stopping();
        assert!(health.is_ready().is_err() && health.is_alive().is_ok());
    }

    #[test]
    fn a_loop_that_hangs_is_not_alive() {
        let health = Health::default();
        let long_ago = Instant::now().checked_sub(HANGS);
        health.inner().turned = long_ago.unwrap();
        assert!(health.is_alive().is_err());
    }
}
