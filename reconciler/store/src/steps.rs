//! The steps of a plan, as the store needs them: which address each is about, and the order in
//! which their addresses are numbered.

use std::collections::BTreeMap;

use serde::Serialize;
use stratum_core::ids::{Address, StepId};
use stratum_core::plan::Plan;

/// Which address each step is about. Asked for by the id of the step only: no order of steps can
/// be taken for another one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Steps(BTreeMap<StepId, Address>);

impl Steps {
    /// Those of a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        let pairs = plan.steps.iter();
        pairs.map(|step| (step.id, step.address.clone())).collect()
    }

    /// The address that a step is about; `None` when the plan has no such step.
    pub(crate) fn address(&self, step: StepId) -> Option<&Address> {
        self.0.get(&step)
    }
}

impl FromIterator<(StepId, Address)> for Steps {
    fn from_iter<I: IntoIterator<Item = (StepId, Address)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// The addresses of a plan, those first whose steps wait for the fewest others in a row: about the
/// order in which they are done, so that what is appended together lies together.
///
/// It can be written and nothing else: its places are no numbers of steps.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct ByDepth<'p>(Vec<&'p Address>);

impl<'p> ByDepth<'p> {
    /// Those of a plan.
    pub(crate) fn of(plan: &'p Plan) -> Self {
        let mut depths: BTreeMap<StepId, usize> = BTreeMap::new();
        for step in &plan.steps {
            let below = step.requires.iter().filter_map(|id| depths.get(id)).max();
            let depth = below.map_or(0, |depth| depth.saturating_add(1));
            depths.insert(step.id, depth);
        }
        let mut steps: Vec<_> = plan.steps.iter().collect();
        steps.sort_by_key(|step| depths.get(&step.id).copied());
        Self(steps.into_iter().map(|step| &step.address).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_core::ids::EnvironmentName;
    use stratum_testkit::store::sample;

    fn layered() -> Plan {
        let environment = EnvironmentName::new("e").unwrap();
        let mut plan = sample::plan(&environment, 0, 5).unwrap();
        for (step, required) in [(1, vec![0]), (2, vec![1]), (4, vec![0, 3])] {
            plan.steps[step].requires = required.into_iter().map(StepId).collect();
        }
        plan
    }

    #[test]
    fn steps_lie_in_the_order_in_which_they_are_done() {
        let plan = layered();
        let written = serde_json::to_value(ByDepth::of(&plan)).unwrap();
        let order = [0, 3, 1, 4, 2].map(|step| plan.steps[step].address.to_string());
        assert_eq!(written, serde_json::json!(order));
    }

    #[test]
    fn a_step_is_about_its_own_address_in_whatever_order_they_lie() {
        let plan = layered();
        let steps = Steps::of(&plan);
        for step in &plan.steps {
            assert_eq!(steps.address(step.id), Some(&step.address));
        }
        assert_eq!(steps.address(StepId(5)), None);
    }
}
