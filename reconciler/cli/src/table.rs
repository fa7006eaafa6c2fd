//! Every command, in the order in which help lists them.
//!
//! A command is one line here, or in the table of its group; its file knows nothing of the others.

use clap::CommandFactory as _;

use crate::arguments::Arguments;
use crate::command::{self, Command, command};
use crate::commands::{
    audit, check, completions, demo, diff, discover, doctor, drift, events, explain, fmt, get,
    history, hook, init, lease, man, plan, probe, pull_request, reconcile, reference, secrets,
    show, status, trace, tree,
};
use crate::exit::Exit;

/// Every command.
pub(crate) const COMMANDS: &[Command] = &[
    command!("init", init::InitArguments, init::run),
    command!("check", check::CheckArguments, check::run),
    command!("plan", plan::PlanArguments, plan::run).ending(&[Exit::Changes, Exit::Denied]),
    command!(
        "pull-request",
        pull_request::PullRequestArguments,
        pull_request::run
    )
    .ending(&[Exit::Denied]),
    command!("reconcile", reconcile::ReconcileArguments, reconcile::run).ending(&[Exit::Denied]),
    command!("status", status::StatusArguments, status::run).ending(&[Exit::Changes]),
    command!("get", get::GetArguments, get::run),
    command!("show", show::ShowArguments, show::run),
    command!("tree", tree::TreeArguments, tree::run),
    command!("trace", trace::TraceArguments, trace::run),
    secrets::GROUP,
    command!("history", history::HistoryArguments, history::run),
    command!("diff", diff::DiffArguments, diff::run),
    command!("events", events::EventsArguments, events::run),
    command!("drift", drift::DriftArguments, drift::run),
    command!("discover", discover::DiscoverArguments, discover::run),
    command!("explain", explain::ExplainArguments, explain::run),
    command!("fmt", fmt::FmtArguments, fmt::run),
    audit::GROUP,
    lease::GROUP,
    command!("demo", demo::DemoArguments, demo::run),
    command!("doctor", doctor::DoctorArguments, doctor::run),
    command!(
        "completions",
        completions::CompletionsArguments,
        completions::run
    ),
    command!("hook", hook::HookArguments, hook::run).hidden(),
    command!("probe", probe::ProbeArguments, probe::run).hidden(),
    command!("reference", reference::ReferenceArguments, reference::run).hidden(),
    command!("man", man::ManArguments, man::run).hidden(),
];

/// All that can be given on the command line.
pub(crate) fn grammar() -> clap::Command {
    command::with(Arguments::command(), COMMANDS)
}

/// How the command with these words can end; nothing for a group of commands.
pub(crate) fn exits(path: &str) -> Vec<Exit> {
    command::exits(COMMANDS, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::GlobalArguments;
    use crate::ui::Loudness;
    use clap::FromArgMatches as _;

    #[test]
    fn definitions_are_sound() {
        grammar().debug_assert();
    }

    #[test]
    fn every_command_and_option_has_help() {
        let mut left = vec![grammar()];
        while let Some(command) = left.pop() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let name = format!("{} {}", command.get_name(), argument.get_id());
                assert!(argument.get_help().is_some(), "{name}");
            }
            left.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn each_command_says_how_it_can_end_and_a_group_does_not() {
        let codes = |path| exits(path).into_iter().map(Exit::code).collect::<Vec<_>>();
        assert_eq!(codes("plan"), [0, 1, 2, 3, 4]);
        assert_eq!(codes("secrets keygen sealer"), [0, 1, 3]);
        assert_eq!(codes("secrets"), Vec::<u8>::new());
        assert_eq!(codes("nothing"), Vec::<u8>::new());
    }

    #[test]
    fn global_options_may_follow_the_command() {
        let given = ["stratum", "status", "--json", "-vv"];
        let matches = grammar().try_get_matches_from(given).unwrap();
        let global = GlobalArguments::from_arg_matches(&matches).unwrap();
        assert!(global.json);
        assert_eq!(global.loudness(), Loudness::Verbose);
    }
}
