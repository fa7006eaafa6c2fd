//! Runs, their journals, and the state they leave.

use stratum_core::ids::{RunId, StepId};
use stratum_core::journal::{Event, Left};
use stratum_core::ports::{EnvironmentRow, RunOutcome, Store, StoreError};
use stratum_core::run::RunSummary;

use super::{Broken, Kept, done, environment, lease, run_id, same, start};
use crate::store::sample;

pub(super) async fn keeps_events_and_state(store: &dyn Store) -> Kept {
    let name = environment("production")?;
    let lease = lease(store, &name).await?;
    let run = start(store, &lease, "r-1", 3).await?;
    let state = |number, value| done("sample", sample::state(&name, number, value));
    let address = |number| done("sample", sample::address(&name, number));
    let first = vec![
        sample::begun(&run.id, 0),
        sample::begun(&run.id, 1),
        sample::done(0, state(0, "old")?),
        sample::done(1, state(1, "gone")?),
    ];
    let second = vec![
        sample::restored(1, address(1)?),
        sample::done(0, state(0, "q\"uote\u{0}\u{1f600}")?),
        sample::done(2, state(2, "c")?),
    ];
    let mut wanted = vec![sample::started(&run)];
    wanted.extend(first.iter().chain(&second).cloned());
    done("appending", store.append(&lease, &run.id, first).await)?;
    done("appending", store.append(&lease, &run.id, second).await)?;
    let kept = done("reading a run", store.run(&run.id).await)?;
    let kept = kept.ok_or_else(|| Broken::new("a run is kept", "there is none"))?;
    same("a run is kept as it was", kept.run, run.clone())?;
    let wanted: Vec<_> = wanted.into_iter().map(|one| (one.at, one.event)).collect();
    same("events are kept in order", kept.events, wanted)?;
    let base = done("reading", store.base(&name).await)?;
    let resources: Vec<_> = base.resources.into_values().collect();
    let wanted = vec![state(0, "q\"uote\u{0}\u{1f600}")?, state(2, "c")?];
    same("the state follows the events", resources, wanted)?;
    let other = done("reading", store.base(&environment("production-2")?).await)?;
    same("environments share nothing", other.resources.len(), 0)?;
    let unknown = run_id("r-9")?;
    let begun = vec![sample::begun(&unknown, 0)];
    let appended = store.append(&lease, &unknown, begun).await;
    same(
        "a run that was not started has no journal",
        appended.is_err(),
        true,
    )
}

pub(super) async fn refuses_a_moved_base(store: &dyn Store) -> Kept {
    let name = environment("production")?;
    let lease = lease(store, &name).await?;
    let run = start(store, &lease, "r-1", 1).await?;
    let second = done(
        "sample",
        sample::run(&name, "r-2", run.plan().base.serial, 1),
    )?;
    let rule = "a plan on an old base is refused";
    match store
        .start(&lease, &second, &sample::started(&second))
        .await
    {
        Err(StoreError::Moved {
            planned: 0,
            head: 1,
            ..
        }) => {}
        other => return Err(Broken::new(rule, format!("{other:?}"))),
    }
    let kept = done("reading", store.run(&second.id).await)?;
    same(rule, kept.is_none(), true)?;
    let base = done("reading", store.base(&name).await)?;
    same("a refused start does not move the head", base.serial, 1)?;
    start(store, &lease, "r-2", 1).await?;
    let base = done("reading", store.base(&name).await)?;
    same("each start moves the head by one", base.serial, 2)
}

pub(super) async fn tells_what_is_unfinished(store: &dyn Store) -> Kept {
    let name = environment("production")?;
    let lease = lease(store, &name).await?;
    let commit = done("sample", sample::commit())?;
    let open = async || {
        let runs = done("reading", store.unfinished().await)?;
        Ok(runs.into_iter().map(|one| one.run.id.to_string()).collect())
    };
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    same("nothing is unfinished at first", open().await?, names(&[]))?;
    let first = start(store, &lease, "r-1", 0).await?;
    let second = start(store, &lease, "r-2", 0).await?;
    let rule = "runs that have not ended are unfinished, oldest first";
    same(rule, open().await?, names(&["r-1", "r-2"]))?;
    let ended = vec![sample::entry(5, Event::Applied)];
    done("appending", store.append(&lease, &first.id, ended).await)?;
    let rule = "a run whose record is not in git is unfinished";
    same(rule, open().await?, names(&["r-1", "r-2"]))?;
    let recorded = vec![sample::entry(6, Event::Recorded { commit })];
    done("appending", store.append(&lease, &first.id, recorded).await)?;
    let rule = "a run whose record is in git is finished";
    same(rule, open().await?, names(&["r-2"]))?;
    let kept = done("reading", store.run(&second.id).await)?;
    same("an unfinished run can be read", kept.is_some(), true)
}

pub(super) async fn tells_open_runs_page_by_page(store: &dyn Store) -> Kept {
    let name = environment("production")?;
    let lease = lease(store, &name).await?;
    for id in ["r-1", "r-2", "r-3", "r-4"] {
        start(store, &lease, id, 1).await?;
    }
    let commit = done("sample", sample::commit())?;
    let ended = |event| vec![sample::entry(5, event)];
    let (first, second) = (run_id("r-1")?, run_id("r-2")?);
    let append = async |id, event| done("appending", store.append(&lease, id, ended(event)).await);
    append(&first, Event::Applied).await?;
    append(&second, Event::RolledBack).await?;
    append(
        &second,
        Event::Recorded {
            commit: commit.clone(),
        },
    )
    .await?;
    let page = async |after: Option<&RunId>, limit| {
        let open = done("reading", store.open_runs(after, limit).await)?;
        let told = open
            .into_iter()
            .map(|one| (one.id.to_string(), one.outcome));
        Ok::<Vec<_>, Broken>(told.collect())
    };
    let wanted = |id: &str, outcome| (id.to_owned(), outcome);
    let rule = "open runs are told oldest first, with how they ended";
    let applied = wanted("r-1", Some(RunOutcome::Applied));
    same(
        rule,
        page(None, 2).await?,
        vec![applied, wanted("r-3", None)],
    )?;
    let rule = "the next page begins after the run that is named";
    same(
        rule,
        page(Some(&run_id("r-3")?), 2).await?,
        vec![wanted("r-4", None)],
    )?;
    same(
        "the last page is empty",
        page(Some(&run_id("r-4")?), 2).await?.len(),
        0,
    )
}

pub(super) async fn summarises(store: &dyn Store) -> Kept {
    let (a, b) = (environment("a")?, environment("b")?);
    let (lease_a, lease_b) = (lease(store, &a).await?, lease(store, &b).await?);
    let run = start(store, &lease_a, "r-1", 2).await?;
    let state = done("sample", sample::state(&a, 0, "x"))?;
    let address = done("sample", sample::address(&a, 0))?;
    let left = Left {
        address: address.clone(),
        step: StepId(0),
        is: String::new(),
        should: String::new(),
        why: "it is in use".to_owned(),
    };
    let mut wanted = RunSummary::begin(run.about());
    let entries = vec![
        sample::begun(&run.id, 0),
        sample::done(0, state),
        sample::failed(1, "no room"),
    ];
    done("appending", store.append(&lease_a, &run.id, entries).await)?;
    start(store, &lease_b, "r-2", 0).await?;
    let newest = done("reading", store.history(Some(&a), 1).await)?;
    (wanted.steps.done, wanted.steps.failed) = (1, 1);
    wanted.reason = "`a/local_data.r1`: no room".to_owned();
    same("a summary follows the events", newest, vec![wanted.clone()])?;
    let entries = vec![
        sample::restored(0, address),
        sample::entry(9, Event::Stuck { left: vec![left] }),
    ];
    done("appending", store.append(&lease_a, &run.id, entries).await)?;
    wanted.steps.restored = 1;
    wanted.outcome = Some(RunOutcome::Stuck);
    wanted.ended_at = Some(sample::at(9));
    wanted.reason = "`a/local_data.r0`: it is in use".to_owned();
    let all = done("reading", store.history(None, 10).await)?;
    let ids: Vec<_> = all.iter().map(|one| one.id.to_string()).collect();
    same(
        "history is newest first",
        ids,
        vec!["r-2".into(), "r-1".into()],
    )?;
    same("a summary tells the end", all.last(), Some(&wanted))?;
    let few = done("reading", store.history(None, 1).await)?;
    same("history is limited", few.len(), 1)
}

pub(super) async fn notes_runs(store: &dyn Store) -> Kept {
    let name = environment("production")?;
    let lease = lease(store, &name).await?;
    let run = done("sample", sample::run(&name, "r-1", 0, 1))?;
    let mut summary = RunSummary::begin(run.about());
    summary.outcome = Some(RunOutcome::Denied);
    summary.reason = "policy says no".to_owned();
    done("noting a run", store.note_run(&lease, &summary).await)?;
    summary.record = Some(done("sample", sample::commit())?);
    done("noting it again", store.note_run(&lease, &summary).await)?;
    let history = done("reading", store.history(None, 10).await)?;
    same(
        "a noted run is in the history",
        history,
        vec![summary.clone()],
    )?;
    let open = done("reading", store.unfinished().await)?;
    same("a noted run is never unfinished", open.len(), 0)?;
    let kept = done("reading", store.run(&summary.id).await)?;
    same("a noted run has no journal", kept.is_none(), true)?;
    let journalled = start(store, &lease, "r-2", 1).await?;
    let summary = RunSummary::begin(journalled.about());
    let noted = store.note_run(&lease, &summary).await;
    same("a run with a journal is not noted", noted.is_err(), true)
}

pub(super) async fn remembers_environments(store: &dyn Store) -> Kept {
    let (a, b) = (environment("a")?, environment("b")?);
    let (lease_a, lease_b) = (lease(store, &a).await?, lease(store, &b).await?);
    start(store, &lease_a, "r-1", 0).await?;
    let rows = done("reading", store.environments().await)?;
    same("only rows that were put are there", rows.len(), 0)?;
    let row = |name, reason| done("sample", sample::row(name, reason));
    let put = async |lease, row: Result<EnvironmentRow, Broken>| {
        done("putting a row", store.put_environment(lease, &row?).await)
    };
    put(&lease_b, row(&b, "one")).await?;
    put(&lease_a, row(&a, "two")).await?;
    put(&lease_b, row(&b, "three")).await?;
    let rows = done("reading", store.environments().await)?;
    let wanted = vec![row(&a, "two")?, row(&b, "three")?];
    same("environments are read by name", rows, wanted)?;
    let base = done("reading", store.base(&a).await)?;
    same("a row does not move the head", base.serial, 1)
}
