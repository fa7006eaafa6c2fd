//! What can be given on the command line.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use stratum_core::bounds::Bounds;

use crate::commands;
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::CommandError;
use crate::ui::{ColorChoice, Loudness};

/// Keeps the world in the state that one git repository describes.
///
/// A push is planned, judged by policy, applied step by step with a checkpoint before each step,
/// rolled back if a step fails, and written back to the repository as an execution record. These
/// commands read, check and prepare; only `reconcile` applies, and `git revert` is the undo button.
#[derive(Debug, Parser)]
#[command(
    name = "stratum",
    version,
    max_term_width = 100,
    propagate_version = false,
    disable_help_subcommand = true,
    after_help = exit::TABLE
)]
pub(crate) struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: GlobalArguments,

    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The help of `--bounds`.
const BOUNDS: &str = "What reading a repository may cost at most; a repository can only ask for \
    less\n\nmemory (MiB) and time of one evaluation: 1024, 10s; answer and environment (MiB) that \
    one file and all files of an environment evaluate to: 16, 64; files of an environment: 5000; \
    environment-time for all of them, once: 15s; pass, for all environments of one commit, once: \
    15m";

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArguments {
    /// The repository: a folder, or the address of a remote [default: where you stand]
    #[arg(long, global = true, value_name = "PATH|URL", env = "STRATUM_REPO")]
    pub(crate) repo: Option<String>,

    /// The state [default: stratum/state.db in the git folder]
    #[arg(long, global = true, value_name = "PATH", env = "STRATUM_STATE")]
    pub(crate) state: Option<PathBuf>,

    /// What reading a repository may cost at most, as in `time=30s,memory=2048`; a repository can
    /// only ask for less
    #[arg(
        long,
        global = true,
        value_name = "NAME=VALUE,…",
        env = "STRATUM_BOUNDS",
        long_help = BOUNDS
    )]
    pub(crate) bounds: Option<Bounds>,

    /// Answer in JSON, version 1
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// When to use colours; `NO_COLOR` is heeded
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,

    /// Say nothing but the answer and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Say more; twice for the most
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl GlobalArguments {
    /// How much is said on stderr.
    pub(crate) fn loudness(&self) -> Loudness {
        match (self.quiet, self.verbose) {
            (true, _) => Loudness::Quiet,
            (false, 0) => Loudness::Normal,
            (false, _) => Loudness::Verbose,
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(commands::init::InitArguments),
    Check(commands::check::CheckArguments),
    Plan(commands::plan::PlanArguments),
    PullRequest(commands::pull_request::PullRequestArguments),
    Reconcile(commands::reconcile::ReconcileArguments),
    Status(commands::status::StatusArguments),
    Get(commands::get::GetArguments),
    Show(commands::show::ShowArguments),
    Tree(commands::tree::TreeArguments),
    Trace(commands::trace::TraceArguments),
    Secrets(commands::secrets::SecretsArguments),
    History(commands::history::HistoryArguments),
    Diff(commands::diff::DiffArguments),
    Events(commands::events::EventsArguments),
    Drift(commands::drift::DriftArguments),
    Discover(commands::discover::DiscoverArguments),
    Explain(commands::explain::ExplainArguments),
    Fmt(commands::fmt::FmtArguments),
    Audit(commands::audit::AuditArguments),
    Lease(commands::lease::LeaseArguments),
    Demo(commands::demo::DemoArguments),
    Doctor(commands::doctor::DoctorArguments),
    Completions(commands::completions::CompletionsArguments),
    #[command(hide = true)]
    Hook(commands::hook::HookArguments),
    #[command(hide = true)]
    Probe(commands::probe::ProbeArguments),
    #[command(hide = true)]
    Reference(commands::reference::ReferenceArguments),
    #[command(hide = true)]
    Man(commands::man::ManArguments),
}

impl Command {
    /// Carries out the command.
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, CommandError> {
        match self {
            Self::Init(arguments) => commands::init::run(context, arguments),
            Self::Check(arguments) => commands::check::run(context, arguments),
            Self::Plan(arguments) => commands::plan::run(context, arguments),
            Self::PullRequest(arguments) => commands::pull_request::run(context, arguments),
            Self::Reconcile(arguments) => commands::reconcile::run(context, arguments),
            Self::Status(arguments) => commands::status::run(context, arguments),
            Self::Get(arguments) => commands::get::run(context, arguments),
            Self::Show(arguments) => commands::show::run(context, arguments),
            Self::Tree(arguments) => commands::tree::run(context, arguments),
            Self::Trace(arguments) => commands::trace::run(context, arguments),
            Self::Diff(arguments) => commands::diff::run(context, arguments),
            Self::Events(arguments) => commands::events::run(context, arguments),
            Self::Secrets(arguments) => commands::secrets::run(context, arguments),
            Self::History(arguments) => commands::history::run(context, arguments),
            Self::Drift(arguments) => commands::drift::run(context, arguments),
            Self::Discover(arguments) => commands::discover::run(context, arguments),
            Self::Explain(arguments) => commands::explain::run(context, arguments),
            Self::Fmt(arguments) => commands::fmt::run(context, arguments),
            Self::Audit(arguments) => commands::audit::run(context, arguments),
            Self::Lease(arguments) => commands::lease::run(context, arguments),
            Self::Demo(arguments) => commands::demo::run(context, arguments),
            Self::Doctor(arguments) => commands::doctor::run(context, arguments),
            Self::Completions(arguments) => commands::completions::run(context, arguments),
            Self::Hook(arguments) => commands::hook::run(context, arguments),
            Self::Probe(arguments) => commands::probe::run(context, arguments),
            Self::Reference(arguments) => commands::reference::run(context, arguments),
            Self::Man(arguments) => commands::man::run(context, arguments),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn definitions_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_has_help() {
        for command in Arguments::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let name = format!("{} {}", command.get_name(), argument.get_id());
                assert!(argument.get_help().is_some(), "{name}");
            }
        }
    }

    #[test]
    fn global_options_may_follow_the_command() {
        let arguments = Arguments::try_parse_from(["stratum", "status", "--json", "-vv"]).unwrap();
        assert!(arguments.global.json);
        assert_eq!(arguments.global.loudness(), Loudness::Verbose);
    }
}
