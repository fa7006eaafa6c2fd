//! The machine: one stage for each resource, one question at a time for each.

use std::borrow::Cow;

use crate::finding::{Finding, Severity, codes};
use crate::graph::Graph;
use crate::ids::{EnvironmentName, LocalAddress};
use crate::plan::{Drifted, Plan};
use crate::ports::{Diagnostic, Misfit, Proposal, ProviderError, Retry};
use crate::resource::{Instance, Resource};
use crate::value::{Marks, Path, Record, Reference, Value, resolve_record};

use super::subject::{Subject, subjects};
use super::{Input, PlanError, Question, places, steps};

/// What is being found out about one resource.
#[derive(Debug, Clone)]
enum Stage {
    /// It waits for this many dependencies to be planned.
    Waiting(usize),
    /// Drift is to be left alone: would the resource change without it?
    AskedIgnoringDrift,
    /// What would an update (or a create) give, with what is `kept` as it is seen?
    Asked { kept: Record },
    /// It is replaced: what would the new one be?
    AskedNew { replaced: Box<Proposal> },
    /// It is replaced: what would taking the old one away mean?
    AskedRemoval {
        new: Box<Proposal>,
        replaced: Box<Proposal>,
    },
    /// It is deleted.
    AskedDelete,
    /// It is only read: what does it say?
    AskedFetch,
    /// Everything is known.
    Planned(Box<Outcome>),
}

/// What is to be done about one resource.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Nothing {
        drifted: Option<Drifted>,
    },
    Blocked(Why),
    Remember {
        kept: Record,
    },
    Create {
        proposal: Proposal,
        gone: bool,
    },
    Adopt {
        proposal: Proposal,
        id: String,
    },
    Update {
        proposal: Proposal,
        kept: Record,
    },
    Replace {
        new: Proposal,
        removal: Proposal,
        replaced: Proposal,
    },
    Delete {
        proposal: Proposal,
    },
    Read {
        proposal: Proposal,
    },
    Renew {
        proposal: Proposal,
        kept: Record,
    },
    Forget,
}

impl Outcome {
    /// What the resource will be, where that is another than it is.
    pub(super) fn planned(&self) -> Option<&Record> {
        match self {
            Self::Create { proposal, .. }
            | Self::Adopt { proposal, .. }
            | Self::Read { proposal }
            | Self::Renew { proposal, .. }
            | Self::Update { proposal, .. } => Some(&proposal.planned),
            Self::Replace { new, .. } => Some(&new.planned),
            Self::Nothing { .. }
            | Self::Blocked(_)
            | Self::Remember { .. }
            | Self::Delete { .. }
            | Self::Forget => None,
        }
    }
}

/// Why nothing is done about a resource for now.
#[derive(Debug, Clone)]
pub(super) struct Why {
    pub(super) reason: String,
    /// When it may be otherwise, where a provider could not answer.
    pub(super) retry: Option<Retry>,
}

impl Why {
    /// It waits, and nothing failed.
    pub(super) fn waits(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            retry: None,
        }
    }
}

impl Stage {
    /// Asked, and nothing is kept.
    fn asked() -> Self {
        Self::Asked {
            kept: Record::new(),
        }
    }
}

/// Wants what is there for the attributes that are kept.
fn keep(desired: &mut Cow<'_, Record>, kept: &Record, current: &Instance) {
    for name in kept.keys() {
        if let Some(seen) = current.attributes.get(name) {
            desired.to_mut().insert(name.clone(), seen.clone());
        }
    }
}

/// The machine that makes one Plan.
#[derive(Debug)]
pub struct Planning<'a> {
    pub(super) input: Input<'a>,
    /// Every resource; all other lists are by the index in here.
    pub(super) subjects: Vec<Subject<'a>>,
    /// Those that each depends on in the revision, sorted.
    pub(super) dependencies: Vec<Vec<usize>>,
    dependants: Vec<Vec<usize>>,
    stages: Vec<Stage>,
    /// What is sensitive of each, once it is planned.
    pub(super) marks: Vec<Marks>,
    /// Those that wait for nothing any more and were not looked at yet.
    free: Vec<usize>,
    questions: Vec<Question<'a>>,
    findings: Vec<Finding>,
    /// What providers noticed, and went on.
    pub(super) warnings: Vec<Finding>,
    /// What the refusals of providers ask for together.
    retry: Option<Retry>,
}

impl<'a> Planning<'a> {
    /// Begins a plan.
    ///
    /// *Errors*: dangling references and circles.
    pub fn new(input: Input<'a>) -> Result<Self, PlanError> {
        let (graph, findings) = Graph::build(&input.desired.resources);
        if !findings.is_empty() {
            return Err(PlanError::input(findings));
        }
        let subjects = subjects(&input);
        let (dependencies, dependants) = spread(graph, &subjects);
        let stages: Vec<Stage> = dependencies
            .iter()
            .map(|required| Stage::Waiting(required.len()))
            .collect();
        let free = stages.iter().enumerate();
        let free = free.filter(|(_, stage)| matches!(stage, Stage::Waiting(0)));
        Ok(Self {
            free: free.map(|(own, _)| own).collect(),
            input,
            marks: vec![Marks::default(); subjects.len()],
            subjects,
            dependencies,
            dependants,
            stages,
            questions: Vec::new(),
            findings: Vec::new(),
            warnings: Vec::new(),
            retry: None,
        })
    }

    /// The questions that can be answered now; each is given out once.
    pub fn ready(&mut self) -> Vec<Question<'a>> {
        while let Some(own) = self.free.pop() {
            if let Some(subject) = self.subjects.get(own).copied() {
                match subject.resource {
                    Some(resource) => self.open(own, subject, resource),
                    None => self.open_removal(own, subject),
                }
            }
        }
        std::mem::take(&mut self.questions)
    }

    /// All dependencies of a resource are planned: asks its provider.
    fn open(&mut self, own: usize, subject: Subject<'a>, resource: &'a Resource) {
        let blocked = subject.blocked(self.input.sealed);
        if let Some(why) = blocked.or_else(|| self.waits_for(own)) {
            return self.settle(own, Outcome::Blocked(why));
        }
        let desired = self.resolved(resource);
        let misfit = subject.schema.and_then(|schema| schema.misfit(&desired));
        if let Some(Misfit { path, message }) = misfit {
            let error = ProviderError::input(format!("`{path}` {message}"));
            let about = Diagnostic::error(path, message);
            return self.refuse(own, subject, error.about(vec![about]));
        }
        if subject.reads() {
            self.ask(own, Stage::AskedFetch, subject.current(), Some(desired));
            if let Some(question) = self.questions.last_mut() {
                question.fetch = true;
            }
            return;
        }
        if resource.meta.create_first && subject.schema.is_some_and(|schema| !schema.twice) {
            let message = "`meta.create_first` is not possible: its type cannot be there twice";
            return self.refuse(own, subject, ProviderError::input(message));
        }
        if subject.is_left_stopped() {
            return self.settle(own, Outcome::Nothing { drifted: None });
        }
        let adopt = resource.meta.adopt.as_deref();
        let adopt = adopt.filter(|_| subject.state.is_none_or(|state| state.unknown.is_some()));
        let drift = subject.drift(&self.input).filter(|_| adopt.is_none());
        let (stage, prior) = match drift {
            Some(drift) if drift.leaves_any() => (Stage::AskedIgnoringDrift, Some(drift.applied)),
            Some(_) | None => (Stage::asked(), subject.current()),
        };
        self.ask(own, stage, prior.filter(|_| adopt.is_none()), Some(desired));
        if let Some(question) = self.questions.last_mut() {
            question.adopt = adopt;
        }
    }

    fn open_removal(&mut self, own: usize, subject: Subject<'a>) {
        if let Some(why) = subject.blocked(None) {
            self.settle(own, Outcome::Blocked(why));
        } else if subject.is_gone() || subject.reads() {
            self.settle(own, Outcome::Forget);
        } else {
            self.ask(own, Stage::AskedDelete, subject.current(), None);
        }
    }

    /// Why a resource waits for one that it depends on, if so.
    fn waits_for(&self, own: usize) -> Option<Why> {
        let required = self.dependencies.get(own).into_iter().flatten();
        required
            .filter_map(|target| match self.outcome(*target)? {
                Outcome::Blocked(why) => Some((self.subjects.get(*target)?, why)),
                _ => None,
            })
            .map(|(target, why)| Why {
                reason: format!("it depends on `{}`, which waits", target.address),
                retry: why.retry,
            })
            .next()
    }

    /// What is to be done about a resource, once that is known.
    pub(super) fn outcome(&self, own: usize) -> Option<&Outcome> {
        match self.stages.get(own)? {
            Stage::Planned(outcome) => Some(outcome),
            Stage::Waiting(_)
            | Stage::AskedIgnoringDrift
            | Stage::Asked { .. }
            | Stage::AskedNew { .. }
            | Stage::AskedRemoval { .. }
            | Stage::AskedFetch
            | Stage::AskedDelete => None,
        }
    }

    /// What is wanted of a resource, with what it refers to.
    fn resolved(&self, resource: &'a Resource) -> Cow<'a, Record> {
        let record = &resource.attributes;
        if record.values().all(Value::is_settled) {
            return Cow::Borrowed(record);
        }
        Cow::Owned(resolve_record(record, &|reference| self.look_up(reference)))
    }

    /// The index of a subject.
    pub(super) fn find(
        &self,
        environment: &EnvironmentName,
        local: &LocalAddress,
    ) -> Option<usize> {
        let wanted = (environment, local);
        self.subjects
            .binary_search_by(|s| (&s.address.environment, &s.address.local).cmp(&wanted))
            .ok()
    }

    fn look_up(&self, reference: &Reference) -> Option<Value> {
        let own = self.find(&self.input.desired.environment, &reference.resource)?;
        let subject = self.subjects.get(own)?;
        let attribute = reference.path.attribute();
        // What the state will hold.
        let record = match self.outcome(own)? {
            Outcome::Update { kept, .. }
            | Outcome::Renew { kept, .. }
            | Outcome::Remember { kept }
                if kept.contains_key(attribute) =>
            {
                kept
            }
            Outcome::Create { proposal, .. }
            | Outcome::Adopt { proposal, .. }
            | Outcome::Read { proposal }
            | Outcome::Renew { proposal, .. }
            | Outcome::Update { proposal, .. } => &proposal.planned,
            Outcome::Replace { new, .. } => &new.planned,
            Outcome::Remember { .. } => &subject.current()?.attributes,
            Outcome::Nothing { .. } => &subject.state?.instance.attributes,
            Outcome::Blocked(_) | Outcome::Delete { .. } | Outcome::Forget => return None,
        };
        reference.path.find(record).cloned()
    }

    /// A provider's answer to a question of [`Planning::ready`].
    pub fn answer(&mut self, question: &Question<'a>, answer: Result<Proposal, ProviderError>) {
        let own = question.subject;
        let Some(subject) = self.subjects.get(own).copied() else {
            return;
        };
        let proposal = match answer {
            Ok(proposal) => proposal,
            Err(error) if error.waits => {
                return self.settle(own, Outcome::Blocked(Why::waits(error.message)));
            }
            Err(error) => return self.refuse(own, subject, error),
        };
        self.note(subject, &proposal);
        let stage = match self.stages.get_mut(own) {
            // Nobody asked, or the answer comes twice.
            None | Some(Stage::Waiting(_) | Stage::Planned(_)) => return,
            Some(stage) => std::mem::replace(stage, Stage::asked()),
        };
        match (stage, subject.resource) {
            (Stage::AskedIgnoringDrift, Some(resource)) => {
                self.answer_ignoring_drift(own, subject, resource, &proposal);
            }
            (Stage::Asked { kept }, Some(_)) => {
                self.answer_first(own, subject, question, proposal, kept);
            }
            (Stage::AskedNew { replaced }, _) => {
                let stage = Stage::AskedRemoval {
                    new: Box::new(proposal),
                    replaced,
                };
                self.ask(own, stage, subject.current(), None);
            }
            (Stage::AskedRemoval { new, replaced }, _) => {
                let outcome = Outcome::Replace {
                    new: *new,
                    removal: proposal,
                    replaced: *replaced,
                };
                self.settle(own, outcome);
            }
            (Stage::AskedDelete, _) => self.settle(own, Outcome::Delete { proposal }),
            (Stage::AskedFetch, _) => {
                let said = subject.state.map(|state| &state.instance.attributes);
                let same = said == Some(&proposal.planned) && self.is_remembered(own, subject);
                let outcome = match same {
                    true => Outcome::Nothing { drifted: None },
                    false => Outcome::Read { proposal },
                };
                self.settle(own, outcome);
            }
            (Stage::AskedIgnoringDrift | Stage::Asked { .. }, None)
            | (Stage::Waiting(_) | Stage::Planned(_), _) => {}
        }
    }

    /// Keeps what a provider minds and goes on with.
    fn note(&mut self, subject: Subject<'a>, proposal: &Proposal) {
        for warning in &proposal.warnings {
            let found = finding(&codes::NOTICED, subject, &warning.path, &warning.message);
            let finding = Finding {
                hint: warning.hint.clone(),
                severity: Severity::Warning,
                ..found
            };
            if !self.warnings.contains(&finding) {
                self.warnings.push(finding);
            }
        }
    }

    fn refuse(&mut self, own: usize, subject: Subject<'a>, error: ProviderError) {
        let message = format!("cannot be planned: {}", error.message);
        let whole = finding(&codes::UNPLANNABLE, subject, &Path::default(), &message);
        let parts: Vec<Finding> = error
            .diagnostics
            .iter()
            .map(|part| Finding {
                hint: part.hint.clone(),
                ..finding(&codes::UNPLANNABLE, subject, &part.path, &part.message)
            })
            .collect();
        match parts.is_empty() {
            true => self.findings.push(whole),
            false => self.findings.extend(parts),
        }
        self.retry = Some(self.retry.map_or(error.retry, |old| old.and(error.retry)));
        let why = Why {
            reason: error.message,
            retry: Some(error.retry),
        };
        self.settle(own, Outcome::Blocked(why));
    }

    fn answer_ignoring_drift(
        &mut self,
        own: usize,
        subject: Subject<'a>,
        resource: &'a Resource,
        proposal: &Proposal,
    ) {
        let Some(drift) = subject.drift(&self.input) else {
            return;
        };
        let unchanged = proposal.replace.is_empty() && proposal.planned == drift.applied.attributes;
        let idle = subject.stopped().is_none() && !subject.must_be_renewed(self.input.now);
        if drift.leave && unchanged && idle && !subject.has_ended(self.input.now) {
            let outcome = match self.is_remembered(own, subject) {
                true => Outcome::Nothing {
                    drifted: drift.drifted,
                },
                false => Outcome::Remember { kept: drift.all() },
            };
            return self.settle(own, outcome);
        }
        let (mut desired, mut kept) = (self.resolved(resource), Record::new());
        let config = desired.clone();
        if let Some(current) = subject.current() {
            kept = drift.kept(&proposal.planned, current, drift.leave && !unchanged);
            keep(&mut desired, &kept, current);
        }
        let config = (!kept.is_empty()).then_some(config);
        self.ask(own, Stage::Asked { kept }, subject.current(), Some(desired));
        if let Some(question) = self.questions.last_mut() {
            question.config = config;
        }
    }

    fn answer_first(
        &mut self,
        own: usize,
        subject: Subject<'a>,
        question: &Question<'a>,
        proposal: Proposal,
        mut kept: Record,
    ) {
        if let Some(id) = question.adopt.map(str::to_owned) {
            return self.settle(own, Outcome::Adopt { proposal, id });
        }
        let Some(prior) = question.prior else {
            let gone = subject.state.is_some();
            return self.settle(own, Outcome::Create { proposal, gone });
        };
        let tainted = subject.state.is_some_and(|state| state.tainted);
        if tainted || subject.has_ended(self.input.now) || !proposal.replace.is_empty() {
            let replaced = Box::new(proposal);
            return self.ask(
                own,
                Stage::AskedNew { replaced },
                None,
                question.desired.clone(),
            );
        }
        if let Some(drift) = subject.drift(&self.input).filter(|_| !kept.is_empty()) {
            kept.extend(drift.derived(&proposal.planned, prior));
        }
        let applied = subject.state.map(|state| &state.instance);
        let unchanged = proposal.planned == prior.attributes;
        if unchanged && subject.must_be_renewed(self.input.now) {
            let proposal = renewal(subject, proposal);
            return self.settle(own, Outcome::Renew { proposal, kept });
        }
        let outcome = if proposal.planned != prior.attributes || subject.stopped().is_some() {
            Outcome::Update { proposal, kept }
        } else if applied == Some(prior) && self.is_remembered(own, subject) {
            Outcome::Nothing { drifted: None }
        } else {
            Outcome::Remember { kept }
        };
        self.settle(own, outcome);
    }

    /// Whether the state holds the resource's dependencies and settings as they are now.
    fn is_remembered(&self, own: usize, subject: Subject<'_>) -> bool {
        let (Some(state), Some(resource)) = (subject.state, subject.resource) else {
            return false;
        };
        let required = self.dependencies.get(own).into_iter().flatten();
        let required = required.filter_map(|target| self.subjects.get(*target));
        state.meta == resource.meta
            && state
                .depends_on
                .iter()
                .eq(required.map(|target| &target.address.local))
            && state.provider == resource.provider
            && !state.unsure
            && !state.tainted
    }

    /// Asks the provider of what is wanted, or of what is there when nothing is.
    fn ask(
        &mut self,
        own: usize,
        stage: Stage,
        prior: Option<&'a Instance>,
        desired: Option<Cow<'a, Record>>,
    ) {
        let Some((subject, slot)) = self.subjects.get(own).zip(self.stages.get_mut(own)) else {
            return;
        };
        let wanted = subject.resource.map(|resource| &resource.provider);
        let known = subject.state.map(|state| &state.provider);
        let provider = if desired.is_none() {
            known.or(wanted)
        } else {
            wanted.or(known)
        };
        let Some(provider) = provider else { return };
        *slot = stage;
        self.questions.push(Question {
            subject: own,
            address: subject.address,
            meta: subject
                .resource
                .map(|resource| &resource.meta)
                .or(subject.state.map(|state| &state.meta)),
            provider,
            prior,
            desired,
            config: None,
            adopt: None,
            fetch: false,
        });
    }

    /// What is sensitive of a resource: by its schema, by what it refers to, and wherever that is
    /// repeated.
    fn marks_of(&self, own: usize, outcome: &Outcome) -> Marks {
        let Some(subject) = self.subjects.get(own) else {
            return Marks::default();
        };
        let current = subject.current().map(|current| &current.attributes);
        let record = outcome.planned().or(current);
        let empty = Record::new();
        let record = record.unwrap_or(&empty);
        let known = subject.schema.map(|schema| schema.sensitive(record));
        let mut marks = known.unwrap_or_default();
        if let Some(resource) = subject.resource {
            marks.extend(Marks::inherited(&resource.attributes, &|reference| {
                let target = self.find(&subject.address.environment, &reference.resource)?;
                self.marks.get(target).cloned()
            }));
        }
        marks.spread(record);
        marks
    }

    /// Everything about a resource is known: remembers it and frees what waits for it.
    fn settle(&mut self, own: usize, outcome: Outcome) {
        let marks = self.marks_of(own, &outcome);
        if let Some(slot) = self.marks.get_mut(own) {
            *slot = marks;
        }
        if let Some(stage) = self.stages.get_mut(own) {
            *stage = Stage::Planned(Box::new(outcome));
        }
        for dependant in self.dependants.get(own).into_iter().flatten() {
            if let Some(Stage::Waiting(missing)) = self.stages.get_mut(*dependant) {
                *missing = missing.saturating_sub(1);
                if *missing == 0 {
                    self.free.push(*dependant);
                }
            }
        }
    }

    /// Puts the plan together.
    ///
    /// *Errors*: what providers refused to plan; two resources in one place.
    pub fn finish(mut self) -> Result<Plan, PlanError> {
        self.findings.extend(places::doubles(&self));
        if !self.findings.is_empty() {
            return Err(PlanError {
                findings: self.findings,
                retry: self.retry.unwrap_or(Retry::WhenInputChanges),
            });
        }
        Ok(steps::assemble(&self))
    }
}

/// A renewal: what a person may set stays, and what the provider computes may be another.
fn renewal(subject: Subject<'_>, mut proposal: Proposal) -> Proposal {
    for (name, attribute) in subject.schema.into_iter().flat_map(|one| &one.attributes) {
        if !attribute.settable {
            proposal.planned.insert(name.clone(), Value::Unknown);
        }
    }
    proposal
}

/// A finding about a value of a resource, at its place in the repository.
fn finding(code: &codes::Explained, subject: Subject<'_>, path: &Path, message: &str) -> Finding {
    let about = match path.0.is_empty() {
        true => format!("`{}` {message}", subject.address),
        false => format!("`{}`: `{path}`: {message}", subject.address),
    };
    let mut finding = Finding::error(code, about);
    let source = subject.resource.and_then(|resource| resource.source(path));
    finding.source = source.cloned();
    finding
}

/// The edges of the graph, by the indexes of the subjects, in both directions.
fn spread(graph: Graph<'_>, subjects: &[Subject<'_>]) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let wanted = subjects.iter().enumerate();
    let wanted = wanted.filter(|(_, subject)| subject.resource.is_some());
    let place: Vec<usize> = wanted.map(|(own, _)| own).collect();
    let by_subject = |edges: Vec<Vec<usize>>| {
        let mut spread = vec![Vec::new(); subjects.len()];
        for (own, targets) in place.iter().zip(edges) {
            let targets = targets.into_iter();
            let targets = targets.filter_map(|target| place.get(target).copied());
            if let Some(slot) = spread.get_mut(*own) {
                *slot = targets.collect();
            }
        }
        spread
    };
    let dependants = graph.dependants();
    (by_subject(graph.dependencies), by_subject(dependants))
}
