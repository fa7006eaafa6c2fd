//! Steps and revisions that only a test of policies knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::Schema;
use jiff::Timestamp;
use serde::Deserialize;
use stratum_core::digest::Digest;
use stratum_core::ids::{Address, BranchName, EnvironmentName, ProviderName, StepId};
use stratum_core::kinds::Kind;
use stratum_core::plan::{Action, BaseId, Plan, Reason, Reversibility, Step};
use stratum_core::ports::{Effect, PlanRequest, Principal};
use stratum_core::resource::Meta;
use stratum_core::rules::Rules;
use stratum_core::run::Trigger;
use stratum_core::settings::{EnvironmentSettings, Settings, Signatures};
use stratum_core::signed::{Approval, Authored, Signer};
use stratum_core::trust::Trust;
use stratum_core::verdict::Judgement;

use crate::cases::{some_commit, some_time};
use crate::judge;
use crate::law::Law;

/// The `resource` of a case.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Thing {
    r#type: String,
    pub(crate) name: String,
    provider: String,
    kind: Kind,
    protected: bool,
    labels: BTreeMap<String, String>,
    /// Of a secret.
    pub(crate) path: String,
}

impl Default for Thing {
    fn default() -> Self {
        Self {
            r#type: "local_file".to_owned(),
            name: "example".to_owned(),
            provider: "local".to_owned(),
            kind: Kind::Infrastructure,
            protected: false,
            labels: BTreeMap::new(),
            path: "example".to_owned(),
        }
    }
}

/// The `context` of a case; what it leaves out is as on an ordinary day.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Circumstances {
    pub(crate) approvals: Vec<String>,
    branch: Option<String>,
    changes: Vec<String>,
    counts: Counts,
    now: Option<Timestamp>,
    pub(crate) own: bool,
    pinned: bool,
    protected_beside: bool,
    reason: String,
    reversibility: Reversibility,
    reviewed: bool,
    rewound: bool,
    signatures: Signatures,
    trigger: Trigger,
}

/// How many steps of each kind the plan has besides the one that is asked about.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Counts {
    create: usize,
    update: usize,
    delete: usize,
    replace: usize,
    adopt: usize,
    resources: u64,
}

impl Default for Circumstances {
    fn default() -> Self {
        Self {
            approvals: Vec::new(),
            branch: Some("main".to_owned()),
            changes: Vec::new(),
            counts: Counts::default(),
            now: None,
            own: false,
            pinned: false,
            protected_beside: false,
            reason: "changed".to_owned(),
            reversibility: Reversibility::Reversible,
            reviewed: false,
            rewound: false,
            signatures: Signatures::Required,
            trigger: Trigger::Push,
        }
    }
}

impl Circumstances {
    pub(crate) fn now(&self) -> Timestamp {
        self.now.unwrap_or_else(some_time)
    }
}

/// Who asks about what, where.
pub(crate) struct Scene<'a> {
    pub(crate) trust: Trust,
    pub(crate) principal: Principal,
    pub(crate) environment: EnvironmentName,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) protected: bool,
    pub(crate) thing: &'a Thing,
    pub(crate) circumstances: &'a Circumstances,
}

impl Scene<'_> {
    pub(crate) fn rules(&self) -> Result<Arc<Rules>, String> {
        let mut environments = BTreeMap::new();
        if self.circumstances.protected_beside {
            let beside = EnvironmentName::new("beside").map_err(|error| error.to_string())?;
            let labels = BTreeMap::from([("protected".to_owned(), "true".to_owned())]);
            let own = EnvironmentSettings {
                labels,
                ..EnvironmentSettings::default()
            };
            environments.insert(beside, own);
        }
        Ok(Arc::new(Rules {
            commit: some_commit()?,
            policies: Vec::new(),
            trust: Arc::new(self.trust.clone()),
            settings: Arc::new(Settings {
                name: "test".to_owned(),
                environments,
                records: Default::default(),
                drift: Default::default(),
                limits: Default::default(),
                signatures: Some(self.circumstances.signatures),
                approvals: Default::default(),
                knowledge: Default::default(),
                secrets: Default::default(),
                audit: Default::default(),
                retention: Default::default(),
            }),
        }))
    }
}

/// What policy says of one step.
pub(crate) fn step(
    schema: &Schema,
    law: &Law,
    scene: &Scene<'_>,
    action: &str,
) -> Result<Judgement, String> {
    let action = match action {
        "create" => Action::Create,
        "update" => Action::Update,
        "delete" => Action::Delete,
        "adopt" => Action::Adopt,
        _ => Action::Remove,
    };
    let mut steps = vec![made(scene, &scene.thing.name, action, 0)?];
    let counts = &scene.circumstances.counts;
    let more = [
        (Action::Create, counts.create),
        (Action::Update, counts.update),
        (Action::Delete, counts.delete),
        (Action::Make, counts.replace),
        (Action::Adopt, counts.adopt),
    ];
    for (action, count) in more {
        for number in 0..count {
            let place = steps.len();
            let name = format!("other-{}-{number}", action.as_str());
            steps.push(made(scene, &name, action, place)?);
        }
    }
    let request = request(scene, steps)?;
    let verdict = judge::judge(schema, law, &request)?;
    let first = verdict.steps.into_values().next();
    first.ok_or_else(|| "it was not judged".to_owned())
}

/// What policy says of coming to a revision.
pub(crate) fn advance(schema: &Schema, law: &Law, scene: &Scene<'_>) -> Result<Judgement, String> {
    let verdict = judge::judge(schema, law, &request(scene, Vec::new())?)?;
    verdict.whole.ok_or_else(|| "it was not judged".to_owned())
}

fn made(scene: &Scene<'_>, name: &str, action: Action, place: usize) -> Result<Step, String> {
    let thing = scene.thing;
    let text = format!("{}/{}.{name}", scene.environment, thing.r#type);
    let address: Address = text.parse().map_err(|error| format!("{error}"))?;
    let provider = ProviderName::new(thing.provider.as_str()).map_err(|error| error.to_string())?;
    Ok(Step {
        id: StepId(u32::try_from(place).unwrap_or(u32::MAX)),
        address,
        kind: thing.kind,
        provider,
        action,
        pair: None,
        reversibility: scene.circumstances.reversibility,
        effect: Effect::World,
        reason: reason(&scene.circumstances.reason)?,
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
        meta: Meta {
            protect: thing.protected,
            labels: thing.labels.clone(),
            ..Meta::default()
        },
        source: None,
    })
}

fn reason(text: &str) -> Result<Reason, String> {
    Ok(match text {
        "new" => Reason::New,
        "gone" => Reason::Gone,
        "changed" => Reason::Changed,
        "drifted" => Reason::Drifted,
        "cannot-change" => Reason::CannotChange(Vec::new()),
        "tainted" => Reason::Tainted,
        "not-in-repository" => Reason::NotInRepository,
        "adopted" => Reason::Adopted(String::new()),
        "due" => Reason::Due,
        "expired" => Reason::Expired,
        "superseded" => Reason::Superseded,
        "reads" => Reason::Reads,
        "not-running" => Reason::NotRunning(String::new()),
        "remembered" => Reason::Remembered,
        other => return Err(format!("there is no reason `{other}`")),
    })
}

fn request(scene: &Scene<'_>, steps: Vec<Step>) -> Result<PlanRequest, String> {
    let circumstances = scene.circumstances;
    let digest = Digest::of_bytes(b"imagined");
    let now = circumstances.now();
    let branch = circumstances.branch.as_deref().map(BranchName::new);
    let approvals = circumstances.approvals.iter().map(|name| Approval {
        by: name.clone(),
        tag: format!("stratum/approve/{digest}"),
        object: None,
        at: now,
        expires: Timestamp::MAX,
    });
    Ok(PlanRequest {
        plan: Arc::new(Plan {
            environment: scene.environment.clone(),
            revision: some_commit()?,
            inputs: digest,
            base: BaseId { serial: 0, digest },
            digest,
            steps,
            drifted: Vec::new(),
            blocked: Vec::new(),
            providers: Default::default(),
            warnings: Vec::new(),
            resources: circumstances.counts.resources,
        }),
        rules: scene.rules()?,
        labels: scene.labels.clone(),
        protected: scene.protected,
        trigger: match scene.principal {
            Principal::Reconciler => Trigger::Drift,
            _ => circumstances.trigger,
        },
        branch: branch.transpose().map_err(|error| error.to_string())?,
        authors: vec![authored(scene)?],
        changed: circumstances.changes.clone(),
        rewound: circumstances.rewound,
        pinned: circumstances.pinned,
        signatures: circumstances.signatures,
        ballot: digest,
        approvals: approvals.collect(),
        refused: Vec::new(),
        reviewed: circumstances
            .reviewed
            .then_some(digest)
            .into_iter()
            .collect(),
        now,
    })
}

fn authored(scene: &Scene<'_>) -> Result<Authored, String> {
    let (author, signer) = match &scene.principal {
        Principal::Person { name, key } => (
            name.clone(),
            Signer::Person {
                name: name.clone(),
                kind: *key,
                key: String::new(),
            },
        ),
        Principal::Unverified { author } => (author.clone(), nobody()),
        Principal::Reconciler => (String::new(), nobody()),
        Principal::Sealer { .. } | Principal::Agent { .. } => {
            return Err("sealers and agents push no changes".to_owned());
        }
    };
    Ok(Authored {
        commit: some_commit()?,
        author,
        signer,
    })
}

fn nobody() -> Signer {
    Signer::Nobody {
        why: "it is not signed".to_owned(),
    }
}
