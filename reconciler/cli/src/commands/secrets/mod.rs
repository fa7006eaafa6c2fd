//! `stratum secrets`: sealed files, their keys, and the identity of the reconciler.

pub(crate) mod drivers;
pub(crate) mod edit;
pub(crate) mod generate;
mod history;
pub(crate) mod import;
pub(crate) mod keygen;
pub(crate) mod open;
mod private;
pub(crate) mod rewrap;
pub(crate) mod seal;
pub(crate) mod split;
pub(crate) mod status;
pub(crate) mod unseal;
pub(crate) mod verify;

use clap::Args;

use crate::command::{Command, command};
use crate::context::Context;
use crate::failure::CommandError;

/// Seals secrets into the repository, and looks after their keys
///
/// Values are sealed to the recipients that `trust/recipients/` names for their environment, and
/// signed with the key of whoever seals. No command takes a secret as an argument.
#[derive(Debug, Args)]
pub(crate) struct SecretsArguments {}

/// The commands about secrets.
pub(crate) const GROUP: Command = Command::group(
    "secrets",
    <SecretsArguments as clap::Args>::augment_args,
    enter,
    &[
        keygen::GROUP,
        command!("seal", seal::SealArguments, seal::run),
        command!("open", open::OpenArguments, open::run),
        command!("edit", edit::EditArguments, edit::run),
        command!("status", status::StatusArguments, status::run),
        command!("verify", verify::VerifyArguments, verify::run),
        command!("rewrap", rewrap::RewrapArguments, rewrap::run),
        command!("import", import::ImportArguments, import::run),
        command!("split", split::SplitArguments, split::run),
        command!("unseal", unseal::UnsealArguments, unseal::run),
        command!("rotate-state-key", unseal::RotateArguments, unseal::rotate),
        command!("diff-driver", drivers::DiffArguments, drivers::diff).hidden(),
        command!("merge-driver", drivers::MergeArguments, drivers::merge).hidden(),
    ],
);

/// Keeps what follows in this process; all but the commands about the reconciler are about the work
/// tree.
fn enter(context: &Context, name: &str) -> Result<Context, CommandError> {
    let hardening = stratum_assembly::identity::harden()?;
    if !hardening.keys_locked {
        context.ui.say(stratum_assembly::identity::NOT_LOCKED);
    }
    private::clean();
    Ok(match name {
        "unseal" | "rotate-state-key" => context.clone(),
        _ => context.standing(),
    })
}

/// What was meant, where the recipe of `--generate` was given as a word of its own.
pub(crate) fn tip(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let asked = std::env::args_os().any(|word| word == "--generate");
    match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(word) if asked && word.parse::<generate::Recipe>().is_ok() => {
            Some(format!("write `--generate={word}`, as one word"))
        }
        _ => None,
    }
}
