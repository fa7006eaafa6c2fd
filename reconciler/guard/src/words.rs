//! What steps and principals are called in policies, and for people.

use stratum_core::plan::{Action, Plan, Reason, Step};
use stratum_core::ports::{Act, Principal};
use stratum_core::resource::Meta;

/// The action of a step.
pub(crate) fn action(step: &Step) -> &'static str {
    match step.action {
        // What changes only what stratum knows is judged like a change of it.
        Action::Move | Action::Read => Action::Update.as_str(),
        action => action.as_str(),
    }
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
        Reason::Due => "due",
        Reason::Expired => "expired",
        Reason::Moved(_) => "moved",
        Reason::Superseded => "superseded",
        Reason::Reads => "reads",
        Reason::Remembered => "remembered",
    }
}

/// The reversibility that counts: both halves of a replace have that of the worse one.
pub(crate) fn reversibility(plan: &Plan, step: &Step) -> &'static str {
    plan.reversibility(step).as_str()
}

/// The settings that a resource will have after a step, or had where it goes. Both halves of a
/// replace have those of what is made.
pub(crate) fn after<'p>(plan: &'p Plan, step: &'p Step) -> &'p Meta {
    match step.action {
        Action::Remove => step
            .pair
            .and_then(|id| plan.step(id))
            .map_or(&step.meta, |pair| &pair.meta),
        Action::Create
        | Action::Update
        | Action::Delete
        | Action::Adopt
        | Action::Make
        | Action::Move
        | Action::Read => &step.meta,
    }
}

/// The settings that a resource had before a step; `None` where there was none. Both halves of a
/// replace have those of what is taken away.
pub(crate) fn before<'p>(plan: &'p Plan, step: &'p Step) -> Option<&'p Meta> {
    match step.action {
        Action::Create | Action::Adopt => step.was.as_ref(),
        Action::Make => match step.pair.and_then(|id| plan.step(id)) {
            Some(removal) => Some(&removal.meta),
            None => Some(step.was.as_ref().unwrap_or(&step.meta)),
        },
        Action::Update | Action::Remove | Action::Delete | Action::Move | Action::Read => {
            Some(step.was.as_ref().unwrap_or(&step.meta))
        }
    }
}

/// Those from before, where policy would see that they were others.
pub(crate) fn changed<'p>(plan: &'p Plan, step: &'p Step) -> Option<&'p Meta> {
    let after = after(plan, step);
    let other = |before: &&Meta| before.labels != after.labels || before.protect != after.protect;
    before(plan, step).filter(other)
}

/// Labels, each as `name=value`.
pub(crate) fn labels(meta: Option<&Meta>) -> Vec<String> {
    let labels = meta.iter().flat_map(|meta| &meta.labels);
    labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
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
