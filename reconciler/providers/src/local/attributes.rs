//! What several types of this provider say in the same words.

use std::path::{Path, PathBuf};

use stratum_core::digest::Digest;
use stratum_core::ids::Address;
use stratum_core::ports::{ApplyError, Call, Certainty, ProviderError, Retry, SecretError, Site};
use stratum_core::resource::{Checkpoint, Instance, Opaque};
use stratum_core::value::Record;

use crate::own;
use crate::private::Nook;
use crate::process::{Cell, User};
use crate::schema::text;

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

/// The private folder of one resource, below `<what>/`.
pub(crate) fn own_folder(site: &Site, what: &str, address: &Address) -> Nook {
    let name = address.name().as_str();
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let folder = if plain {
        name.to_owned()
    } else {
        Digest::of_bytes(name.as_bytes()).short()
    };
    own::nook(site, &[what, &folder])
}

/// The user that the programs of a resource run as, when it is another: its own, or that of the
/// environment.
fn user_name<'a>(call: Call<'a>, record: &'a Record) -> Option<&'a str> {
    text(record, "user").or(call.site.user.as_deref())
}

/// The same with how it is isolated: one that runs otherwise is started anew.
pub(crate) fn runs_as(call: Call<'_>, record: &Record) -> Option<String> {
    let name = user_name(call, record);
    let how = call.site.isolation.as_ref().map(|isolation| {
        let network = if isolation.network {
            " with the network"
        } else {
            ""
        };
        format!("isolated{network}")
    });
    match (name, how) {
        (name, None) => name.map(str::to_owned),
        (None, how) => how,
        (Some(name), Some(how)) => Some(format!("{name}, {how}")),
    }
}

/// The same, found on this machine.
///
/// *Errors*: one sentence, when there is none.
pub(crate) fn user(call: Call<'_>, record: &Record) -> Result<Option<User>, String> {
    let named = user_name(call, record).map(User::find).transpose()?;
    match Cell::of(call.site) {
        None => Ok(named),
        Some(cell) => User::in_cell(named, cell).map(Some),
    }
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
