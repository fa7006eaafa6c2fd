//! The work tree that a person stands in: its settings, its trust, and its sealed files.

use std::io;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::{Arc, OnceLock};

use stratum_core::finding::{Finding, any_error};
use stratum_core::ids::EnvironmentName;
use stratum_core::kinds::secret::{SUFFIX, SealedDocument};
use stratum_core::ports::{Loader, Tree};
use stratum_core::settings::Settings;
use stratum_core::suggest;
use stratum_core::trust::Trust;
use stratum_seal::Crypto;
use stratum_seal::age::Recipient;

use crate::beneath;
use crate::context::Context;
use crate::failure::CommandError;
use crate::files::Files;
use crate::git;
use crate::wiring;

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

/// Where a sealed file belongs: `ENV/PATH` as people write it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SealedPlace {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// The path below `secrets/<environment>/`, without its ending.
    pub(crate) path: String,
}

impl SealedPlace {
    /// The file, from the top of the work tree.
    pub(crate) fn file(&self) -> String {
        format!("secrets/{}/{}{SUFFIX}", self.environment, self.path)
    }

    /// The place of a file; `None` when it is none of a sealed file.
    pub(crate) fn of_file(file: &str) -> Option<Self> {
        let rest = file.strip_prefix("secrets/")?.strip_suffix(SUFFIX)?;
        let (environment, path) = rest.split_once('/')?;
        Some(Self {
            environment: EnvironmentName::new(environment).ok()?,
            path: path.to_owned(),
        })
    }
}

impl std::fmt::Display for SealedPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.environment, self.path)
    }
}

impl std::str::FromStr for SealedPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix("secrets/").unwrap_or(text);
        let text = text.strip_suffix(SUFFIX).unwrap_or(text);
        let wrong = || format!("`{text}` is not ENV/PATH, for example production/payments/db");
        let (environment, path) = text.split_once('/').ok_or_else(wrong)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let sound =
            |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(plain);
        if path.split('/').any(|part| beneath::is_git(part.as_ref())) {
            return Err(format!("`{text}` would lie in a folder of git's own"));
        }
        if !path.split('/').all(sound) {
            return Err(wrong());
        }
        Ok(Self {
            environment: EnvironmentName::new(environment).map_err(|error| error.to_string())?,
            path: path.to_owned(),
        })
    }
}

impl WorkTree {
    /// The work tree that was named, or the one this process stands in.
    pub(crate) fn open(context: &Context) -> Result<Self, CommandError> {
        let folder = PathBuf::from(context.location());
        let top = git::top(&folder)?;
        let files = Arc::new(Files::of_work_tree(&folder)?);
        let providers = wiring::providers()?;
        let loader = wiring::loader(&providers, None)?;
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
        parsed(file, &text).map(Some)
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

/// The text of a sealed file, read.
pub(crate) fn parsed(file: &str, text: &str) -> Result<SealedDocument, CommandError> {
    stratum_load::read_sealed(file, text).map_err(|findings| {
        let message = format!("`{file}` is not a sealed file that can be read");
        let error = CommandError::given(message).hint("`stratum check` shows what is wrong");
        match findings.first() {
            Some(finding) => error.because(&io::Error::other(finding.message.clone())),
            None => error,
        }
    })
}

/// The crypto backends that `STRATUM_CRYPTO` names, or the default; the same for the whole process.
pub(crate) fn crypto() -> Result<Crypto, CommandError> {
    static CHOSEN: OnceLock<Crypto> = OnceLock::new();
    if let Some(crypto) = CHOSEN.get() {
        return Ok(crypto.clone());
    }
    let names = std::env::var("STRATUM_CRYPTO").ok();
    let names = names.filter(|names| !names.is_empty());
    let names = names.as_deref().unwrap_or(stratum_seal::backend::DEFAULT);
    let chosen = Crypto::choose(names).map_err(|error| {
        CommandError::given("the crypto backend cannot be used")
            .because(&error)
            .hint(
                "`STRATUM_CRYPTO` names backends, for example `openssl`; unset it for the default",
            )
    })?;
    Ok(CHOSEN.get_or_init(|| chosen).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_in_several_ways_and_never_lead_out() {
        let place: SealedPlace = "production/payments/db".parse().unwrap();
        assert_eq!(place.file(), "secrets/production/payments/db.sealed.yaml");
        assert_eq!(place.file().parse::<SealedPlace>().unwrap(), place);
        assert_eq!(SealedPlace::of_file(&place.file()), Some(place));
        for wrong in [
            "production",
            "production/",
            "production/../x",
            "a/b c",
            "a//b",
            "staging/.git/x",
            "staging/.GIT/x",
            "staging/x/.git",
        ] {
            assert!(wrong.parse::<SealedPlace>().is_err(), "{wrong}");
        }
    }
}
