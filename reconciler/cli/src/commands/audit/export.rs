//! `stratum audit export`

use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::json;
use stratum_assembly::absolute;
use stratum_store::ExportError;

use super::{Source, moment, open};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;

/// Copies what was logged in a period, so that it can be verified elsewhere from the copy alone
///
/// Entries are copied by bundles of 256, with one bundle more on either side, so that it can be
/// seen that none is missing; of all others only the hashes are copied.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArguments {
    #[command(flatten)]
    source: Source,

    /// From this day or moment on (UTC), for example 2026-11-01
    #[arg(long, value_name = "TIME")]
    from: String,

    /// To this day, which is in it, or to before this moment (UTC) [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,

    /// The folder to make
    #[arg(long, value_name = "DIR", default_value = "audit-export")]
    out: PathBuf,

    /// With the keys of personal data, so that names can be read
    #[arg(long)]
    people: bool,
}

/// Carries out the command.
pub(super) fn run(context: &Context, arguments: &ExportArguments) -> Result<Exit, CommandError> {
    let opened = open(context, &arguments.source)?;
    let from = moment(&arguments.from, false)?;
    let to = match &arguments.to {
        Some(to) => moment(to, true)?,
        None => Timestamp::now(),
    };
    let out = absolute(&arguments.out)?;
    let exported = opened.reader.export(&(from..to), &out, arguments.people);
    let exported = exported.map_err(|error| export_error(&error))?;
    let keys = stratum_store::log_keys(&opened.folder).unwrap_or_default();
    if context.global.json {
        context.ui.answer_json(&json!({
            "version": 1, "out": out, "from": from, "to": to, "parts": exported.parts,
            "entries": exported.entries, "keys": keys, "waiting": opened.waiting,
        }))?;
        return Ok(Exit::Done);
    }
    let shown = out.display();
    let mut text = format!(
        "{} entries of {from} to {to} are in `{shown}`\n",
        exported.entries
    );
    if opened.waiting > 0 {
        text.push_str("entries that are not yet in the tree are not among them\n");
    }
    text.push_str(&format!(
        "anyone can prove it: `stratum audit verify --log {shown}`\n"
    ));
    context.ui.answer(&text);
    Ok(Exit::Done)
}

fn export_error(error: &ExportError) -> CommandError {
    match error {
        ExportError::Log { .. } => CommandError::given(error.to_string())
            .hint("`stratum audit verify` says what is wrong with the log"),
        ExportError::There { .. } => {
            CommandError::given(error.to_string()).hint("name another folder with `--out`")
        }
        ExportError::Empty => {
            CommandError::given(error.to_string()).hint("`stratum audit list` shows what it has")
        }
        ExportError::Write { .. } => CommandError::machine("the export could not be written")
            .because(error)
            .hint("`df -h` shows whether a disk is full; `--out` names another folder"),
    }
}
