//! Which Step requires which, and their order.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Finding, codes};
use crate::graph::{components, walk};
use crate::ids::{Address, StepId};
use crate::plan::{Action, Step};

use super::machine::Planning;
use super::places;
use super::steps::Draft;

/// For each draft, the drafts that must be done before.
pub(super) type Edges = Vec<BTreeSet<usize>>;

/// Gives every draft its place: after those it requires, otherwise by address.
///
/// Edges between resources that only share a place in the world, or whose dependency ended, are
/// kept as long as they close no circle.
///
/// Also answers a warning for each circle that was opened by leaving such edges out.
pub(super) fn arrange(planning: &Planning<'_>, drafts: Vec<Draft>) -> (Vec<Step>, Vec<Finding>) {
    let sides = Sides::of(planning, &drafts);
    let known = known_dependencies(planning, &drafts);
    let mut edges: Edges = vec![BTreeSet::new(); drafts.len()];
    require_dependencies(planning, &sides, &known, &mut edges);
    let firm = edges.clone();
    free_before_use(&drafts, &sides, &known, &mut edges);
    places::respect(&drafts, &mut edges);
    let findings = open_circles(&drafts, &firm, &mut edges);
    let order = sorted(&edges).unwrap_or_default();
    (number(drafts, &edges, &order), findings)
}

/// Leaves out the edges that are not firm within each circle, and only there: what is not in one
/// keeps its order.
fn open_circles(drafts: &[Draft], firm: &Edges, edges: &mut Edges) -> Vec<Finding> {
    let component = components(edges);
    let mut circles: BTreeMap<usize, BTreeSet<&Address>> = BTreeMap::new();
    for (own, required) in edges.iter_mut().enumerate() {
        let inside = component.get(own);
        let firm = firm.get(own);
        required.retain(|target| {
            let soft = firm.is_none_or(|firm| !firm.contains(target));
            let within = component.get(*target) == inside;
            if let (true, true, Some(circle)) = (soft, within, inside) {
                let names = circles.entry(*circle).or_default();
                names.extend(
                    [own, *target]
                        .iter()
                        .filter_map(|index| drafts.get(*index).map(|draft| &draft.step.address)),
                );
            }
            !(soft && within)
        });
    }
    circles.into_values().map(circle).collect()
}

fn circle(addresses: BTreeSet<&Address>) -> Finding {
    let names: Vec<String> = addresses.iter().map(|a| format!("`{}`", a.local)).collect();
    let message = format!(
        "{} take each other's places in a circle, so none of them is freed before it is taken",
        names.join(", ")
    );
    Finding::warning(&codes::PLACES, message).hint(
        "move one of them to a place that is free, in a commit of its own, and then the others",
    )
}

/// The drafts of each subject.
struct Sides {
    /// The one that makes or changes it.
    forward: Vec<Option<usize>>,
    /// The one that takes it away.
    backward: Vec<Option<usize>>,
    /// The one that gives what is there another address, before anything else.
    moves: Vec<Option<usize>>,
}

impl Sides {
    fn of(planning: &Planning<'_>, drafts: &[Draft]) -> Self {
        let none = vec![None; planning.subjects.len()];
        let mut found = Self {
            forward: none.clone(),
            backward: none.clone(),
            moves: none,
        };
        for (index, draft) in drafts.iter().enumerate() {
            let side = match draft.step.action {
                Action::Move => &mut found.moves,
                action if action.takes_away() => &mut found.backward,
                _ => &mut found.forward,
            };
            if let Some(slot) = side.get_mut(draft.subject) {
                *slot = Some(index);
            }
        }
        found
    }

    /// The one that makes or changes it, or moves it where nothing else does.
    fn forward(&self, subject: usize) -> Option<usize> {
        let forward = self.forward.get(subject).copied().flatten();
        forward.or_else(|| self.moved(subject))
    }

    fn moved(&self, subject: usize) -> Option<usize> {
        self.moves.get(subject).copied().flatten()
    }

    fn backward(&self, subject: usize) -> Option<usize> {
        self.backward.get(subject).copied().flatten()
    }
}

/// Each subject with one that it depends on in the state; they matter where something is taken
/// away.
fn known_dependencies(planning: &Planning<'_>, drafts: &[Draft]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    if !drafts.iter().any(|draft| draft.step.action.takes_away()) {
        return found;
    }
    for (own, subject) in planning.subjects.iter().enumerate() {
        let known = subject
            .state
            .into_iter()
            .flat_map(|state| &state.depends_on);
        let targets = known.filter_map(|local| planning.find(&subject.address.environment, local));
        found.extend(targets.map(|target| (own, target)));
    }
    found
}

pub(super) fn add(edges: &mut Edges, step: Option<usize>, required: Option<usize>) {
    if let (Some(step), Some(required)) = (step, required)
        && step != required
        && let Some(set) = edges.get_mut(step)
    {
        set.insert(required);
    }
}

/// Dependencies are made before and taken away after what depends on them; the old half of a
/// replace goes before the new one comes, or after it and after what depends on it has changed over.
fn require_dependencies(
    planning: &Planning<'_>,
    sides: &Sides,
    known: &[(usize, usize)],
    edges: &mut Edges,
) {
    for (own, required) in planning.dependencies.iter().enumerate() {
        let (forward, backward) = (sides.forward(own), sides.backward(own));
        for target in required {
            add(edges, forward, sides.forward(*target));
            if is_made_first(planning, *target) {
                add(edges, sides.backward(*target), forward);
            }
        }
        match is_made_first(planning, own) {
            true => add(edges, backward, forward),
            false => add(edges, forward, backward),
        }
        add(edges, forward, sides.moved(own));
        add(edges, backward, sides.moved(own));
    }
    for (own, target) in known {
        add(edges, sides.backward(*target), sides.backward(*own));
    }
}

fn is_made_first(planning: &Planning<'_>, own: usize) -> bool {
    let resource = planning.subjects.get(own).and_then(|one| one.resource);
    resource.is_some_and(|resource| resource.meta.create_first)
}

/// What no longer depends on a deleted resource is changed before the resource goes.
fn free_before_use(drafts: &[Draft], sides: &Sides, known: &[(usize, usize)], edges: &mut Edges) {
    let deletes = |index: &usize| {
        let draft = drafts.get(*index);
        draft.is_some_and(|draft| draft.step.action == Action::Delete)
    };
    for (own, target) in known {
        if sides.backward(*own).is_none() {
            let deleted = sides.backward(*target).filter(deletes);
            add(edges, deleted, sides.forward(*own));
        }
    }
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
        if let [one, other] = window
            && one.subject == other.subject
            && matches!(
                (one.step.action, other.step.action),
                (Action::Remove, Action::Make) | (Action::Make, Action::Remove)
            )
        {
            pairs.insert(index, index + 1);
            pairs.insert(index + 1, index);
        }
    }
    pairs
}
