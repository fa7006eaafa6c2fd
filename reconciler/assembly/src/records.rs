//! How the records in git are: what waits to be written, and whether what was written is there.

use serde::Serialize;
use serde::de::DeserializeOwned;
use stratum_core::ids::{BranchName, CommitId};
use stratum_core::ports::{Facts as _, Repository, RepositoryError};
use stratum_core::signed::trailer;
use stratum_core::waiting::{LAST, LOST, Last, Lost, UNKEPT, Unkept, WAITS, Waits};
use stratum_repo::GitRepository;
use stratum_store::{CommitKeys, SqliteStore};

use crate::adapters;
use crate::error::AssemblyError;
use crate::place::Place;

/// How many commits of records are looked through.
const MOST: usize = 200_000;
/// The trailer of every commit of records.
const TRAILER: &str = "Stratum-Run";

/// What is wrong with the records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RecordsView {
    /// Why some are not in git yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waits>,
    /// Those that were there are not any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// Why the applied commits are not kept alive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unkept: Option<Unkept>,
}

/// What is wrong with the records; `None` when nothing is.
pub async fn health(
    place: &Place,
    store: &SqliteStore,
) -> Result<Option<RecordsView>, AssemblyError> {
    let facts = store.facts("records/").await?;
    let last: Option<Last> = fact(&facts, LAST);
    let lost = match fact(&facts, LOST) {
        // The branch may have been put right, or replaced since the last record.
        Some(known) => lost(&place.repository, known)?,
        None => None,
    };
    let lost = match (lost, last) {
        (None, Some(last)) => {
            let known = Lost {
                branch: last.branch,
                commit: last.commit,
                found: None,
                since: jiff::Timestamp::now(),
            };
            self::lost(&place.repository, known)?
        }
        (lost, _) => lost,
    };
    let view = RecordsView {
        waits: fact(&facts, WAITS),
        lost,
        unkept: fact(&facts, UNKEPT),
    };
    Ok((view != RecordsView::default()).then_some(view))
}

fn fact<T: DeserializeOwned>(facts: &[(String, Vec<u8>)], name: &str) -> Option<T> {
    let (_, value) = facts.iter().find(|(fact, _)| fact == name)?;
    serde_json::from_slice(value).ok()
}

/// What was lost, as it is now; `None` when the commit is on its branch.
fn lost(repository: &GitRepository, known: Lost) -> Result<Option<Lost>, RepositoryError> {
    let found = tip(repository, &known.branch)?;
    let there = match &found {
        Some(tip) if *tip == known.commit => true,
        Some(tip) => match repository.follows(tip, &known.commit) {
            Err(RepositoryError::NoSuchRevision { .. }) => false,
            answer => answer?,
        },
        None => false,
    };
    Ok((!there).then_some(Lost { found, ..known }))
}

fn tip(
    repository: &GitRepository,
    branch: &BranchName,
) -> Result<Option<CommitId>, RepositoryError> {
    match repository.resolve(&format!("refs/heads/{branch}")) {
        Ok(tip) => Ok(Some(tip)),
        Err(RepositoryError::NoSuchRevision { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How the commits of records are signed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Signatures {
    /// Commits that the key of the audit log signed.
    pub signed: usize,
    /// Those from before commits were signed.
    pub before: usize,
    /// The public keys, as in an `allowed_signers` file.
    pub keys: Vec<String>,
    /// What is wrong with the records, in one sentence.
    pub problem: Option<String>,
}

/// Verifies every commit of records by the keys of the audit log, and that none is missing.
pub async fn verify(
    place: &Place,
    store: &SqliteStore,
) -> Result<Option<Signatures>, AssemblyError> {
    let facts = store.facts(LAST).await?;
    let Some(last) = fact::<Last>(&facts, LAST) else {
        return Ok(None);
    };
    let keys =
        CommitKeys::open(&place.state, adapters::note_signer()?).map_err(AssemblyError::LogKeys)?;
    let mut found = Signatures {
        keys: keys.lines(),
        ..Signatures::default()
    };
    if let Some(tip) = tip(&place.repository, &last.branch)? {
        signed(&place.repository, &tip, &keys, &mut found)?;
    }
    if let Some(lost) = health(place, store).await?.and_then(|view| view.lost) {
        found.problem = Some(lost.sentence());
    }
    Ok(Some(found))
}

fn signed(
    repository: &GitRepository,
    tip: &CommitId,
    keys: &CommitKeys,
    found: &mut Signatures,
) -> Result<(), AssemblyError> {
    let mut revisions = repository.between(None, tip, MOST)?;
    // The oldest first: what is unsigned after something signed was not made here.
    revisions.reverse();
    let ours = |message: &str| trailer(message, TRAILER).is_some();
    for revision in revisions.iter().filter(|revision| ours(&revision.message)) {
        let commit = repository.signed(&revision.commit)?;
        let signature = commit.signed.signature.as_deref();
        match keys.refuses(&commit.signed.payload, signature) {
            None => found.signed += 1,
            Some(_) if signature.is_none() && found.signed == 0 => found.before += 1,
            Some(why) => {
                let commit = revision.commit.short();
                let sentence = format!("the commit {commit} says that it is a record, and {why}");
                found.problem.get_or_insert(sentence);
            }
        }
    }
    Ok(())
}
