//! What is wanted, known and seen of one resource.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::ids::Address;
use crate::observed::Report;
use crate::plan::Drifted;
use crate::ports::TypeSchema;
use crate::resource::{Instance, Resource, ResourceState};
use crate::settings::DriftMode;
use crate::value::{Marks, Record, Value};

use super::difference::difference;
use super::machine::Why;
use super::places;
use super::{DriftRule, Input};

/// Why nothing is planned on a resource whose state cannot be read.
const SEALED: &str = "its state is sealed until the reconciler is unsealed";

/// One resource that the revision or the state names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) address: &'a Address,
    /// What the revision says; `None` when it is to be deleted.
    pub(super) resource: Option<&'a Resource>,
    /// What stratum knows; `None` when it is new.
    pub(super) state: Option<&'a ResourceState>,
    /// The address under which stratum knows it, where that is another.
    pub(super) from: Option<&'a Address>,
    pub(super) schema: Option<&'a TypeSchema>,
    report: Option<&'a Report>,
    /// Its state is wrapped and cannot be read.
    sealed: bool,
    /// Its correction failed a moment ago.
    left: bool,
}

/// Every resource of the revision and of the state, sorted by address. What moved is one resource.
pub(super) fn subjects<'a>(input: &Input<'a>) -> Vec<Subject<'a>> {
    let desired = &input.desired.resources;
    let moved = moved(input);
    let gone: BTreeSet<&Address> = moved.values().map(|state| &state.address).collect();
    let states = input.base.resources.iter();
    let mut states = states.filter(|(own, _)| !gone.contains(own)).peekable();
    let mut found = Vec::with_capacity(desired.len());
    for (address, resource) in desired {
        while let Some((gone, state)) = states.next_if(|(other, _)| *other < address) {
            found.push(Subject::new(input, gone, None, Some(state)));
        }
        let state = states.next_if(|(other, _)| *other == address);
        let state = state.map(|(_, state)| state);
        let state = state.or_else(|| moved.get(address).copied());
        found.push(Subject::new(input, address, Some(resource), state));
    }
    found.extend(states.map(|(gone, state)| Subject::new(input, gone, None, Some(state))));
    found
}

/// What is known of resources under the addresses that they had before, as `meta.moved_from` says or
/// their place does: only where nothing is known under the new one, nobody wants the old one, and both
/// are of one type of one provider.
fn moved<'a>(input: &Input<'a>) -> BTreeMap<&'a Address, &'a ResourceState> {
    let desired = &input.desired.resources;
    let mut taken = BTreeSet::new();
    let moves = desired.iter().filter_map(|(address, resource)| {
        let from = Address {
            environment: address.environment.clone(),
            local: resource.meta.moved_from.clone()?,
        };
        let state = input.base.resources.get(&from)?;
        let free = !input.base.resources.contains_key(address) && !desired.contains_key(&from);
        let same = from.r#type() == address.r#type()
            && state.provider.source() == resource.provider.source();
        (free && same && taken.insert(from)).then_some((address, state))
    });
    let mut moves: BTreeMap<_, _> = moves.collect();
    for (address, state) in places::inherited(input, |from| taken.contains(from)) {
        moves.entry(address).or_insert(state);
    }
    moves
}

impl<'a> Subject<'a> {
    fn new(
        input: &Input<'a>,
        address: &'a Address,
        resource: Option<&'a Resource>,
        state: Option<&'a ResourceState>,
    ) -> Self {
        let known = state.map_or(address, |state| &state.address);
        let provider = resource.map(|resource| &resource.provider);
        let provider = provider.or(state.map(|state| &state.provider));
        Self {
            address,
            resource,
            state,
            from: Some(known).filter(|known| *known != address),
            schema: provider.and_then(|one| input.schema(one, address.r#type())),
            report: input.observed.reports.get(known),
            sealed: input.base.sealed.contains(known),
            left: input.drift.left.contains(known),
        }
    }

    /// Whether its type is only read.
    pub(super) fn reads(&self) -> bool {
        self.schema.is_some_and(|schema| schema.reads)
    }

    /// Whether it must be renewed by now.
    pub(super) fn must_be_renewed(&self, now: Option<Timestamp>) -> bool {
        let due = self.current().and_then(|current| current.due);
        let renew = due.and_then(|due| due.renew);
        renew.zip(now).is_some_and(|(renew, now)| renew <= now)
    }

    /// Whether it has ended by now.
    pub(super) fn has_ended(&self, now: Option<Timestamp>) -> bool {
        let due = self.current().and_then(|current| current.due);
        let expire = due.and_then(|due| due.expire);
        expire.zip(now).is_some_and(|(expire, now)| expire <= now)
    }

    /// What is there, as far as is known.
    pub(super) fn current(&self) -> Option<&'a Instance> {
        let state = self.state?;
        match self.report {
            Some(Report::Present(instance) | Report::Stopped { instance, .. }) => Some(instance),
            Some(Report::Gone) => None,
            Some(Report::Unreadable(_)) | None => Some(&state.instance),
        }
    }

    /// Why it does not run although it should, if so. Liveness is not drift: it is started whatever
    /// the drift mode says, but for one that was just tried in vain.
    pub(super) fn stopped(&self) -> Option<&'a str> {
        self.report?.stopped().filter(|_| !self.left)
    }

    /// Whether it does not run, and was just tried in vain: nothing is planned for it.
    pub(super) fn is_left_stopped(&self) -> bool {
        self.left && self.report.is_some_and(|report| report.stopped().is_some())
    }

    /// Whether the provider says that it is gone.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.report, Some(Report::Gone))
    }

    /// Why nothing can be done about it, if so and whatever it depends on. `waits`: why secrets
    /// cannot be opened.
    pub(super) fn blocked(&self, waits: Option<&str>) -> Option<Why> {
        let adopted = self.resource.is_some_and(|r| r.meta.adopt.is_some());
        let unknown = self.state.and_then(|state| state.unknown.as_ref());
        if let Some(reason) = unknown.filter(|_| !adopted) {
            return Some(Why::waits(format!(
                "nobody knows what became of it: {reason}"
            )));
        }
        if self.sealed {
            return Some(Why::waits(SEALED));
        }
        if let Some(why) = waits.filter(|_| self.needs_secret()) {
            return Some(Why::waits(format!(
                "it needs a secret, and the reconciler is sealed: {why}"
            )));
        }
        match self.report {
            Some(Report::Unreadable(unreadable)) => Some(Why {
                reason: format!("it cannot be read: {}", unreadable.why),
                retry: Some(unreadable.retry),
            }),
            Some(Report::Present(_) | Report::Stopped { .. } | Report::Gone) | None => None,
        }
    }

    /// Whether anything that is wanted of it is a secret, or makes one.
    fn needs_secret(&self) -> bool {
        self.resource.is_some_and(|resource| {
            self.schema.is_some_and(TypeSchema::makes_secrets)
                || resource.attributes.values().any(Value::holds_secret)
        })
    }

    /// What is sensitive of it by its schema in any of these records, and what was so before.
    pub(super) fn marks<'r>(&self, records: impl IntoIterator<Item = &'r Record>) -> Marks {
        let mut marks = self
            .state
            .map(|state| state.sensitive.clone())
            .unwrap_or_default();
        for record in records {
            let known = self.schema.map(|schema| schema.sensitive(record));
            marks.extend(known.unwrap_or_default());
        }
        marks
    }

    /// How the world differs from what was applied, and whether it is to be left so.
    pub(super) fn drift(&self, input: &Input<'_>) -> Option<Drift<'a>> {
        let (resource, state) = (self.resource?, self.state?);
        let applied = &state.instance;
        let seen = match self.report? {
            Report::Present(seen) | Report::Stopped { instance: seen, .. } => {
                Some(&seen.attributes)
            }
            Report::Gone => None,
            Report::Unreadable(_) => return None,
        };
        let mut marks = self.marks([Some(&applied.attributes), seen].into_iter().flatten());
        seen.into_iter().for_each(|seen| marks.spread(seen));
        let mut changes = difference(Some(&applied.attributes), seen, &marks, Some(resource));
        if self.report?.stopped().is_some() {
            // What the provider computes follows from its being started again.
            changes.retain(|change| is_settable(self.schema, change.path.attribute()));
        }
        if changes.is_empty() {
            return None;
        }
        let mode_of = |attribute: Option<&str>| mode_of(input, resource, attribute);
        let unsure = state.unsure || state.tainted;
        let names: BTreeSet<&str> = changes.iter().map(|c| c.path.attribute()).collect();
        let (decisive, derived) = decisive(self.schema, names);
        let modes = decisive.iter().map(|name| (*name, mode_of(Some(name))));
        let left: BTreeMap<String, DriftMode> = modes
            .filter(|(_, mode)| !unsure && *mode != DriftMode::Correct)
            .map(|(name, mode)| (name.to_owned(), mode))
            .collect();
        let leave = match seen {
            Some(_) => left.len() == decisive.len(),
            None => !unsure && mode_of(None) != DriftMode::Correct,
        };
        let derived = derived.into_iter().map(str::to_owned).collect();
        let shown: Vec<_> = changes
            .into_iter()
            .filter(|change| mode_of(Some(change.path.attribute())) != DriftMode::Ignore)
            .collect();
        let drifted = (!shown.is_empty()).then(|| Drifted {
            address: self.address.clone(),
            changes: shown,
        });
        Some(Drift {
            applied,
            leave,
            left,
            derived,
            drifted,
        })
    }
}

/// Whether a person may give an attribute; those that no schema knows are taken for such.
pub fn is_settable(schema: Option<&TypeSchema>, name: &str) -> bool {
    let known = schema.and_then(|schema| schema.attributes.get(name));
    known.is_none_or(|attribute| attribute.settable)
}

/// Of attributes that drifted, those whose mode decides what is done; and those that follow them,
/// because the provider computes them.
pub fn decisive<'n>(
    schema: Option<&TypeSchema>,
    names: impl IntoIterator<Item = &'n str>,
) -> (Vec<&'n str>, Vec<&'n str>) {
    let settable = |name: &&str| is_settable(schema, name);
    let (given, derived): (Vec<_>, Vec<_>) = names.into_iter().partition(settable);
    match given.is_empty() {
        true => (derived, given),
        false => (given, derived),
    }
}

/// What is done about drift of an attribute, or of the whole resource.
fn mode_of(input: &Input<'_>, resource: &Resource, attribute: Option<&str>) -> DriftMode {
    let DriftRule { mode, fought, left } = input.drift;
    let is_left = fought.contains(&resource.address) || left.contains(&resource.address);
    match resource.meta.drift_mode(attribute, *mode) {
        DriftMode::Correct if is_left => DriftMode::Report,
        mode => mode,
    }
}

/// How the world differs from what was applied.
pub(super) struct Drift<'a> {
    pub(super) applied: &'a Instance,
    /// Nothing of it is corrected.
    pub(super) leave: bool,
    /// The attributes that are not corrected.
    left: BTreeMap<String, DriftMode>,
    /// Those among the drifted that the provider computes.
    derived: Vec<String>,
    /// What is told about it.
    pub(super) drifted: Option<Drifted>,
}

impl Drift<'_> {
    /// Whether anything of it is not corrected.
    pub(super) fn leaves_any(&self) -> bool {
        self.leave || !self.left.is_empty()
    }

    /// All that drifted, with the values that were applied.
    pub(super) fn all(&self) -> Record {
        let names = self.left.keys().chain(&self.derived);
        names.map(|name| self.was(name)).collect()
    }

    /// What stays as it is seen, with the values that were applied: what is not corrected, and what
    /// nobody wants otherwise by now, as the provider plans `as_if` there were no drift. A change
    /// that a person makes `overrules` what is only reported.
    pub(super) fn kept(&self, as_if: &Record, seen: &Instance, overrules: bool) -> Record {
        let left = self.left.iter().filter(|(name, mode)| {
            (!overrules || **mode == DriftMode::Ignore)
                && seen.attributes.contains_key(*name)
                && as_if.get(*name) == self.applied.attributes.get(*name)
        });
        left.map(|(name, _)| self.was(name)).collect()
    }

    /// What the provider computed from what is kept, and would not change.
    pub(super) fn derived(&self, planned: &Record, seen: &Instance) -> Record {
        let same = |name: &&String| planned.get(*name) == seen.attributes.get(*name);
        let derived = self.derived.iter().filter(same);
        derived.map(|name| self.was(name)).collect()
    }

    fn was(&self, name: &str) -> (String, Value) {
        let value = self.applied.attributes.get(name).cloned();
        (name.to_owned(), value.unwrap_or_default())
    }
}
