//! Deleting the entries of old parts when their time is over; hashes and checkpoints stay.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use stratum_core::audit::What;
use stratum_core::ports::NoteSigner;

use crate::log::files;
use crate::log::integrate::digest;
use crate::log::part::{self, LogError, at};
use crate::log::place::ENTRIES;

/// The parts in `folder` whose month lies more than `months` months before `now`, with what the log
/// must say before their entries are deleted. The newest part is never among them.
pub(crate) fn overdue(
    folder: &Path,
    signer: &dyn NoteSigner,
    now: Timestamp,
    months: u32,
) -> Result<Vec<(String, What)>, LogError> {
    let mut parts = part::parts(folder)?;
    parts.pop();
    let mut found = Vec::new();
    for name in parts {
        let path = folder.join(&name);
        if !is_over(part::month(&name), now, months) || !path.join(ENTRIES).exists() {
            continue;
        }
        let (checkpoint, _) = part::checkpoint(&path, signer)?;
        let what = What::Pruned {
            part: name.clone(),
            size: checkpoint.size,
            root: digest(&checkpoint.root),
        };
        found.push((name, what));
    }
    Ok(found)
}

/// Deletes the entries of a part.
pub(crate) fn prune(folder: &Path, name: &str) -> Result<(), LogError> {
    let entries = folder.join(name).join(ENTRIES);
    at(&entries, files::remove_folder(&entries))
}

/// Whether the whole of a month (`2026-11`) lies more than `months` months back.
fn is_over(month: &str, now: Timestamp, months: u32) -> bool {
    let count = |date: Date| i64::from(date.year()) * 12 + i64::from(date.month());
    let Ok(first) = format!("{month}-01").parse::<Date>() else {
        return false;
    };
    let today = jiff::tz::TimeZone::UTC.to_datetime(now).date();
    count(today) - count(first) > i64::from(months)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_kept_for_its_whole_time() {
        let now: Timestamp = "2033-12-01T00:00:00Z".parse().unwrap();
        assert!(!is_over("2026-12", now, 84));
        assert!(is_over("2026-11", now, 84));
        assert!(
            !is_over("2034-01", now, 84),
            "a clock that was wrong deletes nothing"
        );
    }
}
