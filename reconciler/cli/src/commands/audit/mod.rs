//! `stratum audit`

mod export;
mod health;
mod list;
mod verify;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use stratum_assembly::{absolute, adapters};
use stratum_store::{Expected, LogReader, log_folder};

use crate::command::{Command, command, straight};
use crate::context::Context;
use crate::failure::CommandError;

pub(crate) use health::health;

/// Proves what the audit log says, and reads and exports it
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArguments {}

/// The commands about the audit log.
pub(crate) const GROUP: Command = Command::group(
    "audit",
    <AuditArguments as clap::Args>::augment_args,
    straight,
    &[
        command!("verify", verify::VerifyArguments, verify::run),
        command!("export", export::ExportArguments, export::run),
        command!("list", list::ListArguments, list::run),
        command!("show", list::ShowArguments, list::show),
    ],
);

/// Which log is read.
#[derive(Debug, clap::Args)]
struct Source {
    /// The folder of a log, of a copy of one, or of an export [default: the one beside the state]
    #[arg(long, value_name = "DIR", visible_alias = "export")]
    log: Option<PathBuf>,
}

/// A log, and what the state beside it knows of it.
struct Opened {
    reader: LogReader,
    folder: PathBuf,
    expected: Expected,
    /// Transactions whose entries are not yet in the tree.
    waiting: u64,
}

fn open(context: &Context, source: &Source) -> Result<Opened, CommandError> {
    let signer = adapters::note_signer()?;
    if let Some(folder) = &source.log {
        let folder = absolute(folder)?;
        there(&folder)?;
        return Ok(Opened {
            reader: LogReader::new(folder.clone(), signer),
            folder,
            expected: Expected::default(),
            waiting: 0,
        });
    }
    let place = context.known_place()?;
    let folder = log_folder(&place.state);
    let (expected, waiting) = context.block_on(async {
        Ok(match place.state().await? {
            Some(store) => store.expected_log().await?,
            None => Default::default(),
        })
    })?;
    if expected.is_empty() {
        there(&folder)?;
    }
    Ok(Opened {
        reader: LogReader::new(folder.clone(), signer),
        folder,
        expected,
        waiting,
    })
}

fn there(folder: &Path) -> Result<(), CommandError> {
    if folder.is_dir() {
        return Ok(());
    }
    let message = format!("there is no audit log at `{}`", folder.display());
    Err(CommandError::given(message)
        .hint("the first `stratum reconcile` makes it; `--log DIR` names another"))
}

/// A day or a moment; the end of a day is the beginning of the next.
fn moment(text: &str, is_end: bool) -> Result<Timestamp, CommandError> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let wrong = || {
        CommandError::given(format!("`{text}` is not a day or a time"))
            .hint("write `2026-11-24` or `2026-11-24T12:00:00Z`")
    };
    let day: Date = text.parse().map_err(|_| wrong())?;
    let day = if is_end {
        day.tomorrow().map_err(|_| wrong())?
    } else {
        day
    };
    let start = day.at(0, 0, 0, 0);
    TimeZone::UTC.to_timestamp(start).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_moments_exact() {
        let at = |text: &str, is_end| moment(text, is_end).unwrap().to_string();
        assert_eq!(at("2026-11-24", false), "2026-11-24T00:00:00Z");
        assert_eq!(at("2026-11-30", true), "2026-12-01T00:00:00Z");
        assert_eq!(at("2026-11-24T12:00:00Z", true), "2026-11-24T12:00:00Z");
        assert!(moment("yesterday", false).is_err());
    }
}
