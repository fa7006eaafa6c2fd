//! Which Step requires which, and their order.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::walk;
use crate::ids::{Address, StepId};
use crate::plan::{Action, Step};

use super::Planning;
use super::steps::{ByAddress, Draft};

/// For each draft, the drafts that must be done before.
type Edges = Vec<BTreeSet<usize>>;

/// Gives every draft its place: after those it requires, otherwise by address.
///
/// Edges between resources that only share a place in the world, or whose dependency ended, are
/// kept as long as they close no circle.
pub(super) fn arrange(planning: &Planning<'_>, drafts: Vec<Draft>) -> Vec<Step> {
    let by_address = ByAddress::of(&drafts);
    let mut edges: Edges = vec![BTreeSet::new(); drafts.len()];
    require_dependencies(planning, &by_address, &mut edges);
    let firm = edges.clone();
    free_before_use(planning, &drafts, &by_address, &mut edges);
    respect_places(&drafts, &mut edges);
    let order = sorted(&edges).filter(|order| order.len() == drafts.len());
    let (edges, order) = match order {
        Some(order) => (edges, order),
        None => {
            let order = sorted(&firm).unwrap_or_default();
            (firm, order)
        }
    };
    number(drafts, &edges, &order)
}

fn add(edges: &mut Edges, step: Option<&usize>, required: Option<&usize>) {
    if let (Some(step), Some(required)) = (step, required)
        && step != required
        && let Some(set) = edges.get_mut(*step)
    {
        set.insert(*required);
    }
}

/// Dependencies are made before and taken away after what depends on them; the old half of a
/// replace goes before the new one comes.
fn require_dependencies(planning: &Planning<'_>, by: &ByAddress<'_>, edges: &mut Edges) {
    for (address, required) in &planning.graph.dependencies {
        for target in required {
            add(edges, by.forward.get(address), by.forward.get(target));
        }
    }
    for (address, state) in &planning.input.base.resources {
        for local in &state.depends_on {
            let environment = address.environment.clone();
            let target = Address {
                environment,
                local: local.clone(),
            };
            add(edges, by.backward.get(&target), by.backward.get(address));
        }
    }
    for (address, make) in &by.forward {
        add(edges, Some(make), by.backward.get(address));
    }
}

/// What no longer depends on a deleted resource is changed before the resource goes.
fn free_before_use(
    planning: &Planning<'_>,
    drafts: &[Draft],
    by: &ByAddress<'_>,
    edges: &mut Edges,
) {
    for (address, state) in &planning.input.base.resources {
        for local in &state.depends_on {
            let environment = address.environment.clone();
            let target = Address {
                environment,
                local: local.clone(),
            };
            let deleted = by.backward.get(&target).filter(|index| {
                drafts
                    .get(**index)
                    .is_some_and(|draft| draft.step.action == Action::Delete)
            });
            if !by.backward.contains_key(address) {
                add(edges, deleted, by.forward.get(address));
            }
        }
    }
}

/// A place is freed before it is taken, and what lies in a folder comes after it and goes before.
fn respect_places(drafts: &[Draft], edges: &mut Edges) {
    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    let mut freed: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        let Some(place) = draft.place.as_deref() else {
            continue;
        };
        match draft.step.action {
            Action::Delete | Action::Remove => freed.insert(place, index),
            Action::Create | Action::Update | Action::Adopt | Action::Make => {
                made.insert(place, index)
            }
        };
    }
    for (place, index) in &made {
        add(edges, Some(index), freed.get(place));
        for parent in parents(place) {
            add(edges, Some(index), made.get(parent));
            add(edges, Some(index), freed.get(parent));
        }
    }
    for (place, index) in &freed {
        for parent in parents(place) {
            add(edges, freed.get(parent), Some(index));
            add(edges, made.get(parent), Some(index));
        }
    }
}

/// The folders that a place lies in, innermost first.
fn parents(place: &str) -> impl Iterator<Item = &str> {
    place
        .rmatch_indices('/')
        .filter_map(|(end, _)| place.get(..end))
        .filter(|p| !p.is_empty())
}

/// A path without `.` parts and doubled or trailing slashes, so that one place has one name.
pub(super) fn normal(path: &str) -> String {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

fn sorted(edges: &Edges) -> Option<Vec<usize>> {
    let mut dependants = vec![Vec::new(); edges.len()];
    for (index, required) in edges.iter().enumerate() {
        for target in required {
            dependants.get_mut(*target)?.push(index);
        }
    }
    Some(walk(&dependants, edges.iter().map(BTreeSet::len).collect()))
}

fn number(drafts: Vec<Draft>, edges: &Edges, order: &[usize]) -> Vec<Step> {
    let mut ids = vec![StepId(0); drafts.len()];
    for (id, index) in order.iter().enumerate() {
        if let Some(slot) = ids.get_mut(*index) {
            *slot = StepId(id as u32);
        }
    }
    let id_of = |index: &usize| ids.get(*index).copied().unwrap_or(StepId(0));
    let pairs = pairs(&drafts);
    let mut steps: Vec<Step> = drafts
        .into_iter()
        .enumerate()
        .map(|(index, draft)| {
            let mut requires: Vec<StepId> =
                edges.get(index).into_iter().flatten().map(id_of).collect();
            requires.sort_unstable();
            let pair = pairs.get(&index).map(id_of);
            Step {
                id: id_of(&index),
                requires,
                pair,
                ..draft.step
            }
        })
        .collect();
    steps.sort_by_key(|step| step.id);
    steps
}

/// The two halves of each replace stand next to each other among the drafts.
fn pairs(drafts: &[Draft]) -> BTreeMap<usize, usize> {
    let mut pairs = BTreeMap::new();
    for (index, window) in drafts.windows(2).enumerate() {
        if let [old, new] = window
            && old.step.action == Action::Remove
            && new.step.action == Action::Make
        {
            pairs.insert(index, index + 1);
            pairs.insert(index + 1, index);
        }
    }
    pairs
}
