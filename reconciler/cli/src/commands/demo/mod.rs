//! `stratum demo`

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;

/// Shows the whole story on an example, in a temporary folder
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArguments {}

/// Carries out the command.
pub(crate) fn run(_context: &Context, _arguments: &DemoArguments) -> Result<Exit, CommandError> {
    Ok(Exit::Done)
}
