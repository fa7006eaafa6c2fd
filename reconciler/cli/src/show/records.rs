//! Trouble with the records in git, below how the environments are.

use jiff::Timestamp;

use stratum_assembly::records::{RecordsView, Signatures};

use crate::show::when;
use crate::style::{Mark, Role, Theme, one_line};

/// What to do about records that are gone.
pub(crate) const LOST_REMEDY: &str = "put the commit back on the branch, by a merge for example; a \
     mirror keeps it: `git log` shows it there";

/// What to do about records that wait.
pub(crate) const WAITS_REMEDY: &str =
    "see to what is in the way; the record is written by itself then";

/// What to do about commits that are not kept.
pub(crate) const UNKEPT_REMEDY: &str = "see to what is in the way, before history is rewritten \
     and collected; they are kept by themselves then";

/// What waits, why, and what was lost.
pub(crate) fn trouble(theme: &Theme, records: &RecordsView, now: Timestamp) -> String {
    let mut text = String::new();
    let mut say = |mark, role, said: &str, next: &str| {
        let said = theme.wrapped(0, &format!("{} {said}", theme.mark(mark)));
        text.push_str(&format!("\n{}\n", theme.paint(role, said.trim_end())));
        text.push_str(&theme.wrapped(4, &format!("next: {next}")));
    };
    if records.waits.is_some() {
        let said = waits(records, now).unwrap_or_default();
        say(Mark::Unknown, Role::Warning, &said, WAITS_REMEDY);
    }
    if let Some(said) = unkept(records, now) {
        say(Mark::Unknown, Role::Warning, &said, UNKEPT_REMEDY);
    }
    if let Some(lost) = &records.lost {
        say(
            Mark::Bad,
            Role::Bad,
            &one_line(&lost.sentence()),
            LOST_REMEDY,
        );
    }
    text
}

/// The sentence on commits that are not kept, if there are any.
pub(crate) fn unkept(records: &RecordsView, now: Timestamp) -> Option<String> {
    let unkept = records.unkept.as_ref()?;
    Some(format!(
        "since {} ({}) {}",
        unkept.since.strftime("%Y-%m-%d %H:%MZ"),
        when::ago(now, unkept.since),
        one_line(&unkept.sentence())
    ))
}

/// The sentence on what waits, if anything does.
pub(crate) fn waits(records: &RecordsView, now: Timestamp) -> Option<String> {
    let waits = records.waits.as_ref()?;
    let count = match waits.count {
        0 | 1 => "a record waits".to_owned(),
        many => format!("{many} records wait"),
    };
    Some(format!(
        "{count} to be written to git, since {} ({}): {}",
        waits.since.strftime("%Y-%m-%d %H:%MZ"),
        when::ago(now, waits.since),
        one_line(&waits.reason)
    ))
}

/// How the commits of records are signed, for `audit verify`.
pub(crate) fn signatures(theme: &Theme, records: &Signatures) -> String {
    let mut text = format!(
        "records in git: {} commits signed by this log's key",
        records.signed
    );
    if records.before > 0 {
        text.push_str(&format!(
            ", and {} before them from when commits were not signed",
            records.before
        ));
    }
    text.push('\n');
    for key in &records.keys {
        text.push_str(&format!("  {} {key}\n", theme.paint(Role::Name, "key")));
    }
    if let Some(problem) = &records.problem {
        let bad = theme.paint(Role::Bad, "not valid");
        text.push_str(&format!("{bad}: {}\n", one_line(problem)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_core::ids::{BranchName, CommitId};
    use stratum_core::waiting::{Lost, Unkept, Waits};

    #[test]
    fn it_says_what_waits_why_and_what_was_lost() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let since = Timestamp::from_second(1_800_000_000 - 7_200).unwrap();
        let commit = |digit: &str| CommitId::new(digit.repeat(40)).unwrap();
        let view = RecordsView {
            waits: Some(Waits {
                count: 3,
                since,
                reason: "the repository has a branch `stratum`".to_owned(),
            }),
            lost: Some(Lost {
                branch: BranchName::records(),
                commit: commit("1"),
                found: None,
                since,
            }),
            unkept: Some(Unkept {
                since,
                reason: "a ref `refs/stratum` is in the way".to_owned(),
            }),
        };
        let text = trouble(&Theme::PLAIN, &view, now);
        let expected = "
?? 3 records wait to be written to git, since 2027-01-15 06:00Z (2 h ago): the repository has a branch `stratum`
    next: see to what is in the way; the record is written by itself then

?? since 2027-01-15 06:00Z (2 h ago) the commits that are applied are not kept alive by refs: a ref `refs/stratum` is in the way
    next: see to what is in the way, before history is rewritten and collected; they are kept by themselves then

!! `stratum/records` was rewritten by someone else: it is gone, and 111111111111, which is a record of stratum, is no longer on it
    next: put the commit back on the branch, by a merge for example; a mirror keeps it: `git log` shows it there
";
        assert_eq!(text, expected);
    }
}
