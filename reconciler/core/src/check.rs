//! Plan -> Findings: what must not be applied whatever policy says.

use crate::finding::{Finding, codes};
use crate::plan::{Action, Plan, Step};
use crate::ports::Base;
use crate::settings::EnvironmentSettings;
use crate::source::Source;

/// Where what is about an environment as a whole is decided.
const SETTINGS: &str = "stratum.ncl";

/// Checks a plan against `protect`, the deletion budget, and the emptying of an environment.
///
/// `settings` are those that hold: of the Revision, and where the base knows the environment, those
/// of the base too. What any of them forbids is forbidden: a push does not bring its own leave.
pub fn check(plan: &Plan, base: &Base, settings: &[&EnvironmentSettings]) -> Vec<Finding> {
    let removals: Vec<&Step> = plan
        .steps
        .iter()
        .filter(|step| step.action.takes_away())
        .collect();
    let mut findings: Vec<Finding> = removals
        .iter()
        .filter(|step| step.meta.protect)
        .map(|step| protected(step))
        .collect();
    findings.extend(plan.warnings.iter().cloned());
    let budgets = settings.iter().copied();
    findings.extend(
        budgets
            .clone()
            .find_map(|settings| over_budget(plan, &removals, base, settings)),
    );
    findings.extend(
        budgets
            .clone()
            .find_map(|settings| emptied(plan, base, settings)),
    );
    findings
}

fn protected(step: &Step) -> Finding {
    let what = if step.action == Action::Delete {
        "deleted"
    } else {
        "replaced"
    };
    let message = format!("`{}` is protected and would be {what}", step.address);
    let mut finding = Finding::error(&codes::PROTECTED, message)
        .hint("set `meta.protect = false` in a commit of its own first");
    finding.source = step.source.clone();
    finding
}

fn over_budget(
    plan: &Plan,
    removals: &[&Step],
    base: &Base,
    settings: &EnvironmentSettings,
) -> Option<Finding> {
    let budget = settings.max_deletes?;
    let allowed = budget.allows(base.resources.len());
    let wanted = removals.len() as u64;
    (wanted > allowed).then(|| {
        let message = format!(
            "`{}` would lose {wanted} of {} resources; `max_deletes` allows {allowed}",
            plan.environment,
            base.resources.len()
        );
        Finding::error(&codes::DELETION_BUDGET, message)
            .at(Source::start_of(SETTINGS))
            .hint("raise `max_deletes` in `stratum.ncl` in a push of its own, or delete in several")
    })
}

fn emptied(plan: &Plan, base: &Base, settings: &EnvironmentSettings) -> Option<Finding> {
    let emptied = plan.resources == 0 && !base.resources.is_empty() && !settings.empty;
    emptied.then(|| {
        let message = format!(
            "`{}` would lose all of its {} resources",
            plan.environment,
            base.resources.len()
        );
        Finding::error(&codes::EMPTIED, message)
            .at(Source::start_of(SETTINGS))
            .hint(
                "if that is meant, set `empty = true` for the environment in `stratum.ncl`, in a \
                 push of its own",
            )
    })
}
