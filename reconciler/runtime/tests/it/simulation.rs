//! A life from a seed: pushes, failures, deaths, drift, a remote that goes away, a full disk, a
//! clock that jumps; invariants after every event.
//!
//! `STRATUM_SEED=n` replays one seed; `STRATUM_SOAK_SECONDS=n` goes on with new seeds for so long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use stratum_core::ids::Address;
use stratum_core::plan::Action;
use stratum_core::ports::{Journals as _, Randomness as _, StoreError};
use stratum_core::resource::Resource;
use stratum_core::settings::{DriftMode, DriftSettings};
use stratum_core::value::{Record, Value};
use stratum_testkit::script::{Content, thing};
use stratum_testkit::world::{Fault, Operation};

use crate::desk::{Desk, below};
use crate::killing::Kill;

/// Events in one life.
const EVENTS: u64 = 40;

/// Seeds in an ordinary run of the tests.
const SEEDS: u64 = 60;

#[test]
fn lives_from_many_seeds() {
    if let Some(seed) = number("STRATUM_SEED") {
        return live_or_say(seed);
    }
    let Some(seconds) = number("STRATUM_SOAK_SECONDS") else {
        return (0..SEEDS).for_each(live_or_say);
    };
    let (started, mut seed) = (Instant::now(), SEEDS);
    while started.elapsed() < Duration::from_secs(seconds) {
        live_or_say(seed);
        seed += 1;
    }
    println!("{} lives of {EVENTS} events, all well", seed - SEEDS);
}

pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn live_or_say(seed: u64) {
    let lived = std::panic::catch_unwind(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(live(seed));
    });
    if let Err(panic) = lived {
        eprintln!(
            "seed {seed} failed; replay it with\n  STRATUM_SEED={seed} cargo test -p stratum-runtime \
             --test it lives_from_many_seeds"
        );
        std::panic::resume_unwind(panic);
    }
}

/// What is known about a life besides what the desk holds.
struct Life {
    desk: Desk,
    /// Addresses that an accepted plan takes away, or that a rollback may take away again.
    removable: BTreeSet<Address>,
    effects: usize,
    content: Vec<Resource>,
}

async fn live(seed: u64) {
    let desk = Desk::new(seed);
    let content = random_things(&desk);
    let mut life = Life {
        desk,
        removable: BTreeSet::new(),
        effects: 0,
        content,
    };
    life.push();
    for _ in 0..EVENTS {
        life.event().await;
        life.check().await;
    }
    life.heal().await;
}

/// Up to nine things; each depends on some before it, one in three has a `fixed`.
fn random_things(desk: &Desk) -> Vec<Resource> {
    let random = &desk.randomness;
    let mut things: Vec<Resource> = Vec::new();
    for index in 0..9 {
        if below(random, 4) == 0 {
            continue;
        }
        let before: Vec<String> = things
            .iter()
            .map(|t| t.address.name().to_string())
            .collect();
        let depends_on: Vec<&str> = before
            .iter()
            .filter(|_| below(random, 4) == 0)
            .map(String::as_str)
            .collect();
        let mut made = thing(
            &format!("t{index}"),
            &below(random, 3).to_string(),
            &depends_on,
        );
        if below(random, 3) == 0 {
            let fixed = Value::text(below(random, 2).to_string());
            made.attributes.insert("fixed".to_owned(), fixed);
        }
        things.push(made);
    }
    if things.is_empty() {
        vec![thing("t0", "0", &[])]
    } else {
        things
    }
}

impl Life {
    fn below(&self, bound: u64) -> u64 {
        below(&self.desk.randomness, bound)
    }

    fn push(&self) {
        let correct = DriftSettings {
            mode: DriftMode::Correct,
            every: Duration::from_secs(300),
        };
        let content = Content::of(self.content.clone());
        self.desk
            .script
            .push(content.set(|own| own.drift = Some(correct)));
    }

    fn some_address(&self) -> Address {
        format!("e/memory_thing.t{}", self.below(9))
            .parse()
            .unwrap()
    }

    /// One thing that happens, and then one look.
    async fn event(&mut self) {
        if self.below(2) == 0 {
            self.desk.script.remote_down(false);
        }
        match self.below(10) {
            0..=3 => {
                self.content = random_things(&self.desk);
                self.push();
            }
            4 => {
                let known: Vec<Address> = self.desk.world.things().into_keys().collect();
                // Meddling between an effect and its lost answer hides the effect from every
                // search for it: an update is then made again, and nothing can know better.
                let begun = self.begun().await;
                let known: Vec<Address> = known
                    .into_iter()
                    .filter(|address| !begun.contains(address))
                    .collect();
                if let Some(address) = known.get(self.below(known.len() as u64) as usize) {
                    self.meddle(address);
                }
            }
            5 => self.desk.script.remote_down(true),
            6 => self.desk.store.fail_next(StoreError::Full {
                doing: "writing an event",
            }),
            7 => self.desk.clock.jump(self.below(7200) as i64 - 3600),
            _ => self.break_something(),
        }
        let kill = match self.below(3) {
            0 => Some(Kill::Before(self.below(20))),
            1 => Some(Kill::After(self.below(20))),
            _ => None,
        };
        tokio::time::sleep(Duration::from_secs(self.below(400))).await;
        self.look(kill).await;
    }

    fn meddle(&mut self, address: &Address) {
        let mut thing = self.desk.world.thing(address).unwrap();
        thing.insert("value".to_owned(), Value::text("by hand"));
        self.desk.world.meddle(address, Some(thing));
    }

    fn break_something(&self) {
        let faults = [
            (Operation::Apply, Fault::FailBefore),
            (Operation::Apply, Fault::FailUnknown),
            (Operation::Apply, Fault::FailAfter),
            (Operation::Apply, Fault::LoseAnswer),
            (Operation::Apply, Fault::Hang),
            (Operation::Restore, Fault::FailUnknown),
            (Operation::Restore, Fault::LoseAnswer),
            (Operation::Read, Fault::FailBefore),
            (Operation::Checkpoint, Fault::FailBefore),
        ];
        let (operation, fault) = &faults[self.below(faults.len() as u64) as usize];
        self.desk
            .world
            .inject(&self.some_address(), *operation, fault.clone());
    }

    async fn look(&mut self, kill: Option<Kill>) {
        let process = self.desk.start_killed_at(kill);
        let plans = process.plans.clone();
        // A failed look is part of life: what it left is checked, and the next look goes on.
        let _reports_or_trouble = process.once().await;
        for plan in plans.lock().unwrap().iter() {
            for step in &plan.steps {
                // A create may be taken back by a rollback; everything else that is taken away
                // must be taken away by the plan.
                if !matches!(step.action, Action::Update | Action::Adopt) {
                    self.removable.insert(step.address.clone());
                }
            }
        }
    }

    /// What must hold after every event.
    async fn check(&mut self) {
        let effects = self.desk.world.effects();
        for effect in effects.iter().skip(self.effects) {
            let taken_away = effect.before.is_some() && effect.after.is_none();
            assert!(
                !taken_away || self.removable.contains(&effect.address),
                "{} was taken away outside any plan",
                effect.address
            );
        }
        self.effects = effects.len();
        let begun: BTreeSet<Address> = self.begun().await;
        let state = self.desk.state().await;
        for address in self.desk.world.things().keys() {
            assert!(
                state.contains_key(address) || begun.contains(address),
                "{address} is in the world, and neither state nor journal know"
            );
        }
        let mut runs = BTreeMap::<String, u32>::new();
        for publication in self.desk.script.published() {
            *runs.entry(publication.run.to_string()).or_default() += 1;
        }
        assert!(
            runs.values().all(|count| *count == 1),
            "a record was published twice"
        );
        let doubled = self.desk.world.doubled();
        let value =
            |record: &Option<Record>| record.as_ref().map(|r| format!("{:?}", r.get("value")));
        let effects: Vec<_> = effects
            .iter()
            .filter(|effect| {
                doubled
                    .iter()
                    .any(|(address, _)| *address == effect.address)
            })
            .map(|e| {
                (
                    e.operation,
                    e.token.as_str().to_owned(),
                    value(&e.before),
                    value(&e.after),
                )
            })
            .collect();
        assert!(
            doubled.is_empty(),
            "an effect was done twice: {doubled:?}\n{effects:#?}"
        );
    }

    /// The addresses of runs that have not ended.
    async fn begun(&self) -> BTreeSet<Address> {
        let unfinished = self.desk.store.unfinished().await.unwrap();
        let steps = unfinished.iter().flat_map(|left| &left.run.plan().steps);
        steps.map(|step| step.address.clone()).collect()
    }

    /// Nothing fails any more: the world must come to what was pushed last.
    async fn heal(&mut self) {
        self.desk.world.calm();
        self.desk.script.remote_down(false);
        self.content = random_things(&self.desk);
        let name = format!("last{}", self.desk.randomness.next());
        self.content.push(thing(&name, "1", &[]));
        self.push();
        // So often that every ordered full disk is met, and the last looks are undisturbed.
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_secs(4000)).await;
            self.look(None).await;
        }
        self.check().await;
        let row = self.desk.row().await;
        let wanted: BTreeSet<Address> = self.content.iter().map(|r| r.address.clone()).collect();
        let there: BTreeSet<Address> = self.desk.world.things().into_keys().collect();
        assert_eq!(there, wanted, "{}: {}", row.condition.as_str(), row.reason);
        for resource in &self.content {
            let thing = self.desk.world.thing(&resource.address).unwrap();
            for (name, value) in &resource.attributes {
                assert_eq!(thing.get(name), Some(value), "{}: {name}", resource.address);
            }
        }
        self.desk.assert_state_is_world().await;
        assert!(
            self.desk.store.unfinished().await.unwrap().is_empty(),
            "a record is missing"
        );
    }
}
