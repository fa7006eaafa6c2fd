//! `stratum completions`

use clap_complete::Shell;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;

/// Prints completions for a shell
///
/// For bash, for example: `stratum completions bash > ~/.local/share/bash-completion/completions/stratum`
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// Carries out the command.
pub(crate) fn run(
    context: &Context,
    arguments: &CompletionsArguments,
) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    let mut command = (context.grammar)();
    clap_complete::generate(arguments.shell, &mut command, "stratum", &mut script);
    context.ui.answer_exact(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
