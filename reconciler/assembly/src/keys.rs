//! Where a person's keys are: named, in a variable, or in the configuration folder.

use std::path::PathBuf;

use stratum_core::secret::Secret;
use stratum_seal::Crypto;
use stratum_seal::age::Identity;
use stratum_seal::keys::{self, Sealer};

use crate::error::AssemblyError;

/// The variable that names a sealer's key.
const SEALER: &str = "STRATUM_SEALER";

/// The variable that names a file of identities.
const IDENTITY: &str = "STRATUM_IDENTITY";

/// The configuration folder of stratum.
///
/// *Source*: XDG Base Directory Specification 0.8, `XDG_CONFIG_HOME`.
fn folder() -> Option<PathBuf> {
    let absolute = |name| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .map(|folder| folder.join("stratum"))
}

fn variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}

fn default(name: &str) -> Option<PathBuf> {
    folder()
        .map(|folder| folder.join(name))
        .filter(|path| path.exists())
}

/// The sealer's key that was named, or the one of the variable or the configuration folder.
pub fn sealer(crypto: &Crypto, named: Option<&PathBuf>) -> Result<Sealer, AssemblyError> {
    let path = named
        .cloned()
        .or_else(|| variable(SEALER))
        .or_else(|| default("sealer"))
        .ok_or(AssemblyError::NoSealer)?;
    let text = read(&path)?;
    Sealer::parse(crypto, &text).map_err(|source| AssemblyError::SealerFile { path, source })
}

/// The file of identities that was named, or the one of the variable or the configuration folder.
pub fn identity_path(named: Option<&PathBuf>) -> Option<PathBuf> {
    named
        .cloned()
        .or_else(|| variable(IDENTITY))
        .or_else(|| default("identity"))
}

/// The identities of a person.
pub fn identities(
    crypto: &Crypto,
    named: Option<&PathBuf>,
) -> Result<Vec<Identity>, AssemblyError> {
    let path = identity_path(named).ok_or(AssemblyError::NoIdentity)?;
    identities_of(crypto, &path)
}

/// The identities of a file.
pub fn identities_of(
    crypto: &Crypto,
    path: &std::path::Path,
) -> Result<Vec<Identity>, AssemblyError> {
    let text = read(path)?;
    keys::identities(crypto, &text).map_err(|source| AssemblyError::IdentityFile {
        path: path.to_owned(),
        source,
    })
}

fn read(path: &std::path::Path) -> Result<Secret, AssemblyError> {
    keys::read_private(path).map_err(|source| AssemblyError::KeyFile {
        path: path.to_owned(),
        source,
    })
}

/// Where keys lie that this process finds by itself: what the variables name, and the
/// configuration folder.
pub fn private_places() -> Vec<PathBuf> {
    let named = [variable(SEALER), variable(IDENTITY), folder()];
    named.into_iter().flatten().collect()
}
