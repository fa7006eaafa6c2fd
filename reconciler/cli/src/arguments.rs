//! What can be given on the command line.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser};

use stratum_core::bounds::Bounds;

use crate::exit;
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
