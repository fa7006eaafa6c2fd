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

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;

/// Seals secrets into the repository, and looks after their keys
///
/// Values are sealed to the recipients that `trust/recipients/` names for their environment, and
/// signed with the key of whoever seals. No command takes a secret as an argument.
#[derive(Debug, Args)]
pub(crate) struct SecretsArguments {
    #[command(subcommand)]
    command: SecretsCommand,
}

#[derive(Debug, Subcommand)]
enum SecretsCommand {
    Keygen(keygen::KeygenArguments),
    Seal(seal::SealArguments),
    Open(open::OpenArguments),
    Edit(edit::EditArguments),
    Status(status::StatusArguments),
    Verify(verify::VerifyArguments),
    Rewrap(rewrap::RewrapArguments),
    Import(import::ImportArguments),
    Split(split::SplitArguments),
    Unseal(unseal::UnsealArguments),
    RotateStateKey(unseal::RotateArguments),
    #[command(hide = true)]
    DiffDriver(drivers::DiffArguments),
    #[command(hide = true)]
    MergeDriver(drivers::MergeArguments),
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

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &SecretsArguments) -> Result<Exit, CommandError> {
    let hardening = stratum_assembly::identity::harden()?;
    if !hardening.keys_locked {
        context.ui.say(stratum_assembly::identity::NOT_LOCKED);
    }
    private::clean();
    let standing = context.standing();
    let context = match &arguments.command {
        SecretsCommand::Unseal(_) | SecretsCommand::RotateStateKey(_) => context,
        _ => &standing,
    };
    match &arguments.command {
        SecretsCommand::Keygen(arguments) => keygen::run(context, arguments),
        SecretsCommand::Seal(arguments) => seal::run(context, arguments),
        SecretsCommand::Open(arguments) => open::run(context, arguments),
        SecretsCommand::Edit(arguments) => edit::run(context, arguments),
        SecretsCommand::Status(arguments) => status::run(context, arguments),
        SecretsCommand::Verify(arguments) => verify::run(context, arguments),
        SecretsCommand::Rewrap(arguments) => rewrap::run(context, arguments),
        SecretsCommand::Import(arguments) => import::run(context, arguments),
        SecretsCommand::Split(arguments) => split::run(context, arguments),
        SecretsCommand::Unseal(arguments) => unseal::run(context, arguments),
        SecretsCommand::RotateStateKey(arguments) => unseal::rotate(context, arguments),
        SecretsCommand::DiffDriver(arguments) => drivers::diff(context, arguments),
        SecretsCommand::MergeDriver(arguments) => drivers::merge(context, arguments),
    }
}
