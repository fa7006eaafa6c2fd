//! `stratum history`

use jiff::Timestamp;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Journals as _, Repository as _};
use stratum_core::run::RunSummary;

use crate::commands::plan::known_environments;
use crate::commands::watch::{self, Answer, WatchArguments};
use crate::context::{Context, Place};
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::show::json::HistoryView;
use crate::show::timeline::{Entry, timeline};

/// Shows what happened: the last runs as a timeline, newest first
#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArguments {
    /// Of this environment only
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// At most this many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    limit: u32,

    #[command(flatten)]
    watch: WatchArguments,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &HistoryArguments) -> Result<Exit, CommandError> {
    let place = context.known_place()?;
    context.block_on(async {
        let store = place.known_state().await?;
        known_environments(&store, arguments.env.as_ref()).await?;
        watch::answer(context, arguments.watch, async || {
            let runs = store
                .history(arguments.env.as_ref(), arguments.limit)
                .await?;
            let json = serde_json::to_value(HistoryView::new(&runs))?;
            let entries: Vec<Entry> = runs.into_iter().map(|run| entry(&place, run)).collect();
            let text = match entries.is_empty() {
                true => "no run yet: nothing was ever different\n".to_owned(),
                false => timeline(context.ui.theme(), &entries, Timestamp::now()),
            };
            Ok(Answer { json, text })
        })
        .await
    })
}

/// A commit that is no longer there leaves its run without words.
fn entry(place: &Place, run: RunSummary) -> Entry {
    let commit = place.repository.revision(&run.revision).ok();
    let commit = commit.map(|commit| {
        let name = commit.author.split(" <").next().unwrap_or_default();
        (commit.subject.clone(), name.to_owned())
    });
    Entry { run, commit }
}
