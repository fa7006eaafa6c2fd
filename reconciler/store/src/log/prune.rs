//! Deleting the entries of old parts when their time is over; hashes and checkpoints stay.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use stratum_core::audit::What;
use stratum_core::ports::NoteSigner;

use crate::log::files;
use crate::log::integrate::{before, digest};
use crate::log::part::{self, LogError, at};
use crate::log::place::ENTRIES;

/// The parts in `folder` that ended more than `months` months before `now`, with what the log must say
/// before their entries are deleted. The newest part is never among them.
///
/// A part ends with its month, or when the next one begins, whichever is later: one that was begun
/// with a clock of 1970 is as old as what came after it.
pub(crate) fn overdue(
    folder: &Path,
    signer: &dyn NoteSigner,
    now: Timestamp,
    months: u32,
) -> Result<Vec<(String, What)>, LogError> {
    let parts = part::parts(folder)?;
    let next = parts.clone().into_iter().skip(1);
    let mut found = Vec::new();
    for (name, next) in parts.into_iter().zip(next) {
        let path = folder.join(&name);
        let end = last_month(part::month(&name), part::month(&next));
        if !is_over(&end, now, months) || !path.join(ENTRIES).exists() {
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

/// The last month of a part that begins in `first`, when the next one begins in `next`.
fn last_month(first: &str, next: &str) -> String {
    first.max(&before(next)).to_owned()
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
    fn a_part_ends_when_the_next_one_begins() {
        assert_eq!(last_month("2026-11", "2026-12"), "2026-11");
        assert_eq!(
            last_month("2026-11", "2027-03"),
            "2027-02",
            "nothing came meanwhile"
        );
        assert_eq!(
            last_month("1970-01", "2026-11"),
            "2026-10",
            "a clock was wrong"
        );
        assert_eq!(last_month("2036-11", "2036-12"), "2036-11");
    }

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
