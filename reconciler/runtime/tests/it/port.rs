//! What the provider port carries, end to end: plan, apply, journal, state, rollback.

use std::sync::Arc;
use std::time::Duration;

use stratum_core::condition::Condition;
use stratum_core::digest::Digest;
use stratum_core::ids::{Address, ProviderName};
use stratum_core::journal::Event;
use stratum_core::kinds::Kind;
use stratum_core::plan::{Action, Plan, Reason};
use stratum_core::ports::{Journals as _, RunOutcome, States as _};
use stratum_core::resource::{Meta, Resource, Timeouts};
use stratum_core::value::{Number, Path, Record, Reference, SecretReference, Value};
use stratum_testkit::cloud::Asked;
use stratum_testkit::script::{Content, environment, thing};
use stratum_testkit::world::{Fault, Operation};

use crate::desk::Desk;

fn provider(region: &str) -> ProviderName {
    ProviderName::new(format!("cloud.{region}")).unwrap()
}

fn configuration(region: &str) -> Record {
    let key = Value::secret(SecretReference {
        path: "cloud".to_owned(),
        key: region.to_owned(),
        version: Some(1),
        digest: Some(Digest::of_bytes(region.as_bytes())),
    });
    Record::from([
        ("region".to_owned(), Value::text(region)),
        ("key".to_owned(), key),
    ])
}

fn of_cloud(local: &str, region: &str, attributes: &[(&str, Value)]) -> Resource {
    let attributes = attributes.iter();
    Resource {
        address: format!("e/{local}").parse().unwrap(),
        kind: Kind::Infrastructure,
        provider: provider(region),
        attributes: attributes
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect(),
        meta: Meta::default(),
        sources: Default::default(),
    }
}

fn server(name: &str, attributes: &[(&str, Value)]) -> Resource {
    of_cloud(&format!("cloud_thing.{name}"), "eu", attributes)
}

fn content(resources: Vec<Resource>) -> Content {
    Content::of(resources)
        .configure(provider("eu"), configuration("eu"))
        .configure(provider("us"), configuration("us"))
}

fn address(local: &str) -> Address {
    format!("e/{local}").parse().unwrap()
}

fn to(local: &str, path: &str) -> Value {
    Value::reference(Reference {
        resource: local.parse().unwrap(),
        path: Path(path.to_owned()),
    })
}

/// Pushes and looks; answers how the last run ended and the last plan that was made.
async fn push(desk: &Desk, content: Content) -> (Option<RunOutcome>, Arc<Plan>) {
    desk.script.push(content);
    look(desk).await
}

async fn look(desk: &Desk) -> (Option<RunOutcome>, Arc<Plan>) {
    let process = desk.start();
    let reports = process.reconciler.run_once().await.unwrap();
    let own = reports
        .into_iter()
        .find(|one| one.environment == environment());
    let report = own.unwrap();
    let plan = process.plans.lock().unwrap().last().cloned();
    let plan = plan.unwrap_or_else(|| panic!("no plan: {}", report.reason));
    (report.outcome, plan)
}

async fn events(desk: &Desk) -> Vec<Event> {
    let runs = desk.store.history(Some(&environment()), 1).await.unwrap();
    let run = desk.store.run(&runs[0].id).await.unwrap().unwrap();
    run.events.into_iter().map(|(_, event)| event).collect()
}

#[tokio::test(start_paused = true)]
async fn one_provider_has_several_configurations_with_secrets_of_their_own() {
    let desk = Desk::new(1);
    let us = of_cloud("cloud_thing.us", "us", &[("name", Value::text("b"))]);
    let resources = vec![server("eu", &[("name", Value::text("a"))]), us];
    let (outcome, plan) = push(&desk, content(resources)).await;
    assert_eq!(outcome, Some(RunOutcome::Applied));
    let regions: Vec<_> = desk
        .cloud
        .things()
        .into_values()
        .map(|one| one["region"].clone())
        .collect();
    assert!(regions.contains(&Value::text("eu")) && regions.contains(&Value::text("us")));
    let asked = desk.cloud.asked();
    for region in ["eu", "us"] {
        let configured = Asked::Configured(region.to_owned(), format!("key-of-{region}"));
        let times = asked.iter().filter(|one| **one == configured).count();
        assert_eq!(times, 1, "{region}: {asked:?}");
    }
    // Types are asked for one by one, once.
    let types = asked.iter().filter(|one| matches!(one, Asked::Type(_)));
    assert_eq!(
        types.collect::<Vec<_>>(),
        [&Asked::Type("cloud_thing".to_owned())]
    );
    let kept = serde_json::to_string(&*plan).unwrap();
    assert!(!kept.contains("key-of-"), "{kept}");
    // The plan is all that another process needs to carry it on.
    assert_eq!(plan.providers.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_does_not_work_stops_what_needs_it_for_now() {
    let desk = Desk::new(1);
    let broken =
        Content::of(vec![server("a", &[])]).configure(provider("eu"), configuration("nowhere"));
    desk.script.push(broken);
    let report = desk.look().await;
    assert!(
        report.reason.contains("may not be read")
            || report.reason.contains("not at hand")
            || report.reason.contains("does not answer"),
        "{}",
        report.reason
    );
    desk.script.push(Content::of(vec![server("a", &[])]));
    let report = desk.look().await;
    assert!(
        report.reason.contains("no configuration"),
        "{}",
        report.reason
    );
    assert!(desk.cloud.things().is_empty());
}

#[tokio::test(start_paused = true)]
async fn sets_typed_values_and_long_numbers_go_all_the_way_and_back() {
    let desk = Desk::new(1);
    let long = Value::Number(Number::parse("123456789012345678901234567890.5").unwrap());
    let tags = Value::set(vec![Value::text("b"), Value::text("a"), Value::text("b")]);
    let extra = Value::typed("[\"list\",\"string\"]", Value::Null);
    let first = [
        ("name", Value::text("a")),
        ("size", long.clone()),
        ("tags", tags.clone()),
        ("extra", extra.clone()),
    ];
    let (outcome, plan) = push(&desk, content(vec![server("a", &first)])).await;
    assert_eq!(outcome, Some(RunOutcome::Applied));
    let text = serde_json::to_string(&*plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), *plan);
    let state = desk.state().await[&address("cloud_thing.a")].clone();
    assert_eq!(
        (&state["size"], &state["tags"], &state["extra"]),
        (&long, &tags, &extra)
    );
    // A set in another order is the same set.
    let again = Value::set(vec![Value::text("a"), Value::text("b")]);
    let mut second = first.clone();
    second[2].1 = again;
    let (outcome, _) = push(
        &desk,
        content(vec![server("a", &second), thing("x", "1", &[])]),
    )
    .await;
    assert_eq!(outcome, Some(RunOutcome::Applied));
    // A change that is rolled back leaves every digit.
    let before = desk.cloud.things();
    let changed = [
        ("name", Value::text("a")),
        ("tags", Value::set(vec![Value::text("c")])),
    ];
    let last = thing("y", "1", &[]);
    let mut last = last;
    last.meta.depends_on = vec!["cloud_thing.a".parse().unwrap()];
    desk.world
        .inject(&last.address, Operation::Apply, Fault::FailAfter);
    let (outcome, _) = push(
        &desk,
        content(vec![server("a", &changed), thing("x", "1", &[]), last]),
    )
    .await;
    assert_eq!(outcome, Some(RunOutcome::RolledBack));
    assert_eq!(desk.cloud.things(), before);
    assert_eq!(desk.state().await[&address("cloud_thing.a")], state);
}

#[tokio::test(start_paused = true)]
async fn what_is_only_written_is_kept_nowhere() {
    let desk = Desk::new(1);
    let token = ("token", Value::text("once"));
    let one = server("a", &[("name", Value::text("a")), token.clone()]);
    push(&desk, content(vec![one])).await;
    let made = desk
        .cloud
        .asked()
        .into_iter()
        .find_map(|asked| match asked {
            Asked::Made(_, _, token) => Some(token),
            _ => None,
        });
    assert_eq!(made, Some(Some("once".to_owned())));
    let base = desk.store.base(&environment()).await.unwrap();
    let kept = serde_json::to_string(&base.resources).unwrap();
    assert!(!kept.contains("once"), "{kept}");
    let two = server("a", &[("name", Value::text("b")), token]);
    let (outcome, _) = push(&desk, content(vec![two])).await;
    assert_eq!(outcome, Some(RunOutcome::Applied));
}

#[tokio::test(start_paused = true)]
async fn state_of_an_older_schema_is_upgraded_before_it_is_used() {
    let desk = Desk::new(1);
    desk.cloud.version(1);
    push(
        &desk,
        content(vec![server("a", &[("label", Value::text("x"))])]),
    )
    .await;
    let base = desk.store.base(&environment()).await.unwrap();
    assert_eq!(base.resources[&address("cloud_thing.a")].schema_version, 1);
    desk.cloud.version(2);
    let (outcome, plan) = push(
        &desk,
        content(vec![server("a", &[("name", Value::text("y"))])]),
    )
    .await;
    assert_eq!(outcome, Some(RunOutcome::Applied));
    assert!(desk.cloud.asked().contains(&Asked::Upgraded(1)));
    let prior = plan.steps[0].prior.as_ref().unwrap();
    assert_eq!(prior.attributes.get("name"), Some(&Value::text("x")));
    let base = desk.store.base(&environment()).await.unwrap();
    let row = &base.resources[&address("cloud_thing.a")];
    assert_eq!(row.schema_version, 2);
    assert!(!row.instance.attributes.contains_key("label"));
    // A state of a later version is not touched.
    desk.cloud.version(1);
    let (_, plan) = push(
        &desk,
        content(vec![server("a", &[("label", Value::text("z"))])]),
    )
    .await;
    assert!(plan.blocked[0].reason.contains("later version"), "{plan:?}");
    assert!(plan.steps.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_renewed() {
    let desk = Desk::new(1);
    let one = || server("a", &[("name", Value::text("a"))]);
    push(&desk, content(vec![one()])).await;
    let base = desk.store.base(&environment()).await.unwrap();
    assert!(base.due().is_some());
    desk.clock.jump(86_400 * 2);
    let (outcome, plan) = push(&desk, content(vec![one(), thing("x", "1", &[])])).await;
    assert_eq!(outcome, Some(RunOutcome::Applied));
    let renews = plan
        .steps
        .iter()
        .find(|step| step.reason == Reason::Due)
        .unwrap();
    assert_eq!(renews.action, Action::Update);
    assert!(
        desk.cloud
            .asked()
            .contains(&Asked::Renewed("thing-1".to_owned()))
    );
    let later = desk.store.base(&environment()).await.unwrap();
    assert!(later.due() > base.due());
}

#[tokio::test(start_paused = true)]
async fn what_is_only_read_is_read_and_flows_on() {
    let desk = Desk::new(1);
    desk.cloud.image("debian", "image-1");
    let image = |name: Value| of_cloud("cloud_image.os", "eu", &[("name", name)]);
    let uses = || {
        server(
            "a",
            &[
                ("name", Value::text("debian")),
                ("image", to("cloud_image.os", "id")),
            ],
        )
    };
    let (outcome, plan) = push(&desk, content(vec![image(Value::text("debian")), uses()])).await;
    assert_eq!(outcome, Some(RunOutcome::Applied));
    let planned = plan
        .steps
        .iter()
        .find(|step| step.address == address("cloud_thing.a"));
    let planned = planned.unwrap().planned.as_ref().unwrap();
    assert_eq!(
        planned["image"],
        Value::text("image-1"),
        "known when it is planned"
    );
    // Another image is seen with the next plan.
    desk.cloud.image("debian", "image-2");
    let (_, plan) = push(
        &desk,
        content(vec![
            image(Value::text("debian")),
            uses(),
            thing("x", "1", &[]),
        ]),
    )
    .await;
    assert!(plan.steps.iter().any(|step| step.action == Action::Read));
    assert_eq!(
        desk.state().await[&address("cloud_thing.a")]["image"],
        Value::text("image-2")
    );
    // What it reads by is not known before the apply: it is read then.
    let late = Desk::new(1);
    late.cloud.image("debian", "image-1");
    let named = server("n", &[("name", Value::text("debian"))]);
    let by_id = of_cloud(
        "cloud_image.os",
        "eu",
        &[("name", to("memory_thing.m", "id"))],
    );
    late.script
        .push(content(vec![thing("m", "1", &[]), by_id, named]));
    let report = late.look().await;
    assert_eq!(
        report.outcome,
        Some(RunOutcome::RolledBack),
        "{}",
        report.reason
    );
    assert!(late.world.things().is_empty() && late.cloud.things().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_move_changes_the_state_and_not_the_world() {
    let desk = Desk::new(1);
    let named = |local: &str| of_cloud(local, "eu", &[("name", Value::text("a"))]);
    push(&desk, content(vec![named("cloud_thing.old")])).await;
    let before = desk.cloud.things();
    let mut new = named("cloud_thing.new");
    new.meta.moved_from = Some("cloud_thing.old".parse().unwrap());
    // The first try is rolled back: the address is the old one again.
    let mut fails = thing("x", "1", &[]);
    fails.meta.depends_on = vec!["cloud_thing.new".parse().unwrap()];
    desk.world
        .inject(&fails.address, Operation::Apply, Fault::FailAfter);
    let (outcome, _) = push(&desk, content(vec![new.clone(), fails])).await;
    assert_eq!(outcome, Some(RunOutcome::RolledBack));
    assert_eq!(
        desk.state().await.keys().cloned().collect::<Vec<_>>(),
        [address("cloud_thing.old")]
    );
    let (outcome, plan) = push(&desk, content(vec![new])).await;
    assert_eq!(outcome, Some(RunOutcome::Applied));
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(
        desk.state().await.keys().cloned().collect::<Vec<_>>(),
        [address("cloud_thing.new")]
    );
    assert_eq!(desk.cloud.things(), before);
}

#[tokio::test(start_paused = true)]
async fn the_new_one_is_made_before_the_old_one_goes() {
    let desk = Desk::new(1);
    let zoned = |zone: &str| {
        let mut one = server("a", &[("zone", Value::text(zone))]);
        one.meta.create_first = true;
        one
    };
    push(&desk, content(vec![zoned("1")])).await;
    let before = (desk.cloud.things(), desk.state().await);
    // What cannot be taken away: all is as it was before.
    desk.cloud.refuse(true);
    let (outcome, _) = push(&desk, content(vec![zoned("2")])).await;
    assert_eq!(outcome, Some(RunOutcome::RolledBack));
    assert_eq!((desk.cloud.things(), desk.state().await), before);
    desk.cloud.refuse(false);
    desk.cloud.forget();
    let (outcome, _) = push(&desk, content(vec![zoned("3")])).await;
    assert_eq!(outcome, Some(RunOutcome::Applied));
    let asked = desk.cloud.asked();
    let made = asked.iter().position(|one| matches!(one, Asked::Made(..)));
    let taken = asked
        .iter()
        .position(|one| *one == Asked::Taken("thing-1".to_owned()));
    assert!(made < taken && taken.is_some(), "{asked:?}");
    assert_eq!(desk.cloud.things().len(), 1);
    let state = desk.state().await;
    assert_eq!(
        state.keys().cloned().collect::<Vec<_>>(),
        [address("cloud_thing.a")]
    );
    assert_eq!(state[&address("cloud_thing.a")]["zone"], Value::text("3"));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_run_is_started_although_drift_is_only_reported() {
    let desk = Desk::new(1);
    let one = |size: u32| server("a", &[("size", Value::number(size))]);
    push(&desk, content(vec![one(1)])).await;
    desk.cloud.stop(true);
    let (outcome, plan) = push(&desk, content(vec![one(2)])).await;
    assert_eq!(outcome, Some(RunOutcome::Applied));
    assert_eq!(plan.steps[0].action, Action::Update);
    // Seen by a look at the world, without any change of the repository.
    desk.clock.jump(86_400 / 2);
    let (_, plan) = look(&desk).await;
    let reason = Reason::NotRunning("it was switched off".to_owned());
    assert_eq!(plan.steps[0].reason, reason);
}

#[tokio::test(start_paused = true)]
async fn a_resource_has_times_of_its_own() {
    let desk = Desk::new(1);
    desk.cloud.slow(true);
    let mut one = server("a", &[]);
    // The type gives ninety seconds, which is enough for a minute.
    let (outcome, _) = push(&desk, content(vec![one.clone()])).await;
    assert_eq!(outcome, Some(RunOutcome::Applied));
    one.address = address("cloud_thing.b");
    one.meta.timeouts = Timeouts {
        create: Some(Duration::from_secs(5)),
        ..Timeouts::default()
    };
    push(&desk, content(vec![server("a", &[]), one])).await;
    let late = events(&desk).await.into_iter().any(|event| match event {
        Event::Failed { error, .. } => error.contains("no answer within 5s"),
        _ => false,
    });
    assert!(late);
}

#[tokio::test(start_paused = true)]
async fn a_long_call_is_told_to_stop() {
    let desk = Desk::new(1);
    desk.cloud.slow(true);
    desk.script.push(content(vec![server("a", &[])]));
    let process = desk.start();
    let stop = process.stop.clone();
    let (ended, ()) = tokio::join!(process.reconciler.run_once(), async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        stop.stop();
    });
    drop(ended);
    assert!(desk.cloud.asked().contains(&Asked::Stopped));
    assert!(desk.cloud.things().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_minds_is_a_warning_at_its_place() {
    let desk = Desk::new(1);
    let (outcome, plan) = push(
        &desk,
        content(vec![server("a", &[("size", Value::number(13))])]),
    )
    .await;
    assert_eq!(outcome, Some(RunOutcome::Applied));
    assert_eq!(plan.warnings.len(), 1);
    assert!(plan.warnings[0].message.contains("`size`: brings bad luck"));
}

#[tokio::test(start_paused = true)]
async fn a_nested_sensitive_value_is_shown_nowhere() {
    const CANARY: &str = "canary-hunter2-canary";
    let desk = Desk::new(1);
    let login = |password: &str| {
        let fields = [("user", "root"), ("password", password)];
        let fields = fields.map(|(k, v)| (k.to_owned(), Value::text(v)));
        Value::list(vec![Value::record(fields.into())])
    };
    let mut copy = thing("copy", "", &[]);
    let joined = Value::joined(vec![
        Value::text("root:"),
        to("cloud_thing.a", "login[0].password"),
    ]);
    copy.attributes.insert("value".to_owned(), joined);
    let mut again = thing("again", "", &[]);
    again
        .attributes
        .insert("value".to_owned(), to("memory_thing.copy", "value"));
    let things = |password: &str| {
        vec![
            server("a", &[("login", login(password))]),
            copy.clone(),
            again.clone(),
        ]
    };
    let (outcome, plan) = push(&desk, content(things(CANARY))).await;
    assert_eq!(outcome, Some(RunOutcome::Applied));
    let shown = |plan: &Plan| {
        let changes = plan.steps.iter().flat_map(|step| step.changes.clone());
        let changes: Vec<_> = changes.filter(|change| !change.sensitive).collect();
        format!("{changes:?}")
    };
    assert!(!shown(&plan).contains(CANARY));
    // A drift, a change and a failure say nothing either.
    let before = desk.world.thing(&address("memory_thing.copy"));
    let by_hand = [("id", "x"), ("value", CANARY)].map(|(k, v)| (k.to_owned(), Value::text(v)));
    desk.world
        .meddle(&address("memory_thing.copy"), Some(by_hand.into()));
    desk.clock.jump(86_400 / 2);
    let (_, plan) = look(&desk).await;
    let drifted: Vec<_> = plan.drifted.iter().flat_map(|one| &one.changes).collect();
    assert!(!drifted.is_empty());
    let told = |change: &&&stratum_core::plan::Change| change.path.0 == "value";
    assert!(
        drifted.iter().filter(told).all(|change| change.sensitive),
        "{drifted:?}"
    );
    desk.world.meddle(&address("memory_thing.copy"), before);
    desk.world.inject(
        &address("memory_thing.again"),
        Operation::Apply,
        Fault::FailAfter,
    );
    let (_, plan) = push(&desk, content(things("another-canary"))).await;
    assert!(!shown(&plan).contains("canary"));
    for record in desk.script.published() {
        for (_, bytes) in &record.files {
            let text = String::from_utf8_lossy(bytes).into_owned();
            assert!(!text.contains("canary"), "{text}");
        }
    }
    let base = desk.store.base(&environment()).await.unwrap();
    let row = &base.resources[&address("memory_thing.again")];
    assert!(row.sensitive.touches(&Path::of("value")), "{row:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_renewed_when_it_is_due() {
    use stratum_core::settings::{DriftMode, DriftSettings};
    let desk = Desk::new(1);
    let renewed = |desk: &Desk| {
        let asked = desk.cloud.asked();
        let renewals = asked.iter().filter(|one| matches!(one, Asked::Renewed(_)));
        renewals.count()
    };
    let ignored = DriftSettings {
        mode: DriftMode::Ignore,
        every: Duration::from_secs(300),
    };
    let one = server("a", &[("name", Value::text("a"))]);
    let pushed = content(vec![one]).set(|own| own.drift = Some(ignored));
    desk.script.push(pushed);
    let process = desk.start();
    let reconciler = process.reconciler.clone();
    let running = tokio::spawn(async move { reconciler.run().await });
    // A new thing is good for a day, and so is what was renewed.
    tokio::time::sleep(Duration::from_secs(86_000)).await;
    assert_eq!(renewed(&desk), 0);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(renewed(&desk), 1);
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!(renewed(&desk), 2);
    process.stop.stop();
    running.await.unwrap().unwrap();
    // A process that begins later knows of it too.
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    desk.once().await;
    assert_eq!(renewed(&desk), 3);
    assert_eq!(desk.row().await.condition, Condition::Ready);
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_minds_while_it_applies_is_in_the_journal_and_in_the_record() {
    let desk = Desk::new(1);
    push(&desk, content(vec![thing("x", "old", &[])])).await;
    let runs = desk.store.history(None, 1).await.unwrap();
    let run = desk.store.run(&runs[0].id).await.unwrap().unwrap();
    let notes = run.events.iter().find_map(|(_, event)| match event {
        Event::Done { notes, .. } => Some(notes.clone()),
        _ => None,
    });
    assert_eq!(notes.unwrap(), ["`value`: `old` will be refused one day"]);
    let record = desk.script.published().pop().unwrap();
    let text = String::from_utf8(record.files[0].1.clone()).unwrap();
    assert!(text.contains("will be refused one day"), "{text}");
}
