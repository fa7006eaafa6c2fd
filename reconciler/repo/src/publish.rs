//! Writing a record: build a commit, move the refs by compare-and-swap, begin again when others
//! were faster.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use gix::actor::Signature;
use gix::{ObjectId, Repository};
use stratum_core::ids::CommitId;
use stratum_core::ports::{Publication, RepositoryError};

use crate::failure::git as failed;
use crate::lock::{self, Swap};
use crate::mirror::{Mirror, Pushed};
use crate::open::GitRepository;
use crate::read::commit_id;
use crate::record::{Built, build};
use crate::write::Writer;

/// How often it is tried before the runtime is told to come back later.
const TRIES: u32 = 12;
/// How often a remote may refuse refs that nobody else moved: a lock there passes, a rule does not.
const REFUSALS: u32 = 3;
/// The longest wait before the second try; doubled for each of the next few.
const WAIT: Duration = Duration::from_millis(16);

/// What became of one try.
enum Try {
    Published(Vec<ObjectId>),
    /// Why it is tried again.
    Again(RepositoryError),
}

impl GitRepository {
    pub(crate) fn publish_record(
        &self,
        publication: &Publication,
    ) -> Result<CommitId, RepositoryError> {
        let commits = self.publish_together(std::slice::from_ref(publication))?;
        let commit = commits.into_iter().next();
        commit.ok_or_else(|| failed("write the record")("nothing was written"))
    }

    /// Publishes those together that go to one branch from one place; each commit in order.
    pub(crate) fn publish_all(
        &self,
        publications: &[Publication],
    ) -> Result<Vec<CommitId>, RepositoryError> {
        let mut commits = Vec::new();
        // What begins at a commit is not about a run, and each call adds a commit.
        let groups = publications
            .chunk_by(|a, b| a.branch == b.branch && a.from.is_none() && b.from.is_none());
        for group in groups {
            commits.extend(self.publish_together(group)?);
        }
        Ok(commits)
    }

    fn publish_together(
        &self,
        publications: &[Publication],
    ) -> Result<Vec<CommitId>, RepositoryError> {
        for one in publications.iter().take(1) {
            self.refuse_checked_out(one)?;
        }
        let mut tried = 0;
        loop {
            let reason = match self
                .pool
                .with(|repository| self.try_once(repository, publications))?
            {
                Try::Published(commits) => return commits.into_iter().map(commit_id).collect(),
                Try::Again(reason) => reason,
            };
            tried += 1;
            let refused = matches!(reason, RepositoryError::Remote { .. }) && tried >= REFUSALS;
            if refused || tried >= TRIES {
                return Err(reason);
            }
            std::thread::sleep(pause(tried));
            self.mirror
                .as_ref()
                .map_or(Ok(()), |mirror| mirror.fetch())?;
        }
    }

    fn try_once(
        &self,
        repository: &Repository,
        publications: &[Publication],
    ) -> Result<Try, RepositoryError> {
        lock::refresh(repository)?;
        let signer = self.signer.get().cloned();
        let writer = Writer::new(repository, self.signature(publications), signer);
        let built = build(&writer, publications)?;
        if built.moves.is_empty() {
            return Ok(Try::Published(built.commits));
        }
        match &self.mirror {
            Some(mirror) => push(repository, mirror, built),
            None => {
                writer.sync().map_err(failed("flush the record to disk"))?;
                swap(repository, built)
            }
        }
    }

    /// Who commits, at the time of the last of them.
    fn signature(&self, publications: &[Publication]) -> Signature {
        let at = publications.iter().map(|one| one.at.as_second()).max();
        Signature {
            name: self.committer.name.as_str().into(),
            email: self.committer.mail.as_str().into(),
            time: gix::date::Time::new(at.unwrap_or_default(), 0),
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
        let mut linked = linked.into_iter().flatten().flatten();
        match main || linked.any(|entry| names(&entry.path())) {
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

fn swap(repository: &Repository, built: Built) -> Result<Try, RepositoryError> {
    match lock::swap(repository, &built.moves)? {
        Swap::Moved => Ok(Try::Published(built.commits)),
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

fn push(repository: &Repository, mirror: &Mirror, built: Built) -> Result<Try, RepositoryError> {
    match mirror.push(&built.moves)? {
        Pushed::Moved => {
            // The next fetch would bring the same; a mirror fetched meanwhile is right too.
            if let Err(error) = lock::swap(repository, &built.moves) {
                tracing::debug!(%error, "the mirror learns of the record with the next fetch");
            }
            Ok(Try::Published(built.commits))
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
    let mut names = built.moves.iter().map(|change| change.name.to_string());
    RepositoryError::Race {
        name: names.next().unwrap_or_default(),
        tries: TRIES,
    }
}

/// A random wait that grows, so that two writers do not meet again and again.
fn pause(tried: u32) -> Duration {
    let longest = WAIT * 2_u32.saturating_pow(tried.saturating_sub(1).min(4));
    let random = RandomState::new().hash_one(tried) % 500;
    longest * u32::try_from(random + 500).unwrap_or(750) / 1_000
}
