//! `stratum man`

use std::io;
use std::path::PathBuf;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;

/// Prints the manual page, for packagers
#[derive(Debug, clap::Args)]
pub(crate) struct ManArguments {
    /// The page of this command instead of the first one
    command: Option<String>,

    /// Write all pages into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    all: Option<PathBuf>,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &ManArguments) -> Result<Exit, CommandError> {
    let top = (context.grammar)();
    if let Some(folder) = &arguments.all {
        return clap_mangen::generate_to(top, folder)
            .map(|()| Exit::Done)
            .map_err(|error| {
                let message = format!("the manual could not be written to `{}`", folder.display());
                CommandError::given(message)
                    .because(&error)
                    .hint("`mkdir -p` the folder first")
            });
    }
    let page = match &arguments.command {
        None => top,
        Some(name) => top.find_subcommand(name).cloned().ok_or_else(|| {
            CommandError::given(format!("there is no command `{name}`"))
                .hint("`stratum --help` lists the commands")
        })?,
    };
    let page = render(page).map_err(|error| {
        CommandError::machine("the manual page could not be written").because(&error)
    })?;
    context.ui.answer_exact(&page);
    Ok(Exit::Done)
}

fn render(command: clap::Command) -> io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
