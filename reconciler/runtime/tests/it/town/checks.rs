//! What must hold in every life.

use std::collections::{BTreeMap, BTreeSet};

use stratum_core::audit::{ApplyEvent, What};
use stratum_core::digest::Digest;
use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::journal::Event;
use stratum_core::plan::{Action, Plan};
use stratum_core::ports::{Journals as _, RunOutcome, States as _};
use stratum_core::run::RunSummary;
use stratum_store::{Expected, SqliteStore};
use stratum_testkit::script::Content;

use super::life::Life;
use super::place::NAMES;

/// What was looked at before.
#[derive(Default)]
pub struct Seen {
    /// Addresses that a plan takes away, or that a rollback may take away again.
    removable: BTreeSet<Address>,
    effects: usize,
}

/// What was done so far.
pub struct Cost {
    loads: u64,
    fetches: u64,
    calls: usize,
    writes: u64,
    runs: BTreeMap<EnvironmentName, usize>,
}

impl Life {
    /// What must hold after every event.
    pub fn check(&mut self) {
        self.nothing_was_taken_away_outside_a_plan();
        self.everything_is_known();
        let doubled = self.place.world.doubled();
        let tokens: Vec<_> = doubled.iter().map(|(_, token)| token).collect();
        let effects = self.place.world.effects().into_iter();
        let effects: Vec<_> = effects.filter(|e| tokens.contains(&&e.token)).collect();
        assert!(doubled.is_empty(), "done twice: {effects:#?}");
        let mut runs = BTreeMap::<String, u32>::new();
        for publication in self.place.script.published() {
            *runs.entry(publication.run.to_string()).or_default() += 1;
        }
        let once = runs.values().all(|count| *count == 1);
        assert!(once, "a record was published twice: {runs:?}");
        let mut open = BTreeSet::new();
        for run in self
            .history()
            .into_iter()
            .filter(|run| run.outcome.is_none())
        {
            let first = open.insert(run.environment.clone());
            assert!(first, "two runs at once in `{}`", run.environment);
        }
    }

    fn history(&self) -> Vec<RunSummary> {
        let history = self.place.person.history(None, 100_000);
        self.place.beside.call(history).unwrap()
    }

    fn nothing_was_taken_away_outside_a_plan(&mut self) {
        for plan in self.place.plans.lock().unwrap().drain(..) {
            self.seen.removable.extend(removed(&plan));
        }
        let effects = self.place.world.effects();
        for effect in effects.iter().skip(self.seen.effects) {
            let taken_away = effect.before.is_some() && effect.after.is_none();
            assert!(
                !taken_away || self.seen.removable.contains(&effect.address),
                "{} was taken away outside any plan",
                effect.address
            );
        }
        self.seen.effects = effects.len();
    }

    fn everything_is_known(&self) {
        let begun = self.begun();
        let bases = self.place.bases();
        for address in self.place.world.things().keys() {
            let base = &bases[&address.environment];
            assert!(
                base.resources.contains_key(address) || begun.contains(address),
                "{address} is in the world, and neither state nor journal know"
            );
        }
    }

    pub fn cost(&self) -> Cost {
        let mut runs = BTreeMap::new();
        for run in self.history() {
            *runs.entry(run.environment).or_default() += 1;
        }
        let writes = self.processes.iter().flatten();
        Cost {
            loads: self.place.script.loads(),
            fetches: self.place.script.fetches(),
            calls: self.place.world.calls().len(),
            writes: writes.map(|living| living.store.writes()).sum(),
            runs,
        }
    }

    /// In half an hour, of each environment: drift is due 6 times, and what fails is tried again a
    /// dozen times, with a few corrections each.
    pub fn assert_little(&self, before: &Cost) {
        let now = self.cost();
        let count = NAMES.len() as u64;
        let fetches = now.fetches - before.fetches;
        assert!(fetches <= 2 * 70, "{fetches} fetches");
        let loads = now.loads - before.loads;
        assert!(loads <= count * 40, "{loads} loads");
        let calls = (now.calls - before.calls) as u64;
        assert!(calls <= count * 6 * 120, "{calls} calls");
        let writes = now.writes - before.writes;
        assert!(writes <= 2 * 90 + count * 500, "{writes} writes");
        for (name, runs) in now.runs {
            let runs = runs - before.runs.get(&name).copied().unwrap_or_default();
            assert!(runs <= 40, "{runs} runs in `{name}`");
        }
    }

    /// The world and the state are as `content` says.
    pub fn assert_there(&self, name: &EnvironmentName, content: &Content) {
        let row = self.place.person.environment(name);
        let row = self.place.beside.call(row).unwrap().unwrap();
        let why = format!("`{name}` is {}: {}", row.condition.as_str(), row.reason);
        let things = self.place.world.things().into_iter();
        let things = things.filter(|(address, _)| address.environment == *name);
        let things: BTreeMap<_, _> = things.collect();
        let wanted = content.resources[name].iter();
        let wanted: BTreeSet<_> = wanted.map(|resource| &resource.address).collect();
        assert_eq!(things.keys().collect::<BTreeSet<_>>(), wanted, "{why}");
        for resource in &content.resources[name] {
            for (attribute, value) in &resource.attributes {
                let there = things[&resource.address].get(attribute);
                assert_eq!(there, Some(value), "{}: {why}", resource.address);
            }
        }
        let states = self.place.bases().remove(name).unwrap().resources;
        let states = states.into_iter().map(|(a, s)| (a, s.instance.attributes));
        assert_eq!(states.collect::<BTreeMap<_, _>>(), things, "{why}");
    }

    /// The signed log has the events of every journal, in order, each with its step and address;
    /// and no run was begun before the one before it had ended.
    pub fn the_log_says_what_the_journals_say(&self, store: &SqliteStore) {
        self.place.beside.call(store.bring_in()).unwrap();
        let report = self.place.log().verify(&Expected::default()).unwrap();
        assert_eq!(report.problem, None);
        let logged = self.logged();
        let mut count = 0;
        for summary in self.history() {
            let stored = self.place.beside.call(self.place.person.run(&summary.id));
            let Some(stored) = stored.unwrap() else {
                assert_eq!(summary.outcome, Some(RunOutcome::Denied), "{}", summary.id);
                continue;
            };
            let own = logged.get(summary.id.as_str()).cloned();
            let own = own.unwrap_or_default();
            // What puts a step back is dropped when its run is settled, and the digest is over it.
            let said = own.iter().map(|event| {
                let digest = (event.event != "begun").then_some(event.digest);
                (event.event.clone(), event.address.clone(), digest)
            });
            let events = stored.events.iter().map(|(_, event)| {
                let digest = Digest::of_bytes(&serde_json::to_vec(event).unwrap());
                let begun = matches!(event, Event::Begun { .. });
                let address = address(stored.run.plan(), event);
                (event.name().to_owned(), address, (!begun).then_some(digest))
            });
            assert_eq!(
                said.collect::<Vec<_>>(),
                events.collect::<Vec<_>>(),
                "run {}",
                summary.id
            );
            let begun = |event: &&ApplyEvent| event.event == "started";
            assert_eq!(own.iter().filter(begun).count(), 1, "run {}", summary.id);
            count += own.len();
        }
        assert_eq!(logged.values().map(Vec::len).sum::<usize>(), count);
        assert!(count > 0, "nothing was ever applied");
    }

    fn logged(&self) -> BTreeMap<String, Vec<ApplyEvent>> {
        let mut events: BTreeMap<String, Vec<ApplyEvent>> = BTreeMap::new();
        let each = self.place.log().each(&mut |shown| {
            if let What::Apply(event) = shown.entry.what {
                let run = shown.entry.run.unwrap().to_string();
                events.entry(run).or_default().push(event);
            }
            true
        });
        each.unwrap();
        events
    }
}

/// A create may be taken back by a rollback; everything else that is taken away must be taken away
/// by the plan.
fn removed(plan: &Plan) -> BTreeSet<Address> {
    let steps = plan.steps.iter();
    let removing = steps.filter(|step| !matches!(step.action, Action::Update | Action::Adopt));
    removing.map(|step| step.address.clone()).collect()
}

fn address(plan: &Plan, event: &Event) -> Option<Address> {
    plan.step(event.step()?).map(|step| step.address.clone())
}
