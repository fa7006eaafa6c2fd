//! What every command starts from: the terminal, the repository, the state.

use std::future::Future;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

pub(crate) use stratum_assembly::Place;
use stratum_assembly::verify::{InForce, verify};
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{SealReport, Tree};
use stratum_core::settings::Settings;
use stratum_repo::Fresh;

use crate::arguments::GlobalArguments;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::git;
use crate::style::Role;
use crate::ui::Ui;

/// After this time of silence it is said what is waited for.
const QUIET: Duration = Duration::from_secs(3);

/// What only reads waits this long for a remote.
const PATIENCE: Duration = Duration::from_secs(2);
/// Who reconciles waits this long before it begins with what was fetched before.
const BEFORE_WORK: Duration = Duration::from_secs(10);

/// What every command starts from.
#[derive(Clone)]
pub(crate) struct Context {
    /// The terminal.
    pub(crate) ui: Ui,
    /// Options of every command.
    pub(crate) global: GlobalArguments,
    /// All that can be given on the command line, for what is made from it.
    pub(crate) grammar: fn() -> clap::Command,
    /// How a command can end, by its words; nothing for a group of commands.
    pub(crate) exits: fn(&str) -> Vec<Exit>,
}

impl Context {
    /// For a command about a work tree: `STRATUM_REPO`, which names what the other commands look at,
    /// gives way to the work tree in which this process stands, where that has settings.
    pub(crate) fn standing(&self) -> Self {
        let stands = || git::top(Path::new(".")).is_ok_and(|top| top.join(SETTINGS).is_file());
        let mut global = self.global.clone();
        if global.repo.is_some() && !is_given("--repo") && stands() {
            global.repo = None;
        }
        Self {
            global,
            ..self.clone()
        }
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
        self.known_place_within(PATIENCE)
    }

    /// The same, for whoever reconciles.
    pub(crate) fn place_to_work_on(&self) -> Result<Place, CommandError> {
        self.known_place_within(BEFORE_WORK)
    }

    fn known_place_within(&self, patience: Duration) -> Result<Place, CommandError> {
        let place = self.open(Fresh::Wanted(patience))?;
        if let Some(error) = place.repository.unreached() {
            let text = self.ui.side_theme().paint(Role::Warning, "not up to date");
            self.ui.complain(&format!(
                "{text}: {error}; going on with what was fetched before"
            ));
        }
        Ok(place)
    }

    fn open(&self, fresh: Fresh) -> Result<Place, CommandError> {
        let state = self.global.state.as_deref();
        let (opened, waited) = std::sync::mpsc::channel::<()>();
        let ui = self.ui.clone();
        std::thread::spawn(move || {
            if let Err(RecvTimeoutError::Timeout) = waited.recv_timeout(QUIET) {
                ui.complain("still waiting for the repository to answer");
            }
        });
        let place = Place::open(&self.location(), state, fresh);
        drop(opened);
        Ok(place?)
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

    /// The sealed values of one environment, verified as the reconciler here would
    /// ([`verify`]); the repository is opened where there are any.
    pub(crate) fn sealed(
        &self,
        tree: &dyn Tree,
        settings: &Settings,
        environment: &EnvironmentName,
    ) -> Result<SealReport, CommandError> {
        let there = tree
            .entry(&format!("secrets/{environment}"))
            .map_err(|error| CommandError::machine("the files cannot be read").because(&error))?;
        if there.is_none() {
            return Ok(SealReport::default());
        }
        let place = self.place()?;
        let known = self.block_on(async { Ok(InForce::read(&place, environment).await?) })?;
        Ok(verify(&place, &known, tree, settings, environment)?)
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

/// The folder this process stands in, where its name is text.
fn here() -> Option<String> {
    let folder = std::env::current_dir().ok()?;
    folder.into_os_string().into_string().ok()
}
