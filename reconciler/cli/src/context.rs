//! What every command starts from: the terminal, the repository, the state.

use std::ffi::OsStr;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stratum_core::digest::Digest;
use stratum_core::ports::StoreError;
use stratum_repo::{Fresh, GitRepository, Options};
use stratum_store::{Access, SqliteStore};

use crate::arguments::GlobalArguments;
use crate::failure::CommandError;
use crate::git;
use crate::style::Role;
use crate::ui::Ui;

/// What only reads waits this long for a remote.
const PATIENCE: Duration = Duration::from_secs(10);

/// What every command starts from.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The terminal.
    pub(crate) ui: Ui,
    /// Options of every command.
    pub(crate) global: GlobalArguments,
}

/// A repository and where its state is.
pub(crate) struct Place {
    /// The repository.
    pub(crate) repository: Arc<GitRepository>,
    /// The file of the state; absolute.
    pub(crate) state: PathBuf,
}

impl Context {
    /// The context of this process.
    pub(crate) fn new(ui: Ui, global: GlobalArguments) -> Self {
        Self { ui, global }
    }

    /// For a command about a work tree: `STRATUM_REPO`, which names what the other commands look at,
    /// gives way to the work tree in which this process stands, where that has settings.
    pub(crate) fn standing(&self) -> Self {
        let stands = || git::top(Path::new(".")).is_ok_and(|top| top.join(SETTINGS).is_file());
        let mut global = self.global.clone();
        if global.repo.is_some() && !is_given("--repo") && stands() {
            global.repo = None;
        }
        Self::new(self.ui.clone(), global)
    }

    /// Opens the repository that was named, or the one this process stands in.
    ///
    /// *Errors*: also when it is a remote that cannot be reached.
    pub(crate) fn place(&self) -> Result<Place, CommandError> {
        self.open(Fresh::Required)
    }

    /// The same, for what must work while a remote is down: one that cannot be reached is named
    /// on stderr, and all is as it was last fetched.
    pub(crate) fn known_place(&self) -> Result<Place, CommandError> {
        let place = self.open(Fresh::Wanted(PATIENCE))?;
        if let Some(error) = place.repository.unreached() {
            let text = self.ui.side_theme().paint(Role::Warning, "not up to date");
            self.ui.complain(&format!(
                "{text}: {error}; going on with what was fetched before"
            ));
        }
        Ok(place)
    }

    fn open(&self, fresh: Fresh) -> Result<Place, CommandError> {
        let location = self.location();
        let options = Options {
            mirror: Some(remote_folder(&location)?.join("mirror.git")),
            fresh,
            ..Options::default()
        };
        let repository = GitRepository::open(&location, options)?;
        let folder = if repository.is_mirror() {
            remote_folder(&location)?
        } else {
            repository.state_folder()
        };
        let state = match &self.global.state {
            Some(path) => absolute(path)?,
            None => folder.join("state.db"),
        };
        Ok(Place {
            repository: Arc::new(repository),
            state,
        })
    }

    /// The repository as it was named: `--repo`, else what git told a hook, else this folder.
    pub(crate) fn location(&self) -> String {
        let of_git = || {
            std::env::var("GIT_DIR")
                .ok()
                .filter(|path| !path.is_empty())
        };
        self.global
            .repo
            .clone()
            .or_else(of_git)
            .or_else(here)
            .unwrap_or_else(|| ".".to_owned())
    }

    /// Carries out asynchronous work to its end, on this thread: what blocks has threads of its own.
    pub(crate) fn block_on<T>(
        &self,
        work: impl Future<Output = Result<T, CommandError>>,
    ) -> Result<T, CommandError> {
        run(tokio::runtime::Builder::new_current_thread(), work)
    }

    /// As [`Self::block_on`], on a thread for each processor, for what lives on and answers others.
    pub(crate) fn block_on_many<T>(
        &self,
        work: impl Future<Output = Result<T, CommandError>>,
    ) -> Result<T, CommandError> {
        run(tokio::runtime::Builder::new_multi_thread(), work)
    }
}

impl Place {
    /// The folder of the state.
    pub(crate) fn state_folder(&self) -> &Path {
        self.state.parent().unwrap_or(Path::new("/"))
    }

    /// Where providers write down what they must remember: named after the state.
    pub(crate) fn own_folder(&self) -> PathBuf {
        self.beside(".local")
    }

    /// The file in which the operator names places for environments.
    pub(crate) fn roots_file(&self) -> PathBuf {
        self.beside(".roots")
    }

    /// The places that are given to environments on this machine: on the command line and in the
    /// file.
    pub(crate) fn named_roots(&self, given: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
        let file = self.roots_file();
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                let path = file.display();
                let failed = CommandError::given(format!("could not read `{path}`"));
                return Err(failed.because(&error));
            }
        };
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut named = Vec::new();
        for line in lines {
            if !line.starts_with('/') {
                let path = file.display();
                let wrong = format!("`{path}` names `{line}`, which is not an absolute path");
                return Err(CommandError::given(wrong));
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
    pub(crate) async fn state(&self) -> Result<Option<SqliteStore>, StoreError> {
        self.state_as(None).await
    }

    /// The same, with the identity of a file; without one, with that of whoever asks.
    pub(crate) async fn state_as(
        &self,
        identity: Option<&Path>,
    ) -> Result<Option<SqliteStore>, StoreError> {
        match SqliteStore::open(&self.state, Access::ReadOnly).await {
            Ok(store) => Ok(Some(match identity {
                Some(file) => crate::identity::readable_with(store, &self.state, file).await,
                None => crate::identity::readable(store, &self.state).await,
            })),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The state, for reading, where something was reconciled already.
    ///
    /// *Errors*: [`StoreError::Missing`] where nothing was.
    pub(crate) async fn known_state(&self) -> Result<SqliteStore, StoreError> {
        self.state().await?.ok_or_else(|| StoreError::Missing {
            path: self.state.display().to_string(),
        })
    }
}

fn run<T>(
    mut builder: tokio::runtime::Builder,
    work: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let runtime = builder.enable_all().build().map_err(|error| {
        CommandError::machine("the threads that do the work could not be started").because(&error)
    })?;
    let done = runtime.block_on(work);
    // What is still on a thread of its own is over: nobody waits for its answer.
    runtime.shutdown_timeout(LEFT);
    done
}

/// How long work that nobody waits for is waited for at the end.
const LEFT: std::time::Duration = std::time::Duration::from_secs(2);

/// The file that says that stratum keeps a work tree.
const SETTINGS: &str = "stratum.ncl";

/// Whether an option stands on the command line, and not only in a variable.
fn is_given(option: &str) -> bool {
    std::env::args_os().any(|word| {
        let word = word.to_string_lossy();
        let rest = word.strip_prefix(option);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })
}

/// The path from the root.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map_err(|error| {
        CommandError::given(format!("`{}` is not a usable path", path.display())).because(&error)
    })
}

/// The folder this process stands in, where its name is text.
fn here() -> Option<String> {
    let folder = std::env::current_dir().ok()?;
    folder.into_os_string().into_string().ok()
}

/// Where the mirror and the state of a remote are.
///
/// *Source*: XDG Base Directory Specification 0.8, `XDG_STATE_HOME`.
fn remote_folder(location: &str) -> Result<PathBuf, CommandError> {
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
