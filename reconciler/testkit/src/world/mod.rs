//! A provider whose world is a map in memory, with failures on order.
//!
//! The world is shared by all providers made from it, so it survives a simulated crash of the
//! reconciler; every effect on it is written down with the token that caused it.

mod lie;
mod provider;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use stratum_core::ids::{Address, Token};
use stratum_core::value::Record;

pub use lie::Lie;
pub use provider::MemoryProvider;

/// A call that changes the world, or asks about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// `Provider::read`.
    Read,
    /// `Provider::plan`.
    Plan,
    /// `Provider::checkpoint`.
    Checkpoint,
    /// `Provider::apply`.
    Apply,
    /// `Provider::restore`.
    Restore,
    /// `Provider::locate`.
    Locate,
    /// `Provider::import`.
    Import,
    /// `Provider::list`.
    List,
}

/// What goes wrong in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The call fails, and says that nothing happened; nothing did.
    FailBefore,
    /// Nothing happens, and the call says that it cannot know.
    FailUnknown,
    /// The effect happens, and then the call fails and says that it cannot know.
    FailAfter,
    /// The effect happens, and no answer ever comes.
    LoseAnswer,
    /// Nothing happens, and no answer ever comes.
    Hang,
    /// `locate` cannot tell.
    CannotTell,
    /// Nothing happens, and the call breaks off by a panic: a defect of the provider.
    Panic,
    /// Nothing goes wrong, before something does in a later call.
    Fine,
    /// The effect happens, and the answer breaks the contract.
    Lie(Lie),
}

/// Something that was done to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// To what.
    pub address: Address,
    /// By which call: apply or restore.
    pub operation: Operation,
    /// With which token.
    pub token: Token,
    /// What was there before.
    pub before: Option<Record>,
    /// What is there since.
    pub after: Option<Record>,
}

#[derive(Debug, Default)]
struct Inner {
    things: BTreeMap<Address, Record>,
    effects: Vec<Effect>,
    calls: Vec<(Address, Operation)>,
    faults: BTreeMap<(Address, Operation), VecDeque<Fault>>,
}

/// The world: what is there, what was done, and what will go wrong.
///
/// *Guarantees*: every method is atomic; clones share one world.
#[derive(Debug, Clone, Default)]
pub struct World(Arc<Mutex<Inner>>);

impl World {
    /// An empty world.
    pub fn new() -> Self {
        Self::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What is there, by address.
    pub fn things(&self) -> BTreeMap<Address, Record> {
        self.inner().things.clone()
    }

    /// One thing.
    pub fn thing(&self, address: &Address) -> Option<Record> {
        self.inner().things.get(address).cloned()
    }

    /// Changes the world behind everybody's back: drift.
    pub fn meddle(&self, address: &Address, thing: Option<Record>) {
        let mut inner = self.inner();
        match thing {
            Some(thing) => inner.things.insert(address.clone(), thing),
            None => inner.things.remove(address),
        };
    }

    /// Everything that was done, in order.
    pub fn effects(&self) -> Vec<Effect> {
        self.inner().effects.clone()
    }

    /// Everything that was asked, in order.
    pub fn calls(&self) -> Vec<(Address, Operation)> {
        self.inner().calls.clone()
    }

    /// Forgets what was done and asked, not what is there.
    pub fn forget(&self) {
        let mut inner = self.inner();
        inner.effects.clear();
        inner.calls.clear();
    }

    /// Applies that had an effect more than once: the same address and token. Empty in a world
    /// where nothing was doubled.
    pub fn doubled(&self) -> Vec<(Address, Token)> {
        let mut seen = BTreeMap::<(Address, String), u32>::new();
        let mut doubled = Vec::new();
        for effect in self
            .inner()
            .effects
            .iter()
            .filter(|e| e.operation == Operation::Apply)
        {
            let key = (effect.address.clone(), effect.token.as_str().to_owned());
            let count = seen.entry(key).or_default();
            *count += 1;
            if *count == 2 {
                doubled.push((effect.address.clone(), effect.token.clone()));
            }
        }
        doubled
    }

    /// Orders a failure: the next call of this operation on this address meets it, once. Several
    /// are met one after the other.
    pub fn inject(&self, address: &Address, operation: Operation, fault: Fault) {
        let key = (address.clone(), operation);
        self.inner().faults.entry(key).or_default().push_back(fault);
    }

    /// Takes back every failure that was ordered and not met.
    pub fn calm(&self) {
        self.inner().faults.clear();
    }

    /// Notes a call, and answers what goes wrong in it.
    fn meet(&self, address: &Address, operation: Operation) -> Option<Fault> {
        let mut inner = self.inner();
        inner.calls.push((address.clone(), operation));
        let key = (address.clone(), operation);
        inner.faults.get_mut(&key).and_then(VecDeque::pop_front)
    }

    /// Makes a thing so, and writes it down; what is so already is no effect.
    fn make(&self, address: &Address, operation: Operation, token: &Token, after: Option<Record>) {
        let mut inner = self.inner();
        let before = match &after {
            Some(thing) => inner.things.insert(address.clone(), thing.clone()),
            None => inner.things.remove(address),
        };
        if operation == Operation::Restore && before == after {
            return;
        }
        inner.effects.push(Effect {
            address: address.clone(),
            operation,
            token: token.clone(),
            before,
            after,
        });
    }
}
