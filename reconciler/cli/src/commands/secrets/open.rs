//! `stratum secrets open`

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use stratum_assembly::{crypto, keys};
use stratum_core::kinds::sealed_place::SealedPlace;
use stratum_core::kinds::secret::SealedValue;
use stratum_core::secret::Secret;
use stratum_core::suggest;
use stratum_seal::age::Identity;
use stratum_seal::{Crypto, Place, Policy, Verified};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::work_tree::WorkTree;

/// Prints one value, for a person who holds an identity
///
/// It is verified first, as the trust of the work tree says. Nothing is added to it, but a line end
/// on a terminal.
#[derive(Debug, Args)]
pub(crate) struct OpenArguments {
    /// ENV/PATH, for example production/payments/db
    #[arg(value_name = "ENV/PATH")]
    place: SealedPlace,

    /// The key within the file
    key: String,

    /// Your identity [default: $STRATUM_IDENTITY, then the configuration folder]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &OpenArguments) -> Result<Exit, CommandError> {
    let work_tree = WorkTree::open(context)?;
    let OpenArguments { place, key, .. } = arguments;
    let document = work_tree.sealed(&place.file())?.ok_or_else(|| {
        let places = work_tree.places().unwrap_or_default();
        let names: Vec<String> = places.iter().map(ToString::to_string).collect();
        let hint = suggest::hint(&place.to_string(), names.iter().map(String::as_str));
        CommandError::given(format!("there is no `{}`", place.file())).hint_if(hint)
    })?;
    let value = document.file.values.get(key).ok_or_else(|| {
        let names = document.file.values.keys().map(String::as_str);
        CommandError::given(format!("`{}` has no key `{key}`", place.file()))
            .hint_if(suggest::hint(key, names))
    })?;
    let crypto = crypto()?;
    let identities = keys::identities(&crypto, arguments.identity.as_ref())?;
    let secret = opened(&crypto, &work_tree, &identities, place, key, value)?;
    let failed = |error: std::io::Error| {
        CommandError::machine("the value could not be written").because(&error)
    };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(secret.expose()).map_err(failed)?;
    if stdout.is_terminal() {
        stdout.write_all(b"\n").map_err(failed)?;
    }
    stdout.flush().map_err(failed)?;
    Ok(Exit::Done)
}

/// Verifies a value of the work tree.
pub(super) fn verified(
    crypto: &Crypto,
    work_tree: &WorkTree,
    place: &SealedPlace,
    key: &str,
    value: &SealedValue,
) -> Result<Verified, CommandError> {
    let at = Place {
        repo: &work_tree.settings.name,
        environment: place.environment.as_str(),
        path: &place.path,
        key,
        version: value.v,
    };
    let policy = policy(work_tree);
    stratum_seal::verify(crypto, &work_tree.trust, policy, &at, value).map_err(|error| {
        CommandError::given(format!("{place}#{key} is not trusted"))
            .because(&error)
            .hint(
                "`stratum secrets verify` looks at all values; seal this one again if it is yours",
            )
    })
}

/// Which signatures the settings ask for.
pub(crate) fn policy(work_tree: &WorkTree) -> Policy {
    let name = work_tree.settings.secrets.signatures.as_str();
    Policy::parse(name).unwrap_or_default()
}

/// Verifies a value, then opens it.
pub(super) fn opened(
    crypto: &Crypto,
    work_tree: &WorkTree,
    identities: &[Identity],
    place: &SealedPlace,
    key: &str,
    value: &SealedValue,
) -> Result<Secret, CommandError> {
    let verified = verified(crypto, work_tree, place, key, value)?;
    stratum_seal::open(crypto, identities, &verified).map_err(|error| {
        let names: Vec<&str> = work_tree
            .trust
            .readers(&place.environment)
            .map(|(name, _)| name)
            .collect();
        CommandError::given(format!("{place}#{key} does not open"))
            .because(&error)
            .hint(format!(
                "it is sealed for {}: use one of their identities",
                names.join(", ")
            ))
    })
}
