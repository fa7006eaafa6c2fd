//! A bare copy of a remote, kept by fetching and pushing through the `git` command.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gix::hash::Kind;
use stratum_core::ports::RepositoryError;

use crate::failure::git as failed;
use crate::git::{GitCall, GitCommand, GitOutput};
use crate::lock::Move;
use crate::redact::redact;
use crate::shadow;
use crate::turn;

/// What is mirrored: branches, tags and notes; deleted here when they are deleted there.
const REFS: [&str; 3] = [
    "+refs/heads/*:refs/heads/*",
    "+refs/tags/*:refs/tags/*",
    "+refs/notes/*:refs/notes/*",
];

/// How long a push waits for another stratum on this machine that fetches or pushes.
const TURN: Duration = Duration::from_secs(10);

/// What became of a push.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// All refs were moved.
    Moved,
    /// None was moved, and this is what the remote said.
    Rejected(String),
}

/// The mirror of one remote.
pub(crate) struct Mirror {
    folder: PathBuf,
    address: String,
    git: Arc<dyn GitCommand>,
    timeout: Duration,
    environment: Vec<(String, OsString)>,
}

impl Mirror {
    /// Prepares the folder; nothing is fetched yet.
    ///
    /// *Errors*: [`RepositoryError::Unsupported`] when the folder holds something else.
    pub(crate) fn prepare(
        folder: &Path,
        address: String,
        git: Arc<dyn GitCommand>,
        timeout: Duration,
    ) -> Result<Self, RepositoryError> {
        if !shadow::is_ours_or_nothing(folder) {
            return Err(RepositoryError::Unsupported {
                path: folder.display().to_string(),
                reason: "is not a mirror made by stratum, and it would be overwritten: \
                         name another folder"
                    .to_owned(),
            });
        }
        let hash = known_hash(folder);
        shadow::make(folder, hash)
            .map_err(failed(format!("make the mirror `{}`", folder.display())))?;
        let mut mirror = Self {
            folder: folder.to_owned(),
            address,
            git,
            timeout,
            environment: Vec::new(),
        };
        mirror.environment = mirror.quiet_ssh()?;
        Ok(mirror)
    }

    /// The address, without credentials.
    pub(crate) fn address(&self) -> String {
        redact(&self.address)
    }

    /// Fetches what changed. The first time it asks for the object format and for HEAD too.
    pub(crate) fn fetch(&self) -> Result<(), RepositoryError> {
        self.fetch_within(self.timeout)
    }

    /// The same, with another time for each call of git.
    pub(crate) fn fetch_within(&self, timeout: Duration) -> Result<(), RepositoryError> {
        let _turn = turn::take_within(&self.folder, "fetch", timeout)?;
        let first = !self.has_commits();
        if first {
            self.learn(timeout)?;
        }
        self.fetch_refs(timeout)?;
        match first || self.has_commits() {
            true => Ok(()),
            // The branch that HEAD named is gone: the remote has another one now.
            false => self.learn(timeout),
        }
    }

    /// Moves the refs of the remote, all or none, each only from where it was seen.
    pub(crate) fn push(&self, moves: &[Move]) -> Result<Pushed, RepositoryError> {
        let mut arguments = vec!["push", "--porcelain", "--atomic", "--no-verify"];
        let leases: Vec<String> = moves.iter().map(lease).collect();
        let refs: Vec<String> = moves
            .iter()
            .map(|m| format!("{}:{}", m.new, m.name))
            .collect();
        arguments.extend(leases.iter().map(String::as_str));
        arguments.push("origin");
        arguments.extend(refs.iter().map(String::as_str));
        let _turn = turn::take_within(&self.folder, "push", self.timeout.min(TURN))?;
        let output = self.call("push", &arguments, self.timeout)?;
        if output.code == Some(0) {
            return Ok(Pushed::Moved);
        }
        match rejection(&output.out) {
            Some(reason) => Ok(Pushed::Rejected(reason)),
            None => Err(refused("push", &output)),
        }
    }

    fn fetch_refs(&self, timeout: Duration) -> Result<(), RepositoryError> {
        let mut arguments = vec![
            "fetch",
            "--prune",
            "--no-tags",
            "--no-write-fetch-head",
            "--quiet",
        ];
        arguments.push("origin");
        arguments.extend(REFS);
        let output = self.call("fetch", &arguments, timeout)?;
        match output.code {
            Some(0) => Ok(()),
            Some(_) | None => Err(refused("fetch", &output)),
        }
    }

    /// Asks which branch HEAD names and how long ids are.
    fn learn(&self, timeout: Duration) -> Result<(), RepositoryError> {
        let output = self.call("fetch", &["ls-remote", "--symref", "origin"], timeout)?;
        if output.code != Some(0) {
            return Err(refused("fetch", &output));
        }
        let made = |hash| shadow::make(&self.folder, hash);
        if is_empty(&self.folder) && output.out.lines().any(|line| line.find('\t') == Some(64)) {
            made(Kind::Sha256).map_err(failed("write the mirror's configuration"))?;
        }
        let head = output.out.lines().find_map(|line| {
            let (reference, name) = line.strip_prefix("ref: ")?.split_once('\t')?;
            (name == "HEAD").then(|| reference.to_owned())
        });
        match head {
            Some(head) => shadow::point_head(&self.folder, &head).map_err(failed("write HEAD")),
            None => Ok(()),
        }
    }

    fn call(
        &self,
        doing: &str,
        arguments: &[&str],
        timeout: Duration,
    ) -> Result<GitOutput, RepositoryError> {
        let mut call = GitCall::new(&self.folder, arguments, timeout);
        call.settings = vec![("remote.origin.url".to_owned(), self.address.clone())];
        call.environment.clone_from(&self.environment);
        self.git
            .run(&call)
            .map_err(|error| RepositoryError::Remote {
                doing: doing.to_owned(),
                reason: redact(&error.to_string()),
            })
    }

    /// Keeps ssh from asking on the terminal, where the user has not chosen an ssh command.
    fn quiet_ssh(&self) -> Result<Vec<(String, OsString)>, RepositoryError> {
        let chosen = |name| std::env::var_os(name).is_some();
        let over_ssh = self.address.starts_with("ssh://") || !self.address.contains("://");
        if !over_ssh || chosen("GIT_SSH_COMMAND") || chosen("GIT_SSH") {
            return Ok(Vec::new());
        }
        let output = self.call(
            "fetch",
            &["config", "--get", "core.sshCommand"],
            self.timeout,
        )?;
        Ok(match output.code {
            Some(0) => Vec::new(),
            Some(_) | None => vec![("GIT_SSH_COMMAND".to_owned(), "ssh -o BatchMode=yes".into())],
        })
    }

    /// Whether it was fetched before, so that it can be read as it is.
    pub(crate) fn has_commits(&self) -> bool {
        let open = gix::open::Options::isolated()
            .open_path_as_is(true)
            .open(&self.folder);
        open.is_ok_and(|mirror| mirror.to_thread_local().head_id().is_ok())
    }
}

fn known_hash(folder: &Path) -> Kind {
    match std::fs::read_to_string(folder.join("config")) {
        Ok(text) if text.contains("objectFormat = sha256") => Kind::Sha256,
        Ok(_) | Err(_) => Kind::Sha1,
    }
}

fn is_empty(folder: &Path) -> bool {
    let packs = folder.join("objects/pack");
    !folder.join("refs/heads").exists() && !folder.join("packed-refs").exists() && !packs.exists()
}

fn lease(change: &Move) -> String {
    let old = change.old.map(|id| id.to_string()).unwrap_or_default();
    format!("--force-with-lease={}:{old}", change.name)
}

/// The lines of `--porcelain` that begin with `!`: the refs that were not moved, and why.
fn rejection(out: &str) -> Option<String> {
    let rejected: Vec<&str> = out
        .lines()
        .filter_map(|line| line.strip_prefix("!\t"))
        .filter_map(|line| line.split('\t').next_back())
        .collect();
    (!rejected.is_empty()).then(|| redact(&rejected.join("; ")))
}

fn refused(doing: &str, output: &GitOutput) -> RepositoryError {
    let complaint = redact(&output.complaint);
    let lines: Vec<&str> = complaint
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("hint:"))
        .collect();
    RepositoryError::Remote {
        doing: doing.to_owned(),
        reason: match lines.is_empty() {
            true => "git said nothing".to_owned(),
            false => lines.join("; "),
        },
    }
}
