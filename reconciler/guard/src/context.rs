//! The contexts that policies see.

use std::collections::BTreeSet;

use cedar_policy::{Context, EntityUid, RestrictedExpression as Value};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use stratum_core::ports::{Act, PlanRequest};
use stratum_core::trust::Trust;

use crate::entities::{text, uid};
use crate::judge::signers;
use crate::place::one_line;

type Pairs = Vec<(&'static str, Value)>;

/// Who approved, in a question that is asked, or only imagined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Approvers(pub(crate) BTreeSet<String>);

/// What is the same for every step.
pub(crate) fn plan(
    request: &PlanRequest,
    approvers: &Approvers,
    reviewed: bool,
) -> Result<Pairs, String> {
    let trust: &Trust = &request.rules.trust;
    let mut pairs = time(request.now);
    pairs.extend(approved(trust, approvers)?);
    if let Some(branch) = &request.branch {
        pairs.push(("branch", text(branch.as_str())));
    }
    let people = i64::try_from(signers(trust, request.now).len()).unwrap_or(i64::MAX);
    pairs.push(("people", Value::new_long(people)));
    pairs.push(("pinned", Value::new_bool(request.pinned)));
    pairs.push(("plan", counts(request)?));
    let beside = request.protected || request.rules.settings.protects_any();
    pairs.push(("protectedBeside", Value::new_bool(beside)));
    pairs.push(("reviewed", Value::new_bool(reviewed)));
    pairs.push(("signatures", text(request.signatures.as_str())));
    pairs.push(("trigger", text(request.trigger.as_str())));
    Ok(pairs)
}

/// What differs from step to step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct About {
    pub(crate) reason: &'static str,
    pub(crate) reversibility: &'static str,
    /// The labels that the resource had, each as `name=value`.
    pub(crate) labels_before: Vec<String>,
    pub(crate) protected_before: bool,
}

/// The context of a step.
pub(crate) fn step(plan: &Pairs, about: &About) -> Result<Context, String> {
    let mut pairs = plan.clone();
    let labels = about.labels_before.iter().map(|label| text(label.as_str()));
    pairs.push(("labelsBefore", Value::new_set(labels)));
    pairs.push(("protectedBefore", Value::new_bool(about.protected_before)));
    pairs.push(("reason", text(about.reason)));
    pairs.push(("reversibility", text(about.reversibility)));
    context(pairs)
}

/// The context of coming to a revision.
pub(crate) fn advance(plan: &Pairs, request: &PlanRequest) -> Result<Context, String> {
    let mut pairs = plan.clone();
    let changes = request.changed.iter().map(|name| text(name.as_str()));
    pairs.push(("changes", Value::new_set(changes)));
    pairs.push(("rewound", Value::new_bool(request.rewound)));
    context(pairs)
}

/// The context of anything else.
pub(crate) fn act(act: &Act, now: Timestamp) -> Result<Context, String> {
    let mut pairs = time(now);
    match act {
        Act::Approve { own, .. } => pairs.push(("own", Value::new_bool(*own))),
        Act::Seal { .. }
        | Act::ReadSecret { .. }
        | Act::AllowRollback { .. }
        | Act::Retry { .. }
        | Act::Suspend
        | Act::Resume
        | Act::RunPipeline { .. }
        | Act::Propose { .. }
        | Act::SubmitForm { .. } => {}
    }
    context(pairs)
}

fn context(pairs: Pairs) -> Result<Context, String> {
    let pairs = pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Context::from_pairs(pairs).map_err(|error| one_line(&error.to_string()))
}

fn time(now: Timestamp) -> Pairs {
    let utc = TimeZone::UTC.to_datetime(now);
    let weekday = match utc.weekday() {
        jiff::civil::Weekday::Monday => "monday",
        jiff::civil::Weekday::Tuesday => "tuesday",
        jiff::civil::Weekday::Wednesday => "wednesday",
        jiff::civil::Weekday::Thursday => "thursday",
        jiff::civil::Weekday::Friday => "friday",
        jiff::civil::Weekday::Saturday => "saturday",
        jiff::civil::Weekday::Sunday => "sunday",
    };
    vec![
        ("hour", Value::new_long(i64::from(utc.hour()))),
        (
            "now",
            Value::new_datetime(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ),
        ("weekday", text(weekday)),
    ]
}

fn approved(trust: &Trust, approvers: &Approvers) -> Result<Pairs, String> {
    let people = approvers.0.iter().map(|name| uid("Author", name));
    let groups: BTreeSet<&str> = approvers
        .0
        .iter()
        .flat_map(|name| trust.groups_of(name))
        .collect();
    let groups = groups.into_iter().map(|name| uid("Group", name));
    let count = i64::try_from(approvers.0.len()).unwrap_or(i64::MAX);
    Ok(vec![
        ("approvals", Value::new_long(count)),
        ("approvedBy", set(people)?),
        ("approvedByGroups", set(groups)?),
    ])
}

fn set(ids: impl Iterator<Item = Result<EntityUid, String>>) -> Result<Value, String> {
    let ids: Result<Vec<EntityUid>, String> = ids.collect();
    Ok(Value::new_set(ids?.into_iter().map(Value::new_entity_uid)))
}

fn counts(request: &PlanRequest) -> Result<Value, String> {
    let summary = request.plan.summary();
    let counts = [
        ("adopt", summary.adopt),
        ("create", summary.create),
        ("delete", summary.delete),
        ("replace", summary.replace),
        ("resources", request.plan.resources),
        ("update", summary.update),
    ];
    let fields = counts.map(|(name, count)| {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        (name.to_owned(), Value::new_long(count))
    });
    Value::new_record(fields).map_err(|error| error.to_string())
}
