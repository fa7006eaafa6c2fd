//! Opening a repository: a folder, or the mirror of a remote.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gix::ThreadSafeRepository;
use gix::sec::trust::Mapping;
use stratum_core::ports::{CommitSigner, RepositoryError};

use crate::asked::Asked;
use crate::failure::git as failed;
use crate::folder::Folders;
use crate::git::GitCommand;
use crate::location::Location;
use crate::mirror::Mirror;
use crate::pool::Pool;
use crate::system::SystemGit;

/// Who commits the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committer {
    /// The name.
    pub name: String,
    /// The mail address.
    pub mail: String,
}

impl Default for Committer {
    fn default() -> Self {
        Self {
            name: "stratum".to_owned(),
            mail: "stratum@localhost".to_owned(),
        }
    }
}

/// Whether the mirror of a remote must be fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fresh {
    /// A remote that cannot be reached is an error.
    Required,
    /// Where the mirror has commits, a remote that cannot be reached in this time is told by
    /// [`GitRepository::unreached`], and the mirror is read as it is.
    Wanted(Duration),
}

/// How a repository is opened.
#[derive(Clone)]
pub struct Options {
    /// The folder that becomes the mirror when the location is a remote.
    pub mirror: Option<PathBuf>,
    /// Whether a path is mirrored too, instead of being worked on in place.
    pub mirror_paths: bool,
    /// Whether the mirror must be fresh.
    pub fresh: Fresh,
    /// Who commits the records.
    pub committer: Committer,
    /// How long one fetch or push may take.
    pub timeout: Duration,
    /// The `git` command.
    pub git: Arc<dyn GitCommand>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mirror: None,
            mirror_paths: false,
            fresh: Fresh::Required,
            committer: Committer::default(),
            timeout: Duration::from_secs(120),
            git: Arc::<SystemGit>::default(),
        }
    }
}

/// A git repository: the port [`stratum_core::ports::Repository`].
///
/// *Guarantees*: no program named by the repository's configuration is ever run; only the
/// repository's own configuration is read, and nothing of it but formats. An id means the object
/// with that id: `refs/replace` is ignored.
pub struct GitRepository {
    pub(crate) pool: Arc<Pool>,
    pub(crate) folders: Arc<Folders>,
    pub(crate) mirror: Option<Arc<Mirror>>,
    pub(crate) asked: Asked,
    unreached: Option<RepositoryError>,
    pub(crate) committer: Committer,
    pub(crate) signer: OnceLock<Arc<dyn CommitSigner>>,
    pub(crate) git: Arc<dyn GitCommand>,
    pub(crate) timeout: Duration,
    /// As shown to people: without credentials.
    pub(crate) location: String,
    /// Where HEAD is; a linked work tree has its own.
    pub(crate) own_dir: PathBuf,
    /// Where objects and refs are.
    git_dir: PathBuf,
    bare: bool,
}

impl GitRepository {
    /// Opens `location`: a folder of a bare or ordinary repository or of a work tree, or the
    /// address of a remote (`https://`, `ssh://`, `git@host:path`, `file://`), which is mirrored
    /// and fetched.
    ///
    /// *Errors*: [`RepositoryError::Missing`]; [`RepositoryError::Unsupported`] for reftable and
    /// for an address of another kind; [`RepositoryError::Remote`] when the first fetch fails. A
    /// repository without a commit opens: see [`GitRepository::require_commit`].
    pub fn open(location: &str, options: Options) -> Result<Self, RepositoryError> {
        match Location::read(location, options.mirror_paths)? {
            Location::Local(path) => {
                let shared = discover(&path)?;
                Self::on(shared, location.to_owned(), None, options)
            }
            Location::Remote(address) => Self::open_remote(address, options),
        }
    }

    fn open_remote(address: String, options: Options) -> Result<Self, RepositoryError> {
        let Some(folder) = options.mirror.clone() else {
            return Err(RepositoryError::Unsupported {
                path: crate::redact::redact(&address),
                reason: "is a remote, and no folder was named for its mirror".to_owned(),
            });
        };
        let git = Arc::clone(&options.git);
        let named = address.clone();
        let mirror = Mirror::prepare(&folder, address, git, options.timeout)?;
        let unreached = match options.fresh {
            Fresh::Wanted(patience) if mirror.has_commits() => mirror.fetch_within(patience).err(),
            Fresh::Wanted(_) | Fresh::Required => {
                mirror.fetch().map_err(|error| missing_or(error, &named))?;
                None
            }
        };
        let shared = discover(&folder)?;
        let location = mirror.address();
        let repository = Self::on(shared, location, Some(mirror), options)?;
        Ok(Self {
            unreached,
            ..repository
        })
    }

    /// Why the remote could not be reached when its mirror was opened; see [`Fresh::Wanted`].
    pub fn unreached(&self) -> Option<&RepositoryError> {
        self.unreached.as_ref()
    }

    fn on(
        shared: ThreadSafeRepository,
        location: String,
        mirror: Option<Mirror>,
        options: Options,
    ) -> Result<Self, RepositoryError> {
        let repository = shared.to_thread_local();
        let pool = Arc::new(Pool::new(shared));
        Ok(Self {
            folders: Arc::new(Folders::new(Arc::clone(&pool))),
            own_dir: absolute(repository.git_dir())?,
            git_dir: absolute(repository.common_dir())?,
            bare: repository.is_bare(),
            pool,
            mirror: mirror.map(Arc::new),
            asked: Asked::default(),
            unreached: None,
            committer: options.committer,
            signer: OnceLock::new(),
            git: options.git,
            timeout: options.timeout,
            location,
        })
    }

    /// What the `git` command does now, and all it is asked to do from now on, gets seconds and no
    /// more: the process is to end, and a remote may never answer.
    pub fn hurry(&self) {
        self.git.hurry();
    }

    /// Ends what the `git` command still does, so that nothing outlives the process.
    pub fn end(&self) {
        self.git.end();
    }

    /// Signs every commit that is made from now on. The first key that is given counts.
    pub fn sign_with(&self, signer: Arc<dyn CommitSigner>) {
        let _kept_the_first = self.signer.set(signer);
    }

    /// The git folder; that of all work trees together, where there are several.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Whether the repository has no work tree.
    pub fn is_bare(&self) -> bool {
        self.bare
    }

    /// Whether HEAD of the git folder is checked out; that of a bare one is not, though it may
    /// have linked work trees.
    pub(crate) fn has_main_work_tree(&self) -> bool {
        let configured = self
            .pool
            .with(|repository| repository.config_snapshot().boolean("core.bare"));
        !configured.unwrap_or(self.bare)
    }

    /// Whether this is the mirror of a remote: records are pushed, and changes are polled for.
    pub fn is_mirror(&self) -> bool {
        self.mirror.is_some()
    }

    /// The location as people may see it: without credentials.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Where state is kept unless the user says otherwise: `stratum/` in the git folder.
    pub fn state_folder(&self) -> PathBuf {
        self.git_dir.join("stratum")
    }
}

fn discover(path: &Path) -> Result<ThreadSafeRepository, RepositoryError> {
    let options = || {
        gix::open::Options::isolated()
            // An id must mean its object, and a lock must not be waited for forever.
            .config_overrides(["core.useReplaceRefs=false"])
    };
    let trust = Mapping {
        full: options(),
        reduced: options(),
    };
    // gix looks for a relative path that begins with `..` in the wrong folder.
    let found = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let opened = ThreadSafeRepository::discover_opts(found, Default::default(), trust);
    let shared = opened.map_err(|error| explain(path, error))?;
    let repository = shared.to_thread_local();
    let storage = repository.config_snapshot().string("extensions.refStorage");
    let storage = storage.map(|storage| storage.to_string());
    match storage {
        Some(storage) if storage != "files" => Err(keeps_refs_in(path, &storage)),
        Some(_) | None => Ok(shared),
    }
}

fn explain(path: &Path, error: gix::Error) -> RepositoryError {
    match error.is_not_found() {
        true => RepositoryError::Missing {
            path: path.display().to_string(),
        },
        false => failed(format!("open the repository at `{}`", path.display()))(error),
    }
}

fn keeps_refs_in(path: &Path, storage: &str) -> RepositoryError {
    RepositoryError::Unsupported {
        path: path.display().to_string(),
        reason: format!(
            "keeps its refs in `{storage}`, which cannot be read: convert it with \
             `git refs migrate --ref-format=files`"
        ),
    }
}

/// What could not be fetched from a folder of this machine that is not there.
fn missing_or(error: RepositoryError, address: &str) -> RepositoryError {
    let folder = address.strip_prefix("file://");
    match folder.filter(|folder| !Path::new(folder).exists()) {
        Some(path) => RepositoryError::Missing {
            path: path.to_owned(),
        },
        None => error,
    }
}

fn absolute(path: &Path) -> Result<PathBuf, RepositoryError> {
    std::fs::canonicalize(path).map_err(failed(format!("find `{}`", path.display())))
}
