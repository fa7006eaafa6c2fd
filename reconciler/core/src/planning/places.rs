//! Places in the world that resources take: who has which, who takes it over, in which order.

use std::collections::BTreeMap;

use crate::finding::{Finding, codes};
use crate::ids::{Address, ProviderName, TypeName};
use crate::place::Place;
use crate::ports::TypeSchema;
use crate::resource::{Resource, ResourceState};
use crate::value::{Path, Record};

use super::Input;
use super::machine::Planning;
use super::order::{Edges, add};
use super::steps::Draft;
use super::subject::Subject;

/// The place that a record of a type names, seen from the root of the environment.
pub(super) fn place_of(
    input: &Input<'_>,
    schema: Option<&TypeSchema>,
    record: &Record,
) -> Option<Place> {
    let text = record.get(schema?.place.as_ref()?)?.as_text()?;
    let root = Place::of(input.root.unwrap_or_default());
    Some(Place::of(text).seen_from(&root))
}

/// A kind of resource, and a place of one.
type Spot<'a> = (ProviderName, &'a TypeName, Place);

/// Where a resource lies.
fn spot<'a>(
    input: &Input<'a>,
    provider: &ProviderName,
    address: &'a Address,
    record: &Record,
) -> Option<Spot<'a>> {
    let schema = input.schema(provider, address.r#type());
    let place = place_of(input, schema, record)?;
    Some((provider.source(), address.r#type(), place))
}

/// What is known of resources that nobody wants, and that lie where a new one of their type should:
/// what is there changes hands, and is neither taken away nor made.
pub(super) fn inherited<'a>(
    input: &Input<'a>,
    taken: impl Fn(&Address) -> bool,
) -> BTreeMap<&'a Address, &'a ResourceState> {
    let base = &input.base.resources;
    let desired = &input.desired.resources;
    let new = |resource: &&Resource| !base.contains_key(&resource.address);
    let mut new = desired.values().filter(new).peekable();
    if new.peek().is_none() {
        return BTreeMap::new();
    }
    let left = base.values().filter(|state| {
        let own = &state.address;
        !desired.contains_key(own) && !taken(own) && !own.is_superseded()
    });
    let mut left: BTreeMap<Spot<'a>, &ResourceState> = left
        .filter_map(|state| {
            let known = &state.instance.attributes;
            Some((spot(input, &state.provider, &state.address, known)?, state))
        })
        .collect();
    let heirs = new.filter_map(|resource| {
        let (own, wanted) = (&resource.address, &resource.attributes);
        let spot = spot(input, &resource.provider, own, wanted)?;
        Some((own, left.remove(&spot)?))
    });
    heirs.collect()
}

/// A finding for each resource that would lie where another does.
pub(super) fn doubles(planning: &Planning<'_>) -> Vec<Finding> {
    let mut places: BTreeMap<(ProviderName, Place), &Subject<'_>> = BTreeMap::new();
    let mut findings = Vec::new();
    for (own, subject) in planning.subjects.iter().enumerate() {
        let Some((resource, place)) = subject.resource.zip(planning.place(own, subject)) else {
            continue;
        };
        let key = (resource.provider.source(), place);
        let Some(other) = places.get(&key) else {
            places.insert(key, subject);
            continue;
        };
        let (one, two) = (&resource.address.local, &other.address.local);
        let message = format!("`{one}` and `{two}` both manage `{}`", key.1);
        let mut finding =
            Finding::error(&codes::SAME_PLACE, message).hint("give one of them another place");
        finding.source = resource.source(&Path::default()).cloned();
        findings.push(finding);
    }
    findings
}

impl Planning<'_> {
    /// Where a wanted resource will lie.
    fn place(&self, own: usize, subject: &Subject<'_>) -> Option<Place> {
        let resource = subject.resource?;
        let planned = self.outcome(own).and_then(|outcome| outcome.planned());
        let record = planned.unwrap_or(&resource.attributes);
        place_of(&self.input, subject.schema, record)
    }
}

/// A place is freed before it is taken, and what lies in a folder comes after it and goes before.
pub(super) fn respect(drafts: &[Draft], edges: &mut Edges) {
    let mut made: BTreeMap<&Place, usize> = BTreeMap::new();
    let mut freed: BTreeMap<&Place, usize> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        let Some(place) = &draft.place else {
            continue;
        };
        let side = if draft.step.action.takes_away() {
            &mut freed
        } else {
            &mut made
        };
        side.insert(place, index);
    }
    for (place, index) in &made {
        add(edges, Some(*index), freed.get(place).copied());
        for parent in place.around() {
            add(edges, Some(*index), made.get(&parent).copied());
            add(edges, Some(*index), freed.get(&parent).copied());
        }
    }
    for (place, index) in &freed {
        for parent in place.around() {
            add(edges, freed.get(&parent).copied(), Some(*index));
            add(edges, made.get(&parent).copied(), Some(*index));
        }
    }
}
