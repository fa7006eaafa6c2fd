//! Judging plans, and everything else.
//!
//! A question that policy answers with no is asked again as if everybody who may approve had
//! approved: if the answer is then yes, the step needs an approval, and whoever's approval alone
//! turns the answer is who could give it. So policies say only what they allow under which
//! approvals, and nothing about how to ask for them.

use std::collections::HashMap;
use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as Answer, Entities, EntityUid, Request,
    Response, Schema,
};
use jiff::Timestamp;
use stratum_core::plan::{Plan, Step};
use stratum_core::ports::{Act, PlanRequest, Principal, Question};
use stratum_core::run::Trigger;
use stratum_core::signed::{Authored, KeyKind, Signer};
use stratum_core::trust::Trust;
use stratum_core::verdict::{Decision, Judgement, Policy, Verdict};

use crate::context::{self, About, Approvers};
use crate::entities::{World, uid};
use crate::law::Law;
use crate::place::one_line;
use crate::words;

/// The id that stands for the absence of a policy.
const NONE: &str = "none";

/// Judges every step, and the whole.
pub(crate) fn judge(schema: &Schema, law: &Law, request: &PlanRequest) -> Result<Verdict, String> {
    let mut bench = Bench::new(schema, law, request)?;
    let authors: BTreeSet<Principal> = request.authors.iter().map(principal).collect();
    if authors.is_empty() {
        return Err("nobody wrote what is to be applied".to_owned());
    }
    let whole: Result<Vec<_>, String> = authors.iter().map(|who| bench.whole(who)).collect();
    let authors = match request.trigger {
        Trigger::Push => authors,
        Trigger::Drift => [Principal::Reconciler].into(),
    };
    let mut steps = BTreeMap::new();
    for step in &request.plan.steps {
        let all: Result<Vec<_>, String> = authors.iter().map(|who| bench.step(who, step)).collect();
        steps.insert(step.id, strictest(all?));
    }
    Ok(Verdict {
        steps,
        whole: Some(strictest(whole?)),
        ballot: Some(request.ballot),
        authors: request.authors.clone(),
        approvals: request.approvals.clone(),
        void: request.refused.clone(),
    })
}

/// Answers one question.
pub(crate) fn ask(schema: &Schema, law: &Law, question: &Question) -> Result<Judgement, String> {
    let mut world = World::new(&question.rules.trust);
    let labels = &question.labels;
    let environment = world.environment(&question.environment, question.protected, labels)?;
    let principal = world.principal(&question.principal)?;
    let resource = world.object(&question.act, &environment, &question.environment)?;
    let action = words::act(&question.act);
    let court = Court {
        schema,
        law,
        entities: world.checked(schema)?,
    };
    let context = context::act(&question.act, question.now)?;
    let answer = court.answer(&principal, action, &resource, context)?;
    let sentence = || {
        format!(
            "no policy allows {} to {action} there",
            words::who(&question.principal)
        )
    };
    Ok(answer.judgement(sentence))
}

fn principal(author: &Authored) -> Principal {
    match &author.signer {
        Signer::Person { name, kind, .. } => Principal::Person {
            name: name.clone(),
            key: *kind,
        },
        Signer::Nobody { .. } => Principal::Unverified {
            author: author.author.clone(),
        },
    }
}

/// What Cedar said.
struct Said {
    allowed: bool,
    /// A policy could not be evaluated: nothing else counts then.
    failed: bool,
    policies: Vec<Policy>,
}

impl Said {
    fn judgement(self, nothing: impl FnOnce() -> String) -> Judgement {
        let decision = match self.allowed {
            true => Decision::Allow,
            false => Decision::Deny,
        };
        if self.policies.is_empty() {
            return Judgement::by(decision, NONE, nothing());
        }
        Judgement {
            decision,
            policies: self.policies,
        }
    }
}

/// The law, and the world it is asked about.
struct Court<'a> {
    schema: &'a Schema,
    law: &'a Law,
    entities: Entities,
}

impl Court<'_> {
    fn answer(
        &self,
        principal: &EntityUid,
        action: &str,
        resource: &EntityUid,
        context: Context,
    ) -> Result<Said, String> {
        let action = uid("Action", action)?;
        let request = Request::new(
            principal.clone(),
            action,
            resource.clone(),
            context,
            Some(self.schema),
        )
        .map_err(|error| one_line(&error.to_string()))?;
        if let Some(said) = self.screened(&request) {
            debug_assert!(self.asked(&request).allowed, "the screen allows too much");
            return Ok(said);
        }
        Ok(self.asked(&request))
    }

    /// The answer of the policies put together, where it is "allowed": then it is that of them all.
    fn screened(&self, request: &Request) -> Option<Said> {
        let screen = self.law.screen.as_ref()?;
        let response = Authorizer::new().is_authorized(request, screen, &self.entities);
        let failed = response.diagnostics().errors().next().is_some();
        let allowed = response.decision() == Answer::Allow && !failed;
        allowed.then(|| self.said(&response))
    }

    /// The answer of every policy by itself.
    fn asked(&self, request: &Request) -> Said {
        let response = Authorizer::new().is_authorized(request, &self.law.set, &self.entities);
        let mut errors = response.diagnostics().errors();
        let Some(error) = errors.next() else {
            return self.said(&response);
        };
        let AuthorizationError::PolicyEvaluationError(inner) = error;
        Said {
            allowed: false,
            failed: true,
            policies: vec![Policy {
                id: inner.policy_id().to_string(),
                reason: format!(
                    "the policy could not be evaluated, which denies: {}",
                    one_line(&error.to_string())
                ),
            }],
        }
    }

    /// A response without errors.
    fn said(&self, response: &Response) -> Said {
        let reasons = response.diagnostics().reason();
        let mut ids: Vec<String> = reasons.map(ToString::to_string).collect();
        ids.sort();
        let policies = ids.into_iter().map(|id| Policy {
            reason: self.law.reasons.get(&id).cloned().unwrap_or_default(),
            id,
        });
        Said {
            allowed: response.decision() == Answer::Allow,
            failed: false,
            policies: policies.collect(),
        }
    }
}

/// What makes two steps the same question, unless a policy looks at which resource it is.
#[derive(PartialEq, Eq, Hash, Clone)]
struct Shape {
    principal: Principal,
    action: &'static str,
    /// Whether it is asked with the settings from before, too.
    changed: bool,
    kind: String,
    provider: String,
    r#type: String,
    protected: bool,
    labels: BTreeMap<String, String>,
    before: About,
    address: Option<String>,
}

type Contexts = HashMap<(Approvers, About), Context>;

/// With which settings of its resource a step is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Those from before it.
    Before,
    /// Those from then on.
    After,
}

/// One plan being judged.
struct Bench<'a> {
    court: Court<'a>,
    /// The same, with resources as they were; where any was otherwise.
    before: Option<Court<'a>>,
    request: &'a PlanRequest,
    plan: &'a Plan,
    environment: EntityUid,
    given: Approvers,
    /// Everybody who may approve this plan, once asked for.
    could: Option<Vec<String>>,
    contexts: Contexts,
    known: HashMap<Shape, Judgement>,
}

impl<'a> Bench<'a> {
    fn new(schema: &'a Schema, law: &'a Law, request: &'a PlanRequest) -> Result<Self, String> {
        let plan = request.plan.as_ref();
        let court = |side| {
            let entities = entities(schema, request, side)?;
            Ok::<_, String>(Court {
                schema,
                law,
                entities,
            })
        };
        let differs = plan
            .steps
            .iter()
            .any(|step| words::changed(plan, step).is_some());
        let before = differs.then(|| court(Side::Before)).transpose()?;
        let given = request.approvals.iter().map(|one| one.by.clone());
        Ok(Self {
            court: court(Side::After)?,
            before,
            request,
            plan,
            environment: uid("Environment", plan.environment.as_str())?,
            given: Approvers(given.collect()),
            could: None,
            contexts: HashMap::new(),
            known: HashMap::new(),
        })
    }

    fn whole(&mut self, who: &Principal) -> Result<Judgement, String> {
        let principal = crate::entities::principal(who)?;
        let environment = self.environment.clone();
        let request = self.request;
        let ask = |bench: &mut Self, approvers: &Approvers| {
            let pairs = context::plan(request, approvers, bench.reviewed(approvers))?;
            let context = context::advance(&pairs, request)?;
            bench
                .court
                .answer(&principal, "advance", &environment, context)
        };
        let nothing = || {
            let name = &request.plan.environment;
            format!(
                "no policy allows {} to bring `{name}` to it",
                words::who(who)
            )
        };
        self.decide(ask, nothing)
    }

    /// What policy says of a step: with the settings that its resource will have, and where they
    /// are others than they were, with those too. The stricter answer counts.
    fn step(&mut self, who: &Principal, step: &Step) -> Result<Judgement, String> {
        let shape = self.shape(who, step);
        if let Some(known) = self.known.get(&shape) {
            return Ok(known.clone());
        }
        let principal = crate::entities::principal(who)?;
        let resource = uid("Resource", &step.address.to_string())?;
        let (action, about) = (shape.action, shape.before.clone());
        let ask = |bench: &mut Self, approvers: &Approvers, side: Side| {
            let context = bench.context(approvers, &about)?;
            let before = bench.before.as_ref().filter(|_| side == Side::Before);
            let court = before.unwrap_or(&bench.court);
            court.answer(&principal, action, &resource, context)
        };
        let nothing = || {
            let kind = step.address.r#type();
            format!(
                "no policy allows {} to {action} a `{kind}` there",
                words::who(who)
            )
        };
        let after = |bench: &mut Self, approvers: &Approvers| ask(bench, approvers, Side::After);
        let mut judgement = self.decide(after, nothing)?;
        if words::changed(self.plan, step).is_some() {
            let before =
                |bench: &mut Self, approvers: &Approvers| ask(bench, approvers, Side::Before);
            judgement = strictest(vec![judgement, self.decide(before, nothing)?]);
        }
        self.known.insert(shape, judgement.clone());
        Ok(judgement)
    }

    fn shape(&self, who: &Principal, step: &Step) -> Shape {
        Shape {
            principal: who.clone(),
            action: words::action(step),
            changed: words::changed(self.plan, step).is_some(),
            kind: step.kind.to_string(),
            provider: step.provider.to_string(),
            r#type: step.address.r#type().to_string(),
            protected: words::after(self.plan, step).protect,
            labels: words::after(self.plan, step).labels.clone(),
            before: About {
                reason: words::reason(step),
                reversibility: words::reversibility(self.plan, step),
                labels_before: words::labels(words::before(self.plan, step)),
                protected_before: words::before(self.plan, step).is_some_and(|meta| meta.protect),
            },
            address: self.court.law.personal.then(|| step.address.to_string()),
        }
    }

    fn context(&mut self, approvers: &Approvers, about: &About) -> Result<Context, String> {
        let key = (approvers.clone(), about.clone());
        if let Some(known) = self.contexts.get(&key) {
            return Ok(known.clone());
        }
        let pairs = context::plan(self.request, approvers, self.reviewed(approvers))?;
        let made = context::step(&pairs, about)?;
        self.contexts.insert(key, made.clone());
        Ok(made)
    }

    /// Whether the plan is one that a reviewer saw; an approval is by someone who saw it.
    fn reviewed(&self, approvers: &Approvers) -> bool {
        !approvers.0.is_empty() || self.request.reviewed.contains(&self.plan.digest)
    }

    /// Asks with the approvals there are; and where the answer is no, with those there could be.
    fn decide(
        &mut self,
        ask: impl Fn(&mut Self, &Approvers) -> Result<Said, String>,
        nothing: impl Fn() -> String,
    ) -> Result<Judgement, String> {
        let given = self.given.clone();
        let said = ask(self, &given)?;
        if said.allowed || said.failed {
            return Ok(said.judgement(nothing));
        }
        let could = self.could()?;
        let with = |more: &[String]| {
            let mut all = given.clone();
            all.0.extend(more.iter().cloned());
            all
        };
        if could.is_empty() || !ask(self, &with(&could))?.allowed {
            return Ok(said.judgement(nothing));
        }
        let mut by = Vec::new();
        for name in &could {
            if ask(self, &with(std::slice::from_ref(name)))?.allowed {
                by.push(name.clone());
            }
        }
        let mut judgement = said.judgement(nothing);
        judgement.decision = Decision::NeedsApproval {
            by: if by.is_empty() { could } else { by },
        };
        Ok(judgement)
    }

    /// Everybody in trust who may approve this plan and has not.
    fn could(&mut self) -> Result<Vec<String>, String> {
        if let Some(could) = &self.could {
            return Ok(could.clone());
        }
        let mut could = Vec::new();
        for (name, key) in signers(&self.request.rules.trust, self.request.now) {
            let own = self
                .request
                .authors
                .iter()
                .any(|author| author.signer.name() == Some(&name));
            let question = Question {
                principal: Principal::Person {
                    name: name.clone(),
                    key,
                },
                act: Act::Approve {
                    ballot: self.request.ballot,
                    own,
                },
                environment: self.plan.environment.clone(),
                labels: self.request.labels.clone(),
                protected: self.request.protected,
                rules: self.request.rules.clone(),
                now: self.request.now,
            };
            let answer = ask(self.court.schema, self.court.law, &question)?;
            if answer.decision == Decision::Allow && !self.given.0.contains(&name) {
                could.push(name);
            }
        }
        self.could = Some(could.clone());
        Ok(could)
    }
}

/// Everybody and everything that policies may look at, with resources of this side of their steps.
fn entities(schema: &Schema, request: &PlanRequest, side: Side) -> Result<Entities, String> {
    let mut world = World::new(&request.rules.trust);
    let plan = request.plan.as_ref();
    let environment = world.environment(&plan.environment, request.protected, &request.labels)?;
    for author in &request.authors {
        world.principal(&principal(author))?;
    }
    world.principal(&Principal::Reconciler)?;
    for (name, key) in signers(&request.rules.trust, request.now) {
        world.principal(&Principal::Person { name, key })?;
    }
    for step in &plan.steps {
        let before = words::changed(plan, step).filter(|_| side == Side::Before);
        let meta = before.unwrap_or_else(|| words::after(plan, step));
        world.resource(step, meta, &environment)?;
    }
    world.checked(schema)
}

/// Everybody in trust whose keys can sign now.
pub(crate) fn signers(trust: &Trust, now: Timestamp) -> Vec<(String, KeyKind)> {
    let people = trust.people.iter();
    let signers = people.filter_map(|(name, person)| {
        let expired = person.expires.is_some_and(|at| at <= now);
        let kind = match (person.ssh.is_empty(), person.openpgp.is_empty()) {
            (false, _) => KeyKind::Ssh,
            (true, false) => KeyKind::Openpgp,
            (true, true) => return None,
        };
        (!expired).then(|| (name.clone(), kind))
    });
    signers.collect()
}

/// What holds for several authors: the strictest of the answers.
fn strictest(judgements: Vec<Judgement>) -> Judgement {
    let rank = |judgement: &Judgement| match judgement.decision {
        Decision::Allow => 0,
        Decision::NeedsApproval { .. } => 1,
        Decision::Deny => 2,
    };
    let first = judgements.iter().max_by_key(|judgement| rank(judgement));
    let mut strictest = first
        .cloned()
        .unwrap_or_else(|| Judgement::by(Decision::Deny, NONE, "nobody asked for it"));
    if let Decision::NeedsApproval { by } = &mut strictest.decision {
        let lists: Vec<&Vec<String>> = judgements
            .iter()
            .filter_map(|judgement| match &judgement.decision {
                Decision::NeedsApproval { by } => Some(by),
                Decision::Allow | Decision::Deny => None,
            })
            .collect();
        let of_all: Vec<String> = by
            .iter()
            .filter(|name| lists.iter().all(|list| list.contains(name)))
            .cloned()
            .collect();
        if !of_all.is_empty() {
            *by = of_all;
        }
    }
    strictest
}
