//! One life: what happens, and what must come of it.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stratum_core::finding::{Finding, codes};
use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::ports::{Journals as _, Leases as _, Randomness as _, StoreError};
use stratum_core::resource::{HealthCheck, Resource};
use stratum_core::settings::{DriftMode, DriftSettings, EnvironmentSettings, OnFailure};
use stratum_core::value::{Record, Value};
use stratum_testkit::script::{Content, thing};
use stratum_testkit::world::{Fault, Operation};
use tokio::runtime::Handle;

use super::checks::Seen;
use super::place::{LEASE, Living, NAMES, Place, names};
use crate::desk::below;
use crate::killing::Kill;

/// Events in one life.
const EVENTS: u64 = 20;

/// Names of things in an environment.
const THINGS: u64 = 6;

/// The time of a call: what never answers is over soon.
const CALL: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(3600);

/// A year, about.
const YEAR: i64 = 365 * 86_400;

pub struct Life {
    pub place: Place,
    pub processes: [Option<Living>; 2],
    pub seen: Seen,
    content: Content,
    /// By how many years the clock is off.
    years: i64,
}

pub async fn live(seed: u64, runtime: &Handle) {
    let place = Place::new(seed, runtime);
    let mut life = Life {
        place,
        processes: [None, None],
        seen: Seen::default(),
        content: Content::of(Vec::new()),
        years: 0,
    };
    life.push();
    life.start(0, None);
    for _ in 0..EVENTS {
        life.event().await;
        life.check();
    }
    life.half_an_hour_costs_little().await;
    life.heal().await;
    life.end().await;
}

impl Life {
    pub fn below(&self, bound: u64) -> u64 {
        below(&self.place.randomness, bound)
    }

    fn some<T: Clone>(&self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize].clone()
    }

    fn some_environment(&self) -> EnvironmentName {
        self.some(&NAMES).parse().unwrap()
    }

    fn some_address(&self) -> Address {
        let (environment, number) = (self.some_environment(), self.below(THINGS));
        format!("{environment}/memory_thing.t{number}")
            .parse()
            .unwrap()
    }

    fn start(&mut self, slot: usize, kill: Option<Kill>) {
        self.processes[slot] = Some(self.place.start(kill));
    }

    /// One thing that happens, and time in which it has its consequences.
    async fn event(&mut self) {
        if self.below(2) == 0 {
            self.place.script.remote_down(false);
            self.place.ill.store(false, Ordering::SeqCst);
            *self.place.panics.lock().unwrap() = None;
        }
        match self.below(17) {
            0..=4 => self.push(),
            5 => self.meddle(),
            6 => self.place.script.remote_down(true),
            7 => self.full_disk(),
            8 => self.jump(),
            9 => self.place.ill.store(true, Ordering::SeqCst),
            10 => *self.place.panics.lock().unwrap() = Some(self.some_environment()),
            11 => {
                self.push_and_wait_a_moment().await;
                self.break_lease();
            }
            12 | 13 => {
                self.push_and_wait_a_moment().await;
                self.sleep();
            }
            14 => self.lose_track(),
            _ => self.break_something(1),
        }
        self.begin_and_end().await;
        tokio::time::sleep(Duration::from_secs(self.below(300))).await;
    }

    /// Processes come and go.
    async fn begin_and_end(&mut self) {
        for slot in 0..2 {
            let (dice, kill) = (self.below(6), self.below(40));
            match self.processes[slot].take() {
                Some(living) if living.is_over() => living.kill(&self.place).await,
                Some(living) if dice == 0 => living.kill(&self.place).await,
                Some(living) if dice == 1 => living.stop(&self.place).await,
                Some(living) => self.processes[slot] = Some(living),
                None if dice < 2 => self.start(slot, Some(Kill::Before(kill))),
                None if dice < 4 => self.start(slot, Some(Kill::After(kill))),
                None => self.start(slot, None),
            }
        }
    }

    fn push(&mut self) {
        let settings = self.some(&[OnFailure::Rollback, OnFailure::Halt, OnFailure::Continue]);
        let mode = self.some(&[DriftMode::Correct, DriftMode::Report, DriftMode::Ignore]);
        let mut content = blank();
        for name in names() {
            let own = EnvironmentSettings {
                on_failure: settings,
                drift: Some(drift(mode)),
                suspended: self.below(12) == 0,
                ..EnvironmentSettings::default()
            };
            content.settings.environments.insert(name.clone(), own);
            let things = match self.below(10) {
                0 => Vec::new(),
                _ => self.things(&name),
            };
            content.resources.insert(name.clone(), things);
            if self.below(10) == 0 {
                let finding = Finding::error(&codes::UNPLANNABLE, "a word is missing");
                content.findings.insert(name, vec![finding]);
            }
        }
        for address in self.place.unknown() {
            if self.below(2) == 0 {
                self.adopt(&mut content, &address);
            }
        }
        self.content = content;
        self.place.script.push(self.content.clone());
    }

    /// Some things, each of which may depend on some before it.
    fn things(&self, environment: &EnvironmentName) -> Vec<Resource> {
        let mut things: Vec<Resource> = Vec::new();
        for number in 0..THINGS {
            if self.below(3) == 0 {
                continue;
            }
            let before: Vec<String> = things
                .iter()
                .map(|t| t.address.name().to_string())
                .collect();
            let before = before.iter().filter(|_| self.below(3) == 0);
            let depends_on: Vec<&str> = before.map(String::as_str).collect();
            let value = self.below(3).to_string();
            let mut made = thing(&format!("t{number}"), &value, &depends_on);
            made.address.environment = environment.clone();
            if self.below(3) == 0 {
                let fixed = Value::text(self.below(2).to_string());
                made.attributes.insert("fixed".to_owned(), fixed);
            }
            if self.below(4) == 0 {
                made.meta.health = Some(health());
            }
            things.push(made);
        }
        things
    }

    /// A person finds out what became of a thing, makes it where it is not there, and says so.
    fn adopt(&self, content: &mut Content, address: &Address) {
        let there = self.place.world.thing(address).unwrap_or_else(|| {
            let number = self.place.randomness.next();
            let id = Value::text(format!("by hand {number}"));
            let made = Record::from([("id".to_owned(), id)]);
            self.place.world.meddle(address, Some(made.clone()));
            made
        });
        let id = there["id"].as_text().unwrap().to_owned();
        let things = content.resources.get_mut(&address.environment).unwrap();
        if !things.iter().any(|thing| thing.address == *address) {
            let mut made = thing(address.name().as_str(), "0", &[]);
            made.address = address.clone();
            things.push(made);
        }
        let wanted = things.iter_mut().find(|thing| thing.address == *address);
        wanted.unwrap().meta.adopt = Some(id);
    }

    /// Someone changes a thing by hand. Not one of a run in flight: what is changed between an
    /// effect and its lost answer hides the effect from every search for it.
    fn meddle(&self) {
        let begun = self.begun();
        let mut known: Vec<Address> = self.place.world.things().into_keys().collect();
        known.retain(|address| !begun.contains(address));
        if known.is_empty() {
            return;
        }
        let address = self.some(&known);
        let mut there = self.place.world.thing(&address).unwrap();
        there.insert("value".to_owned(), Value::text("by hand"));
        let gone = self.below(3) == 0;
        self.place.world.meddle(&address, (!gone).then_some(there));
    }

    fn full_disk(&self) {
        for living in self.processes.iter().flatten() {
            living.store.fail_next(StoreError::Full {
                doing: "writing an event",
            });
        }
    }

    /// The clock is set, by up to an hour or by many years, either way.
    fn jump(&mut self) {
        if self.below(2) == 0 {
            return self.place.clock.jump(self.below(7200) as i64 - 3600);
        }
        let years = match self.years {
            0 => self.some(&[30, -30]),
            off => -off,
        };
        self.years += years;
        self.place.clock.jump(years * YEAR);
    }

    /// A run is likely to be in the middle then.
    async fn push_and_wait_a_moment(&mut self) {
        self.push();
        let moment = Duration::from_millis(self.below(200));
        tokio::time::sleep(moment).await;
    }

    /// A person takes a lease away while no call is in flight: what is in flight then, nothing can
    /// take back.
    fn break_lease(&self) {
        if self.place.busy.load(Ordering::SeqCst) == 0 {
            self.place.break_lease(&self.some_environment());
        }
    }

    /// A process does not get on for longer than its leases live.
    fn sleep(&self) {
        if let Some(living) = &self.processes[self.below(2) as usize] {
            living.store.sleep(3 * LEASE);
        }
    }

    /// An answer is lost, and nobody can tell what became of the call.
    fn lose_track(&self) {
        let address = self.some_address();
        let world = &self.place.world;
        world.inject(&address, Operation::Apply, Fault::LoseAnswer);
        world.inject(&address, Operation::Locate, Fault::CannotTell);
    }

    fn break_something(&self, times: usize) {
        let faults = [
            (Operation::Apply, Fault::FailBefore),
            (Operation::Apply, Fault::FailUnknown),
            (Operation::Apply, Fault::FailAfter),
            (Operation::Apply, Fault::LoseAnswer),
            (Operation::Apply, Fault::Hang),
            (Operation::Apply, Fault::Panic),
            (Operation::Restore, Fault::FailUnknown),
            (Operation::Restore, Fault::LoseAnswer),
            (Operation::Restore, Fault::Panic),
            (Operation::Read, Fault::FailBefore),
            (Operation::Read, Fault::Panic),
            (Operation::Checkpoint, Fault::FailBefore),
            (Operation::Locate, Fault::Panic),
        ];
        let (operation, fault) = self.some(&faults);
        let address = self.some_address();
        for _ in 0..times {
            self.place.world.inject(&address, operation, fault.clone());
        }
    }

    /// The addresses of runs that have not ended.
    pub fn begun(&self) -> BTreeSet<Address> {
        let unfinished = self.place.person.unfinished();
        let unfinished = self.place.beside.call(unfinished).unwrap();
        let steps = unfinished.iter().flat_map(|left| &left.run.plan().steps);
        steps.map(|step| step.address.clone()).collect()
    }

    /// Nothing new happens, and what is broken stays so: looks, calls and runs are few.
    async fn half_an_hour_costs_little(&mut self) {
        (0..3).for_each(|_| self.break_something(5000));
        for slot in 0..2 {
            if let Some(living) = self.processes[slot].take() {
                living.kill(&self.place).await;
            }
            self.start(slot, None);
        }
        // Longer than a call that never answers.
        tokio::time::sleep(Duration::from_secs(300)).await;
        let before = self.cost();
        tokio::time::sleep(HOUR / 2).await;
        self.assert_little(&before);
        self.check();
    }

    /// Nothing fails any more, but for one environment at times: the world must come to what was
    /// pushed last.
    async fn heal(&mut self) {
        let place = &self.place;
        place.world.calm();
        place.script.remote_down(false);
        place.ill.store(false, Ordering::SeqCst);
        let bad = (self.below(2) == 0).then(|| self.some_environment());
        place.panics.lock().unwrap().clone_from(&bad);
        self.comes_there(bad.as_ref()).await;
        *self.place.panics.lock().unwrap() = None;
        self.comes_there(None).await;
        let unfinished = self.place.beside.call(self.place.person.unfinished());
        assert!(unfinished.unwrap().is_empty(), "a record is missing");
    }

    /// Every environment but this one comes to what is pushed now, and what nobody knows is adopted.
    async fn comes_there(&mut self, but: Option<&EnvironmentName>) {
        self.push_last();
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_secs(900)).await;
            let unknown = self.place.unknown();
            if unknown.iter().all(|it| Some(&it.environment) == but) {
                break;
            }
            self.push_last();
        }
        self.check();
        let well = names().filter(|name| Some(name) != but);
        well.for_each(|name| self.assert_there(&name, &self.content));
    }

    fn push_last(&mut self) {
        let mut content = blank();
        for name in names() {
            let own = EnvironmentSettings {
                drift: Some(drift(DriftMode::Correct)),
                ..EnvironmentSettings::default()
            };
            content.settings.environments.insert(name.clone(), own);
            let mut things = self.things(&name);
            let mut last = thing(&format!("last{}", self.place.randomness.next()), "1", &[]);
            last.address.environment = name.clone();
            things.push(last);
            content.resources.insert(name, things);
        }
        for address in self.place.unknown() {
            self.adopt(&mut content, &address);
        }
        self.content = content;
        self.place.script.push(self.content.clone());
    }

    /// One process stops, the other is killed: a lease later all locks are free, and the log says
    /// what the journals say.
    async fn end(&mut self) {
        let last = self.processes.iter_mut().map(Option::take);
        let last: Vec<Option<Living>> = last.collect();
        for (number, living) in last.into_iter().flatten().enumerate() {
            match number {
                0 => living.stop(&self.place).await,
                _ => living.kill(&self.place).await,
            }
        }
        tokio::time::sleep(LEASE).await;
        let other = self.place.open();
        for name in names() {
            let taken = self.place.beside.call(other.acquire(&name, LEASE));
            assert!(taken.is_ok(), "{taken:?}");
        }
        self.the_log_says_what_the_journals_say(&other);
        let _inside = self.place.beside.runtime.enter();
        drop(other);
    }
}

fn blank() -> Content {
    let mut content = Content::of(Vec::new());
    content.settings.limits.call = CALL;
    content
}

fn drift(mode: DriftMode) -> DriftSettings {
    DriftSettings {
        mode,
        every: Duration::from_secs(300),
    }
}

fn health() -> HealthCheck {
    serde_json::from_str(r#"{"command": ["true"]}"#).unwrap()
}
