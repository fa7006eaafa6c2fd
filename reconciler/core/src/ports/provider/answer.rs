//! What a provider answers.

use crate::ids::Address;
use crate::plan::Reversibility;
use crate::ports::Diagnostic;
use crate::resource::{Instance, Opaque};
use crate::value::{Path, Record};

/// What a provider sees of a resource.
///
/// That it cannot tell is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// It is there, like this; what should run does.
    There(Instance),
    /// It is there, but what should run does not.
    Stopped {
        /// What is there.
        instance: Instance,
        /// Why it does not run, in one clause.
        why: String,
    },
    /// It is gone.
    Gone,
}

impl Reading {
    /// What is there.
    pub fn instance(self) -> Option<Instance> {
        match self {
            Self::There(instance) | Self::Stopped { instance, .. } => Some(instance),
            Self::Gone => None,
        }
    }
}

impl From<Option<Instance>> for Reading {
    fn from(there: Option<Instance>) -> Self {
        there.map_or(Self::Gone, Self::There)
    }
}

/// What a provider would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proposal {
    /// All attributes as they will be, possibly with unknowns; empty for a delete.
    pub planned: Record,
    /// The changed attributes that cannot change in place; not empty means replace.
    pub replace: Vec<Path>,
    /// Whether the step can be put back.
    pub reversibility: Reversibility,
    /// Bytes that only the provider understands; the apply gets them back.
    pub private: Opaque,
    /// The provider's type system is an old one: where what it plans or makes departs from what was
    /// said before, that is a warning.
    pub legacy: bool,
    /// What it minds, and goes on.
    pub warnings: Vec<Diagnostic>,
}

/// What is there of a type, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// Each once, sorted by id.
    pub there: Vec<Found>,
    /// There is more than was asked for.
    pub more: bool,
}

/// One of what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The id by which it can be adopted, in the provider's own terms.
    pub id: String,
    /// The resource of the state that it is.
    pub known: Option<Address>,
}

/// What became of a step whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// It happened: this is there now (`None` after a delete).
    Done(Option<Instance>),
    /// It did not happen, or only in part, and doing it again is right.
    NotDone,
    /// Nobody can tell, and why.
    CannotTell(String),
}
