//! Turns at a provider that takes only so many calls at once.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stratum_core::ids::EnvironmentName;
use tokio::sync::oneshot;

/// Turns at one provider.
///
/// *Guarantees*: never more calls in flight than it takes. Environments come one after the other,
/// whatever number of calls each has waiting. Who stops waiting holds up nobody.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Inner>);

struct Inner {
    most: usize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    in_flight: usize,
    waiting: BTreeMap<EnvironmentName, VecDeque<oneshot::Sender<Turn>>>,
    /// The environment that had the last turn.
    last: Option<EnvironmentName>,
}

/// A call may be in flight while this lives; `None`: it is over.
pub(crate) struct Turn(Option<Arc<Inner>>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            hand_over(&inner);
        }
    }
}

impl Turns {
    /// Turns at a provider that takes so many calls at once, at least one.
    pub(crate) fn of(most: usize) -> Self {
        let (most, queue) = (most.max(1), Mutex::default());
        Self(Arc::new(Inner { most, queue }))
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self, environment: &EnvironmentName) -> Turn {
        let waits = {
            let mut queue = self.0.queue();
            if queue.in_flight < self.0.most {
                queue.in_flight += 1;
                None
            } else {
                let (sender, receiver) = oneshot::channel();
                let own = queue.waiting.entry(environment.clone()).or_default();
                own.push_back(sender);
                Some(receiver)
            }
        };
        match waits {
            Some(waits) => waits.await.unwrap_or(Turn(None)),
            None => Turn(Some(Arc::clone(&self.0))),
        }
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Who comes next: of the environment after the one that came last.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let last = self.last.take();
        let after = last.and_then(|last| {
            let rest = self.waiting.range((Excluded(last), Unbounded));
            rest.map(|(name, _)| name.clone()).next()
        });
        let environment = after.or_else(|| self.waiting.keys().next().cloned())?;
        let own = self.waiting.get_mut(&environment)?;
        let next = own.pop_front();
        if own.is_empty() {
            self.waiting.remove(&environment);
        }
        self.last = Some(environment);
        next
    }
}

/// Gives the turn to who comes next, if anybody waits.
fn hand_over(inner: &Arc<Inner>) {
    loop {
        let next = {
            let mut queue = inner.queue();
            match queue.next() {
                Some(next) => next,
                None => {
                    queue.in_flight = queue.in_flight.saturating_sub(1);
                    return;
                }
            }
        };
        match next.send(Turn(Some(Arc::clone(inner)))) {
            Ok(()) => return,
            // Nobody waits there any more.
            Err(mut turn) => turn.0 = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn name(text: &str) -> EnvironmentName {
        EnvironmentName::new(text).unwrap()
    }

    /// Asks for a turn of each, in this order, and says in which order they came.
    async fn order(turns: &Turns, names: &[&str]) -> Vec<String> {
        let came: Arc<Mutex<Vec<String>>> = Arc::default();
        let held = turns.turn(&name("first")).await;
        let mut tasks = tokio::task::JoinSet::new();
        for one in names {
            let (turns, came, one) = (turns.clone(), Arc::clone(&came), name(one));
            tasks.spawn(async move {
                let _turn = turns.turn(&one).await;
                came.lock().unwrap().push(one.to_string());
            });
            tokio::task::yield_now().await;
        }
        assert!(came.lock().unwrap().is_empty());
        drop(held);
        tasks.join_all().await;
        std::mem::take(&mut *came.lock().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn environments_come_one_after_the_other_whatever_each_has_waiting() {
        let turns = Turns::of(1);
        let came = order(&turns, &["a", "a", "a", "a", "b", "c", "b"]).await;
        assert_eq!(came, ["a", "b", "c", "a", "b", "a", "a"]);
        assert_eq!(turns.0.queue().in_flight, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_in_flight_than_it_takes() {
        let turns = Turns::of(3);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..20 {
            let (turns, one) = (turns.clone(), name(&format!("e{}", number % 4)));
            tasks.spawn(async move {
                let _turn = turns.turn(&one).await;
                assert!(turns.0.queue().in_flight <= 3);
                tokio::time::sleep(Duration::from_secs(1)).await;
            });
        }
        let began = tokio::time::Instant::now();
        tasks.join_all().await;
        assert_eq!(began.elapsed().as_secs(), 7, "20 calls, three at once");
        assert_eq!(turns.0.queue().in_flight, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_holds_up_nobody() {
        let turns = Turns::of(1);
        let (a, b) = (name("a"), name("b"));
        let held = turns.turn(&a).await;
        let gone = turns.turn(&b);
        assert!(tokio::time::timeout(Duration::ZERO, gone).await.is_err());
        drop(held);
        assert_eq!(turns.0.queue().in_flight, 0);
        // A turn that was given to who went away at that moment is not lost either.
        let held = turns.turn(&a).await;
        let mut gone = Box::pin(turns.turn(&b));
        let waits = tokio::time::timeout(Duration::ZERO, gone.as_mut());
        assert!(waits.await.is_err());
        drop(held);
        drop(gone);
        assert_eq!(turns.0.queue().in_flight, 0);
        drop(turns.turn(&a).await);
    }
}
