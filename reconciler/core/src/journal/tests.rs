use super::*;
use crate::digest::Digest;
use crate::ids::{CommitId, EnvironmentName, ProviderName, RunId};
use crate::kinds::Kind;
use crate::plan::{Action, BaseId, Reason, Reversibility, Step};
use crate::ports::Effect;
use crate::resource::{Meta, Opaque};

/// A plan of `count` steps in which step n requires the steps that `requires` names.
fn plan(count: u32, requires: impl Fn(u32) -> Vec<u32>) -> Arc<Plan> {
    let digest = Digest::of_bytes(b"plan");
    let steps = (0..count).map(|id| Step {
        id: StepId(id),
        address: format!("e/thing.r{id}").parse().unwrap(),
        kind: Kind::Infrastructure,
        provider: ProviderName::new("fake").unwrap(),
        action: Action::Create,
        pair: None,
        reversibility: Reversibility::Reversible,
        effect: Effect::World,
        reason: Reason::New,
        changes: vec![],
        requires: requires(id).into_iter().map(StepId).collect(),
        prior: None,
        desired: None,
        planned: None,
        private: Default::default(),
        from: None,
        sensitive: Default::default(),
        kept: Default::default(),
        was: None,
        meta: Meta::default(),
        source: None,
    });
    Arc::new(Plan {
        environment: EnvironmentName::new("e").unwrap(),
        revision: CommitId::new("1".repeat(40)).unwrap(),
        inputs: digest,
        base: BaseId { serial: 0, digest },
        digest,
        steps: steps.collect(),
        drifted: vec![],
        blocked: vec![],
        providers: Default::default(),
        warnings: Vec::new(),
        resources: u64::from(count),
    })
}

fn started(plan: &Plan) -> Event {
    Event::Started {
        plan_digest: plan.digest,
        base: plan.base,
        revision: plan.revision.clone(),
        lease: 1,
    }
}

fn begun(step: StepId) -> Event {
    let checkpoint = Box::new(Checkpoint {
        before: None,
        kept: Opaque::default(),
    });
    Event::Begun {
        step,
        checkpoint,
        token: Token::of(&RunId::new("run").unwrap(), step),
    }
}

fn failed(step: StepId) -> Event {
    Event::Failed {
        step,
        error: "no".to_owned(),
        certainty: Certainty::Unknown,
        retry: None,
    }
}

/// Drives a journal to its end; `fails` says which steps fail. Returns every event.
fn drive(mut journal: Journal, fails: impl Fn(StepId) -> bool) -> (Journal, Vec<Event>) {
    let mut events = vec![];
    if journal.phase == Phase::New {
        let event = started(&journal.plan.clone());
        journal.push(&event).unwrap();
        events.push(event);
    }
    loop {
        let next = journal.next();
        let event = if let Some(end) = &next.end {
            end.event()
        } else if let Some(step) = next.open.first() {
            match fails(*step) {
                true => failed(*step),
                false => Event::Done {
                    step: *step,
                    outcome: None,
                    notes: Vec::new(),
                },
            }
        } else if let Some(step) = next.restoring.first() {
            Event::Restored {
                step: *step,
                outcome: None,
            }
        } else if let Some(step) = next.begin.first() {
            begun(*step)
        } else {
            Event::RestoreBegun {
                step: *next.restore.first().unwrap(),
            }
        };
        let over = next.end.is_some();
        journal.push(&event).unwrap();
        events.push(event);
        if over {
            return (journal, events);
        }
    }
}

fn layered(id: u32) -> Vec<u32> {
    if id < 3 { vec![] } else { vec![id - 3, id - 2] }
}

#[test]
fn everything_done_ends_as_applied_in_order() {
    let plan = plan(12, layered);
    let (journal, events) = drive(Journal::new(plan.clone(), OnFailure::Rollback), |_| false);
    assert_eq!(journal.end(), Some(&End::Applied));
    let mut done = vec![];
    for event in events {
        match event {
            Event::Begun { step, .. } => {
                assert!(
                    plan.steps[step.index()]
                        .requires
                        .iter()
                        .all(|r| done.contains(r))
                );
            }
            Event::Done { step, .. } => done.push(step),
            _ => {}
        }
    }
}

#[test]
fn a_failed_step_restores_every_begun_one_in_reverse_itself_included() {
    let plan = plan(12, layered);
    for bad in 0..12 {
        let journal = Journal::new(plan.clone(), OnFailure::Rollback);
        let (journal, events) = drive(journal, |step| step == StepId(bad));
        assert_eq!(journal.end(), Some(&End::RolledBack));
        let begun: BTreeSet<_> = events
            .iter()
            .filter(|event| matches!(event, Event::Begun { .. }))
            .map(|event| event.step().unwrap())
            .collect();
        let mut restored = BTreeSet::new();
        for event in &events {
            if let Event::RestoreBegun { step } = event {
                let later = plan.steps.iter().filter(|s| s.requires.contains(step));
                let waiting = later.map(|s| s.id).filter(|s| begun.contains(s));
                assert!(waiting.into_iter().all(|s| restored.contains(&s)));
                restored.insert(*step);
            }
        }
        assert_eq!(begun, restored);
        assert!(restored.contains(&StepId(bad)));
    }
}

#[test]
fn recovery_from_every_prefix_comes_to_the_same_end() {
    let plan = plan(9, layered);
    for bad in [None, Some(StepId(4))] {
        let fails = |step| Some(step) == bad;
        let fresh = Journal::new(plan.clone(), OnFailure::Rollback);
        let (whole, events) = drive(fresh, fails);
        for cut in 0..=events.len() {
            let journal = Journal::replay(plan.clone(), OnFailure::Rollback, &events[..cut]);
            let journal = journal.unwrap();
            let end = match journal.end() {
                Some(end) => end.clone(),
                None => drive(journal, fails).0.end().unwrap().clone(),
            };
            assert_eq!(Some(&end), whole.end(), "cut after {cut} events");
        }
    }
}

#[test]
fn halt_leaves_things_and_names_them() {
    let journal = Journal::new(
        plan(4, |id| if id == 0 { vec![] } else { vec![id - 1] }),
        OnFailure::Halt,
    );
    let (journal, _) = drive(journal, |step| step == StepId(2));
    let Some(End::Stuck(left)) = journal.end() else {
        panic!("{:?}", journal.end())
    };
    let names: Vec<_> = left.iter().map(|left| left.step.0).collect();
    assert_eq!(names, [2, 3]);
}

#[test]
fn continue_goes_on_with_what_does_not_depend_on_it() {
    let plan = plan(4, |id| if id == 3 { vec![0] } else { vec![] });
    let (journal, _) = drive(Journal::new(plan, OnFailure::Continue), |step| {
        step == StepId(0)
    });
    assert_eq!(journal.done(), 2);
    assert!(matches!(journal.end(), Some(End::Stuck(left)) if left.len() == 2));
}

#[test]
fn unknown_waits_for_a_person_and_the_rest_goes_on() {
    let plan = plan(3, |id| if id == 1 { vec![0] } else { vec![] });
    let mut journal = Journal::new(plan.clone(), OnFailure::Rollback);
    let unknown = Event::Unknown {
        step: StepId(0),
        reason: "cut off".to_owned(),
    };
    for event in [started(&plan), begun(StepId(0)), unknown] {
        journal.push(&event).unwrap();
    }
    let (journal, _) = drive(journal, |_| false);
    let Some(End::Stuck(left)) = journal.end() else {
        panic!("{:?}", journal.end())
    };
    assert_eq!(
        left.iter().map(|left| left.is.as_str()).collect::<Vec<_>>(),
        ["unknown", "as it was before"]
    );
    assert_eq!(journal.done(), 1);
}

#[test]
fn a_restore_that_fails_is_stuck_and_keeps_what_it_stands_on() {
    let plan = plan(3, |id| if id == 0 { vec![] } else { vec![id - 1] });
    let mut journal = Journal::new(plan.clone(), OnFailure::Rollback);
    let events = [
        started(&plan),
        begun(StepId(0)),
        Event::Done {
            step: StepId(0),
            outcome: None,
            notes: Vec::new(),
        },
        begun(StepId(1)),
        failed(StepId(1)),
        Event::RestoreBegun { step: StepId(1) },
        Event::RestoreFailed {
            step: StepId(1),
            error: "busy".to_owned(),
        },
    ];
    for event in &events {
        journal.push(event).unwrap();
    }
    let Some(End::Stuck(left)) = journal.next().end else {
        panic!()
    };
    let found: Vec<_> = left
        .iter()
        .map(|left| (left.step.0, left.is.as_str()))
        .collect();
    assert_eq!(found, [(0, "as planned"), (1, "not restored")]);
}

#[test]
fn a_step_that_failed_before_it_began_is_not_restored() {
    let plan = plan(2, |_| vec![]);
    let mut journal = Journal::new(plan.clone(), OnFailure::Rollback);
    let early = Event::Failed {
        step: StepId(1),
        error: "input unknown".to_owned(),
        certainty: Certainty::NothingHappened,
        retry: None,
    };
    for event in [started(&plan), begun(StepId(0)), early] {
        journal.push(&event).unwrap();
    }
    let (journal, events) = drive(journal, |_| false);
    assert_eq!(journal.end(), Some(&End::RolledBack));
    assert!(!events.contains(&Event::RestoreBegun { step: StepId(1) }));
}

#[test]
fn illegal_events_are_errors_and_change_nothing() {
    let plan = plan(2, |id| if id == 1 { vec![0] } else { vec![] });
    let mut journal = Journal::new(plan.clone(), OnFailure::Rollback);
    let illegal = |journal: &mut Journal, event: Event| {
        assert!(journal.push(&event).is_err(), "{event:?}");
    };
    illegal(&mut journal, begun(StepId(0)));
    journal.push(&started(&plan)).unwrap();
    illegal(&mut journal, started(&plan));
    illegal(&mut journal, begun(StepId(1)));
    illegal(&mut journal, begun(StepId(9)));
    illegal(
        &mut journal,
        Event::Done {
            step: StepId(0),
            outcome: None,
            notes: Vec::new(),
        },
    );
    illegal(&mut journal, Event::Applied);
    journal.push(&begun(StepId(0))).unwrap();
    illegal(&mut journal, begun(StepId(0)));
    illegal(&mut journal, Event::RestoreBegun { step: StepId(0) });
    illegal(
        &mut journal,
        Event::Recorded {
            commit: plan.revision.clone(),
        },
    );
    journal
        .push(&Event::Done {
            step: StepId(0),
            outcome: None,
            notes: Vec::new(),
        })
        .unwrap();
    illegal(
        &mut journal,
        Event::Done {
            step: StepId(0),
            outcome: None,
            notes: Vec::new(),
        },
    );
    assert_eq!(journal.next().begin.len(), 1);
}
