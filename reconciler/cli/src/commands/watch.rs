//! Answers that are given again whenever they change.

use std::time::Duration;

use serde_json::Value as Json;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;

/// Time between two looks.
pub(crate) const EVERY: Duration = Duration::from_millis(250);

/// `-w, --watch`, for the commands that have it.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct WatchArguments {
    /// Show it again whenever it changes, until told to stop
    #[arg(short, long)]
    pub(crate) watch: bool,
}

/// One answer, in both forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// For programs.
    pub(crate) json: Json,
    /// For people; may name ages, which change by themselves.
    pub(crate) text: String,
}

/// Gives the answer of `look` once, or with `--watch` again and again.
///
/// A terminal is redrawn whenever the text changes; a pipe gets a new answer when the JSON does.
pub(crate) async fn answer(
    context: &Context,
    arguments: WatchArguments,
    mut look: impl AsyncFnMut() -> Result<Answer, CommandError>,
) -> Result<Exit, CommandError> {
    let ui = &context.ui;
    if !arguments.watch {
        let answer = look().await?;
        match context.global.json {
            true => ui.answer_json(&answer.json)?,
            false => ui.answer(&answer.text),
        }
        return Ok(Exit::Done);
    }
    let mut shown: Option<Answer> = None;
    while !ui.is_closed() {
        let now = look().await?;
        let changed = shown.as_ref().is_none_or(|before| before.json != now.json);
        if context.global.json {
            if changed {
                ui.answer_json_line(&now.json)?;
            }
        } else if changed || (ui.rewrites() && shown.as_ref() != Some(&now)) {
            ui.answer_again(&now.text);
        }
        shown = Some(now);
        tokio::time::sleep(EVERY).await;
    }
    Ok(Exit::Done)
}
