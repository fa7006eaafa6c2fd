//! Runs, events, states and rows to fill a store with.
//!
//! Built through their JSON forms, so that a field that gets a default needs no change here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Error, json};
use stratum_core::digest::Digest;
use stratum_core::ids::{Address, CommitId, EnvironmentName, IdError, RunId, StepId, Token};
use stratum_core::journal::Event;
use stratum_core::plan::Plan;
use stratum_core::ports::{Certainty, Entry, EnvironmentRow, Observation, QueueEntry, StateChange};
use stratum_core::resource::{Checkpoint, ResourceState};
use stratum_core::run::Run;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A time: this many seconds after the beginning of 2026 (UTC).
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap_or(Timestamp::MAX)
}

/// The commit of everything here.
pub fn commit() -> Result<CommitId, IdError> {
    CommitId::new(COMMIT)
}

/// The address of resource `number` of an environment.
pub fn address(environment: &EnvironmentName, number: u32) -> Result<Address, IdError> {
    format!("{environment}/local_data.r{number}").parse()
}

/// A run that creates `steps` resources that do not depend on one another, planned on `serial`.
pub fn run(environment: &EnvironmentName, id: &str, serial: u64, steps: u32) -> Result<Run, Error> {
    run_of(environment, id, &plan(environment, serial, steps)?)
}

/// A run that carries out this plan, every step of which was allowed.
pub fn run_of(environment: &EnvironmentName, id: &str, plan: &Plan) -> Result<Run, Error> {
    let allowed = || json!({ "decision": "allow", "policies": [] });
    let steps = plan.steps.iter();
    let steps: BTreeMap<StepId, _> = steps.map(|step| (step.id, allowed())).collect();
    serde_json::from_value(json!({
        "id": id,
        "environment": environment,
        "trigger": "push",
        "revision": {
            "commit": COMMIT,
            "inputs": COMMIT,
            "author": "Ada <ada@example.org>",
            "committed_at": at(0),
            "subject": "a change",
            "message": "a change\n\nwith a reason\n",
        },
        "previous": null,
        "lease": 1,
        "started_at": at(1),
        "on_failure": "rollback",
        "plan": plan,
        "findings": [],
        "verdict": { "steps": steps },
    }))
}

/// A plan that creates `steps` resources that do not depend on one another.
pub fn plan(environment: &EnvironmentName, serial: u64, steps: u32) -> Result<Plan, Error> {
    let steps: Vec<_> = (0..steps).map(|number| step(environment, number)).collect();
    let digest = Digest::of_bytes(environment.as_str().as_bytes());
    serde_json::from_value(json!({
        "environment": environment,
        "revision": COMMIT,
        "inputs": digest,
        "base": { "serial": serial, "digest": digest },
        "digest": digest,
        "steps": steps,
        "drifted": [],
        "blocked": [],
        "resources": 0,
    }))
}

fn step(environment: &EnvironmentName, number: u32) -> serde_json::Value {
    json!({
        "id": number,
        "address": format!("{environment}/local_data.r{number}"),
        "kind": "infrastructure",
        "provider": "local",
        "action": "create",
        "reversibility": "reversible",
        "effect": stratum_core::ports::Effect::World,
        "reason": "new",
        "desired": { "input": format!("value {number}") },
        "planned": { "input": format!("value {number}"), "id": { "$stratum": "unknown" } },
        "kept": { "input": format!("value {number}") },
        "meta": {},
        "source": { "file": "layers/base.ncl", "line": number + 1, "column": 3 },
    })
}

/// The state of resource `number` with this value.
pub fn state(
    environment: &EnvironmentName,
    number: u32,
    value: &str,
) -> Result<ResourceState, Error> {
    serde_json::from_value(json!({
        "address": format!("{environment}/local_data.r{number}"),
        "kind": "infrastructure",
        "provider": "local",
        "instance": { "attributes": { "input": value, "output": value } },
        "schema_version": 1,
        "meta": {},
        "revision": COMMIT,
    }))
}

/// An event at this second that changes nothing in the state.
pub fn entry(second: i64, event: Event) -> Entry {
    Entry {
        at: at(second),
        event,
        change: None,
    }
}

/// The first event of a run.
pub fn started(run: &Run) -> Entry {
    let event = Event::Started {
        plan_digest: run.plan().digest,
        base: run.plan().base,
        revision: run.revision.commit.clone(),
        lease: run.lease,
    };
    entry(1, event)
}

/// A step begins where nothing was.
pub fn begun(run: &RunId, step: u32) -> Entry {
    let checkpoint = Checkpoint {
        before: None,
        kept: Default::default(),
    };
    let step = StepId(step);
    let token = Token::of(run, step);
    entry(
        2,
        Event::Begun {
            step,
            checkpoint: Box::new(checkpoint),
            token,
        },
    )
}

/// A step is done, and this is the state of its resource now.
pub fn done(step: u32, state: ResourceState) -> Entry {
    Entry {
        at: at(3),
        event: Event::Done {
            step: StepId(step),
            outcome: Some(Digest::of_json(&state)),
            notes: Vec::new(),
        },
        change: Some(StateChange::Put(Box::new(state))),
    }
}

/// A step failed.
pub fn failed(step: u32, error: &str) -> Entry {
    let event = Event::Failed {
        step: StepId(step),
        error: error.to_owned(),
        certainty: Certainty::NothingHappened,
        retry: None,
    };
    entry(3, event)
}

/// A step was put back to where nothing was.
pub fn restored(step: u32, address: Address) -> Entry {
    Entry {
        at: at(4),
        event: Event::Restored {
            step: StepId(step),
            outcome: None,
        },
        change: Some(StateChange::Remove(address)),
    }
}

/// What is remembered of an environment.
pub fn row(environment: &EnvironmentName, reason: &str) -> Result<EnvironmentRow, Error> {
    serde_json::from_value(json!({
        "name": environment,
        "condition": "Stalled",
        "reason": reason,
        "revision": COMMIT,
        "desired_revision": COMMIT,
        "inputs": null,
        "closure": { "layers/base.ncl": COMMIT },
        "hold": null,
        "root": "/srv",
        "last_run": null,
        "observed_at": null,
        "changed_at": at(5),
    }))
}

/// A look at resource `number` that found this value.
pub fn observation(
    environment: &EnvironmentName,
    number: u32,
    second: i64,
    value: &str,
) -> Result<Observation, Error> {
    serde_json::from_value(json!({
        "address": format!("{environment}/local_data.r{number}"),
        "at": at(second),
        "drifted": [],
        "report": { "present": { "attributes": { "input": value } } },
    }))
}

/// A queue entry for these inputs.
pub fn queued(
    environment: &EnvironmentName,
    inputs: &str,
    second: i64,
) -> Result<QueueEntry, Error> {
    serde_json::from_value(json!({
        "environment": environment,
        "commit": COMMIT,
        "inputs": inputs,
        "reason": "push",
        "not_before": at(second),
        "attempts": 0,
    }))
}
