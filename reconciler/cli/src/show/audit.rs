//! The audit log in one line.

use jiff::Timestamp;
use serde::Serialize;
use stratum_store::key_words;

use crate::show::when;
use crate::style::{Mark, Role, Theme};

/// How the audit log is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct AuditView {
    /// The public keys that sign it.
    pub(crate) keys: Vec<String>,
    /// How many entries are under checkpoints.
    pub(crate) entries: u64,
    /// How many transactions have entries that are not yet.
    pub(crate) waiting: u64,
    /// When the newest checkpoint was signed (UTC).
    pub(crate) signed_at: Option<Timestamp>,
    /// The months whose entries were deleted because their time was over.
    pub(crate) pruned: Vec<String>,
    /// What is wrong with it.
    pub(crate) problem: Option<String>,
}

impl AuditView {
    /// One sentence.
    pub(crate) fn sentence(&self, now: Timestamp) -> String {
        if let Some(problem) = &self.problem {
            return problem.clone();
        }
        let keys = self.keys.iter().filter_map(|key| key_words(key));
        let keys: Vec<String> = keys
            .map(|(word, short)| format!("{word} {short}"))
            .collect();
        let mut text = format!("{} entries", self.entries);
        if !keys.is_empty() {
            text.push_str(&format!(" signed by {}", keys.join(" and ")));
        }
        if let Some(at) = self.signed_at {
            text.push_str(&format!(", last {}", when::ago(now, at)));
        }
        if self.waiting > 0 {
            text.push_str(&format!("; {} transactions wait", self.waiting));
        }
        match self.pruned.as_slice() {
            [] => {}
            [one] => text.push_str(&format!(
                "; the entries of {one} are deleted, their time is over"
            )),
            [first, .., last] => text.push_str(&format!(
                "; the entries of {first} to {last} are deleted, their time is over"
            )),
        }
        text
    }
}

/// The line under the environments.
pub(crate) fn line(theme: &Theme, audit: &AuditView, now: Timestamp) -> String {
    let (mark, role) = match audit.problem {
        Some(_) => (Mark::Bad, Role::Bad),
        None => (Mark::Good, Role::Quiet),
    };
    let next = match audit.problem {
        Some(_) => "; `stratum audit verify` names the place",
        None => "",
    };
    let line = format!("audit log: {}{next}", audit.sentence(now));
    let line = theme.wrapped(0, &line);
    let line = theme.paint(role, line.trim_end());
    format!("\n{} {line}\n", theme.marked(mark, role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_who_signs_and_what_is_gone() {
        let view = AuditView {
            keys: Vec::new(),
            entries: 12,
            waiting: 1,
            signed_at: Timestamp::from_second(1_000).ok(),
            pruned: vec!["2019-03".to_owned(), "2019-05".to_owned()],
            problem: None,
        };
        assert_eq!(
            view.sentence(Timestamp::from_second(1_020).unwrap()),
            "12 entries, last 20 s ago; 1 transactions wait; the entries of 2019-03 to 2019-05 \
             are deleted, their time is over"
        );
        let broken = AuditView {
            problem: Some("`x` is not there".to_owned()),
            ..view
        };
        let line = line(&Theme::PLAIN, &broken, Timestamp::MIN);
        let expected = "\n!! audit log: `x` is not there; `stratum audit verify` names the place\n";
        assert_eq!(line, expected);
    }
}
