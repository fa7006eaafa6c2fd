//! `stratum reference`

mod contract;
mod pages;

use stratum_assembly::adapters;
use stratum_load::provider_file;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;

/// Prints a reference page, made from the program itself
#[derive(Debug, clap::Args)]
pub(crate) struct ReferenceArguments {
    /// The page
    page: Page,
}

/// The pages there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Page {
    /// Every command with its options.
    Commands,
    /// Every code of a finding.
    Findings,
    /// Every setting with its default.
    Settings,
    /// Every number of `/metrics`.
    Metrics,
    /// Every policy that ships.
    Policies,
    /// What `import "provider/local.ncl"` gives.
    Local,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &ReferenceArguments) -> Result<Exit, CommandError> {
    let page = match arguments.page {
        Page::Commands => pages::commands((context.grammar)(), &context.exits),
        Page::Findings => pages::findings(),
        Page::Settings => pages::settings(),
        Page::Metrics => pages::metrics(),
        Page::Policies => pages::policies(),
        Page::Local => contracts("local")?,
    };
    context.ui.answer_exact(&page);
    Ok(Exit::Done)
}

/// The contracts of one provider, in Nickel.
fn contracts(provider: &str) -> Result<String, CommandError> {
    let providers = adapters::providers()?;
    let schemas = providers.schemas().into_iter();
    let wanted = schemas.filter(|schema| schema.provider.as_str() == provider);
    Ok(wanted.map(provider_file).collect())
}

/// The first lines of every page.
fn head(title: &str, about: &str) -> String {
    format!(
        "# {title}\n\n{about}\n\n<!-- Made by `make reference` from the program; do not edit. -->\n"
    )
}
