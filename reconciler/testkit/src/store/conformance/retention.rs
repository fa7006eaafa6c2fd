//! Dropping what is over.

use std::time::Duration;

use jiff::Timestamp;
use stratum_core::journal::Event;
use stratum_core::ports::{ClockReading, Dropped, Keep, Lease, StateChange, Store};
use stratum_core::resource::Checkpoint;
use stratum_core::run::Run;
use stratum_core::settings::RetentionSettings;

use super::{Broken, Kept, done, environment, lease, run_id, same, start};
use crate::store::sample;

/// A day, in seconds.
const DAY: i64 = 24 * 3600;

fn keep(settings: RetentionSettings, day: i64) -> Keep {
    Keep {
        settings,
        now: sample::at(day * DAY),
    }
}

/// Drops until nothing more is dropped.
async fn retain(store: &dyn Store, keep: &Keep) -> Result<Dropped, Broken> {
    let mut all = Dropped::default();
    loop {
        let dropped = done("dropping what is old", store.retain(keep).await)?;
        all.checkpoints += dropped.checkpoints;
        all.journals += dropped.journals;
        all.runs += dropped.runs;
        all.observations += dropped.observations;
        if !dropped.more {
            return Ok(all);
        }
    }
}

/// A run of one step that changed a resource, ended, and is in git.
async fn settled(store: &dyn Store, lease: &Lease, id: &str) -> Result<Run, Broken> {
    let run = start(store, lease, id, 1).await?;
    let state = done("sample", sample::state(&lease.environment, 0, id))?;
    let mut begun = sample::begun(&run.id, 0);
    if let Event::Begun { checkpoint, .. } = &mut begun.event {
        **checkpoint = Checkpoint {
            before: Some(state.clone()),
            kept: Default::default(),
        };
    }
    let commit = done("sample", sample::commit())?;
    let events = vec![
        begun,
        sample::done(0, state),
        sample::entry(5, Event::Applied),
        sample::entry(6, Event::Recorded { commit }),
    ];
    done("appending", store.append(lease, &run.id, events).await)?;
    Ok(run)
}

async fn has_checkpoint(store: &dyn Store, id: &str) -> Result<Option<bool>, Broken> {
    let kept = done("reading", store.run(&run_id(id)?).await)?;
    Ok(kept.map(|kept| {
        kept.events.iter().any(|(_, event)| {
            matches!(event, Event::Begun { checkpoint, .. } if checkpoint.before.is_some())
        })
    }))
}

pub(super) async fn keeps_the_newest_runs(store: &dyn Store) -> Kept {
    let name = environment("a")?;
    let lease = lease(store, &name).await?;
    for id in ["r-1", "r-2", "r-3", "r-4"] {
        settled(store, &lease, id).await?;
    }
    start(store, &lease, "r-5", 1).await?;
    let open = vec![sample::begun(&run_id("r-5")?, 0)];
    done(
        "appending",
        store.append(&lease, &run_id("r-5")?, open).await,
    )?;
    let due = done("reading", store.is_upkeep_due().await)?;
    same("after a run, upkeep is due", due, true)?;
    let settings = RetentionSettings {
        journals: 2,
        history: 4,
        ..RetentionSettings::default()
    };
    let dropped = retain(store, &keep(settings, 1)).await?;
    let found = (dropped.checkpoints, dropped.journals, dropped.runs);
    same("what was dropped is told", found, (4, 3, 1))?;
    let history = done("reading", store.history(None, 10).await)?;
    let ids: Vec<_> = history.iter().map(|run| run.id.to_string()).collect();
    let rule = "history keeps the newest runs";
    same(
        rule,
        ids,
        ["r-5", "r-4", "r-3", "r-2"].map(str::to_owned).to_vec(),
    )?;
    same(
        "a run whose plan was dropped is shown without",
        has_checkpoint(store, "r-3").await?,
        None,
    )?;
    let rule = "a settled run needs nothing that puts its addresses back";
    same(rule, has_checkpoint(store, "r-4").await?, Some(false))?;
    let base = done("reading", store.base(&name).await)?;
    same("states are never dropped", base.resources.len(), 1)?;
    let due = done("reading", store.is_upkeep_due().await)?;
    same("after upkeep, it is not due", due, false)?;
    let again = retain(store, &keep(settings, 1)).await?;
    same(
        "what was dropped is dropped once",
        again,
        Dropped::default(),
    )
}

pub(super) async fn keeps_what_is_young_or_spoken_of(store: &dyn Store) -> Kept {
    let name = environment("a")?;
    let lease = lease(store, &name).await?;
    for id in ["r-1", "r-2", "r-3"] {
        settled(store, &lease, id).await?;
    }
    let mut row = done("sample", sample::row(&name, ""))?;
    row.last_run = Some(run_id("r-2")?);
    done("putting a row", store.put_environment(&lease, &row).await)?;
    let settings = RetentionSettings {
        journal_days: 30,
        history_days: 60,
        ..RetentionSettings::default()
    };
    let dropped = retain(store, &keep(settings, 29)).await?;
    let rule = "what is young enough stays";
    same(rule, (dropped.journals, dropped.runs), (0, 0))?;
    let dropped = retain(store, &keep(settings, 31)).await?;
    let rule = "what is too old goes, but for the last run and the one that the row names";
    same(rule, (dropped.journals, dropped.runs), (1, 0))?;
    let dropped = retain(store, &keep(settings, 61)).await?;
    same(rule, (dropped.journals, dropped.runs), (0, 1))?;
    let left = done("reading", store.history(None, 10).await)?;
    same(rule, left.len(), 2)
}

pub(super) async fn keeps_the_newest_observations(store: &dyn Store) -> Kept {
    let name = environment("a")?;
    let lease = lease(store, &name).await?;
    let run = start(store, &lease, "r-1", 1).await?;
    let state = done("sample", sample::state(&name, 0, "x"))?;
    let entries = vec![sample::begun(&run.id, 0), sample::done(0, state)];
    done("appending", store.append(&lease, &run.id, entries).await)?;
    let look = |number, day: i64, value: &str| {
        let seen = sample::observation(&name, number, day * DAY, value);
        done("sample", seen)
    };
    let mut looks = Vec::new();
    for day in 1..=5 {
        looks.push(look(0, day, &format!("v{day}"))?);
        looks.push(look(1, day, &format!("v{day}"))?);
    }
    done("observing", store.observe(&lease, &looks).await)?;
    let settings = RetentionSettings {
        observations: 3,
        observation_days: 10,
        ..RetentionSettings::default()
    };
    let kept = async |number| {
        let address = done("sample", sample::address(&name, number))?;
        let kept = done("reading", store.observations(&address, 10).await)?;
        Ok::<_, Broken>(kept.len())
    };
    retain(store, &keep(settings, 6)).await?;
    same("the newest observations stay", kept(0).await?, 3)?;
    same(
        "of a resource that is gone too, for a while",
        kept(1).await?,
        3,
    )?;
    retain(store, &keep(settings, 13)).await?;
    same("those of a resource that is gone go", kept(1).await?, 0)?;
    retain(store, &keep(settings, 40)).await?;
    same(
        "the newest of one that is there never does",
        kept(0).await?,
        1,
    )?;
    let gone = StateChange::Remove(done("sample", sample::address(&name, 0))?);
    let mut removed = sample::restored(0, done("sample", sample::address(&name, 0))?);
    removed.change = Some(gone);
    done(
        "appending",
        store.append(&lease, &run.id, vec![removed]).await,
    )?;
    retain(store, &keep(settings, 40)).await?;
    same("until it is gone", kept(0).await?, 0)
}

pub(super) async fn lives_no_faster_than_its_processes(store: &dyn Store) -> Kept {
    let read = async |second, passed| {
        let reading = ClockReading {
            now: sample::at(second),
            passed: Duration::from_secs(passed),
        };
        done("telling the time", store.lived(reading).await)
    };
    let at = |second| -> Timestamp { sample::at(second) };
    same(
        "a new state begins with the clock",
        read(100, 0).await?,
        at(100),
    )?;
    let rule = "a clock that jumps ahead ages nothing";
    same(rule, read(1_000_000, 600).await?, at(700))?;
    let rule = "what was lived through is kept";
    same(rule, read(1_000_000, 600).await?, at(1_300))?;
    let rule = "a clock that is set back is believed at once";
    same(rule, read(500, 60).await?, at(500))
}
