//! A repository, and where its state is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stratum_core::digest::Digest;
use stratum_core::ports::StoreError;
use stratum_repo::{Fresh, GitRepository, Options};
use stratum_store::{Access, SqliteStore};

use crate::error::AssemblyError;
use crate::readable::{readable, readable_with};

/// A repository and where its state is.
pub struct Place {
    /// The repository.
    pub repository: Arc<GitRepository>,
    /// The file of the state; absolute.
    pub state: PathBuf,
}

impl Place {
    /// Opens the repository at `location`; its state is in `state`, or where it is by default.
    ///
    /// *Errors*: also when it is a remote that cannot be reached, where that is [`Fresh::Required`].
    pub fn open(location: &str, state: Option<&Path>, fresh: Fresh) -> Result<Self, AssemblyError> {
        let options = Options {
            mirror: Some(mirror_of(location, state)?),
            fresh,
            ..Options::default()
        };
        let repository = GitRepository::open(location, options)?;
        let folder = if repository.is_mirror() {
            remote_folder(location)?
        } else {
            repository.state_folder()
        };
        let state = match state {
            Some(path) => absolute(path)?,
            None => folder.join("state.db"),
        };
        Ok(Self {
            repository: Arc::new(repository),
            state,
        })
    }

    /// The folder of the state.
    pub fn state_folder(&self) -> &Path {
        self.state.parent().unwrap_or(Path::new("/"))
    }

    /// Where providers write down what they must remember: named after the state.
    pub fn own_folder(&self) -> PathBuf {
        self.beside(".local")
    }

    /// The file in which the operator names places for environments.
    pub fn roots_file(&self) -> PathBuf {
        self.beside(".roots")
    }

    /// The places that are given to environments on this machine: on the command line and in the
    /// file.
    pub fn named_roots(&self, given: &[PathBuf]) -> Result<Vec<PathBuf>, AssemblyError> {
        let file = self.roots_file();
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(AssemblyError::Roots { file, source }),
        };
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut named = Vec::new();
        for line in lines {
            if !line.starts_with('/') {
                let line = line.to_owned();
                return Err(AssemblyError::RelativeRoot { file, line });
            }
            named.push(PathBuf::from(line));
        }
        for path in given {
            named.push(absolute(path)?);
        }
        Ok(named)
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.state.clone().into_os_string();
        path.push(ending);
        path.into()
    }

    /// The state, for reading; `None` when nothing was reconciled yet.
    pub async fn state(&self) -> Result<Option<SqliteStore>, StoreError> {
        self.state_as(None).await
    }

    /// The same, with the identity of a file; without one, with that of whoever asks.
    pub async fn state_as(
        &self,
        identity: Option<&Path>,
    ) -> Result<Option<SqliteStore>, StoreError> {
        match SqliteStore::open(&self.state, Access::ReadOnly).await {
            Ok(store) => Ok(Some(match identity {
                Some(file) => readable_with(store, &self.state, file).await,
                None => readable(store, &self.state).await,
            })),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The state, for reading, where something was reconciled already.
    ///
    /// *Errors*: [`StoreError::Missing`] where nothing was.
    pub async fn known_state(&self) -> Result<SqliteStore, StoreError> {
        self.state().await?.ok_or_else(|| StoreError::Missing {
            path: self.state.display().to_string(),
        })
    }
}

/// The path from the root.
pub fn absolute(path: &Path) -> Result<PathBuf, AssemblyError> {
    std::path::absolute(path).map_err(|source| AssemblyError::Path {
        path: path.to_owned(),
        source,
    })
}

/// Where the mirror of a remote is: beside a state that was named, unless it is where it would be
/// without that, as before states took theirs along.
fn mirror_of(location: &str, state: Option<&Path>) -> Result<PathBuf, AssemblyError> {
    let usual = remote_folder(location)?.join("mirror.git");
    match state {
        Some(state) if !usual.exists() => {
            let mut path = absolute(state)?.into_os_string();
            path.push(".mirror.git");
            Ok(path.into())
        }
        Some(_) | None => Ok(usual),
    }
}

/// Where the mirror and the state of a remote are.
///
/// *Source*: XDG Base Directory Specification 0.8, `XDG_STATE_HOME`.
fn remote_folder(location: &str) -> Result<PathBuf, AssemblyError> {
    let variable = |name| std::env::var_os(name).filter(|value| is_absolute(value));
    let state = variable("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/state")))
        .unwrap_or_else(|| PathBuf::from("/var/lib"));
    let name: String = location
        .trim_end_matches('/')
        .trim_end_matches(".git")
        .rsplit(['/', ':'])
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_')
        .collect();
    let digest = Digest::of_bytes(location.as_bytes()).short();
    absolute(&state.join("stratum").join(format!("{name}-{digest}")))
}

fn is_absolute(value: &OsStr) -> bool {
    Path::new(value).is_absolute()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_have_folders_of_their_own() {
        let name = |location| {
            let folder = remote_folder(location).unwrap();
            folder.file_name().unwrap().to_string_lossy().into_owned()
        };
        let one = name("https://example.org/a/shop.git");
        assert!(one.starts_with("shop-"), "{one}");
        assert_ne!(one, name("https://example.org/b/shop.git"));
        assert!(name("git@example.org:../../x").starts_with("x-"));
    }
}
