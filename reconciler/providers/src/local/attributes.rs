//! What several types of this provider say in the same words.

use std::path::{Path, PathBuf};

use stratum_core::digest::Digest;
use stratum_core::ids::Address;
use stratum_core::ports::{ApplyError, Certainty, ProviderError, Retry, SecretError, Site};
use stratum_core::resource::{Checkpoint, Instance, Opaque};
use stratum_core::value::Record;

/// The folder in an environment's root that belongs to this provider.
pub(crate) const OWN_FOLDER: &str = ".stratum";

/// An instance without private bytes.
pub(crate) fn instance(attributes: Record) -> Instance {
    Instance {
        attributes,
        private: Opaque::default(),
        due: None,
    }
}

/// What was there before the step, as the state knew it.
pub(crate) fn before(checkpoint: &Checkpoint) -> Option<&Instance> {
    checkpoint.before.as_ref().map(|before| &before.instance)
}

/// The folder that belongs to one resource, below `.stratum/<what>/`.
pub(crate) fn own_folder(site: &Site, what: &str, address: &Address) -> PathBuf {
    let name = address.name().as_str();
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let folder = if plain {
        name.to_owned()
    } else {
        Digest::of_bytes(name.as_bytes()).short()
    };
    site.root.join(OWN_FOLDER).join(what).join(folder)
}

/// The folder that a program runs in: `dir` in the environment's root, or the root.
pub(crate) fn working_folder(site: &Site, dir: Option<&str>) -> PathBuf {
    dir.map_or_else(|| site.root.clone(), |dir| site.root.join(Path::new(dir)))
}

/// An error of a call that changes the world, before it did.
pub(crate) fn refused(message: impl Into<String>, retry: Retry) -> ApplyError {
    ApplyError {
        retry,
        ..ApplyError::nothing_happened(message)
    }
}

/// An error of a call that changes the world, after it may have.
pub(crate) fn broken(message: impl Into<String>) -> ApplyError {
    ApplyError {
        certainty: Certainty::Unknown,
        ..refused(message, Retry::NeedsPerson)
    }
}

/// A secret that a call needs could not be opened.
pub(crate) fn closed(error: SecretError) -> ProviderError {
    ProviderError {
        message: error.to_string(),
        retry: error.retry(),
        waits: false,
        diagnostics: Vec::new(),
    }
}
