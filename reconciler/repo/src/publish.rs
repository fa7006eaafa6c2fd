//! Writing a record: build a commit, move the refs by compare-and-swap, begin again when others
//! were faster.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use gix::actor::{Signature, SignatureRef};
use gix::bstr::BStr;
use gix::date::parse::TimeBuf;
use gix::refs::FullName;
use gix::{ObjectId, Repository};
use stratum_core::ids::{CommitId, RunId};
use stratum_core::ports::{Publication, RepositoryError};

use crate::failure::git as failed;
use crate::lock::{self, Move, Swap};
use crate::mirror::{Mirror, Pushed};
use crate::note;
use crate::open::GitRepository;
use crate::read::commit_id;
use crate::write::Writer;

/// How often it is tried before the runtime is told to come back later.
const TRIES: u32 = 10;
/// How often a remote may refuse refs that nobody else moved: a lock there passes, a rule does not.
const REFUSALS: u32 = 3;
/// The longest wait before the second try; doubled for each further one.
const WAIT: Duration = Duration::from_millis(8);
/// The trailer by which a run's commit is known.
const TRAILER: &str = "Stratum-Run: ";
/// How many commits are looked through for the trailer once the files were found.
const SEARCH: usize = 10_000;

/// What became of one try.
enum Try {
    Published(ObjectId),
    /// Why it is tried again.
    Again(RepositoryError),
}

/// What one try is going to write.
struct Built {
    commit: ObjectId,
    moves: Vec<Move>,
}

impl GitRepository {
    pub(crate) fn publish_record(
        &self,
        publication: &Publication,
    ) -> Result<CommitId, RepositoryError> {
        self.refuse_checked_out(publication)?;
        let mut last = RepositoryError::Race {
            name: reference(publication)?.to_string(),
            tries: TRIES,
        };
        for tried in 0..TRIES {
            if tried > 0 {
                std::thread::sleep(pause(tried));
                self.mirror.as_ref().map_or(Ok(()), Mirror::fetch)?;
            }
            match self
                .pool
                .with(|repository| self.try_once(repository, publication))?
            {
                Try::Published(commit) => return commit_id(commit),
                Try::Again(reason @ RepositoryError::Remote { .. }) if tried + 1 >= REFUSALS => {
                    return Err(reason);
                }
                Try::Again(reason) => last = reason,
            }
        }
        Err(last)
    }

    fn try_once(
        &self,
        repository: &Repository,
        publication: &Publication,
    ) -> Result<Try, RepositoryError> {
        lock::refresh(repository)?;
        let signature = self.signature(publication);
        let mut buffer = TimeBuf::default();
        let committer = signature.to_ref(&mut buffer);
        let writer = Writer::new(repository);
        let built = build(repository, &writer, publication, committer)?;
        if built.moves.is_empty() {
            return Ok(Try::Published(built.commit));
        }
        match &self.mirror {
            Some(mirror) => push(repository, mirror, built, committer),
            None => {
                writer.sync().map_err(failed("flush the record to disk"))?;
                swap(repository, built, committer)
            }
        }
    }

    fn signature(&self, publication: &Publication) -> Signature {
        Signature {
            name: self.committer.name.as_str().into(),
            email: self.committer.mail.as_str().into(),
            time: gix::date::Time::new(publication.at.as_second(), 0),
        }
    }

    /// A branch that people have checked out cannot get a record: their work tree would not have
    /// it, and their next commit would take it away again.
    fn refuse_checked_out(&self, publication: &Publication) -> Result<(), RepositoryError> {
        let head = format!("ref: refs/heads/{}", publication.branch);
        let names = |folder: &std::path::Path| {
            std::fs::read_to_string(folder.join("HEAD")).is_ok_and(|text| text.trim_end() == head)
        };
        let folder = self.git_dir();
        let main = self.has_main_work_tree() && names(folder);
        let linked = std::fs::read_dir(folder.join("worktrees"));
        let linked = linked
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| names(&entry.path()));
        match main || linked {
            false => Ok(()),
            true => Err(RepositoryError::Unsupported {
                path: self.location().to_owned(),
                reason: format!(
                    "has `{}` checked out, where a record would be undone by the next commit: \
                     set `records.branch` to another branch",
                    publication.branch
                ),
            }),
        }
    }
}

fn build(
    repository: &Repository,
    writer: &Writer<'_>,
    publication: &Publication,
    committer: SignatureRef<'_>,
) -> Result<Built, RepositoryError> {
    let writing = || failed("write the record");
    let branch = reference(publication)?;
    let tip = lock::read(repository, &branch)?;
    let mut moves = Vec::new();
    let commit = match find(repository, tip, publication).map_err(writing())? {
        Some(commit) => commit,
        None => {
            let new = record(repository, writer, tip, publication, committer).map_err(writing())?;
            moves.push(Move {
                name: branch,
                old: tip,
                new,
            });
            new
        }
    };
    if let Some((noted, line)) = &publication.note {
        let name = full_name(note::NOTES)?;
        let old = lock::read(repository, &name)?;
        let noted = ObjectId::from_hex(noted.as_str().as_bytes()).map_err(writing())?;
        let added = note::add(repository, writer, old, noted, line, committer);
        if let Some(new) = added.map_err(failed("write the note"))? {
            moves.push(Move { name, old, new });
        }
    }
    Ok(Built { commit, moves })
}

fn record(
    repository: &Repository,
    writer: &Writer<'_>,
    tip: Option<ObjectId>,
    publication: &Publication,
    committer: SignatureRef<'_>,
) -> Result<ObjectId, gix::Error> {
    let base = match tip {
        Some(tip) => repository.find_commit(tip)?.tree_id()?.detach(),
        None => ObjectId::empty_tree(repository.object_hash()),
    };
    let tree = writer.add(base, &publication.files)?;
    writer.commit(tree, tip, committer, &message(publication))
}

/// The commit of this run, where it is on the branch already.
///
/// The files name the run, so their absence answers at once; only a repeated call walks, and from
/// the tip, where the commit is.
fn find(
    repository: &Repository,
    tip: Option<ObjectId>,
    publication: &Publication,
) -> Result<Option<ObjectId>, gix::Error> {
    let Some(tip) = tip else { return Ok(None) };
    let tree = repository.find_commit(tip)?.tree()?;
    for (path, _) in &publication.files {
        if tree.lookup_entry(path.split('/'))?.is_none() {
            return Ok(None);
        }
    }
    for commit in repository.rev_walk([tip]).all()?.take(SEARCH) {
        let id = commit?.id;
        if is_of_run(repository.find_commit(id)?.message_raw()?, &publication.run) {
            return Ok(Some(id));
        }
    }
    // The files are there under another commit: somebody rewrote the branch.
    Ok((!publication.files.is_empty()).then_some(tip))
}

fn swap(
    repository: &Repository,
    built: Built,
    committer: SignatureRef<'_>,
) -> Result<Try, RepositoryError> {
    match lock::swap(repository, &built.moves, committer)? {
        Swap::Moved => Ok(Try::Published(built.commit)),
        Swap::Lost => Ok(Try::Again(race(&built))),
        Swap::Busy(lock) => Ok(Try::Again(RepositoryError::Git {
            doing: format!(
                "lock a ref: `{}` is there; remove it if no git process is running",
                lock.display()
            ),
            source: std::io::Error::from(std::io::ErrorKind::AlreadyExists).into(),
        })),
    }
}

fn push(
    repository: &Repository,
    mirror: &Mirror,
    built: Built,
    committer: SignatureRef<'_>,
) -> Result<Try, RepositoryError> {
    match mirror.push(&built.moves)? {
        Pushed::Moved => {
            // The next fetch would bring the same; a mirror that was fetched meanwhile is right too.
            if let Err(error) = lock::swap(repository, &built.moves, committer) {
                tracing::debug!(%error, "the mirror learns of the pushed record with the next fetch");
            }
            Ok(Try::Published(built.commit))
        }
        Pushed::Rejected(reason) => {
            mirror.fetch()?;
            lock::refresh(repository)?;
            for change in &built.moves {
                if lock::read(repository, &change.name)? != change.old {
                    return Ok(Try::Again(race(&built)));
                }
            }
            Ok(Try::Again(RepositoryError::Remote {
                doing: "push".to_owned(),
                reason,
            }))
        }
    }
}

fn race(built: &Built) -> RepositoryError {
    RepositoryError::Race {
        name: built
            .moves
            .iter()
            .map(|change| change.name.to_string())
            .next()
            .unwrap_or_default(),
        tries: TRIES,
    }
}

fn reference(publication: &Publication) -> Result<FullName, RepositoryError> {
    full_name(&format!("refs/heads/{}", publication.branch))
}

fn full_name(name: &str) -> Result<FullName, RepositoryError> {
    FullName::try_from(name).map_err(failed(format!("use `{name}` as a ref")))
}

fn message(publication: &Publication) -> String {
    let message = publication.message.trim_end();
    format!("{message}\n\n{TRAILER}{}\n", publication.run)
}

fn is_of_run(message: &BStr, run: &RunId) -> bool {
    let trailer = format!("{TRAILER}{run}");
    message
        .split(|byte| *byte == b'\n')
        .any(|line| line == trailer.as_bytes())
}

/// Whether the commit with this message was made here, for whatever run.
pub(crate) fn is_of_a_run(message: &BStr) -> bool {
    message
        .split(|byte| *byte == b'\n')
        .any(|line| line.starts_with(TRAILER.as_bytes()))
}

/// A random wait that grows, so that two writers do not meet again and again.
fn pause(tried: u32) -> Duration {
    let longest = WAIT * 2_u32.saturating_pow(tried.min(5));
    let random = RandomState::new().hash_one(tried) % 1_000;
    longest * u32::try_from(random).unwrap_or(500) / 1_000
}
