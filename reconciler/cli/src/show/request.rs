//! The pull request that a commit came with, as the message of its merge says.

use serde::Serialize;
use stratum_core::desired::Revision;

/// A pull or merge request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Request {
    /// Its number.
    pub(crate) number: u64,
    /// Its title, where the message has it.
    pub(crate) title: Option<String>,
}

/// Reads the messages that GitHub, Gitea, GitLab, Bitbucket and Azure write when they merge.
///
/// *Guarantees*: a guess from text that its author could have written; show it as such.
pub(crate) fn request(revision: &Revision) -> Option<Request> {
    let subject = revision.subject.trim();
    let body = || {
        let lines = revision.message.lines().skip(1).map(str::trim);
        lines.filter(|line| !line.is_empty())
    };
    let titled = |number, title: &str| Request {
        number,
        title: Some(title.trim().to_owned()).filter(|title| !title.is_empty()),
    };
    if let Some(rest) = subject.strip_prefix("Merge pull request '") {
        let (title, rest) = rest.split_once("' (#")?;
        return Some(titled(leading_number(rest)?, title));
    }
    if let Some(rest) = subject.strip_prefix("Merge pull request #") {
        return Some(titled(
            leading_number(rest)?,
            body().next().unwrap_or_default(),
        ));
    }
    if let Some(rest) = subject.strip_prefix("Merged PR ") {
        let title = rest.split_once(": ").map_or("", |(_, title)| title);
        return Some(titled(leading_number(rest)?, title));
    }
    if let Some((_, rest)) = subject.split_once("(pull request #") {
        return Some(titled(
            leading_number(rest)?,
            body().next().unwrap_or_default(),
        ));
    }
    if let Some(line) = body().find(|line| line.starts_with("See merge request ")) {
        let (_, rest) = line.rsplit_once('!')?;
        return Some(titled(
            leading_number(rest)?,
            body().next().unwrap_or_default(),
        ));
    }
    let (title, rest) = subject.strip_suffix(')')?.rsplit_once(" (#")?;
    let number = rest.parse().ok()?;
    Some(titled(number, title))
}

fn leading_number(text: &str) -> Option<u64> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_core::ids::{CommitId, ObjectId};

    fn of(message: &str) -> Option<(u64, Option<String>)> {
        let revision = Revision {
            commit: CommitId::new("a".repeat(40)).unwrap(),
            inputs: ObjectId::new("a".repeat(40)).unwrap(),
            author: String::new(),
            committed_at: jiff::Timestamp::UNIX_EPOCH,
            subject: message.lines().next().unwrap_or_default().to_owned(),
            message: message.to_owned(),
        };
        request(&revision).map(|request| (request.number, request.title))
    }

    #[test]
    fn the_messages_of_forges_are_read() {
        let bread = Some((12, Some("Fresh bread".to_owned())));
        for message in [
            "Merge pull request #12 from ada/bread\n\nFresh bread\n",
            "Fresh bread (#12)\n",
            "Merge pull request 'Fresh bread' (#12) from bread into main\n",
            "Merge branch 'bread' into 'main'\n\nFresh bread\n\nSee merge request shop/site!12\n",
            "Merged in bread (pull request #12)\n\nFresh bread\n",
            "Merged PR 12: Fresh bread\n",
        ] {
            assert_eq!(of(message), bread, "{message}");
        }
    }

    #[test]
    fn other_messages_name_none() {
        for message in [
            "Fresh bread",
            "Fresh bread (#)",
            "See #12",
            "Merge pull request #x",
            "",
        ] {
            assert_eq!(of(message), None, "{message}");
        }
    }
}
