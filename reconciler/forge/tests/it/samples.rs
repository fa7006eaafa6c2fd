//! Plans made by hand.

use stratum_core::digest::Digest;
use stratum_core::ids::{Address, CommitId, EnvironmentName, ProviderName, StepId};
use stratum_core::kinds::Kind;
use stratum_core::plan::{Action, BaseId, Change, Plan, Reason, Reversibility, Step};
use stratum_core::ports::Effect;
use stratum_core::resource::Meta;
use stratum_core::source::Source;
use stratum_core::value::{Path, SecretReference, Value};
use stratum_core::verdict::{Decision, Judgement, Policy, Verdict};

pub(crate) fn commit(letter: char) -> CommitId {
    CommitId::new(letter.to_string().repeat(40)).unwrap()
}

pub(crate) fn environment(name: &str) -> EnvironmentName {
    EnvironmentName::new(name).unwrap()
}

/// A plan of these steps, numbered in their order.
pub(crate) fn plan(name: &str, mut steps: Vec<Step>) -> Plan {
    for (number, step) in steps.iter_mut().enumerate() {
        step.id = StepId(number as u32);
        step.address.environment = environment(name);
        if step.action == Action::Make {
            step.pair = Some(StepId(number as u32 - 1));
        }
        if step.action == Action::Remove {
            step.pair = Some(StepId(number as u32 + 1));
        }
    }
    let digest = Digest::of_json(&steps);
    Plan {
        environment: environment(name),
        revision: commit('a'),
        inputs: Digest::of_bytes(b"inputs"),
        base: BaseId {
            serial: 3,
            digest: Digest::of_bytes(b"base"),
        },
        digest,
        resources: steps.len() as u64,
        steps,
        drifted: Vec::new(),
        blocked: Vec::new(),
        providers: Default::default(),
        warnings: Vec::new(),
    }
}

pub(crate) fn step(action: Action, address: &str, changes: Vec<Change>) -> Step {
    let address: Address = format!("e/{address}").parse().unwrap();
    let reason = match action {
        Action::Create => Reason::New,
        Action::Update => Reason::Changed,
        Action::Delete => Reason::NotInRepository,
        Action::Adopt => Reason::Adopted("/etc/motd".to_owned()),
        Action::Move => Reason::Moved("local_file.motd".parse().unwrap()),
        Action::Read => Reason::Reads,
        Action::Remove | Action::Make => Reason::CannotChange(vec![Path::of("path")]),
    };
    Step {
        id: StepId(0),
        kind: Kind::Infrastructure,
        provider: ProviderName::new("local").unwrap(),
        source: Some(Source::new("infra/production.ncl", 12, 3)),
        address,
        action,
        pair: None,
        reversibility: Reversibility::Reversible,
        effect: Effect::World,
        reason,
        changes,
        requires: Vec::new(),
        prior: None,
        desired: None,
        planned: None,
        kept: Default::default(),
        private: Default::default(),
        from: None,
        sensitive: Default::default(),
        was: None,
        meta: Meta::default(),
    }
}

pub(crate) fn change(path: &str, before: Option<Value>, after: Option<Value>) -> Change {
    Change {
        path: Path(path.to_owned()),
        before,
        after,
        sensitive: false,
        source: None,
    }
}

pub(crate) fn text(text: &str) -> Option<Value> {
    Some(Value::text(text))
}

pub(crate) fn secret(version: u64) -> Option<Value> {
    Some(Value::secret(SecretReference {
        path: "database".to_owned(),
        key: "password".to_owned(),
        version: Some(version),
        digest: Some(Digest::of_bytes(&version.to_be_bytes())),
    }))
}

/// The same judgement for every step.
pub(crate) fn verdict(plan: &Plan, decision: &Decision, id: &str, reason: &str) -> Verdict {
    let judgement = Judgement {
        decision: decision.clone(),
        policies: vec![Policy {
            id: id.to_owned(),
            reason: reason.to_owned(),
        }],
    };
    let steps = plan.steps.iter().map(|step| (step.id, judgement.clone()));
    Verdict {
        steps: steps.collect(),
        ..Verdict::default()
    }
}
