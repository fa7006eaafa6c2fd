//! Judging with several authors, and with what was and what will be.

use std::sync::Arc;

use cedar_policy::Schema;
use stratum_core::digest::Digest;
use stratum_core::ids::{CommitId, EnvironmentName, ObjectId, ProviderName, StepId};
use stratum_core::kinds::Kind;
use stratum_core::plan::{Action, BaseId, Plan, Reason, Reversibility, Step};
use stratum_core::ports::{Confined, ConfinedError, Effect, PlanRequest};
use stratum_core::resource::Meta;
use stratum_core::rules::{PolicyFile, Rules};
use stratum_core::run::Trigger;
use stratum_core::settings::{Settings, Signatures};
use stratum_core::signed::{Authored, KeyKind, Signer};
use stratum_core::trust::{Person, Trust};
use stratum_core::verdict::{Decision, Verdict};

use crate::law::Laws;
use crate::{SCHEMA, judge, lockout};

const CRITICAL: &str = "@id(\"critical\") @reason(\"critical things need an approval\")\n\
    forbid (principal, action in Action::\"apply\", resource is Resource)\n\
    when { resource.hasTag(\"tier\") && resource.getTag(\"tier\") == \"critical\"\n\
           && context.approvals == 0 };\n";

struct Court {
    schema: Arc<Schema>,
    laws: Laws,
}

impl Court {
    fn new() -> Self {
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).unwrap();
        let schema = Arc::new(schema);
        let laws = Laws::new(Arc::clone(&schema), None).unwrap();
        Self { schema, laws }
    }

    fn judge(&self, policies: &str, request: &PlanRequest) -> Verdict {
        let law = self.laws.law(&files(policies)).unwrap();
        judge::judge(&self.schema, &law, request).unwrap()
    }

    fn decisions(&self, policies: &str, request: &PlanRequest) -> Vec<String> {
        let steps = self.judge(policies, request).steps;
        steps
            .values()
            .map(|one| one.decision.as_str().to_owned())
            .collect()
    }

    fn lockout(&self, policies: &str, settings: &str, trust: &Trust) -> Vec<String> {
        let case = lockout::Case {
            schema: &self.schema,
            law: &self.laws.law(&files(policies)).unwrap(),
            shipped: &self.laws.law(&[]).unwrap(),
            trust,
            settings: &serde_json::from_str(settings).unwrap(),
            now: crate::cases::some_time(),
        };
        let found = lockout::findings(&case);
        found
            .iter()
            .map(|one| format!("{} {}", one.code, one.is_error()))
            .collect()
    }
}

fn files(text: &str) -> Vec<PolicyFile> {
    let id = ObjectId::new(Digest::of_bytes(text.as_bytes()).to_string()).unwrap();
    let path = "policies/own.cedar".to_owned();
    match text.is_empty() {
        true => Vec::new(),
        false => vec![PolicyFile {
            path,
            id,
            text: text.into(),
        }],
    }
}

fn trust(people: &[&str]) -> Trust {
    let person = || Person {
        ssh: vec!["ssh-ed25519 AAAA".to_owned()],
        ..Person::default()
    };
    Trust {
        people: people
            .iter()
            .map(|name| ((*name).to_owned(), person()))
            .collect(),
        ..Trust::default()
    }
}

fn meta(tier: Option<&str>) -> Meta {
    let label = tier.map(|tier| ("tier".to_owned(), tier.to_owned()));
    Meta {
        labels: label.into_iter().collect(),
        ..Meta::default()
    }
}

fn step(id: u32, action: Action, meta: Meta, was: Option<Meta>) -> Step {
    Step {
        id: StepId(id),
        address: "e/local_data.a".parse().unwrap(),
        kind: Kind::Infrastructure,
        provider: ProviderName::new("local").unwrap(),
        action,
        pair: None,
        reversibility: Reversibility::Reversible,
        effect: Effect::World,
        reason: Reason::Changed,
        changes: Vec::new(),
        requires: Vec::new(),
        prior: None,
        desired: None,
        planned: None,
        kept: Default::default(),
        sensitive: Default::default(),
        private: Default::default(),
        from: None,
        was,
        meta,
        source: None,
    }
}

fn author(name: Option<&str>) -> Authored {
    Authored {
        commit: CommitId::new("0".repeat(40)).unwrap(),
        author: name.unwrap_or("Eve <e@e>").to_owned(),
        signer: match name {
            Some(name) => Signer::Person {
                name: name.to_owned(),
                kind: KeyKind::Ssh,
                key: String::new(),
            },
            None => Signer::Nobody {
                why: "it is not signed".to_owned(),
            },
        },
    }
}

fn request(authors: &[Option<&str>], steps: Vec<Step>) -> PlanRequest {
    let digest = Digest::of_bytes(b"test");
    let commit = CommitId::new("0".repeat(40)).unwrap();
    let settings: Settings = serde_json::from_str(r#"{"name":"t","environments":{}}"#).unwrap();
    PlanRequest {
        plan: Arc::new(Plan {
            environment: EnvironmentName::new("e").unwrap(),
            revision: commit.clone(),
            inputs: digest,
            base: BaseId { serial: 0, digest },
            digest,
            steps,
            drifted: Vec::new(),
            blocked: Vec::new(),
            warnings: Vec::new(),
            providers: Default::default(),
            resources: 1,
        }),
        rules: Arc::new(Rules {
            commit,
            policies: Vec::new(),
            trust: Arc::new(trust(&["ada", "ben", "cleo"])),
            settings: Arc::new(settings),
        }),
        labels: Default::default(),
        protected: false,
        trigger: Trigger::Push,
        branch: None,
        authors: authors.iter().map(|name| author(*name)).collect(),
        changed: Vec::new(),
        rewound: false,
        pinned: false,
        signatures: Signatures::Required,
        ballot: digest,
        approvals: Vec::new(),
        refused: Vec::new(),
        reviewed: Vec::new(),
        now: crate::cases::some_time(),
    }
}

/// Mutation C.2: with the mildest answer instead of the strictest, one good author would do.
#[test]
fn of_several_authors_each_must_be_allowed() {
    let court = Court::new();
    let one = || vec![step(0, Action::Update, meta(None), None)];
    for authors in [
        vec![Some("ada"), None],
        vec![None, Some("ada")],
        vec![Some("ada"), None, Some("ben")],
    ] {
        let verdict = court.judge("", &request(&authors, one()));
        assert_eq!(
            verdict.steps[&StepId(0)].decision,
            Decision::Deny,
            "{authors:?}"
        );
        assert_eq!(verdict.whole.unwrap().decision, Decision::Deny);
    }
    let verdict = court.judge("", &request(&[Some("ada"), Some("ben")], one()));
    assert_eq!(verdict.steps[&StepId(0)].decision, Decision::Allow);
    // One needs an approval, one does not: it is needed, from who may give it for all.
    let own = "@id(\"ben\") @reason(\"r\") forbid (principal == Author::\"ben\", \
               action in Action::\"apply\", resource is Resource) when { context.approvals == 0 };";
    for authors in [[Some("ada"), Some("ben")], [Some("ben"), Some("ada")]] {
        let verdict = court.judge(own, &request(&authors, one()));
        let decision = &verdict.steps[&StepId(0)].decision;
        assert_eq!(
            *decision,
            Decision::NeedsApproval {
                by: vec!["cleo".to_owned()]
            }
        );
    }
}

#[test]
fn leaving_a_label_away_leaves_no_policy_away() {
    let court = Court::new();
    let was = || Some(meta(Some("critical")));
    let ada = |steps| request(&[Some("ada")], steps);
    for (name, after, before, decision) in [
        ("unchanged", meta(Some("critical")), None, "needs-approval"),
        ("taken away", meta(None), was(), "needs-approval"),
        ("another", meta(Some("low")), was(), "needs-approval"),
        (
            "brought",
            meta(Some("critical")),
            Some(meta(None)),
            "needs-approval",
        ),
        ("neither", meta(Some("low")), Some(meta(None)), "allow"),
    ] {
        let one = vec![step(0, Action::Update, after.clone(), before.clone())];
        assert_eq!(
            court.decisions(CRITICAL, &ada(one)),
            [decision],
            "update, {name}"
        );
        let one = vec![step(0, Action::Adopt, after.clone(), before.clone())];
        assert_eq!(
            court.decisions(CRITICAL, &ada(one)),
            [decision],
            "adopt, {name}"
        );
        let old = before.unwrap_or_else(|| after.clone());
        let mut pair = vec![
            step(0, Action::Remove, old, None),
            step(1, Action::Make, after, None),
        ];
        pair[0].pair = Some(StepId(1));
        pair[1].pair = Some(StepId(0));
        assert_eq!(
            court.decisions(CRITICAL, &ada(pair)),
            [decision; 2],
            "replace, {name}"
        );
    }
}

#[test]
fn policies_see_the_labels_and_the_protection_from_before() {
    let court = Court::new();
    let own = "@id(\"x\") @reason(\"r\") forbid (principal, action in Action::\"apply\", resource) \
               when { context.protectedBefore || context.labelsBefore.contains(\"tier=critical\") };";
    let protected = Meta {
        protect: true,
        ..Meta::default()
    };
    for (step, decision) in [
        (
            step(0, Action::Update, meta(None), Some(protected.clone())),
            "deny",
        ),
        (
            step(0, Action::Update, protected, Some(Meta::default())),
            "allow",
        ),
        (
            step(0, Action::Update, meta(None), Some(meta(Some("critical")))),
            "deny",
        ),
        (
            step(0, Action::Update, meta(Some("critical")), None),
            "deny",
        ),
        (
            step(0, Action::Create, meta(Some("critical")), None),
            "allow",
        ),
        (
            step(0, Action::Delete, meta(Some("low")), None),
            "needs-approval",
        ),
    ] {
        let action = step.action;
        let mut step = step;
        if action == Action::Delete {
            step.reversibility = Reversibility::Irreversible;
        }
        let decisions = court.decisions(own, &request(&[Some("ada")], vec![step]));
        assert_eq!(decisions, [decision], "{action:?}");
    }
}

#[test]
fn a_replace_is_as_irreversible_as_its_worse_half() {
    let court = Court::new();
    for (old, new) in [
        (Reversibility::Reversible, Reversibility::Irreversible),
        (Reversibility::Irreversible, Reversibility::Reversible),
        (Reversibility::Recreated, Reversibility::Reversible),
    ] {
        let mut pair = vec![
            step(0, Action::Remove, meta(None), None),
            step(1, Action::Make, meta(None), None),
        ];
        (pair[0].pair, pair[1].pair) = (Some(StepId(1)), Some(StepId(0)));
        (pair[0].reversibility, pair[1].reversibility) = (old, new);
        let decisions = court.decisions("", &request(&[Some("ada")], pair));
        assert_eq!(decisions, ["needs-approval"; 2], "{old:?} {new:?}");
    }
}

#[test]
fn no_approval_is_asked_for_where_nobody_could_give_one() {
    let court = Court::new();
    for (people, expected) in [
        (&["ada", "ben"][..], "needs-approval"),
        (&["ada"], "allow"),
        (&[], "allow"),
    ] {
        let mut gone = step(0, Action::Delete, meta(None), None);
        gone.reversibility = Reversibility::Irreversible;
        let mut request = request(&[Some("ada")], vec![gone]);
        request.rules = Arc::new(Rules {
            trust: Arc::new(trust(people)),
            ..request.rules.as_ref().clone()
        });
        assert_eq!(court.decisions("", &request), [expected], "{people:?}");
    }
}

#[test]
fn policies_that_nobody_could_change_again_are_an_error() {
    let court = Court::new();
    let settings = r#"{"name":"t","environments":{"e":{},"p":{"labels":{"protected":"true"}}}}"#;
    let two = trust(&["ada", "ben", "cleo"]);
    let head = "@id(\"x\") @reason(\"r\") forbid ";
    let advance = "(principal, action == Action::\"advance\", resource)";
    let error = ["STR0909 true", "STR0909 true"];
    for locks in [
        format!("{head}(principal, action, resource);"),
        format!("{head}{advance};"),
        format!("{head}{advance} when {{ context.changes.contains(\"policies\") }};"),
        format!("{head}{advance} when {{ context.plan.delete + 9223372036854775807 + 1 > 0 }};"),
        format!("{head}{advance} unless {{ context.approvals > 7 }};"),
        format!("{head}(principal is Author, action, resource) when {{ principal.verified }};"),
    ] {
        assert_eq!(court.lockout(&locks, settings, &two), error, "{locks}");
    }
    // Where more than one can sign, a change of rules needs an approval everywhere.
    let no_approvals = format!("{head}(principal, action == Action::\"approve\", resource);");
    assert_eq!(court.lockout(&no_approvals, settings, &two), error);
    for open in [
        format!("{head}{advance} when {{ context.approvals == 0 }};"),
        format!("{head}(principal == Author::\"ada\", action, resource);"),
        format!("{head}(principal, action in Action::\"apply\", resource);"),
        format!("{head}{advance} unless {{ context.weekday == \"sunday\" && context.hour == 3 }};"),
        CRITICAL.to_owned(),
    ] {
        assert_eq!(court.lockout(&open, settings, &two), [""; 0], "{open}");
    }
    // Nobody or one person alone cannot change a protected environment by what ships, either.
    for (people, finding) in [(&["ada"][..], "STR0909 false"), (&[], "STR0909 true")] {
        for policies in [CRITICAL, ""] {
            let alone = court.lockout(policies, settings, &trust(people));
            assert_eq!(alone, [finding], "{people:?} {policies}");
        }
    }
    assert_eq!(
        court.lockout(
            CRITICAL,
            r#"{"name":"t","environments":{"e":{}}}"#,
            &trust(&[])
        ),
        [""; 0]
    );
}

/// A child that says the same of every text.
struct Says(Result<String, ConfinedError>);

impl Confined for Says {
    fn read(&self, task: &str, _text: &str) -> Result<String, ConfinedError> {
        assert_eq!(task, crate::POLICIES_TASK);
        self.0.clone()
    }
}

#[test]
fn what_ends_the_confined_reader_is_a_finding_and_a_broken_child_is_none() {
    let ended = Err(ConfinedError::Ended(
        "evaluation took longer than 10s".to_owned(),
    ));
    let not_run = Err(ConfinedError::NotRun("no processes".to_owned()));
    for (said, usable) in [(Ok(String::new()), true), (ended, false), (not_run, true)] {
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).unwrap();
        let laws = Laws::new(Arc::new(schema), Some(Arc::new(Says(said)))).unwrap();
        let law = laws.law(&files(CRITICAL));
        assert_eq!(law.is_ok(), usable);
        if let Err(why) = law {
            assert!(
                why.contains("policies/own.cedar:1:1") && why.contains("took longer"),
                "{why}"
            );
        }
    }
}

#[test]
fn what_nests_never_reaches_the_reader() {
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA).unwrap();
    let laws = Laws::new(Arc::new(schema), None).unwrap();
    let head = "@id(\"x\") @reason(\"y\") forbid (principal, action, resource is Resource) ";
    for body in [
        format!("when {{ {}true{} }};", "(".repeat(200), ")".repeat(200)),
        format!("when {{ {}true }};", "if true then ".repeat(30_000)),
        format!("when {{ true{} }};", " && true".repeat(30_000)),
        format!("{};", "when { true } ".repeat(20_000)),
    ] {
        let started = std::time::Instant::now();
        assert!(laws.law(&files(&format!("{head}{body}"))).is_err());
        assert!(
            started.elapsed().as_millis() < 500,
            "{:?}",
            started.elapsed()
        );
    }
    // What is just allowed is read, on a thread with the stack that threads have.
    let most = format!("{head}when {{ true{} }};", " && true".repeat(198));
    assert!(laws.law(&files(&most)).is_ok());
}
