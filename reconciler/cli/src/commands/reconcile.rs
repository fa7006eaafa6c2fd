//! `stratum reconcile`

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stratum_core::condition::Condition;
use stratum_core::ports::{EvaluationCache, RunOutcome, SecretStore, Store};
use stratum_providers::probe::HealthProbe;
use stratum_repo::RefWatcher;
use stratum_runtime::{
    EnvironmentReport, Options, Ports, Progress, ProgressSink, Reconciler, Roots, Stop,
};
use stratum_store::{Access, SqliteStore};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::{SystemClock, SystemRandomness};
use crate::commands::status;
use crate::context::{Context, Place, absolute};
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::holder;
use crate::log;
use crate::show;
use crate::show::live::Board;
use crate::ui::{Loudness, Ui};
use crate::wiring;

/// Refs are looked at this often even when nothing woke the reconciler.
const POLL: Duration = Duration::from_secs(30);

/// A lease whose holder cannot be told to live is free after this long.
const LEASE: Duration = Duration::from_secs(60);

/// Watches the repository: plans, judges, applies and records what is pushed
///
/// It runs until it is told to stop. SIGTERM or Ctrl-C let it finish what is in flight; whatever
/// way it ends, it goes on from there when it is started again.
#[derive(Debug, clap::Args)]
pub(crate) struct ReconcileArguments {
    /// Look at every environment once, and end
    #[arg(long)]
    once: bool,

    /// Put the local resources of each environment under DIR, for a trial
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &ReconcileArguments) -> Result<Exit, CommandError> {
    log::start(&context.ui, context.global.verbose);
    let place = context.place()?;
    if arguments.once {
        // Whoever watches waits for the first commit; who looks once would see nothing.
        place.repository.require_commit()?;
    }
    context.block_on(work(context, arguments, &place))
}

async fn work(
    context: &Context,
    arguments: &ReconcileArguments,
    place: &Place,
) -> Result<Exit, CommandError> {
    let store = Arc::new(SqliteStore::open(&place.state, Access::ReadWrite).await?);
    let stop = Stop::default();
    let sink = sink(&context.ui, context.global.verbose > 0);
    let options = options(arguments, place)?;
    let reconciler = Reconciler::new(ports(place, &store)?, options, sink, stop.clone());
    listen(&context.ui, stop)?;
    if arguments.once {
        let reports = reconciler.run_once().await?;
        context.ui.redraw(Vec::new());
        answer(context, place, store.as_ref(), &reports).await?;
        store.close().await;
        return Ok(exit_of(&reports));
    }
    let where_from = place.repository.location();
    context
        .ui
        .say(&format!("watching `{where_from}`; Ctrl-C ends it"));
    let ended = reconciler.run().await;
    context.ui.redraw(Vec::new());
    store.close().await;
    ended?;
    context.ui.say("stopped; nothing is left in flight");
    Ok(Exit::Done)
}

fn ports(place: &Place, store: &Arc<SqliteStore>) -> Result<Ports, CommandError> {
    let providers = wiring::providers()?;
    let cache: Arc<dyn EvaluationCache> = store.clone();
    Ok(Ports {
        store: Arc::clone(store) as Arc<dyn Store>,
        loader: wiring::loader(&providers, Some(cache))?,
        gate: wiring::gate(),
        providers,
        sealing: wiring::sealing(),
        vault: Arc::clone(store) as Arc<dyn SecretStore>,
        secrets: wiring::secrets(),
        probe: Arc::new(HealthProbe),
        clock: Arc::new(SystemClock::new()),
        randomness: Arc::new(SystemRandomness),
        wake: Arc::new(RefWatcher::new(&place.repository)),
        repository: place.repository.clone(),
    })
}

fn options(arguments: &ReconcileArguments, place: &Place) -> Result<Options, CommandError> {
    let trial = arguments.root.as_deref().map(absolute).transpose()?;
    Ok(Options {
        holder: holder::this_process(),
        alive: Arc::new(holder::is_alive),
        roots: Roots {
            state_folder: place.state_folder().to_owned(),
            trial,
        },
        poll: POLL,
        lease_ttl: LEASE,
        inline: false,
    })
}

/// Shows what happens: lines that stay, and on a terminal a tree that is redrawn.
fn sink(ui: &Ui, every_step: bool) -> ProgressSink {
    let ui = ui.clone();
    let board = Mutex::new(Board::new(every_step));
    Arc::new(move |progress: &Progress| {
        let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = board.take(ui.side_theme(), progress);
        if ui.is_live() {
            ui.redraw(board.tree(ui.side_theme()));
        }
        for line in lines {
            ui.say(&line);
        }
    })
}

/// The first signal lets what is in flight end; the second ends the process, which is safe too.
fn listen(ui: &Ui, stop: Stop) -> Result<(), CommandError> {
    let take = |kind: SignalKind| {
        signal(kind)
            .map_err(|error| CommandError::machine("signals cannot be listened to").because(&error))
    };
    let mut terminate = take(SignalKind::terminate())?;
    let mut interrupt = take(SignalKind::interrupt())?;
    let ui = ui.clone();
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        ui.say("stopping: what is in flight ends first (again to end at once)");
        stop.stop();
        either(&mut terminate, &mut interrupt).await;
        ui.complain("ended at once; the next start goes on where this one was");
        std::process::exit(i32::from(Exit::Internal.code()));
    });
    Ok(())
}

async fn either(a: &mut Signal, b: &mut Signal) {
    tokio::select! {
        _ = a.recv() => {}
        _ = b.recv() => {}
    }
}

/// How things stand after one look.
async fn answer(
    context: &Context,
    place: &Place,
    store: &SqliteStore,
    reports: &[EnvironmentReport],
) -> Result<(), CommandError> {
    let ui = &context.ui;
    if ui.loudness() > Loudness::Quiet {
        for report in reports.iter().filter(|report| !report.findings.is_empty()) {
            let text = |path: &str| report_text(place, report, path);
            let findings = show::finding::findings(ui.side_theme(), &report.findings, &text);
            ui.say(&findings);
        }
    }
    let view = status::view(place, Some(store)).await?;
    status::answer(context, &view)
}

fn report_text(place: &Place, report: &EnvironmentReport, path: &str) -> Option<String> {
    use stratum_core::ports::Repository as _;
    let tree = place.repository.tree(report.commit.as_ref()?).ok()?;
    crate::commands::check::text(tree.as_ref(), path)
}

/// 0 when all are Ready, 1 when one is not, 4 when it is policy that keeps one from it.
fn exit_of(reports: &[EnvironmentReport]) -> Exit {
    let exit = |report: &EnvironmentReport| match (report.outcome, report.condition) {
        (Some(RunOutcome::Denied), _) => Exit::Denied,
        (Some(RunOutcome::RolledBack | RunOutcome::Stuck), _) => Exit::Wrong,
        (
            Some(RunOutcome::Applied | RunOutcome::Nothing) | None,
            Condition::Stalled | Condition::Unknown | Condition::Reconciling,
        ) => Exit::Wrong,
        (
            Some(RunOutcome::Applied | RunOutcome::Nothing) | None,
            Condition::Ready | Condition::Suspended,
        ) => Exit::Done,
    };
    reports.iter().map(exit).max().unwrap_or(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_core::ids::EnvironmentName;

    fn report(condition: Condition, outcome: Option<RunOutcome>) -> EnvironmentReport {
        EnvironmentReport {
            environment: EnvironmentName::new("e").unwrap(),
            condition,
            reason: String::new(),
            commit: None,
            run: None,
            outcome,
            findings: Vec::new(),
        }
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let ready = report(Condition::Ready, Some(RunOutcome::Applied));
        let back = report(Condition::Stalled, Some(RunOutcome::RolledBack));
        let denied = report(Condition::Stalled, Some(RunOutcome::Denied));
        let held = report(Condition::Stalled, None);
        assert_eq!(exit_of(std::slice::from_ref(&ready)), Exit::Done);
        assert_eq!(exit_of(&[ready.clone(), back]), Exit::Wrong);
        assert_eq!(exit_of(&[ready.clone(), held]), Exit::Wrong);
        assert_eq!(exit_of(&[ready, denied]), Exit::Denied);
    }
}
