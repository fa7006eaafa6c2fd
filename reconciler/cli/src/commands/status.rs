//! `stratum status`

use std::collections::BTreeMap;

use jiff::Timestamp;
use stratum_assembly::adapters;
use stratum_assembly::attendance::{Attendance, Branches};
use stratum_assembly::records;
use stratum_core::condition::Condition;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{
    Announcements as _, EnvironmentRow, Facts as _, QueueEntry, Repository as _, States as _,
    Work as _,
};
use stratum_core::remembered::AGAIN;
use stratum_core::run::RunSummary;
use stratum_store::{Counts, SqliteStore};

use crate::commands::audit;
use crate::commands::watch::{self, Answer, WatchArguments};
use crate::context::{Context, Place};
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::show;
use crate::show::json::{AgainView, EnvironmentView, StatusView, VERSION};
use crate::{troubles, words};

/// Shows how every environment is, and whether somebody reconciles
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArguments {
    /// End with 2 unless every environment is Ready where its branch is, somebody reconciles, and
    /// nothing else needs anybody
    #[arg(long, conflicts_with = "watch")]
    detailed_exitcode: bool,

    #[command(flatten)]
    watch: WatchArguments,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &StatusArguments) -> Result<Exit, CommandError> {
    let place = context.known_place()?;
    context.block_on(async {
        let mut store = None;
        let mut exit = Exit::Done;
        let done = watch::answer(context, arguments.watch, async || {
            if store.is_none() {
                store = place.state().await?;
            }
            let mut view = view(&place, store.as_ref()).await?;
            if let Some(store) = &store {
                view.audit = audit::health(&place, store).await?;
                view.reconciler = Some(Attendance::of(store).await?);
            }
            if arguments.detailed_exitcode && !is_well(&view, Timestamp::now()) {
                exit = Exit::Changes;
            }
            let text = text(context, &view);
            let json = serde_json::to_value(view)?;
            Ok(Answer { json, text })
        })
        .await?;
        Ok(done.max(exit))
    })
}

/// Whether nothing needs anybody: all are Ready and where their branches are, and somebody sees to
/// it that they stay so.
fn is_well(view: &StatusView, now: Timestamp) -> bool {
    let attended = view
        .reconciler
        .as_ref()
        .is_some_and(|one| !one.is_trouble());
    let audited = view
        .audit
        .as_ref()
        .is_none_or(|audit| audit.problem.is_none());
    let mut environments = view.environments.iter();
    attended
        && audited
        && view.forge.is_none()
        && view.records.is_none()
        && view.troubles.is_empty()
        && environments.all(|one| show::status::is_well(one, now))
}

/// Writes the status as text or as JSON.
pub(crate) fn answer(context: &Context, view: &StatusView) -> Result<(), CommandError> {
    if context.global.json {
        context.ui.answer_json(view)?;
    } else {
        context.ui.answer(&text(context, view));
    }
    Ok(())
}

fn text(context: &Context, view: &StatusView) -> String {
    let (theme, now) = (context.ui.theme(), Timestamp::now());
    let unattended = view.reconciler.as_ref().filter(|one| one.is_trouble());
    let environments = &view.environments;
    let mut text = show::status::status(theme, environments, unattended.is_some(), now);
    text.push_str(&troubles::text(theme, &view.troubles));
    if let Some(nobody) = unattended {
        text.push_str(&show::attendance::trouble(theme, nobody, now));
    }
    if let Some(trouble) = &view.forge {
        text.push_str(&show::forge::trouble(theme, trouble, now));
    }
    if let Some(records) = &view.records {
        text.push_str(&show::records::trouble(theme, records, now));
    }
    if let Some(audit) = &view.audit {
        text.push_str(&show::audit::line(theme, audit, now));
    }
    text
}

/// How every environment is: those of the state, and those of the settings that nobody looked at.
/// Nothing is said of the audit log here: after a look, that would cost more than the look. And
/// nothing of who reconciles, for after a look it is this process.
pub(crate) async fn view(
    place: &Place,
    store: Option<&SqliteStore>,
) -> Result<StatusView, CommandError> {
    let mut environments = BTreeMap::new();
    if let Some(store) = store {
        // Each is one look at the state, however many environments there are.
        let counts = store.all_counts().await?;
        let last = store.last_runs().await?;
        let queue = store.queue().await?;
        let again: BTreeMap<String, Vec<u8>> = store.facts(AGAIN).await?.into_iter().collect();
        let mut branches = Branches::of(&place.repository);
        for row in store.environments().await? {
            let name = row.name.as_str();
            let counts = counts.get(name).copied().unwrap_or_default();
            let tried = queue.iter().find(|entry| entry.environment == row.name);
            let mut view = environment(&row, counts, last.get(name), tried);
            let again = again.get(&format!("{AGAIN}{name}"));
            view.again = again.and_then(|value| AgainView::of(value));
            view.behind = branches.behind(&row);
            (view.word, view.proposal) = ways_out(place, &row);
            environments.insert(row.name, view);
        }
    }
    if environments.is_empty() {
        for name in named(place)? {
            let view = never_looked_at(&name);
            environments.insert(name, view);
        }
    }
    Ok(StatusView {
        version: VERSION,
        environments: environments.into_values().collect(),
        forge: match store {
            Some(store) => store.trouble().await?,
            None => None,
        },
        audit: None,
        reconciler: None,
        records: match store {
            Some(store) => records::health(place, store).await?,
            None => None,
        },
        troubles: troubles::of(place),
    })
}

fn environment(
    row: &EnvironmentRow,
    counts: Counts,
    last: Option<&RunSummary>,
    tried: Option<&QueueEntry>,
) -> EnvironmentView {
    let meant = last.filter(|run| Some(&run.revision) == row.desired_revision.as_ref());
    EnvironmentView {
        name: row.name.clone(),
        outcome: meant
            .and_then(|run| run.outcome)
            .map(|outcome| outcome.as_str()),
        condition: row.condition.as_str(),
        reason: tried.map_or_else(|| row.reason.clone(), next_try),
        revision: row.revision.clone(),
        desired_revision: row.desired_revision.clone(),
        resources: counts.resources,
        drifted: counts.drifted,
        unknown: counts.unknown,
        held: row.hold.as_ref().map(|hold| hold.revision.clone()),
        sealed: row.sealed.clone(),
        last_run: row.last_run.clone(),
        observed_at: row.observed_at,
        again: None,
        in_the_way: row.remembered.obstacles.clone(),
        behind: None,
        word: None,
        proposal: None,
    }
}

/// The word that a person may say, and the branch that waits to be merged.
fn ways_out(place: &Place, row: &EnvironmentRow) -> (Option<String>, Option<String>) {
    let repository = &place.repository;
    match row.condition {
        Condition::Suspended => (words::resume(repository, row), None),
        Condition::Stalled => (
            words::retry(repository, row),
            words::proposal(repository, row),
        ),
        Condition::Ready | Condition::Reconciling | Condition::Unknown => (None, None),
    }
}

/// What went wrong with the last try, and when the next one is: newer than what the row says, for
/// a disk that was full had no room to say it.
fn next_try(entry: &QueueEntry) -> String {
    let at = entry.not_before.strftime("%H:%M:%SZ");
    format!("{}; the next try is at {at}", entry.reason)
}

/// The environments that HEAD names; none when it cannot be read, since that is for `check`.
fn named(place: &Place) -> Result<Vec<EnvironmentName>, CommandError> {
    let head = place.repository.resolve("HEAD")?;
    let tree = place.repository.tree(&head)?;
    let providers = adapters::providers()?;
    let loader = adapters::loader(&providers, None)?;
    match loader.settings(tree.as_ref())?.value {
        Some(settings) => Ok(loader.environments(tree.as_ref(), &settings)?),
        None => {
            let message = "HEAD has no `stratum.ncl` that can be used";
            Err(CommandError::given(message)
                .hint("`stratum check --rev HEAD` says why; `stratum init` writes one"))
        }
    }
}

fn never_looked_at(name: &EnvironmentName) -> EnvironmentView {
    EnvironmentView {
        name: name.clone(),
        condition: Condition::Unknown.as_str(),
        reason: "nothing was reconciled here yet".to_owned(),
        revision: None,
        desired_revision: None,
        resources: 0,
        drifted: 0,
        unknown: 0,
        held: None,
        sealed: None,
        last_run: None,
        outcome: None,
        observed_at: None,
        again: None,
        in_the_way: BTreeMap::new(),
        behind: None,
        word: None,
        proposal: None,
    }
}
