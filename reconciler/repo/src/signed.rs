//! Commits and tags with their signatures, as the bytes that were signed.
//!
//! *Source*: git's `commit.c` and `gpg-interface.c`: a commit keeps its signature in the header
//! `gpgsig` (`gpgsig-sha256` where ids are SHA-256), a tag at its end.

use gix::objs::Kind;
use gix::{ObjectId, Repository};
use jiff::Timestamp;
use stratum_core::ids::CommitId;
use stratum_core::ports::RepositoryError;
use stratum_core::signed::{Signed, SignedCommit, SignedTag};
use stratum_core::text::short;

use crate::compare;
use crate::failure::git as failed;
use crate::open::GitRepository;
use crate::read::{commit_id, find};
use crate::weighed::Weighed;

/// Where the words of people to the reconciler are.
const WORDS: &str = "refs/tags/stratum/";

const TAGS: &str = "refs/tags/";

/// The most commits that are judged together: a history of more is brought in by parts.
const RANGE: usize = 50_000;
/// The most bytes of commits that are judged together.
const RANGE_BYTES: u64 = 128 << 20;

/// How a signature at the end of a tag begins.
const BEGINNINGS: [&[u8]; 3] = [
    b"-----BEGIN SSH SIGNATURE-----",
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
];

impl GitRepository {
    pub(crate) fn read_signed(&self, id: &CommitId) -> Result<SignedCommit, RepositoryError> {
        self.pool
            .with(|repository| signed_commit(repository, find(repository, id)?.id))
    }

    pub(crate) fn read_signed_between(
        &self,
        old: &CommitId,
        new: &CommitId,
    ) -> Result<Vec<SignedCommit>, RepositoryError> {
        self.pool.with(|repository| {
            let (old, new) = (find(repository, old)?.id, find(repository, new)?.id);
            let ids = compare::between(repository, Some(old), new, RANGE + 1)
                .map_err(failed("walk the history"))?;
            if ids.len() > RANGE {
                return Err(too_long(old, new));
            }
            let mut bytes = 0;
            let mut commits = Vec::with_capacity(ids.len());
            for id in ids {
                let commit = signed_commit(repository, id)?;
                bytes += commit.signed.payload.len() as u64;
                if bytes > RANGE_BYTES {
                    return Err(too_heavy(old, new, bytes));
                }
                commits.push(commit);
            }
            Ok(commits)
        })
    }

    pub(crate) fn read_follows(
        &self,
        new: &CommitId,
        old: &CommitId,
    ) -> Result<bool, RepositoryError> {
        self.pool.with(|repository| {
            let (old, new) = (find(repository, old)?.id, find(repository, new)?.id);
            let left = compare::between(repository, Some(new), old, 1)
                .map_err(failed("walk the history"))?;
            Ok(left.is_empty())
        })
    }

    pub(crate) fn read_words(&self) -> Result<Vec<SignedTag>, RepositoryError> {
        self.pool.with(|repository| {
            let failure = || failed("list the tags");
            crate::lock::refresh(repository)?;
            let platform = repository.references().map_err(failure())?;
            let mut words = Vec::new();
            for reference in platform.prefixed(WORDS).map_err(failure())? {
                let word = reference.map_err(failure()).and_then(|reference| {
                    let name = reference.name().as_bstr().to_string();
                    let id = reference.try_id().map(gix::Id::detach);
                    id.map(|id| signed_tag(repository, &name, id)).transpose()
                });
                match word {
                    Ok(word) => words.extend(word),
                    // One that is damaged must not hide the others; it says nothing itself.
                    Err(error) => tracing::warn!(%error, "a tag was left out"),
                }
            }
            words.sort_by(|a: &SignedTag, b| a.name.cmp(&b.name));
            Ok(words)
        })
    }
}

fn too_long(old: ObjectId, new: ObjectId) -> RepositoryError {
    RepositoryError::Unsupported {
        path: format!("{old}..{new}"),
        reason: format!("has more than {RANGE} commits to judge at once: push them in parts"),
    }
}

fn too_heavy(old: ObjectId, new: ObjectId, bytes: u64) -> RepositoryError {
    RepositoryError::TooLarge {
        what: format!("the history `{old}..{new}`"),
        bytes,
        most: RANGE_BYTES,
    }
}

fn signed_commit(repository: &Repository, id: ObjectId) -> Result<SignedCommit, RepositoryError> {
    let failure = || failed(format!("read the commit `{id}`"));
    let commit = Weighed(repository).commit(id).map_err(failure())?;
    let header = crate::write::signature_header(id.kind()).as_bytes();
    let author = commit.author().map_err(failure())?;
    let committer = commit.committer().map_err(failure())?;
    Ok(SignedCommit {
        commit: commit_id(id)?,
        author: short(&format!("{} <{}>", author.name, author.email)),
        committer_mail: committer.email.to_string(),
        committed_at: time(committer.time().ok()),
        message: String::from_utf8_lossy(commit.message_raw().map_err(failure())?).into_owned(),
        signed: split_commit(&commit.data, header),
    })
}

fn signed_tag(
    repository: &Repository,
    reference: &str,
    id: ObjectId,
) -> Result<SignedTag, RepositoryError> {
    let failure = || failed(format!("read the tag `{reference}`"));
    let mut word = SignedTag {
        name: reference.strip_prefix(TAGS).unwrap_or(reference).to_owned(),
        own_name: None,
        id: id.to_string(),
        tagger_mail: String::new(),
        tagged_at: Timestamp::UNIX_EPOCH,
        message: String::new(),
        signed: Signed::default(),
    };
    let object = Weighed(repository).object(id).map_err(failure())?;
    if object.kind != Kind::Tag {
        return Ok(word);
    }
    let tag = gix::objs::TagRef::from_bytes(&object.data, id.kind()).map_err(failure())?;
    word.own_name = Some(tag.name.to_string());
    if let Some(tagger) = tag.tagger().map_err(failure())? {
        word.tagger_mail = tagger.email.to_string();
        word.tagged_at = time(tagger.time().ok());
    }
    word.signed = split_tag(&object.data);
    let message = word.signed.payload.split(|byte| *byte == b'\n');
    let lines: Vec<&[u8]> = message
        .skip_while(|line| !line.is_empty())
        .skip(1)
        .collect();
    word.message = String::from_utf8_lossy(&lines.join(&b'\n')).into_owned();
    Ok(word)
}

fn time(time: Option<gix::date::Time>) -> Timestamp {
    let seconds = time.and_then(|time| Timestamp::from_second(time.seconds).ok());
    seconds.unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The commit without its signature headers, and the signature in the one named `header`.
///
/// Two signatures under one header count as none: git would join them, and nobody writes that.
fn split_commit(object: &[u8], header: &[u8]) -> Signed {
    let mut signed = Signed::default();
    let (mut ours, mut other, mut count) = (false, false, 0);
    let mut rest = object;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        if line == b"\n" {
            signed.payload.extend_from_slice(rest);
            break;
        }
        rest = after;
        let value = line
            .strip_prefix(header)
            .and_then(|value| value.strip_prefix(b" "));
        match (line.strip_prefix(b" "), value) {
            (Some(more), _) if ours => signed.signature.get_or_insert_default().extend(more),
            (Some(_), _) if other => {}
            (_, Some(value)) => {
                (ours, other, count) = (true, false, count + 1);
                signed.signature.get_or_insert_default().extend(value);
            }
            (_, None) => {
                (ours, other) = (false, line.starts_with(b"gpgsig"));
                if !other {
                    signed.payload.extend_from_slice(line);
                }
            }
        }
    }
    signed.signature = signed.signature.filter(|_| count == 1);
    signed
}

/// The tag up to the last line that begins a signature, and what follows.
fn split_tag(object: &[u8]) -> Signed {
    let begins = |rest: &[u8]| BEGINNINGS.iter().any(|mark| rest.starts_with(mark));
    let mut starts = object
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(place, _)| place + 1);
    let place = starts.find(|place| object.get(*place..).is_some_and(begins));
    match place.and_then(|place| object.split_at_checked(place)) {
        Some((payload, signature)) => Signed {
            payload: payload.to_vec(),
            signature: Some(signature.to_vec()),
        },
        None => Signed {
            payload: object.to_vec(),
            signature: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "tree 1\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n";

    fn split(text: &str) -> (String, Option<String>) {
        let signed = split_commit(text.as_bytes(), b"gpgsig");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(signed.payload), signed.signature.map(text))
    }

    #[test]
    fn the_signature_is_taken_out_of_the_header_only() {
        let commit = format!("{HEAD}gpgsig one\n two\n \nencoding x\n\ngpgsig three\n four\n");
        let (payload, signature) = split(&commit);
        assert_eq!(
            payload,
            format!("{HEAD}encoding x\n\ngpgsig three\n four\n")
        );
        assert_eq!(signature.as_deref(), Some("one\ntwo\n\n"));
    }

    #[test]
    fn a_signature_of_the_other_hash_is_no_part_of_the_payload() {
        let commit = format!("{HEAD}gpgsig-sha256 other\n more\ngpgsig one\n\nmessage\n");
        let (payload, signature) = split(&commit);
        assert_eq!(payload, format!("{HEAD}\nmessage\n"));
        assert_eq!(signature.as_deref(), Some("one\n"));
    }

    #[test]
    fn two_signatures_are_none() {
        assert_eq!(split(&format!("{HEAD}gpgsig a\ngpgsig b\n\nm\n")).1, None);
        assert_eq!(split(&format!("{HEAD}\nm\n")).1, None);
    }

    #[test]
    fn a_tag_ends_in_its_signature() {
        let text = b"object 1\n\nwords\n-----BEGIN SSH SIGNATURE-----\nx\n";
        let signed = split_tag(text);
        assert_eq!(signed.payload, b"object 1\n\nwords\n");
        assert!(signed.signature.unwrap().ends_with(b"\nx\n"));
    }
}
