//! The loop: refs and tags wake keys, the schedule says which is looked at when, and each look is
//! one task that answers when it wants to be looked at next.

mod at_rest;
mod begun;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stratum_core::condition::Condition;
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::ports::Retry;
use stratum_core::schedule::{Cause, Key, Now, Room, Schedule};
use tokio::task::{Id, JoinError, JoinSet};

use self::at_rest::AtRest;
use crate::aim::{Aim, Aims, Moved};
use crate::error::RuntimeError;
use crate::foreign_lease::ForeignLeases;
use crate::head::Target;
use crate::progress::{EnvironmentReport, Progress};
use crate::reconcile::Reconciler;
use crate::refs::Refs;
use crate::sayings::Sayings;
use crate::visit::Visited;

/// How many environments are looked at at once; two of them only for what people wait for.
const ROOM: Room = Room {
    all: 8,
    background: 6,
};

/// Drives a reconciler along its schedule.
pub(crate) struct Driver {
    reconciler: Arc<Reconciler>,
    schedule: Schedule,
    /// What each environment should come to, as the refs were last seen.
    aims: Aims,
    /// The tags, when they were last seen, by name.
    words: BTreeMap<String, String>,
    looks: JoinSet<Visited>,
    flying: BTreeMap<Id, EnvironmentName>,
    /// Where those are to come to that are being looked at.
    bound: BTreeMap<EnvironmentName, CommitId>,
    sayings: Sayings,
    /// Environments whose tries are kept in the store.
    tried: BTreeMap<EnvironmentName, u32>,
    foreign: ForeignLeases,
    /// Those in which something was in the way of a correction when the process began.
    obstructed: Vec<Key>,
    /// Whether rows of an earlier process were taken in.
    primed: bool,
    /// How those are that need not be looked at when the process begins.
    at_rest: Vec<EnvironmentReport>,
}

impl Driver {
    pub(crate) fn new(reconciler: Arc<Reconciler>) -> Self {
        Self {
            reconciler,
            schedule: Schedule::new(ROOM),
            aims: Aims::default(),
            words: BTreeMap::new(),
            looks: JoinSet::new(),
            flying: BTreeMap::new(),
            bound: BTreeMap::new(),
            sayings: Sayings::default(),
            tried: BTreeMap::new(),
            foreign: ForeignLeases::default(),
            obstructed: Vec::new(),
            primed: false,
            at_rest: Vec::new(),
        }
    }

    fn now(&self) -> Now {
        let clock = &self.reconciler.clock;
        Now {
            monotonic: clock.monotonic(),
            wall: clock.now(),
        }
    }

    /// Looks once at every environment that may be otherwise than its row says; answers how all are.
    pub(crate) async fn once(&mut self) -> Result<Vec<EnvironmentReport>, RuntimeError> {
        self.look_at_refs(true).await?;
        // Whoever asks for one look wants what was in the way to be tried.
        for key in std::mem::take(&mut self.obstructed) {
            self.schedule.wake(&key, Cause::RetryDue);
        }
        let at_rest = std::mem::take(&mut self.at_rest).into_iter();
        let at_rest = at_rest.map(|report| (report.environment.clone(), report));
        let mut reports: BTreeMap<EnvironmentName, EnvironmentReport> = at_rest.collect();
        self.begin();
        while let Some(joined) = self.looks.join_next_with_id().await {
            let report = self.landed(joined).await;
            reports.insert(report.environment.clone(), report);
            self.begin();
        }
        self.reconciler.records.publish_once().await;
        self.reconciler.upkeep.once(1).await;
        Ok(reports.into_values().collect())
    }

    /// Watches until told to stop.
    pub(crate) async fn watch(&mut self) -> Result<(), RuntimeError> {
        let mut refs = Refs::default();
        let mut standing = self.reconciler.secrets.standing();
        while !self.reconciler.stop.is_stopped() {
            if refs.are_due(self.now().monotonic) {
                self.refs(&mut refs).await?;
            }
            if self.foreign.are_due(self.now().monotonic) {
                self.ask_for_leases().await;
            }
            self.begin();
            let wait = refs.wait(self.now().monotonic);
            let due = self.due(wait);
            let reconciler = Arc::clone(&self.reconciler);
            let mut joined = None;
            tokio::select! {
                biased;
                () = reconciler.stop.stopped() => {}
                Some(one) = self.looks.join_next_with_id() => joined = Some(one),
                () = reconciler.secrets.changed(&standing) => {
                    standing = reconciler.secrets.standing();
                    refs.start();
                }
                () = reconciler.wake.wait(wait), if refs.may_wake() => refs.moved(),
                () = reconciler.clock.sleep(due) => {}
            }
            if let Some(joined) = joined {
                self.landed(joined).await;
            }
        }
        Ok(())
    }

    /// How long until something is due, at most `wait`.
    fn due(&mut self, wait: Duration) -> Duration {
        let now = self.now();
        let foreign = self.foreign.wait(now.monotonic);
        let due = [self.schedule.due(now), foreign];
        due.into_iter().flatten().fold(wait, Duration::min)
    }

    /// Wakes the environments that another process reconciled, and that may be had now.
    async fn ask_for_leases(&mut self) {
        let ttl = self.reconciler.options.lease_ttl;
        match self.reconciler.store.leases().await {
            Ok(held) => {
                for environment in self.foreign.free(&held, self.now().wall, ttl) {
                    let key = Key::Environment(environment);
                    self.schedule.wake(&key, Cause::RetryDue);
                }
            }
            Err(error) => tracing::warn!(%error, "who holds the leases cannot be read"),
        }
    }

    /// Waits for the looks that are in flight.
    pub(crate) async fn finish(&mut self) {
        while let Some(joined) = self.looks.join_next_with_id().await {
            self.landed(joined).await;
        }
    }

    async fn refs(&mut self, refs: &mut Refs) -> Result<(), RuntimeError> {
        let poll = self.reconciler.options.poll;
        match self.look_at_refs(refs.start).await {
            Ok(()) => {
                refs.seen(self.now().monotonic, poll);
                (self.reconciler.progress)(&Progress::Turned);
                Ok(())
            }
            Err(error) => {
                // Later, what only a person can mend is waited for, and said.
                if error.retry() == Retry::NeedsPerson && !self.primed {
                    return Err(error);
                }
                let sentence = error.sentence();
                tracing::warn!(error = %sentence, "will be tried again");
                (self.reconciler.progress)(&Progress::Trouble(sentence));
                refs.failed(self.now().monotonic, error.retry(), poll);
                Ok(())
            }
        }
    }

    /// Reads the refs and the tags, and wakes whom they concern; with `start` everybody.
    async fn look_at_refs(&mut self, start: bool) -> Result<(), RuntimeError> {
        let (head, tips) = self.reconciler.heads.head().await?;
        let first = !self.primed;
        let mut rows = match first {
            true => self.take_over(&head).await?,
            false => BTreeMap::new(),
        };
        let words = self.reconciler.words.by_name();
        let spoken_of: BTreeSet<&str> = words.keys().filter_map(|tag| named(tag)).collect();
        let (mut moved, mut at_rest) = (Vec::new(), Vec::new());
        let mut begun = BTreeMap::new();
        for (environment, aim) in self.aims.at(&head, &tips) {
            if let Aim::Commit(target) = &aim {
                self.reconciler.fronts.is_read_from(target);
                let branch = target.branch.clone();
                begun.entry(branch).or_insert_with(|| target.clone());
            }
            let row = rows.remove(&environment);
            let rest = row.and_then(|row| self.at_rest(&aim, row, &spoken_of));
            let key = Key::Environment(environment.clone());
            match (self.aims.take_in(&environment, aim), rest) {
                (_, Some(rest)) => at_rest.push(rest),
                (_, None) if start => self.schedule.wake(&key, Cause::Start),
                (Moved::No, None) => {}
                (Moved::Commit(from, target), None) => moved.push((from, target)),
                (Moved::Otherwise, None) => self.schedule.wake(&key, Cause::RefMoved),
            }
        }
        if start {
            let along = &self.reconciler.along;
            along.begin_fronts(begun.into_values()).await?;
        }
        self.come_along(moved, at_rest).await;
        self.primed = true;
        self.hear(first, words);
        Ok(())
    }

    /// Brings along whom nothing touches, and wakes the others of those whose branch moved.
    async fn come_along(&mut self, mut moved: Vec<(CommitId, Target)>, mut at_rest: Vec<AtRest>) {
        moved.extend(at_rest.iter().filter_map(AtRest::moved));
        let looked = self.reconciler.along.come_along(moved).await;
        at_rest.retain(|rest| !looked.contains(&rest.row.name));
        for environment in looked {
            let key = Key::Environment(environment);
            self.schedule.wake(&key, Cause::RefMoved);
        }
        self.rest(at_rest).await;
    }

    /// Wakes those whom new tags concern.
    fn hear(&mut self, first: bool, words: BTreeMap<String, String>) {
        let before = std::mem::replace(&mut self.words, words);
        if first || before == self.words {
            return;
        }
        let new = self
            .words
            .iter()
            .filter(|(name, id)| before.get(*name) != Some(*id));
        let gone = before
            .iter()
            .filter(|(name, _)| !self.words.contains_key(*name));
        let names: Vec<&String> = new.chain(gone).map(|(name, _)| name).collect();
        for environment in self.aims.environments() {
            let waits = self.sayings.waits(environment);
            if names.iter().any(|name| concerns(name, environment, waits)) {
                let key = Key::Environment(environment.clone());
                self.schedule.wake(&key, Cause::Word);
            }
        }
    }

    /// Begins every look that may begin now.
    fn begin(&mut self) {
        if self.reconciler.stop.is_stopped() {
            return;
        }
        while let Some(visit) = self.schedule.begin(self.now()) {
            let environment = visit.key.environment().clone();
            let aim = self.aims.of(&environment);
            if let Aim::Commit(target) = &aim {
                let commit = target.commit.clone();
                self.bound.insert(environment.clone(), commit);
            }
            let reconciler = Arc::clone(&self.reconciler);
            let look = self.looks.spawn(reconciler.visit(visit, aim));
            self.flying.insert(look.id(), environment);
        }
    }

    /// One look is over.
    async fn landed(&mut self, joined: Result<(Id, Visited), JoinError>) -> EnvironmentReport {
        match joined {
            Ok((id, visited)) => {
                self.flying.remove(&id);
                self.ended(visited).await
            }
            Err(error) => self.broke(error).await,
        }
    }

    async fn ended(&mut self, visited: Visited) -> EnvironmentReport {
        let Visited {
            report,
            next,
            is_foreign,
        } = visited;
        let key = Key::Environment(report.environment.clone());
        if is_foreign {
            let now = self.now().monotonic;
            self.foreign.met(report.environment.clone(), now);
        }
        let attempt = self.schedule.ended(&key, &next, self.now());
        self.keep_tries(&report, attempt).await;
        self.look_again_if_left_behind(&report.environment);
        self.tell(&report).await;
        report
    }

    /// A look that began before its branch went on, and was not woken because nothing of that
    /// touched it, may have written where it was.
    fn look_again_if_left_behind(&mut self, environment: &EnvironmentName) {
        let bound = self.bound.remove(environment);
        if let Aim::Commit(target) = self.aims.of(environment)
            && bound.is_some_and(|bound| bound != target.commit)
            && !self.reconciler.fronts.is_settled_at(&target)
        {
            let key = Key::Environment(environment.clone());
            self.schedule.wake(&key, Cause::RefMoved);
        }
    }

    /// A look panicked: a defect. Only its own environment is concerned.
    async fn broke(&mut self, error: JoinError) -> EnvironmentReport {
        tracing::error!(%error, "a look at an environment broke off");
        let environment = self.flying.remove(&error.id());
        let environment = environment.unwrap_or_else(EnvironmentName::repository);
        let key = Key::Environment(environment.clone());
        let attempt = self.schedule.broke(&key, self.now());
        let mut report = EnvironmentReport::of(environment, Condition::Stalled);
        report.reason = "a look at it broke off, which is a defect of stratum; it is tried again \
                         later, and the log says more"
            .to_owned();
        self.keep_tries(&report, attempt).await;
        self.tell(&report).await;
        report
    }

    /// Says how an environment is, once for each outcome.
    async fn tell(&mut self, report: &EnvironmentReport) {
        let heard = self.sayings.hear(report, self.now().wall);
        if heard.is_new {
            (self.reconciler.progress)(&Progress::Ended(report.clone()));
        } else {
            tracing::debug!(environment = %report.environment, "as before");
        }
        if let Some(fact) = heard.fact
            && let Err(error) = self.reconciler.store.put_facts(vec![fact]).await
        {
            tracing::warn!(%error, "how often it came to the same is not kept");
        }
    }
}

/// Whether a tag concerns an environment; `waits`: it is not Ready.
fn concerns(tag: &str, environment: &EnvironmentName, waits: bool) -> bool {
    match named(tag) {
        Some(name) => name == environment.as_str(),
        None => waits,
    }
}

/// The environment that a tag names, if it is one that does.
fn named(tag: &str) -> Option<&str> {
    let about = ["suspend/", "resume/", "allow-rollback/"];
    let tag = tag.strip_prefix("stratum/")?;
    let rest = about.iter().find_map(|word| tag.strip_prefix(word))?;
    rest.split(['/', '+']).next()
}
