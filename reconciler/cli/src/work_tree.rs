//! The work tree that a person stands in: its settings, its trust, and its sealed files.

use std::io;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;

use stratum_assembly::adapters;
use stratum_assembly::sealed_file::parsed;
use stratum_core::finding::{Finding, any_error};
use stratum_core::ids::EnvironmentName;
use stratum_core::kinds::sealed_place::SealedPlace;
use stratum_core::kinds::secret::SealedDocument;
use stratum_core::ports::{Loader, Tree};
use stratum_core::settings::Settings;
use stratum_core::suggest;
use stratum_core::trust::Trust;
use stratum_seal::age::Recipient;

use crate::beneath;
use crate::context::Context;
use crate::failure::CommandError;
use crate::files::Files;
use crate::git;

/// A work tree with what it says.
pub(crate) struct WorkTree {
    /// Its top folder.
    pub(crate) top: PathBuf,
    /// Its files.
    pub(crate) files: Arc<Files>,
    /// `stratum.ncl`.
    pub(crate) settings: Settings,
    /// `trust/`.
    pub(crate) trust: Trust,
}

impl WorkTree {
    /// The work tree that was named, or the one this process stands in.
    pub(crate) fn open(context: &Context) -> Result<Self, CommandError> {
        let folder = PathBuf::from(context.location());
        let top = git::top(&folder)?;
        let files = Arc::new(Files::of_work_tree(&folder)?);
        let providers = adapters::providers()?;
        let loader = adapters::loader(&providers, None)?;
        let settings = loader.settings(files.as_ref())?;
        let settings = usable(settings.value, &settings.findings, "stratum.ncl")?;
        let trust = trust(loader.as_ref(), files.as_ref(), &settings)?;
        Ok(Self {
            top,
            files,
            settings,
            trust,
        })
    }

    /// Refuses an environment that the settings do not name.
    pub(crate) fn require(&self, environment: &EnvironmentName) -> Result<(), CommandError> {
        let known = |name: &EnvironmentName| {
            name.is_repository() || self.settings.environments.contains_key(name)
        };
        if known(environment) {
            return Ok(());
        }
        let names = self
            .settings
            .environments
            .keys()
            .map(EnvironmentName::as_str);
        let message = format!("there is no environment `{environment}` in `stratum.ncl`");
        Err(CommandError::given(message).hint_if(suggest::hint(environment.as_str(), names)))
    }

    /// The recipients that values of an environment are sealed to, by name.
    pub(crate) fn recipients(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Vec<(String, Recipient)>, CommandError> {
        let mut found = Vec::new();
        for (name, recipient) in self.trust.readers(environment) {
            let key = Recipient::from_str(&recipient.key).map_err(|error| {
                let message = format!("the key in `trust/recipients/{name}.toml` cannot be used");
                CommandError::given(message).because(&error)
            })?;
            found.push((name.to_owned(), key));
        }
        if found.is_empty() {
            let message = format!("nobody in `trust/recipients/` reads `{environment}`");
            return Err(CommandError::given(message).hint(format!(
                "`stratum secrets keygen identity --out {environment}.identity --trust --name \
                 {environment} --environment {environment}` makes an identity and says so"
            )));
        }
        Ok(found)
    }

    /// The text of a file; `None` when there is none.
    pub(crate) fn read(&self, file: &str) -> Result<Option<String>, CommandError> {
        if self.files.is_left_out(file) {
            // Writing it anew would lose what it holds.
            let folder = file.split('/').next().unwrap_or(file);
            let message = format!("`{file}` is left out of this sparse checkout");
            return Err(CommandError::given(message)
                .hint(format!("`git sparse-checkout add {folder}` brings it here")));
        }
        beneath::read(&self.top, file).map_err(|error| {
            CommandError::given(format!("`{file}` cannot be read")).because(&error)
        })
    }

    /// A sealed file; `None` when there is none.
    pub(crate) fn sealed(&self, file: &str) -> Result<Option<SealedDocument>, CommandError> {
        let Some(text) = self.read(file)? else {
            return Ok(None);
        };
        Ok(Some(parsed(file, &text)?))
    }

    /// Replaces a file as a whole, or makes it. No link of the work tree is followed.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<(), CommandError> {
        beneath::write(&self.top, file, text.as_bytes()).map_err(|error| {
            CommandError::given(format!("`{file}` could not be written"))
                .because(&error)
                .hint("`git log -- PATH` says who put a link there")
        })
    }

    /// The places of all sealed files, in order.
    pub(crate) fn places(&self) -> Result<Vec<SealedPlace>, CommandError> {
        let mut found = Vec::new();
        let mut folders = vec!["secrets".to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = self.files.list(&folder).map_err(|error| {
                CommandError::machine("the files cannot be listed").because(&error)
            })?;
            for entry in entries {
                let path = format!("{folder}/{}", entry.name);
                match entry.kind {
                    stratum_core::ports::TreeKind::Folder => folders.push(path),
                    _ => found.extend(SealedPlace::of_file(&path)),
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Reads `trust/`.
fn trust(loader: &dyn Loader, tree: &dyn Tree, settings: &Settings) -> Result<Trust, CommandError> {
    let trust = loader.trust(tree, settings)?;
    usable(trust.value, &trust.findings, "trust/")
}

fn usable<T>(value: Option<T>, findings: &[Finding], what: &str) -> Result<T, CommandError> {
    let first = findings.iter().find(|finding| finding.is_error());
    match value.filter(|_| !any_error(findings)) {
        Some(value) => Ok(value),
        None => {
            let message = format!("`{what}` cannot be used");
            let error = CommandError::given(message).hint("`stratum check` shows what is wrong");
            Err(match first {
                Some(finding) => error.because(&io::Error::other(finding.message.clone())),
                None => error,
            })
        }
    }
}
