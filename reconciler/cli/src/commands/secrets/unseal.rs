//! `stratum secrets unseal`, `stratum secrets rotate-state-key`

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use clap::Args;
use stratum_assembly::unsealing::{self, Answer, Ask};
use stratum_core::secret::Secret;
use stratum_seal::keys;

use super::seal::ask;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;

/// Brings a running reconciler to life that is sealed: with shares of its identity, or the whole
///
/// Each share is sent by whoever holds it; the last one that is needed opens it. On a terminal a
/// share is asked for, without echo; else it is read from standard input.
#[derive(Debug, Args)]
pub(crate) struct UnsealArguments {
    /// A file with a share; may be given several times
    #[arg(long = "share", value_name = "FILE")]
    shares: Vec<PathBuf>,

    /// A file with the whole identity
    #[arg(long, value_name = "FILE", conflicts_with = "shares")]
    identity: Option<PathBuf>,

    /// Make the reconciler forget the shares that it has
    #[arg(long, conflicts_with_all = ["shares", "identity"])]
    forget: bool,
}

/// Makes a new data key for the state, without stopping the reconciler
///
/// What the state holds is wrapped again under it in the background. Needs a running reconciler
/// that is unsealed.
#[derive(Debug, Args)]
pub(crate) struct RotateArguments {}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &UnsealArguments) -> Result<Exit, CommandError> {
    let place = context.known_place()?;
    let send = |asked: &Ask| unsealing::ask(&place.state, asked);
    let mut last = send(&Ask::Standing)?;
    if arguments.forget {
        last = send(&Ask::Forget)?;
    } else if last.open {
        context.ui.say("it is unsealed already");
    } else if let Some(path) = &arguments.identity {
        last = send(&Ask::Identity(file(path)?))?;
    } else if arguments.shares.is_empty() {
        let share = match std::io::stdin().is_terminal() {
            true => ask(context, "share: ")?,
            false => stdin()?,
        };
        last = send(&Ask::Share(text(&share)?))?;
    } else {
        for path in &arguments.shares {
            last = send(&Ask::Share(file(path)?))?;
            if last.open || last.error.is_some() {
                break;
            }
        }
    }
    answer(context, &last)
}

/// Carries out the command.
pub(crate) fn rotate(context: &Context, _: &RotateArguments) -> Result<Exit, CommandError> {
    let place = context.known_place()?;
    let answered = unsealing::ask(&place.state, &Ask::RotateStateKey)?;
    if answered.error.is_none() && !context.global.json {
        context
            .ui
            .answer("the state has a new data key; it is wrapped again in the background\n");
        return Ok(Exit::Done);
    }
    answer(context, &answered)
}

fn answer(context: &Context, answered: &Answer) -> Result<Exit, CommandError> {
    if let Some(error) = &answered.error {
        return Err(CommandError::given(format!("it stays as it was: {error}"))
            .hint("`stratum status` says how the reconciler stands"));
    }
    if context.global.json {
        let view = serde_json::json!({
            "version": 1, "open": answered.open, "have": answered.have, "need": answered.need,
        });
        context.ui.answer_json(&view)?;
    } else {
        context.ui.answer(&match (answered.open, answered.need) {
            (true, _) => "unsealed\n".to_owned(),
            (false, 0) => "sealed; it has no share yet\n".to_owned(),
            (false, need) => format!("sealed; it has {} of {need} shares\n", answered.have),
        });
    }
    Ok(Exit::Done)
}

fn file(path: &std::path::Path) -> Result<String, CommandError> {
    let secret = keys::read_private(path).map_err(|error| {
        CommandError::given(format!("`{}` cannot be used", path.display()))
            .because(&error)
            .hint("a share or an identity is for its owner only: `chmod 600`")
    })?;
    text(&secret)
}

fn stdin() -> Result<Secret, CommandError> {
    let mut bytes = Vec::with_capacity(64 << 10);
    std::io::stdin()
        .take(64 << 10)
        .read_to_end(&mut bytes)
        .map_err(|error| CommandError::given("standard input cannot be read").because(&error))?;
    Ok(Secret::new(bytes))
}

fn text(secret: &Secret) -> Result<String, CommandError> {
    let text = secret.expose_text().filter(|text| !text.trim().is_empty());
    text.map(str::to_owned).ok_or_else(|| {
        CommandError::given("there is no share").hint("`stratum secrets split` makes shares")
    })
}
