//! Signed objects of git, and who signed them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{CommitId, ObjectId};

/// A commit or an annotated tag as it is kept: what was signed, and the signature.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signed {
    /// The bytes that are signed: the whole object without its signature.
    pub payload: Vec<u8>,
    /// The signature as it stands there, SSH or OpenPGP; `None` where there is none.
    pub signature: Option<Vec<u8>>,
}

/// A commit with what proves who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCommit {
    /// The commit.
    pub commit: CommitId,
    /// As git says: `Name <mail>` of who wrote it.
    pub author: String,
    /// The mail address of who committed it: it is the committer who signs.
    pub committer_mail: String,
    /// When it was committed, as it says itself (UTC).
    pub committed_at: Timestamp,
    /// The whole message.
    pub message: String,
    /// The signature.
    pub signed: Signed,
}

/// A tag under `refs/tags/stratum/`: a word of a person to the reconciler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTag {
    /// Its name without `refs/tags/`.
    pub name: String,
    /// The name that stands in the tag object, which is what was signed; `None` for a lightweight
    /// tag, which nobody can sign.
    pub own_name: Option<String>,
    /// The id of what the ref names, as hexadecimal.
    pub id: String,
    /// The mail address of who made it, as it says itself.
    pub tagger_mail: String,
    /// When it was made, as it says itself (UTC).
    pub tagged_at: Timestamp,
    /// Its message, without the signature.
    pub message: String,
    /// The signature.
    pub signed: Signed,
}

/// What kind of key signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// An SSH key. *Source*: OpenSSH's PROTOCOL.sshsig.
    Ssh,
    /// An OpenPGP key. *Source*: RFC 9580, RFC 4880.
    Openpgp,
}

impl KeyKind {
    /// The word, as everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::Openpgp => "openpgp",
        }
    }
}

/// Who signed something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signer {
    /// Someone in `trust/people/`.
    Person {
        /// Their name there.
        name: String,
        /// The kind of the key.
        kind: KeyKind,
        /// Its fingerprint, in the notation of its kind.
        key: String,
    },
    /// Nobody that trust knows, and why.
    Nobody {
        /// One clause: "it is not signed".
        why: String,
    },
}

/// Why nobody is behind a commit where signatures are off.
pub const NOT_LOOKED_AT: &str = "signatures are not looked at";

impl Signer {
    /// The name of the person, if it is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Person { name, .. } => Some(name),
            Self::Nobody { .. } => None,
        }
    }
}

/// A commit, and who it is proven to be from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Authored {
    /// The commit.
    pub commit: CommitId,
    /// As git says: `Name <mail>`; proves nothing.
    pub author: String,
    /// Who signed it.
    pub signer: Signer,
}

/// An approval of one plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who gave it, by name in trust.
    pub by: String,
    /// The tag.
    pub tag: String,
    /// The tag object that was signed; `None` in what is kept from before it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectId>,
    /// When (UTC).
    pub at: Timestamp,
    /// Until when it counts (UTC).
    pub expires: Timestamp,
}

/// A tag that says nothing, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its name without `refs/tags/`.
    pub tag: String,
    /// One clause.
    pub why: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` does not count: {}", self.tag, self.why)
    }
}

/// The value of a trailer of a message, for example `Expires: 2026-12-01`; the last one counts.
///
/// Only the last paragraph has trailers. *Source*: git-interpret-trailers(1).
pub fn trailer<'a>(message: &'a str, key: &str) -> Option<&'a str> {
    let last = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    last.lines().rev().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case(key)
            .then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_read_from_the_last_paragraph() {
        let message = "ship it\n\nExpires: never\n\nReviewed-by: Ben\nexpires:  2026-12-01 \n";
        assert_eq!(trailer(message, "Expires"), Some("2026-12-01"));
        assert_eq!(
            trailer("Expires: 2026-12-01", "Expires"),
            Some("2026-12-01")
        );
        assert_eq!(trailer("a\n\nb: c\n\nlast words\n", "b"), None);
    }
}
