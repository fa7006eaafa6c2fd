//! A Plan: the immutable, ordered graph of Steps from a base to Desired.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::finding::Finding;
use crate::ids::{Address, CommitId, EnvironmentName, LocalAddress, ProviderName, StepId};
use crate::kinds::Kind;
use crate::ports::{Effect, Retry};
use crate::resource::{Instance, Meta, Opaque};
use crate::source::Source;
use crate::value::{Marks, Path, Record, Value};

/// The immutable, ordered graph of Steps.
///
/// *Guarantees*: every step stands after the steps it requires; the same inputs give the same
/// bytes and the same digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The environment.
    pub environment: EnvironmentName,
    /// The commit it leads to.
    pub revision: CommitId,
    /// The digest of the inputs it was made from.
    pub inputs: Digest,
    /// The base it was made on.
    pub base: BaseId,
    /// SHA-256 over inputs, base, observed values and steps; not over commit and serial, so that
    /// the plan of a pull request can be compared with the one made after the merge.
    pub digest: Digest,
    /// The steps.
    pub steps: Vec<Step>,
    /// Resources that differ from what was applied and are left so.
    pub drifted: Vec<Drifted>,
    /// Resources that nothing can be done about, and what depends on them.
    pub blocked: Vec<Blocked>,
    /// The configurations of the providers that it needs, for whoever carries it on after a crash.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::value::stored::deserialize"
    )]
    pub providers: BTreeMap<ProviderName, Record>,
    /// What was noticed while it was made, and stops nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Finding>,
    /// How many resources there will be when it is applied.
    pub resources: u64,
}

/// Which state a plan was made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseId {
    /// The serial; the store compares it.
    pub serial: u64,
    /// The digest of the content; people and reviews compare it.
    pub digest: Digest,
}

/// What is done to an Address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Make what is not there.
    Create,
    /// Change what is there.
    Update,
    /// Take away what is there.
    Delete,
    /// Take over what is there already, without changing it.
    Adopt,
    /// The first half of a replace: take the old one away.
    Remove,
    /// The second half of a replace: make the new one.
    Make,
    /// Give what is there another address in the state; the world does not change.
    Move,
    /// Read what is only read; the world does not change.
    Read,
}

/// Whether a Step can be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reversibility {
    /// It can be put back as it was.
    #[default]
    Reversible,
    /// It can be made again, losing its identity.
    Recreated,
    /// It cannot be put back.
    Irreversible,
}

impl Reversibility {
    /// The word, as everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reversible => "reversible",
            Self::Recreated => "recreated",
            Self::Irreversible => "irreversible",
        }
    }
}

/// Why there is a Step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The repository has it and the state has not.
    New,
    /// It was applied, and is gone from the world.
    Gone,
    /// Attributes differ from what is there.
    Changed,
    /// The world differs from what was applied.
    Drifted,
    /// These changed attributes cannot change in place.
    CannotChange(Vec<Path>),
    /// A step failed half way before.
    Tainted,
    /// It is no longer in the repository.
    NotInRepository,
    /// The repository says to adopt this id.
    Adopted(String),
    /// It should run and does not, for this reason.
    NotRunning(String),
    /// It must be renewed.
    Due,
    /// It has ended, and is made anew.
    Expired,
    /// It had this address before.
    Moved(LocalAddress),
    /// The new one that takes its place was made first; now the old one goes.
    Superseded,
    /// What it reads is read for the first time, or says something else.
    Reads,
    /// Only what stratum remembers changes: dependencies, protection, labels.
    Remembered,
}

impl Reason {
    /// One clause for people.
    pub fn sentence(&self) -> String {
        match self {
            Self::New => "it is new".to_owned(),
            Self::Gone => "it is gone from the world".to_owned(),
            Self::Changed => "its attributes changed".to_owned(),
            Self::Drifted => "the world differs from what was applied".to_owned(),
            Self::CannotChange(paths) => {
                let names: Vec<_> = paths.iter().map(|path| format!("`{path}`")).collect();
                format!("{} cannot change in place", names.join(", "))
            }
            Self::Tainted => "an earlier step on it failed half way".to_owned(),
            Self::NotInRepository => "it is no longer in the repository".to_owned(),
            Self::Adopted(id) => format!("it is there already as `{id}`"),
            Self::NotRunning(why) => format!("it should run and does not: {why}"),
            Self::Due => "it must be renewed".to_owned(),
            Self::Expired => "it has ended".to_owned(),
            Self::Moved(from) => format!("it was `{from}` before"),
            Self::Superseded => "the new one has taken its place".to_owned(),
            Self::Reads => "what it reads is new".to_owned(),
            Self::Remembered => "only what stratum remembers about it changes".to_owned(),
        }
    }
}

/// One action on one Address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its place in the plan.
    pub id: StepId,
    /// The address.
    pub address: Address,
    /// The kind of the resource.
    pub kind: Kind,
    /// Who does it.
    pub provider: ProviderName,
    /// What is done.
    pub action: Action,
    /// The other half of a replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<StepId>,
    /// Whether it can be put back.
    pub reversibility: Reversibility,
    /// Whether it changes the world or only the state.
    pub effect: Effect,
    /// Why it is there.
    pub reason: Reason,
    /// The attributes that change, sorted by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Steps that must be done before, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<StepId>,
    /// What is there before it; `None` when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<Instance>,
    /// What is wanted, with references; `None` for a delete.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::value::stored::deserialize"
    )]
    pub desired: Option<Record>,
    /// What the provider will make of it, possibly with unknowns; `None` for a delete.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::value::stored::deserialize"
    )]
    pub planned: Option<Record>,
    /// What stays as somebody else made it, because its drift is not corrected, with the values
    /// that were applied; the state goes on to hold these, so that it stays drift.
    #[serde(
        default,
        skip_serializing_if = "Record::is_empty",
        deserialize_with = "crate::value::stored::deserialize"
    )]
    pub kept: Record,
    /// The private bytes of the proposal; the apply gets them back.
    #[serde(default, skip_serializing_if = "Opaque::is_empty")]
    pub private: Opaque,
    /// The address that it had before, where it is moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Address>,
    /// Which of its values are sensitive.
    #[serde(default, skip_serializing_if = "Marks::is_empty")]
    pub sensitive: Marks,
    /// The settings of the resource: those that are wanted, or those of what goes.
    #[serde(default)]
    pub meta: Meta,
    /// The settings that it had, where they were others: policy judges by both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Meta>,
    /// Where the resource stands in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// One attribute that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The attribute, or a value within it.
    pub path: Path,
    /// What it is.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::value::stored::deserialize"
    )]
    pub before: Option<Value>,
    /// What it will be, possibly unknown.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::value::stored::deserialize"
    )]
    pub after: Option<Value>,
    /// Its values are not shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// Where the new value stands in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// A resource that differs from what was applied and is left so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drifted {
    /// The resource.
    pub address: Address,
    /// What differs: what was applied, and what is there.
    pub changes: Vec<Change>,
}

/// A resource that nothing can be done about for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// The resource.
    pub address: Address,
    /// Why, in one clause.
    pub reason: String,
    /// When it may be otherwise, where a provider could not answer; `None` where it waits for
    /// something that is no failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

/// What says that an environment is at its Revision. Only [`Plan::arrival`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival(());

/// A resource that cannot be planned for now, so that its environment is not at its Revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplannable {
    /// One sentence.
    pub reason: String,
    /// When it may be otherwise.
    pub retry: Retry,
}

impl Plan {
    /// Whether the environment is at the Revision once every step is done.
    ///
    /// *Errors*: a provider could not answer about a resource, and what should become of it is not
    /// known. What waits for a person or for a secret does not stand in the way.
    pub fn arrival(&self) -> Result<Arrival, Unplannable> {
        let failed = self.blocked.iter().find_map(|one| Some((one, one.retry?)));
        match failed {
            None => Ok(Arrival(())),
            Some((blocked, retry)) => Err(Unplannable {
                reason: format!("`{}` waits: {}", blocked.address, blocked.reason),
                retry,
            }),
        }
    }
}

/// Counts for the last line of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Resources to create.
    pub create: u64,
    /// Resources to update.
    pub update: u64,
    /// Resources to replace.
    pub replace: u64,
    /// Resources to delete.
    pub delete: u64,
    /// Resources to adopt.
    pub adopt: u64,
}

impl Plan {
    /// The step with this id.
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.get(id.index())
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps as people count them: a replace is one, shown at its second half.
    pub fn shown(&self) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .filter(|step| step.action != Action::Remove)
    }

    /// Counts for people.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for step in &self.steps {
            match step.action {
                Action::Create => summary.create += 1,
                Action::Update => summary.update += 1,
                Action::Delete => summary.delete += 1,
                Action::Adopt => summary.adopt += 1,
                Action::Make => summary.replace += 1,
                Action::Remove | Action::Move | Action::Read => {}
            }
        }
        summary
    }

    /// The worst reversibility of a step and, for a replace, its other half.
    pub fn reversibility(&self, step: &Step) -> Reversibility {
        let pair = step
            .pair
            .and_then(|id| self.step(id))
            .map(|pair| pair.reversibility);
        pair.map_or(step.reversibility, |pair| pair.max(step.reversibility))
    }
}

impl Step {
    /// Whether the provider is called at all; otherwise only the state changes.
    pub fn calls_provider(&self) -> bool {
        match self.action {
            Action::Create | Action::Make | Action::Adopt | Action::Read => true,
            Action::Move => false,
            Action::Update => self.reason != Reason::Remembered,
            Action::Delete | Action::Remove => self.prior.is_some(),
        }
    }
}

impl Action {
    /// Whether what is there goes.
    pub fn takes_away(self) -> bool {
        match self {
            Self::Delete | Self::Remove => true,
            Self::Create | Self::Update | Self::Adopt | Self::Make | Self::Move | Self::Read => {
                false
            }
        }
    }

    /// The word for people and JSON; both halves of a replace are `replace`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Adopt => "adopt",
            Self::Remove | Self::Make => "replace",
            Self::Move => "move",
            Self::Read => "read",
        }
    }

    /// The symbol, as in every tool of the field.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Create => "+",
            Self::Update => "~",
            Self::Delete => "-",
            Self::Adopt => ">",
            Self::Remove | Self::Make => "-/+",
            Self::Move => "=>",
            Self::Read => "<=",
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (add, destroy) = (self.create + self.replace, self.delete + self.replace);
        write!(
            f,
            "Plan: {add} to add, {} to change, {destroy} to destroy",
            self.update
        )?;
        if self.adopt > 0 {
            write!(f, ", {} to adopt", self.adopt)?;
        }
        f.write_str(".")
    }
}
