//! What is written for records: one commit on their branch and one on the notes, however many.

use std::collections::{BTreeMap, BTreeSet};

use gix::refs::FullName;
use gix::{ObjectId, Repository};
use stratum_core::ids::{CommitId, RunId};
use stratum_core::ports::{Publication, RepositoryError};

use crate::compare;
use crate::failure::git as failed;
use crate::lock::{self, Move};
use crate::note;
use crate::weighed::Weighed;
use crate::write::{Writer, runs_of};

/// How many commits are looked through for the run's once its files were found.
const SEARCH: usize = 10_000;
/// How many records the message of a commit names, one by one.
const NAMED: usize = 20;
const BRANCHES: &str = "refs/heads/";

/// The commit of each run, and the refs that must be moved for them; none when all is there already.
pub(crate) struct Built {
    pub(crate) commits: Vec<ObjectId>,
    pub(crate) moves: Vec<Move>,
}

/// Writes the objects, on top of where the refs stand now. All publications are for one branch and
/// begin at the same commit.
pub(crate) fn build(
    writer: &Writer<'_>,
    publications: &[Publication],
) -> Result<Built, RepositoryError> {
    let writing = || failed("write the record");
    let repository = writer.repository;
    let Some(first) = publications.first() else {
        let (commits, moves) = Default::default();
        return Ok(Built { commits, moves });
    };
    let name = full_name(&format!("{BRANCHES}{}", first.branch))?;
    let tip = lock::read(repository, &name)?;
    let mut moves = Vec::new();
    let found = match first.from {
        None => find(repository, tip, publications).map_err(writing())?,
        Some(_) => BTreeMap::new(),
    };
    let missing: Vec<&Publication> = publications
        .iter()
        .filter(|one| !found.contains_key(&one.run))
        .collect();
    let mut new = None;
    if !missing.is_empty() {
        refuse_in_the_way(repository, tip, &name)?;
        let parent = parent(repository, tip, first.from.as_ref()).map_err(writing())?;
        let commit = record(writer, parent, &missing)?;
        moves.push(Move {
            name,
            old: tip,
            new: commit,
        });
        new = Some(commit);
    }
    moves.extend(noted(writer, publications)?);
    let commit_of = |one: &Publication| found.get(&one.run).copied().or(new);
    let commits = publications.iter().filter_map(commit_of).collect();
    Ok(Built { commits, moves })
}

fn noted(
    writer: &Writer<'_>,
    publications: &[Publication],
) -> Result<Option<Move>, RepositoryError> {
    let writing = || failed("write the note");
    let mut lines: BTreeMap<ObjectId, Vec<&str>> = BTreeMap::new();
    let mut runs = Vec::new();
    for one in publications {
        if let Some((commit, line)) = &one.note {
            let commit = ObjectId::from_hex(commit.as_str().as_bytes()).map_err(writing())?;
            lines.entry(commit).or_default().push(line);
            runs.push(&one.run);
        }
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let name = full_name(note::NOTES)?;
    let old = lock::read(writer.repository, &name)?;
    refuse_in_the_way(writer.repository, old, &name)?;
    let new = note::add(writer, old, &lines, &runs).map_err(writing())?;
    Ok(new.map(|new| Move { name, old, new }))
}

/// What the new commit follows: the tip, or where the branch begins that is not there or behind.
fn parent(
    repository: &Repository,
    tip: Option<ObjectId>,
    from: Option<&CommitId>,
) -> Result<Option<ObjectId>, gix::Error> {
    let Some(from) = from else { return Ok(tip) };
    let from = ObjectId::from_hex(from.as_str().as_bytes())?;
    let Some(tip) = tip else {
        return Ok(Some(from));
    };
    let own = compare::between(repository, Some(from), tip, 1)?;
    Ok(Some(if own.is_empty() { from } else { tip }))
}

fn record(
    writer: &Writer<'_>,
    tip: Option<ObjectId>,
    publications: &[&Publication],
) -> Result<ObjectId, RepositoryError> {
    let writing = || failed("write the record");
    let repository = writer.repository;
    let base = match tip {
        Some(tip) => {
            let commit = Weighed(repository).commit(tip).map_err(writing())?;
            commit.tree_id().map_err(writing())?.detach()
        }
        None => ObjectId::empty_tree(repository.object_hash()),
    };
    let files = publications.iter().flat_map(|one| &one.files);
    let tree = writer.add(base, files).map_err(writing())?;
    let runs: Vec<&RunId> = publications.iter().map(|one| &one.run).collect();
    writer
        .commit(tree, tip, &message(publications), &runs)
        .map_err(writing())
}

fn message(publications: &[&Publication]) -> String {
    let messages = publications.iter().map(|one| one.message.trim_end());
    match publications {
        [one] => one.message.clone(),
        several => {
            let mut text = format!("{} records\n\n", several.len());
            for message in messages.take(NAMED) {
                let subject = message.lines().next().unwrap_or_default();
                text.push_str(&format!("- {subject}\n"));
            }
            if let more @ 1.. = several.len().saturating_sub(NAMED) {
                text.push_str(&format!("- and {more} more\n"));
            }
            text
        }
    }
}

/// The commits of the runs that are on the branch already.
///
/// The files name the run, so their absence answers at once; only a repeated call walks, and from
/// the tip, near which the commits are.
fn find(
    repository: &Repository,
    tip: Option<ObjectId>,
    publications: &[Publication],
) -> Result<BTreeMap<RunId, ObjectId>, gix::Error> {
    let mut found = BTreeMap::new();
    let Some(tip) = tip else { return Ok(found) };
    let tree = Weighed(repository).commit(tip)?.tree()?;
    let mut wanted = BTreeSet::new();
    for one in publications {
        let mut there = true;
        for (path, _) in &one.files {
            there = there && tree.lookup_entry(path.split('/'))?.is_some();
        }
        if there {
            wanted.insert(&one.run);
            // Where nothing names the run, somebody rewrote the branch: the files are there.
            if !one.files.is_empty() {
                found.insert(one.run.clone(), tip);
            }
        }
    }
    if wanted.is_empty() {
        return Ok(found);
    }
    for id in compare::between(repository, None, tip, SEARCH)? {
        let commit = Weighed(repository).commit(id)?;
        for run in runs_of(commit.message_raw()?) {
            if let Ok(run) = RunId::new(run)
                && wanted.remove(&run)
            {
                found.insert(run, id);
            }
        }
        if wanted.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// A ref `a` keeps a ref `a/b` from being begun, and the other way round.
pub(crate) fn refuse_in_the_way(
    repository: &Repository,
    tip: Option<ObjectId>,
    name: &FullName,
) -> Result<(), RepositoryError> {
    if tip.is_some() {
        return Ok(());
    }
    let wanted = name.to_string();
    let listing = || failed("list the branches");
    let references = repository.references().map_err(listing())?;
    for reference in references.all().map_err(listing())?.flatten() {
        let other = reference.name().as_bstr().to_string();
        let in_the_way =
            |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
        if in_the_way(&wanted, &other) || in_the_way(&other, &wanted) {
            return Err(RepositoryError::Unsupported {
                path: repository.common_dir().display().to_string(),
                reason: in_the_way_of(&other, &wanted),
            });
        }
    }
    Ok(())
}

/// Which ref is in the way of another, and what to do.
fn in_the_way_of(other: &str, wanted: &str) -> String {
    match (other.strip_prefix(BRANCHES), wanted.strip_prefix(BRANCHES)) {
        (Some(other), Some(wanted)) => format!(
            "has a branch `{other}`, beside which git cannot have `{wanted}`: rename it, or set \
             `records.branch` to another branch"
        ),
        _ => format!(
            "has a ref `{other}`, beside which git cannot have `{wanted}`: `git update-ref -d \
             {other}` takes it away"
        ),
    }
}

fn full_name(name: &str) -> Result<FullName, RepositoryError> {
    FullName::try_from(name).map_err(failed(format!("use `{name}` as a ref")))
}
