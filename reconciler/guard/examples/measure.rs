//! Judges a plan of 5,000 steps with 100 policies, and prints the processor time it took.
//!
//! `cargo run --release -p stratum-guard --example measure`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for people who measure, outside the product"
)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stratum_core::digest::Digest;
use stratum_core::ids::{CommitId, EnvironmentName, ObjectId, ProviderName, StepId};
use stratum_core::kinds::Kind;
use stratum_core::plan::{Action, BaseId, Plan, Reason, Reversibility, Step};
use stratum_core::ports::{Effect, Gate as _, PlanRequest};
use stratum_core::resource::Meta;
use stratum_core::rules::{PolicyFile, Rules};
use stratum_core::run::Trigger;
use stratum_core::settings::Signatures;
use stratum_core::signed::{Authored, KeyKind, Signer};
use stratum_core::trust::{Person, Trust};
use stratum_guard::{CedarGate, shipped};

const STEPS: u32 = 5_000;
const POLICIES: usize = 100;

fn main() {
    let gate = CedarGate::default();
    for (what, personal) in [("grouped", false), ("every step by itself", true)] {
        let request = request(personal);
        let first = timed(|| drop(gate.judge(&request).unwrap()));
        let again = timed(|| drop(gate.judge(&request).unwrap()));
        println!(
            "{STEPS} steps, {POLICIES} policies, {what}: {} ms, and {} ms with parsed policies",
            first.as_millis(),
            again.as_millis()
        );
    }
}

/// Wall time of one thread that only computes; on a busy machine more than processor time.
fn timed(work: impl FnOnce()) -> Duration {
    let before = (processor(), Instant::now());
    work();
    match (before.0, processor()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => before.1.elapsed(),
    }
}

/// Processor time of this thread, where the system tells (`/proc/thread-self/schedstat`).
fn processor() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

fn request(personal: bool) -> PlanRequest {
    let commit = CommitId::new("0".repeat(40)).unwrap();
    let environment = EnvironmentName::new("production").unwrap();
    let digest = Digest::of_bytes(b"measure");
    let person = Person {
        ssh: vec!["ssh-ed25519".to_owned()],
        ..Person::default()
    };
    let people = (0..10).map(|number| (format!("person{number}"), person.clone()));
    let settings = r#"{"name":"measure","environments":{"production":{}}}"#;
    PlanRequest {
        plan: Arc::new(Plan {
            environment,
            revision: commit.clone(),
            inputs: digest,
            base: BaseId { serial: 0, digest },
            digest,
            steps: (0..STEPS).map(step).collect(),
            drifted: Vec::new(),
            blocked: Vec::new(),
            providers: Default::default(),
            warnings: Vec::new(),
            resources: u64::from(STEPS),
        }),
        rules: Arc::new(Rules {
            commit: commit.clone(),
            policies: vec![policies(personal)],
            trust: Arc::new(Trust {
                people: people.collect(),
                ..Trust::default()
            }),
            settings: Arc::new(serde_json::from_str(settings).unwrap()),
        }),
        labels: Default::default(),
        protected: false,
        trigger: Trigger::Push,
        branch: None,
        authors: vec![Authored {
            commit,
            author: "Person <person0@example.org>".to_owned(),
            signer: Signer::Person {
                name: "person0".to_owned(),
                kind: KeyKind::Ssh,
                key: String::new(),
            },
        }],
        changed: Vec::new(),
        rewound: false,
        pinned: false,
        signatures: Signatures::Required,
        ballot: digest,
        approvals: Vec::new(),
        refused: Vec::new(),
        reviewed: Vec::new(),
        now: jiff::Timestamp::from_second(1_764_072_000).unwrap(),
    }
}

fn step(number: u32) -> Step {
    Step {
        id: StepId(number),
        address: format!("production/local_file.f{number}").parse().unwrap(),
        kind: Kind::Infrastructure,
        provider: ProviderName::new("local").unwrap(),
        action: if number.is_multiple_of(10) {
            Action::Delete
        } else {
            Action::Create
        },
        pair: None,
        reversibility: match number % 20 {
            0 => Reversibility::Irreversible,
            _ => Reversibility::Reversible,
        },
        effect: Effect::World,
        reason: Reason::New,
        changes: Vec::new(),
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
        source: None,
    }
}

/// Policies of a repository, so many that with those that ship there are a hundred.
fn policies(personal: bool) -> PolicyFile {
    let mut text = String::new();
    for number in 0..POLICIES - shipped().len() {
        let condition = match personal {
            true => format!("resource.name like \"x{number}-*\""),
            false => format!("resource.type == \"type{number}\""),
        };
        let _infallible = writeln!(
            text,
            "@id(\"own-{number}\") @reason(\"none of these\")\n\
             forbid (principal is Author, action in Action::\"apply\", resource is Resource)\n\
             when {{ {condition} && context.hour > 30 }};"
        );
    }
    PolicyFile {
        path: "policies/own.cedar".to_owned(),
        id: ObjectId::new(Digest::of_bytes(text.as_bytes()).to_string()).unwrap(),
        text: text.into(),
    }
}
