//! `stratum history`

use jiff::Timestamp;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Store as _, StoreError};

use crate::commands::plan::unknown_environment;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::show;

/// Shows the last runs, newest first
#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArguments {
    /// Of this environment only
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// At most this many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    limit: u32,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &HistoryArguments) -> Result<Exit, CommandError> {
    let place = context.place()?;
    context.block_on(async {
        let store = place.state().await?.ok_or_else(|| StoreError::Missing {
            path: place.state.display().to_string(),
        })?;
        if let Some(wanted) = &arguments.env {
            let rows = store.environments().await?;
            let names: Vec<EnvironmentName> = rows.into_iter().map(|row| row.name).collect();
            if !names.contains(wanted) {
                return Err(unknown_environment(&names, wanted));
            }
        }
        let runs = store
            .history(arguments.env.as_ref(), arguments.limit)
            .await?;
        let ui = &context.ui;
        if context.global.json {
            ui.answer_json(&show::json::HistoryView::new(&runs))?;
        } else if runs.is_empty() {
            ui.say("no run yet: nothing was ever different");
        } else {
            ui.answer(&show::run::history(ui.theme(), &runs, Timestamp::now()));
        }
        Ok(Exit::Done)
    })
}
