//! What steps and principals are called in policies, and for people.

use stratum_core::plan::{Action, Plan, Reason, Step};
use stratum_core::ports::{Act, Principal};

/// The action of a step.
pub(crate) fn action(step: &Step) -> &'static str {
    step.action.as_str()
}

/// Why there is a step.
pub(crate) fn reason(step: &Step) -> &'static str {
    match step.reason {
        Reason::New => "new",
        Reason::Gone => "gone",
        Reason::Changed => "changed",
        Reason::Drifted => "drifted",
        Reason::CannotChange(_) => "cannot-change",
        Reason::Tainted => "tainted",
        Reason::NotInRepository => "not-in-repository",
        Reason::Adopted(_) => "adopted",
        Reason::NotRunning(_) => "not-running",
        Reason::Remembered => "remembered",
    }
}

/// The reversibility that counts: both halves of a replace have that of what is taken away.
pub(crate) fn reversibility(plan: &Plan, step: &Step) -> &'static str {
    let removal = match step.action {
        Action::Make => step.pair.and_then(|id| plan.step(id)).unwrap_or(step),
        Action::Create | Action::Update | Action::Delete | Action::Adopt | Action::Remove => step,
    };
    removal.reversibility.as_str()
}

/// For people.
pub(crate) fn who(principal: &Principal) -> String {
    match principal {
        Principal::Person { name, .. } => format!("`{name}`"),
        Principal::Unverified { author } => format!("`{author}`, whose signature is not verified,"),
        Principal::Sealer { name } => format!("the sealer `{name}`"),
        Principal::Agent { role } => format!("the agent `{role}`"),
        Principal::Reconciler => "the reconciler".to_owned(),
    }
}

/// The action of an act.
pub(crate) fn act(act: &Act) -> &'static str {
    match act {
        Act::Seal { .. } => "seal",
        Act::ReadSecret { .. } => "readSecret",
        Act::AllowRollback { .. } => "allowRollback",
        Act::Approve { .. } => "approve",
        Act::Retry { .. } => "retry",
        Act::Suspend => "suspend",
        Act::Resume => "resume",
        Act::RunPipeline { .. } => "runPipeline",
        Act::Propose { .. } => "propose",
        Act::SubmitForm { .. } => "submitForm",
    }
}
